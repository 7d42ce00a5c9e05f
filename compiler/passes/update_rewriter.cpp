#include "compiler/passes/update_rewriter.h"

#include "compiler/support/check.h"

#include <fmt/format.h>

#include <algorithm>

namespace kiln {

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

static void add_local_nodes(const Module &module, const Graph &graph, NodeId root, Region &region) {
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

std::set<std::string> updates_after(const Module &module, const std::string &train) {
    std::set<std::string> updates;
    for (size_t phase = 0; phase < std::max<size_t>(module.phases.size(), 1); ++phase)
        if (module.graph_of_phase("train", phase) == train && module.graphs.count(module.graph_of_phase("update", phase)))
            updates.insert(module.graph_of_phase("update", phase));
    return updates;
}

UpdateRewriter::UpdateRewriter(const Module &module, const Graph &update, std::vector<Region> regions)
    : module_(module), update_(update), regions_(std::move(regions)), builder_(result_) {}

Graph UpdateRewriter::run() {
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

void UpdateRewriter::update_region(const Region &region, const Result &result) {
    const std::optional<Place> place = place_of(module_, result.name);
    int64_t begin = region.place.begin;
    auto close = [&](int64_t end) {
        if (begin >= end) return;
        const Piece piece{nullptr, 0, begin, end};
        const bool whole = begin == region.place.begin && end == region.place.end;
        result_.results.push_back({ResultKind::store, whole ? result.name : fmt::format("{}[{}:{}]", place->arena, begin, end), instance(piece, region, result.value)});
    };
    for (const Storage &param : module_.storages) {
        if (param.kind != StorageKind::param || !region.place.overlaps(param) || !takes_out(region, param)) continue;
        close(param.offset);
        begin = param.offset + aligned_in_arena(param.type.elements());
        result_.results.push_back({ResultKind::store, stored_at(place->arena, param).path, new_value(region, param, result.value)});
    }
    close(region.place.end);
}

const Storage &UpdateRewriter::stored_at(const std::string &arena, const Storage &param) const {
    for (const Storage &storage : module_.storages)
        if (storage.arena == arena && storage.offset == param.offset) return storage;
    KILN_UNREACHABLE("`{}` has no part in arena {}", param.path, arena);
}

void UpdateRewriter::enter(const Node &node) {
    builder_.set_loc(node.loc);
    builder_.set_scope(node.scope);
}

Shape UpdateRewriter::shape_of(const Piece &piece, const Node &node) const {
    if (piece.param) return shape_of_view(piece);
    return node.type.rank() == 1 ? Shape{piece.end - piece.begin} : node.type.shape;
}

NodeId UpdateRewriter::instance(const Piece &piece, const Region &region, NodeId old) {
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
        made = operation(piece, node, operands);
    }
    return instances_[{piece, old}] = made;
}

NodeId UpdateRewriter::operation(const Piece &, const Node &node, const std::vector<NodeId> &operands) { return builder_.append(node.op, operands, node.attrs); }

NodeId UpdateRewriter::input_of(const Piece &piece, const Region &region, const Node &node, const Type &type) {
    const std::string &name = attrs<InputAttrs>(node).name;
    const std::string arena = place_of(module_, name)->arena;
    enter(node);
    if (piece.param) return input_of_view(piece, arena, type);
    if (arena == "touched") return builder_.constant(1, type);
    const bool whole = piece.begin == region.place.begin && piece.end == region.place.end;
    return input(attrs<InputAttrs>(node).kind, whole ? name : fmt::format("{}[{}:{}]", arena, piece.begin, piece.end), type);
}

NodeId UpdateRewriter::input(InputKind kind, const std::string &name, const Type &type) {
    NodeId &id = inputs_[{kind, name}];
    if (!id.valid()) id = builder_.input(kind, name, type);
    return id;
}

NodeId UpdateRewriter::copied_input(const Node &node) {
    const InputAttrs &attributes = attrs<InputAttrs>(node);
    return input(attributes.kind, attributes.name, node.type);
}

NodeId UpdateRewriter::copy_of(const Graph &graph, NodeId id, std::map<NodeId, NodeId> &done) {
    if (auto known = done.find(id); known != done.end()) return known->second;
    Node node = graph[id];
    if (node.op == Op::input) {
        enter(node);
        return done[id] = copied_input(node);
    }
    for (NodeId &operand : node.operands) operand = copy_of(graph, operand, done);
    result_.nodes.push_back(std::move(node));
    return done[id] = NodeId{result_.size() - 1};
}

}  // namespace kiln
