// Definitions of the standard library, by the numbers they compute in the reference interpreter.
#include "elaborate_text.h"

#include "compiler/ops/interpret.h"

#include <gtest/gtest.h>

#include <cmath>

namespace kiln {
namespace {

/// The output `y` of a model over x: f64[n], with a batch of 1 and every parameter at its initial value.
std::vector<double> run(const std::string &statements, const std::vector<double> &x, std::string shape = "") {
    if (shape.empty()) shape = std::to_string(x.size());
    Elaborated e = elaborate_text("precision f64\nmodel M(x: f64[" + shape + "]) {\n" + statements + "\n}\n");
    EXPECT_FALSE(e.diagnostics.has_errors()) << e.messages();
    if (e.diagnostics.has_errors()) return {};
    std::map<std::string, Tensor> storage;
    auto scalar = [](const Node &node, double value) { return Tensor{node.type, {value}}; };
    const Graph &init = e.module.graphs.at("init");
    std::vector<Tensor> initial = interpret(init, [&](const Node &node) { return scalar(node, 7); });
    for (size_t i = 0; i < initial.size(); ++i) storage[init.results[i].name] = initial[i];
    return interpret(e.module.graphs.at("predict"), [&](const Node &node) {
        const InputAttrs &input = attrs<InputAttrs>(node);
        if (input.kind == InputKind::storage) return storage.at(input.name);
        if (input.kind == InputKind::data) return Tensor{node.type, x};
        return scalar(node, 1);
    })[0].values;
}

void expect_near(const std::vector<double> &actual, const std::vector<double> &expected, double tolerance = 1e-9) {
    ASSERT_EQ(actual.size(), expected.size());
    for (size_t i = 0; i < actual.size(); ++i) EXPECT_NEAR(actual[i], expected[i], tolerance) << i;
}

const std::vector<double> kX = {-2, -0.5, 0.25, 3};

void expect_map(const std::string &function, double (*f)(double), double tolerance = 1e-9) {
    std::vector<double> expected;
    for (double x : kX) expected.push_back(f(x));
    expect_near(run("output y = " + function, kX), expected, tolerance);
}

TEST(Library, Activations) {
    expect_map("relu(x)", [](double x) { return x > 0 ? x : 0; });
    expect_map("leaky_relu(x, slope = 0.2)", [](double x) { return x > 0 ? x : 0.2 * x; });
    expect_map("elu(x)", [](double x) { return x > 0 ? x : std::expm1(x); });
    expect_map("sigmoid(x)", [](double x) { return 1 / (1 + std::exp(-x)); });
    expect_map("tanh(x)", [](double x) { return std::tanh(x); });
    expect_map("silu(x)", [](double x) { return x / (1 + std::exp(-x)); });
    expect_map("gelu(x)", [](double x) { return x * (1 + std::erf(x / std::sqrt(2.0))) / 2; });
    expect_map("softplus(x)", [](double x) { return std::log1p(std::exp(x)); });
    double sum = 0;
    for (double x : kX) sum += std::exp(x);
    expect_near(run("output y = softmax(x)", kX), {std::exp(-2.0) / sum, std::exp(-0.5) / sum, std::exp(0.25) / sum, std::exp(3.0) / sum});
    expect_near(run("output y = log_softmax(x)", kX), {-2 - std::log(sum), -0.5 - std::log(sum), 0.25 - std::log(sum), 3 - std::log(sum)});
}

TEST(Library, AFunctionWithoutItsFirstTensorWaitsForIt) {
    expect_near(run("output y = x |> Dense(4, init = eye, activation = leaky_relu(slope = 0.2))", kX), {-0.4, -0.1, 0.25, 3});
    expect_near(run("f = clip(low = 0, high = 1)\noutput y = f(x) + clip(x, low = 1, high = 2)", kX), {1, 1, 1.25, 3});
}

TEST(Library, LargeLogitsStayFinite) {
    expect_near(run("output y = log_softmax(x)", {1000, 0}), {0, -1000});
    expect_near(run("output y = softplus(x)", {1000, -1000}), {1000, 0});
    expect_near(run("output y = binary_cross_entropy(x, 0 * x + 1)", {1000, -1000}), {500});
}

TEST(Library, Losses) {
    expect_near(run("output y = mse(x, 0 * x)", {1, 3}), {5});
    expect_near(run("output y = mae(x, 0 * x)", {1, -3}), {2});
    expect_near(run("output y = huber(x, 0 * x)", {0.5, -3}), {(0.125 + 2.5) / 2});
    expect_near(run("output y = hinge(x, 0 * x + 1)", {0.5, 3}), {0.25});
}

TEST(Library, Pooling) {
    std::vector<double> x = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    expect_near(run("output y = x |> MaxPool(2, stride = 1)", x, "3, 3, 1"), {5, 6, 8, 9});
    expect_near(run("output y = x |> AveragePool(2, stride = 1)", x, "3, 3, 1"), {3, 4, 6, 7});
    expect_near(run("output y = x |> AveragePool(2, padding = \"same\")", x, "3, 3, 1"), {3, 4.5, 7.5, 9});
    expect_near(run("output y = x |> GlobalAveragePool()", x, "3, 3, 1"), {5});
}

TEST(Library, ShapesAndJoins) {
    expect_near(run("output y = x |> Reshape([2, -1]) |> Flatten()", kX), kX);
    expect_near(run("output y = concatenate([x, x * 2])", {1, 2}), {1, 2, 2, 4});
    expect_near(run("output y = x |> residual(fn(v) = v * v)", {1, 2}), {2, 6});
    expect_near(run("output y = x |> residual(Dense(2, init = ones))", {1, 2}), {4, 5});
}

TEST(Library, ConvolutionPaddingStrideDilationAndBias) {
    std::vector<double> x(25, 1.0);
    auto count = [&](const std::string &arguments) { return run("output y = x |> Conv(1, init = ones, " + arguments + ")", x, "5, 5, 1").size(); };
    EXPECT_EQ(count("kernel = 3"), 9u);
    EXPECT_EQ(count("kernel = 3, padding = \"same\""), 25u);
    EXPECT_EQ(count("kernel = 3, padding = \"same\", stride = 2"), 9u);
    EXPECT_EQ(count("kernel = 3, dilation = 2"), 1u);
    EXPECT_EQ(count("kernel = [1, 5], use_bias = false"), 5u);
}

struct Moments { double mean = 0, deviation = 0, largest = 0; };
Moments moments(const std::string &initializer, int n = 4096) {
    std::vector<double> y = run("param p: float[" + std::to_string(n / 64) + ", 64] = " + initializer + "\noutput y = x * broadcast_to(reshape(p, [1, " +
                                    std::to_string(n) + "]), [1, " + std::to_string(n) + "])",
                                std::vector<double>(size_t(n), 1.0));
    Moments m;
    for (double v : y) m.mean += v / n, m.largest = std::max(m.largest, std::abs(v));
    for (double v : y) m.deviation += (v - m.mean) * (v - m.mean) / n;
    m.deviation = std::sqrt(m.deviation);
    return m;
}

TEST(Library, Initializers) {
    EXPECT_EQ(moments("zeros").largest, 0);
    EXPECT_EQ(moments("ones").mean, 1);
    EXPECT_NEAR(moments("constant(0.5)").mean, 0.5, 1e-12);
    EXPECT_NEAR(moments("uniform(-1, 1)").deviation, std::sqrt(1.0 / 3), 0.02);
    EXPECT_NEAR(moments("normal(0.5)").deviation, 0.5, 0.02);
    EXPECT_NEAR(moments("normal(0.5, mean = 2)").mean, 2, 0.03);
    EXPECT_NEAR(moments("truncated_normal(1.0)").deviation, 0.8796, 0.03);
    EXPECT_LE(moments("truncated_normal(1.0)").largest, 2.001);
    EXPECT_NEAR(moments("glorot_uniform").deviation, std::sqrt(2.0 / 128), 0.005);
    EXPECT_NEAR(moments("he_normal").deviation, std::sqrt(2.0 / 64), 0.005);
    EXPECT_NEAR(moments("lecun_normal(fan_in = 16)").deviation, 0.25, 0.01);
    EXPECT_NEAR(moments("lecun_uniform(fan_in = 16)").deviation, 0.25, 0.01);
    EXPECT_LE(moments("lecun_uniform(fan_in = 16)").largest, std::sqrt(3.0) / 4);
    EXPECT_GE(moments("lecun_uniform(fan_in = 16)").largest, 0.43);
}

TEST(Library, VarianceScaling) {
    const std::string fans = ", fan_in = 16, fan_out = 48)";
    const Moments cut = moments("variance_scaling(" + fans.substr(2));
    const Moments other = moments("variance_scaling(2, \"fan_out\", \"normal\"" + fans);
    EXPECT_NEAR(cut.deviation, 0.25, 0.01);
    EXPECT_LE(cut.largest, 0.5 / 0.8796 + 0.001);
    EXPECT_NEAR(other.deviation, std::sqrt(2.0 / 48), 0.01);
    EXPECT_GE(other.largest, 3 * std::sqrt(2.0 / 48));
    const Moments even = moments("variance_scaling(mode = \"fan_avg\", distribution = \"uniform\"" + fans);
    EXPECT_NEAR(even.deviation, std::sqrt(1.0 / 32), 0.01);
    EXPECT_LE(even.largest, std::sqrt(3.0 / 32));
}

TEST(Library, LayersThatStartAsTheIdentity) {
    expect_near(run("output y = x |> Dense(4, init = eye)", kX), kX);
    expect_near(run("output y = x |> Dense(3, init = eye(2))", kX), {-4, -1, 0.5});
    const std::vector<double> picture = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18};
    expect_near(run("output y = x |> Conv(2, padding = \"same\", init = dirac)", picture, "3, 3, 2"), picture);
    expect_near(run("output y = x |> Conv(3, kernel = [1, 3], init = dirac(3))", picture, "3, 3, 2"), {9, 12, 0, 27, 30, 0, 45, 48, 0});
}

TEST(Library, OrthogonalMatricesAreOrthogonal) {
    for (const char *extents : {"6, 4", "4, 6", "5, 5"}) {
        std::string gram = extents[0] >= extents[3] ? "transposed(p) @ p" : "p @ transposed(p)";
        int64_t n = std::min(extents[0], extents[3]) - '0';
        std::vector<double> y = run(std::string("param p: float[") + extents + "] = orthogonal\noutput y = x[..] * reshape(" + gram + ", [1, " + std::to_string(n * n) + "])",
                                    std::vector<double>(size_t(n * n), 1.0));
        for (int64_t i = 0; i < n * n; ++i) EXPECT_NEAR(y[size_t(i)], i % (n + 1) == 0 ? 1 : 0, 1e-6) << extents;
    }
}

}  // namespace
}  // namespace kiln
