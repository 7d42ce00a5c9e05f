// The learning rate range test (Smith 2017): the rate grows exponentially from step to step until the loss explodes.
#include "checkpoint/checkpoint.h"
#include "commands/commands.h"
#include "data/batch_stream.h"
#include "data/dataset.h"
#include "image/plot.h"
#include "support/failure.h"
#include "support/file.h"
#include "support/text.h"
#include "train/augmenter.h"
#include "train/mixture.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace kiln::runtime {
namespace {

constexpr double kMemory = 0.9;      // of the running mean that decides on divergence
constexpr double kDivergence = 4;    // times the lowest running mean
constexpr int64_t kWindow = 11;      // of the centred mean that suggestions are read from
constexpr size_t kFewest = 10;       // steps that suggestions need

struct Ramp {
    std::vector<double> rates, losses;
    std::string ending;
};

// Batches of the training split, epoch after epoch in the order that training would have, augmented if the phase does that.
class Batches {
public:
    Batches(ProgramState &state, const Dataset &dataset, uint64_t seed, int64_t phase, int64_t steps)
        : metadata_(state.metadata), augmenter_(state, phase), per_epoch_(dataset.records / metadata_.batch) {
        const Phase labelled = labelled_only(metadata_.phases[size_t(phase)], metadata_.batch);
        mixture_.emplace(state, labelled, DatasetsByName{{labelled.split, &dataset}});
        clock_ = {.seed = int64_t(seed), .phase = phase, .steps_per_epoch = per_epoch_, .phase_steps = steps};
    }
    const Batch *next() {
        const Batch *batch = stream_ ? stream_->next() : nullptr;
        if (batch) return batch;
        stream_.emplace(mixture_->dataset(), mixture_->columns(), metadata_.batch, mixture_->order(uint64_t(clock_.seed), epoch_, per_epoch_), BatchStream::Range{0, per_epoch_}, augmentation());
        epoch_ += 1;
        return stream_->next();
    }
    /// Of a step, counted from 0.
    StepClock clock(int64_t step) const {
        StepClock now = clock_;
        now.step = step + 1;
        now.epoch = step / per_epoch_;
        now.phase_step = step;
        return now;
    }

private:
    BatchTransform augmentation() {
        if (augmenter_.columns().empty()) return {};
        BatchTransform transform;
        transform.bytes.resize(metadata_.columns.size());
        for (size_t column : augmenter_.columns()) transform.bytes[column] = augmenter_.bytes(column);
        transform.run = [this, first = epoch_ * per_epoch_](int64_t batch, const std::vector<const void *> &raw,
                                                            const std::vector<void *> &made) {
            augmenter_.run(clock(first + batch), raw, made);
        };
        return transform;
    }

    const Metadata &metadata_;
    std::optional<Mixture> mixture_;  ///< of labelled records only
    Augmenter augmenter_;
    StepClock clock_;
    int64_t per_epoch_, epoch_ = 0;
    std::optional<BatchStream> stream_;
};

Ramp ramp(ProgramState &state, const LrFindOptions &options, Batches &batches, int64_t phase) {
    Ramp result;
    double mean = 0, weight = 0, lowest = 0;
    for (int64_t i = 0; i < options.steps; ++i) {
        double progress = double(i) / double(options.steps - 1);
        // The quotient of the two may be no number. At the ends this is --from and --to, exactly.
        double rate = std::pow(options.from, 1 - progress) * std::pow(options.to, progress);
        state.set_columns(batches.next()->columns);
        batches.clock(i).write(state.metadata, state.scalars());
        state.program.step_rule(state.context(), int32_t(phase));
        state.set("rate", rate);
        int32_t status = state.train_step(int32_t(phase));
        double loss = state.get("loss", std::nan(""));
        if (status != KILN_STEP_OK && status != KILN_STEP_NOT_FINITE)
            fail(ExitCode::internal, "step %lld failed with code %d", (long long)i + 1, status);
        if (status == KILN_STEP_NOT_FINITE) {
            result.ending = format("stopped at %s, where the loss is %s", short_number(rate).c_str(), number_text(loss).c_str());
            break;
        }
        result.rates.push_back(rate);
        result.losses.push_back(loss);
        mean = kMemory * mean + (1 - kMemory) * loss;
        weight = kMemory * weight + (1 - kMemory);
        double running = mean / weight;
        lowest = i == 0 ? running : std::min(lowest, running);
        if (running > lowest + (kDivergence - 1) * std::abs(lowest)) {
            result.ending = format("stopped at %s, where the loss is %s times its lowest", short_number(rate).c_str(),
                                   short_number(running / lowest).c_str());
            break;
        }
    }
    if (result.ending.empty()) result.ending = "the loss did not explode";
    return result;
}

// The mean over a window around each step, narrower at the ends so that it stays centred.
std::vector<double> smoothed(const std::vector<double> &losses) {
    std::vector<double> out;
    auto n = int64_t(losses.size());
    for (int64_t i = 0; i < n; ++i) {
        int64_t reach = std::min({kWindow / 2, i, n - 1 - i});
        double sum = 0;
        for (int64_t j = i - reach; j <= i + reach; ++j) sum += losses[size_t(j)];
        out.push_back(sum / double(2 * reach + 1));
    }
    return out;
}

struct Suggestions {
    double steepest = 0, lowest = 0;  ///< rates; steepest 0: the loss falls nowhere
};

Suggestions suggestions(const Ramp &ramp, const std::vector<double> &losses) {
    auto lowest = size_t(std::min_element(losses.begin(), losses.end()) - losses.begin());
    Suggestions result;
    result.lowest = ramp.rates[lowest];
    double slope = 0;
    // The average of the first few losses is mostly their noise.
    for (size_t i = std::max<size_t>(1, losses.size() / 10); i < lowest; ++i)
        if (double here = losses[i + 1] - losses[i - 1]; here < slope) {
            slope = here;
            result.steepest = ramp.rates[i];
        }
    return result;
}

}  // namespace

void lr_find_command(ProgramState &state, const LrFindOptions &options) {
    const Metadata &metadata = state.metadata;
    if (!state.program.train_step || metadata.phases.empty())
        fail(ExitCode::usage, "%s declares no training", metadata.source.c_str());
    if (!(options.from > 0) || !(options.from < options.to) || !std::isfinite(options.to))
        fail(ExitCode::usage, "--from %s --to %s: the rate grows from a positive number to a larger one",
             short_number(options.from).c_str(), short_number(options.to).c_str());
    auto phase = std::find_if(metadata.phases.begin(), metadata.phases.end(),
                              [&](const Phase &p) { return options.phase.empty() || p.name == options.phase; });
    if (phase == metadata.phases.end()) {
        std::vector<std::string> names;
        for (const Phase &p : metadata.phases) names.push_back(p.name);
        fail(ExitCode::usage, "there is no phase `%s`; phases: %s", options.phase.c_str(), join(names, ", ").c_str());
    }
    std::string data = options.data;
    state.set_hypers(options.hypers);
    state.set("seed", double(options.seed));
    if (options.start == "initial") {
        if (state.program.init) state.program.init(state.context());
    } else {
        Manifest manifest = load_checkpoint(options.run, options.start, state, true);
        state.set_hypers(options.hypers);
        if (data.empty()) data = manifest.data;
    }
    std::map<std::string, Dataset> sets = open_training_sets(data, metadata, state.vocabularies);
    const Dataset &dataset = sets.at(phase->split);
    Batches batches(state, dataset, options.seed, phase - metadata.phases.begin(), options.steps);
    Ramp found = ramp(state, options, batches, phase - metadata.phases.begin());
    std::vector<double> losses = smoothed(found.losses);
    std::string csv = "step,rate,loss,smoothed_loss\n";
    for (size_t i = 0; i < losses.size(); ++i)
        csv += format("%zu,%s,%s,%s\n", i + 1, number_text(found.rates[i]).c_str(), number_text(found.losses[i]).c_str(),
                      number_text(losses[i]).c_str());
    replace_file(options.csv, csv);
    std::printf("%zu of %lld steps from %s to %s: %s\n", found.losses.size(), (long long)options.steps,
                short_number(options.from).c_str(), short_number(options.to).c_str(), found.ending.c_str());
    if (losses.size() < kFewest)
        fail(ExitCode::not_finite, "%zu steps are too few to suggest a rate (all are in %s): begin with a smaller --from",
             losses.size(), options.csv.c_str());

    Suggestions rates = suggestions(found, losses);
    Plot plot{metadata.model + ": loss against learning rate", "learning rate", true, false, {}, {}};
    plot.curves.push_back({"each step", found.rates, found.losses, true});
    plot.curves.push_back({"smoothed", found.rates, losses, false});
    // The explosion itself would flatten everything before it.
    double first = losses.front(), least = *std::min_element(losses.begin(), losses.end());
    for (Curve &curve : plot.curves)
        for (double &loss : curve.y)
            if (loss > first + 0.5 * (first - least) + 0.05 * std::abs(first)) loss = std::nan("");
    if (rates.steepest > 0) plot.marks.push_back({rates.steepest, "steepest"});
    plot.marks.push_back({rates.lowest / 10, "lowest / 10"});
    replace_file(options.picture, encode_png(draw_plots({plot}, 800, 420)));
    std::printf("\n%s\n", text_plot(plot).c_str());
    if (rates.steepest > 0)
        std::printf("--lr %s  where the loss falls most from step to step (steepest descent; Smith 2017)\n",
                    short_number(rates.steepest).c_str());
    else
        std::printf("the loss falls nowhere: no rate of steepest descent\n");
    std::printf("--lr %s  a tenth of the rate of the lowest loss, %s (minimum / 10; Howard & Gugger 2020)\n",
                short_number(rates.lowest / 10).c_str(), short_number(rates.lowest).c_str());
    std::printf("written: %s, %s; no weights were saved\n", options.csv.c_str(), options.picture.c_str());
}

}  // namespace kiln::runtime
