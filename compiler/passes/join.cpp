// Sums of tensors that are padded with zeros along one axis, side by side, become one tensor that is joined: the gradient of what is read piece
// by piece, such as the inputs of the steps of a recurrent layer, or the parts of a product. A sum of n pieces would write, and read again, n
// tensors of the size of the whole.
#include "compiler/passes/passes.h"
#include "compiler/passes/rewrite.h"

#include <algorithm>
#include <map>
#include <optional>

namespace kiln {

namespace {

/// Part of a tensor along an axis, whose other elements are zeros.
struct Piece {
    NodeId value;
    int64_t begin = 0, end = 0;
};

struct Pieces {
    size_t axis = 0;
    std::vector<Piece> list;  ///< in order, not overlapping
};

/// One piece of the new graph that is padded along one axis alone.
std::optional<Pieces> padded(const Graph &graph, const Node &node) {
    if (node.op != Op::pad) return {};
    const PadAttrs &pad = attrs<PadAttrs>(node);
    std::optional<size_t> along;
    for (size_t axis = 0; axis < pad.low.size(); ++axis) {
        if (pad.interior[axis] != 0) return {};
        if (pad.low[axis] == 0 && pad.high[axis] == 0) continue;
        if (along) return {};
        along = axis;
    }
    if (!along) return {};
    const int64_t begin = pad.low[*along];
    return Pieces{*along, {{node.operands[0], begin, begin + graph[node.operands[0]].type.shape[*along]}}};
}

/// All pieces of both, unless some overlap or they lie along different axes.
std::optional<Pieces> together(const Pieces &a, const Pieces &b) {
    if (a.axis != b.axis) return {};
    Pieces all{a.axis, {}};
    auto before = [](const Piece &x, const Piece &y) { return x.begin < y.begin; };
    std::merge(a.list.begin(), a.list.end(), b.list.begin(), b.list.end(), std::back_inserter(all.list), before);
    for (size_t i = 1; i < all.list.size(); ++i)
        if (all.list[i].begin < all.list[i - 1].end) return {};
    return all;
}

/// The sum, if no gap is between its pieces.
std::optional<NodeId> joined(Rewriter &rewriter, const Node &sum, const Pieces &pieces) {
    std::vector<NodeId> values;
    for (size_t i = 0; i < pieces.list.size(); ++i) {
        if (i > 0 && pieces.list[i].begin != pieces.list[i - 1].end) return {};
        values.push_back(pieces.list[i].value);
    }
    Builder &builder = rewriter.builder_at(sum);
    const NodeId whole = builder.append(Op::concat, values, AxisAttrs{int64_t(pieces.axis)});
    PadAttrs pad{Ints(sum.type.shape.size(), 0), Ints(sum.type.shape.size(), 0), Ints(sum.type.shape.size(), 0)};
    pad.low[pieces.axis] = pieces.list.front().begin;
    pad.high[pieces.axis] = sum.type.shape[pieces.axis] - pieces.list.back().end;
    if (pad.low[pieces.axis] == 0 && pad.high[pieces.axis] == 0) return whole;
    return builder.append(Op::pad, {whole}, pad);
}

}  // namespace

Graph join(const Graph &graph) {
    Rewriter rewriter(graph);
    std::map<NodeId, Pieces> pieces;  // by node of the old graph
    for (int i = 0; i < graph.size(); ++i) {
        const Node node = rewriter.moved({i});
        std::optional<Pieces> own = padded(rewriter.result(), node);
        if (node.op == Op::add) {
            const auto a = pieces.find(graph.nodes[size_t(i)].operands[0]), b = pieces.find(graph.nodes[size_t(i)].operands[1]);
            if (a != pieces.end() && b != pieces.end()) own = together(a->second, b->second);
            if (const std::optional<NodeId> sum = own ? joined(rewriter, node, *own) : std::nullopt) rewriter.map({i}, *sum);
            else rewriter.copy({i});
        } else {
            rewriter.copy({i});
        }
        if (own) pieces[{i}] = std::move(*own);
    }
    return rewriter.finish();
}

}  // namespace kiln
