// What passes share: building the new graph while walking the old one.
#pragma once

#include "compiler/ir/graph.h"
#include "compiler/ops/builder.h"

#include <vector>

namespace kiln {

/// Walks a graph in order and fills a new one. `mapped[i]` is what node i of the old graph became.
class Rewriter {
public:
    explicit Rewriter(const Graph &source) : source_(source), mapped_(source.nodes.size()), builder_(result_) { result_.name = source.name; }

    const Graph &source() const { return source_; }
    const Graph &result() const { return result_; }
    NodeId mapped(NodeId old) const { return mapped_[size_t(old.index)]; }
    void map(NodeId old, NodeId now) { mapped_[size_t(old.index)] = now; }
    /// The node with its operands replaced by what they became.
    Node moved(NodeId old) const {
        Node node = source_[old];
        for (NodeId &operand : node.operands) operand = mapped(operand);
        return node;
    }
    NodeId append(Node node) {
        result_.nodes.push_back(std::move(node));
        return {result_.size() - 1};
    }
    NodeId copy(NodeId old) {
        const NodeId now = append(moved(old));
        map(old, now);
        return now;
    }
    /// A builder into the new graph that gives its nodes the place of an old one.
    Builder &builder_at(const Node &place) {
        builder_.set_loc(place.loc);
        builder_.set_scope(place.scope);
        return builder_;
    }
    Graph finish() {
        for (Result result : source_.results) {
            result.value = mapped(result.value);
            result_.results.push_back(std::move(result));
        }
        return std::move(result_);
    }

private:
    const Graph &source_;
    std::vector<NodeId> mapped_;
    Graph result_;
    Builder builder_;
};

}  // namespace kiln
