// Mean and variance of a large tensor from one reading. A variance is written as the mean of (x - mean)^2, which needs the mean first, so
// that the tensor is read twice, from memory if it is large. With any k near the mean, one number for each result,
//   sum of (x - mean)^2  =  sum of (x - k)^2  -  n (mean - k)^2,
// and the sum on the right is taken together with that for the mean. k is the mean of the first slice along the outermost axis, of N: since that
// slice is part of the data, the two sums differ by a factor of N at most, and a rounding error of the difference is at most about N times one of
// the variance's own (Chan, Golub & LeVeque: "Algorithms for computing the sample variance", 1983, on shifted data).
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
    };

    /// A sum of the squares of x - mean, where mean is that of x over the same axes.
    std::optional<Match> find(NodeId id) const {
        const Node &sum = graph_[id];
        if (sum.op != Op::reduce_sum) return std::nullopt;
        const Ints &axes = attrs<AxesAttrs>(sum).axes;
        const Node &square = graph_[sum.operands[0]];
        if (square.op != Op::multiply || square.operands[0] != square.operands[1] || std::count(axes.begin(), axes.end(), 0) == 0) return std::nullopt;
        const Node &difference = graph_[square.operands[0]];
        if (difference.op != Op::subtract || difference.type.elements() < least_elements_ || difference.type.shape[0] < 2) return std::nullopt;
        const Node &row = graph_[difference.operands[1]];
        if (row.op != Op::broadcast || attrs<BroadcastAttrs>(row).dims != kept(row.type.shape, axes)) return std::nullopt;
        const Match match{difference.operands[0], row.operands[0], difference.type.elements() / sum.type.elements()};
        const Node &mean = graph_[match.mean];
        if (mean.type != sum.type || mean.op != Op::divide) return std::nullopt;
        const Node &all = graph_[mean.operands[0]], &count = graph_[mean.operands[1]];
        if (all.op != Op::reduce_sum || all.operands[0] != match.x || attrs<AxesAttrs>(all).axes != axes) return std::nullopt;
        if (!is_splat(count) || attrs<ConstantAttrs>(count).values[0] != double(match.count)) return std::nullopt;
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
        const NodeId difference = b.append(Op::subtract, {x, row});
        const NodeId squares = b.append(Op::reduce_sum, {b.append(Op::multiply, {difference, difference})}, sum.attrs);
        const NodeId shift = b.append(Op::subtract, {mean, k});
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
