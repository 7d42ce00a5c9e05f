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

Expr lower_set_rows(Lowering &l, NodeId id, const Coordinates &at) {
    Func result = l.storage_of(id, [&] {
        const Node &node = l.node(id);
        const Shape &index_shape = l.shape(node.operands[2]);
        std::vector<Var> axes = l.declare_vars(id);
        Func table(l.name(id));
        table(reversed(axes)) = to_storage(l.value(node.operands[0], {axes.begin(), axes.end()}));
        Region region{{0, 1}};  // an index of rank 0 is one row
        for (int64_t extent : reversed(index_shape)) region.emplace_back(0, int(extent));
        RDom r(region, l.name(id, "r"));
        // Rows from the last to the first: of several with one index the first stays.
        Coordinates from;
        for (size_t i = 0; i < index_shape.size(); i++) from.push_back(index_expr(index_shape[i] - 1) - r[int(index_shape.size() - i)]);
        Coordinates to{clamp(l.stored_value(node.operands[2], from), 0, index_expr(l.shape(id)[0] - 1))};
        for (size_t axis = 1; axis < axes.size(); axis++) from.push_back(axes[axis]), to.push_back(axes[axis]);
        table(reversed(to)) = to_storage(l.stored_value(node.operands[1], from));
        schedule_scatter(l, table, axes, l.shape(id));
        return table;
    });
    return from_storage(call(result, at), l.node(id).type.dtype);
}

namespace {

/// Coordinates in an index of a position in it.
Coordinates index_at(const Shape &index_shape, Expr position) {
    Coordinates at(index_shape.size());
    for (size_t i = index_shape.size(); i-- > 0; position = position / index_expr(index_shape[i])) at[i] = position % index_expr(index_shape[i]);
    return at;
}

}  // namespace

void gather_rows_in_parts(Lowering &l, NodeId id, Consumer &consumer) {
    const Node &node = l.node(id);
    const Shape &index_shape = l.shape(node.operands[1]), &table = l.shape(node.operands[0]);
    const TableParts parts = parts_of(table);
    consumer.func(reversed(consumer.axes)) = undef(storage_type(node.type.dtype));
    const RowVectors columns(l, {consumer.axes.begin() + long(index_shape.size()), consumer.axes.end()}, consumer.shape);
    RDom r = columns.domain(element_count(index_shape), index_expr(parts.count), l.name(id, "r"));
    Coordinates at = index_at(index_shape, RowVectors::slot(r));
    const Expr row = clamp(l.stored_value(node.operands[1], at), 0, index_expr(table[0] - 1));
    r.where(row / index_expr(parts.rows) == RowVectors::part(r));
    Coordinates from{row};
    for (const Expr &column : columns.in_table(r)) from.push_back(column), at.push_back(column);
    consumer.func(reversed(at)) = to_storage(l.value(node.operands[0], from));
    schedule_gather_in_parts(consumer, r, columns);
}

void set_rows_in_place(Lowering &l, const std::vector<NodeId> &ids, bool stores_others, Consumer &consumer) {
    const Node &node = l.node(ids[0]);
    const Shape &index_shape = l.shape(node.operands[2]), &table = l.shape(ids[0]);
    const int64_t positions = element_count(index_shape);
    RowUpdateFuncs f(RowVectors(l, {consumer.axes.begin() + 1, consumer.axes.end()}, table));
    f.plan = plan_row_update(l, table, l.shape(node.operands[1]), stores_others);
    f.results = ids;
    f.stores_others = stores_others;
    const Expr parts = index_expr(f.plan.parts.count), last = index_expr(positions - 1);
    auto row_of = [&](const Expr &position) { return clamp(l.stored_value(node.operands[2], index_at(index_shape, position)), 0, index_expr(table[0] - 1)); };
    auto part_of = [&](const Expr &position) { return min(row_of(position) / index_expr(f.plan.parts.rows), parts - 1); };

    // The positions of each part, from the last to the first: of several with one index the first is set last, and stays.
    f.before = Func("before"), f.listed = Func("listed");
    f.before(f.part, f.slot) = undef<int32_t>();
    f.before(f.part, 0) = 0;
    RDom counted(0, int(positions), "counted"), listed(0, int(positions), "listing");
    f.before(f.part, counted + 1) = f.before(f.part, counted) + select(part_of(last - counted) == f.part, 1, 0);
    f.listed(f.slot, f.part) = undef<int32_t>();
    Expr part = part_of(last - listed);
    f.listed(clamp(f.before(part, listed), 0, last), part) = last - listed;

    /// A domain over the slots of all parts that hold a position, and that position.
    auto positions_in = [&](RDom &domain, const char *name) {
        domain = f.columns.domain(positions, parts, name);
        const RVar slot = RowVectors::slot(domain), part = RowVectors::part(domain);
        domain.where(slot < f.before(part, int(positions)));
        return clamp(f.listed(slot, part), 0, last);
    };
    auto joined = [](Coordinates at, const Coordinates &columns) {
        at.insert(at.end(), columns.begin(), columns.end());
        return at;
    };
    f.rows = Func("rows");
    std::vector<Expr> undefined, made, set;
    for (NodeId id : ids) undefined.push_back(undef(storage_type(l.node(id).type.dtype)));
    define(f.rows(reversed(joined({f.part, f.slot}, Coordinates(consumer.axes.begin() + 1, consumer.axes.end())))), undefined);
    const Expr position = positions_in(f.making, "making");
    const Coordinates from = joined(index_at(index_shape, position), f.columns.in_table(f.making));
    for (NodeId id : ids) made.push_back(to_storage(l.value(l.node(id).operands[1], from)));
    define(f.rows(reversed(joined({RowVectors::part(f.making), RowVectors::slot(f.making)}, f.columns.in_storage(f.making)))), made);

    const Expr row = row_of(positions_in(f.setting, "setting"));
    for (size_t k = 0; k < ids.size(); k++) set.push_back(call(f.rows, joined({RowVectors::part(f.setting), RowVectors::slot(f.setting)}, f.columns.in_storage(f.setting)), int(k)));
    define(consumer.func(reversed(joined({row}, f.columns.in_table(f.setting)))), set);
    schedule_row_update(l, consumer, f);
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
