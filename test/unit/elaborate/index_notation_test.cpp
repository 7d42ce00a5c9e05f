// Operations in index notation by the numbers they compute.
#include "elaborate_text.h"

#include "compiler/ops/interpret.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

namespace kiln {
namespace {

using Values = std::vector<double>;

/// The output `h` of a model in f64 that calls the ops, for one sample; x is [1, n] inside, t an index per element.
Values run(const std::string &ops, const std::string &call, const Values &x, const Values &t = {}) {
    const std::string n = std::to_string(x.size()), m = std::to_string(std::max<size_t>(1, t.size()));
    Elaborated e = elaborate_text("precision f64\n" + ops + "\ndata d(dir: path) {\n train = npz(dir / \"records.npz\")\n}\nmodel M(x: f64[" + n + "], t: i32[" + m +
                                  "]) {\nh = " + call + "\noutput h\nloss mse(x, 0 * x + sum(Dense(x, 1)) + sum(cast(t, float)))\n}\n" + "train M on d {\nbatch = 1\nepochs = 1\noptimizer = SGD(0.1)\n}\n");
    EXPECT_FALSE(e.diagnostics.has_errors()) << e.messages();
    if (e.diagnostics.has_errors()) return {};
    const Graph &predict = e.module.graphs.at("predict");
    const std::vector<Tensor> results = interpret(predict, [&](const Node &node) {
        const std::string &name = attrs<InputAttrs>(node).name;
        return Tensor{node.type, name == "x" ? x : name == "t" ? t : Values(size_t(node.type.elements()), 1)};
    });
    return results.at(0).values;
}

void expect_near(const Values &actual, const Values &expected) {
    ASSERT_EQ(actual.size(), expected.size());
    for (size_t i = 0; i < actual.size(); ++i) EXPECT_NEAR(actual[i], expected[i], 1e-12) << i;
}

TEST(IndexNotation, EveryReduction) {
    const std::string head = "op f(x: float[.., n]) -> float[.., n - 1] {\n y[.., i] = ";
    const Values x{3, -1, 4, 2};
    expect_near(run(head + "sum(j) x[.., i + j] where j < 2\n}", "f(x)", x), {2, 3, 6});
    expect_near(run(head + "mean(j) x[.., i + j] where j < 2\n}", "f(x)", x), {1, 1.5, 3});
    expect_near(run(head + "prod(j) x[.., i + j] where j < 2\n}", "f(x)", x), {-3, -4, 8});
    expect_near(run(head + "max(j) x[.., i + j] where j < 2\n}", "f(x)", x), {3, 4, 4});
    expect_near(run(head + "min(j) x[.., i + j] where j < 2\n}", "f(x)", x), {-1, -1, 2});
}

TEST(IndexNotation, GuardsLeaveTermsOut) {
    const std::string head = "op f(x: float[.., n]) -> float[.., n] {\n y[.., i] = ";
    const Values x{3, -1, 4};
    const std::string guard = "(j) x[.., i + j - 1] where j < 3 and i + j >= 1 and i + j <= n\n}";
    expect_near(run(head + "sum" + guard, "f(x)", x), {2, 6, 3});
    expect_near(run(head + "mean" + guard, "f(x)", x), {1, 2, 1.5});
    expect_near(run(head + "prod" + guard, "f(x)", x), {-3, -12, -4});
    expect_near(run(head + "max" + guard, "f(x)", x), {3, 4, 4});
    expect_near(run(head + "sum(j) x[.., j] where j != i\n}", "f(x)", x), {3, 7, 2});
    expect_near(run(head + "prod(j) x[.., j] where x[.., j] > 0 and j <= i\n}", "f(x)", x), {3, 3, 12});
    expect_near(run(head + "mean(j) x[.., j] where x[.., j] > 10 * i\n}", "f(x)", x), {3.5, 0, 0});
}

TEST(IndexNotation, ReductionsNestAndStandInExpressions) {
    const std::string head = "op f(x: float[.., n]) -> float[.., n] {\n y[.., i] = ";
    expect_near(run(head + "x[.., i] / sum(j) x[.., j]\n}", "f(x)", {1, 3}), {0.25, 0.75});
    expect_near(run(head + "sum(j) (x[.., j] - max(k) x[.., k]) * i + 1\n}", "f(x)", {1, 3, 2}), {1, -2, -5});
    expect_near(run(head + "sum(j, k) x[.., j] * x[.., k] where j < k and k <= i\n}", "f(x)", {1, 3, 2}), {0, 3, 11});
    // A guard within leaves out terms of its own reduction, and none of the outer one.
    expect_near(run(head + "sum(a) (1 + (sum(c) x[.., c] where a < 1)) where a < 3\n}", "f(x)", {1, 3, 2}), {9, 9, 9});
    expect_near(run(head + "sum(a) (1 + (prod(c) x[.., 2 * a] where c < 1 and 2 * a < 3)) where a < 3\n}", "f(x)", {1, 3, 2}), {7, 7, 7});
}

TEST(IndexNotation, SeveralResultsAndStatements) {
    const std::string ops = "op moments(x: float[.., n]) -> (float[..], float[..]) {\n m[..] = mean(i) x[.., i]\n v[..] = mean(i) (x[.., i] - m[..]) ^ 2\n}\n"
                            "op turned(x: float[.., n]) -> (float[..], float[..]) {\n m[..] = mean(i) x[.., i]\n s[..] = sum(i) x[.., i]\n return s, m\n}\n"
                            "fn second(x) {\n a, b = moments(x)\n return b + 10 * a\n}\nfn other(x) {\n a, b = turned(x)\n return a + 0 * b\n}\n";
    expect_near(run(ops, "second(x)", {1, 2, 6}), {30 + 14.0 / 3});
    expect_near(run(ops, "other(x)", {1, 2, 6}), {9});
}

TEST(IndexNotation, TensorsDefinedInParts) {
    expect_near(run("op f(x: float[.., n]) -> float[.., n + 2] {\n y[.., i] = x[.., i - 1] where i >= 1 and i <= n\n y[.., 0] = 7\n y[.., -1] = 2 * x[.., -1]\n}", "f(x)", {1, 3}), {7, 1, 3, 6});
    // The first part that applies counts.
    expect_near(run("op f(x: float[.., n]) -> float[.., n] {\n y[.., i] = 1 where i < 2\n y[.., i] = 2 where i < 3\n y[.., i] = x[.., i]\n}", "f(x)", {5, 6, 7, 8}), {1, 1, 2, 8});
    expect_near(run("op f(x: float[.., n]) -> float[.., n] {\n y[.., i] = x[.., i] where i >= 1 and i < 3\n y[.., i] = 10 * x[.., i]\n}", "f(x)", {5, 6, 7, 8}), {50, 6, 7, 80});
}

TEST(IndexNotation, TurnedStridedAndConstantReads) {
    const std::string head = "op f(x: float[.., n]) -> float[.., n div 2] {\n y[.., i] = ";
    expect_near(run(head + "x[.., n - 1 - i]\n}", "f(x)", {1, 2, 3, 4}), {4, 3});
    expect_near(run(head + "x[.., 2 * i + 1] - x[.., 0] + x[.., -1]\n}", "f(x)", {1, 2, 3, 4}), {5, 7});
    expect_near(run(head + "2 * i - 1 + 0.5 * (i + x[.., 2 * i])\n}", "f(x)", {1, 2, 3, 4}), {-0.5, 3});
}

TEST(IndexNotation, GathersAreClamped) {
    const std::string ops = "op f(x: float[.., n], t: i32[.., m]) -> float[.., m] {\n y[.., i] = x[0, t[0, i]] + 100 * x[.., t[0, i] + 1]\n}";
    expect_near(run(ops, "f(x, t)", {1, 2, 3}, {0, 2, -5, 9}), {201, 303, 101, 303});
    expect_near(run("op f(x: float[.., n], t: i32[.., m]) -> float[.., m] {\n half[i] = i div 2 where i < m\n y[.., i] = x[.., half[i]] + i % 2 + 0 * t[.., i]\n}", "f(x, t)", {5, 7}, {0, 0, 0, 0}),
                {5, 6, 7, 8});
}

TEST(IndexNotation, ValuesAreChosenByConditions) {
    expect_near(run("op f(x: float[.., n]) -> float[.., n] {\n y[.., i] = if x[.., i] > 2 { x[.., i] } else { -i }\n}", "f(x)", {1, 3, 2}), {0, 3, -2});
    expect_near(run("op f(x: float[.., n]) -> float[.., n] {\n y[.., i] = x[.., i] * iota(0, [n], float)[i] + sum(ones([2])) + sqrt(average(x))\n}", "f(x)", {1, 7}), {4, 11});
    expect_near(run("op f(x: float[.., n], twice: bool = false) -> float[.., n] {\n if twice { y[.., i] = 2 * x[.., i] } else { y[.., i] = relu(x[.., i]) }\n return y\n}",
                    "f(x) + 10 * f(x, twice = true)", {1, -3}),
                {21, -60});
}

TEST(IndexNotation, RunTimeNumbersAdoptTheElements) {
    Elaborated e = elaborate_text("hyper scale: float = 2\nop f(x: float[.., n]) -> float[.., n] {\n y[.., i] = scale * x[.., i] + 0.5 * i\n}\n" +
                                  experiment("h = f(image |> Flatten())\noutput h\nloss cross_entropy(h |> Dense(3), label)"));
    EXPECT_FALSE(e.diagnostics.has_errors()) << e.messages();
}

}  // namespace
}  // namespace kiln
