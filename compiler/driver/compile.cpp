#include "compiler/driver/compile.h"

#include "compiler/autodiff/differentiate.h"
#include "compiler/ir/text.h"
#include "compiler/ops/interpret.h"
#include "compiler/passes/passes.h"
#include "compiler/passes/pipeline.h"
#include "compiler/passes/products_in_updates.h"
#include "compiler/passes/row_updates.h"
#include "compiler/syntax/parse.h"

#include <algorithm>

namespace kiln {

namespace {

/// "train" with gradients of the parameters that the first phase does not freeze, and "train.<phase>" for phases that freeze others.
Module with_gradients(const Module &module, int level) {
    Module result = module;
    const auto train = module.graphs.find("train");
    if (train == module.graphs.end()) return result;
    const Graph forward = before_gradients(train->second, level);
    auto train_all_but = [&](const std::vector<std::string> &frozen, const std::string &name) {
        std::vector<std::string> params;
        for (const Storage &storage : module.storages)
            if (storage.kind == StorageKind::param && std::find(frozen.begin(), frozen.end(), storage.path) == frozen.end()) params.push_back(storage.path);
        Graph &graph = result.graphs[name] = differentiate(forward, params);
        graph.name = name;
    };
    const std::vector<std::string> first = module.phases.empty() ? std::vector<std::string>{} : module.phases[0].frozen;
    train_all_but(first, "train");
    for (size_t phase = 1; phase < module.phases.size(); ++phase)
        if (module.phases[phase].frozen != first) train_all_but(module.phases[phase].frozen, own_graph_of_phase("train", phase));
    return result;
}

Module with_passes(const Module &module, int level) {
    Module result = with_row_updates(module);
    if (level > 0) result = with_products_in_updates(result);
    for (auto &[name, graph] : result.graphs) graph = optimize(graph, level);
    return result;
}

/// Only the groups of an optimized module are made again: in an edited file they may be any.
Module with_groups(const Module &module) {
    Module result = module;
    for (auto &[name, graph] : result.graphs) graph = fuse(graph);
    return result;
}

/// Which stage a module is of. Only the last pass makes groups.
Stage stage_of(const Module &module) {
    auto any = [&](auto &&property) { return std::any_of(module.graphs.begin(), module.graphs.end(), [&](const auto &entry) { return property(entry.second); }); };
    auto has_groups = [](const Graph &graph) { return std::any_of(graph.nodes.begin(), graph.nodes.end(), [](const Node &node) { return node.group >= 0; }); };
    return any(has_groups) ? Stage::optimized : any(stores_gradients) ? Stage::grad : Stage::graph;
}

}  // namespace

Compilation compile(const SourceFile &file, SourceMap &sources, const ElaborateOptions &options, int level, Stage last, Diagnostics &diagnostics) {
    Compilation c;
    if (is_graph_file(file.name)) {
        c.graph = parse_module(file, diagnostics);
        if (!diagnostics.has_errors()) {
            Diagnostics found;
            verify(c.graph, found);
            for (Diagnostic diagnostic : found.all()) {
                if (diagnostic.loc.file.empty()) diagnostic.loc.file = file.name;  // what is wrong with the module as a whole
                diagnostics.add(std::move(diagnostic));
            }
        }
    } else {
        c.tree = parse(file, diagnostics);
        if (last == Stage::ast || diagnostics.has_errors()) return c;
        c.graph = elaborate(c.tree, sources, options, diagnostics);
    }
    if (last == Stage::graph || diagnostics.has_errors()) return c;
    const Stage begin = stage_of(c.graph);
    c.grad = begin >= Stage::grad ? c.graph : with_gradients(c.graph, level);
    if (last == Stage::grad) return c;
    c.optimized = begin >= Stage::optimized ? with_groups(c.grad) : with_passes(c.grad, level);
    if (last == Stage::optimized) return c;
    c.plan = make_plan(c.optimized);
    return c;
}

}  // namespace kiln
