// Row-sparse parameters: tables that the model only looks rows up in (embeddings). Of such a parameter's gradient all rows but those a
// step looked up are zero, and the update of the optimizer is rewritten to say so:
//
//   table <- set_rows(update(table, gradient = 0), update(rows of table, rows of gradient), index)
//
// The first part is simplified with the zero gradient. For SGD or Adagrad nothing remains of it, the table itself, and a step costs
// what its rows cost, however long the table is. For Adam it remains, because its moments decay in every row. Nobody looks at
// the name of an optimizer: what remains decides. The numbers are those of the dense update (0 times a number counts as 0,
// so parameters and states must be finite), since updates of one row are added up in the same order; only which product of a sum is
// fused with it may differ, in the last bit. Where more than an elementwise update looks at the gradient, a norm or a statistic, it
// stays dense.
//
// Inputs `touched[a:b]` and `touched:PATH` (bool, laid out like the parameters) are true in the rows that the step looked up, and
// everywhere in parameters that are not row-sparse. Optimizers with `update_rows` read them; this pass replaces them.
#pragma once

#include "compiler/ir/module.h"

namespace kiln {

/// Tables whose rest remains and that have at least so many elements are updated in parts, each by one thread, which then looks its rows up, too
/// (GatherAttrs).
inline constexpr int64_t kElementsInParts = 1 << 14;
inline constexpr int64_t kRowsInParts = 32;

/// Rewrites the training graphs (after differentiate) and the updates of the phases that run them.
Module with_row_updates(const Module &module);

}  // namespace kiln
