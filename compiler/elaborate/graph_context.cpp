#include "compiler/elaborate/graph_context.h"

#include <fmt/format.h>

namespace kiln {

namespace {
std::string key_of(InputKind kind, const std::string &name) { return fmt::format("{}:{}", int(kind), name); }
}  // namespace

NodeId GraphContext::input(InputKind kind, const std::string &name, const Type &type) {
    auto [entry, is_new] = inputs.try_emplace(key_of(kind, name));
    if (is_new) entry->second = builder.input(kind, name, type);
    return entry->second;
}

NodeId GraphContext::read(InputKind kind, const std::string &name, const Type &type) {
    auto written = current.find(key_of(kind, name));
    return written != current.end() ? written->second : input(kind, name, type);
}

void GraphContext::write(InputKind kind, const std::string &name, NodeId value) {
    std::string key = key_of(kind, name);
    if (!current.count(key))
        writes.push_back({kind == InputKind::scalar ? ResultKind::scalar : ResultKind::store, name, {}});
    current[key] = value;
}

Graph GraphContext::finish() {
    Graph complete = graph;
    for (Result result : writes) {
        InputKind kinds[] = {InputKind::storage, InputKind::arena, InputKind::scalar};
        for (InputKind kind : kinds) {
            auto entry = current.find(key_of(kind, result.name));
            if (entry != current.end()) result.value = entry->second;
        }
        complete.results.push_back(result);
    }
    return prune(complete);
}

Graph prune(const Graph &graph) {
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
