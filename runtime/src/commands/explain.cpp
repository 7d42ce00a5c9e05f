#include "commands/commands.h"
#include "data/dataset.h"
#include "image/plot.h"
#include "support/failure.h"
#include "support/file.h"
#include "support/text.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace kiln::runtime {
namespace {

constexpr int64_t kMostPoints = 20000;      // of a plot
constexpr int64_t kMostSteps = 100'000'000;  // some seconds

std::vector<int64_t> planned_epochs(const Metadata &metadata, const ExplainScheduleOptions &options) {
    std::vector<int64_t> epochs;
    for (const Phase &phase : metadata.phases) epochs.push_back(phase.epochs);
    if (!options.epochs) return epochs;
    if (options.epochs->size() != epochs.size())
        fail(ExitCode::usage, "--epochs gives %zu numbers for %zu phases", options.epochs->size(), epochs.size());
    return *options.epochs;
}

}  // namespace

void explain_schedule_command(ProgramState &state, const ExplainScheduleOptions &options) {
    const Metadata &metadata = state.metadata;
    if (!state.program.step_rule || metadata.scalar("rate") < 0)
        fail(ExitCode::usage, "%s declares no training", metadata.source.c_str());
    std::vector<int64_t> epochs = planned_epochs(metadata, options);
    std::vector<int64_t> steps_by_phase(epochs.size(), options.steps_per_epoch);
    if (options.steps_per_epoch == 0) {
        if (options.data.empty()) fail(ExitCode::usage, "how many steps has an epoch? Give --data DIR or --steps-per-epoch N");
        steps_by_phase = steps_per_epoch(open_training_sets(options.data, metadata, state.vocabularies), metadata);
    }
    double planned = 0;  // as a double: the product may be more than an integer holds
    for (size_t p = 0; p < epochs.size(); ++p) planned += double(epochs[p]) * double(steps_by_phase[p]);
    if (planned > double(kMostSteps))
        fail(ExitCode::usage, "the schedule has %.0f steps; at most %s are computed here: give fewer epochs, or fewer steps to one", planned, grouped(kMostSteps).c_str());
    state.set_hypers(options.hypers);

    for (const std::string &text : state.unmet_plan(epochs, steps_by_phase))
        std::fprintf(stderr, "warning: %s\n", text.c_str());
    bool with_momentum = metadata.scalar("optimizer.momentum") >= 0;
    std::vector<std::string> header{"phase", "epoch", "step", "rate"};
    if (with_momentum) header.push_back("momentum");
    std::vector<std::vector<std::string>> rows{header};
    std::string csv = join(header, ",") + "\n";
    Plot rates{"learning rate", "step", false, false, {{"rate", {}, {}, false}}, {}};
    Plot momenta{"momentum", "step", false, false, {{"momentum", {}, {}, false}}, {}};
    int64_t total = 0, step = 0, epoch = 0;
    for (size_t p = 0; p < epochs.size(); ++p) total += epochs[p] * steps_by_phase[p];
    int64_t stride = std::max<int64_t>(1, total / kMostPoints);
    for (size_t p = 0; p < epochs.size(); ++p) {
        int64_t each = steps_by_phase[p], steps = epochs[p] * each;
        state.set("steps_per_epoch", double(each));
        int64_t every = options.every ? options.every : std::max<int64_t>(1, steps / 20);
        const std::string &name = metadata.phases[p].name;
        state.set("phase", double(p));
        state.set("phase_steps", double(steps));
        if (epochs.size() > 1) rates.marks.push_back({double(step + 1), name});
        for (int64_t i = 0; i < steps; ++i, ++step) {
            state.set("step", double(step + 1));
            state.set("epoch", double(epoch + i / each));
            state.set("phase_step", double(i));
            state.set("progress", double(i) / double(steps));
            state.program.step_rule(state.context(), int32_t(p));
            double rate = state.get("rate", 0), momentum = state.get("optimizer.momentum", std::nan(""));
            std::string place = std::to_string(epoch + i / each + 1);
            if (!options.csv.empty()) {
                csv += name + "," + place + "," + std::to_string(step + 1) + "," + number_text(rate);
                if (with_momentum) csv += "," + (std::isfinite(momentum) ? number_text(momentum) : "");
                csv += "\n";
            }
            if (step % stride == 0 || i == 0 || i + 1 == steps) {
                for (Plot *plot : {&rates, &momenta}) plot->curves[0].x.push_back(double(step + 1));
                rates.curves[0].y.push_back(rate);
                momenta.curves[0].y.push_back(momentum);
            }
            if (i % every != 0 && i + 1 != steps) continue;
            rows.push_back({name, place, std::to_string(step + 1), format("%.6g", rate)});
            if (with_momentum) rows.back().push_back(std::isfinite(momentum) ? format("%.6g", momentum) : "");
        }
        epoch += epochs[p];
    }
    momenta.marks = rates.marks;
    std::vector<Plot> plots{rates};
    if (with_momentum) plots.push_back(momenta);
    std::printf("%s", table(rows, {1, 2}).c_str());
    for (const Plot &plot : plots) std::printf("\n%s", text_plot(plot).c_str());
    if (!options.csv.empty()) replace_file(options.csv, csv);
    if (!options.picture.empty()) replace_file(options.picture, encode_png(draw_plots(plots)));
}

}  // namespace kiln::runtime
