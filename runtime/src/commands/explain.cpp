#include "commands/commands.h"
#include "data/dataset.h"
#include "support/failure.h"
#include "support/text.h"

#include <algorithm>
#include <cstdio>

namespace kiln::runtime {

void explain_schedule_command(ProgramState &state, const ExplainScheduleOptions &options) {
    const Metadata &metadata = state.metadata;
    if (!state.program.step_rule || metadata.scalar("rate") < 0)
        fail(ExitCode::usage, "%s declares no training", metadata.source.c_str());
    std::vector<int64_t> epochs;
    for (const Phase &phase : metadata.phases) epochs.push_back(phase.epochs);
    if (options.epochs) {
        if (options.epochs->size() != epochs.size())
            fail(ExitCode::usage, "--epochs gives %zu numbers for %zu phases", options.epochs->size(), epochs.size());
        epochs = *options.epochs;
    }
    int64_t steps_per_epoch = options.steps_per_epoch;
    if (steps_per_epoch == 0) {
        if (options.data.empty()) fail(ExitCode::usage, "how many steps has an epoch? Give --data DIR or --steps-per-epoch N");
        steps_per_epoch = open_training_split(options.data, metadata, state.vocabularies).records / metadata.batch;
    }
    for (const Hyper &hyper : metadata.hypers)
        if (auto given = options.hypers.find(hyper.name); given != options.hypers.end())
            state.scalars()[hyper.scalar] = given->second;

    std::vector<std::vector<std::string>> rows{{"phase", "epoch", "step", "rate"}};
    int64_t step = 0, epoch = 0;
    state.set("steps_per_epoch", double(steps_per_epoch));
    for (size_t p = 0; p < epochs.size(); ++p) {
        int64_t steps = epochs[p] * steps_per_epoch;
        int64_t every = options.every ? options.every : std::max<int64_t>(1, steps / 20);
        state.set("phase", double(p));
        state.set("phase_steps", double(steps));
        for (int64_t i = 0; i < steps; ++i, ++step) {
            state.set("step", double(step + 1));
            state.set("epoch", double(epoch + i / steps_per_epoch));
            state.set("phase_step", double(i));
            state.set("progress", double(i) / double(steps));
            state.program.step_rule(state.context(), int32_t(p));
            if (i % every == 0 || i + 1 == steps)
                rows.push_back({metadata.phases[p].name, std::to_string(epoch + i / steps_per_epoch + 1),
                                std::to_string(step + 1), format("%.6g", state.get("rate", 0))});
        }
        epoch += epochs[p];
    }
    std::printf("%s", table(rows, {1, 2}).c_str());
}

}  // namespace kiln::runtime
