#include "compiler/passes/row_updates.h"

#include "compiler/ops/builder.h"
#include "compiler/passes/zero_algebra.h"
#include "compiler/support/check.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>

namespace kiln {

namespace {

/// A range of an arena that is laid out like the parameters: "param", "gradient", "touched", "state.m".
struct Place {
    std::string arena;
    int64_t begin = 0, end = 0;
    bool is_at(const Place &other) const { return begin == other.begin && end == other.end; }
    bool overlaps(const Storage &param) const { return begin < param.offset + param.type.elements() && param.offset < end; }
};

/// Where an input or a store of an update lies; nothing if it is no parameter, gradient or state.
std::optional<Place> place_of(const Module &module, const std::string &name) {
    for (const char *prefix : {"gradient", "touched"}) {
        const std::string start = fmt::format("{}:", prefix);
        if (!name.starts_with(start)) continue;
        const Storage *storage = module.find_storage(name.substr(start.size()));
        KILN_CHECK(storage, "there is no parameter of `{}`", name);
        return Place{prefix, storage->offset, storage->offset + storage->type.elements()};
    }
    if (const Storage *storage = module.find_storage(name)) {
        if (storage->kind == StorageKind::buffer) return std::nullopt;
        return Place{storage->arena, storage->offset, storage->offset + storage->type.elements()};
    }
    const std::optional<ArenaRange> range = module.arena_range(name);
    return range ? std::optional(Place{range->arena, range->begin, range->end}) : std::nullopt;
}

bool is_storage_input(const Node &node) {
    if (node.op != Op::input) return false;
    const InputKind kind = attrs<InputAttrs>(node).kind;
    return kind == InputKind::storage || kind == InputKind::arena;
}

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

/// What an update graph does to one range of the parameters and states.
struct Region {
    Place place;
    std::vector<size_t> results;
    std::set<NodeId> nodes;  ///< those that compute the new values, element by element, and the inputs they read
    bool local = true;       ///< there is nothing else to it but scalars
    bool reads_touched = false;
};

void add_local_nodes(const Module &module, const Graph &graph, NodeId root, Region &region) {
    std::vector<NodeId> pending{root};
    while (!pending.empty()) {
        const NodeId id = pending.back();
        pending.pop_back();
        const Node &node = graph[id];
        if (node.type.rank() == 0 || !region.nodes.insert(id).second) continue;
        if (is_storage_input(node)) {
            const std::optional<Place> place = place_of(module, attrs<InputAttrs>(node).name);
            region.local &= place && place->is_at(region.place);
            region.reads_touched |= place && place->arena == "touched";
        } else if (has_trait(node.op, kElementwise)) {
            pending.insert(pending.end(), node.operands.begin(), node.operands.end());
        } else {
            region.local &= is_splat(node) || (node.op == Op::broadcast && graph[node.operands[0]].type.rank() == 0);
        }
    }
}

std::vector<Region> find_regions(const Module &module, const Graph &update) {
    std::vector<Region> regions;
    for (size_t i = 0; i < update.results.size(); ++i) {
        const Result &result = update.results[i];
        if (result.kind != ResultKind::store) continue;
        const std::optional<Place> place = place_of(module, result.name);
        if (!place) continue;
        auto region = std::find_if(regions.begin(), regions.end(), [&](const Region &r) { return r.place.is_at(*place); });
        if (region == regions.end()) region = regions.insert(regions.end(), Region{*place, {}, {}});
        region->results.push_back(i);
        add_local_nodes(module, update, result.value, *region);
    }
    return regions;
}

/// Whether anything but the element by element update of a region looks at the gradient of a parameter: a norm, a statistic.
bool needs_dense_gradient(const Module &module, const Graph &update, const std::vector<Region> &regions, const Storage &param) {
    std::set<NodeId> local;
    for (const Region &region : regions) {
        if (!region.place.overlaps(param)) continue;
        if (!region.local) return true;
        local.insert(region.nodes.begin(), region.nodes.end());
    }
    std::vector<bool> depends(update.nodes.size(), false);
    for (int i = 0; i < update.size(); ++i) {
        const Node &node = update[{i}];
        if (is_storage_input(node)) {
            const std::optional<Place> place = place_of(module, attrs<InputAttrs>(node).name);
            depends[size_t(i)] = place && place->arena == "gradient" && place->overlaps(param);
        }
        for (NodeId operand : node.operands) {
            if (!depends[size_t(operand.index)]) continue;
            depends[size_t(i)] = true;
            if (update[operand].type.rank() > 0 && !local.count(NodeId{i})) return true;
        }
    }
    return false;
}

/// Rewrites one update graph.
class UpdateRewriter {
public:
    UpdateRewriter(const Module &module, const Graph &train, const Graph &update, const std::vector<Table> &tables, std::vector<Region> regions)
        : module_(module), train_(train), update_(update), tables_(tables), regions_(std::move(regions)), builder_(result_), algebra_(builder_) {}

    Graph run() {
        result_.name = update_.name;
        std::vector<int> region_of(update_.results.size(), -1);
        for (size_t r = 0; r < regions_.size(); ++r)
            if (regions_[r].local)
                for (size_t i : regions_[r].results) region_of[i] = int(r);
        for (size_t i = 0; i < update_.results.size(); ++i) {
            const Result &result = update_.results[i];
            if (region_of[i] < 0) result_.results.push_back({result.kind, result.name, copy(result.value)});
            else update_region(regions_[size_t(region_of[i])], result);
        }
        return std::move(result_);
    }

private:
    /// A part of a region, or a view of it: what the region's inputs are there.
    struct Piece {
        enum class Kind { range, rows, others } kind = Kind::range;
        const Table *table = nullptr;   ///< of rows, and of the others
        int64_t begin = 0, end = 0;     ///< of a range
        auto operator<=>(const Piece &) const = default;
    };

    void update_region(const Region &region, const Result &result) {
        const std::optional<Place> place = place_of(module_, result.name);
        int64_t begin = region.place.begin;
        auto close = [&](int64_t end) {
            if (begin >= end) return;
            const Piece piece{Piece::Kind::range, nullptr, begin, end};
            const bool whole = begin == region.place.begin && end == region.place.end;
            result_.results.push_back({ResultKind::store, whole ? result.name : fmt::format("{}[{}:{}]", place->arena, begin, end), instance(piece, region, result.value)});
        };
        for (const Table &table : tables_) {
            const Storage &param = *table.storage;
            if (!region.place.overlaps(param) || !(table.compact || region.reads_touched)) continue;
            close(param.offset);
            begin = param.offset + (param.type.elements() + 15) / 16 * 16;
            const NodeId others = instance({Piece::Kind::others, &table}, region, result.value);
            const NodeId rows = instance({Piece::Kind::rows, &table}, region, result.value);
            enter(update_[result.value]);
            result_.results.push_back({ResultKind::store, stored_at(place->arena, param).path, builder_.append(Op::set_rows, {others, rows, index_of(table)})});
        }
        close(region.place.end);
    }

    const Storage &stored_at(const std::string &arena, const Storage &param) const {
        for (const Storage &storage : module_.storages)
            if (storage.arena == arena && storage.offset == param.offset) return storage;
        KILN_UNREACHABLE("`{}` has no part in arena {}", param.path, arena);
    }

    void enter(const Node &node) {
        builder_.set_loc(node.loc);
        builder_.set_scope(node.scope);
    }

    Shape shape_of(const Piece &piece, const Node &node) const {
        switch (piece.kind) {
            case Piece::Kind::range: return node.type.rank() == 1 ? Shape{piece.end - piece.begin} : node.type.shape;
            case Piece::Kind::others: return piece.table->storage->type.shape;
            case Piece::Kind::rows: break;
        }
        Shape shape = piece.table->storage->type.shape;
        shape[0] = piece.table->looked_up;
        return shape;
    }

    /// A node of a region, for a piece of it.
    NodeId instance(const Piece &piece, const Region &region, NodeId old) {
        const Node &node = update_[old];
        if (node.type.rank() == 0) return copy(old);
        auto known = instances_.find({piece, old});
        if (known != instances_.end()) return known->second;
        const Type type{node.type.dtype, shape_of(piece, node)};
        NodeId made;
        if (is_storage_input(node)) {
            made = input_of(piece, region, node, type);
        } else if (node.op == Op::constant) {
            enter(node);
            made = builder_.constant(attrs<ConstantAttrs>(node).values[0], type);
        } else if (node.op == Op::broadcast) {
            const NodeId scalar = copy(node.operands[0]);
            enter(node);
            made = builder_.append(Op::broadcast, {scalar}, BroadcastAttrs{type.shape, {}});
        } else {
            std::vector<NodeId> operands;
            for (NodeId operand : node.operands) operands.push_back(instance(piece, region, operand));
            enter(node);
            if (piece.kind == Piece::Kind::others) made = algebra_.simplest(node.op, operands, node.attrs);
            else if (node.op == Op::select && result_[operands[0]].op == Op::constant) made = operands[1];  // touched
            else made = builder_.append(node.op, operands, node.attrs);
        }
        return instances_[{piece, old}] = made;
    }

    NodeId input_of(const Piece &piece, const Region &region, const Node &node, const Type &type) {
        const std::string &name = attrs<InputAttrs>(node).name;
        const std::string arena = place_of(module_, name)->arena;
        enter(node);
        if (arena == "touched") return builder_.constant(piece.kind == Piece::Kind::others ? 0 : 1, type);
        if (piece.kind == Piece::Kind::range) {
            const bool whole = piece.begin == region.place.begin && piece.end == region.place.end;
            return input(attrs<InputAttrs>(node).kind, whole ? name : fmt::format("{}[{}:{}]", arena, piece.begin, piece.end), type);
        }
        const Storage &param = *piece.table->storage;
        if (arena == "gradient") {
            const std::string path = "gradient:" + param.path;
            if (piece.kind == Piece::Kind::others) return builder_.constant(0, type);
            if (piece.table->compact) return input(InputKind::storage, path, type);
            return builder_.append(Op::gather_rows, {input(InputKind::storage, path, param.type), index_of(*piece.table)}, GatherAttrs{});
        }
        const NodeId table = input(InputKind::storage, stored_at(arena, param).path, param.type);
        if (piece.kind == Piece::Kind::others) return table;
        return builder_.append(Op::gather_rows, {table, index_of(*piece.table)}, GatherAttrs{});
    }

    /// Each input is read by one node.
    NodeId input(InputKind kind, const std::string &name, const Type &type) {
        NodeId &id = inputs_[{kind, name}];
        if (!id.valid()) id = builder_.input(kind, name, type);
        return id;
    }

    NodeId index_of(const Table &table) {
        NodeId &index = indices_[&table];
        if (index.valid()) return index;
        std::vector<NodeId> parts;
        for (NodeId scatter : table.scatters) {
            const NodeId part = copy_of(train_, train_[scatter].operands[1], from_train_);
            parts.push_back(builder_.reshape(part, {result_[part].type.elements()}));
        }
        return index = parts.size() == 1 ? parts[0] : builder_.append(Op::concat, parts, AxisAttrs{0});
    }

    NodeId copy(NodeId id) { return copy_of(update_, id, copies_); }

    NodeId copy_of(const Graph &graph, NodeId id, std::map<NodeId, NodeId> &done) {
        if (auto known = done.find(id); known != done.end()) return known->second;
        Node node = graph[id];
        if (node.op == Op::input) {
            const InputAttrs &attributes = attrs<InputAttrs>(node);
            const std::optional<Place> place = is_storage_input(node) ? place_of(module_, attributes.name) : std::nullopt;
            enter(node);
            return done[id] = place && place->arena == "touched" ? touched(*place, node.type) : input(attributes.kind, attributes.name, node.type);
        }
        for (NodeId &operand : node.operands) operand = copy_of(graph, operand, done);
        result_.nodes.push_back(std::move(node));
        return done[id] = NodeId{result_.size() - 1};
    }

    /// For an update that is not element by element: which rows were looked up.
    NodeId touched(const Place &place, const Type &type) {
        for (const Table &table : tables_) {
            if (!place.overlaps(*table.storage)) continue;
            KILN_CHECK(type.shape == table.storage->type.shape, "an update of several parameters that is not element by element");
            const NodeId ones = builder_.constant(1, {DType::f32, {table.looked_up}});
            const NodeId count = builder_.append(Op::scatter_add_rows, {ones, index_of(table)}, RowsAttrs{type.shape[0]});
            const NodeId some = builder_.append(Op::less, {builder_.constant(0, builder_.type(count)), count});
            return builder_.append(Op::broadcast, {some}, BroadcastAttrs{type.shape, {0}});
        }
        return builder_.constant(1, type);
    }

    const Module &module_;
    const Graph &train_, &update_;
    const std::vector<Table> &tables_;
    const std::vector<Region> regions_;
    Graph result_;
    Builder builder_;
    ZeroAlgebra algebra_;
    std::map<std::pair<Piece, NodeId>, NodeId> instances_;
    std::map<std::pair<InputKind, std::string>, NodeId> inputs_;
    std::map<const Table *, NodeId> indices_;
    std::map<NodeId, NodeId> copies_, from_train_;
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

/// The updates that follow a training graph: of the phases that run it.
std::set<std::string> updates_after(const Module &module, const std::string &train) {
    std::set<std::string> updates;
    for (size_t phase = 0; phase < std::max<size_t>(module.phases.size(), 1); ++phase)
        if (module.graph_of_phase("train", phase) == train && module.graphs.count(module.graph_of_phase("update", phase)))
            updates.insert(module.graph_of_phase("update", phase));
    return updates;
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
        Graph rewritten = UpdateRewriter(module, train, module.graphs.at(update), tables, found).run();
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
