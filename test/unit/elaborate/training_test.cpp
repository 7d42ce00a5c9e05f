// Optimizers, schedules and phases: the update graphs and the rate rule.
#include "elaborate_text.h"

#include "compiler/ir/text.h"
#include "compiler/ops/interpret.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace kiln {
namespace {

const char *kModel = "logits = image |> Flatten() |> Dense(3)\nloss cross_entropy(logits, label)\nmetric accuracy(logits, label)";

bool stores(const Graph &graph, const std::string &name) {
    return std::any_of(graph.results.begin(), graph.results.end(), [&](const Result &r) { return r.kind == ResultKind::store && r.name == name; });
}

/// The rate that a rule gives for these scalars.
double rate(const Module &module, std::map<std::string, double> scalars) {
    return interpret(module.graphs.at("rules.step"), [&](const Node &node) {
        return Tensor{node.type, {scalars.at(attrs<InputAttrs>(node).name)}};
    })[0].values[0];
}

Module with_schedule(const std::string &schedule) {
    Elaborated e = elaborate_text(experiment(kModel, "optimizer = SGD(0.5)\nschedule = " + schedule + "\n"));
    EXPECT_FALSE(e.diagnostics.has_errors()) << e.messages();
    return e.module;
}

double rate_at(const Module &module, double step, double steps) {
    return rate(module, {{"phase_step", step}, {"phase_steps", steps}, {"progress", step / steps}, {"steps_per_epoch", 10}, {"step", step + 1}, {"epoch", 0}});
}

TEST(Schedule, EachOfTheLibrary) {
    Module warmup = with_schedule("warmup(steps = 4)");
    EXPECT_DOUBLE_EQ(rate_at(warmup, 0, 10), 0.125);
    EXPECT_DOUBLE_EQ(rate_at(warmup, 3, 10), 0.5);
    EXPECT_DOUBLE_EQ(rate_at(warmup, 9, 10), 0.5);
    Module cosine = with_schedule("cosine(to = 0.1)");
    EXPECT_DOUBLE_EQ(rate_at(cosine, 0, 10), 0.5);
    EXPECT_DOUBLE_EQ(rate_at(cosine, 5, 10), 0.3);
    EXPECT_DOUBLE_EQ(rate_at(cosine, 10, 10), 0.1);
    EXPECT_DOUBLE_EQ(rate_at(with_schedule("exponential(factor = 0.25, steps = 2)"), 1, 10), 0.25);
    Module piecewise = with_schedule("piecewise([3, 6], [0.1, 0.01])");
    EXPECT_DOUBLE_EQ(rate_at(piecewise, 2, 10), 0.5);
    EXPECT_DOUBLE_EQ(rate_at(piecewise, 3, 10), 0.05);
    EXPECT_DOUBLE_EQ(rate_at(piecewise, 7, 10), 0.005);
}

TEST(Schedule, PipesAndFollows) {
    Module pipe = with_schedule("warmup(steps = 4) |> cosine()");
    EXPECT_DOUBLE_EQ(rate_at(pipe, 0, 10), 0.125);
    EXPECT_NEAR(rate_at(pipe, 10, 10), 0, 1e-15);
    Module then = with_schedule("warmup(steps = 4) then cosine()");
    EXPECT_DOUBLE_EQ(rate_at(then, 3, 14), 0.5);
    EXPECT_DOUBLE_EQ(rate_at(then, 4, 14), 0.5);
    EXPECT_DOUBLE_EQ(rate_at(then, 9, 14), 0.25);
    EXPECT_DOUBLE_EQ(rate_at(with_schedule("0.5 / (1 + phase_step)"), 4, 10), 0.1);
}

TEST(Schedule, OfTheUsersOwnWithAHyper) {
    Elaborated e = elaborate_text("hyper lr: float = 0.5\nhyper decay: float = 0.1\nschedule inverse(rate, by) { return rate / (1 + by * phase_step) }\n" +
                                  experiment(kModel, "optimizer = SGD(lr)\nschedule = inverse(decay)\n"));
    ASSERT_FALSE(e.diagnostics.has_errors()) << e.messages();
    EXPECT_DOUBLE_EQ(rate(e.module, {{"lr", 2}, {"decay", 0.5}, {"phase_step", 2}}), 1);
}

TEST(Optimizer, AdamTakesItsFirstStepAgainstTheSign) {
    Elaborated e = elaborate_text(experiment(kModel, "optimizer = Adam(0.01)\n"));
    ASSERT_FALSE(e.diagnostics.has_errors()) << e.messages();
    const Graph &update = e.module.graphs.at("update");
    std::vector<Tensor> results = interpret(update, [&](const Node &node) {
        const InputAttrs &input = attrs<InputAttrs>(node);
        double value = input.name == "rate" ? 0.01 : input.name == "step" ? 1 : input.name.starts_with("gradient") ? -3 : 0;
        return Tensor{node.type, std::vector<double>(size_t(node.type.elements()), value)};
    });
    for (size_t i = 0; i < results.size(); ++i) {
        if (update.results[i].name.starts_with("param")) {
            EXPECT_NEAR(results[i].values[0], 0.01, 1e-6);
        }
    }
}

TEST(Optimizer, PerParameterStatisticsLeaveTheFlatArena) {
    Elaborated e = elaborate_text("optimizer Normalised(lr) {\nupdate(p, g) {\np <- p - lr * g / sqrt(sum_sq(g) + 1e-12)\n}\n}\n" +
                                  experiment(kModel, "optimizer = Normalised(0.1)\n"));
    ASSERT_FALSE(e.diagnostics.has_errors()) << e.messages();
    const Graph &update = e.module.graphs.at("update");
    EXPECT_TRUE(stores(update, "M/dense/W"));
    EXPECT_TRUE(stores(update, "M/dense/b"));
    EXPECT_NE(print(update).find("gradient:M/dense/W"), std::string::npos);
}

TEST(Hooks, AScheduleWithMemoryScalesTheRateAtTheEndOfAnEpoch) {
    Elaborated e = elaborate_text("schedule Anneal(threshold = 2, factor = 4) {\nglobal best = infinity\nepoch_end {\ns = sum_sq(grad)\n"
                                  "if s > threshold * best { lr <- lr / factor }\nbest <- minimum(best, s)\n}\n}\n" +
                                  experiment(kModel, "optimizer = Adam(0.5)\nschedule = Anneal()\n"));
    ASSERT_FALSE(e.diagnostics.has_errors()) << e.messages();
    EXPECT_TRUE(stores(e.module.graphs.at("update"), "param[0:64]")) << "a statistic of the whole gradient keeps the flat form";
    EXPECT_DOUBLE_EQ(rate(e.module, {{"lr_factor", 0.25}}), 0.125);
    const Graph &rule = e.module.graphs.at("rules.epoch");
    auto end = [&](double sum, double best) {
        std::map<std::string, double> scalars = {{"statistic.0", sum}, {"Anneal.best", best}, {"lr_factor", 1}}, after;
        std::vector<Tensor> results = interpret(rule, [&](const Node &node) { return Tensor{node.type, {scalars.at(attrs<InputAttrs>(node).name)}}; });
        for (size_t i = 0; i < results.size(); ++i) after[rule.results[i].name] = results[i].values[0];
        return after;
    };
    EXPECT_DOUBLE_EQ(end(9, 3)["lr_factor"], 0.25);
    EXPECT_DOUBLE_EQ(end(9, 3)["Anneal.best"], 3);
    EXPECT_DOUBLE_EQ(end(5, 3)["lr_factor"], 1);
    EXPECT_DOUBLE_EQ(end(1, 3)["Anneal.best"], 1);
    EXPECT_DOUBLE_EQ(end(9, 3)["statistic.0"], 0);
}

TEST(Hooks, StatesOfOneNameAreApartIfTheyAreOfTwoOptimizers) {
    Elaborated e = elaborate_text("hyper fast: float = 0.5\n" + experiment(kModel, "phase a {\noptimizer = Adam(fast)\n}\nphase b {\noptimizer = Momentum(fast)\n}\nphase c {\noptimizer = Adam(0.1)\n}\n"));
    ASSERT_FALSE(e.diagnostics.has_errors()) << e.messages();
    EXPECT_TRUE(stores(e.module.graphs.at("update.0"), "state.m[0:64]")) << "nobody else has an `m`";
    EXPECT_TRUE(stores(e.module.graphs.at("update.0"), "state.Adam.v[0:64]"));
    EXPECT_TRUE(stores(e.module.graphs.at("update.1"), "state.Momentum.v[0:64]"));
    EXPECT_TRUE(stores(e.module.graphs.at("update.2"), "state.Adam.v[0:64]")) << "the same optimizer goes on with its states";
    EXPECT_TRUE(e.module.find_storage("M/dense/W.Momentum.v"));
}

std::map<std::string, double> evaluate_rule(const Graph &rule, const std::map<std::string, double> &scalars) {
    const std::vector<Tensor> results = interpret(rule, [&](const Node &node) { return Tensor{node.type, {scalars.at(attrs<InputAttrs>(node).name)}}; });
    std::map<std::string, double> after;
    for (size_t i = 0; i < results.size(); ++i) after[rule.results[i].name] = results[i].values[0];
    return after;
}

TEST(Hooks, AScheduleWithAMemoryBeginsAnewInEachPhase) {
    Elaborated e = elaborate_text("schedule Plateau() {\nglobal best = 7\nepoch_end {\nif loss > best { lr <- lr / 4 }\nbest <- minimum(best, loss)\n}\n}\n" +
                                  experiment(kModel, "optimizer = SGD(0.5)\nschedule = Plateau()\nphase a { }\nphase b { lr = 0.125 }\n"));
    ASSERT_FALSE(e.diagnostics.has_errors()) << e.messages();
    std::map<std::string, double> scalars = {{"phase", 1}, {"phase_step", 0}, {"lr_factor", 0.25}, {"Plateau.best", 3}};
    const Graph &rule = e.module.graphs.at("rules.step");
    std::map<std::string, double> first = evaluate_rule(rule, scalars);
    EXPECT_EQ(first, (std::map<std::string, double>{{"rate", 0.125}, {"lr_factor", 1}, {"Plateau.best", 7}}));
    scalars["phase_step"] = 1;
    std::map<std::string, double> later = evaluate_rule(rule, scalars);
    EXPECT_EQ(later, (std::map<std::string, double>{{"rate", 0.125 / 4}, {"lr_factor", 0.25}, {"Plateau.best", 3}}));
}

TEST(Hooks, RulesThatFollowEachOtherBothChangeTheRate) {
    Elaborated e = elaborate_text("schedule Halve() {\nepoch_end { lr <- lr / 2 }\n}\nschedule Third() {\nepoch_end { if loss > 1 { lr <- lr / 3 } }\n}\n" +
                                  experiment(kModel, "optimizer = SGD(0.5)\nschedule = Halve() |> Third()\n"));
    ASSERT_FALSE(e.diagnostics.has_errors()) << e.messages();
    const Graph &rule = e.module.graphs.at("rules.epoch");
    EXPECT_DOUBLE_EQ(evaluate_rule(rule, {{"loss", 2}, {"lr_factor", 0.5}})["lr_factor"], 0.5 / 6);
    EXPECT_DOUBLE_EQ(evaluate_rule(rule, {{"loss", 1}, {"lr_factor", 0.5}})["lr_factor"], 0.25);
}

TEST(Hypers, TrueOrFalseIsACondition) {
    Elaborated e = elaborate_text("hyper fast: bool = true\nhyper small: bool = false\n" + experiment(kModel, "optimizer = SGD(if fast and not small { 0.5 } else { 0.125 })\n"));
    ASSERT_FALSE(e.diagnostics.has_errors()) << e.messages();
    EXPECT_EQ(e.module.hypers[0].kind, ScalarKind::boolean);
    EXPECT_DOUBLE_EQ(rate(e.module, {{"fast", 1}, {"small", 0}}), 0.5);
    EXPECT_DOUBLE_EQ(rate(e.module, {{"fast", 1}, {"small", 1}}), 0.125);
    EXPECT_DOUBLE_EQ(rate(e.module, {{"fast", 0}, {"small", 0}}), 0.125);
}

TEST(Hooks, AnOptimizerCountsItsOwnStepsOfAParameter) {
    Elaborated e = elaborate_text("hyper fast: float = 0.5\n" + experiment(kModel, "phase a {\noptimizer = Momentum(fast)\n}\nphase b {\noptimizer = Adam(fast)\nfreeze = [\"M/dense/b\"]\n}\nphase c {\noptimizer = Adam(0.1)\n}\n"));
    ASSERT_FALSE(e.diagnostics.has_errors()) << e.messages();
    // After 100 steps, 40 of them Adam's and 10 of these with the bias: the least m and v, whose ratio tells which steps are counted.
    std::map<std::string, double> scalars = {{"step", 101}, {"rate", 1}, {"Adam.step", 40}, {"Adam.step.2", 10}};
    const Graph &update = e.module.graphs.at("update.2");
    std::vector<Tensor> results = interpret(update, [&](const Node &node) {
        const InputAttrs &input = attrs<InputAttrs>(node);
        if (input.kind == InputKind::scalar) return Tensor{node.type, {scalars.at(input.name)}};
        return Tensor{node.type, std::vector<double>(size_t(node.type.elements()), input.name.starts_with("gradient") ? 1 : 0)};
    });
    auto first_step = [](double t) { return -0.1 / (1 - std::pow(0.9, t)) / std::sqrt(0.001 / (1 - std::pow(0.999, t))); };
    std::set<std::string> seen;
    for (size_t i = 0; i < results.size(); ++i) {
        const std::string &name = update.results[i].name;
        if (name.starts_with("param[0:")) EXPECT_NEAR(results[i].values[0], first_step(41), 1e-5);
        else if (name.starts_with("param[")) EXPECT_NEAR(results[i].values[0], first_step(11), 1e-5);
        else if (name == "Adam.step") EXPECT_EQ(results[i].values[0], 41);
        else if (name == "Adam.step.2") EXPECT_EQ(results[i].values[0], 11);
        else continue;
        seen.insert(name);
    }
    EXPECT_EQ(seen.size(), 4u) << print(update);
    for (const Result &result : e.module.graphs.at("update.1").results) EXPECT_NE(result.name, "Adam.step.2") << "a frozen parameter is not updated";
    EXPECT_EQ(elaborate_text("hyper fast: float = 0.5\n" + experiment(kModel, "optimizer = Adam(fast)\nphase a { }\nphase b { lr = 0.1 }\n")).module.globals.size(), 0u) << "one optimizer counts as the run does";
}

TEST(Hooks, AnOptimizerWithAGlobalAndTheLossOfTheStep) {
    Elaborated e = elaborate_text("optimizer Clipped(lr, limit = 1) {\nglobal last = 0\nnorm = sqrt(sum_sq(grad))\nbefore_step(loss) {\nlast <- loss\n}\n"
                                  "update(p, g) {\np <- p - lr * g * minimum(1, limit / norm) / (1 + last)\n}\n}\n" +
                                  experiment(kModel, "optimizer = Clipped(0.5)\n"));
    ASSERT_FALSE(e.diagnostics.has_errors()) << e.messages();
    const Graph &update = e.module.graphs.at("update");
    EXPECT_TRUE(stores(update, "param[0:64]")) << print(update);
    std::vector<Tensor> results = interpret(update, [&](const Node &node) {
        const InputAttrs &input = attrs<InputAttrs>(node);
        double value = input.name == "rate" ? 0.5 : input.name == "loss" ? 3 : input.name.starts_with("gradient") ? 2 : 0;
        return Tensor{node.type, std::vector<double>(size_t(node.type.elements()), value)};
    });
    for (size_t i = 0; i < results.size(); ++i) {
        if (update.results[i].name == "param[0:64]") {
            EXPECT_NEAR(results[i].values[0], -0.5 * 2 / 16 / 4, 1e-7);
        } else {
            EXPECT_EQ(results[i].values[0], 3);
        }
    }
    Diagnostics problems;
    EXPECT_TRUE(verify(update, problems)) << render(problems, false);
}

TEST(Phases, EachHasItsRateEpochsAndFrozenParameters) {
    Elaborated e = elaborate_text(experiment(kModel, "optimizer = SGD(0.5)\nphase warm {\nlr = 0.001\nfreeze = [\"M/dense/W\"]\n}\nphase main {\nepochs = 3\n}\n"));
    ASSERT_FALSE(e.diagnostics.has_errors()) << e.messages();
    ASSERT_EQ(e.module.phases.size(), 2u);
    EXPECT_EQ(e.module.phases[0].epochs, 10);
    EXPECT_EQ(e.module.phases[1].epochs, 3);
    EXPECT_EQ(e.module.phases[0].frozen, std::vector<std::string>{"M/dense/W"});
    EXPECT_TRUE(stores(e.module.graphs.at("update.0"), "param[48:64]"));
    EXPECT_FALSE(stores(e.module.graphs.at("update.0"), "param[0:64]"));
    EXPECT_TRUE(stores(e.module.graphs.at("update.1"), "param[0:64]"));
    EXPECT_DOUBLE_EQ(rate(e.module, {{"phase", 0}}), 0.001);
    EXPECT_DOUBLE_EQ(rate(e.module, {{"phase", 1}}), 0.5);
}

TEST(Metrics, TheMeanOverTheSamplesIsTakenOverTheWholeSplit) {
    Elaborated e = elaborate_text("model M(x: f32[2], y: f32[2]) {\nscore = x |> Dense(2)\nloss mse(score, y)\nmetric rmse = sqrt(mean(mse(score, y)))\n}\n");
    ASSERT_FALSE(e.diagnostics.has_errors()) << e.messages();
    const Graph &report = e.module.graphs.at("rules.report");
    double rmse = interpret(report, [](const Node &node) {
        EXPECT_EQ(attrs<InputAttrs>(node).name, "mean:rmse");
        return Tensor{node.type, {9}};
    })[0].values[0];
    EXPECT_DOUBLE_EQ(rmse, 3);
    EXPECT_EQ(e.module.graphs.at("predict").results[0].name, "score");
}

TEST(Layers, SharedInstancesHaveOneSetOfParameters) {
    Elaborated e = elaborate_text(experiment("shared enc = Dense(4)\nh = image |> Flatten()\nlogits = Dense(enc(h) + (h |> enc()), 3)\nloss cross_entropy(logits, label)"));
    ASSERT_FALSE(e.diagnostics.has_errors()) << e.messages();
    EXPECT_NE(e.module.find_storage("M/enc/W"), nullptr);
    int params = 0;
    for (const Storage &storage : e.module.storages) params += storage.kind == StorageKind::param;
    EXPECT_EQ(params, 4);
}

TEST(Layers, ASharedLayerWaitsForAllOfItsTensors) {
    Elaborated e = elaborate_text("layer Cell(h: float[b, n], x: float[b, m], scale = 1) -> float[b, n] {\nparam U: float[n, n] = glorot_uniform\nparam W: float[m, n] = glorot_uniform\n"
                                  "return tanh(h @ U + x @ W) * scale\n}\n" +
                                  experiment("shared cell = Cell(2)\nx = image |> Flatten()\nh = cell(x |> Dense(4), x)\nh2 = h |> cell(x)\nlogits = h2 |> Dense(3)\n"
                                             "loss cross_entropy(logits, label)"));
    ASSERT_FALSE(e.diagnostics.has_errors()) << e.messages();
    EXPECT_NE(e.module.find_storage("M/cell/U"), nullptr);
    EXPECT_NE(e.module.find_storage("M/cell/W"), nullptr);
    EXPECT_EQ(e.module.find_storage("M/cell_2/W"), nullptr);
}

TEST(Layers, TheUsersOwnLayerLossAndOptimizer) {
    Elaborated e = elaborate_text(
        "layer Gated(x: float[.., n], units: int) -> float[.., units] {\nparam V: float[n, units] = glorot_uniform\n"
        "return sigmoid(x @ V) * Dense(x, units, activation = tanh)\n}\n"
        "fn focal(logits: float[batch, n], label: class[n], gamma: float = 2) -> float[batch] {\n"
        "p = sum(one_hot(label, n) * softmax(logits), axis = -1)\nreturn -(1 - p) ^ gamma * log(p + 1e-7)\n}\n"
        "optimizer SignDescent(lr, decay = 0.9) {\nstate m = 0\nupdate(p, g) {\nm <- decay * m + (1 - decay) * g\np <- p - lr * sign(m)\n}\n}\n" +
        experiment("logits = image |> Flatten() |> Gated(8) |> Dense(3)\nloss focal(logits, label)", "optimizer = SignDescent(0.01)\n"));
    ASSERT_FALSE(e.diagnostics.has_errors()) << e.messages();
    EXPECT_NE(e.module.find_storage("M/gated/dense/W"), nullptr);
    EXPECT_NE(e.module.find_storage("M/gated/V.m"), nullptr);
    for (const auto &[name, graph] : e.module.graphs) {
        Diagnostics problems;
        EXPECT_TRUE(verify(graph, problems)) << name << render(problems, false);
    }
}

}  // namespace
}  // namespace kiln
