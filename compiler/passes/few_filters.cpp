// Convolutions to few filters, such as the last of a network from a picture to a picture. Summed along the filters they fill a part of a vector; the
// transposed convolution with the kernel turned around has the same sums along the channels:
//   conv2d(x, w) = conv2d_input_gradient(x, turned w),   w'[r, s, k, c] = w[R - 1 - r, S - 1 - s, c, k],
// with the border (R - 1) dilation less the padding. So are the input gradient a convolution of the gradient, and the weight gradient one with its operands exchanged.
#include "compiler/passes/passes.h"
#include "compiler/passes/rewrite.h"

#include <algorithm>

namespace kiln {

namespace {

constexpr int64_t kMostFilters = 4;      ///< of which a vector of 8 numbers or more is half filled at best
constexpr int64_t kChannelsAFilter = 4;  ///< at least; with fewer, nothing is gained

/// What the convolution of a picture [n, H, W, C] by [R, S, C, K] would have as a transposed one.
struct Turned {
    Ints padding;
    bool fits = false;
};

template <class Attributes>
Turned turned(const Attributes &attrs, int64_t channels, int64_t filters, int64_t rows, int64_t columns) {
    const int64_t down = (rows - 1) * attrs.dilation[0], across = (columns - 1) * attrs.dilation[1];
    const Ints padding{down - attrs.padding[0], down - attrs.padding[1], across - attrs.padding[2], across - attrs.padding[3]};
    const bool is_inside = std::all_of(padding.begin(), padding.end(), [](int64_t border) { return border >= 0; });
    return {padding, filters <= kMostFilters && channels >= kChannelsAFilter * filters && attrs.stride == Ints{1, 1} && is_inside};
}

NodeId turn(Builder &builder, NodeId kernel) {
    const Shape shape = builder.type(kernel).shape;
    const NodeId reversed = shape[0] * shape[1] > 1 ? builder.append(Op::reverse, {kernel}, AxesAttrs{{0, 1}}) : kernel;
    return builder.append(Op::transpose, {reversed}, AxesAttrs{{0, 1, 3, 2}});
}

/// What the node becomes; an invalid id if it stays.
NodeId rewritten(Rewriter &rewriter, const Node &node) {
    if (node.op != Op::conv2d && node.op != Op::conv2d_input_gradient && node.op != Op::conv2d_weight_gradient) return {};
    const Shape first = rewriter.result()[node.operands[0]].type.shape, second = rewriter.result()[node.operands[1]].type.shape;
    Builder &builder = rewriter.builder_at(node);
    if (node.op == Op::conv2d) {
        const ConvAttrs &own = attrs<ConvAttrs>(node);
        const Turned other = turned(own, second[2], second[3], second[0], second[1]);
        if (!other.fits) return {};
        const NodeId kernel = turn(builder, node.operands[1]);
        return builder.append(Op::conv2d_input_gradient, {node.operands[0], kernel},
                              ConvGradAttrs{own.stride, other.padding, own.dilation, {node.type.shape[1], node.type.shape[2]}});
    }
    const ConvGradAttrs &own = attrs<ConvGradAttrs>(node);
    if (node.op == Op::conv2d_input_gradient) {
        const Turned other = turned(own, second[2], second[3], second[0], second[1]);
        if (!other.fits) return {};
        const NodeId kernel = turn(builder, node.operands[1]);
        return builder.append(Op::conv2d, {node.operands[0], kernel}, ConvAttrs{own.stride, other.padding, own.dilation});
    }
    const Turned other = turned(own, first[3], second[3], own.extents[0], own.extents[1]);
    if (!other.fits) return {};
    return turn(builder, builder.append(Op::conv2d_weight_gradient, {node.operands[1], node.operands[0]},
                                        ConvGradAttrs{own.stride, other.padding, own.dilation, own.extents}));
}

}  // namespace

Graph few_filters(const Graph &graph) {
    Rewriter rewriter(graph);
    for (int i = 0; i < graph.size(); ++i) {
        const NodeId other = rewritten(rewriter, rewriter.moved({i}));
        if (other.valid()) rewriter.map({i}, other);
        else rewriter.copy({i});
    }
    return rewriter.finish();
}

}  // namespace kiln
