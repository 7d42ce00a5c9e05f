// Every schedule of the library, by the rates it gives.
#include "elaborate_text.h"

#include "compiler/ops/interpret.h"

#include <gtest/gtest.h>

#include <cmath>

namespace kiln {
namespace {

/// The rate in a step of a phase, from a base rate of 0.5, with 10 steps an epoch.
class Rates {
public:
    explicit Rates(const std::string &schedule, double steps = 100) : steps_(steps) {
        Elaborated e = elaborate_text(experiment("logits = image |> Flatten() |> Dense(3)\nloss cross_entropy(logits, label)", "optimizer = SGD(0.5)\nschedule = " + schedule + "\n"));
        EXPECT_FALSE(e.diagnostics.has_errors()) << e.messages();
        module_ = std::move(e.module);
    }
    double operator[](double step) const {
        std::map<std::string, double> scalars = {{"phase_step", step}, {"phase_steps", steps_}, {"progress", step / steps_}, {"steps_per_epoch", 10}, {"step", step + 1}};
        return interpret(module_.graphs.at("rules.step"), [&](const Node &node) { return Tensor{node.type, {scalars.at(attrs<InputAttrs>(node).name)}}; })[0].values[0];
    }

private:
    double steps_;
    Module module_;
};

TEST(ScheduleValues, Constant) {
    Rates rates("constant_rate()");
    EXPECT_EQ(rates[0], 0.5);
    EXPECT_EQ(rates[99], 0.5);
}

TEST(ScheduleValues, WarmupFromAShareOfTheRate) {
    Rates rates("warmup(steps = 4, from = 0.2)");
    EXPECT_DOUBLE_EQ(rates[0], 0.5 * (0.2 + 0.8 / 4));
    EXPECT_DOUBLE_EQ(rates[3], 0.5);
    EXPECT_DOUBLE_EQ(rates[50], 0.5);
}

TEST(ScheduleValues, CosineWithRestarts) {
    Rates same("cosine_restarts(period = 20, to = 0.1)");
    EXPECT_DOUBLE_EQ(same[0], 0.5);
    EXPECT_DOUBLE_EQ(same[10], 0.3);
    EXPECT_DOUBLE_EQ(same[20], 0.5);
    EXPECT_DOUBLE_EQ(same[50], 0.3);
    Rates growing("cosine_restarts(period = 10, growth = 2)");  // begins at 0, 10, 30, 70
    EXPECT_NEAR(growing[5], 0.25, 1e-9);
    EXPECT_NEAR(growing[9], 0.25 * (1 + std::cos(M_PI * 0.9)), 1e-9);
    EXPECT_NEAR(growing[10], 0.5, 1e-9);
    EXPECT_NEAR(growing[20], 0.25, 1e-9);
    EXPECT_NEAR(growing[30], 0.5, 1e-9);
    EXPECT_NEAR(growing[50], 0.25, 1e-9);
    EXPECT_NEAR(growing[70], 0.5, 1e-9);
}

TEST(ScheduleValues, OneCycle) {
    Rates rates("one_cycle()");
    EXPECT_NEAR(rates[0], 0.5 / 25, 1e-12);
    EXPECT_NEAR(rates[15], (0.5 + 0.02) / 2, 1e-12);
    EXPECT_NEAR(rates[30], 0.5, 1e-12);
    EXPECT_NEAR(rates[65], (0.5 + 0.02e-4) / 2, 1e-12);
    EXPECT_NEAR(rates[100], 0.02e-4, 1e-12);
}

TEST(ScheduleValues, PowersAndSteps) {
    Rates line("polynomial_decay(to = 0.1)"), square("polynomial_decay(power = 2)");
    EXPECT_DOUBLE_EQ(line[0], 0.5);
    EXPECT_DOUBLE_EQ(line[25], 0.4);
    EXPECT_DOUBLE_EQ(square[50], 0.125);
    Rates exponential("exponential(factor = 0.25, steps = 10)");
    EXPECT_DOUBLE_EQ(exponential[5], 0.25);
    Rates steps("step_decay(period = 2, factor = 0.1)");
    EXPECT_DOUBLE_EQ(steps[19], 0.5);
    EXPECT_DOUBLE_EQ(steps[20], 0.05);
    EXPECT_DOUBLE_EQ(steps[40], 0.5 * 0.01);
    Rates pieces("piecewise([30, 60], [0.5, 0.1])");
    EXPECT_DOUBLE_EQ(pieces[29], 0.5);
    EXPECT_DOUBLE_EQ(pieces[30], 0.25);
    EXPECT_DOUBLE_EQ(pieces[60], 0.05);
}

TEST(ScheduleValues, OneAfterAnother) {
    Rates rates("warmup(steps = 10) then constant_rate(epochs = 2) then polynomial_decay()");
    EXPECT_DOUBLE_EQ(rates[4], 0.25);
    EXPECT_DOUBLE_EQ(rates[10], 0.5);
    EXPECT_DOUBLE_EQ(rates[29], 0.5);
    EXPECT_DOUBLE_EQ(rates[30], 0.5);
    EXPECT_DOUBLE_EQ(rates[65], 0.25);
}

}  // namespace
}  // namespace kiln
