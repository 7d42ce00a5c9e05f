// Training: phases, epochs and steps; validation, metrics, checkpoints and signals around them.
//
// The numbers of a run are a function of the executable, the data, the seed and the hypers. Threads, checkpoints, interruptions
// and resumption do not enter: a resumed run continues from the very state, at the very batch.
#pragma once

#include "kiln/exit_code.h"
#include "program/state.h"

#include <cstdio>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace kiln::runtime {

/// When to checkpoint between the ends of epochs. Zero: never.
struct SaveEvery {
    int64_t steps = 0;
    double seconds = 30;
};

struct TrainOptions {
    std::string data;  ///< empty: the checkpoint's on resume
    std::string run;
    std::string init;  ///< safetensors file of initial weights; empty: the model's own
    std::vector<std::string> init_only;  ///< patterns of the tensors that are taken from it; empty: all
    std::optional<std::vector<int64_t>> epochs;  ///< one a phase
    std::optional<uint64_t> seed;
    std::map<std::string, double> hypers;  ///< those given, by name
    bool resume = false, overwrite = false, quiet = false;
    SaveEvery save_every;
    std::FILE *out = stdout;
};

/// Runs to the end, or to a stop signal. Throws Failure.
ExitCode train(ProgramState &state, const TrainOptions &options);

}  // namespace kiln::runtime
