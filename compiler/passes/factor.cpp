// Sums without what is the same for all their terms: the sum of c x is c times the sum of x, that of -x is minus it, that of x + x
// twice it, and that of the distances from their own mean is zero. The gradients of normalisations are full of these; without them a
// sum is left that other kernels need anyway, and no pass over the data. Rounding changes, in the last bits.
#include "compiler/passes/passes.h"
#include "compiler/passes/rewrite.h"

#include <algorithm>

namespace kiln {

namespace {

/// How far into a sum of products is looked: shared terms would be visited many times.
constexpr int kMostTermsDeep = 8;

class Factorer {
public:
    explicit Factorer(const Graph &graph) : rewriter_(graph) {}

    Graph run() {
        for (int i = 0; i < rewriter_.source().size(); ++i) {
            const NodeId old{i};
            Node node = rewriter_.moved(old);
            if (node.op == Op::reduce_sum && is_float(node.type.dtype)) {
                place_ = &rewriter_.source()[old];
                axes_ = attrs<AxesAttrs>(node).axes;
                type_ = node.type;
                rewriter_.map(old, sum_of(node.operands[0]));
            } else {
                rewriter_.map(old, rewriter_.append(std::move(node)));
            }
        }
        return rewriter_.finish();
    }

private:
    const Node &at(NodeId id) const { return rewriter_.result()[id]; }
    Builder &builder() { return rewriter_.builder_at(*place_); }
    NodeId sum_of(NodeId x) {
        if (is_nothing(x)) return builder().constant(0, type_);
        const Node node = at(x);
        const std::vector<NodeId> &terms = node.operands;
        switch (node.op) {
            case Op::negate: return builder().append(Op::negate, {sum_of(terms[0])});
            case Op::add:
                if (terms[0] == terms[1]) return builder().append(Op::multiply, {builder().constant(2, type_), sum_of(terms[0])});
                for (size_t i : {0, 1})
                    if (is_nothing(terms[i])) return sum_of(terms[1 - i]);
                break;
            case Op::multiply:
                for (size_t i : {0, 1})
                    if (is_row(terms[i])) return builder().append(Op::multiply, {row(terms[i]), sum_of(terms[1 - i])});
                break;
            default: break;
        }
        return builder().append(Op::reduce_sum, {x}, AxesAttrs{axes_});
    }

    /// Whether the sum is zero, but for rounding.
    bool is_nothing(NodeId x, int depth = 0) const {
        if (depth > kMostTermsDeep) return false;
        const Node &node = at(x);
        const std::vector<NodeId> &terms = node.operands;
        switch (node.op) {
            case Op::negate: return is_nothing(terms[0], depth + 1);
            case Op::add: return is_nothing(terms[0], depth + 1) && is_nothing(terms[1], depth + 1);
            case Op::multiply: return (is_row(terms[0]) && is_nothing(terms[1], depth + 1)) || (is_row(terms[1]) && is_nothing(terms[0], depth + 1));
            case Op::subtract: return is_own_mean(terms[0], terms[1]);
            default: return false;
        }
    }

    /// A broadcast along all of the summed axes: the same in every term of a sum.
    bool is_row(NodeId id) const {
        const Node &node = at(id);
        if (node.op != Op::broadcast) return false;
        const Ints &dims = attrs<BroadcastAttrs>(node).dims;
        return std::none_of(dims.begin(), dims.end(), [&](int64_t dim) { return std::find(axes_.begin(), axes_.end(), dim) != axes_.end(); });
    }

    /// That factor, in the shape of the sum.
    NodeId row(NodeId id) {
        const Node node = at(id);
        BroadcastAttrs kept{type_.shape, {}};
        for (int64_t dim : attrs<BroadcastAttrs>(node).dims)
            kept.dims.push_back(dim - std::count_if(axes_.begin(), axes_.end(), [&](int64_t axis) { return axis < dim; }));
        return at(node.operands[0]).type.shape == type_.shape ? node.operands[0] : builder().append(Op::broadcast, {node.operands[0]}, kept);
    }

    /// Whether `mean` is the mean of x over the summed axes.
    bool is_own_mean(NodeId x, NodeId mean) const {
        if (!is_row(mean)) return false;
        const Node &quotient = at(at(mean).operands[0]);
        if (quotient.op != Op::divide && quotient.op != Op::multiply) return false;
        double terms = 1;
        for (int64_t axis : axes_) terms *= double(at(x).type.shape[size_t(axis)]);
        for (size_t i : {0, 1}) {
            const Node &sum = at(quotient.operands[i]), &count = at(quotient.operands[1 - i]);
            if (quotient.op == Op::divide && i == 1) continue;
            if (sum.op != Op::reduce_sum || sum.operands[0] != x || attrs<AxesAttrs>(sum).axes != axes_ || !is_splat(count)) continue;
            const double factor = attrs<ConstantAttrs>(count).values[0];
            // 1 / terms may have been rounded to the element type.
            if (quotient.op == Op::divide ? factor == terms : factor == 1 / terms || float(factor) == float(1 / terms)) return true;
        }
        return false;
    }

    Rewriter rewriter_;
    const Node *place_ = nullptr;  ///< of the sum at hand
    Ints axes_;
    Type type_;
};

}  // namespace

Graph factor(const Graph &graph) { return Factorer(graph).run(); }

}  // namespace kiln
