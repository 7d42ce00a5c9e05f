#include "compiler/plan/plan.h"
#include "compiler/plan/program_planner.h"
#include "compiler/support/check.h"

#include <algorithm>
#include <set>

namespace kiln {

namespace {

/// Of the phase with the most of them.
int64_t flops_of_program(const Plan &plan, std::string_view name) {
    int64_t most = 0;
    for (const Program &program : plan.programs) {
        if (!is_graph_of(program.name, name)) continue;
        int64_t flops = 0;
        for (const Call &call : program.calls) flops += plan[call.kernel].flops;
        most = std::max(most, flops);
    }
    return most;
}

}  // namespace

Plan make_plan(const Module &module, int64_t least_shared_bytes) {
    Plan plan;
    plan.arenas.push_back({"work", 0});
    if (std::any_of(module.graphs.begin(), module.graphs.end(), [](const auto &graph) { return augments(graph.first); })) plan.arenas.push_back({"augment", 0});
    std::set<std::string> arenas;
    for (const Storage &storage : module.storages) arenas.insert(storage.arena);
    auto add_arena = [&](const std::string &name) {
        plan.arenas.push_back({name, round_up_64(module.arena_elements(name) * arena_element_bytes(module, name))});
    };
    // The fixed ones first, so that listings of all models look alike.
    if (arenas.erase("param")) {
        add_arena("param");
        if (module.graphs.count("train")) add_arena("gradient");
    }
    if (arenas.erase("buffer")) add_arena("buffer");
    for (const std::string &name : arenas) add_arena(name);

    PlanParts parts{module, plan, least_shared_bytes, {}, {}};
    for (const auto &[name, graph] : module.graphs) {
        if (name.starts_with("rules.")) {
            std::vector<bool> host = host_scalars(graph);
            for (size_t i = 0; i < graph.nodes.size(); ++i) KILN_CHECK(host[i], "%{} of graph `{}` is no scalar", i, name);
            plan.rules[name] = graph;
        } else {
            plan.programs.push_back(ProgramPlanner(parts, graph).run());
        }
    }
    if (!plan.constants.empty()) plan.arenas.push_back({"constant", int64_t(plan.constants.size())});
    for (const Arena &arena : plan.arenas) plan.peak_bytes += arena.bytes;
    if (module.batch > 0) {
        plan.flops_per_sample = flops_of_program(plan, "train") / module.batch;
        plan.forward_flops_per_sample = flops_of_program(plan, "predict") / module.batch;
    }
    return plan;
}

}  // namespace kiln
