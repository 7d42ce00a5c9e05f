// Evaluation of a split: every record exactly once, in file order.
#pragma once

#include "data/dataset.h"
#include "program/state.h"

#include <functional>
#include <optional>
#include <vector>

namespace kiln::runtime {

struct Evaluation {
    int64_t records = 0;
    double seconds = 0;
    std::vector<double> values;  ///< reported, by index in metadata.samples
};

/// Leaves the sums of a running training epoch as they were. `stop` is asked after each batch; nothing is returned once it says
/// yes.
std::optional<Evaluation> evaluate(ProgramState &state, const Dataset &dataset, const std::function<bool()> &stop);

}  // namespace kiln::runtime
