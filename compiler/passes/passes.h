// Every pass, one per file; see each file for what it does and pipeline.cpp for their order.
#pragma once

#include "compiler/ir/graph.h"

namespace kiln {

Graph specialize(const Graph &graph);
Graph fold(const Graph &graph);
Graph simplify(const Graph &graph);
Graph gradient_sums(const Graph &graph);
Graph factor(const Graph &graph);
Graph moments(const Graph &graph, int64_t least_elements = 1 << 24);  ///< smaller tensors are read again, from the caches
Graph cse(const Graph &graph);
Graph dce(const Graph &graph);
Graph fuse(const Graph &graph);

}  // namespace kiln
