#include "compiler/codegen/program_layout.h"

#include "compiler/support/check.h"

#include <algorithm>
#include <set>

namespace kiln {

namespace {

int find(const std::vector<std::string> &names, std::string_view name) {
    auto at = std::find(names.begin(), names.end(), name);
    return at == names.end() ? -1 : int(at - names.begin());
}

int find_or_fail(const std::vector<std::string> &names, std::string_view name, const char *what) {
    int index = find(names, name);
    KILN_CHECK(index >= 0, "no {} `{}`", what, name);
    return index;
}

void collect_scalar_inputs(const Graph &graph, std::set<std::string> &names) {
    for (const Node &node : graph.nodes)
        if (node.op == Op::input && attrs<InputAttrs>(node).kind == InputKind::scalar) names.insert(attrs<InputAttrs>(node).name);
}

}  // namespace

int ProgramLayout::scalar(std::string_view name) const { return find_or_fail(scalars, name, "scalar"); }
int ProgramLayout::sample(std::string_view name) const { return find(samples, name); }
int ProgramLayout::mean(std::string_view name) const { return find(means, name); }
int ProgramLayout::column(std::string_view name) const { return find_or_fail(columns, name, "column"); }
int ProgramLayout::arena(std::string_view name) const { return find_or_fail(arenas, name, "arena"); }

ProgramLayout layout_of(const Module &module, const Plan &plan) {
    ProgramLayout layout;
    layout.scalars = builtin_scalars();
    for (const Hyper &hyper : module.hypers) layout.scalars.push_back(hyper.name);
    for (const Global &global : module.globals)
        if (find(layout.scalars, global.name) < 0) layout.scalars.push_back(global.name);

    std::set<std::string> further;
    for (const Program &program : plan.programs) {
        collect_scalar_inputs(program.scalars, further);
        for (const ScalarResult &result : program.scalar_results) further.insert(result.name);
    }
    for (const auto &[name, graph] : plan.rules) {
        if (name.starts_with("rules.report")) continue;  // its inputs and results are the arguments of report()
        collect_scalar_inputs(graph, further);
        if (name == "rules.require") continue;  // its results are conditions, named by their messages
        for (const Result &result : graph.results) further.insert(result.name);
    }
    for (const std::string &name : further)
        if (find(layout.scalars, name) < 0) layout.scalars.push_back(name);

    layout.samples.push_back("loss");
    for (const Metric &metric : module.metrics) layout.samples.push_back(metric.name);
    layout.means = layout.samples;
    if (const Graph *report = rule_of_phase(plan, "rules.report", 0))
        for (const std::string &mean : means_read_by(*report))
            if (layout.mean(mean) < 0) layout.means.push_back(mean);
    for (const Column &column : module.columns) layout.columns.push_back(column.name);
    for (const Arena &arena : plan.arenas) layout.arenas.push_back(arena.name);
    return layout;
}

}  // namespace kiln
