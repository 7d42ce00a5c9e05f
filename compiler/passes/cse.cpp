// Common subexpression elimination: of nodes with the same op, attributes, operands and type the first stands for all.
// Operands of commutative ops count in either order. Every op is a function of its operands (random numbers too), so all
// may be shared.
#include "compiler/passes/passes.h"
#include "compiler/passes/rewrite.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <string>

namespace kiln {

namespace {

/// Appends the bytes of a value to a key; lengths first, so that keys of different values differ.
void append_key(std::string &key, int64_t value) { key.append(reinterpret_cast<const char *>(&value), sizeof value); }
void append_key(std::string &key, bool value) { append_key(key, int64_t(value)); }
void append_key(std::string &key, DType value) { append_key(key, int64_t(value)); }
void append_key(std::string &key, InputKind value) { append_key(key, int64_t(value)); }
void append_key(std::string &key, Fill value) { append_key(key, int64_t(value)); }
void append_key(std::string &key, const std::string &value) {
    append_key(key, int64_t(value.size()));
    key += value;
}
void append_key(std::string &key, const Ints &values) {
    append_key(key, int64_t(values.size()));
    for (int64_t value : values) append_key(key, value);
}
void append_key(std::string &key, double value) {
    int64_t bits;  // 0 and -0 differ, equal NaNs do not
    std::memcpy(&bits, &value, sizeof bits);
    append_key(key, bits);
}
void append_key(std::string &key, const std::vector<double> &values) {
    append_key(key, int64_t(values.size()));
    for (double value : values) append_key(key, value);
}
void append_key(std::string &key, Reducer value) { append_key(key, int64_t(value)); }
void append_key(std::string &key, const std::vector<AffineIndex> &list) {
    append_key(key, int64_t(list.size()));
    for (const AffineIndex &index : list) {
        append_key(key, index.coefficients);
        append_key(key, index.offset);
        append_key(key, index.gather);
    }
}
void append_key(std::string &key, const std::vector<BodyValue> &body) {
    append_key(key, int64_t(body.size()));
    for (const BodyValue &value : body) {
        append_key(key, int64_t(value.kind));
        append_key(key, value.dtype);
        append_key(key, int64_t(value.op));
        append_key(key, value.operand);
        append_key(key, std::vector<double>{value.value});
        append_key(key, value.at);
        append_key(key, value.operands);
    }
}

std::string key_of(const Node &node) {
    std::string key;
    append_key(key, int64_t(node.op));
    std::visit([&](const auto &attributes) { attributes.visit([&](std::string_view, const auto &member) { append_key(key, member); }); }, node.attrs);
    append_key(key, node.type.dtype);
    append_key(key, node.type.shape);
    std::vector<NodeId> operands = node.operands;
    if (has_trait(node.op, kCommutative)) std::sort(operands.begin(), operands.end());
    for (NodeId operand : operands) append_key(key, int64_t(operand.index));
    return key;
}

}  // namespace

Graph cse(const Graph &graph) {
    Rewriter rewriter(graph);
    std::map<std::string, NodeId> first;
    for (int i = 0; i < graph.size(); ++i) {
        Node node = rewriter.moved({i});
        auto [entry, is_new] = first.try_emplace(key_of(node));
        if (is_new) entry->second = rewriter.append(std::move(node));
        rewriter.map({i}, entry->second);
    }
    return rewriter.finish();
}

}  // namespace kiln
