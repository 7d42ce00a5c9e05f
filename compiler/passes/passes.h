// Every pass, one per file; see each file for what it does and pipeline.cpp for their order.
#pragma once

#include "compiler/ir/graph.h"

namespace kiln {

/// Tensors of as many elements do not stay in the caches: reading one again costs more than arithmetic that avoids it.
inline constexpr int64_t kFromMemory = 1 << 24;

Graph specialize(const Graph &graph);
Graph fold(const Graph &graph);
Graph simplify(const Graph &graph);
Graph join(const Graph &graph);
Graph gradient_sums(const Graph &graph);
Graph factor(const Graph &graph, int64_t least_elements = kFromMemory);   ///< of smaller tensors masked sums are left alone
Graph row_moments(const Graph &graph, int64_t least_elements = kFromMemory);  ///< of smaller tensors statistics are kernels of their own
Graph moments(const Graph &graph, int64_t least_elements = kFromMemory);  ///< smaller tensors are read again
Graph pooled_sums(const Graph &graph, int64_t least_elements = kFromMemory);  ///< of smaller tensors the gradient is read
Graph few_filters(const Graph &graph);
Graph cse(const Graph &graph);
Graph fuse(const Graph &graph);

}  // namespace kiln
