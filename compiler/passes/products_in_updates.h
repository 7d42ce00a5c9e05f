// Gradients of large matrices that are products, x^T dy of a dense layer, and of which each element is needed once, by the update: the training graph stores
// the factors at the gradient's place, and the update multiplies them. So a kernel changes a parameter and its states while an element of the gradient is in a
// register, and the gradient itself is never written and read again; it is as large as the parameter, and with the states leaves the caches between
// two steps (compiler/decisions/products-in-updates.md).
//
// Where more than an elementwise update looks at a gradient, a norm or a statistic, or where the factors are larger than the gradient, it is stored as before.
#pragma once

#include "compiler/ir/module.h"

namespace kiln {

/// Rewrites the training graphs and the updates of the phases that run them; after with_row_updates().
Module with_products_in_updates(const Module &module);

}  // namespace kiln
