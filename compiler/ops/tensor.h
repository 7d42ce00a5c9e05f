// A dense row-major tensor of the reference interpreter. Values are held as double; results of f32 nodes are rounded to
// float after each op, integers and booleans are exact (i64 within +-2^53). Sums inside one op (reductions, contractions) are
// held in double and rounded once.
#pragma once

#include "compiler/ir/types.h"

#include <vector>

namespace kiln {

struct Tensor {
    Type type;
    std::vector<double> values;
};

}  // namespace kiln
