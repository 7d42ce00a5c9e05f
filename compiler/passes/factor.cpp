// Sums without what is the same for all their terms: the sum of c x is c times the sum of x, that of -x is minus it, that of x + x
// twice it, and that of the distances from their own mean is zero. The gradients of normalisations are full of these; without them a
// sum is left that other kernels need anyway, and no pass over the data. Rounding changes, in the last bits.
//
// Behind a mask, as of a relu, a gradient is a sum of several such products, and its own sum (that of a bias) needs another pass over it. Of a
// tensor larger than the caches the sums of the masked factors are taken instead: they do not depend on what they are multiplied by, and
// belong to the pass that the normalisation's sums need.
#include "compiler/passes/passes.h"
#include "compiler/passes/rewrite.h"

#include <algorithm>
#include <optional>

namespace kiln {

namespace {

/// How far into a sum of products is looked: shared terms would be visited many times.
constexpr int kMostTermsDeep = 8;
/// Sums that may stand for one.
constexpr int kMostMasked = 4;

class Factorer {
public:
    Factorer(const Graph &graph, int64_t least_elements) : least_elements_(least_elements), rewriter_(graph) {}

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

    /// A select that lets an operand through, and zeros elsewhere.
    struct Mask {
        const Node &select;
        size_t place;
    };

    /// The sum of x, or of what a mask lets through of it.
    NodeId sum_of(NodeId x, const Mask *mask = nullptr) {
        if (!mask && is_nothing(x)) return builder().constant(0, type_);
        const Node node = at(x);
        const std::vector<NodeId> &terms = node.operands;
        if (node.op == Op::negate) return builder().append(Op::negate, {sum_of(terms[0], mask)});
        if (const std::optional<size_t> factor = varying_factor(node)) return builder().append(Op::multiply, {row(terms[1 - *factor]), sum_of(terms[*factor], mask)});
        if (node.op == Op::add && terms[0] == terms[1]) return builder().append(Op::multiply, {builder().constant(2, type_), sum_of(terms[0], mask)});
        if (mask) {
            if (node.op == Op::add) return builder().append(Op::add, {sum_of(terms[0], mask), sum_of(terms[1], mask)});
            const bool same = is_row(x);
            std::vector<NodeId> operands = mask->select.operands;
            operands[mask->place] = same ? builder().constant(1, node.type) : x;
            const NodeId masked = builder().append(Op::reduce_sum, {builder().append(Op::select, operands)}, AxesAttrs{axes_});
            return same ? builder().append(Op::multiply, {row(x), masked}) : masked;
        }
        if (node.op == Op::add)
            for (size_t i : {0, 1})
                if (is_nothing(terms[i])) return sum_of(terms[1 - i]);
        if (node.op == Op::select && node.type.elements() >= least_elements_)
            for (size_t i : {1, 2})
                if (is_splat(at(terms[3 - i]), 0)) {
                    const int sums = masked_sums(terms[i]);
                    const Mask of_select{node, i};
                    if (sums > 1 && sums <= kMostMasked) return sum_of(terms[i], &of_select);
                }
        return builder().append(Op::reduce_sum, {x}, AxesAttrs{axes_});
    }

    /// The factor of a product that is not the same for all terms; nothing if x is no such product.
    std::optional<size_t> varying_factor(const Node &product) const {
        if (product.op == Op::multiply)
            for (size_t i : {0, 1})
                if (is_row(product.operands[i])) return 1 - i;
        return std::nullopt;
    }

    /// How many sums stand for that of a masked x; too many if there is one among them that is multiplied by nothing, and so is no less to
    /// read than x.
    int masked_sums(NodeId x, bool multiplied = false, int depth = 0) const {
        const Node &node = at(x);
        if (depth > kMostTermsDeep) return kMostMasked + 1;
        if (node.op == Op::negate) return masked_sums(node.operands[0], multiplied, depth + 1);
        if (const std::optional<size_t> factor = varying_factor(node)) return masked_sums(node.operands[*factor], true, depth + 1);
        if (node.op != Op::add) return multiplied || is_row(x) ? 1 : kMostMasked + 1;
        return masked_sums(node.operands[0], multiplied, depth + 1) + (node.operands[0] == node.operands[1] ? 0 : masked_sums(node.operands[1], multiplied, depth + 1));
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

    const int64_t least_elements_;
    Rewriter rewriter_;
    const Node *place_ = nullptr;  ///< of the sum at hand
    Ints axes_;
    Type type_;
};

}  // namespace

Graph factor(const Graph &graph, int64_t least_elements) { return Factorer(graph, least_elements).run(); }

}  // namespace kiln
