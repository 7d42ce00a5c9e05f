// Units of a program and the order they run in.
#include "compiler/plan/program_planner.h"

#include "compiler/ir/pieces.h"
#include "compiler/support/check.h"

#include <algorithm>
#include <cmath>
#include <tuple>
#include <utility>

namespace kiln {

namespace {

bool is_early(const Result &result) { return result.kind != ResultKind::store || result.name.starts_with("gradient"); }

/// Zeros, whose bytes are zeros, too: those of -0 are not.
bool is_zero_bytes(const Node &node) { return is_splat(node, 0) && !std::signbit(attrs<ConstantAttrs>(node).values[0]); }

}  // namespace

ProgramPlanner::ProgramPlanner(PlanParts &parts, const Graph &graph)
    : parts_(parts), graph_(graph), host_(host_scalars(graph)), input_ranges_(graph.nodes.size()), unit_of_(graph.nodes.size(), -1) {
    for (size_t i = 0; i < graph.nodes.size(); ++i) {
        if (graph.nodes[i].op != Op::input) continue;
        const InputAttrs &input = attrs<InputAttrs>(graph.nodes[i]);
        if (input.kind == InputKind::storage || input.kind == InputKind::arena)
            input_ranges_[i] = storage_range(parts.module, input.name, graph.nodes[i].type);
    }
}

void ProgramPlanner::find_live() {
    live_.assign(graph_.nodes.size(), false);
    early_.assign(graph_.nodes.size(), false);
    for (const Result &result : graph_.results) {
        live_[size_t(result.value.index)] = true;
        if (is_early(result)) early_[size_t(result.value.index)] = true;
    }
    for (size_t i = graph_.nodes.size(); i-- > 0;)
        for (NodeId operand : graph_.nodes[i].operands) {
            if (live_[i]) live_[size_t(operand.index)] = true;
            if (early_[i]) early_[size_t(operand.index)] = true;
        }
    for (size_t i = 0; i < graph_.nodes.size(); ++i)
        if (live_[i] && graph_.nodes[i].group >= 0 && graph_.nodes[i].op != Op::input && graph_.nodes[i].op != Op::constant)
            ++group_sizes_[graph_.nodes[i].group];
}

bool ProgramPlanner::is_alone(NodeId id) const { return graph_[id].group < 0 || group_sizes_.at(graph_[id].group) == 1; }

bool ProgramPlanner::is_alias(NodeId id) const {
    const Node &node = graph_[id];
    if (node.op == Op::slice) return is_alone(id) && !result_slices_.count(id) && piece_offset(graph_, id);
    if (node.op != Op::reshape || host_[size_t(id.index)]) return false;
    const NodeId operand = node.operands[0];
    if (host_[size_t(operand.index)] || is_splat(graph_[operand])) return false;
    return is_alone(id);
}

NodeId ProgramPlanner::root(NodeId id) const {
    while (is_alias(id)) id = graph_[id].operands[0];
    return id;
}

int64_t ProgramPlanner::offset_in_root(NodeId id) const {
    int64_t offset = 0;
    for (; is_alias(id); id = graph_[id].operands[0])
        if (graph_[id].op == Op::slice) offset += *piece_offset(graph_, id);
    return offset;
}

std::vector<NodeId> ProgramPlanner::roots_of(NodeId id) const {
    std::vector<NodeId> roots{root(id)};
    if (joined_.count(roots[0]))
        for (NodeId operand : graph_[roots[0]].operands)
            for (NodeId part : roots_of(operand)) roots.push_back(part);
    return roots;
}

std::vector<int> ProgramPlanner::makers_of(NodeId id) const {
    const auto joined = joined_.find(root(id));
    if (joined == joined_.end()) return {unit_of_[size_t(root(id).index)]};
    std::vector<int> makers = joined->second.copies;
    for (NodeId part : joined->second.parts) makers.push_back(unit_of_[size_t(part.index)]);
    return makers;
}

/// Tensors that are joined of pieces need no kernel if at least one of them can be stored in its place right away; others are copied there.
void ProgramPlanner::find_joined() {
    std::set<NodeId> stored;
    for (const Result &result : graph_.results) {
        NodeId id = result.value;
        while (is_alias(id) && graph_[id].op != Op::slice) id = graph_[id].operands[0];
        if (is_alias(id)) result_slices_.insert(id);
        stored.insert(id);
    }
    for (int i = 0; i < graph_.size(); ++i) {
        const NodeId id{i};
        if (!live_[size_t(i)] || !is_alone(id)) continue;
        const std::vector<int64_t> offsets = piece_offsets(graph_, id);
        std::map<NodeId, Place> places;
        for (size_t k = 0; k < offsets.size(); ++k) {
            const NodeId operand = graph_[id].operands[k], part = root(operand);
            const Node &node = graph_[part];
            const bool is_computed = node.op != Op::input && node.op != Op::constant && !host_[size_t(part.index)] && !joined_.count(part);
            const bool is_whole = node.type.bytes() == graph_[operand].type.bytes();
            if (is_computed && is_whole && !places_.count(part) && !stored.count(part)) places.try_emplace(part, Place{id, offsets[k]});
        }
        if (places.empty()) continue;
        places_.insert(places.begin(), places.end());
        for (const auto &[part, place] : places) joined_[id].parts.push_back(part);
    }
}

void ProgramPlanner::make_units() {
    std::map<int, int> unit_of_group;
    for (int i = 0; i < graph_.size(); ++i) {
        const NodeId id{i};
        const Node &node = graph_[id];
        if (!live_[size_t(i)] || host_[size_t(i)] || node.op == Op::input || node.op == Op::constant || is_alias(id) || joined_.count(id)) continue;
        int unit = int(units_.size());
        if (node.group >= 0) unit = unit_of_group.emplace(node.group, unit).first->second;
        if (unit == int(units_.size())) {  // the first of its group
            units_.emplace_back();
            units_.back().late = true;
        }
        units_[size_t(unit)].members.push_back(id);
        units_[size_t(unit)].priority = i;
        if (early_[size_t(i)]) units_[size_t(unit)].late = false;
        unit_of_[size_t(i)] = unit;
    }
    // What others use of a unit are its outputs.
    std::set<NodeId> wanted;
    for (int i = 0; i < graph_.size(); ++i) {
        if (!live_[size_t(i)] || is_alias(NodeId{i})) continue;
        for (NodeId operand : graph_.nodes[size_t(i)].operands) {
            NodeId from = root(operand);
            if (unit_of_[size_t(from.index)] >= 0 && (from != operand || unit_of_[size_t(from.index)] != unit_of_[size_t(i)])) wanted.insert(from);
        }
    }
    for (const Result &result : graph_.results) wanted.insert(root(result.value));
    for (Unit &unit : units_) unit.reads = reads_of(unit);
    for (NodeId id : wanted)
        if (int unit = unit_of_[size_t(id.index)]; unit >= 0) {
            const auto place = places_.find(id);
            units_[size_t(unit)].outputs.push_back({id, {}, place == places_.end() ? std::nullopt : std::optional(place->second)});
        }
    for (auto &[id, joined] : joined_) {
        const std::vector<int64_t> offsets = piece_offsets(graph_, id);
        for (size_t k = 0; k < offsets.size(); ++k) {
            const NodeId operand = graph_[id].operands[k];
            const auto place = places_.find(root(operand));
            if (place != places_.end() && place->second.joined == id && place->second.offset == offsets[k]) continue;
            joined.copies.push_back(add_copy(operand, -1, std::nullopt, !early_[size_t(id.index)]));
            units_.back().outputs[0].place = Place{id, offsets[k]};
            units_.back().priority = id.index;
        }
    }
}

int ProgramPlanner::add_copy(NodeId source, int source_unit, std::optional<ByteRange> target, bool late) {
    Unit copy;
    copy.source = source;
    copy.source_unit = source_unit;
    copy.outputs.push_back({source, std::move(target)});
    copy.late = late;
    copy.priority = graph_.size() + int(units_.size());
    if (source_unit >= 0)
        copy.needs.insert(source_unit);
    else if (int unit = unit_of_[size_t(source.index)]; unit >= 0)
        copy.needs.insert(unit);
    copy.reads = reads_of(copy);
    units_.push_back(std::move(copy));
    return int(units_.size()) - 1;
}

std::optional<ByteRange> ProgramPlanner::target_of(const Result &result) const {
    const Type &type = graph_[result.value].type;
    if (result.kind == ResultKind::store) return storage_range(parts_.module, result.name, type);
    if (result.kind == ResultKind::output && augments(graph_.name)) return ByteRange{"augmented:" + result.name, 0, type.bytes()};
    return std::nullopt;
}

void ProgramPlanner::make_copies_and_targets() {
    std::vector<ByteRange> written;
    for (size_t i = 0; i < graph_.results.size(); ++i) {
        const Result &result = graph_.results[i];
        const NodeId source = root(result.value);
        const int unit = unit_of_[size_t(source.index)];
        const std::optional<ByteRange> target = target_of(result);
        if (!target) {
            const bool scalar = result.kind == ResultKind::loss || result.kind == ResultKind::scalar;
            if (unit < 0 && !(scalar && host_[size_t(result.value.index)])) result_copies_[int(i)] = add_copy(source, -1, std::nullopt, false);
            continue;
        }
        const ByteRange &range = *target;
        for (const ByteRange &other : written) KILN_CHECK(!other.overlaps(range), "graph `{}` stores \"{}\" twice", graph_.name, result.name);
        written.push_back(range);
        if (input_range(source) == range) continue;  // keeps its value
        if (graph_.name == "init" && is_zero_bytes(graph_[source])) continue;  // storage is zeros before: so large states are not touched before a step
        bool direct = unit >= 0 && (units_[size_t(unit)].late || is_transient(range));
        if (direct) {
            auto &outputs = units_[size_t(unit)].outputs;
            auto output = std::find_if(outputs.begin(), outputs.end(), [&](const Output &o) { return o.value == source; });
            direct = !output->target;
            if (direct) output->target = range;
        }
        if (!direct) add_copy(source, -1, range, !is_transient(range) || (unit >= 0 && units_[size_t(unit)].late));
    }
}

std::vector<NodeId> ProgramPlanner::reads_of(const Unit &unit) const {
    std::set<NodeId> reads;
    auto read = [&](NodeId operand) {
        if (!host_[size_t(operand.index)] && !is_splat(graph_[operand])) reads.insert(operand);
    };
    std::set<NodeId> members(unit.members.begin(), unit.members.end());
    for (NodeId member : unit.members)
        for (NodeId operand : graph_[member].operands)
            if (!members.count(operand)) read(operand);
    if (unit.source.valid() && unit.source_unit < 0) read(unit.source);
    return {reads.begin(), reads.end()};
}

std::vector<NodeId> ProgramPlanner::results_of(const Unit &unit) const {
    std::vector<NodeId> results;
    for (const Output &output : unit.outputs) results.push_back(output.value);
    return results;
}

bool ProgramPlanner::writes_in_place(const Unit &unit, size_t output) const {
    // The one argument that overlaps the target must be exactly it, and be read only where it is written.
    const Body body = extract_body(graph_, unit.members, results_of(unit), host_);
    int overlapping = 0;
    for (size_t i = 0; i < body.arguments.size(); ++i) {
        const std::optional<ByteRange> &range = input_range(root(body.arguments[i]));
        if (!range || !range->overlaps(*unit.outputs[output].target)) continue;
        ++overlapping;
        if (*range != *unit.outputs[output].target || !may_update_in_place(body.graph, int(output), NodeId{int32_t(i)})) return false;
    }
    // Of several tables whose rows are set all are overwritten, or none.
    const bool is_table = body.graph[body.graph.results[output].value].op == Op::set_rows;
    return overlapping == 1 || (overlapping == 0 && !(is_table && unit.outputs.size() > 1));
}

void ProgramPlanner::add_anti_dependencies(int writer) {
    for (const Output &output : units_[size_t(writer)].outputs) {
        if (!output.target) continue;
        for (int reader = 0; reader < int(units_.size()); ++reader) {
            if (reader == writer) continue;
            for (NodeId id : units_[size_t(reader)].reads) {
                const std::optional<ByteRange> &range = input_range(root(id));
                if (range && range->overlaps(*output.target)) units_[size_t(writer)].after.insert(reader);
            }
        }
    }
}

/// Lets a unit write to the work arena and copies from there.
void ProgramPlanner::demote(int index) {
    units_[size_t(index)].after.clear();
    for (size_t i = 0; i < units_[size_t(index)].outputs.size(); ++i) {
        std::optional<ByteRange> target = units_[size_t(index)].outputs[i].target;
        if (!target) continue;
        units_[size_t(index)].outputs[i].target.reset();
        add_copy(units_[size_t(index)].outputs[i].value, index, target, units_[size_t(index)].late);
        add_anti_dependencies(int(units_.size()) - 1);
    }
}

void ProgramPlanner::find_dependencies() {
    const size_t count = units_.size();  // demote() appends
    for (size_t i = 0; i < count; ++i) {
        for (NodeId id : units_[i].reads)
            for (int maker : makers_of(id))
                if (maker >= 0 && maker != int(i)) units_[i].needs.insert(maker);
    }
    for (size_t i = 0; i < count; ++i) add_anti_dependencies(int(i));
    for (size_t i = 0; i < count; ++i) {
        bool good = true;
        for (size_t k = 0; k < units_[i].outputs.size(); ++k)
            if (units_[i].outputs[k].target && !writes_in_place(units_[i], k)) good = false;
        if (!good) demote(int(i));
    }
}

void ProgramPlanner::order_units() {
    std::vector<bool> done;
    auto satisfied = [&](const std::set<int> &list) {
        return std::all_of(list.begin(), list.end(), [&](int unit) { return done[size_t(unit)]; });
    };
    auto before = [&](int a, int b) {
        const Unit &x = units_[size_t(a)], &y = units_[size_t(b)];
        return std::tuple(x.late, x.priority) < std::tuple(y.late, y.priority);
    };
    done.assign(units_.size(), false);
    while (order_.size() < units_.size()) {
        int best = -1, blocked = -1;
        for (int i = 0; i < int(units_.size()); ++i) {
            const Unit &unit = units_[size_t(i)];
            if (done[size_t(i)] || !satisfied(unit.needs)) continue;
            int &candidate = satisfied(unit.after) ? best : blocked;
            if (candidate < 0 || before(i, candidate)) candidate = i;
        }
        if (best < 0) {
            // Everything that could run would overwrite what something else still reads.
            KILN_CHECK(blocked >= 0, "the groups of graph `{}` depend on each other in a cycle", graph_.name);
            demote(blocked);
            done.resize(units_.size(), false);
            continue;
        }
        done[size_t(best)] = true;
        order_.push_back(best);
    }
}

}  // namespace kiln
