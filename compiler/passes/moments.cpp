// Mean and variance of a large tensor from one reading. A variance is written as the mean of (x - mean)^2, which needs the mean first, so
// that the tensor is read twice, from memory if it is large. With any k near the mean, one number for each result,
//   sum of (x - mean)^2  =  sum of (x - k)^2  -  n (mean - k)^2,
// and the sum on the right is taken together with that for the mean. k is the mean of the first slice along the outermost axis, of N: since that
// slice is part of the data, the two sums differ by a factor of N at most, and a rounding error of the difference is at most about N times one of
// the variance's own (Chan, Golub & LeVeque: "Algorithms for computing the sample variance", 1983, on shifted data).
//
// Likewise what a mask, as of a relu, lets through of x - mean, which is part of a bias's gradient:
//   sum of (x - mean) where let through  =  sum of (x - k) where let through  -  (mean - k) times their number.
#include "compiler/passes/distances.h"
#include "compiler/passes/passes.h"

#include <algorithm>
#include <optional>

namespace kiln {

namespace {

class Moments {
public:
    Moments(const Graph &graph, int64_t least_elements) : graph_(graph), least_elements_(least_elements), rewriter_(graph) {}

    Graph run() {
        for (int i = 0; i < graph_.size(); ++i)
            if (const std::optional<DistanceSum> match = find({i})) rewriter_.map({i}, rewritten({i}, *match));
            else rewriter_.copy({i});
        return rewriter_.finish();
    }

private:
    /// A sum of distances in a large tensor that has several slices along its outermost axis. A mean that is a product, as of a power of two
    /// elements, is left alone.
    std::optional<DistanceSum> find(NodeId id) const {
        const std::optional<DistanceSum> found = find_distance_sum(graph_, id);
        if (!found || graph_[found->mean].op != Op::divide) return std::nullopt;
        const Type &type = graph_[found->x].type;
        const Ints &axes = attrs<AxesAttrs>(graph_[id]).axes;
        if (std::count(axes.begin(), axes.end(), 0) == 0 || type.elements() < least_elements_ || type.shape[0] < 2) return std::nullopt;
        if (found->place > 0 && depends_on(graph_, graph_[graph_[id].operands[0]].operands[0], found->mean)) return std::nullopt;
        return found;
    }

    NodeId rewritten(NodeId id, const DistanceSum &match) {
        const Node &sum = graph_[id];
        Builder &b = rewriter_.builder_at(sum);
        const NodeId x = rewriter_.mapped(match.x), mean = rewriter_.mapped(match.mean);
        const Type type = b.type(x);
        Ints begin(type.shape.size(), 0), end = type.shape;
        end[0] = 1;
        const NodeId first = b.append(Op::slice, {x}, SliceAttrs{begin, end, Ints(begin.size(), 1)});
        auto constant = [&](double value) { return b.constant(value, sum.type); };
        const NodeId k = b.append(Op::divide, {b.append(Op::reduce_sum, {first}, sum.attrs), constant(double(match.count / type.shape[0]))});
        const NodeId row = b.append(Op::broadcast, {k}, BroadcastAttrs{type.shape, kept_axes(type.shape, attrs<AxesAttrs>(sum).axes)});
        const NodeId difference = b.append(Op::subtract, {x, row}), shift = b.append(Op::subtract, {mean, k});
        if (match.place > 0) {
            const Ints &axes = attrs<AxesAttrs>(sum).axes;
            const NodeId shifted = sum_where_let_through(rewriter_, id, match, difference, axes), terms = sum_where_let_through(rewriter_, id, match, b.constant(1, type), axes);
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
