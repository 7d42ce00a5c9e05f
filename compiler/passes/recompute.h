// Which values are worth recomputing in every kernel that uses them instead of being stored.
#pragma once

#include "compiler/ir/graph.h"

#include <vector>

namespace kiln {

/// What fusion knows of a node before it forms groups.
enum class Role {
    absent,     ///< dead, or an input or constant: no group
    host,       ///< rank 0 from scalars alone: evaluated outside kernels
    alias,      ///< the same bytes under another shape, a piece of them, or several that lie side by side (ir/pieces.h): no work
    recomputed, ///< cheap: copied into each kernel that uses it
    solid,      ///< computed once, in one kernel
};

struct Roles {
    std::vector<Role> role;
    std::vector<bool> early;  ///< needed before the loss has been checked: for losses, samples, outputs, gradients
};

Roles find_roles(const Graph &graph);

/// Whether a weight gradient takes the gradient of the results row by row, computed where it is multiplied: a large one, for pictures of
/// few channels, whose kernel reads each row for all weights before the next.
bool takes_rows_of_gradient(const Graph &graph, const Node &node);

}  // namespace kiln
