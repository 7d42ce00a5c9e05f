// Augmenter: calls the program's `augment` for one batch at a time, on any one thread, beside the training step.
//
// What it computes is a function of the raw batch, the seed, the hypers and the step that the batch is for, so that it
// may be called ahead of the step, and again after a resumption.
#pragma once

#include "program/state.h"

#include <vector>

namespace kiln::runtime {

/// Where a step stands in its run: the scalars that the runtime writes before it.
struct StepClock {
    int64_t seed = 0, step = 1, epoch = 0, phase = 0;  ///< step is 1-based
    int64_t steps_per_epoch = 1, phase_step = 0, phase_steps = 1;
    void write(const Metadata &metadata, std::vector<double> &scalars) const;
};

class Augmenter {
public:
    /// Takes hypers from the state as it is now. The state must outlive the augmenter.
    Augmenter(ProgramState &state, int64_t phase);

    /// Columns that it makes in this phase, by index in metadata.columns; empty: batches stay as they are.
    const std::vector<size_t> &columns() const { return columns_; }
    /// Bytes of column i of a batch as it makes it.
    int64_t bytes(size_t column) const { return state_.metadata.augmented[column]->bytes(); }

    /// raw[i] -> augmented[i] for every i of columns(); both by index in metadata.columns, 64-byte aligned. marks: see KilnContext.
    void run(const StepClock &clock, const std::vector<const void *> &raw, const std::vector<void *> &augmented, int64_t *marks = nullptr);

private:
    ProgramState &state_;
    std::vector<size_t> columns_;
    std::vector<double> scalars_;
    std::vector<const void *> raw_;
    std::vector<void *> augmented_;
    int64_t phase_;
    KilnContext context_{};
};

}  // namespace kiln::runtime
