// Time of each kernel of a step, beside what the processor could do.
//
// Plain steps and steps with a mark before and after each kernel take turns; figures are medians over the steps of each kind. Weights are the
// initial ones and change in memory only.
#include "commands/commands.h"
#include "commands/roofline.h"
#include "data/batch_stream.h"
#include "data/dataset.h"
#include "support/failure.h"
#include "support/text.h"
#include "threads/team.h"
#include "train/augmenter.h"
#include "train/mixture.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <numeric>
#include <random>

namespace kiln::runtime {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kMostSteps = 5000;      // of each kind
constexpr int64_t kStepsPerEpoch = 1000;  // for schedules: as far as they are concerned training has just begun

double milliseconds_since(Clock::time_point begin) { return std::chrono::duration<double, std::milli>(Clock::now() - begin).count(); }

double median(std::vector<double> values) {
    auto middle = values.begin() + int64_t(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    return *middle;
}

/// Columns of a batch: the first one of the training split, or random values of the right types.
class BenchBatch {
public:
    BenchBatch(ProgramState &state, const BenchOptions &options, const Phase *phase) {
        if (options.data.empty()) draw(state.metadata);
        else read(state, options.data, phase ? phase->split : "train");
    }
    const std::vector<const void *> &columns() const { return columns_; }

private:
    void read(ProgramState &state, const std::string &data, const std::string &split) {
        sets_ = open_training_sets(data, state.metadata, state.vocabularies);
        stream_.emplace(sets_.at(split), state.metadata.columns, state.metadata.batch, std::vector<int64_t>{}, BatchStream::Range{0, 1});
        columns_ = stream_->next()->columns;
    }

    void draw(const Metadata &metadata) {
        std::mt19937 numbers(0);
        for (const Column &column : metadata.columns) {
            const int64_t count = column.elements() * metadata.batch;
            uint8_t *to = memory_.emplace_back(size_t(count * size_of(column.dtype))).data();
            columns_.push_back(to);
            auto fill = [&](auto element, auto draw_one) {
                for (int64_t i = 0; i < count; ++i) {
                    decltype(element) value = decltype(element)(draw_one());
                    std::memcpy(to + i * int64_t(sizeof value), &value, sizeof value);
                }
            };
            const uint64_t values = uint64_t(column.classes > 0 ? column.classes : 2);
            auto fraction = [&] { return double(numbers()) / 4294967296.0; };
            auto whole = [&] { return int64_t(numbers() * values >> 32); };
            switch (column.dtype) {
                case DType::f32: fill(float(), fraction); break;
                case DType::f64: fill(double(), fraction); break;
                case DType::i32: fill(int32_t(), whole); break;
                case DType::i64: fill(int64_t(), whole); break;
                case DType::u8:
                case DType::boolean: fill(uint8_t(), whole); break;
            }
        }
    }

    std::map<std::string, Dataset> sets_;
    std::optional<BatchStream> stream_;
    std::vector<Memory> memory_;
    std::vector<const void *> columns_;
};

/// One of the functions of the program, on one batch, again and again.
class BenchStep {
public:
    BenchStep(ProgramState &state, const Profile &profile, int64_t phase, const std::vector<const void *> &columns)
        : state_(state), profile_(profile), phase_(phase), columns_(columns), marks_(2 * profile.calls.size()) {
        const bool trains = profile.program == "train" || profile.program == "augment";
        if (trains && state.metadata.phases[size_t(phase)].soft()) soften(state.metadata);
        fed_ = columns_;
        if (!trains) return;
        augmenter_.emplace(state, phase);
        made_.resize(columns.size());
        for (size_t column : augmenter_->columns()) {
            made_[column] = memory_.emplace_back(size_t(augmenter_->bytes(column))).data();
            fed_[column] = made_[column];
        }
        if (profile.program == "train" && !augmenter_->columns().empty()) augmenter_->run(clock(), columns_, made_);
    }

    /// Milliseconds of one run, without marks.
    double plain() { return run(nullptr); }

    /// With marks: adds the milliseconds of each kernel and of what lies between them.
    void marked(std::vector<std::vector<double>> &kernels, std::vector<double> &between) {
        run(marks_.data());
        double rest = double(marks_.back() - marks_.front());
        for (size_t i = 0; i < kernels.size(); ++i) {
            const double time = double(marks_[2 * i + 1] - marks_[2 * i]);
            kernels[i].push_back(time / 1e6);
            rest -= time;
        }
        between.push_back(rest / 1e6);
    }

private:
    /// Training with soft pseudo-labels reads shares of the classes.
    void soften(const Metadata &metadata) {
        const Column &label = metadata.columns[*metadata.pseudo_label];
        auto *shares = reinterpret_cast<float *>(memory_.emplace_back(size_t(metadata.batch * label.classes) * sizeof(float)).data());
        const auto *labels = static_cast<const int32_t *>(columns_[*metadata.pseudo_label]);
        for (int64_t row = 0; row < metadata.batch; ++row) write_shares(labels[row], label.classes, shares + row * label.classes);
        columns_[*metadata.pseudo_label] = shares;
    }

    StepClock clock() const {
        return {.seed = 0, .step = step_, .epoch = 0, .phase = phase_, .steps_per_epoch = kStepsPerEpoch, .phase_step = std::min(step_, kStepsPerEpoch) - 1,
                .phase_steps = kStepsPerEpoch};
    }

    double run(int64_t *marks) {
        step_ += 1;
        const StepClock now = clock();
        KilnContext *context = state_.context();
        Clock::time_point begin = Clock::now();
        if (profile_.program == "augment") {
            augmenter_->run(now, columns_, made_, marks);
            return milliseconds_since(begin);
        }
        state_.set_columns(fed_);
        context->marks = marks;
        int32_t status = KILN_STEP_OK;
        if (profile_.program == "train") {
            now.write(state_.metadata, state_.scalars());
            state_.program.step_rule(context, int32_t(phase_));
            status = state_.train_step(int32_t(phase_));
        } else if (profile_.program == "evaluate") {
            state_.program.eval_step(context, state_.metadata.batch);
        } else if (profile_.program == "generate") {
            state_.program.generate_step(context);
        } else {
            state_.program.predict_step(context);
        }
        const double milliseconds = milliseconds_since(begin);
        context->marks = nullptr;
        if (status != KILN_STEP_OK)
            fail(ExitCode::not_finite, "the loss is %s in step %lld on this batch: try another one, with --data, or a smaller rate",
                 number_text(state_.get("loss", std::nan(""))).c_str(), (long long)step_);
        return milliseconds;
    }

    ProgramState &state_;
    const Profile &profile_;
    int64_t phase_, step_ = 0;
    std::vector<const void *> columns_;  ///< as they are read
    std::vector<const void *> fed_;  ///< what the training step reads: columns that are augmented come from `made_`
    std::vector<void *> made_;
    std::vector<Memory> memory_;
    std::optional<Augmenter> augmenter_;
    std::vector<int64_t> marks_;
};

struct Measured {
    double first_ms = 0;           ///< of the first run, which touches all memory for the first time
    std::vector<double> step;      ///< plain runs, ms
    std::vector<double> kernels;   ///< medians by call, ms
    double between = 0;            ///< median, ms
};

Measured measure(BenchStep &step, size_t calls, const BenchOptions &options) {
    Measured result;
    std::vector<std::vector<double>> kernels(calls);
    std::vector<double> between;
    const size_t most = options.steps > 0 ? size_t(options.steps) : kMostSteps;
    if (options.steps == 0)
        for (auto begin = Clock::now(); milliseconds_since(begin) < 100 * options.seconds;) step.plain();  // a tenth, to warm up
    for (auto begin = Clock::now(); result.step.size() < most;) {
        result.step.push_back(step.plain());
        step.marked(kernels, between);
        if (options.steps == 0 && result.step.size() >= 3 && milliseconds_since(begin) > 1000 * options.seconds) break;
    }
    for (const std::vector<double> &times : kernels) result.kernels.push_back(median(times));
    result.between = median(between);
    return result;
}

/// A call and how it stands to what the machine can do.
struct Row {
    const ProfiledCall *call;
    double ms, gflops, gbs, of_peak;
    bool by_arithmetic;  ///< the share of peak is that of arithmetic, else of a plain copy of as many bytes
};

std::vector<Row> rows_of(const Profile &profile, const std::vector<double> &milliseconds, double peak) {
    CopySpeed copy;
    std::vector<Row> rows;
    for (size_t i = 0; i < profile.calls.size(); ++i) {
        const ProfiledCall &call = profile.calls[i];
        const double seconds = std::max(milliseconds[i], 1e-6) / 1e3;
        const double arithmetic = double(call.flops) / seconds / peak, bandwidth = double(call.bytes) / seconds / copy.moving(call.bytes);
        rows.push_back({&call, milliseconds[i], double(call.flops) / seconds / 1e9, double(call.bytes) / seconds / 1e9, std::max(arithmetic, bandwidth),
                        arithmetic >= bandwidth});
    }
    std::stable_sort(rows.begin(), rows.end(), [](const Row &a, const Row &b) { return a.ms > b.ms; });
    return rows;
}

struct Report {
    const Metadata &metadata;
    const Profile &profile;
    const std::string phase, batch;
    const Measured &measured;
    const std::vector<Row> &rows;
    double peak, copy, start_ms;
    int threads;  ///< of the team that steps ran on at the end

    double step() const { return median(measured.step); }
    double least() const { return *std::min_element(measured.step.begin(), measured.step.end()); }
    double most() const { return *std::max_element(measured.step.begin(), measured.step.end()); }
    double kernels() const { return std::accumulate(measured.kernels.begin(), measured.kernels.end(), 0.0); }
    int64_t flops() const {
        return std::accumulate(rows.begin(), rows.end(), int64_t(0), [](int64_t sum, const Row &row) { return sum + row.call->flops; });
    }
    int64_t bytes() const {
        return std::accumulate(rows.begin(), rows.end(), int64_t(0), [](int64_t sum, const Row &row) { return sum + row.call->bytes; });
    }
};

void print_text(const Report &r) {
    std::printf("%s%s of %s: batch %lld, %s, %d thread%s%s\n", r.profile.program.c_str(), r.phase.empty() ? "" : (", phase " + r.phase).c_str(),
                r.metadata.source.c_str(), (long long)r.metadata.batch, r.batch.c_str(), team_size(), team_size() == 1 ? "" : "s",
                r.threads < team_size() ? format(", of which steps are fastest on %d", r.threads).c_str() : "");
    std::printf("at most: %.1f GFLOP/s of multiply-adds in registers, %.1f GB/s of a plain copy of 128 MiB\n\n", r.peak / 1e9, r.copy / 1e9);
    std::vector<std::vector<std::string>> rows{{"ms", "share", "GFLOP/s", "GB/s", "of peak", "", "kernel", "result", "line", "layer"}};
    for (const Row &row : r.rows)
        rows.push_back({format("%.4f", row.ms), format("%.1f %%", 100 * row.ms / r.kernels()), format("%.1f", row.gflops), format("%.1f", row.gbs),
                        format("%.0f %%", 100 * row.of_peak), row.by_arithmetic ? "arithmetic" : "copy", row.call->kernel, row.call->type, row.call->at, row.call->scope});
    std::printf("%s\n", table(rows, {0, 1, 2, 3, 4}).c_str());
    rows = {{"step", format("%.4f ms", r.step()),
             format("median of %zu, %.4f to %.4f; %.0f samples/s, %.1f GFLOP/s", r.measured.step.size(), r.least(), r.most(), 1e3 * double(r.metadata.batch) / r.step(),
                    double(r.flops()) / r.step() / 1e6)},
            {"kernels", format("%.4f ms", r.kernels()), format("%zu calls, %s FLOP, %s", r.rows.size(), short_number(double(r.flops())).c_str(),
                                                              bytes_text(double(r.bytes())).c_str())},
            {"between kernels", format("%.4f ms", r.measured.between), "scalars and calls; with the time it takes to look at the clock"},
            {"first step", format("%.4f ms", r.measured.first_ms), format("%.1f ms after the start of the program", r.start_ms)}};
    std::printf("%s", table(rows, {1}).c_str());
}

void print_json(const Report &r) {
    std::vector<std::string> kernels;
    for (const Row &row : r.rows)
        kernels.push_back(format("{\"kernel\": %s, \"at\": %s, \"layer\": %s, \"result\": %s, \"ms\": %s, \"flops\": %lld, \"bytes\": %lld, \"gflops\": %s, \"gbs\": %s, "
                                 "\"of_peak\": %s, \"bound\": \"%s\"}",
                                 json_string(row.call->kernel).c_str(), json_string(row.call->at).c_str(), json_string(row.call->scope).c_str(),
                                 json_string(row.call->type).c_str(), json_number(row.ms).c_str(), (long long)row.call->flops, (long long)row.call->bytes,
                                 json_number(row.gflops).c_str(), json_number(row.gbs).c_str(), json_number(row.of_peak).c_str(), row.by_arithmetic ? "arithmetic" : "copy"));
    std::printf("{\"program\": %s, \"phase\": %s, \"source\": %s, \"batch\": %lld, \"threads\": %d, \"step_threads\": %d, \"steps\": %zu, \"step_ms\": %s, \"least_ms\": %s, \"most_ms\": %s, "
                "\"kernels_ms\": %s, \"between_ms\": %s, \"first_step_ms\": %s, \"start_to_first_step_ms\": %s, \"flops\": %lld, \"peak_gflops\": %s, \"copy_gbs\": %s, "
                "\"kernels\": [%s]}\n",
                json_string(r.profile.program).c_str(), json_string(r.phase).c_str(), json_string(r.metadata.source).c_str(), (long long)r.metadata.batch, team_size(), r.threads,
                r.measured.step.size(), json_number(r.step()).c_str(), json_number(r.least()).c_str(), json_number(r.most()).c_str(), json_number(r.kernels()).c_str(),
                json_number(r.measured.between).c_str(), json_number(r.measured.first_ms).c_str(), json_number(r.start_ms).c_str(), (long long)r.flops(),
                json_number(r.peak / 1e9).c_str(), json_number(r.copy / 1e9).c_str(), join(kernels, ", ").c_str());
}

/// The phase and what it runs; of the programs there are, the one asked for, else the training step, else prediction.
const Profile &profile_for(const Metadata &metadata, const BenchOptions &options, int64_t &phase) {
    auto named = std::find_if(metadata.phases.begin(), metadata.phases.end(), [&](const Phase &p) { return p.name == options.phase; });
    if (!options.phase.empty() && named == metadata.phases.end()) {
        std::vector<std::string> names;
        for (const Phase &p : metadata.phases) names.push_back(p.name);
        fail(ExitCode::usage, "there is no phase `%s`; phases: %s", options.phase.c_str(), names.empty() ? "none" : join(names, ", ").c_str());
    }
    phase = options.phase.empty() ? 0 : named - metadata.phases.begin();
    const std::string wanted = !options.program.empty() ? options.program : metadata.phases.empty() ? "predict" : "train";
    std::vector<std::string> names;
    for (const Profile &profile : metadata.profiles) {
        const bool by_phase = profile.program == "train" || profile.program == "augment";
        if (profile.program == wanted && (!by_phase || std::count(profile.phases.begin(), profile.phases.end(), phase) > 0)) return profile;
        if (std::find(names.begin(), names.end(), profile.program) == names.end()) names.push_back(profile.program);
    }
    fail(ExitCode::usage, "%s has nothing to `%s`%s; what it has: %s", metadata.source.c_str(), wanted.c_str(),
         options.phase.empty() ? "" : (" in phase " + options.phase).c_str(), names.empty() ? "nothing" : join(names, ", ").c_str());
}

}  // namespace

void bench_command(ProgramState &state, const BenchOptions &options) {
    const Metadata &metadata = state.metadata;
    int64_t phase = 0;
    const Profile &profile = profile_for(metadata, options, phase);
    const bool by_phase = profile.program == "train" || profile.program == "augment";
    state.set_hypers(options.hypers);
    state.set("seed", 0);
    if (state.program.init) state.program.init(state.context());
    const Phase *of_phase = by_phase ? &metadata.phases[size_t(phase)] : nullptr;
    BenchBatch batch(state, options, of_phase);
    BenchStep step(state, profile, phase, batch.columns());
    const double first_ms = step.plain();
    const double start_ms = milliseconds_since(options.start);
    Measured measured = measure(step, profile.calls.size(), options);
    measured.first_ms = first_ms;
    const double peak = arithmetic_peak(metadata.float_type == "f64" ? DType::f64 : DType::f32);
    std::vector<Row> rows = rows_of(profile, measured.kernels, peak);
    const Report report{metadata, profile, of_phase ? of_phase->name : "", options.data.empty() ? "random values" : "the first records of " + options.data, measured, rows,
                        peak, CopySpeed().moving(int64_t(1) << 28), start_ms, profile.program == "train" ? state.step_threads() : team_size()};
    if (options.json) print_json(report);
    else print_text(report);
}

}  // namespace kiln::runtime
