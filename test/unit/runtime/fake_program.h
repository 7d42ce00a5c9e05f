// A KilnProgram written by hand: softmax regression of f32[4, 4, 1] pictures on class[3] labels, batch 8, with momentum. It is to
// the runtime what generated code is, small enough to reason about.
//
// Hypers: lr; delay_us (sleep in each step); explode_at (the step whose loss is NaN); rounds (integer) and nesterov (boolean)
// exist to be parsed. A global `trend` follows the epochs' losses and damps the rate, so that a forgotten global changes the
// weights.
#pragma once

#include "kiln/program.h"

#include <string>
#include <vector>

namespace kiln::runtime::testing {

struct FakeOptions {
    std::string model = "Fake";
    int classes = 3;  ///< also of the output: another number is another model
    bool with_validation = true;
    std::string extra_scalar;  ///< another schedule
    std::string second_phase;  ///< name of a second phase of one epoch
    std::string second_output; ///< name of a second output: two of the weights for each sample
    bool restore_best = false; ///< of the first phase
};

/// The metadata of the fake program; kept alive by the caller.
std::string fake_metadata(const FakeOptions &options = {});
KilnProgram fake_program(const std::string &metadata);

}  // namespace kiln::runtime::testing
