#include "compiler/codegen/layer_table.h"
#include "compiler/driver/commands.h"
#include "compiler/driver/expectations.h"
#include "compiler/driver/failure.h"
#include "compiler/driver/files.h"
#include "compiler/driver/session.h"

#include <fmt/format.h>

#include <algorithm>

namespace kiln {

namespace {

/// 1234567 -> "1,234,567"
std::string grouped(int64_t number) {
    std::string digits = std::to_string(number);
    for (int at = int(digits.size()) - 3; at > (number < 0 ? 1 : 0); at -= 3) digits.insert(size_t(at), 1, ',');
    return digits;
}

std::string summary(const Module &module, const Plan &plan) {
    std::string text = fmt::format("{}: batch {}, {}\n\n", module.name, module.batch, name_of(module.float_type));
    auto rows = layer_table(module);
    size_t width = 5;
    for (const LayerRow &row : rows) width = std::max(width, row.path.size());
    text += fmt::format("{:{}}  {:24} {:>12}\n", "layer", width, "output", "parameters");
    for (const LayerRow &row : rows)
        text += fmt::format("{:{}}  {:24} {:>12}\n", row.path, width, to_string(row.output), row.parameters ? grouped(row.parameters) : "");
    text += fmt::format("\n{:28} {:>16}\n", "parameters", grouped(parameter_count(module)));
    text += fmt::format("{:28} {:>16}\n", "FLOPs per sample, inference", grouped(plan.forward_flops_per_sample));
    if (plan.flops_per_sample > 0) text += fmt::format("{:28} {:>16}\n", "FLOPs per sample, training", grouped(plan.flops_per_sample));
    text += fmt::format("{:28} {:>16}\n", "kernels", grouped(int64_t(plan.kernels.size())));
    text += fmt::format("{:28} {:>16}\n", "peak bytes", grouped(plan.peak_bytes));
    for (const Arena &arena : plan.arenas) text += fmt::format("  {:26} {:>16}\n", arena.name, grouped(arena.bytes));
    return text;
}

}  // namespace

int check(const CheckOptions &options) {
    Session session(options.compile);
    Compilation c = session.run(Stage::plan);
    if (options.verify_diagnostics && session.file()) {
        std::string problems = compare_with_expectations(*session.file(), session.diagnostics());
        fmt::print(stderr, "{}", problems);
        return problems.empty() ? kExitOk : kExitProgram;
    }
    if (session.finish()) return kExitProgram;
    write_stdout(summary(c.graph, c.plan));
    return kExitOk;
}

}  // namespace kiln
