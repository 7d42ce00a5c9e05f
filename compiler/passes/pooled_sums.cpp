// Sums over the gradient of a pooling from the pooled side. The gradient of max_pool2d is zero but at one pixel of each window, so
//   sum of f(x) * gradient of dy  =  sum of f(x at that pixel) * dy,
// for any elementwise f: the sums that the gradient of a normalisation needs, and that of a bias behind a relu. The pooling, which reads x anyway,
// stores x at these pixels, too; the sums then read two tensors that are smaller by the size of a window, not x.
#include "compiler/passes/passes.h"
#include "compiler/passes/recompute.h"
#include "compiler/passes/rewrite.h"

#include <algorithm>
#include <map>
#include <set>

namespace kiln {

namespace {

/// How far into a sum's terms is looked: shared ones would be visited many times.
constexpr int kMostDeep = 12;

class PooledSums {
public:
    PooledSums(const Graph &graph, int64_t least_elements) : graph_(graph), least_elements_(least_elements), readers_(graph.nodes.size(), 0), roles_(find_roles(graph)), rewriter_(graph) {
        for (const Node &node : graph.nodes)
            for (NodeId operand : node.operands) ++readers_[size_t(operand.index)];
        for (const Result &result : graph.results) ++readers_[size_t(result.value.index)];
    }

    Graph run() {
        for (int i = 0; i < graph_.size(); ++i) {
            const Node &node = graph_[{i}];
            gradient_ = {};
            linear_.clear();
            if (is_sum_over_images(node) && is_linear(node.operands[0])) rewriter_.map({i}, rewritten(node));
            else rewriter_.copy({i});
        }
        return rewriter_.finish();
    }

private:
    bool is_sum_over_images(const Node &node) const {
        if (node.op != Op::reduce_sum) return false;
        const Type &type = graph_[node.operands[0]].type;
        const Ints &axes = attrs<AxesAttrs>(node).axes;
        return type.rank() == 4 && is_float(type.dtype) && type.elements() >= least_elements_ && std::count(axes.begin(), axes.end(), 1) == 1 && std::count(axes.begin(), axes.end(), 2) == 1;
    }

    /// Whether x is a pooling's gradient, always the same one, times something, or a sum of such products.
    bool is_linear(NodeId x, int depth = 0) {
        const bool result = depth <= kMostDeep && has_linear_terms(x, depth);
        if (result) linear_.insert(x);
        return result;
    }

    bool has_linear_terms(NodeId x, int depth) {
        const Node &node = graph_[x];
        const std::vector<NodeId> &terms = node.operands;
        auto linear = [&](size_t i) { return is_linear(terms[i], depth + 1); };
        auto factor = [&](size_t i) { return is_factor(terms[i], depth + 1); };
        switch (node.op) {
            case Op::max_pool2d_gradient:
                if (!gradient_.valid()) gradient_ = x;
                return gradient_ == x;
            case Op::negate: return linear(0);
            case Op::add:
            case Op::subtract: return linear(0) && linear(1);
            case Op::multiply: return (factor(0) && linear(1)) || (factor(1) && linear(0));
            case Op::divide: return factor(1) && linear(0);
            case Op::select: return factor(0) && ((is_splat(graph_[terms[1]], 0) && linear(2)) || (is_splat(graph_[terms[2]], 0) && linear(1)));
            default: return false;
        }
    }

    /// Whether each element of x can be computed from elements of stored tensors in the same place, and rows.
    bool is_factor(NodeId x, int depth) const {
        const Node &node = graph_[x];
        if (depth > kMostDeep || node.op == Op::max_pool2d_gradient) return false;
        if (node.op == Op::constant) return is_splat(node);
        if (node.op == Op::broadcast) return is_row(node);
        if (is_picked(x)) return is_float(node.type.dtype);
        return std::all_of(node.operands.begin(), node.operands.end(), [&](NodeId operand) { return is_factor(operand, depth + 1); });
    }

    /// The same for all pixels of an image.
    static bool is_row(const Node &node) {
        const Ints &dims = attrs<BroadcastAttrs>(node).dims;
        return std::none_of(dims.begin(), dims.end(), [](int64_t dim) { return dim == 1 || dim == 2; });
    }

    /// Not computed again for the pixels, but picked: what is not elementwise, and what is stored for several readers, the pooling perhaps among them.
    bool is_picked(NodeId x) const {
        return !has_trait(graph_[x].op, kElementwise) || (readers_[size_t(x.index)] > 1 && roles_.role[size_t(x.index)] == Role::solid);
    }

    NodeId rewritten(const Node &sum) {
        const Node &gradient = graph_[gradient_];
        builder_ = &rewriter_.builder_at(sum);
        index_ = rewriter_.mapped(gradient.operands[1]);
        pooled_.clear();
        pooled_[gradient_] = rewriter_.mapped(gradient.operands[0]);
        return builder_->append(Op::reduce_sum, {pooled(sum.operands[0])}, sum.attrs);
    }

    /// The same for each window, at the pixel that has the gradient.
    NodeId pooled(NodeId x) {
        if (const auto known = pooled_.find(x); known != pooled_.end()) return known->second;
        const Node &node = graph_[x];
        const Shape &windows = graph_[graph_[gradient_].operands[0]].type.shape;
        NodeId result;
        if (node.op == Op::constant) {
            result = builder_->constant(attrs<ConstantAttrs>(node).values[0], {node.type.dtype, windows});
        } else if (node.op == Op::broadcast) {
            result = builder_->append(Op::broadcast, {rewriter_.mapped(node.operands[0])}, BroadcastAttrs{windows, attrs<BroadcastAttrs>(node).dims});
        } else if (linear_.count(x) == 0 && is_picked(x)) {
            const WindowGradAttrs &a = attrs<WindowGradAttrs>(graph_[gradient_]);
            result = builder_->append(Op::window_pick2d, {rewriter_.mapped(x), index_}, WindowAttrs{a.window, a.stride, a.padding});
        } else {
            std::vector<NodeId> operands;
            for (NodeId operand : node.operands) operands.push_back(pooled(operand));
            result = builder_->append(node.op, operands, node.attrs);
        }
        return pooled_[x] = result;
    }

    const Graph &graph_;
    const int64_t least_elements_;
    std::vector<int> readers_;         ///< results among them
    const Roles roles_;
    Rewriter rewriter_;
    Builder *builder_ = nullptr;
    NodeId gradient_;                  ///< of the pooling, in the sum at hand
    NodeId index_;                     ///< of its windows, in the new graph
    std::set<NodeId> linear_;          ///< in the sum at hand: the gradient, and what it is multiplied or added up to
    std::map<NodeId, NodeId> pooled_;  ///< of the sum at hand
};

}  // namespace

Graph pooled_sums(const Graph &graph, int64_t least_elements) { return PooledSums(graph, least_elements).run(); }

}  // namespace kiln
