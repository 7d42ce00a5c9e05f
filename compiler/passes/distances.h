// What the passes over mean and variance look for.
#pragma once

#include "compiler/passes/rewrite.h"

#include <optional>

namespace kiln {

/// A sum of (x - mean)^2, or of x - mean where a mask lets it through and else zero; mean is that of x over the axes of the sum.
struct DistanceSum {
    NodeId x, mean;
    int64_t count = 0;  ///< elements of x for one of the mean
    size_t place = 0;   ///< of x - mean in a select; 0: its squares are summed up
};
std::optional<DistanceSum> find_distance_sum(const Graph &graph, NodeId id);

/// The axes that a sum over `axes` keeps.
Ints kept_axes(const Shape &shape, const Ints &axes);

/// Of a sum with a mask: the sum over `axes` of `value`, a node of the new graph, where the mask lets it through.
NodeId sum_where_let_through(Rewriter &rewriter, NodeId id, const DistanceSum &distances, NodeId value, const Ints &axes);

}  // namespace kiln
