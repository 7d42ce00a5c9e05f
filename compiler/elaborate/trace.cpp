// The graph "trace": the model in inference form on one sample, with what its layers compute on the way as results.
#include "compiler/elaborate/elaborator.h"

#include <fmt/format.h>

#include <algorithm>

namespace kiln {

namespace {

/// Where a value stands: "conv_1" in the model's layer conv_1, "" in the model itself.
std::string layer_of(const Node &node) {
    size_t slash = node.scope.find('/');
    return slash == std::string::npos ? "" : node.scope.substr(slash + 1);
}

bool is_view(const Node &node) { return has_trait(node.op, kView) || node.op == Op::cast || node.op == Op::stop_gradient; }

/// What somebody would want to see: results of layers, and inside them everything but steps of elementwise arithmetic and views.
std::vector<bool> worth_showing(const Graph &graph) {
    std::vector<bool> chosen(graph.nodes.size(), false), leaves(graph.nodes.size(), false);
    for (const Result &result : graph.results) leaves[size_t(result.value.index)] = true;
    // Views of a layer's result count as the result itself.
    for (size_t i = graph.nodes.size(); i-- > 0;) {
        const Node &node = graph.nodes[i];
        for (NodeId operand : node.operands)
            if (layer_of(graph[operand]) != layer_of(node) || (is_view(node) && leaves[i])) leaves[size_t(operand.index)] = true;
    }
    for (size_t i = 0; i < graph.nodes.size(); ++i) {
        const Node &node = graph.nodes[i];
        bool per_sample = node.type.rank() >= 1 && node.type.shape[0] == 1 && node.op != Op::input && node.op != Op::constant;
        chosen[i] = per_sample && !is_view(node) && (leaves[i] || !has_trait(node.op, kElementwise));
    }
    return chosen;
}

}  // namespace

/// `context`: the model has been walked in it, on one sample.
void Elaborator::elaborate_trace(const GraphContext &context) {
    Graph graph = context.graph;
    graph.name = "trace";
    graph.results = outputs_;
    std::vector<bool> in_cone(graph.nodes.size(), false);
    for (const Result &result : outputs_) in_cone[size_t(result.value.index)] = true;
    for (size_t i = graph.nodes.size(); i-- > 0;)
        if (in_cone[i])
            for (NodeId operand : graph.nodes[i].operands) in_cone[size_t(operand.index)] = true;
    const std::vector<Result> outputs = outputs_;
    std::vector<bool> chosen = worth_showing(graph), depends = depends_on_data(graph);
    graph.results.clear();
    std::map<std::string, int> used;
    auto add = [&](const std::string &name, NodeId node) {
        int count = ++used[name];
        graph.results.push_back({ResultKind::output, count == 1 ? name : fmt::format("{}.{}", name, count), node});
    };
    // The name of a view is that of what it shows, unless that has its own.
    std::map<int32_t, std::string> names = named_values_;
    for (const auto &[index, name] : named_values_) {
        NodeId shown{index};
        while (is_view(graph[shown])) shown = graph[shown].operands[0];
        names.try_emplace(shown.index, name);
    }
    std::map<std::string, size_t> last_of_layer;
    for (size_t i = 0; i < graph.nodes.size(); ++i)
        if (in_cone[i] && chosen[i] && depends[i]) last_of_layer[layer_of(graph.nodes[i])] = i;
    for (size_t i = 0; i < graph.nodes.size(); ++i) {
        auto output = std::find_if(outputs.begin(), outputs.end(), [&](const Result &r) { return size_t(r.value.index) == i; });
        std::string layer = layer_of(graph.nodes[i]), op = info(graph.nodes[i].op).name;
        if (output != outputs.end()) add(output->name, NodeId{int32_t(i)});
        else if (!in_cone[i] || !chosen[i] || !depends[i]) continue;
        else if (auto named = names.find(int32_t(i)); layer.empty() && named != names.end()) add(named->second, NodeId{int32_t(i)});
        else if (!layer.empty() && last_of_layer[layer] == i) add(layer, NodeId{int32_t(i)});
        else add(layer.empty() ? op : layer + "." + op, NodeId{int32_t(i)});
    }
    module_.graphs["trace"] = dce(graph);
}

}  // namespace kiln
