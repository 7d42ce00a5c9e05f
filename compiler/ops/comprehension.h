// Comprehensions taken apart and put together: the body as a scalar graph, and building in the best form.
#pragma once

#include "compiler/ops/affine.h"
#include "compiler/ops/builder.h"

namespace kiln {

/// The body as a graph of rank-0 nodes: node i is value i. Reads and indices are `argument` inputs.
Graph scalar_graph(const std::vector<BodyValue> &body);

/// Where a term goes: the target, or the axes that are kept.
std::vector<AffineIndex> target_of(const ComprehensionAttrs &attrs);

/// Points at which a term is computed, guarded or not.
int64_t points(const ComprehensionAttrs &attrs);

/// Without body values, operands and guards that have no effect.
void remove_unused(ComprehensionAttrs &attrs, std::vector<NodeId> &operands);

/// Appends a scattered comprehension, whose operands may have any order. Where its target can be solved for the axes it becomes one
/// that gathers: each element of the result sums its own terms. With a stride s, element h = s * a + b has the terms that
/// reach b, so the result is made as [.., a, b, ..] and reshaped. What depends on the data stays scattered.
NodeId append_scattered(Builder &b, ComprehensionAttrs attrs, std::vector<NodeId> operands);

}  // namespace kiln
