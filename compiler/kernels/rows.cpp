// Rows of a table by index. Indices are clamped into the table: a bad one is reported where data enters, never read past the end.
#include "compiler/kernels/schedule.h"

namespace kiln {

using namespace Halide;

Expr lower_gather_rows(Lowering &l, NodeId id, const Coordinates &at) {
    const Node &node = l.node(id);
    const size_t index_rank = l.shape(node.operands[1]).size();
    Coordinates which(at.begin(), at.begin() + long(index_rank));
    Coordinates where{clamp(l.value(node.operands[1], which), 0, index_expr(l.shape(node.operands[0])[0] - 1))};
    where.insert(where.end(), at.begin() + long(index_rank), at.end());
    return l.value(node.operands[0], where);
}

Expr lower_scatter_add_rows(Lowering &l, NodeId id, const Coordinates &at) {
    const Node &node = l.node(id);
    Func result = l.storage_of(id, [&] {
        const Shape &index_shape = l.shape(node.operands[1]);
        std::vector<Var> axes = l.declare_vars(id);
        Region region{{0, 1}};  // an index of rank 0 is one update
        for (int64_t extent : reversed(index_shape)) region.emplace_back(0, int(extent));
        RDom r(region, l.name(id, "r"));
        Coordinates which;
        for (size_t i = index_shape.size(); i-- > 0;) which.push_back(r[int(i) + 1]);
        Coordinates from = which;
        Coordinates to{clamp(l.stored_value(node.operands[1], which), 0, index_expr(attrs<RowsAttrs>(node).rows - 1))};
        for (size_t axis = 1; axis < axes.size(); axis++) from.push_back(axes[axis]), to.push_back(axes[axis]);
        Func sum(l.name(id));
        sum(reversed(axes)) = Internal::make_zero(storage_type(node.type.dtype));
        sum(reversed(to)) += l.value(node.operands[0], from);
        schedule_scatter(l, sum, axes, l.shape(id));
        return sum;
    });
    return call(result, at);
}

namespace {

/// Stores rows n - 1 to 0 over `result`: of several with one index the first stays.
void store_rows(Lowering &l, NodeId id, Func result, const std::vector<Var> &axes) {
    const Node &node = l.node(id);
    const Shape &index_shape = l.shape(node.operands[2]);
    Region region{{0, 1}};  // an index of rank 0 is one row
    for (int64_t extent : reversed(index_shape)) region.emplace_back(0, int(extent));
    RDom r(region, l.name(id, "r"));
    Coordinates which;
    for (size_t i = 0; i < index_shape.size(); i++) which.push_back(index_expr(index_shape[i] - 1) - r[int(index_shape.size() - i)]);
    Coordinates from = which;
    Coordinates to{clamp(l.stored_value(node.operands[2], which), 0, index_expr(l.shape(id)[0] - 1))};
    for (size_t axis = 1; axis < axes.size(); axis++) from.push_back(axes[axis]), to.push_back(axes[axis]);
    result(reversed(to)) = to_storage(l.stored_value(node.operands[1], from));
    schedule_scatter(l, result, axes, l.shape(id));
}

}  // namespace

Expr lower_set_rows(Lowering &l, NodeId id, const Coordinates &at) {
    Func result = l.storage_of(id, [&] {
        std::vector<Var> axes = l.declare_vars(id);
        Func rows(l.name(id));
        rows(reversed(axes)) = to_storage(l.value(l.node(id).operands[0], {axes.begin(), axes.end()}));
        store_rows(l, id, rows, axes);
        return rows;
    });
    return from_storage(call(result, at), l.node(id).type.dtype);
}

void set_rows_in_place(Lowering &l, NodeId id, Consumer &consumer) {
    consumer.func(reversed(consumer.axes)) = undef(storage_type(l.node(id).type.dtype));
    store_rows(l, id, consumer.func, consumer.axes);
}

Expr lower_first_occurrence(Lowering &l, NodeId id, const Coordinates &at) {
    const Node &node = l.node(id);
    const int64_t count = node.type.shape[0], rows = attrs<RowsAttrs>(node).rows;
    auto row_of = [&](Expr position) { return clamp(l.stored_value(node.operands[0], {position}), 0, index_expr(rows - 1)); };
    // A table with a place for each row, of which only the places of the rows that occur are ever written or read.
    Func place = l.storage_of(id, [&] {
        Var row("row");
        RDom r(0, int(count), l.name(id, "r"));
        Func f(l.name(id));
        f(row) = undef<int32_t>();
        Expr position = index_expr(count - 1) - r;
        f(row_of(position)) = cast<int32_t>(position);
        f.compute_root().bound(row, 0, int(rows));
        f.update(0).unscheduled();
        return f;
    });
    return call(place, {row_of(at[0])});
}

}  // namespace kiln
