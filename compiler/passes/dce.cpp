// Dead code elimination: drops nodes no result depends on.
#include "compiler/passes/passes.h"
#include "compiler/passes/rewrite.h"

namespace kiln {

Graph dce(const Graph &graph) {
    std::vector<bool> live(graph.nodes.size(), false);
    for (const Result &result : graph.results) live[size_t(result.value.index)] = true;
    for (size_t i = graph.nodes.size(); i-- > 0;)
        if (live[i])
            for (NodeId operand : graph.nodes[i].operands) live[size_t(operand.index)] = true;
    Rewriter rewriter(graph);
    for (int i = 0; i < graph.size(); ++i)
        if (live[size_t(i)]) rewriter.copy({i});
    return rewriter.finish();
}

}  // namespace kiln
