#include "compiler/plan/plan.h"
#include "compiler/plan/program_planner.h"
#include "compiler/support/check.h"

#include <algorithm>
#include <set>

namespace kiln {

namespace {

int64_t flops_of(const Plan &plan, const Program *program) {
    int64_t flops = 0;
    if (program)
        for (const Call &call : program->calls) flops += plan[call.kernel].flops;
    return flops;
}

/// Of the phase with the most of them.
int64_t flops_of_step(const Plan &plan, size_t phases) {
    int64_t most = 0;
    for (int phase = 0; phase < int(std::max<size_t>(phases, 1)); ++phase)
        most = std::max(most, flops_of(plan, program_of_phase(plan, "train", phase)) + flops_of(plan, program_of_phase(plan, "update", phase)));
    return most;
}

}  // namespace

const Program *program_of_phase(const Plan &plan, std::string_view name, int phase) {
    const Program *common = nullptr;
    const std::string own = own_graph_of_phase(name, size_t(phase));
    for (const Program &program : plan.programs) {
        if (program.name == own) return &program;
        if (program.name == name) common = &program;
    }
    return common;
}

const Graph *rule_of_phase(const Plan &plan, const std::string &name, int phase) {
    if (auto own = plan.rules.find(own_graph_of_phase(name, size_t(phase))); own != plan.rules.end()) return &own->second;
    auto common = plan.rules.find(name);
    return common == plan.rules.end() ? nullptr : &common->second;
}

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
        plan.flops_per_sample = flops_of_step(plan, module.phases.size()) / module.batch;
        plan.forward_flops_per_sample = flops_of(plan, program_of_phase(plan, "predict", 0)) / module.batch;
    }
    return plan;
}

}  // namespace kiln
