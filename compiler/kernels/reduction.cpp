// Reductions over axes: partial results along lanes and chunks that the shape alone decides, combined in a fixed order.
#include "compiler/kernels/schedule.h"
#include "compiler/support/check.h"

#include <algorithm>

namespace kiln {

using namespace Halide;

namespace {

/// More would not find registers for their partial results.
constexpr size_t kMostSumsTogether = 4;

Expr combine(Op op, Expr a, Expr b) {
    switch (op) {
        case Op::reduce_product: return a * b;
        case Op::reduce_max: return max(a, b);
        case Op::reduce_min: return min(a, b);
        default: return a + b;
    }
}

/// x is one of the elements; maxima and minima start from an element, for there is no neutral one under fast-math.
Expr start(Op op, Expr x) {
    if (op == Op::reduce_sum) return Internal::make_zero(x.type());
    if (op == Op::reduce_product) return Internal::make_one(x.type());
    return x;
}

/// Sums over the same axes of equally large data that do not need each other, `id` among them: one loop computes them together, for
/// what they have in common is read once.
std::vector<NodeId> sums_beside(Lowering &l, NodeId id) {
    const Graph &body = l.body();
    const Node &node = l.node(id);
    const NodeId x = node.operands[0];
    std::vector<NodeId> together{id};
    if (node.op != Op::reduce_sum || element_count(l.shape(x)) < kParallelElements) return together;
    for (int i = 0; i < body.size() && together.size() < kMostSumsTogether; i++) {
        const NodeId other{i};
        const Node &candidate = body[other];
        if (other == id || candidate.op != Op::reduce_sum || candidate.type != node.type || l.shape(candidate.operands[0]) != l.shape(x)) continue;
        if (attrs<AxesAttrs>(candidate).axes != attrs<AxesAttrs>(node).axes || l.is_stored(other)) continue;
        const bool independent = std::none_of(together.begin(), together.end(), [&](NodeId one) {
            return depends_on(body, one, other) || depends_on(body, other, one);
        });
        if (independent) together.push_back(other);
    }
    std::sort(together.begin(), together.end());
    return together;
}

Expr lower_reduction(Lowering &l, NodeId id, const Coordinates &at) {
    const Node &node = l.node(id);
    const Shape &from = l.shape(node.operands[0]);
    const Ints &axes = attrs<AxesAttrs>(node).axes;
    if (axes.empty()) return l.value(node.operands[0], at);
    if (!l.is_stored(id)) {
        const std::vector<NodeId> together = sums_beside(l, id);
        const int rank = int(from.size());
        const ReductionPlan plan = plan_reduction(l, from, axes, int(together.size()), node.op == Op::reduce_sum && node.type.dtype == DType::f32);
        std::vector<Var> kept;
        Shape kept_shape;
        std::vector<bool> reduced(from.size(), false);
        for (int64_t axis : axes) reduced[size_t(axis)] = true;
        Coordinates base(from.size(), Expr(0));
        for (int axis = 0; axis < rank; axis++) {
            if (reduced[size_t(axis)]) continue;
            kept.emplace_back(fmt::format("a{}", axis));
            kept_shape.push_back(from[size_t(axis)]);
            base[size_t(axis)] = kept.back();
        }
        const std::vector<Var> kept_vars = reversed(kept);
        auto read = [&](NodeId sum, const Coordinates &where) {
            const Expr value = to_storage(l.value(l.node(sum).operands[0], where));
            return plan.wide ? cast<double>(value) : value;
        };
        auto define_sums = [&](Func f, const auto &vars, auto value_of) {
            std::vector<Expr> values;
            for (size_t i = 0; i < together.size(); i++) values.push_back(value_of(together[i], int(i)));
            define(f(vars), values);
        };
        auto begin_at = [&](Func f, const auto &vars, const Coordinates &where) {
            define_sums(f, vars, [&](NodeId sum, int) { return start(node.op, read(sum, where)); });
        };
        auto add_to = [&](Func f, const auto &vars, const RDom &domain, const Coordinates &where) {
            define_sums(f, vars, [&](NodeId sum, int i) { return combine(node.op, element(f(vars), i), in_domain(domain, read(sum, where))); });
        };

        // Steps of the reduced axes, innermost first. The axis in chunks has extent chunks * steps + rest, the innermost lanes * steps + rest.
        const int64_t first = axes[0], last = axes.back();
        const bool laned = plan.lanes > 1, chunked = plan.chunks > 1;
        std::vector<int64_t> steps(from);
        if (laned) steps[size_t(last)] = from[size_t(last)] / plan.lanes;
        if (chunked) steps[size_t(first)] = steps[size_t(first)] / plan.chunks;
        Func stored(l.name(id)), final = plan.wide || leaves_rest(l, kept_shape) ? Func(l.name(id, "sums")) : stored;
        for (NodeId sum : together) l.store(sum, stored);
        if (!laned && !chunked) {
            Region region;
            for (int axis = rank - 1; axis >= 0; axis--)
                if (reduced[size_t(axis)]) region.emplace_back(0, int(from[size_t(axis)]));
            RDom r(region, l.name(id, "r"));
            Coordinates where = base;
            int k = 0;
            for (int axis = rank - 1; axis >= 0; axis--)
                if (reduced[size_t(axis)]) where[size_t(axis)] = r[k++];
            begin_at(final, kept_vars, base);
            add_to(final, kept_vars, r, where);
            schedule_final_reduction(l, final, kept, kept_shape, 1, stored, plan.wide);
        } else {
            Var lane("lane"), chunk("chunk");
            Func partial(l.name(id, "partial"));
            std::vector<Var> partial_vars{lane};
            partial_vars.insert(partial_vars.end(), kept_vars.begin(), kept_vars.end());
            partial_vars.push_back(chunk);
            Region region;
            for (int axis = rank - 1; axis >= 0; axis--)
                if (reduced[size_t(axis)]) region.emplace_back(0, int(steps[size_t(axis)]));
            RDom r(region, l.name(id, "r"));
            auto position = [&](int64_t axis, Expr step) {
                Expr where = step;
                if (chunked && axis == first) where = chunk * index_expr(steps[size_t(axis)]) + where;
                if (laned && axis == last) where = where * index_expr(plan.lanes) + lane;
                return where;
            };
            Coordinates where = base, begin = base;
            int k = 0;
            for (int axis = rank - 1; axis >= 0; axis--) {
                if (!reduced[size_t(axis)]) continue;
                where[size_t(axis)] = position(axis, r[k++]);
                begin[size_t(axis)] = position(axis, 0);
            }
            begin_at(partial, partial_vars, begin);
            add_to(partial, partial_vars, r, where);
            if (plan.tile > 1) {
                // The sums of a few vectors are kept in registers over all steps.
                Func parts(l.name(id, "stored"));
                define_sums(parts, partial_vars, [&](NodeId, int i) { return element(partial(partial_vars), i); });
                schedule_tiled_reduction(l, parts, partial, kept, chunk, plan, kept_shape);
                partial = parts;
            } else {
                schedule_partial_reduction(l, partial, kept, chunk, lane, plan, kept_shape);
            }

            begin_at(final, kept_vars, base);
            RDom parts({{0, int(plan.lanes)}, {0, int(plan.chunks)}}, l.name(id, "parts"));
            std::vector<Expr> from_part{parts.x};
            for (const Var &v : kept_vars) from_part.push_back(v);
            from_part.push_back(parts.y);
            define_sums(final, kept_vars, [&](NodeId, int i) { return combine(node.op, element(final(kept_vars), i), element(partial(from_part), i)); });
            int updates = 1;
            // What the equal parts leave over: the end of the innermost axis, then the end of the outermost one.
            auto add_rest = [&](int64_t axis, int64_t done, bool clip_last) {
                Region rest;
                for (int a = rank - 1; a >= 0; a--) {
                    if (!reduced[size_t(a)]) continue;
                    if (a == axis) rest.emplace_back(int(done), int(from[size_t(a)] - done));
                    else if (clip_last && a == last) rest.emplace_back(0, int(from[size_t(a)] / plan.lanes * plan.lanes));
                    else rest.emplace_back(0, int(from[size_t(a)]));
                }
                RDom q(rest, l.name(id, updates == 1 ? "rest" : "rest_outer"));
                Coordinates there = base;
                int i = 0;
                for (int a = rank - 1; a >= 0; a--)
                    if (reduced[size_t(a)]) there[size_t(a)] = q[i++];
                add_to(final, kept_vars, q, there);
                updates++;
            };
            const int64_t last_done = laned ? steps[size_t(last)] * plan.lanes * (first == last ? plan.chunks : 1) : from[size_t(last)];
            if (last_done < from[size_t(last)]) add_rest(last, last_done, false);
            if (chunked && first != last && steps[size_t(first)] * plan.chunks < from[size_t(first)]) add_rest(first, steps[size_t(first)] * plan.chunks, laned);
            if (chunked && first == last && !laned && steps[size_t(first)] * plan.chunks < from[size_t(first)]) add_rest(first, steps[size_t(first)] * plan.chunks, false);
            schedule_final_reduction(l, final, kept, kept_shape, updates, stored, plan.wide);
        }
    }
    Func result = l.stored(id);
    if (result.outputs() == 1) return from_storage(call(result, at), node.type.dtype);
    // Its place among the sums that were computed together.
    const std::vector<NodeId> holders = l.held_by(result);
    const int place = int(std::find(holders.begin(), holders.end(), id) - holders.begin());
    return from_storage(call(result, at, place), node.type.dtype);
}

}  // namespace

Expr lower_reduce_sum(Lowering &l, NodeId id, const Coordinates &at) { return lower_reduction(l, id, at); }
Expr lower_reduce_product(Lowering &l, NodeId id, const Coordinates &at) { return lower_reduction(l, id, at); }
Expr lower_reduce_max(Lowering &l, NodeId id, const Coordinates &at) { return lower_reduction(l, id, at); }
Expr lower_reduce_min(Lowering &l, NodeId id, const Coordinates &at) { return lower_reduction(l, id, at); }

Expr lower_argmax(Lowering &l, NodeId id, const Coordinates &at) {
    const Node &node = l.node(id);
    const size_t axis = size_t(attrs<AxisAttrs>(node).axis);
    Func result = l.storage_of(id, [&] {
        std::vector<Var> kept = l.declare_vars(id);
        const std::vector<Var> vars = reversed(kept);
        auto read = [&](Expr position) {
            Coordinates where(kept.begin(), kept.end());
            where.insert(where.begin() + long(axis), position);
            return to_storage(l.value(node.operands[0], where));
        };
        RDom r({{1, std::max(int(l.shape(node.operands[0])[axis]) - 1, 0)}}, l.name(id, "r"));
        Func best(l.name(id));
        best(vars) = Tuple(read(0), Expr(0));
        Expr x = read(r.x);
        Expr better = x > best(vars)[0];
        best(vars) = Tuple(select(better, x, best(vars)[0]), select(better, r.x, best(vars)[1]));
        return schedule_final_reduction(l, best, kept, l.shape(id), 1, Func(l.name(id, "stored")));
    });
    return call(result, at, 1);
}

}  // namespace kiln
