#include "compiler/ir/verify.h"

#include "compiler/ir/text_names.h"
#include "compiler/support/diagnostic_codes.h"

#include <fmt/format.h>

#include <set>
#include <tuple>

namespace kiln {

namespace {

/// "graph `train`: %4 (matmul)"
std::string place(const Graph &graph, int index) {
    return fmt::format("graph `{}`, %{} ({})", graph.name, index, info(graph.nodes[size_t(index)].op).name);
}

/// Operands of an elementwise op whose extents differ from the result's.
void verify_elementwise(const Graph &graph, int index, Diagnostics &diagnostics) {
    const Node &node = graph.nodes[size_t(index)];
    for (NodeId operand : node.operands)
        if (graph[operand].type.shape != node.type.shape)
            diagnostics.report(DiagnosticCode::ir_elementwise_shape, node.loc,
                               {place(graph, index), to_string(graph[operand].type), to_string(node.type)});
}

}  // namespace

bool verify_structure(const Graph &graph, Diagnostics &diagnostics) {
    int errors = diagnostics.error_count();
    for (int i = 0; i < graph.size(); ++i) {
        const Node &node = graph.nodes[size_t(i)];
        const OpInfo &op = info(node.op);
        if (node.attrs.index() != op.default_attrs.index())
            diagnostics.report(DiagnosticCode::ir_attribute_kind, node.loc, {place(graph, i)});
        if (op.arity >= 0 ? int(node.operands.size()) != op.arity : node.operands.empty())
            diagnostics.report(DiagnosticCode::ir_arity, node.loc,
                               {place(graph, i), op.arity >= 0 ? std::to_string(op.arity) : "one or more",
                                std::to_string(node.operands.size())});
        bool ordered = true;
        for (NodeId operand : node.operands)
            if (!operand.valid() || operand.index >= i) {
                diagnostics.report(DiagnosticCode::ir_operand_order, node.loc, {place(graph, i), std::to_string(operand.index)});
                ordered = false;
            }
        if (ordered && has_trait(node.op, kElementwise)) verify_elementwise(graph, i, diagnostics);
        for (int64_t extent : node.type.shape)
            if (extent < 0) diagnostics.report(DiagnosticCode::ir_negative_extent, node.loc, {place(graph, i), to_string(node.type)});
    }

    std::set<std::tuple<ResultKind, std::string>> seen;
    for (const Result &result : graph.results) {
        std::string what = fmt::format("{} \"{}\"", text::name_of_enumerator(result.kind), result.name);
        if (!result.value.valid() || result.value.index >= graph.size()) {
            diagnostics.report(DiagnosticCode::ir_result_undefined, Loc{}, {graph.name, what, std::to_string(result.value.index)});
            continue;
        }
        const Node &node = graph[result.value];
        bool scalar = result.kind == ResultKind::loss || result.kind == ResultKind::scalar;
        if (scalar && node.type.rank() != 0)
            diagnostics.report(DiagnosticCode::ir_result_rank, node.loc, {graph.name, what, to_string(node.type)});
        if (result.kind != ResultKind::value && !seen.insert({result.kind, result.kind == ResultKind::loss ? "" : result.name}).second)
            diagnostics.report(DiagnosticCode::ir_result_duplicate, node.loc, {graph.name, what});
    }
    return diagnostics.error_count() == errors;
}

}  // namespace kiln
