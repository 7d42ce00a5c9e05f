#include "compiler/ops/interpret.h"

#include "compiler/ops/rules.h"
#include "compiler/support/check.h"

namespace kiln {

std::vector<Tensor> interpret(const Graph &graph, const std::function<Tensor(const Node &)> &read_input) {
    // A value lives until its last user has run.
    std::vector<int> uses(graph.nodes.size(), 0);
    for (const Node &node : graph.nodes)
        for (NodeId operand : node.operands) ++uses[size_t(operand.index)];
    for (const Result &result : graph.results) ++uses[size_t(result.value.index)];

    std::vector<Tensor> values(graph.nodes.size());
    for (size_t i = 0; i < graph.nodes.size(); ++i) {
        const Node &node = graph.nodes[i];
        if (uses[i] == 0) continue;
        if (node.op == Op::input) {
            values[i] = read_input(node);
            KILN_CHECK(values[i].type == node.type && int64_t(values[i].values.size()) == node.type.elements(), "input \"{}\" is {}, not {}",
                       attrs<InputAttrs>(node).name, to_string(values[i].type), to_string(node.type));
        } else {
            std::vector<const Tensor *> operands;
            for (NodeId operand : node.operands) operands.push_back(&values[size_t(operand.index)]);
            values[i] = evaluate(node, operands);
        }
        for (NodeId operand : node.operands)
            if (--uses[size_t(operand.index)] == 0) values[size_t(operand.index)] = Tensor{};
    }

    std::vector<Tensor> results;
    for (const Result &result : graph.results) results.push_back(values[size_t(result.value.index)]);
    return results;
}

}  // namespace kiln
