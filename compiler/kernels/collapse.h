// Collapses dimensions that every value of a body treats alike: relu over [64, 26, 26, 32] becomes a loop over one dimension, a
// bias added to it a loop over [43264, 32], batch statistics a reduction of the first of two. Extents of 1 disappear.
#pragma once

#include "compiler/ir/graph.h"

namespace kiln {

/// The same body over fewer dimensions; unchanged if it holds other ops than elementwise ones, broadcasts and reductions.
/// Elements keep their row-major order, so arguments and results keep their bytes.
Graph collapse_dimensions(const Graph &body);

}  // namespace kiln
