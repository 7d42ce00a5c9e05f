#include "compiler/elaborate/graph_context.h"

#include <fmt/format.h>

#include <algorithm>

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
    if (written.insert(key).second)
        writes.push_back({kind == InputKind::scalar ? ResultKind::scalar : ResultKind::store, name, {}});
    current[key] = value;
}

void GraphContext::set(InputKind kind, const std::string &name, NodeId value) { current[key_of(kind, name)] = value; }

bool GraphContext::is_known(InputKind kind, const std::string &name) const { return current.count(key_of(kind, name)) > 0; }

std::optional<int64_t> GraphContext::classes_of(NodeId id) const {
    if (auto known = classes.find(id.index); known != classes.end()) return known->second;
    const Node &node = graph[id];
    // What moves elements makes no others, except zeros, which are below any number of classes.
    auto most_of = [&](size_t first) -> std::optional<int64_t> {
        int64_t most = 0;
        for (size_t i = first; i < node.operands.size(); ++i) {
            const std::optional<int64_t> classes = classes_of(node.operands[i]);
            if (!classes) return {};
            most = std::max(most, *classes);
        }
        return most;
    };
    if (has_trait(node.op, kView)) return most_of(0);
    if (node.op == Op::select && is_integer(node.type.dtype)) return most_of(1);
    if (node.op == Op::constant && is_integer(node.type.dtype)) {
        const auto [least, most] = std::ranges::minmax_element(attrs<ConstantAttrs>(node).values);
        return *least >= 0 ? std::optional(int64_t(*most) + 1) : std::nullopt;
    }
    if (node.op == Op::comprehension) {  // elements of a tensor, by places of any kind
        const auto &read = attrs<ComprehensionAttrs>(node);
        const bool is_gather = read.body.back().kind == BodyValue::Kind::read && int64_t(read.space.size()) == read.kept && read.target.empty();
        return is_gather ? classes_of(node.operands[size_t(read.body.back().operand)]) : std::nullopt;
    }
    if (node.op == Op::argmax) return graph[node.operands[0]].type.shape[size_t(std::get<AxisAttrs>(node.attrs).axis)];
    if ((node.op != Op::modulo && node.op != Op::divide) || !is_integer(node.type.dtype)) return {};
    const Node *by = &graph[node.operands[1]];
    if (by->op == Op::broadcast) by = &graph[by->operands[0]];
    if (by->op != Op::constant || std::get<ConstantAttrs>(by->attrs).values.size() != 1) return {};
    const int64_t divisor = int64_t(std::get<ConstantAttrs>(by->attrs).values[0]);
    if (divisor <= 0) return {};
    if (node.op == Op::modulo) return divisor;
    const std::optional<int64_t> dividend = classes_of(node.operands[0]);
    return dividend ? std::optional((*dividend + divisor - 1) / divisor) : std::nullopt;
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
    return dce(complete);
}

}  // namespace kiln
