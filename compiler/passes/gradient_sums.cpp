// Sums of a convolution's input gradient without the gradient. A model that begins with a BatchNorm needs of the gradient of its first
// convolution's input two sums only, those for beta and gamma, and that gradient is the most expensive there is: few channels, large
// pictures. A convolution is linear in its image x and its weights W, so that for every input channel c
//   sum over n, y, x of dx[.., c] u[.., c]  =  sum over r, s, k of W[r, s, c, k] G[r, s, c, k]    where G is the weight gradient for the image u.
// The image itself is x = a u + b with a and b of one channel each, so the gradient of the weights is
//   dW = a G + b T,    and sum of dx = sum over r, s, k of W T,
// where T[r, s, k] is the sum of dy where the window's element (r, s) lies inside the image: the weight gradient for an image of ones.
// Without padding that is the sum of dy. One weight gradient remains of what were two gradients. Rounding changes, in the last bits.
#include "compiler/passes/passes.h"
#include "compiler/passes/rewrite.h"

#include <algorithm>
#include <optional>

namespace kiln {

namespace {

struct Match {
    NodeId weight_gradient;
    NodeId unscaled;              ///< u
    NodeId scale, offset;         ///< a and b, [C]; no offset: zero
    std::vector<NodeId> sums;     ///< of dx
    std::vector<NodeId> products; ///< sums of dx u
};

class GradientSums {
public:
    explicit GradientSums(const Graph &graph) : graph_(graph), rewriter_(graph), users_(graph.nodes.size()), is_result_(graph.nodes.size(), false) {
        for (int i = 0; i < graph.size(); ++i)
            for (NodeId operand : graph[{i}].operands) users_[size_t(operand.index)].push_back({i});
        for (const Result &result : graph.results) is_result_[size_t(result.value.index)] = true;
    }

    Graph run() {
        for (int i = 0; i < graph_.size(); ++i) {
            const NodeId old{i};
            // What was given another form when its gradient came by.
            if (rewriter_.mapped(old).valid()) continue;
            if (std::optional<Match> match = find(old)) rewrite(old, *match);
            rewriter_.copy(old);
        }
        return rewriter_.finish();
    }

private:
    bool is_sum_over_pixels(NodeId id) const {
        return graph_[id].op == Op::reduce_sum && attrs<AxesAttrs>(graph_[id]).axes == Ints{0, 1, 2};
    }

    /// The operand of a broadcast of one number a channel.
    NodeId channel_row(NodeId id) const {
        const Node &node = graph_[id];
        if (node.op != Op::broadcast || attrs<BroadcastAttrs>(node).dims != Ints{3} || graph_[node.operands[0]].type.shape[0] != node.type.shape[3]) return {};
        return node.operands[0];
    }

    /// Whether the gradient `dx` goes into sums only, and what else they are of.
    bool find_sums(NodeId dx, Match &match) const {
        if (is_result_[size_t(dx.index)] || users_[size_t(dx.index)].empty()) return false;
        for (NodeId user : users_[size_t(dx.index)]) {
            if (is_sum_over_pixels(user)) {
                match.sums.push_back(user);
                continue;
            }
            const Node &product = graph_[user];
            if (product.op != Op::multiply || product.operands[0] == product.operands[1] || is_result_[size_t(user.index)]) return false;
            const NodeId other = product.operands[0] == dx ? product.operands[1] : product.operands[0];
            if (match.unscaled.valid() && match.unscaled != other) return false;
            match.unscaled = other;
            for (NodeId sum : users_[size_t(user.index)]) {
                if (!is_sum_over_pixels(sum)) return false;
                match.products.push_back(sum);
            }
        }
        return match.unscaled.valid();
    }

    /// Whether `image` is a u + b.
    bool find_scale(NodeId image, Match &match) const {
        NodeId scaled = image;
        if (graph_[image].op == Op::add)
            for (size_t i : {0, 1})
                if (const NodeId offset = channel_row(graph_[image].operands[i]); offset.valid()) {
                    match.offset = offset;
                    scaled = graph_[image].operands[1 - i];
                    break;
                }
        if (graph_[scaled].op != Op::multiply) return false;
        for (size_t i : {0, 1})
            if (graph_[scaled].operands[1 - i] == match.unscaled && (match.scale = channel_row(graph_[scaled].operands[i])).valid()) return true;
        return false;
    }

    std::optional<Match> find(NodeId dx) const {
        const Node &node = graph_[dx];
        Match match;
        if (node.op != Op::conv2d_input_gradient || !find_sums(dx, match)) return std::nullopt;
        const ConvGradAttrs &a = attrs<ConvGradAttrs>(node);
        const NodeId dy = node.operands[0], weights = node.operands[1];
        for (NodeId user : users_[size_t(dy.index)]) {
            const Node &other = graph_[user];
            if (other.op != Op::conv2d_weight_gradient || other.operands[1] != dy || other.type != graph_[weights].type) continue;
            const ConvGradAttrs &b = attrs<ConvGradAttrs>(other);
            if (a.stride != b.stride || a.padding != b.padding || a.dilation != b.dilation) continue;
            if (graph_[other.operands[0]].type != node.type || !find_scale(other.operands[0], match)) continue;
            match.weight_gradient = user;
            // The new nodes stand where dx stood.
            const bool is_known = match.unscaled < dx && match.scale < dx && (!match.offset.valid() || match.offset < dx);
            return is_known ? std::optional(match) : std::nullopt;
        }
        return std::nullopt;
    }

    /// T, [R, S, 1, K] or, without padding, [K]; broadcast to the shape of the weights.
    NodeId gradient_of_ones(Builder &b, const Node &dx, NodeId dy, const Type &weights) {
        const ConvGradAttrs &a = attrs<ConvGradAttrs>(dx);
        if (a.padding == Ints{0, 0, 0, 0})
            return b.append(Op::broadcast, {b.append(Op::reduce_sum, {dy}, AxesAttrs{{0, 1, 2}})}, BroadcastAttrs{weights.shape, {3}});
        // All samples have the same ones.
        const Shape dy_shape = b.type(dy).shape;
        const NodeId sum = b.reshape(b.append(Op::reduce_sum, {dy}, AxesAttrs{{0}}), {1, dy_shape[1], dy_shape[2], dy_shape[3]});
        const NodeId ones = b.constant(1, {dx.type.dtype, {1, dx.type.shape[1], dx.type.shape[2], 1}});
        const NodeId gradient = b.append(Op::conv2d_weight_gradient, {ones, sum}, ConvGradAttrs{a.stride, a.padding, a.dilation, {weights.shape[0], weights.shape[1]}});
        return b.append(Op::broadcast, {b.reshape(gradient, {weights.shape[0], weights.shape[1], weights.shape[3]})}, BroadcastAttrs{weights.shape, {0, 1, 3}});
    }

    void rewrite(NodeId old, const Match &match) {
        const Node &dx = graph_[old];
        Builder &b = rewriter_.builder_at(graph_[match.weight_gradient]);
        const NodeId dy = rewriter_.mapped(dx.operands[0]), weights = rewriter_.mapped(dx.operands[1]);
        const Type type = b.type(weights);
        auto row = [&](NodeId channels) { return b.append(Op::broadcast, {rewriter_.mapped(channels)}, BroadcastAttrs{type.shape, {2}}); };
        const NodeId of_unscaled = b.append(Op::conv2d_weight_gradient, {rewriter_.mapped(match.unscaled), dy}, graph_[match.weight_gradient].attrs);
        NodeId of_ones;
        if (match.offset.valid() || !match.sums.empty()) of_ones = gradient_of_ones(b, dx, dy, type);
        NodeId gradient = b.append(Op::multiply, {row(match.scale), of_unscaled});
        if (match.offset.valid()) gradient = b.append(Op::add, {gradient, b.append(Op::multiply, {row(match.offset), of_ones})});
        rewriter_.map(match.weight_gradient, gradient);
        auto sum = [&](NodeId factor) { return b.append(Op::reduce_sum, {b.append(Op::multiply, {weights, factor})}, AxesAttrs{{0, 1, 3}}); };
        for (NodeId each : match.sums) rewriter_.map(each, sum(of_ones));
        for (NodeId each : match.products) rewriter_.map(each, sum(of_unscaled));
    }

    const Graph &graph_;
    Rewriter rewriter_;
    std::vector<std::vector<NodeId>> users_;
    std::vector<bool> is_result_;
};

}  // namespace

Graph gradient_sums(const Graph &graph) { return GradientSums(graph).run(); }

}  // namespace kiln
