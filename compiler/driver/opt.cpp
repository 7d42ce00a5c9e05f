#include "compiler/autodiff/differentiate.h"
#include "compiler/driver/commands.h"
#include "compiler/driver/expectations.h"
#include "compiler/driver/failure.h"
#include "compiler/driver/files.h"
#include "compiler/driver/session.h"
#include "compiler/ir/text.h"
#include "compiler/ops/interpret.h"
#include "compiler/passes/pipeline.h"
#include "compiler/support/check.h"
#include "compiler/support/diagnostic_codes.h"
#include "compiler/support/read_file.h"
#include "kiln/names.h"

#include <fmt/format.h>

#include <algorithm>

namespace kiln {

namespace {

/// The gradient of `loss` with respect to every parameter a graph reads: in a file of graphs alone, every storage is one.
Graph with_gradients(const Module &module, const Graph &graph) {
    bool has_loss = std::any_of(graph.results.begin(), graph.results.end(), [](const Result &r) { return r.kind == ResultKind::loss; });
    if (!has_loss) return graph;
    std::vector<std::string> params;
    for (const Node &node : graph.nodes) {
        if (node.op != Op::input || attrs<InputAttrs>(node).kind != InputKind::storage) continue;
        const std::string &path = attrs<InputAttrs>(node).name;
        const Storage *storage = module.find_storage(path);
        if ((!storage || storage->kind == StorageKind::param) && std::find(params.begin(), params.end(), path) == params.end()) params.push_back(path);
    }
    return differentiate(graph, params);
}

Module run_pass(const Module &module, const std::string &pass) {
    Module result = module;
    for (auto &[name, graph] : result.graphs) {
        if (pass == "verify") continue;  // done after every pass
        if (pass == "differentiate") graph = with_gradients(module, graph);
        else graph = find_pass(pass)->run(graph);
    }
    return result;
}

void verify_all(const Module &module, Diagnostics &diagnostics) {
    for (const auto &[name, graph] : module.graphs) verify(graph, diagnostics);
}

/// Printing, parsing and printing again gives the same text.
void check_roundtrip(const Module &module) {
    std::string text = print(module);
    SourceMap sources;
    Diagnostics diagnostics;
    const SourceFile &file = sources.add("roundtrip", text);
    std::string again = print(parse_module(file, diagnostics));
    KILN_CHECK(!diagnostics.has_errors(), "the printed IR does not parse:\n{}\n{}", render(diagnostics, false), text);
    KILN_CHECK(again == text, "printing what was parsed differs:\n{}\n---\n{}", text, again);
}

std::string op_counts(const Module &module) {
    std::string text;
    for (const auto &[name, graph] : module.graphs) {
        std::map<std::string, int> counts;
        for (const Node &node : graph.nodes) counts[info(node.op).name]++;
        text += fmt::format("graph {}: {} ops\n", name, graph.nodes.size());
        for (const auto &[op, count] : counts) text += fmt::format("  {} {}\n", op, count);
    }
    return text;
}

}  // namespace

std::string describe_passes() {
    std::string text;
    for (const Pass &pass : all_passes()) text += fmt::format("  {:24} {}\n", pass.name, pass.summary);
    text += fmt::format("  {:24} {}\n", "differentiate", "append the gradients of `loss` with respect to the parameters read");
    text += fmt::format("  {:24} {}\n", "verify", "nothing: graphs are verified after every pass");
    return text;
}

int opt(const OptOptions &options) {
    for (const std::string &pass : options.passes)
        if (pass != "verify" && pass != "differentiate" && !find_pass(pass)) {
            std::vector<std::string> names = {"verify", "differentiate"};
            for (const Pass &known : all_passes()) names.push_back(known.name);
            std::string near = nearest_name(pass, names);
            throw UsageError(fmt::format("no pass `{}`{}; `kiln help opt` lists them", pass, near.empty() ? "" : fmt::format(", did you mean `{}`?", near)));
        }

    Diagnostics diagnostics;
    SourceMap sources;
    const SourceFile *file = read_source(options.input, sources, diagnostics);
    if (!file) { print_diagnostics(diagnostics, options.colour); return kExitProgram; }
    Module module = parse_module(*file, diagnostics);
    if (!diagnostics.has_errors()) verify_all(module, diagnostics);
    for (const std::string &pass : options.passes) {
        if (pass == "differentiate")
            for (const auto &[name, graph] : module.graphs)
                if (stores_gradients(graph)) diagnostics.report(DiagnosticCode::ir_has_gradients, Loc{}, {name});
        if (diagnostics.has_errors()) break;
        module = run_pass(module, pass);
        Diagnostics problems;
        verify_all(module, problems);
        KILN_CHECK(!problems.has_errors(), "pass {} broke the graph:\n{}", pass, render(problems, false));
    }

    if (options.verify_diagnostics) {
        std::string problems = compare_with_expectations(*file, diagnostics);
        fmt::print(stderr, "{}", problems);
        return problems.empty() ? kExitOk : kExitProgram;
    }
    if (print_diagnostics(diagnostics, options.colour)) return kExitProgram;
    if (options.verify_roundtrip) check_roundtrip(module);
    write_stdout(options.count_ops ? op_counts(module) : print(module, {options.print_locations, true}));
    return kExitOk;
}

}  // namespace kiln
