// Mean and variance of a convolution's results from sums over their rows, which its kernel takes while the rows are near (fuse.cpp): the results
// need not be read again. With m the mean of one row of W elements, and s the sum of (x - m)^2 over it,
//   sum of x  =  sum of W m,        sum of (x - mean)^2  =  sum of (s + W (m - mean)^2)
// over all rows (Chan, Golub & LeVeque: "Algorithms for computing the sample variance", 1983).
//
// Likewise what a mask, as of a relu, lets through of x - mean, which is part of a bias's gradient:
//   sum of (x - mean) where let through  =  sum over the rows of (x - m) where let through, and (m - mean) times their number.
#include "compiler/passes/distances.h"
#include "compiler/passes/passes.h"

#include <map>
#include <optional>
#include <set>
#include <vector>

namespace kiln {

namespace {

const Ints kAllButChannels{0, 1, 2}, kRows{2}, kOverRows{0, 1};
/// Sums are taken of whole vectors of channels.
constexpr int64_t kVectorChannels = 16;

class RowMoments {
public:
    RowMoments(const Graph &graph, int64_t least_elements) : graph_(graph), least_elements_(least_elements), rewriter_(graph) {}

    Graph run() {
        // Of the results whose variance is asked for, all sums are taken by rows.
        for (int i = 0; i < graph_.size(); ++i)
            if (const std::optional<DistanceSum> match = find({i}); match && match->place == 0 && comes_from_convolution(match->x)) rows_.try_emplace(match->x.index);
        for (int i = 0; i < graph_.size(); ++i) {
            const NodeId id{i}, by_rows = sum_by_rows(id);
            if (by_rows.valid()) rewriter_.map(id, by_rows);
            else rewriter_.copy(id);
        }
        return rewriter_.finish();
    }

private:
    struct Rows {
        NodeId sum, mean, spread;  ///< [N, H, C], and the mean at each element of x
    };

    bool is_sum(NodeId id) const { return graph_[id].op == Op::reduce_sum && attrs<AxesAttrs>(graph_[id]).axes == kAllButChannels && graph_[graph_[id].operands[0]].type.rank() == 4; }

    /// A sum over all but the channels, whose mask, if it has one, is made of x.
    std::optional<DistanceSum> find(NodeId id) const {
        const std::optional<DistanceSum> found = is_sum(id) ? find_distance_sum(graph_, id) : std::nullopt;
        if (!found || (found->place > 0 && !is_made_of(graph_[graph_[id].operands[0]].operands[0], found->x))) return std::nullopt;
        return found;
    }

    /// What a sum over all but the channels of something made of such results becomes; nothing if it is none.
    NodeId sum_by_rows(NodeId id) {
        if (!is_sum(id)) return {};
        const NodeId term = graph_[id].operands[0];
        if (const std::optional<DistanceSum> match = find(id); match && rows_.count(match->x.index) > 0) return match->place == 0 ? squares(id, *match) : let_through(id, *match);
        const NodeId x = source_of(term);
        if (!x.valid()) return {};
        if (x == term) return over_rows(id, of_rows(id, x).sum);
        return over_rows(id, rewriter_.builder_at(graph_[id]).append(Op::reduce_sum, {rewriter_.mapped(term)}, AxesAttrs{kRows}));
    }

    /// Whether elementwise operations alone make a value of nodes at which `ends`.
    template <typename Ends> bool is_elementwise_of(NodeId id, Ends ends) const {
        std::set<NodeId> seen;
        std::vector<NodeId> pending{id};
        while (!pending.empty()) {
            const NodeId next = pending.back();
            pending.pop_back();
            const Node &node = graph_[next];
            if (!seen.insert(next).second || node.op == Op::constant || ends(next)) continue;
            if (!has_trait(node.op, kElementwise)) return false;
            pending.insert(pending.end(), node.operands.begin(), node.operands.end());
        }
        return true;
    }

    bool is_made_of(NodeId id, NodeId x) const {
        return is_elementwise_of(id, [&](NodeId node) { return node == x; });
    }

    /// The results, of those that are summed up by rows, of which a value is made.
    NodeId source_of(NodeId id) const {
        for (const auto &[x, rows] : rows_)
            if (graph_[id].op != Op::constant && graph_[NodeId{x}].type.shape == graph_[id].type.shape && is_made_of(id, {x})) return {x};
        return {};
    }

    /// x is a convolution, or computed of one and rows: it is stored by the kernel of the convolution.
    bool comes_from_convolution(NodeId x) const {
        const Type &type = graph_[x].type;
        if (type.dtype != DType::f32 || type.elements() < least_elements_ || type.shape[3] % kVectorChannels != 0) return false;
        int convolutions = 0;
        const bool is_epilogue = is_elementwise_of(x, [&](NodeId id) {
            const Node &node = graph_[id];
            convolutions += node.op == Op::conv2d;
            return node.op == Op::conv2d || (node.op == Op::broadcast && graph_[node.operands[0]].op == Op::input);
        });
        return is_epilogue && convolutions == 1;
    }

    const Rows &of_rows(NodeId place, NodeId x) {
        Rows &rows = rows_.at(x.index);
        if (rows.sum.valid()) return rows;
        Builder &b = rewriter_.builder_at(graph_[place]);
        const Type type = graph_[x].type;
        rows.sum = b.append(Op::reduce_sum, {rewriter_.mapped(x)}, AxesAttrs{kRows});
        rows.mean = b.append(Op::divide, {rows.sum, b.constant(double(type.shape[2]), b.type(rows.sum))});
        rows.spread = b.append(Op::broadcast, {rows.mean}, BroadcastAttrs{type.shape, {0, 1, 3}});
        return rows;
    }

    NodeId over_rows(NodeId place, NodeId of_rows) { return rewriter_.builder_at(graph_[place]).append(Op::reduce_sum, {of_rows}, AxesAttrs{kOverRows}); }

    /// m - mean for each row.
    NodeId distance(Builder &b, const Rows &rows, const DistanceSum &match) {
        return b.append(Op::subtract, {rows.mean, b.append(Op::broadcast, {rewriter_.mapped(match.mean)}, BroadcastAttrs{b.type(rows.mean).shape, {2}})});
    }

    NodeId squares(NodeId id, const DistanceSum &match) {
        const Rows rows = of_rows(id, match.x);
        Builder &b = rewriter_.builder_at(graph_[id]);
        const NodeId difference = b.append(Op::subtract, {rewriter_.mapped(match.x), rows.spread});
        const NodeId within = b.append(Op::reduce_sum, {b.append(Op::multiply, {difference, difference})}, AxesAttrs{kRows});
        const NodeId between = distance(b, rows, match), width = b.constant(double(graph_[match.x].type.shape[2]), b.type(between));
        return over_rows(id, b.add(within, b.append(Op::multiply, {width, b.append(Op::multiply, {between, between})})));
    }

    NodeId let_through(NodeId id, const DistanceSum &match) {
        const Rows rows = of_rows(id, match.x);
        Builder &b = rewriter_.builder_at(graph_[id]);
        auto sum_of = [&](NodeId value) { return sum_where_let_through(rewriter_, id, match, value, kRows); };
        const NodeId terms = sum_of(b.constant(1, graph_[match.x].type));
        // What a relu does not let through is zero.
        const NodeId within = is_relu_mask(graph_[id].operands[0], match) ? b.append(Op::multiply, {rows.mean, b.append(Op::subtract, {b.constant(double(graph_[match.x].type.shape[2]), b.type(terms)), terms})})
                                                                          : sum_of(b.append(Op::subtract, {rewriter_.mapped(match.x), rows.spread}));
        return over_rows(id, b.add(within, b.append(Op::multiply, {terms, distance(b, rows, match)})));
    }

    /// Whether a select lets x - mean through where x, the result of a relu, is above zero.
    bool is_relu_mask(NodeId select, const DistanceSum &match) const {
        const Node &x = graph_[match.x], &mask = graph_[graph_[select].operands[0]];
        auto is_zero = [&](NodeId id) { return is_splat(graph_[id], 0); };
        if (x.op != Op::maximum || (!is_zero(x.operands[0]) && !is_zero(x.operands[1]))) return false;
        if (mask.op == Op::less_equal) return match.place == 2 && mask.operands[0] == match.x && is_zero(mask.operands[1]);
        return mask.op == Op::less && match.place == 1 && is_zero(mask.operands[0]) && mask.operands[1] == match.x;
    }

    const Graph &graph_;
    const int64_t least_elements_;
    Rewriter rewriter_;
    std::map<int, Rows> rows_;  ///< by x
};

}  // namespace

Graph row_moments(const Graph &graph, int64_t least_elements) { return RowMoments(graph, least_elements).run(); }

}  // namespace kiln
