// Mean and variance of a large tensor from one reading. A variance is written as the mean of (x - mean)^2, which needs the mean first, so
// that the tensor is read twice, from memory if it is large. With any k near the mean, one number for each result,
//   sum of (x - mean)^2  =  sum of (x - k)^2  -  n (mean - k)^2,
// and the sum on the right is taken together with that for the mean. k is the mean of the first slice along the outermost axis, of N: since that
// slice is part of the data, the two sums differ by a factor of N at most, and a rounding error of the difference is at most about N times one of
// the variance's own (Chan, Golub & LeVeque: "Algorithms for computing the sample variance", 1983, on shifted data).
//
// Likewise what a mask, as of a relu, lets through of x - mean, which is part of a bias's gradient:
//   sum of (x - mean) where let through  =  sum of (x - k) where let through  -  (mean - k) times their number.
#include "compiler/passes/passes.h"
#include "compiler/passes/rewrite.h"

#include <algorithm>
#include <optional>

namespace kiln {

namespace {

class Moments {
public:
    Moments(const Graph &graph, int64_t least_elements) : graph_(graph), least_elements_(least_elements), rewriter_(graph) {}

    Graph run() {
        for (int i = 0; i < graph_.size(); ++i)
            if (const std::optional<Match> match = find({i})) rewriter_.map({i}, rewritten({i}, *match));
            else rewriter_.copy({i});
        return rewriter_.finish();
    }

private:
    struct Match {
        NodeId x, mean;
        int64_t count = 0;  ///< elements of x for one of the mean
        size_t place = 0;   ///< of x - mean in a select; 0: its squares are summed up
    };

    /// What is summed up, if it is the square of x - mean, or x - mean where a mask lets it through and else zero, where mean is that of x over the
    /// same axes.
    std::optional<Match> find(NodeId id) const {
        const Node &sum = graph_[id];
        if (sum.op != Op::reduce_sum) return std::nullopt;
        const Node &term = graph_[sum.operands[0]];
        if (term.op == Op::multiply && term.operands[0] == term.operands[1]) return find_distance(sum, term.operands[0]);
        if (term.op != Op::select) return std::nullopt;
        for (size_t place : {1, 2}) {
            std::optional<Match> match = is_splat(graph_[term.operands[3 - place]], 0) ? find_distance(sum, term.operands[place]) : std::nullopt;
            if (!match || depends_on(graph_, term.operands[0], match->mean)) continue;
            match->place = place;
            return match;
        }
        return std::nullopt;
    }

    std::optional<Match> find_distance(const Node &sum, NodeId id) const {
        const Ints &axes = attrs<AxesAttrs>(sum).axes;
        const Node &difference = graph_[id];
        if (std::count(axes.begin(), axes.end(), 0) == 0) return std::nullopt;
        if (difference.op != Op::subtract || difference.type.elements() < least_elements_ || difference.type.shape[0] < 2) return std::nullopt;
        const Node &row = graph_[difference.operands[1]];
        if (row.op != Op::broadcast || attrs<BroadcastAttrs>(row).dims != kept(row.type.shape, axes)) return std::nullopt;
        const Match match{difference.operands[0], row.operands[0], difference.type.elements() / sum.type.elements()};
        const Node &mean = graph_[match.mean];
        if (mean.type != sum.type || mean.op != Op::divide) return std::nullopt;
        const Node &all = graph_[mean.operands[0]], &count = graph_[mean.operands[1]];
        if (all.op != Op::reduce_sum || all.operands[0] != match.x || attrs<AxesAttrs>(all).axes != axes) return std::nullopt;
        if (!is_splat(count, double(match.count))) return std::nullopt;
        return match;
    }

    static Ints kept(const Shape &shape, const Ints &axes) {
        Ints dims;
        for (int64_t axis = 0; axis < int64_t(shape.size()); ++axis)
            if (std::count(axes.begin(), axes.end(), axis) == 0) dims.push_back(axis);
        return dims;
    }

    NodeId rewritten(NodeId id, const Match &match) {
        const Node &sum = graph_[id];
        Builder &b = rewriter_.builder_at(sum);
        const NodeId x = rewriter_.mapped(match.x), mean = rewriter_.mapped(match.mean);
        const Type type = b.type(x);
        Ints begin(type.shape.size(), 0), end = type.shape;
        end[0] = 1;
        const NodeId first = b.append(Op::slice, {x}, SliceAttrs{begin, end, Ints(begin.size(), 1)});
        auto constant = [&](double value) { return b.constant(value, sum.type); };
        const NodeId k = b.append(Op::divide, {b.append(Op::reduce_sum, {first}, sum.attrs), constant(double(match.count / type.shape[0]))});
        const NodeId row = b.append(Op::broadcast, {k}, BroadcastAttrs{type.shape, kept(type.shape, attrs<AxesAttrs>(sum).axes)});
        const NodeId difference = b.append(Op::subtract, {x, row}), shift = b.append(Op::subtract, {mean, k});
        if (match.place > 0) {
            auto sum_where_let_through = [&](NodeId value) {
                std::vector<NodeId> operands;
                for (NodeId operand : graph_[sum.operands[0]].operands) operands.push_back(rewriter_.mapped(operand));
                operands[match.place] = value;
                return b.append(Op::reduce_sum, {b.append(Op::select, operands)}, sum.attrs);
            };
            const NodeId shifted = sum_where_let_through(difference), terms = sum_where_let_through(b.constant(1, type));
            return b.append(Op::subtract, {shifted, b.append(Op::multiply, {shift, terms})});
        }
        const NodeId squares = b.append(Op::reduce_sum, {b.append(Op::multiply, {difference, difference})}, sum.attrs);
        const NodeId excess = b.append(Op::multiply, {constant(double(match.count)), b.append(Op::multiply, {shift, shift})});
        return b.append(Op::maximum, {b.append(Op::subtract, {squares, excess}), constant(0)});  // rounding may leave less than 0 of no variance
    }

    const Graph &graph_;
    const int64_t least_elements_;
    Rewriter rewriter_;
};

}  // namespace

Graph moments(const Graph &graph, int64_t least_elements) { return Moments(graph, least_elements).run(); }

}  // namespace kiln
