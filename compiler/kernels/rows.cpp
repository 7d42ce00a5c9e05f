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

namespace {

/// Updates of rows of `table`, one after the other: `update` defines one of the rows of a position in the index, for some of their columns.
void update_rows(Lowering &l, NodeId id, Func table, const std::vector<Var> &axes, const Shape &index_shape,
                 const std::function<void(const Coordinates &position, const Coordinates &columns)> &update) {
    Region region{{0, 1}};  // an index of rank 0 is one row
    for (int64_t extent : reversed(index_shape)) region.emplace_back(0, int(extent));
    for (const RowPiece &piece : pieces_of_rows(l, l.shape(id))) {
        Region with_columns = region;
        if (!piece.is_all) with_columns.insert(with_columns.begin(), {index_expr(piece.first), index_expr(piece.count)});
        RDom r(with_columns, l.name(id, "r"));
        Coordinates position, columns(axes.begin() + 1, axes.end());
        for (size_t i = 0; i < index_shape.size(); i++) position.push_back(r[r.dimensions() - 1 - int(i)]);
        if (!piece.is_all) columns.back() = r.x;
        update(position, columns);
        schedule_rows(l, table, {axes.begin() + 1, axes.end()}, l.shape(id), piece, r);
    }
}

Coordinates joined(Coordinates at, const Coordinates &columns) {
    at.insert(at.end(), columns.begin(), columns.end());
    return at;
}

}  // namespace

Expr lower_scatter_add_rows(Lowering &l, NodeId id, const Coordinates &at) {
    const Node &node = l.node(id);
    Func result = l.storage_of(id, [&] {
        std::vector<Var> axes = l.declare_vars(id);
        Func sum(l.name(id));
        sum(reversed(axes)) = Internal::make_zero(storage_type(node.type.dtype));
        schedule_table(l, sum, axes, l.shape(id));
        update_rows(l, id, sum, axes, l.shape(node.operands[1]), [&](const Coordinates &position, const Coordinates &columns) {
            Expr row = clamp(l.stored_value(node.operands[1], position), 0, index_expr(attrs<RowsAttrs>(node).rows - 1));
            sum(reversed(joined({row}, columns))) += l.value(node.operands[0], joined(position, columns));
        });
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
        schedule_table(l, table, axes, l.shape(id));
        update_rows(l, id, table, axes, index_shape, [&](const Coordinates &position, const Coordinates &columns) {
            // From the last to the first: of several with one index the first stays.
            Coordinates from;
            for (size_t i = 0; i < index_shape.size(); i++) from.push_back(index_expr(index_shape[i] - 1) - position[i]);
            Expr row = clamp(l.stored_value(node.operands[2], from), 0, index_expr(l.shape(id)[0] - 1));
            table(reversed(joined({row}, columns))) = to_storage(l.stored_value(node.operands[1], joined(from, columns)));
        });
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

/// The positions of an index whose rows belong to each part of a table, from the last to the first.
class PartLists {
public:
    PartLists(Lowering &l, NodeId index, int64_t table_rows, const TableParts &parts) : l_(l), index_(index), table_rows_(table_rows), parts_(parts) {
        const Var part("part"), slot("slot");
        const Expr last = index_expr(positions() - 1);
        auto part_of = [&](const Expr &position) { return min(row_of(position) / index_expr(parts.rows), index_expr(parts.count - 1)); };
        before_ = Func("before"), listed_ = Func("listed");
        before_(part, slot) = undef<int32_t>();
        before_(part, 0) = 0;
        RDom counted(0, int(positions()), "counted"), listed(0, int(positions()), "listing");
        before_(part, counted + 1) = before_(part, counted) + select(part_of(last - counted) == part, 1, 0);
        listed_(slot, part) = undef<int32_t>();
        const Expr of_position = part_of(last - listed);
        listed_(clamp(before_(of_position, listed), 0, last), of_position) = last - listed;
        schedule_part_lists(before_, listed_, parts);
    }

    Expr row_of(const Expr &position) const { return clamp(l_.stored_value(index_, index_at(l_.shape(index_), position)), 0, index_expr(table_rows_ - 1)); }

    /// A domain over all slots that hold a position, for rows with these columns, and the position.
    std::pair<RDom, Expr> positions_in_parts(const RowVectors &columns, const std::string &name) const {
        RDom domain = columns.domain(positions(), index_expr(parts_.count), name);
        const RVar slot = RowVectors::slot(domain), part = RowVectors::part(domain);
        domain.where(slot < before_(part, int(positions())));
        return {domain, clamp(listed_(slot, part), 0, index_expr(positions() - 1))};
    }

private:
    int64_t positions() const { return element_count(l_.shape(index_)); }

    Lowering &l_;
    NodeId index_;
    int64_t table_rows_;
    TableParts parts_;
    Func before_;  ///< over (part, slot): how many of as many positions belong to a part
    Func listed_;  ///< over (slot, part): the positions of a part
};

}  // namespace

void gather_rows_in_parts(Lowering &l, NodeId id, Consumer &consumer) {
    const Node &node = l.node(id);
    const Shape &index_shape = l.shape(node.operands[1]), &table = l.shape(node.operands[0]);
    const PartLists lists(l, node.operands[1], table[0], parts_of(table));
    const RowVectors columns(l, {consumer.axes.begin() + long(index_shape.size()), consumer.axes.end()}, consumer.shape);
    consumer.func(reversed(consumer.axes)) = undef(storage_type(node.type.dtype));
    const auto [domain, position] = lists.positions_in_parts(columns, "gathering");
    const Coordinates in_row = columns.in_table(domain);
    consumer.func(reversed(joined(index_at(index_shape, position), in_row))) = to_storage(l.value(node.operands[0], joined({lists.row_of(position)}, in_row)));
    schedule_gather_in_parts(consumer, domain, columns);
}

void set_rows_in_place(Lowering &l, const std::vector<NodeId> &ids, bool stores_others, Consumer &consumer) {
    const Node &node = l.node(ids[0]);
    const Shape &index_shape = l.shape(node.operands[2]), &table = l.shape(ids[0]);
    RowUpdateFuncs f(RowVectors(l, {consumer.axes.begin() + 1, consumer.axes.end()}, table));
    f.plan = plan_row_update(l, table, l.shape(node.operands[1]), stores_others);
    f.results = ids;
    f.stores_others = stores_others;
    // Of several positions with one index the first is set last, and stays.
    const PartLists lists(l, node.operands[2], table[0], f.plan.parts);
    Expr position;
    std::tie(f.making, position) = lists.positions_in_parts(f.columns, "making");
    f.rows = Func("rows");
    std::vector<Expr> undefined, made, set;
    for (NodeId id : ids) undefined.push_back(undef(storage_type(l.node(id).type.dtype)));
    const Var part("part"), slot("slot");
    define(f.rows(reversed(joined({part, slot}, Coordinates(consumer.axes.begin() + 1, consumer.axes.end())))), undefined);
    const Coordinates from = joined(index_at(index_shape, position), f.columns.in_table(f.making));
    for (NodeId id : ids) made.push_back(to_storage(l.value(l.node(id).operands[1], from)));
    define(f.rows(reversed(joined({RowVectors::part(f.making), RowVectors::slot(f.making)}, f.columns.in_storage(f.making)))), made);

    std::tie(f.setting, position) = lists.positions_in_parts(f.columns, "setting");
    const Coordinates stored = joined({RowVectors::part(f.setting), RowVectors::slot(f.setting)}, f.columns.in_storage(f.setting));
    for (size_t k = 0; k < ids.size(); k++) set.push_back(call(f.rows, stored, int(k)));
    define(consumer.func(reversed(joined({lists.row_of(position)}, f.columns.in_table(f.setting)))), set);
    schedule_row_update(l, consumer, f, slot);
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
