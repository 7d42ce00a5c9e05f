#include "compiler/passes/row_updates.h"

#include "compiler/passes/update_rewriter.h"
#include "compiler/passes/zero_algebra.h"
#include "compiler/support/check.h"

#include <algorithm>
#include <map>
#include <set>

namespace kiln {

namespace {

/// A parameter whose gradient is a sum of scattered rows.
struct Table {
    const Storage *storage = nullptr;
    NodeId gradient;               ///< in `train`
    std::vector<NodeId> scatters;  ///< the terms of the sum, from left to right
    int64_t looked_up = 0;         ///< rows in one step, repetitions included
    bool compact = false;          ///< the gradient is stored as that many rows
};

/// The scatters that a gradient is the sum of; false if there is anything else in it.
bool collect_scatters(const Graph &graph, NodeId id, const Type &type, std::vector<NodeId> &scatters) {
    const Node &node = graph[id];
    if (node.op == Op::add) return collect_scatters(graph, node.operands[0], type, scatters) && collect_scatters(graph, node.operands[1], type, scatters);
    if (node.op != Op::scatter_add_rows || node.type != type) return false;
    scatters.push_back(id);
    return true;
}

/// Whether a value can be computed again in the update: from the batch and from scalars.
bool is_from_data(const Graph &graph, NodeId id) {
    std::vector<NodeId> pending{id};
    std::set<NodeId> seen;
    while (!pending.empty()) {
        const NodeId next = pending.back();
        pending.pop_back();
        if (!seen.insert(next).second) continue;
        if (is_storage_input(graph[next])) return false;
        pending.insert(pending.end(), graph[next].operands.begin(), graph[next].operands.end());
    }
    return true;
}

/// Whether nothing but lookups reads the parameter: a product with the whole of it needs no gradient to make it more than a table of rows.
bool is_only_looked_up(const Graph &train, const std::string &path) {
    for (const Node &node : train.nodes)
        for (size_t i = 0; i < node.operands.size(); ++i) {
            const Node &operand = train[node.operands[i]];
            if (operand.op == Op::input && attrs<InputAttrs>(operand).name == path && (node.op != Op::gather_rows || i != 0)) return false;
        }
    return true;
}

std::vector<Table> find_tables(const Module &module, const Graph &train) {
    std::vector<Table> tables;
    for (const Storage &storage : module.storages) {
        if (storage.kind != StorageKind::param || storage.type.rank() == 0 || !is_only_looked_up(train, storage.path)) continue;
        for (const Result &result : train.results) {
            if (result.kind != ResultKind::store || result.name != "gradient:" + storage.path) continue;
            Table table{&storage, result.value, {}, 0, false};
            if (!collect_scatters(train, result.value, storage.type, table.scatters)) continue;
            bool known = true;
            for (NodeId scatter : table.scatters) {
                const NodeId index = train[scatter].operands[1];
                known = known && is_from_data(train, index);
                table.looked_up += train[index].type.elements();
            }
            if (known) tables.push_back(std::move(table));
        }
    }
    return tables;
}

class RowUpdates : public UpdateRewriter {
public:
    RowUpdates(const Module &module, const Graph &train, const Graph &update, const std::vector<Table> &tables, std::vector<Region> regions)
        : UpdateRewriter(module, update, std::move(regions)), train_(train), tables_(tables), algebra_(builder()) {}

private:
    enum View { rows, others };

    const Table *table_of(const Storage &param) const {
        const auto table = std::find_if(tables_.begin(), tables_.end(), [&](const Table &t) { return t.storage->path == param.path; });
        return table == tables_.end() ? nullptr : &*table;
    }

    bool takes_out(const Region &region, const Storage &param) const override {
        const Table *table = table_of(param);
        return table && (table->compact || region.reads_touched);
    }

    NodeId new_value(const Region &region, const Storage &param, NodeId value) override {
        const NodeId all_others = instance({&param, others}, region, value), new_rows = instance({&param, rows}, region, value);
        enter(update()[value]);
        return builder().append(Op::set_rows, {all_others, new_rows, index_of(*table_of(param))});
    }

    Shape shape_of_view(const Piece &piece) const override {
        Shape shape = piece.param->type.shape;
        if (piece.view == rows) shape[0] = table_of(*piece.param)->looked_up;
        return shape;
    }

    NodeId operation(const Piece &piece, const Node &node, const std::vector<NodeId> &operands) override {
        if (piece.param && piece.view == others) return algebra_.simplest(node.op, operands, node.attrs);
        if (node.op == Op::select && result()[operands[0]].op == Op::constant) return operands[1];  // touched
        return UpdateRewriter::operation(piece, node, operands);
    }

    NodeId input_of_view(const Piece &piece, const std::string &arena, const Type &type) override {
        const Storage &param = *piece.param;
        const Table &table = *table_of(param);
        if (arena == "touched") return builder().constant(piece.view == others ? 0 : 1, type);
        if (arena == "gradient") {
            const std::string path = "gradient:" + param.path;
            if (piece.view == others) return builder().constant(0, type);
            if (table.compact) return input(InputKind::storage, path, type);
            return builder().append(Op::gather_rows, {input(InputKind::storage, path, param.type), index_of(table)}, GatherAttrs{});
        }
        const NodeId whole = input(InputKind::storage, stored_at(arena, param).path, param.type);
        if (piece.view == others) return whole;
        return builder().append(Op::gather_rows, {whole, index_of(table)}, GatherAttrs{});
    }

    NodeId copied_input(const Node &node) override {
        const std::optional<Place> place = is_storage_input(node) ? place_of(module(), attrs<InputAttrs>(node).name) : std::nullopt;
        return place && place->arena == "touched" ? touched(*place, node.type) : UpdateRewriter::copied_input(node);
    }

    NodeId index_of(const Table &table) {
        NodeId &index = indices_[&table];
        if (index.valid()) return index;
        std::vector<NodeId> parts;
        for (NodeId scatter : table.scatters) {
            const NodeId part = copy_of(train_, train_[scatter].operands[1], from_train_);
            parts.push_back(builder().reshape(part, {result()[part].type.elements()}));
        }
        return index = parts.size() == 1 ? parts[0] : builder().append(Op::concat, parts, AxisAttrs{0});
    }

    /// For an update that is not element by element: which rows were looked up.
    NodeId touched(const Place &place, const Type &type) {
        for (const Table &table : tables_) {
            if (!place.overlaps(*table.storage)) continue;
            KILN_CHECK(type.shape == table.storage->type.shape, "an update of several parameters that is not element by element");
            const NodeId ones = builder().constant(1, {DType::f32, {table.looked_up}});
            const NodeId count = builder().append(Op::scatter_add_rows, {ones, index_of(table)}, RowsAttrs{type.shape[0]});
            const NodeId some = builder().append(Op::less, {builder().constant(0, builder().type(count)), count});
            return builder().append(Op::broadcast, {some}, BroadcastAttrs{type.shape, {0}});
        }
        return builder().constant(1, type);
    }

    const Graph &train_;
    const std::vector<Table> &tables_;
    ZeroAlgebra algebra_;
    std::map<const Table *, NodeId> indices_;
    std::map<NodeId, NodeId> from_train_;
};

/// The gradient as the rows that were looked up: the sum of a row's updates stands where it was looked up first, zeros stand
/// at its repetitions.
NodeId compact_gradient(Builder &builder, const Table &table) {
    Graph &graph = builder.graph();
    builder.set_loc(graph[table.gradient].loc);
    builder.set_scope(graph[table.gradient].scope);
    std::vector<NodeId> parts;
    for (NodeId scatter : table.scatters) {
        const NodeId part = graph[scatter].operands[1];
        parts.push_back(builder.reshape(part, {graph[part].type.elements()}));
    }
    const NodeId index = parts.size() == 1 ? parts[0] : builder.append(Op::concat, parts, AxisAttrs{0});
    const NodeId first = builder.append(Op::first_occurrence, {index}, RowsAttrs{table.storage->type.shape[0]});
    NodeId sum;
    int64_t begin = 0;
    for (size_t i = 0; i < parts.size(); ++i) {
        const int64_t count = graph[parts[i]].type.elements();
        NodeId target = first;
        if (parts.size() > 1) target = builder.append(Op::slice, {first}, SliceAttrs{{begin}, {begin + count}, {1}});
        begin += count;
        Shape shape = table.storage->type.shape;
        shape[0] = count;
        const NodeId updates = builder.reshape(graph[table.scatters[i]].operands[0], shape);
        const NodeId rows = builder.append(Op::scatter_add_rows, {updates, target}, RowsAttrs{table.looked_up});
        sum = sum.valid() ? builder.add(sum, rows) : rows;
    }
    return sum;
}

/// Whether rows are set in a large table of which all other rows change, too.
bool sets_rows_in_parts(const Graph &update, const Result &result) {
    const Node &node = update[result.value];
    const Type &type = node.type;
    return result.kind == ResultKind::store && node.op == Op::set_rows && update[node.operands[0]].op != Op::input && type.shape[0] >= kRowsInParts && type.elements() >= kElementsInParts;
}

void rewrite_rows(Module &module, const std::string &name) {
    const Graph train = module.graphs.at(name);
    std::vector<Table> tables = find_tables(module, train);
    std::map<std::string, std::vector<Region>> regions;
    for (const std::string &update : updates_after(module, name)) regions[update] = find_regions(module, module.graphs.at(update));
    for (Table &table : tables) {
        // With about as many lookups as rows, the rows by themselves are no less than the table.
        table.compact = 2 * table.looked_up <= table.storage->type.shape[0];
        for (const auto &[update, found] : regions) table.compact = table.compact && !needs_dense_gradient(module, module.graphs.at(update), found, *table.storage);
    }

    std::set<std::string> in_parts;
    for (const auto &[update, found] : regions) {
        Graph rewritten = RowUpdates(module, train, module.graphs.at(update), tables, found).run();
        for (const Result &result : rewritten.results)
            if (sets_rows_in_parts(rewritten, result)) in_parts.insert(result.name);
        module.graphs[update] = std::move(rewritten);
    }
    Graph &graph = module.graphs[name];
    for (Node &node : graph.nodes)
        if (node.op == Op::gather_rows && is_storage_input(graph[node.operands[0]]))
            node.attrs = GatherAttrs{in_parts.count(attrs<InputAttrs>(graph[node.operands[0]]).name) > 0};
    Builder builder(graph);
    for (const Table &table : tables) {
        if (!table.compact) continue;
        const NodeId rows = compact_gradient(builder, table);
        for (Result &store : graph.results)
            if (store.kind == ResultKind::store && store.name == "gradient:" + table.storage->path) store.value = rows;
    }
}

}  // namespace

Module with_row_updates(const Module &module) {
    if (!module.graphs.count("train")) return module;
    Module result = module;
    std::set<std::string> trains{"train"};
    for (size_t phase = 1; phase < module.phases.size(); ++phase) {
        const std::string train = module.graph_of_phase("train", phase), update = module.graph_of_phase("update", phase);
        // What an update becomes depends on the gradients it is given.
        if (train != "train" && update == "update" && module.graphs.count(update)) {
            const std::string own = own_graph_of_phase(update, phase);
            result.graphs[own] = result.graphs[update];
            result.graphs[own].name = own;
        }
        trains.insert(train);
    }
    for (const std::string &train : trains) rewrite_rows(result, train);
    return result;
}

}  // namespace kiln
