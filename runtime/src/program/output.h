// What prediction leaves in the memory of a program.
#pragma once

#include "program/state.h"

#include <vector>

namespace kiln::runtime {

/// The output of this name, or the first one for "": a value or a row for each sample. Throws Failure (usage) if there is none.
const Output &predicted_output(const ProgramState &state, const std::string &name = "");

/// Entries of the output for one sample of the current batch.
std::vector<double> output_row(const ProgramState &state, const Output &output, int64_t row);

}  // namespace kiln::runtime
