// The listing of `kiln emit plan`: what runs, in which order, on which bytes.
#include "compiler/plan/plan.h"

#include "compiler/ir/text.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace kiln {

namespace {

std::string human_bytes(int64_t bytes) {
    if (bytes < 1024) return fmt::format("{} B", bytes);
    if (bytes < 1024 * 1024) return fmt::format("{:.1f} KiB", double(bytes) / 1024);
    return fmt::format("{:.1f} MiB", double(bytes) / (1024 * 1024));
}

/// "op op op": the ops of a body in order, without what is passed in.
std::string ops_of(const Graph &body) {
    std::vector<const char *> names;
    for (const Node &node : body.nodes)
        if (node.op != Op::input && node.op != Op::constant) names.push_back(info(node.op).name);
    return names.empty() ? "constant" : fmt::format("{}", fmt::join(names, " "));
}

std::string buffer_text(const Plan &plan, BufferId id) {
    const Buffer &buffer = plan[id];
    return fmt::format("{}+{} {}", buffer.arena, buffer.offset, to_string(buffer.type));
}

std::string call_text(const Plan &plan, const Program &program, int index) {
    const Call &call = program.calls[size_t(index)];
    std::vector<std::string> inputs, outputs;
    for (size_t i = 0; i < call.inputs.size(); ++i)
        inputs.push_back(call.inputs[i].valid() ? buffer_text(plan, call.inputs[i]) : fmt::format("scalar %{}", call.scalars[i].index));
    const Kernel &kernel = plan[call.kernel];
    for (size_t i = 0; i < call.outputs.size(); ++i)
        outputs.push_back(buffer_text(plan, call.outputs[i]) + (kernel.in_place[i] >= 0 ? " (in place)" : ""));
    std::string out = fmt::format("  {:4}  {} ({}) -> {}", index, kernel.name, fmt::join(inputs, ", "), fmt::join(outputs, ", "));
    if (!call.scope.empty()) out += "  in " + call.scope;
    if (call.loc.valid()) out += "  @ " + to_string(call.loc);
    return out + "\n";
}

std::string program_text(const Plan &plan, const Program &program) {
    int64_t flops = 0;
    for (const Call &call : program.calls) flops += plan[call.kernel].flops;
    std::string out = fmt::format("program {}: {} calls, {} FLOPs, storage is written from call {}\n", program.name, program.calls.size(), flops,
                                  program.commit);
    if (!program.scalars.nodes.empty()) out += print(program.scalars, {.locations = false, .scopes = false});
    for (int i = 0; i < int(program.calls.size()); ++i) out += call_text(plan, program, i);
    for (const ScalarResult &result : program.scalar_results)
        out += fmt::format("  scalar \"{}\" = {}\n", result.name, result.buffer.valid() ? buffer_text(plan, result.buffer) : fmt::format("%{}", result.node.index));
    for (const auto &[name, buffer] : program.samples) out += fmt::format("  sample \"{}\" = {}\n", name, buffer_text(plan, buffer));
    for (const auto &[name, buffer] : program.outputs) out += fmt::format("  output \"{}\" = {}\n", name, buffer_text(plan, buffer));
    return out + "\n";
}

}  // namespace

std::string print(const Plan &plan) {
    std::vector<int> uses(plan.kernels.size(), 0);
    for (const Program &program : plan.programs)
        for (const Call &call : program.calls) ++uses[size_t(call.kernel.index)];
    std::string out = fmt::format("{} kernels\n", plan.kernels.size());
    for (size_t i = 0; i < plan.kernels.size(); ++i) {
        const Kernel &kernel = plan.kernels[i];
        out += fmt::format("  {}  calls {}, FLOPs {}, bytes {}: {}\n", kernel.name, uses[i], kernel.flops, kernel.bytes, ops_of(kernel.body));
    }
    out += "\n";
    for (const Program &program : plan.programs) out += program_text(plan, program);
    for (const auto &[name, graph] : plan.rules) out += print(graph, {.locations = false, .scopes = false}) + "\n";

    out += fmt::format("{} buffers\n", plan.buffers.size());
    for (const Buffer &buffer : plan.buffers) {
        out += fmt::format("  {:12} {:>10} {:>10}  {:24}", buffer.arena, buffer.offset, buffer.type.bytes(), to_string(buffer.type));
        if (is_work_arena(buffer.arena)) out += fmt::format(" calls {}..{}", buffer.first_use, buffer.last_use);
        out += "  " + buffer.label + "\n";
    }
    out += "\narenas\n";
    for (const Arena &arena : plan.arenas) out += fmt::format("  {:12} {:>12} bytes\n", arena.name, arena.bytes);
    out += fmt::format("total {} bytes ({}); per sample {} FLOPs forward, {} in a training step\n", plan.peak_bytes, human_bytes(plan.peak_bytes),
                       plan.forward_flops_per_sample, plan.flops_per_sample);
    return out;
}

}  // namespace kiln
