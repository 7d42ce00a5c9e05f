#include "compiler/autodiff/differentiate.h"

#include "compiler/ops/builder.h"
#include "compiler/ops/rules.h"
#include "compiler/support/check.h"

#include <algorithm>

namespace kiln {
namespace {

/// active[i]: the gradient of node i is wanted, because it is in `wrt` or a differentiable path leads to it from there.
std::vector<bool> active_nodes(const Graph &graph, const std::vector<NodeId> &wrt) {
    std::vector<bool> active(graph.nodes.size(), false);
    for (NodeId id : wrt) active[size_t(id.index)] = true;
    for (size_t i = 0; i < graph.nodes.size(); ++i) {
        const Node &node = graph.nodes[i];
        if (has_trait(node.op, kIntegral) || !is_float(node.type.dtype)) continue;
        for (NodeId operand : node.operands)
            if (active[size_t(operand.index)]) active[i] = true;
    }
    return active;
}

/// Removes the nodes from `first` on that `roots` do not need, and renames the roots. A gradient rule makes the gradients of
/// all operands; those of operands that are not active end here.
void drop_unneeded(Graph &graph, size_t first, std::vector<NodeId> &roots) {
    std::vector<bool> needed(graph.nodes.size(), false);
    for (NodeId id : roots) needed[size_t(id.index)] = true;
    for (size_t i = graph.nodes.size(); i-- > first;)
        if (needed[i])
            for (NodeId operand : graph.nodes[i].operands) needed[size_t(operand.index)] = true;

    std::vector<NodeId> renamed(graph.nodes.size());
    size_t next = first;
    for (size_t i = 0; i < graph.nodes.size(); ++i) {
        if (i >= first && !needed[i]) continue;
        const size_t target = i < first ? i : next++;
        renamed[i] = NodeId{int32_t(target)};
        if (i < first) continue;
        for (NodeId &operand : graph.nodes[i].operands) operand = renamed[size_t(operand.index)];
        if (target != i) graph.nodes[target] = std::move(graph.nodes[i]);
    }
    graph.nodes.resize(next);
    for (NodeId &id : roots) id = renamed[size_t(id.index)];
}

}  // namespace

std::vector<NodeId> append_gradients(Graph &graph, NodeId loss, const std::vector<NodeId> &wrt) {
    KILN_CHECK(graph[loss].type.rank() == 0 && is_float(graph[loss].type.dtype), "the loss is {}", to_string(graph[loss].type));
    for (NodeId id : wrt) KILN_CHECK(is_float(graph[id].type.dtype), "a gradient with respect to {}", to_string(graph[id].type));

    const std::vector<bool> active = active_nodes(graph, wrt);
    const size_t first_new = graph.nodes.size();
    std::vector<NodeId> gradients(first_new);  // the sum of the contributions so far; invalid: none
    Builder builder(graph);

    const auto enter = [&](NodeId id) {
        builder.set_loc(graph[id].loc);
        builder.set_scope(graph[id].scope);
    };
    enter(loss);
    gradients[size_t(loss.index)] = builder.constant(1, graph[loss].type);
    for (NodeId id = loss; id.valid(); --id.index) {
        const NodeId dy = gradients[size_t(id.index)];
        if (!active[size_t(id.index)] || !dy.valid() || graph[id].operands.empty()) continue;
        // A node in `wrt` may be integral: nothing flows through it.
        if (has_trait(graph[id].op, kIntegral)) continue;
        enter(id);
        const std::vector<NodeId> contributions = vjp(builder, graph, id, dy);
        const std::vector<NodeId> operands = graph[id].operands;
        KILN_CHECK(contributions.size() == operands.size(), "the gradient rule of {} made {} gradients for {} operands", info(graph[id].op).name,
                   contributions.size(), operands.size());
        for (size_t i = 0; i < operands.size(); ++i) {
            const size_t operand = size_t(operands[i].index);
            if (!active[operand] || !contributions[i].valid()) continue;
            KILN_CHECK(graph[contributions[i]].type == graph[operands[i]].type, "the gradient of operand {} of {} is {}, not {}", i,
                       info(graph[id].op).name, to_string(graph[contributions[i]].type), to_string(graph[operands[i]].type));
            gradients[operand] = gradients[operand].valid() ? builder.add(gradients[operand], contributions[i]) : contributions[i];
        }
    }

    std::vector<NodeId> results;
    for (NodeId id : wrt) {
        enter(id);
        const Type type = graph[id].type;
        const NodeId gradient = gradients[size_t(id.index)];
        results.push_back(gradient.valid() ? gradient : builder.constant(0, type));
    }
    drop_unneeded(graph, first_new, results);
    return results;
}

bool stores_gradients(const Graph &graph) {
    return std::any_of(graph.results.begin(), graph.results.end(), [](const Result &r) { return r.kind == ResultKind::store && r.name.starts_with("gradient:"); });
}

Graph differentiate(const Graph &graph, const std::vector<std::string> &param_paths) {
    Graph result = graph;
    const auto loss = std::find_if(graph.results.begin(), graph.results.end(), [](const Result &r) { return r.kind == ResultKind::loss; });
    KILN_CHECK(loss != graph.results.end(), "graph {} has no loss", graph.name);
    KILN_CHECK(!stores_gradients(graph), "graph {} stores gradients already", graph.name);

    std::vector<NodeId> inputs;
    for (int32_t i = 0; i < graph.size(); ++i) {
        const Node &node = graph.nodes[size_t(i)];
        if (node.op != Op::input || attrs<InputAttrs>(node).kind != InputKind::storage) continue;
        if (std::find(param_paths.begin(), param_paths.end(), attrs<InputAttrs>(node).name) != param_paths.end()) inputs.push_back(NodeId{i});
    }
    const std::vector<NodeId> gradients = append_gradients(result, loss->value, inputs);
    // A parameter may be read by several input nodes; its gradient is their sum.
    Builder builder(result);
    for (size_t i = 0; i < inputs.size(); ++i) {
        const std::string name = "gradient:" + attrs<InputAttrs>(graph[inputs[i]]).name;
        const auto earlier = std::find_if(result.results.begin(), result.results.end(),
                                          [&](const Result &r) { return r.kind == ResultKind::store && r.name == name; });
        if (earlier == result.results.end()) result.results.push_back({ResultKind::store, name, gradients[i]});
        else earlier->value = builder.add(earlier->value, gradients[i]);
    }
    return result;
}

}  // namespace kiln
