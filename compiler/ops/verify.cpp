#include "compiler/ir/verify.h"

#include "compiler/ops/interpret.h"
#include "compiler/ops/rules.h"
#include "compiler/support/diagnostic_codes.h"

#include <fmt/ranges.h>

namespace kiln {

bool verify(const Graph &graph, Diagnostics &diagnostics) {
    if (!verify_structure(graph, diagnostics)) return false;
    const int errors = diagnostics.error_count();
    for (int i = 0; i < graph.size(); ++i) {
        const Node &node = graph.nodes[size_t(i)];
        std::vector<Type> types;
        std::vector<std::string> names;
        for (NodeId operand : node.operands) {
            types.push_back(graph[operand].type);
            names.push_back(to_string(graph[operand].type));
        }
        const std::string place = fmt::format("graph `{}`, %{} ({})", graph.name, i, info(node.op).name);
        const std::string operands = names.empty() ? "nothing" : fmt::format("{}", fmt::join(names, ", "));
        const ShapeResult inferred = infer_type(node.op, types, node.attrs, node.type);
        if (const ShapeError *error = std::get_if<ShapeError>(&inferred))
            diagnostics.report(DiagnosticCode::ir_shape_rule, node.loc, {place, operands, error->message});
        else if (std::get<Type>(inferred) != node.type)
            diagnostics.report(DiagnosticCode::ir_type, node.loc, {place, operands, to_string(node.type), to_string(std::get<Type>(inferred))});
    }
    return diagnostics.error_count() == errors;
}

bool verify(const Module &module, Diagnostics &diagnostics) {
    const int errors = diagnostics.error_count();
    for (const auto &[name, graph] : module.graphs) verify(graph, diagnostics);
    return diagnostics.error_count() == errors && verify_declarations(module, diagnostics);
}

}  // namespace kiln
