// Reverse-mode differentiation: one walk over the graph, one rule table (ops/rules.h), ordinary ops out.
#pragma once

#include "compiler/ir/graph.h"

#include <string>
#include <vector>

namespace kiln {

/// Appends the gradient of the rank-0 node `loss` with respect to each node of `wrt` and returns their ids in that order.
/// A node the loss does not depend on, or only through integral ops (a comparison, floor, stop_gradient), has a zero gradient.
/// Contributions are summed in the order of the walk, the last user's first, so the bits are fixed. Only nodes that some
/// returned gradient needs are appended, with the location and scope of the node they derive from.
std::vector<NodeId> append_gradients(Graph &graph, NodeId loss, const std::vector<NodeId> &wrt);

/// Whether differentiate() made a graph.
bool stores_gradients(const Graph &graph);

/// The graph with, for each parameter it reads, a result `store "gradient:<path>"`: the gradient of its `loss`.
/// A path that no storage input names gets no result. Not for a graph that stores gradients already.
Graph differentiate(const Graph &graph, const std::vector<std::string> &param_paths);

}  // namespace kiln
