#include "compiler/passes/distances.h"

#include <algorithm>

namespace kiln {

namespace {

/// `id` is x - mean of what `sum` sums up.
std::optional<DistanceSum> find_distance(const Graph &graph, const Node &sum, NodeId id) {
    const Ints &axes = attrs<AxesAttrs>(sum).axes;
    const Node &difference = graph[id];
    if (difference.op != Op::subtract) return std::nullopt;
    const Node &row = graph[difference.operands[1]];
    if (row.op != Op::broadcast || attrs<BroadcastAttrs>(row).dims != kept_axes(row.type.shape, axes)) return std::nullopt;
    const DistanceSum found{difference.operands[0], row.operands[0], difference.type.elements() / sum.type.elements()};
    const Node &mean = graph[found.mean];
    if (mean.type != sum.type) return std::nullopt;
    const auto is_mean = [&](Op op, size_t place, double factor) {
        if (mean.op != op || !is_splat(graph[mean.operands[1 - place]], factor)) return false;
        const Node &all = graph[mean.operands[place]];
        return all.op == Op::reduce_sum && all.operands[0] == found.x && attrs<AxesAttrs>(all).axes == axes;
    };
    const double count = double(found.count);
    return is_mean(Op::divide, 0, count) || is_mean(Op::multiply, 0, 1 / count) || is_mean(Op::multiply, 1, 1 / count) ? std::optional(found) : std::nullopt;
}

}  // namespace

std::optional<DistanceSum> find_distance_sum(const Graph &graph, NodeId id) {
    const Node &sum = graph[id];
    if (sum.op != Op::reduce_sum) return std::nullopt;
    const Node &term = graph[sum.operands[0]];
    if (term.op == Op::multiply && term.operands[0] == term.operands[1]) return find_distance(graph, sum, term.operands[0]);
    if (term.op != Op::select) return std::nullopt;
    for (size_t place : {1, 2}) {
        std::optional<DistanceSum> found = is_splat(graph[term.operands[3 - place]], 0) ? find_distance(graph, sum, term.operands[place]) : std::nullopt;
        if (!found) continue;
        found->place = place;
        return found;
    }
    return std::nullopt;
}

Ints kept_axes(const Shape &shape, const Ints &axes) {
    Ints kept;
    for (int64_t axis = 0; axis < int64_t(shape.size()); ++axis)
        if (std::count(axes.begin(), axes.end(), axis) == 0) kept.push_back(axis);
    return kept;
}

NodeId sum_where_let_through(Rewriter &rewriter, NodeId id, const DistanceSum &distances, NodeId value, const Ints &axes) {
    const Graph &graph = rewriter.source();
    std::vector<NodeId> operands;
    for (NodeId operand : graph[graph[id].operands[0]].operands) operands.push_back(rewriter.mapped(operand));
    operands[distances.place] = value;
    Builder &b = rewriter.builder_at(graph[id]);
    return b.append(Op::reduce_sum, {b.append(Op::select, operands)}, AxesAttrs{axes});
}

}  // namespace kiln
