// Mean and variance of a convolution's results from sums over their rows, which its kernel takes while the rows are near (fuse.cpp): the results
// need not be read again. With m the mean of one row of W elements, and s the sum of (x - m)^2 over it,
//   sum of x  =  sum of W m,        sum of (x - mean)^2  =  sum of (s + W (m - mean)^2)
// over all rows (Chan, Golub & LeVeque: "Algorithms for computing the sample variance", 1983).
//
// Likewise what a mask, as of a relu, lets through of x - mean, which is part of a bias's gradient:
//   sum of (x - mean) where let through  =  sum over the rows of (x - m) where let through, and (m - mean) times their number.
#include "compiler/passes/passes.h"
#include "compiler/passes/rewrite.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <vector>

namespace kiln {

namespace {

const Ints kAllButChannels{0, 1, 2}, kRows{2}, kOverRows{0, 1};

class RowMoments {
public:
    RowMoments(const Graph &graph, int64_t least_elements) : graph_(graph), least_elements_(least_elements), rewriter_(graph) {}

    Graph run() {
        // Of the results whose variance is asked for, all sums are taken by rows.
        for (int i = 0; i < graph_.size(); ++i)
            if (const std::optional<Match> match = find_sum({i}); match && match->place == 0 && comes_from_convolution(match->x)) rows_.try_emplace(match->x.index);
        for (int i = 0; i < graph_.size(); ++i) {
            const NodeId id{i};
            if (const std::optional<Match> match = find_sum(id); match && rows_.count(match->x.index) > 0) rewriter_.map(id, match->place == 0 ? squares(id, *match) : let_through(id, *match));
            else if (const NodeId x = is_sum(id) ? source_of(graph_[id].operands[0]) : NodeId{}; x.valid())
                rewriter_.map(id, over_rows(id, x == graph_[id].operands[0] ? of_rows(id, x).sum : rewriter_.builder_at(graph_[id]).append(Op::reduce_sum, {rewriter_.mapped(graph_[id].operands[0])}, AxesAttrs{kRows})));
            else rewriter_.copy(id);
        }
        return rewriter_.finish();
    }

private:
    struct Match {
        NodeId x, mean;
        size_t place = 0;  ///< of x - mean in a select; 0: its squares are summed up
    };
    struct Rows {
        NodeId sum, mean, spread;  ///< [N, H, C], and the mean at each element of x
    };

    bool is_sum(NodeId id) const { return graph_[id].op == Op::reduce_sum && attrs<AxesAttrs>(graph_[id]).axes == kAllButChannels && graph_[graph_[id].operands[0]].type.rank() == 4; }

    /// A sum of squares of x - mean, or of x - mean where a mask made of x lets it through and else zero, where mean is that of x.
    std::optional<Match> find_sum(NodeId id) const {
        if (!is_sum(id)) return std::nullopt;
        const Node &term = graph_[graph_[id].operands[0]];
        if (term.op == Op::multiply && term.operands[0] == term.operands[1]) return find_distance(term.operands[0]);
        if (term.op != Op::select) return std::nullopt;
        for (size_t place : {1, 2}) {
            std::optional<Match> match = is_splat(graph_[term.operands[3 - place]], 0) ? find_distance(term.operands[place]) : std::nullopt;
            if (!match || !is_made_of(term.operands[0], match->x)) continue;
            match->place = place;
            return match;
        }
        return std::nullopt;
    }

    std::optional<Match> find_distance(NodeId id) const {
        const Node &difference = graph_[id];
        if (difference.op != Op::subtract) return std::nullopt;
        const Node &row = graph_[difference.operands[1]];
        if (row.op != Op::broadcast || attrs<BroadcastAttrs>(row).dims != Ints{3}) return std::nullopt;
        const Match match{difference.operands[0], row.operands[0]};
        const Node &mean = graph_[match.mean];
        const double count = double(difference.type.elements() / mean.type.elements());
        const auto is_mean = [&](Op op, size_t sum, double factor) {
            return mean.op == op && is_splat(graph_[mean.operands[1 - sum]], factor) && is_sum(mean.operands[sum]) && graph_[mean.operands[sum]].operands[0] == match.x;
        };
        return is_mean(Op::divide, 0, count) || is_mean(Op::multiply, 0, 1 / count) || is_mean(Op::multiply, 1, 1 / count) ? std::optional(match) : std::nullopt;
    }

    bool is_made_of(NodeId id, NodeId x) const {
        std::set<NodeId> seen;
        std::vector<NodeId> pending{id};
        while (!pending.empty()) {
            const NodeId next = pending.back();
            pending.pop_back();
            const Node &node = graph_[next];
            if (next == x || node.op == Op::constant || !seen.insert(next).second) continue;
            if (!has_trait(node.op, kElementwise)) return false;
            pending.insert(pending.end(), node.operands.begin(), node.operands.end());
        }
        return true;
    }

    /// The results, of those that are summed up by rows, of which a value is made.
    NodeId source_of(NodeId id) const {
        for (const auto &[x, rows] : rows_)
            if (graph_[id].op != Op::constant && graph_[NodeId{x}].type.shape == graph_[id].type.shape && is_made_of(id, {x})) return {x};
        return {};
    }

    /// x is a convolution, or computed of one alone: it is stored by the kernel of the convolution.
    bool comes_from_convolution(NodeId x) const {
        const Type &type = graph_[x].type;
        if (type.dtype != DType::f32 || type.elements() < least_elements_ || type.shape[3] % kVectorChannels != 0) return false;
        int convolutions = 0;
        std::set<NodeId> seen;
        std::vector<NodeId> pending{x};
        while (!pending.empty()) {
            const NodeId next = pending.back();
            pending.pop_back();
            const Node &node = graph_[next];
            if (!seen.insert(next).second || node.op == Op::constant) continue;
            if (node.op == Op::broadcast && graph_[node.operands[0]].op == Op::input) continue;
            if (node.op == Op::conv2d) convolutions++;
            else if (!has_trait(node.op, kElementwise)) return false;
            else pending.insert(pending.end(), node.operands.begin(), node.operands.end());
        }
        return convolutions == 1;
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
    NodeId distance(Builder &b, const Rows &rows, const Match &match) {
        return b.append(Op::subtract, {rows.mean, b.append(Op::broadcast, {rewriter_.mapped(match.mean)}, BroadcastAttrs{b.type(rows.mean).shape, {2}})});
    }

    NodeId squares(NodeId id, const Match &match) {
        const Rows rows = of_rows(id, match.x);
        Builder &b = rewriter_.builder_at(graph_[id]);
        const NodeId difference = b.append(Op::subtract, {rewriter_.mapped(match.x), rows.spread});
        const NodeId within = b.append(Op::reduce_sum, {b.append(Op::multiply, {difference, difference})}, AxesAttrs{kRows});
        const NodeId between = distance(b, rows, match), width = b.constant(double(graph_[match.x].type.shape[2]), b.type(between));
        return over_rows(id, b.add(within, b.append(Op::multiply, {width, b.append(Op::multiply, {between, between})})));
    }

    NodeId let_through(NodeId id, const Match &match) {
        const Rows rows = of_rows(id, match.x);
        const Node &select = graph_[graph_[id].operands[0]];
        Builder &b = rewriter_.builder_at(graph_[id]);
        auto sum_of = [&](NodeId value) {
            std::vector<NodeId> operands;
            for (NodeId operand : select.operands) operands.push_back(rewriter_.mapped(operand));
            operands[match.place] = value;
            return b.append(Op::reduce_sum, {b.append(Op::select, operands)}, AxesAttrs{kRows});
        };
        const NodeId terms = sum_of(b.constant(1, graph_[match.x].type));
        // What a relu does not let through is zero.
        const NodeId within = is_relu_mask(graph_[id].operands[0], match) ? b.append(Op::multiply, {rows.mean, b.append(Op::subtract, {b.constant(double(graph_[match.x].type.shape[2]), b.type(terms)), terms})})
                                                                          : sum_of(b.append(Op::subtract, {rewriter_.mapped(match.x), rows.spread}));
        return over_rows(id, b.add(within, b.append(Op::multiply, {terms, distance(b, rows, match)})));
    }

    /// Whether a select lets x - mean through where x, the result of a relu, is above zero.
    bool is_relu_mask(NodeId select, const Match &match) const {
        const Node &x = graph_[match.x], &mask = graph_[graph_[select].operands[0]];
        auto is_zero = [&](NodeId id) { return is_splat(graph_[id], 0); };
        if (x.op != Op::maximum || (!is_zero(x.operands[0]) && !is_zero(x.operands[1]))) return false;
        if (mask.op == Op::less_equal) return match.place == 2 && mask.operands[0] == match.x && is_zero(mask.operands[1]);
        return mask.op == Op::less && match.place == 1 && is_zero(mask.operands[0]) && mask.operands[1] == match.x;
    }

    static constexpr int64_t kVectorChannels = 16;

    const Graph &graph_;
    const int64_t least_elements_;
    Rewriter rewriter_;
    std::map<int, Rows> rows_;  ///< by x
};

}  // namespace

Graph row_moments(const Graph &graph, int64_t least_elements) { return RowMoments(graph, least_elements).run(); }

}  // namespace kiln
