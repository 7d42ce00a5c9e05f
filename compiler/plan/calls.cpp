// Units in order -> calls, their buffers and the results of the program.
#include "compiler/plan/program_planner.h"

#include "compiler/support/check.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace kiln {

namespace {

/// The most telling node of a unit: what its kernel is named after, else the last.
const Node &anchor_of(const Graph &graph, const std::vector<NodeId> &members) {
    for (NodeId id : members)
        if (has_trait(graph[id].op, kContraction) && graph[id].loc.valid()) return graph[id];
    for (NodeId id : members)
        if (!has_trait(graph[id].op, kElementwise) && !has_trait(graph[id].op, kView) && graph[id].loc.valid()) return graph[id];
    for (NodeId id : members)
        if (graph[id].loc.valid()) return graph[id];
    return graph[members.back()];
}

template <typename T> void append_as(std::vector<uint8_t> &bytes, double value) {
    const T converted = static_cast<T>(value);
    const size_t at = bytes.size();
    bytes.resize(at + sizeof converted);
    std::memcpy(bytes.data() + at, &converted, sizeof converted);
}

void append_value(std::vector<uint8_t> &bytes, DType dtype, double value) {
    switch (dtype) {
        case DType::f32: return append_as<float>(bytes, value);
        case DType::f64: return append_as<double>(bytes, value);
        case DType::i32: return append_as<int32_t>(bytes, value);
        case DType::i64: return append_as<int64_t>(bytes, value);
        case DType::u8:
        case DType::boolean: return append_as<uint8_t>(bytes, value);
    }
}

std::string label_of(const Node &node) { return node.scope.empty() ? info(node.op).name : fmt::format("{} {}", node.scope, info(node.op).name); }

}  // namespace

BufferId ProgramPlanner::add_buffer(Buffer buffer) {
    BufferId id{int32_t(parts_.plan.buffers.size())};
    if (is_work_arena(buffer.arena)) work_buffers_.push_back(id);
    parts_.plan.buffers.push_back(std::move(buffer));
    return id;
}

BufferId ProgramPlanner::shared_buffer(const std::string &arena, int64_t offset, const Type &type, const std::string &label) {
    auto [entry, is_new] = parts_.shared_buffers.try_emplace({fmt::format("{}@{}", arena, offset), to_string(type)});
    if (is_new) entry->second = add_buffer({.arena = arena, .offset = offset, .type = type, .label = label});
    return entry->second;
}

BufferId ProgramPlanner::constant_buffer(const Node &node) {
    std::vector<uint8_t> bytes;
    for (double value : attrs<ConstantAttrs>(node).values) append_value(bytes, node.type.dtype, value);
    std::string key(bytes.begin(), bytes.end());
    auto [entry, is_new] = parts_.shared_buffers.try_emplace({"constant " + key, to_string(node.type)});
    if (is_new) {
        std::vector<uint8_t> &all = parts_.plan.constants;
        entry->second = add_buffer({.arena = "constant", .offset = int64_t(all.size()), .type = node.type, .label = label_of(node)});
        all.insert(all.end(), bytes.begin(), bytes.end());
        all.resize(size_t(round_up_64(int64_t(all.size()))), 0);
    }
    return entry->second;
}

BufferId ProgramPlanner::buffer_of(NodeId id) {
    auto found = buffers_.find(id);
    if (found != buffers_.end()) return found->second;
    const Node &node = graph_[id];
    BufferId buffer;
    if (node.op == Op::constant) {
        buffer = constant_buffer(node);
    } else if (node.op == Op::input) {
        const InputAttrs &input = attrs<InputAttrs>(node);
        if (const std::optional<ByteRange> &range = input_range(id))
            buffer = shared_buffer(range->arena, range->begin, node.type, input.name);
        else
            buffer = shared_buffer((augments(graph_.name) ? "raw:" : "data:") + input.name, 0, node.type, input.name);
    } else if (auto joined = joined_.find(id); joined != joined_.end()) {
        KILN_CHECK(joined->second.allocation >= 0, "%{} of graph `{}` is read before it is joined", id.index, graph_.name);
        buffer = add_buffer({.arena = work_arena(), .type = node.type, .allocation = joined->second.allocation, .label = label_of(node)});
    } else {
        KILN_CHECK(is_alias(id), "%{} of graph `{}` is read before it is computed", id.index, graph_.name);
        Buffer alias = parts_.plan[buffer_of(root(id))];
        if (alias.type == node.type) return buffers_[id] = buffer_of(root(id));
        alias.type = node.type;
        alias.offset += offset_in_root(id);
        buffer = is_work_arena(alias.arena) ? add_buffer(alias) : shared_buffer(alias.arena, alias.offset, alias.type, alias.label);
    }
    return buffers_[id] = buffer;
}

NodeId ProgramPlanner::scalar_node(NodeId id) {
    std::vector<NodeId> pending{id};
    while (!pending.empty()) {
        const NodeId next = pending.back();
        bool ready = true;
        for (NodeId operand : graph_[next].operands)
            if (!scalars_.count(operand)) {
                pending.push_back(operand);
                ready = false;
            }
        if (!ready) continue;
        pending.pop_back();
        if (scalars_.count(next)) continue;
        Node node = graph_[next];
        node.group = -1;
        for (NodeId &operand : node.operands) operand = scalars_.at(operand);
        scalars_[next] = NodeId{program_.scalars.size()};
        program_.scalars.nodes.push_back(std::move(node));
    }
    return scalars_.at(id);
}

void ProgramPlanner::use(BufferId buffer, int call) {
    const int allocation = parts_.plan[buffer].allocation;
    if (allocation < 0) return;
    Allocation &a = allocations_[size_t(allocation)];
    a.last_use = std::max(a.last_use, call);
}

std::map<NodeId, int> ProgramPlanner::last_readers() const {
    std::map<NodeId, int> last;
    for (int index = 0; index < int(order_.size()); ++index) {
        const Unit &unit = units_[size_t(order_[size_t(index)])];
        for (NodeId id : unit.reads)
            for (NodeId from : roots_of(id)) last[from] = index;
        if (unit.source_unit >= 0) last[root(unit.source)] = index;
    }
    for (const Result &result : graph_.results)
        for (NodeId from : roots_of(result.value)) last[from] = int(order_.size());
    return last;
}

int ProgramPlanner::dying_argument(const Body &body, size_t result, const Call &call, const std::map<NodeId, int> &last_readers, int index) const {
    const Type &type = body.graph[body.graph.results[result].value].type;
    if (type.bytes() < parts_.least_shared_bytes || !is_elementwise(body.graph)) return -1;
    auto allocation_of = [&](BufferId id) { return id.valid() ? parts_.plan[id].allocation : -1; };
    for (size_t i = 0; i < body.arguments.size(); ++i) {
        const int allocation = allocation_of(call.inputs[i]);
        const NodeId from = root(body.arguments[i]);
        if (joined_.count(from) || places_.count(from)) continue;  // who reads the whole, or another part, is not known
        if (allocation < 0 || parts_.plan[call.inputs[i]].type != type || last_readers.at(from) != index) continue;
        auto shares = [&](BufferId other) { return allocation_of(other) == allocation; };
        const bool alone = std::count_if(call.inputs.begin(), call.inputs.end(), shares) == 1 && std::none_of(call.outputs.begin(), call.outputs.end(), shares);
        if (alone && may_update_in_place(body.graph, int(result), NodeId{int32_t(i)})) return int(i);
    }
    return -1;
}

void ProgramPlanner::make_calls() {
    const std::map<NodeId, int> last = last_readers();
    program_.commit = int(order_.size());
    for (int index = 0; index < int(order_.size()); ++index) {
        Unit &unit = units_[size_t(order_[size_t(index)])];
        Body body = extract_body(graph_, unit.members, results_of(unit), host_);
        Call call;
        for (NodeId id : body.arguments) {
            if (host_[size_t(id.index)]) {
                call.inputs.push_back({});
                call.scalars.push_back(scalar_node(id));
                continue;
            }
            BufferId input;
            if (unit.source_unit >= 0) {
                for (const Output &output : units_[size_t(unit.source_unit)].outputs)
                    if (output.value == unit.source) input = output.buffer;
            } else {
                input = buffer_of(id);
            }
            use(input, index);
            call.inputs.push_back(input);
            call.scalars.push_back({});
        }
        std::vector<int> in_place;
        for (size_t k = 0; k < unit.outputs.size(); ++k) {
            Output &output = unit.outputs[k];
            const Node &node = graph_[output.value];
            int overwritten = -1;
            if (output.target) {
                output.buffer = shared_buffer(output.target->arena, output.target->begin, node.type, label_of(node));
                if (!is_transient(*output.target)) program_.commit = std::min(program_.commit, index);
                for (size_t i = 0; i < body.arguments.size(); ++i)
                    if (input_range(root(body.arguments[i])) == output.target) overwritten = int(i);
            } else {
                Buffer buffer{.arena = work_arena(), .type = node.type, .label = label_of(node)};
                if (!output.place) overwritten = dying_argument(body, k, call, last, index);
                if (output.place) {
                    Joined &joined = joined_.at(output.place->joined);
                    if (joined.allocation < 0) {
                        joined.allocation = int(allocations_.size());
                        allocations_.push_back({graph_[output.place->joined].type.bytes(), index, index, 0});
                    }
                    buffer.allocation = joined.allocation;
                    buffer.offset = output.place->offset;
                } else if (overwritten >= 0) {
                    const Buffer &argument = parts_.plan[call.inputs[size_t(overwritten)]];
                    buffer.allocation = argument.allocation;
                    buffer.offset = argument.offset;
                } else {
                    buffer.allocation = int(allocations_.size());
                    allocations_.push_back({node.type.bytes(), index, index, 0});
                }
                output.buffer = add_buffer(buffer);
            }
            in_place.push_back(overwritten);
            call.outputs.push_back(output.buffer);
            if (unit_of_[size_t(output.value.index)] == order_[size_t(index)]) buffers_[output.value] = output.buffer;
        }
        const Node &anchor = unit.members.empty() ? graph_[unit.source] : anchor_of(graph_, unit.members);
        call.loc = anchor.loc;
        call.scope = anchor.scope;

        Kernel kernel = make_kernel(std::move(body.graph), std::move(in_place));
        auto [entry, is_new] = parts_.kernels_by_name.try_emplace(kernel.name, KernelId{int32_t(parts_.plan.kernels.size())});
        if (is_new) parts_.plan.kernels.push_back(std::move(kernel));
        call.kernel = entry->second;
        program_.calls.push_back(std::move(call));
    }
}

void ProgramPlanner::finish_results() {
    const int end = int(program_.calls.size());
    for (size_t i = 0; i < graph_.results.size(); ++i) {
        const Result &result = graph_.results[i];
        if (result.kind == ResultKind::store) continue;
        if (const std::optional<ByteRange> range = target_of(result)) {
            program_.outputs[result.name] = shared_buffer(range->arena, 0, graph_[result.value].type, result.name);
            continue;
        }
        const bool scalar = result.kind == ResultKind::loss || result.kind == ResultKind::scalar;
        if (scalar && host_[size_t(result.value.index)]) {
            program_.scalar_results.push_back({result.kind, result.name, {}, scalar_node(result.value)});
            continue;
        }
        auto copy = result_copies_.find(int(i));
        BufferId buffer;
        if (copy == result_copies_.end()) {
            buffer = buffer_of(result.value);
        } else {
            buffer = units_[size_t(copy->second)].outputs[0].buffer;
            if (const Type &type = graph_[result.value].type; parts_.plan[buffer].type != type) {
                Buffer alias = parts_.plan[buffer];
                alias.type = type;
                buffer = add_buffer(alias);
            }
        }
        use(buffer, end);
        if (scalar)
            program_.scalar_results.push_back({result.kind, result.kind == ResultKind::loss ? "loss" : result.name, buffer, {}});
        else if (result.kind == ResultKind::sample)
            program_.samples[result.name] = buffer;
        else
            program_.outputs[result.kind == ResultKind::value ? std::to_string(i) : result.name] = buffer;
    }
}

void ProgramPlanner::assign_work_arena() {
    Arena &work = parts_.plan.arenas[augments(graph_.name) ? 1 : 0];
    KILN_CHECK(work.name == work_arena(), "arena `{}` where `{}` should be", work.name, work_arena());
    work.bytes = std::max(work.bytes, assign_offsets(allocations_));
    for (BufferId id : work_buffers_) {
        Buffer &buffer = parts_.plan.buffers[size_t(id.index)];
        const Allocation &allocation = allocations_[size_t(buffer.allocation)];
        buffer.offset += allocation.offset;
        buffer.first_use = allocation.first_use;
        buffer.last_use = allocation.last_use;
    }
}

Program ProgramPlanner::run() {
    program_.name = graph_.name;
    program_.scalars.name = graph_.name + ".scalars";
    find_live();
    find_joined();
    make_units();
    make_copies_and_targets();
    find_dependencies();
    order_units();
    make_calls();
    finish_results();
    assign_work_arena();
    return std::move(program_);
}

}  // namespace kiln
