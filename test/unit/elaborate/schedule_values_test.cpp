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
    Rates rates("warmup(steps = 4) then constant_rate()");
    EXPECT_EQ(rates[4], 0.5);
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

TEST(ScheduleValues, Cyclic) {
    Rates same("cyclic(period = 20, low = 0.1)"), smaller("cyclic(period = 20, low = 0.1, factor = 0.5)");
    EXPECT_DOUBLE_EQ(same[0], 0.1);
    EXPECT_DOUBLE_EQ(same[5], 0.3);
    EXPECT_DOUBLE_EQ(same[10], 0.5);
    EXPECT_DOUBLE_EQ(same[15], 0.3);
    EXPECT_DOUBLE_EQ(same[20], 0.1);
    EXPECT_DOUBLE_EQ(same[50], 0.5);
    EXPECT_DOUBLE_EQ(smaller[10], 0.5);
    EXPECT_DOUBLE_EQ(smaller[30], 0.3);
    EXPECT_DOUBLE_EQ(smaller[50], 0.2);
}

TEST(ScheduleValues, Inverse) {
    Rates root("inverse_sqrt(steps = 10)"), time("inverse_time(steps = 10)");
    EXPECT_DOUBLE_EQ(root[0], 0.05);
    EXPECT_DOUBLE_EQ(root[4], 0.25);
    EXPECT_DOUBLE_EQ(root[9], 0.5);
    EXPECT_DOUBLE_EQ(root[39], 0.25);
    EXPECT_DOUBLE_EQ(root[89], 0.5 / 3);
    EXPECT_DOUBLE_EQ(time[0], 0.5);
    EXPECT_DOUBLE_EQ(time[10], 0.25);
    EXPECT_DOUBLE_EQ(time[40], 0.1);
}

TEST(ScheduleValues, OneAfterAnother) {
    Rates rates("warmup(steps = 10) then constant_rate(epochs = 2) then polynomial_decay()");
    EXPECT_DOUBLE_EQ(rates[4], 0.25);
    EXPECT_DOUBLE_EQ(rates[10], 0.5);
    EXPECT_DOUBLE_EQ(rates[29], 0.5);
    EXPECT_DOUBLE_EQ(rates[30], 0.5);
    EXPECT_DOUBLE_EQ(rates[65], 0.25);
}

/// The rate after each epoch, from 1, under a schedule with a memory.
std::vector<double> rates_after(const std::string &schedule, const std::vector<double> &losses, const std::vector<double> &gradients) {
    Elaborated e = elaborate_text(experiment("logits = image |> Flatten() |> Dense(3)\nloss cross_entropy(logits, label)", "optimizer = SGD(1)\nschedule = " + schedule + "\n"));
    EXPECT_FALSE(e.diagnostics.has_errors()) << e.messages();
    std::vector<double> rates;
    if (e.diagnostics.has_errors()) return rates;
    std::map<std::string, double> scalars;
    for (const Global &global : e.module.globals) scalars[global.name] = global.initial_value;
    auto run = [&](const std::string &rule) {
        const Graph &graph = e.module.graphs.at(rule);
        std::vector<Tensor> results = interpret(graph, [&](const Node &node) { return Tensor{node.type, {scalars.at(attrs<InputAttrs>(node).name)}}; });
        for (size_t i = 0; i < results.size(); ++i) scalars[graph.results[i].name] = results[i].values[0];
    };
    for (size_t epoch = 0; epoch < losses.size(); ++epoch) {
        scalars["loss"] = losses[epoch];
        scalars["steps_per_epoch"] = 10;
        scalars["phase_step"] = 10.0 * double(epoch) + 9;
        scalars["phase_steps"] = 10.0 * double(losses.size());
        scalars["progress"] = scalars["phase_step"] / scalars["phase_steps"];
        scalars["statistic.0"] = gradients[epoch] * gradients[epoch];
        run("rules.step");
        run("rules.epoch");
        run("rules.step");
        rates.push_back(scalars.at("rate"));
    }
    return rates;
}

TEST(ScheduleValues, ReduceOnPlateau) {
    std::vector<double> none(9, 0);
    EXPECT_EQ(rates_after("ReduceOnPlateau(factor = 0.5, patience = 1)", {5, 4, 4, 4, 3, 3, 3, 3, 3}, none),
              (std::vector<double>{1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.125}));
    EXPECT_EQ(rates_after("ReduceOnPlateau(factor = 0.5, patience = 0, least = 0.4)", {5, 5, 5, 5}, none), (std::vector<double>{1, 0.5, 0.4, 0.4}));
    EXPECT_EQ(rates_after("ReduceOnPlateau(factor = 0, patience = 0)", {5, 5, 5, 5}, none), (std::vector<double>{1, 0, 0, 0}));
}

TEST(ScheduleValues, ARuleWithMemoryActsInItsPartOnly) {
    std::vector<double> none(6, 0), flat(6, 5);
    EXPECT_EQ(rates_after("constant_rate(epochs = 2) then ReduceOnPlateau(factor = 0.5, patience = 0)", flat, none),
              (std::vector<double>{1, 1, 1, 0.5, 0.25, 0.125}));
    EXPECT_EQ(rates_after("constant_rate(epochs = 3) |> ReduceOnPlateau(factor = 0.5, patience = 0) then constant_rate()", flat, none),
              (std::vector<double>{1, 0.5, 0.25, 0.25, 0.25, 0.25}));
    EXPECT_EQ(rates_after("constant_rate(epochs = 1) then constant_rate(epochs = 3) |> ReduceOnPlateau(factor = 0.5, patience = 0) then constant_rate()", flat, none),
              (std::vector<double>{1, 1, 0.5, 0.25, 0.25, 0.25}));
}

TEST(ScheduleValues, Momentum) {
    Elaborated e = elaborate_text(experiment("logits = image |> Flatten() |> Dense(3)\nloss cross_entropy(logits, label)",
                                             "phase a {\noptimizer = Momentum(0.1, momentum = one_cycle_momentum())\n}\n"
                                             "phase b {\noptimizer = Adam(0.1)\n}\nphase c {\noptimizer = SGD(0.1)\n}\n"));
    ASSERT_FALSE(e.diagnostics.has_errors()) << e.messages();
    const Graph &rule = e.module.graphs.at("rules.step");
    auto momentum = [&](double phase, double progress) {
        std::vector<Tensor> results = interpret(rule, [&](const Node &node) { return Tensor{node.type, {attrs<InputAttrs>(node).name == "phase" ? phase : progress}}; });
        for (size_t i = 0; i < results.size(); ++i)
            if (rule.results[i].name == "optimizer.momentum") return results[i].values[0];
        return -1.0;
    };
    EXPECT_DOUBLE_EQ(momentum(0, 0), 0.95);
    EXPECT_DOUBLE_EQ(momentum(0, 0.3), 0.85);
    EXPECT_NEAR(momentum(0, 1), 0.95, 1e-12);
    EXPECT_EQ(momentum(1, 0.5), 0.9);
    EXPECT_TRUE(std::isnan(momentum(2, 0.5)));
    // The update uses what the rule gives.
    bool reads = false;
    for (const Node &node : e.module.graphs.at("update.0").nodes) reads |= node.op == Op::input && attrs<InputAttrs>(node).name == "optimizer.momentum";
    EXPECT_TRUE(reads);
}

TEST(ScheduleValues, TheAnnealingsOfTheCourse) {
    std::vector<double> none(5, 0);
    EXPECT_EQ(rates_after("AnnealOnGradientGrowth()", none, {8, 4, 7, 9, 2}), (std::vector<double>{1, 1, 1, 0.25, 0.25}));
    // The lengths are 1, 1.5, 5 (more than 3: cut once, to 2.5), 20 / 2 = 10 (more than 5: cut once, to 5), 3 / 4.
    std::vector<double> rates = rates_after("AnnealOnStepGrowth()", none, {1, 1.5, 5, 20, 3});
    ASSERT_EQ(rates.size(), 5u);
    EXPECT_NEAR(rates[0], 1, 1e-12);
    EXPECT_NEAR(rates[1], 1, 1e-12);
    EXPECT_NEAR(rates[2], 0.5, 1e-12);
    EXPECT_NEAR(rates[3], 0.25, 1e-12);
    EXPECT_NEAR(rates[4], 0.25, 1e-12);
    // An epoch whose steps have no length says nothing of the next.
    EXPECT_EQ(rates_after("AnnealOnStepGrowth()", none, {0, 0, 3, 0, 5}), (std::vector<double>{1, 1, 1, 1, 1}));
}

}  // namespace
}  // namespace kiln
