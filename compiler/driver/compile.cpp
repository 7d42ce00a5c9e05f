#include "compiler/driver/compile.h"

#include "compiler/autodiff/differentiate.h"
#include "compiler/ir/text.h"
#include "compiler/ops/interpret.h"
#include "compiler/passes/pipeline.h"
#include "compiler/passes/row_updates.h"
#include "compiler/syntax/parse.h"

#include <algorithm>

namespace kiln {

namespace {

/// "train" and "train.<phase>" with gradients of the parameters that the phase does not freeze.
Module with_gradients(const Module &module, int level) {
    Module result = module;
    for (auto &[name, graph] : result.graphs) {
        if (name != "train" && !name.starts_with("train.")) continue;
        size_t phase = name == "train" ? 0 : std::stoul(name.substr(6));
        std::vector<std::string> params;
        for (const Storage &storage : module.storages) {
            if (storage.kind != StorageKind::param) continue;
            bool frozen = false;
            if (phase < module.phases.size()) {
                const auto &paths = module.phases[phase].frozen;
                frozen = std::find(paths.begin(), paths.end(), storage.path) != paths.end();
            }
            if (!frozen) params.push_back(storage.path);
        }
        graph = differentiate(before_gradients(graph, level), params);
    }
    return result;
}

Module with_passes(const Module &module, int level) {
    Module result = module;
    for (auto &[name, graph] : result.graphs) graph = optimize(graph, level);
    return result;
}

}  // namespace

Compilation compile(const SourceFile &file, SourceMap &sources, const ElaborateOptions &options, int level, Stage last, Diagnostics &diagnostics) {
    Compilation c;
    if (file.name.ends_with(".graph")) {
        c.graph = parse_module(file, diagnostics);
        for (const auto &[name, graph] : c.graph.graphs) verify(graph, diagnostics);
    } else {
        c.tree = parse(file, diagnostics);
        if (last == Stage::ast || diagnostics.has_errors()) return c;
        c.graph = elaborate(c.tree, sources, options, diagnostics);
    }
    if (last == Stage::graph || diagnostics.has_errors()) return c;
    c.grad = with_gradients(c.graph, level);
    if (last == Stage::grad) return c;
    c.optimized = with_passes(with_row_updates(c.grad), level);
    if (last == Stage::optimized) return c;
    c.plan = make_plan(c.optimized);
    return c;
}

}  // namespace kiln
