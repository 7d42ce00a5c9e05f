#include "train/augmenter.h"

#include <algorithm>

namespace kiln::runtime {

void StepClock::write(const Metadata &metadata, std::vector<double> &scalars) const {
    auto set = [&](const char *name, double value) {
        if (int index = metadata.scalar(name); index >= 0) scalars[size_t(index)] = value;
    };
    set("seed", double(seed));
    set("step", double(step));
    set("epoch", double(epoch));
    set("progress", double(phase_step) / double(phase_steps));
    set("steps_per_epoch", double(steps_per_epoch));
    set("phase_step", double(phase_step));
    set("phase_steps", double(phase_steps));
    set("phase", double(phase));
}

Augmenter::Augmenter(ProgramState &state, int64_t phase)
    : state_(state),
      scalars_(state.scalars()),
      raw_(state.metadata.columns.size()),
      augmented_(state.metadata.columns.size()),
      phase_(phase) {
    if (state.program.augment) columns_ = state.metadata.phases[size_t(phase)].augmented;
    context_ = {state.context()->arenas, raw_.data(), scalars_.data(), nullptr, augmented_.data(), nullptr};
}

void Augmenter::run(const StepClock &clock, const std::vector<const void *> &raw, const std::vector<void *> &augmented, int64_t *marks) {
    clock.write(state_.metadata, scalars_);
    std::copy(raw.begin(), raw.end(), raw_.begin());
    std::copy(augmented.begin(), augmented.end(), augmented_.begin());
    context_.marks = marks;
    state_.program.augment(&context_, int32_t(phase_));
}

}  // namespace kiln::runtime
