#include "fake_program.h"

#include <unistd.h>
#include <algorithm>
#include <cmath>
#include <cstdint>

namespace kiln::runtime::testing {
namespace {

constexpr int kBatch = 8, kInputs = 16, kMostClasses = 4;
enum ScalarIndex {
    kSeed,
    kStep,
    kEpoch,
    kProgress,
    kStepsPerEpoch,
    kPhaseStep,
    kPhaseSteps,
    kPhase,
    kRate,
    kLoss,
    kLr,
    kDelay,
    kExplodeAt,
    kRounds,
    kNesterov,
    kTrend
};
enum ArenaIndex { kWork, kParam, kState, kBuffer, kConstant };

// The number of classes travels in the constant arena, as constants of a model do.
int classes(KilnContext *c) { return c->arenas[kConstant][0]; }
float *weights(KilnContext *c) { return reinterpret_cast<float *>(c->arenas[kParam]); }
float *bias(KilnContext *c) { return weights(c) + kInputs * kMostClasses; }
float *momentum(KilnContext *c) { return reinterpret_cast<float *>(c->arenas[kState]); }
float *mean(KilnContext *c) { return reinterpret_cast<float *>(c->arenas[kBuffer]); }
float *probabilities(KilnContext *c) { return reinterpret_cast<float *>(c->arenas[kWork]); }
const float *image(KilnContext *c) { return static_cast<const float *>(c->columns[0]); }
const int32_t *label(KilnContext *c) { return static_cast<const int32_t *>(c->columns[1]); }

void init(KilnContext *c) {
    auto state = uint64_t(c->scalars[kSeed]) * 2 + 1;
    for (int i = 0; i < kInputs * classes(c); ++i) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        weights(c)[i] = float(int32_t(state >> 40) - (1 << 23)) / float(1 << 30);
    }
}

int forward_row(void *context, int row, uint8_t *) {
    auto *c = static_cast<KilnContext *>(context);
    int n = classes(c);
    float z[kMostClasses], most = -1e30f, sum = 0;
    for (int k = 0; k < n; ++k) {
        z[k] = bias(c)[k];
        for (int i = 0; i < kInputs; ++i) z[k] += (image(c)[row * kInputs + i] - mean(c)[0]) / 128 * weights(c)[i * n + k];
        most = std::max(most, z[k]);
    }
    for (int k = 0; k < n; ++k) sum += z[k] = std::exp(z[k] - most);
    for (int k = 0; k < n; ++k) probabilities(c)[row * n + k] = z[k] / sum;
    return 0;
}

void forward(KilnContext *c) { halide_do_par_for(c, forward_row, 0, kBatch, nullptr); }

// The first `valid` rows' loss and accuracy, added to sums.
double measure(KilnContext *c, int64_t valid) {
    int n = classes(c);
    double loss = 0, right = 0;
    for (int row = 0; row < valid; ++row) {
        const float *p = probabilities(c) + row * n;
        loss -= std::log(double(p[label(c)[row]]) + 1e-12);
        right += std::max_element(p, p + n) - p == label(c)[row];
    }
    c->sums[0] += loss;
    c->sums[1] += right;
    return loss;
}

// Gradient and update of one input's weights.
int update_input(void *context, int i, uint8_t *) {
    auto *c = static_cast<KilnContext *>(context);
    int n = classes(c);
    for (int k = 0; k < n; ++k) {
        float gradient = 0;
        for (int row = 0; row < kBatch; ++row)
            gradient += (probabilities(c)[row * n + k] - (label(c)[row] == k)) * (image(c)[row * kInputs + i] - mean(c)[0]) /
                        128 / kBatch;
        float &m = momentum(c)[i * n + k];
        m = 0.9f * m + gradient;
        weights(c)[i * n + k] -= float(c->scalars[kRate]) * m;
    }
    return 0;
}

void step_rule(KilnContext *c, int32_t phase) {
    c->scalars[kRate] = c->scalars[kLr] * (1 - 0.5 * c->scalars[kProgress]) / (1 + c->scalars[kTrend]) / (phase + 1);
}

int32_t train_step(KilnContext *c, int32_t) {
    if (c->scalars[kDelay] > 0) usleep(unsigned(c->scalars[kDelay]));
    forward(c);
    double before[2] = {c->sums[0], c->sums[1]};
    c->scalars[kLoss] = measure(c, kBatch) / kBatch;
    if (c->scalars[kStep] == c->scalars[kExplodeAt]) c->scalars[kLoss] = std::nan("");
    if (!std::isfinite(c->scalars[kLoss])) {
        std::copy(before, before + 2, c->sums);
        return KILN_STEP_NOT_FINITE;
    }
    mean(c)[0] = 0.99f * mean(c)[0] + 0.01f * image(c)[0];
    halide_do_par_for(c, update_input, 0, kInputs, nullptr);
    return KILN_STEP_OK;
}

void epoch_end(KilnContext *c, int32_t) { c->scalars[kTrend] = 0.5 * c->scalars[kTrend] + 0.1 * c->scalars[kLoss]; }

void eval_step(KilnContext *c, int64_t valid) {
    forward(c);
    measure(c, valid);
}

void report(const double *means, double *reported) { std::copy(means, means + 2, reported); }

uint8_t constants[64];

}  // namespace

std::string fake_metadata(const FakeOptions &options) {
    std::string n = std::to_string(options.classes);
    std::string split = R"({"images": {"path": "PREFIX-images"}, "labels": {"path": "PREFIX-labels"}}})";
    auto split_of = [&](const std::string &name) {
        std::string text = R"({"name": ")" + name + R"(", "reader": "idx", "arguments": )" + split;
        while (text.find("PREFIX") != std::string::npos) text.replace(text.find("PREFIX"), 6, name);
        return text;
    };
    std::string text = R"({"model": ")" + options.model +
                       R"(", "doc": "Tell three kinds of squares apart.", "source": "fake.model", "version": "kiln test",
 "float": "f32", "batch": 8, "shuffle": true,
 "scalars": ["seed", "step", "epoch", "progress", "steps_per_epoch", "phase_step", "phase_steps", "phase", "rate", "loss", "lr", "delay_us", "explode_at", "rounds", "nesterov", "trend")" +
                       (options.extra_scalar.empty() ? "" : ", \"" + options.extra_scalar + "\"") + R"(],
 "hypers": [{"name": "lr", "kind": "real", "default": 0.05, "doc": "learning rate", "scalar": 10},
            {"name": "delay_us", "kind": "real", "default": 0, "doc": "sleep in each step", "scalar": 11},
            {"name": "explode_at", "kind": "real", "default": 0, "doc": "step of the NaN", "scalar": 12},
            {"name": "rounds", "kind": "integer", "default": 3, "doc": "a whole number", "scalar": 13},
            {"name": "nesterov", "kind": "boolean", "default": false, "doc": "a truth value", "scalar": 14}],
 "globals": [{"name": "trend", "initial": 0, "scalar": 15}],
 "columns": [{"name": "image", "dtype": "f32", "shape": [4, 4, 1], "classes": 0}, {"name": "label", "dtype": "i32", "shape": [], "classes": )" +
                       n + R"(}],
 "arenas": [{"name": "work", "bytes": 128}, {"name": "param", "bytes": 320}, {"name": "state.m", "bytes": 320}, {"name": "buffer", "bytes": 64}, {"name": "constant", "bytes": 64}],
 "storages": [{"path": "Fake/W", "kind": "param", "dtype": "f32", "shape": [16, )" +
                       n + R"(], "arena": 1, "offset": 0},
              {"path": "Fake/b", "kind": "param", "dtype": "f32", "shape": [)" +
                       n + R"(], "arena": 1, "offset": 256},
              {"path": "Fake/mean", "kind": "buffer", "dtype": "f32", "shape": [1], "arena": 3, "offset": 0},
              {"path": "Fake/W.m", "kind": "state", "dtype": "f32", "shape": [16, )" +
                       n + R"(], "arena": 2, "offset": 0}],
 "splits": [)" + split_of("train") +
                       (options.with_validation ? ", " + split_of("validation") : "") + R"(],
 "phases": [{"name": "main", "epochs": 3, "restore_best": )" +
                       (options.restore_best ? "true}" : "false}") +
                       (options.second_phase.empty() ? "" : R"(, {"name": ")" + options.second_phase + R"(", "epochs": 1})") +
                       R"(],
 "samples": ["loss", "accuracy"], "metrics": [{"name": "accuracy", "higher_is_better": true}], "best_metric": "accuracy",
 "outputs": [{"name": "probabilities", "dtype": "f32", "shape": [8, )" +
                       n + R"(], "arena": 0, "offset": 0})" +
                       (options.second_output.empty() ? "" : R"(, {"name": ")" + options.second_output + R"(", "dtype": "f32", "shape": [8, 2], "arena": 1, "offset": 0})") +
                       R"(],
 "layers": [{"path": "Fake/dense", "output": "f32[8, 3]", "parameters": 51}], "parameters": 51, "flops_per_sample": 96, "peak_bytes": 896})";
    return text;
}

KilnProgram fake_program(const std::string &metadata) {
    size_t at = metadata.find("\"classes\": ", metadata.find("\"label\""));
    constants[0] = uint8_t(std::stoi(metadata.substr(at + 11)));
    return {KILN_ABI_VERSION, metadata.c_str(), constants, nullptr, init,   step_rule,
            train_step,       epoch_end,        eval_step, forward, report,  nullptr, nullptr, nullptr, nullptr};
}

}  // namespace kiln::runtime::testing
