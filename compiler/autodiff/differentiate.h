// Reverse-mode differentiation: one walk over the graph, one rule table (ops/rules.h), ordinary ops out.
#pragma once

#include "compiler/ir/graph.h"

#include <vector>

namespace kiln {

/// Appends the gradient of the rank-0 node `loss` with respect to each node of `wrt` and returns their ids in that order.
/// A node the loss does not depend on has a zero gradient. Contributions are summed in node order, so the bits are fixed.
std::vector<NodeId> append_gradients(Graph &graph, NodeId loss, const std::vector<NodeId> &wrt);

/// The graph with, for each storage input of kind param, a result `store "gradient:<path>"`: the gradient of its `loss`.
Graph differentiate(const Graph &graph, const std::vector<std::string> &param_paths);

}  // namespace kiln
