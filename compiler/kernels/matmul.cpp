// Matrix products. One operand is read in vectors (from packed panels), the other element by element; which is which, and so whether
// vectors run along N or along M, is the plan's choice.
#include "compiler/kernels/schedule.h"
#include "compiler/support/check.h"

namespace kiln {

using namespace Halide;

Expr lower_matmul(Lowering &l, NodeId id, const Coordinates &at) {
    Func result = l.storage_of(id, [&] {
        const Node &node = l.node(id);
        const MatmulAttrs &a = attrs<MatmulAttrs>(node);
        const Shape &shape = node.type.shape, &left = l.shape(node.operands[0]);
        const size_t rank = shape.size();
        MatmulFuncs f;
        const int64_t m = shape[rank - 2], n = shape[rank - 1];
        f.inner = left[rank - (a.transpose_a ? 2 : 1)];
        f.batch = element_count(Shape(shape.begin(), shape.end() - 2));
        f.plan = plan_matmul(l, m, n, f.inner, a.transpose_a, a.transpose_b, f.batch, l.has_epilogue(id));
        f.columns = f.plan.columns_are_rows ? m : n;
        f.rows = f.plan.columns_are_rows ? n : m;
        f.overruns = l.is_fused(id) && l.stores_in_place();
        std::vector<Var> batch;
        for (size_t axis = 0; axis + 2 < rank; axis++) batch.emplace_back(fmt::format("a{}", axis));

        auto read = [&](int operand, bool transposed, Expr outer, Expr inner) {
            Coordinates where(batch.begin(), batch.end());
            where.push_back(transposed ? inner : outer);
            where.push_back(transposed ? outer : inner);
            return l.stored_value(node.operands[size_t(operand)], where);
        };
        auto left_at = [&](Expr row, Expr k) { return read(0, a.transpose_a, row, k); };
        auto right_at = [&](Expr k, Expr column) { return read(1, a.transpose_b, k, column); };

        f.u = Var("u"), f.v = Var("v");
        Var k("k");
        const int64_t width = f.plan.tile.vectors * l.lanes();
        // A tile wider than the matrix computes columns nobody stores; they may hold anything. Read in place, a vector ends in the next row, or less than a line past the end.
        f.vector_buffer = l.buffer_of(node.operands[f.plan.columns_are_rows ? 0 : 1]);
        f.row_buffer = l.buffer_of(node.operands[f.plan.columns_are_rows ? 1 : 0]);
        auto vector_operand = [&](Expr column, Expr depth) {
            const bool clamped = f.columns % width != 0 && (f.columns < width || f.plan.parts > 1 || f.overruns);
            const bool in_place = f.plan.parts > 1 && !f.overruns && !f.plan.transposes && !f.vector_buffer.empty();
            Expr c = !clamped ? column : in_place ? unsafe_promise_clamped(column, 0, index_expr(f.columns - 1)) : min(likely(column), index_expr(f.columns - 1));
            return f.plan.columns_are_rows ? left_at(c, depth) : right_at(depth, c);
        };
        auto scalar_operand = [&](Expr row, Expr depth) {
            const int64_t step = f.plan.row_block < f.rows ? f.plan.row_block : f.plan.tile.rows;
            const Expr r = f.overruns && f.rows % step != 0 ? min(likely(row), index_expr(f.rows - 1)) : row;
            return f.plan.columns_are_rows ? right_at(depth, r) : left_at(r, depth);
        };
        std::vector<Var> batch_vars = reversed(batch);
        auto with_batch = [&](std::vector<Expr> at) {
            at.insert(at.end(), batch_vars.begin(), batch_vars.end());
            return at;
        };
        auto with_batch_vars = [&](std::vector<Var> vars) {
            vars.insert(vars.end(), batch_vars.begin(), batch_vars.end());
            return vars;
        };
        Var row("row"), tile("tile");
        f.packed = Func(l.name(id, "packed"));
        f.packed(with_batch_vars({f.u, k})) = vector_operand(f.u, k);
        if (f.plan.packs_rows) {
            f.packed_rows = Func(l.name(id, "packed_rows"));
            // The rows of a tile, or of a few tiles, side by side, step by step of K.
            const Expr v = tile * index_expr(f.plan.rows_beside()) + row;
            f.packed_rows(with_batch_vars({row, k, tile})) = scalar_operand(f.rows % f.plan.rows_beside() == 0 ? v : min(likely(v), index_expr(f.rows - 1)), k);
        }
        auto row_operand = [&](Expr depth) {
            const Expr rows = index_expr(f.plan.rows_beside());
            return f.plan.packs_rows ? Expr(f.packed_rows(with_batch({f.v % rows, depth, f.v / rows}))) : scalar_operand(f.v, depth);
        };
        auto term = [&](Expr depth) { return row_operand(depth) * f.packed(with_batch({f.u, depth})); };
        f.product = Func(l.name(id, "product"));
        const std::vector<Var> product_vars = with_batch_vars({f.u, f.v});
        const Expr zero = Internal::make_zero(storage_type(node.type.dtype));
        f.product(product_vars) = zero;
        if (f.plan.parts > 1) {
            const int64_t depth = f.inner / f.plan.parts;
            f.p = Var("p");
            f.depth = RDom(0, int(depth), l.name(id, "k")), f.parts = RDom(0, int(f.plan.parts), l.name(id, "parts"));
            f.part = Func(l.name(id, "part"));
            f.part(with_batch_vars({f.u, f.v, f.p})) = zero;
            f.part(with_batch_vars({f.u, f.v, f.p})) += term(f.p * index_expr(depth) + f.depth.x);
            f.product(product_vars) += f.part(with_batch({f.u, f.v, f.parts.x}));
        } else {
            f.depth = RDom(0, int(f.inner), l.name(id, "k"));
            f.product(product_vars) += term(f.depth.x);
        }
        // In the results' axis order.
        Func product = f.product;
        if (f.plan.columns_are_rows) {
            Var x("x"), y("y");
            product = f.turned = Func(l.name(id, "turned"));
            product(with_batch_vars({x, y})) = f.product(with_batch({y, x}));
        }
        if (l.is_fused(id)) {
            l.schedule_fused = [&l, f](Consumer &c) mutable { schedule_matmul(l, c, f); };
            return product;
        }
        Consumer c{Func(l.name(id)), l.declare_vars(id), shape};
        c.func(reversed(c.axes)) = product(reversed(Coordinates(c.axes.begin(), c.axes.end())));
        c.func.compute_root();
        schedule_matmul(l, c, f);
        return c.func;
    });
    return call(result, at);
}

}  // namespace kiln
