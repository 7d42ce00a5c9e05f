#include "compiler/ir/graph.h"

#include <array>

namespace kiln {

const OpInfo &info(Op op) {
    static const std::array<OpInfo, kOpCount> kTable = {{
#define OP(name, arity, attributes, traits) {#name, arity, traits, attributes{}},
#include "compiler/ir/ops.def"
#undef OP
    }};
    return kTable[size_t(op)];
}

bool is_splat(const Node &node) { return node.op == Op::constant && attrs<ConstantAttrs>(node).values.size() == 1; }
bool is_splat(const Node &node, double value) { return is_splat(node) && attrs<ConstantAttrs>(node).values[0] == value; }

bool depends_on(const Graph &graph, NodeId value, NodeId on) {
    std::vector<bool> reaches(graph.nodes.size(), false);
    reaches[size_t(on.index)] = true;
    for (int i = on.index + 1; i <= value.index; ++i)
        for (NodeId operand : graph.nodes[size_t(i)].operands) reaches[size_t(i)] = reaches[size_t(i)] || reaches[size_t(operand.index)];
    return reaches[size_t(value.index)];
}

std::vector<std::vector<NodeId>> users_of(const Graph &graph) {
    std::vector<std::vector<NodeId>> users(graph.nodes.size());
    for (int32_t i = 0; i < graph.size(); ++i) {
        for (NodeId operand : graph.nodes[size_t(i)].operands) {
            auto &list = users[size_t(operand.index)];
            if (list.empty() || list.back() != NodeId{i}) list.push_back(NodeId{i});
        }
    }
    return users;
}

Graph dce(const Graph &graph) {
    std::vector<bool> live(graph.nodes.size(), false);
    for (const Result &result : graph.results) live[size_t(result.value.index)] = true;
    for (size_t i = graph.nodes.size(); i-- > 0;)
        if (live[i])
            for (NodeId operand : graph.nodes[i].operands) live[size_t(operand.index)] = true;

    Graph pruned;
    pruned.name = graph.name;
    std::vector<NodeId> renumbered(graph.nodes.size());
    for (size_t i = 0; i < graph.nodes.size(); ++i) {
        if (!live[i]) continue;
        renumbered[i] = NodeId{int32_t(pruned.nodes.size())};
        Node node = graph.nodes[i];
        for (NodeId &operand : node.operands) operand = renumbered[size_t(operand.index)];
        pruned.nodes.push_back(std::move(node));
    }
    for (Result result : graph.results) {
        result.value = renumbered[size_t(result.value.index)];
        pruned.results.push_back(std::move(result));
    }
    return pruned;
}

}  // namespace kiln
