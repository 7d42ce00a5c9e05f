// The first steps of every optimizer of the library, on one parameter with given gradients, against the formulas of the papers
// written out here once more, in f64.
#include "elaborate_text.h"

#include "compiler/ops/interpret.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>

namespace kiln {
namespace {

constexpr double kStart = 0.75, kRate = 0.1;
const std::vector<double> kGradients = {0.5, -1, 2, 0.25}, kLosses = {2, 3, 1.5, 1.45};

/// The parameter after each step of the optimizer.
std::vector<double> run(const std::string &optimizer, const std::vector<double> &gradients = kGradients, double start = kStart) {
    Elaborated e = elaborate_text("precision f64\ndata line(dir: path) {\n train = idx(dir / \"a\", dir / \"b\")\n}\n"
                                  "model M(image: f64[1], label: f64[1]) {\nparam w: float[1] = ones\nloss mse(image * w, label)\noutput y = image * w\n}\n"
                                  "train M on line {\nbatch = 2\nepochs = 1\noptimizer = " + optimizer + "\n}\n");
    EXPECT_FALSE(e.diagnostics.has_errors()) << optimizer << "\n" << e.messages();
    std::vector<double> path;
    if (e.diagnostics.has_errors()) return path;
    const Graph &update = e.module.graphs.at("update");
    std::map<std::string, Tensor> memory;  // parameters, states and globals by name
    for (const Global &global : e.module.globals) memory[global.name] = Tensor{Type{DType::f64, {}}, {global.initial_value}};
    for (size_t step = 0; step < gradients.size(); ++step) {
        std::vector<Tensor> results = interpret(update, [&](const Node &node) {
            const std::string &name = attrs<InputAttrs>(node).name;
            auto known = memory.find(name);
            if (known != memory.end()) return known->second;
            bool parameter = name == "M/w" || name.starts_with("param[");
            double value = name.starts_with("gradient") ? gradients[step] : name == "rate" ? kRate : name == "step" ? double(step + 1) : name == "loss" ? kLosses[step % kLosses.size()] : parameter ? start : 0;
            Tensor tensor{node.type, std::vector<double>(size_t(node.type.elements()), 0)};
            tensor.values[0] = value;  // the rest is the arena's padding
            return tensor;
        });
        for (size_t i = 0; i < results.size(); ++i) {
            const std::string &name = update.results[i].name;
            memory[name] = results[i];
            if (name == "M/w" || name.starts_with("param[")) path.push_back(results[i].values[0]);
        }
    }
    return path;
}

/// `step(t, g)` gives what is added to the parameter in step t (from 1) with gradient g.
void expect_steps(const std::string &optimizer, const std::function<double(int, double, double)> &step) {
    std::vector<double> path = run(optimizer);
    ASSERT_EQ(path.size(), kGradients.size()) << optimizer;
    double p = kStart;
    for (size_t i = 0; i < path.size(); ++i) {
        p += step(int(i) + 1, kGradients[i], p);
        EXPECT_NEAR(path[i], p, 1e-12) << optimizer << " step " << i + 1;
    }
}

TEST(OptimizerValues, FirstStepsByHand) {
    EXPECT_NEAR(run("SGD(0.1)")[1], 0.75 - 0.05 + 0.1, 1e-15);
    EXPECT_NEAR(run("Momentum(0.1)")[1], 0.70 + (0.9 * -0.05 + 0.1), 1e-15);
    EXPECT_NEAR(run("Nesterov(0.1)")[0], 0.75 - 0.9 * 0.05 - 0.05, 1e-15);
    EXPECT_NEAR(run("AveragedMomentum(0.1)")[1], 0.75 - 0.1 * 0.05 - 0.1 * (0.045 - 0.1), 1e-15);
    EXPECT_NEAR(run("Adagrad(0.1, eps = 0)")[1], 0.65 + 0.1 / std::sqrt(1.25), 1e-15);
    EXPECT_NEAR(run("RMSProp(0.1, eps = 0)")[0], 0.75 - 0.1 / std::sqrt(0.1), 1e-15);
    EXPECT_NEAR(run("RMSProp(0.1, eps = 0, previous = true)")[1], 0.65 + 0.1 / 0.5, 1e-15);
    EXPECT_NEAR(run("Adam(0.1, eps = 0)")[0], 0.65, 1e-15);
    EXPECT_NEAR(run("Adam(0.1, eps = 0, correct = false)")[0], 0.75 - 0.1 * 0.1 / std::sqrt(0.001), 1e-14);
    EXPECT_NEAR(run("AdamW(0.1, eps = 0, decay = 0.5)")[0], 0.65 - 0.1 * 0.5 * 0.75, 1e-15);
    EXPECT_NEAR(run("Lion(0.1)")[1], 0.75 - 0.1 + 0.1, 1e-15);
    EXPECT_NEAR(run("LARS(0.1, trust = 0.5)")[0], 0.75 - 0.1 * 0.5 * 0.75, 1e-15);
}

/// `Mine`, an optimizer of the user.
std::vector<double> run_own(const std::string &body) { return run("Mine(0.1)\n}\noptimizer Mine(lr) {\n" + body); }

TEST(OptimizerValues, BothBranchesOfARunTimeIfWriteAState) {
    const std::vector<double> path = run_own("state n = 0\nupdate(p, g) {\nif step > 2 { n <- 2 * g } else { n <- n + g }\np <- p - n\n}\n");
    ASSERT_EQ(path.size(), kGradients.size());
    const std::vector<double> expected{0.25, 0.75, -3.25, -3.75};
    for (size_t i = 0; i < path.size(); ++i) EXPECT_NEAR(path[i], expected[i], 1e-12) << i;
}

TEST(OptimizerValues, BothBranchesOfARunTimeIfWriteTheParameter) {
    const std::vector<double> path = run_own("update(p, g) {\nif step > 3 { p <- 0 } else if step > 1 { p <- p - lr * g } else { p <- p + lr * g }\n}\n");
    ASSERT_EQ(path.size(), kGradients.size());
    const std::vector<double> expected{0.8, 0.9, 0.7, 0};
    for (size_t i = 0; i < path.size(); ++i) EXPECT_NEAR(path[i], expected[i], 1e-12) << i;
}

TEST(OptimizerValues, Momenta) {
    double v = 0;
    expect_steps("Momentum(0.1, momentum = 0.8)", [&](int, double g, double) { return v = 0.8 * v - kRate * g; });
    v = 0;
    expect_steps("Nesterov(0.1, momentum = 0.8)", [&](int, double g, double) {
        v = 0.8 * v - kRate * g;
        return 0.8 * v - kRate * g;
    });
    v = 0;
    expect_steps("AveragedMomentum(0.1)", [&](int, double g, double) {
        v = 0.9 * v + 0.1 * g;
        return -kRate * v;
    });
    v = 0;
    expect_steps("LARS(0.1, momentum = 0.8, trust = 0.5, decay = 0.2)", [&](int, double g, double p) {
        double local = 0.5 * std::abs(p) / (std::abs(g) + 0.2 * std::abs(p));
        return v = 0.8 * v - kRate * local * (g + 0.2 * p);
    });
    v = 0;
    expect_steps("Lion(0.1, decay = 0.3)", [&](int, double g, double p) {
        double c = 0.9 * v + 0.1 * g;
        v = 0.99 * v + 0.01 * g;
        return -kRate * ((c > 0 ? 1 : -1) + 0.3 * p);
    });
}

TEST(OptimizerValues, Adaptive) {
    double v = 0, u = 0;
    expect_steps("Adagrad(0.1)", [&](int, double g, double) {
        v += g * g;
        return -kRate * g / (std::sqrt(v) + 1e-8);
    });
    v = 0;
    expect_steps("Adadelta(0.1, rho = 0.9, eps = 1e-4)", [&](int, double g, double) {
        v = 0.9 * v + 0.1 * g * g;
        double d = std::sqrt(u + 1e-4) / std::sqrt(v + 1e-4) * g;
        u = 0.9 * u + 0.1 * d * d;
        return -kRate * d;
    });
    v = 0;
    expect_steps("RMSProp(0.1, rho = 0.8)", [&](int, double g, double) {
        v = 0.8 * v + 0.2 * g * g;
        return -kRate * g / (std::sqrt(v) + 1e-8);
    });
    expect_steps("RMSProp(0.1, rho = 0.8, previous = true)", [&](int t, double g, double) {
        double before = t == 1 ? g * g : v;
        v = 0.8 * before + 0.2 * g * g;
        return -kRate * g / (std::sqrt(before) + 1e-8);
    });
}

TEST(OptimizerValues, Wrappers) {
    auto clipped = [](double g, double limit) { return std::max(-limit, std::min(limit, g)); };
    expect_steps("SGD(0.1) |> ClipValue(0.75)", [&](int, double g, double) { return -kRate * clipped(g, 0.75); });
    // One parameter: the norm is its size.
    expect_steps("SGD(0.1) |> ClipNorm(0.75)", [&](int, double g, double) { return -kRate * clipped(g, 0.75); });
    expect_steps("SGD(0.1) |> ClipNorm(0.75, each = true)", [&](int, double g, double) { return -kRate * clipped(g, 0.75); });
    double v = 0;
    expect_steps("ClipValue(Momentum(0.1), limit = 0.75)", [&](int, double g, double) { return v = 0.9 * v - kRate * clipped(g, 0.75); });
    v = 0;
    // Each sees what the one before it made: clipped to 1, then scaled to 0.5.
    expect_steps("Momentum(0.1) |> ClipValue(1) |> ClipNorm(0.5)", [&](int, double g, double) { return v = 0.9 * v - kRate * clipped(g, 0.5); });
    expect_steps("SGD(0.1) |> Decay(0.3)", [&](int, double g, double p) { return -kRate * (g + 0.3 * p); });
    EXPECT_EQ(run("Adam(0.1) |> Decay(0.3)").size(), 4u);
    std::vector<double> decayed = run("Adam(0.1) |> Decay(0.3, on = \"*/w\")"), adamw = run("AdamW(0.1, decay = 0.3)");
    for (size_t i = 0; i < decayed.size(); ++i) EXPECT_NEAR(decayed[i], adamw[i], 1e-12);
    std::vector<double> path = run("SGD(0.1) |> MaxNorm(0.72, on = \"*/w\")");
    ASSERT_EQ(path.size(), 4u);
    EXPECT_NEAR(path[0], 0.70, 1e-12);
    EXPECT_NEAR(path[1], 0.72, 1e-12);
    EXPECT_NEAR(path[2], 0.52, 1e-12);
}

/// One step of SGD(1) in W = [0.6, 0.8] and b = [2], with gradients [-3, 4] and [12].
std::map<std::string, std::vector<double>> step_of_two(const std::string &wrapper) {
    Elaborated e = elaborate_text("precision f64\ndata line(dir: path) {\n train = idx(dir / \"a\", dir / \"b\")\n}\n"
                                  "model M(image: f64[2], label: f64[1]) {\ny = image |> Dense(1)\nloss mse(y, label)\n}\n"
                                  "train M on line {\nbatch = 2\nepochs = 1\noptimizer = SGD(1) |> " + wrapper + "\n}\n");
    EXPECT_FALSE(e.diagnostics.has_errors()) << wrapper << "\n" << e.messages();
    if (e.diagnostics.has_errors()) return {};
    const Graph &update = e.module.graphs.at("update");
    // The arena holds W at 0 and b at 16.
    auto values = [](const std::string &name, std::vector<double> w, double b) -> std::vector<double> {
        if (name.ends_with("/W")) return w;
        if (name.ends_with("/b")) return {b};
        w.resize(32);
        w[16] = b;
        return w;
    };
    std::vector<Tensor> results = interpret(update, [&](const Node &node) {
        const std::string &name = attrs<InputAttrs>(node).name;
        if (node.type.rank() == 0) return Tensor{node.type, {1}};
        return Tensor{node.type, name.starts_with("gradient") ? values(name, {-3, 4}, 12) : values(name, {0.6, 0.8}, 2)};
    });
    std::map<std::string, std::vector<double>> found;
    for (size_t i = 0; i < results.size(); ++i) {
        const std::vector<double> &v = results[i].values;
        const std::string &name = update.results[i].name;
        if (name.ends_with("/W")) found["W"] = v;
        else if (name.ends_with("/b")) found["b"] = v;
        else found = {{"W", {v[0], v[1]}}, {"b", {v[16]}}};
    }
    return found;
}

void expect_step(const std::string &wrapper, const std::vector<double> &w, double b) {
    auto found = step_of_two(wrapper);
    ASSERT_EQ(found.size(), 2u) << wrapper;
    for (size_t i = 0; i < 2; ++i) EXPECT_NEAR(found["W"][i], w[i], 1e-12) << wrapper;
    EXPECT_NEAR(found["b"][0], b, 1e-12) << wrapper;
}

TEST(OptimizerValues, WrappersAroundTwoParameters) {
    expect_step("ClipValue(3.5)", {0.6 + 3, 0.8 - 3.5}, 2 - 3.5);
    expect_step("ClipNorm(6.5)", {0.6 + 1.5, 0.8 - 2}, 2 - 6);             // the norm of (-3, 4, 12) is 13
    expect_step("ClipNorm(6, each = true)", {0.6 + 3, 0.8 - 4}, 2 - 6);    // the norms are 5 and 12
    expect_step("ClipNorm(10, each = true) |> ClipNorm(1)", {0.6 + 3 / std::sqrt(125), 0.8 - 4 / std::sqrt(125)}, 2 - 10 / std::sqrt(125));
    expect_step("ClipValue(4) |> ClipNorm(1)", {0.6 + 3 / std::sqrt(41), 0.8 - 4 / std::sqrt(41)}, 2 - 4 / std::sqrt(41));
    expect_step("Decay(0.5, on = \"*/b\")", {0.6 + 3, 0.8 - 4}, 2 - 1 - 12);
    expect_step("MaxNorm(2)", {3.6 * 2 / std::hypot(3.6, 3.2), -3.2 * 2 / std::hypot(3.6, 3.2)}, 2 - 12);
    expect_step("Decay(0.5) |> ClipValue(4) |> MaxNorm(1, on = \"*/b\")", {0.3 + 3, 0.4 - 4}, -1);
}

TEST(OptimizerValues, WhatIsElementwiseUpdatesTheWholeArena) {
    auto stores_of = [](const std::string &optimizer) {
        Elaborated e = elaborate_text(experiment("logits = image |> Flatten() |> Dense(3)\nloss cross_entropy(logits, label)", "optimizer = " + optimizer + "\n"));
        EXPECT_FALSE(e.diagnostics.has_errors()) << e.messages();
        int arenas = 0, params = 0;
        for (const Result &result : e.module.graphs.at("update").results) {
            arenas += result.name.starts_with("param[");
            params += result.name.starts_with("M/dense/") && !result.name.ends_with(".v");
        }
        return std::pair(arenas, params);
    };
    for (const char *flat : {"SGD(0.1)", "Momentum(0.1) |> ClipValue(5)", "Momentum(0.1) |> ClipNorm(1)", "Momentum(0.1) |> ClipValue(5) |> ClipNorm(1) |> Decay(0.1)"})
        EXPECT_EQ(stores_of(flat), std::pair(1, 0)) << flat;
    for (const char *alone : {"Momentum(0.1) |> ClipNorm(1, each = true)", "SGD(0.1) |> Decay(0.1, on = \"*/W\")", "SGD(0.1) |> MaxNorm(3)"})
        EXPECT_EQ(stores_of(alone), std::pair(0, 2)) << alone;
}

TEST(OptimizerValues, AdamAndItsKin) {
    double m = 0, v = 0, largest = 0;
    auto moments = [&](double g) {
        m = 0.9 * m + 0.1 * g;
        v = 0.999 * v + 0.001 * g * g;
    };
    auto start = [&] { m = v = largest = 0; };
    auto corrected = [&](int t, double second) { return m / (1 - std::pow(0.9, t)) / (std::sqrt(second / (1 - std::pow(0.999, t))) + 1e-8); };
    expect_steps("Adam(0.1)", [&](int t, double g, double) {
        moments(g);
        return -kRate * corrected(t, v);
    });
    start();
    expect_steps("Adam(0.1, correct = false)", [&](int, double g, double) {
        moments(g);
        return -kRate * m / (std::sqrt(v) + 1e-8);
    });
    start();
    expect_steps("AdamW(0.1, decay = 0.2)", [&](int t, double g, double p) {
        moments(g);
        return -kRate * (corrected(t, v) + 0.2 * p);
    });
    start();
    expect_steps("AMSGrad(0.1)", [&](int t, double g, double) {
        moments(g);
        largest = std::max(largest, v);
        return -kRate * corrected(t, largest);
    });
}

// By PyTorch 2.15 in f64 (its default dtype, too), of the same gradients; RAdam divides from step 6 on with beta2 = 0.999.
TEST(OptimizerValues, AsInPyTorch) {
    const std::vector<double> gradients = {0.5, -1, 2, 0.25, -0.5, 1.5, 0, -2, 1, 0.75};
    const std::vector<std::pair<const char *, std::vector<double>>> cases = {
        {"Adamax(0.1)",
         {0.650000002, 0.678947370131579, 0.65117984259514, 0.627828489031959, 0.616278820755223, 0.591130354450892,
          0.570781995388459, 0.571631705459726, 0.564173041000404, 0.552084158190064}},
        {"NAdam(0.1)",
         {0.644354824277365, 0.735010572398808, 0.638241394599579, 0.619419524734176, 0.641902048370595, 0.559752018299378,
          0.550716171925322, 0.641625381093302, 0.592111410421527, 0.550355429473208}},
        {"RAdam(0.1)",
         {0.7, 0.728947368421053, 0.673412313070499, 0.626756308417984, 0.603703147323017, 0.602568553211972,
          0.601312251259115, 0.601366409705981, 0.600815675056058, 0.599793462354231}},
        {"RAdam(0.1, beta2 = 0.8)",
         {0.7, 0.728947368421053, 0.673412313070499, 0.626756308417984, 0.603703147323017, 0.553556954420949,
          0.535353736877091, 0.536058379186081, 0.528665477818495, 0.514457425326687}},
        {"Rprop(0.1)", {0.65, 0.65, 0.6, 0.54, 0.54, 0.51, 0.51, 0.54, 0.54, 0.525}},
        {"Adam(0.1)",
         {0.650000002, 0.686610354240565, 0.644644792718105, 0.604164995659455, 0.582306652088296, 0.538366089250471,
          0.499992614035462, 0.501390674444377, 0.488903735373589, 0.468041404236989}},
    };
    for (const auto &[optimizer, expected] : cases) {
        const std::vector<double> path = run(optimizer, gradients);
        ASSERT_EQ(path.size(), expected.size()) << optimizer;
        for (size_t i = 0; i < path.size(); ++i) EXPECT_NEAR(path[i], expected[i], 1e-13) << optimizer << " step " << i + 1;
    }
}

TEST(OptimizerValues, RpropKeepsItsSizesWithinBounds) {
    // Three steps in one direction, at most 1.3 times the rate each; then back and forth, no less than 0.4 times.
    const std::vector<double> expected = {-0.1, -0.22, -0.35, -0.35, -0.285, -0.285, -0.325, -0.325};
    const std::vector<double> path = run("Rprop(0.1, least = 0.4, most = 1.3)", {1, 1, 1, -1, -1, 1, 1, -1});
    ASSERT_EQ(path.size(), expected.size());
    for (size_t i = 0; i < path.size(); ++i) EXPECT_NEAR(path[i], kStart + expected[i], 1e-12) << i;
}

TEST(OptimizerValues, AdamsWithAnotherSecondMoment) {
    double m = 0, v = 0;
    auto first = [&](int t, double g) {
        m = 0.9 * m + 0.1 * g;
        return m / (1 - std::pow(0.9, t));
    };
    auto corrected = [&](int t) { return std::sqrt(v / (1 - std::pow(0.999, t))); };
    expect_steps("Yogi(0.1)", [&](int t, double g, double) {
        const double square = g * g, mean = first(t, g);
        v -= 0.001 * (v > square ? 1 : v < square ? -1 : 0) * square;
        return -kRate * mean / (corrected(t) + 1e-3);
    });
    m = v = 0;
    expect_steps("AdaBelief(0.1, eps = 1e-6)", [&](int t, double g, double) {
        const double mean = first(t, g);
        v = 0.999 * v + 0.001 * (g - m) * (g - m) + 1e-6;
        return -kRate * mean / (corrected(t) + 1e-6);
    });
    m = v = 0;
    expect_steps("LAMB(0.1, decay = 0.2)", [&](int t, double g, double p) {
        const double mean = first(t, g);
        v = 0.999 * v + 0.001 * g * g;
        const double d = mean / (corrected(t) + 1e-6) + 0.2 * p;
        return -kRate * std::abs(p) / std::abs(d) * d;
    });
    // Of parameters of 0 the length says nothing.
    EXPECT_NEAR(run("LAMB(0.1)", {2}, 0)[0], run("Adam(0.1, eps = 1e-6)", {2}, 0)[0], 1e-15);
}

TEST(OptimizerValues, EveFollowsTheLoss) {
    double m = 0, v = 0, d = 1;
    expect_steps("Eve(0.1, beta3 = 0.5, clip = 4)", [&](int t, double g, double) {
        m = 0.9 * m + 0.1 * g;
        v = 0.999 * v + 0.001 * g * g;
        if (t > 1) {
            double f = kLosses[size_t(t - 1)], last = kLosses[size_t(t - 2)];
            double change = std::abs(f - last) / std::min(f, last);  // 0.5, 1, 0.03: the last one is clipped to 1 / 4
            d = 0.5 * d + 0.5 * std::min(std::max(change, 0.25), 4.0);
        }
        return -kRate / d * (m / (1 - std::pow(0.9, t))) / (std::sqrt(v / (1 - std::pow(0.999, t))) + 1e-8);
    });
}

}  // namespace
}  // namespace kiln
