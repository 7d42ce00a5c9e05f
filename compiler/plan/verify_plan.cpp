#include "compiler/plan/verify_plan.h"

#include "compiler/ops/interpret.h"

#include <fmt/format.h>

#include <set>

namespace kiln {

namespace {

class Verifier {
public:
    explicit Verifier(const Plan &plan) : plan_(plan) {}

    std::vector<std::string> run() {
        for (const Kernel &kernel : plan_.kernels) {
            Diagnostics diagnostics;
            if (!verify(kernel.body, diagnostics)) fail("kernel {}: {}", kernel.name, diagnostics.all().front().message);
        }
        for (const Buffer &buffer : plan_.buffers) check_bounds(buffer);
        for (const Program &program : plan_.programs) check_program(program);
        return std::move(problems_);
    }

private:
    template <typename... Args> void fail(fmt::format_string<Args...> format, Args &&...args) {
        problems_.push_back(fmt::format(format, std::forward<Args>(args)...));
    }

    static bool overlap(const Buffer &a, const Buffer &b) {
        return a.arena == b.arena && a.offset < b.offset + b.type.bytes() && b.offset < a.offset + a.type.bytes();
    }

    void check_bounds(const Buffer &buffer) {
        if (is_batch_arena(buffer.arena)) return;
        for (const Arena &arena : plan_.arenas)
            if (arena.name == buffer.arena) {
                if (buffer.offset < 0 || buffer.offset + buffer.type.bytes() > arena.bytes) fail("buffer `{}` leaves arena {}", buffer.label, arena.name);
                if (is_work_arena(buffer.arena) && buffer.offset % 64 != 0) fail("buffer `{}` is not aligned", buffer.label);
                return;
            }
        fail("buffer `{}` is in arena {}, which does not exist", buffer.label, buffer.arena);
    }

    void check_program(const Program &program) {
        std::set<BufferId> used;
        std::set<int> written;         // allocations
        std::vector<BufferId> stored;  // storage buffers with new values
        for (int index = 0; index < int(program.calls.size()); ++index) {
            const Call &call = program.calls[size_t(index)];
            const Kernel &kernel = plan_[call.kernel];
            check_types(program, index);
            for (BufferId id : call.inputs) {
                if (!id.valid()) continue;
                used.insert(id);
                const Buffer &buffer = plan_[id];
                if (buffer.allocation >= 0 && !written.count(buffer.allocation))
                    fail("{} call {} reads `{}` before it is written", program.name, index, buffer.label);
                if (is_work_arena(buffer.arena) && (index < buffer.first_use || index > buffer.last_use))
                    fail("{} call {} uses `{}` outside its lifetime", program.name, index, buffer.label);
            }
            for (size_t i = 0; i < call.outputs.size(); ++i) {
                const Buffer &output = plan_[call.outputs[i]];
                used.insert(call.outputs[i]);
                if (output.arena == "constant" || output.arena.starts_with("data:") || output.arena.starts_with("raw:")) fail("{} call {} writes {}", program.name, index, output.arena);
                if (output.allocation >= 0) {
                    written.insert(output.allocation);
                } else {
                    if (index < program.commit && output.arena != "gradient" && !output.arena.starts_with("augmented:"))
                        fail("{} call {} writes `{}` before the commit", program.name, index, output.label);
                    for (BufferId other : stored)
                        if (overlap(plan_[other], output)) fail("{} call {} writes `{}` a second time", program.name, index, output.label);
                    stored.push_back(call.outputs[i]);
                }
                for (size_t k = 0; k < call.inputs.size(); ++k)
                    if (call.inputs[k].valid() && overlap(plan_[call.inputs[k]], output) && kernel.in_place[i] != int(k))
                        fail("{} call {} overwrites its argument {}", program.name, index, k);
                for (size_t k = 0; k < i; ++k)
                    if (overlap(plan_[call.outputs[k]], output)) fail("{} call {}: results {} and {} overlap", program.name, index, k, i);
            }
        }
        for (const auto &[name, id] : program.samples) used.insert(id);
        for (const auto &[name, id] : program.outputs) used.insert(id);
        for (const ScalarResult &result : program.scalar_results)
            if (result.buffer.valid()) used.insert(result.buffer);
        for (auto a = used.begin(); a != used.end(); ++a)
            for (auto b = std::next(a); b != used.end(); ++b) {
                const Buffer &x = plan_[*a], &y = plan_[*b];
                if (is_work_arena(x.arena) && x.allocation != y.allocation && overlap(x, y) && x.first_use <= y.last_use && y.first_use <= x.last_use)
                    fail("{}: `{}` and `{}` are live together and overlap", program.name, x.label, y.label);
            }
    }

    void check_types(const Program &program, int index) {
        const Call &call = program.calls[size_t(index)];
        const Graph &body = plan_[call.kernel].body;
        if (call.outputs.size() != body.results.size() || call.scalars.size() != call.inputs.size())
            return fail("{} call {}: wrong number of buffers", program.name, index);
        size_t argument = 0;
        for (const Node &node : body.nodes) {
            if (node.op != Op::input) continue;
            if (argument >= call.inputs.size()) return fail("{} call {}: too few arguments", program.name, index);
            const bool scalar = attrs<InputAttrs>(node).name.starts_with("scalar");
            if (scalar != !call.inputs[argument].valid()) fail("{} call {}: argument {} is of the other kind", program.name, index, argument);
            const Type &type = scalar ? program.scalars[call.scalars[argument]].type : plan_[call.inputs[argument]].type;
            if (type != node.type) fail("{} call {}: argument {} is {}, not {}", program.name, index, argument, to_string(type), to_string(node.type));
            ++argument;
        }
        for (size_t i = 0; i < call.outputs.size(); ++i)
            if (plan_[call.outputs[i]].type != body[body.results[i].value].type) fail("{} call {}: result {} has another type", program.name, index, i);
    }

    const Plan &plan_;
    std::vector<std::string> problems_;
};

}  // namespace

std::vector<std::string> verify_plan(const Plan &plan) { return Verifier(plan).run(); }

}  // namespace kiln
