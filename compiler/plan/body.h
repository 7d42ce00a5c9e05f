// A fused group as a graph of its own: what it takes from outside become arguments, what others need of it results.
#pragma once

#include "compiler/plan/plan.h"

#include <functional>
#include <vector>

namespace kiln {

/// Rank-0 values computed from scalar inputs and constants alone; they are evaluated by the program, outside kernels.
std::vector<bool> host_scalars(const Graph &graph);

struct Body {
    Graph graph;
    std::vector<NodeId> arguments;  ///< per argument: the node of the source graph
};

/// `members` ascending; `results`: the members (or, for a copy, a value from outside) to produce. A rank-0 argument that is
/// a host scalar is named "scalar<i>", other arguments "input<i>".
Body extract_body(const Graph &graph, const std::vector<NodeId> &members, const std::vector<NodeId> &results,
                  const std::vector<bool> &is_host_scalar);

/// The kernel for a body: family, FLOPs and a name made of family and content.
Kernel make_kernel(Graph body, std::vector<int> in_place);

/// Whether the body computes element by element, from elements and from smaller tensors.
bool is_elementwise(const Graph &body);

/// Whether result `result` may overwrite argument node `argument` of the body: everything computed from the argument is
/// elementwise, so element i is read only for element i; or rows gathered from it are set in it.
bool may_update_in_place(const Graph &body, int result, NodeId argument);

/// Floating-point operations of one node: 2 M N K for contractions, one per element of elementwise ops and per operand
/// element of reductions, one per window element of pooling; moving data counts nothing.
int64_t flops_of(const Graph &graph, const Node &node);

/// Kernel::bytes: what has to be read and written at least.
int64_t bytes_of(const Graph &body, const std::vector<int> &in_place);

}  // namespace kiln
