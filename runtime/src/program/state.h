// The memory a program works on: arenas, scalars, sums and the pointers to the current batch.
#pragma once

#include "data/pseudo_labels.h"
#include "data/vocabulary.h"
#include "kiln/program.h"
#include "program/metadata.h"
#include "support/memory.h"
#include "threads/team_fit.h"

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kiln::runtime {

struct SpoiltParameter {
    std::string path;
    const char *what;  ///< "NaN", "infinite"
};

class ProgramState {
public:
    /// Allocates, sets hypers to their defaults and globals to their initial values, calls bind.
    ProgramState(const KilnProgram &program, const Metadata &metadata);

    KilnContext *context() { return &context_; }
    uint8_t *storage(const Storage &storage) { return arenas_[storage.arena] + storage.offset; }
    const uint8_t *output(const Output &output) const { return arenas_[output.arena] + output.offset; }
    std::vector<double> &scalars() { return scalars_; }
    std::vector<double> &sums() { return sums_; }
    /// Writes a scalar of this name if the program has one.
    void set(std::string_view name, double value);
    double get(std::string_view name, double otherwise) const;
    /// Sets the hypers given by name. Throws Failure (usage) if the program requires other values.
    void set_hypers(const std::map<std::string, double> &given);
    /// Which of the program's requirements on the length of phases, of so many epochs and steps an epoch each, are not met.
    std::vector<std::string> unmet_plan(const std::vector<int64_t> &epochs, const std::vector<int64_t> &steps_per_epoch);
    /// Of inference over a split, with the number of the batch's first record there.
    void set_columns(const std::vector<const void *> &columns, int64_t record = 0);
    /// Before a phase: the gradients of parameters that it freezes are zeros, not what the phase before left.
    void clear_gradients();
    /// A parameter that holds a NaN, or else one that holds an infinity; nothing if there is none.
    std::optional<SpoiltParameter> spoilt_parameter();
    /// One training step, on as many members of the team as it is fastest on: KILN_STEP_OK or why not.
    int32_t train_step(int32_t phase);
    /// Of the next step.
    int step_threads() const { return step_fit_.shape().members; }

    Vocabularies vocabularies;  ///< of the inputs that are text; of the checkpoint, or built by training
    PseudoLabelSets pseudo_labels;  ///< that training goes on with
    const KilnProgram &program;
    const Metadata &metadata;

private:
    std::optional<Memory> memory_;  ///< of all arenas together: those of small models then share huge pages
    std::vector<uint8_t *> arenas_;
    std::vector<const void *> columns_;
    int record_ = -1;  ///< the scalar; -1: the program has none
    std::vector<double> scalars_, sums_;
    KilnContext context_{};
    TeamFit step_fit_{team_size()};
};

/// sums over `count` samples -> what is reported, by index in metadata.samples.
std::vector<double> reported(const ProgramState &state, const std::vector<double> &sums, double count);

}  // namespace kiln::runtime
