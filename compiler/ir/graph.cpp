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

}  // namespace kiln
