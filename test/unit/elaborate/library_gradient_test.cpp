// Functions, activations and losses of the standard library: their values against formulas written out here, and their gradients against
// central differences in f64; where they have a kink, the slope they say they have there, and far from 0 no infinities.
#include "elaborate_text.h"

#include "compiler/autodiff/differentiate.h"
#include "compiler/ops/builder.h"
#include "compiler/ops/interpret.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

namespace kiln {
namespace {

using Numbers = std::vector<double>;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

struct Sloped { Numbers values, slopes; };

/// An expression in x: f64[n] of one sample, compiled once.
class Expression {
public:
    explicit Expression(const std::string &expression, const std::string &shape) {
        const Elaborated e = elaborate_text("precision f64\nmodel M(x: f64[" + shape + "]) {\noutput y = " + expression + "\n}\n");
        EXPECT_FALSE(e.diagnostics.has_errors()) << expression << "\n" << e.messages();
        if (e.diagnostics.has_errors()) return;
        graph_ = e.module.graphs.at("predict");
        for (int32_t i = 0; i < graph_.size(); ++i)
            if (graph_[NodeId{i}].op == Op::input) x_ = NodeId{i};
        Builder b(graph_);
        const NodeId y = b.cast(graph_.results[0].value, DType::f64);
        const Type type = b.type(y);
        // Each of few elements has a weight of its own in what is differentiated.
        weights_.resize(size_t(type.elements()), 1);
        for (size_t i = 0; i < weights_.size() && weights_.size() < 10; ++i) weights_[i] += 0.25 * double(i);
        Ints axes;
        for (int64_t i = 0; i < type.rank(); ++i) axes.push_back(i);
        const NodeId total = b.reduce(Op::reduce_sum, b.multiply(y, b.constant(weights_, type)), axes);
        const NodeId slope = append_gradients(graph_, total, {x_})[0];
        graph_.results = {{ResultKind::value, "", y}, {ResultKind::value, "", slope}};
    }
    Sloped at(const Numbers &x) const {
        if (graph_.nodes.empty()) return {};
        const std::vector<Tensor> results = interpret(graph_, [&](const Node &node) { return Tensor{node.type, x}; });
        return {results[0].values, results[1].values};
    }
    double total(const Numbers &x) const {
        const Numbers values = at(x).values;
        double sum = 0;
        for (size_t i = 0; i < values.size(); ++i) sum += weights_[i] * values[i];
        return sum;
    }

private:
    Graph graph_;
    NodeId x_;
    Numbers weights_;
};

void expect_near(const Numbers &actual, const Numbers &expected, const std::string &what, double tolerance = 1e-9) {
    ASSERT_EQ(actual.size(), expected.size()) << what;
    for (size_t i = 0; i < actual.size(); ++i)
        EXPECT_TRUE(actual[i] == expected[i] || std::abs(actual[i] - expected[i]) <= tolerance * (1 + std::abs(expected[i])))
            << what << " at " << i << ": " << actual[i] << " instead of " << expected[i];
}

/// The values of the expression at x, and its gradient there against differences.
void expect_values(const std::string &expression, const Numbers &x, const Numbers &expected, std::string shape = "") {
    if (shape.empty()) shape = std::to_string(x.size());
    const Expression f(expression, shape);
    const Sloped found = f.at(x);
    expect_near(found.values, expected, expression);
    ASSERT_EQ(found.slopes.size(), x.size()) << expression;
    for (size_t i = 0; i < x.size(); ++i) {
        Numbers above = x, below = x;
        above[i] += 1e-5, below[i] -= 1e-5;
        const double slope = (f.total(above) - f.total(below)) / 2e-5;
        EXPECT_NEAR(found.slopes[i], slope, 1e-6 * (1 + std::abs(slope))) << expression << ": the slope of element " << i;
    }
}

/// The slopes of the expression at x, of which some are at a kink.
void expect_slopes(const std::string &expression, const Numbers &x, const Numbers &expected) {
    expect_near(Expression(expression, std::to_string(x.size())).at(x).slopes, expected, expression);
}

struct Activation {
    std::string expression;
    double (*f)(double);
    std::map<double, double> kinks;  ///< the slope at each
    double slope_below, slope_above;  ///< at -2000 and 2000
};

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
double cut(double x, double low, double high) { return std::max(low, std::min(x, high)); }
double elu(double x, double alpha, double scale) { return scale * (x > 0 ? x : alpha * std::expm1(x)); }
constexpr double kSlope = 1.6732632423543772, kScale = 1.0507009873554805;  // of selu

TEST(LibraryGradients, Activations) {
    const std::vector<Activation> cases = {
        {"gelu(x, approximate = true)", [](double x) { return x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x))) / 2; }, {}, 0, 1},
        {"log_sigmoid(x)", [](double x) { return -std::log1p(std::exp(-x)); }, {}, 1, 0},
        {"mish(x)", [](double x) { return x * std::tanh(std::log1p(std::exp(x))); }, {}, 0, 1},
        {"selu(x)", [](double x) { return elu(x, kSlope, kScale); }, {{0, kSlope * kScale}}, 0, kScale},
        {"celu(x, alpha = 2)", [](double x) { return x > 0 ? x : 2 * std::expm1(x / 2); }, {{0, 1}}, 0, 1},
        {"relu6(x)", [](double x) { return cut(x, 0, 6); }, {{0, 0}, {6, 0}}, 0, 0},
        {"hard_tanh(x)", [](double x) { return cut(x, -1, 1); }, {{-1, 0}, {1, 0}}, 0, 0},
        {"hard_sigmoid(x)", [](double x) { return cut((x + 3) / 6, 0, 1); }, {{-3, 0}, {3, 0}}, 0, 0},
        {"hard_swish(x)", [](double x) { return x * cut((x + 3) / 6, 0, 1); }, {{-3, 0}, {3, 1}}, 0, 1},
        {"softsign(x)", [](double x) { return x / (1 + std::abs(x)); }, {{0, 1}}, 1 / (2001.0 * 2001), 1 / (2001.0 * 2001)},
        {"tanh_shrink(x)", [](double x) { return x - std::tanh(x); }, {}, 1, 1},
        {"soft_shrink(x, limit = 1)", [](double x) { return x > 1 ? x - 1 : x < -1 ? x + 1 : 0; }, {{-1, 0}, {1, 0}}, 1, 1},
        {"hard_shrink(x, limit = 1)", [](double x) { return std::abs(x) > 1 ? x : 0; }, {{-1, 0}, {1, 0}}, 1, 1},
        {"clip(x, -1, 6)", [](double x) { return cut(x, -1, 6); }, {{-1, 0}, {6, 0}}, 0, 0},
    };
    const Numbers points = {-6, -3, -1, -0.5, 0, 0.25, 1, 3, 6, -2000, 2000};
    for (const Activation &activation : cases) {
        const Sloped found = Expression(activation.expression, "11").at(points);
        ASSERT_EQ(found.slopes.size(), points.size()) << activation.expression;
        for (size_t i = 0; i < points.size(); ++i) {
            const double x = points[i];
            const auto kink = activation.kinks.find(x);
            const double slope = kink != activation.kinks.end() ? kink->second
                                 : std::abs(x) > 1000           ? (x > 0 ? activation.slope_above : activation.slope_below)
                                                                : (activation.f(x + 1e-5) - activation.f(x - 1e-5)) / 2e-5;
            if (std::abs(x) < 1000) {
                EXPECT_NEAR(found.values[i], activation.f(x), 1e-12) << activation.expression << " at " << x;
            }
            EXPECT_NEAR(found.slopes[i], slope, 1e-8) << activation.expression << ": the slope at " << x;
        }
    }
}

TEST(LibraryGradients, GatedLinearUnit) {
    expect_values("glu(x)", {2, -1, 0.5, 3}, {2 * sigmoid(0.5), -sigmoid(3)});
    expect_values("glu(x, axis = 1)", {2, -1, 0.5, 3}, {2 * sigmoid(0.5), -sigmoid(3)}, "2, 2");
}

TEST(LibraryGradients, ElementByElement) {
    expect_values("root(x)", {4, 0.25}, {2, 0.5});
    expect_slopes("root(x)", {0, 4}, {0, 1.25 / 4});
    expect_values("xlogx(x)", {1, 0.5}, {0, -0.5 * std::log(2)});
    expect_near(Expression("xlogx(x)", "2").at({0, 1}).values, {0, 0}, "xlogx");
    expect_slopes("xlogx(x)", {0, 1}, {0, 1.25});
    expect_values("lerp(x[.., 0..2], x[.., 2..4], 0.25)", {1, 2, 5, -2}, {2, 1});
}

TEST(LibraryGradients, Reductions) {
    const Numbers x = {1, 2, 3, 6, 0.5, -1};
    // The second row has the mean 11/6 and the mean square 37.25/3.
    expect_values("std(x, axis = 2)", x, {std::sqrt(2.0 / 3), std::sqrt(37.25 / 3 - 121.0 / 36)}, "2, 3");
    expect_slopes("reshape(std(x), [1])", {2, 2, 2}, {0, 0, 0});
    expect_values("norm(x, axis = 2)", x, {std::sqrt(14), std::sqrt(37.25)}, "2, 3");
    expect_values("norm(x, order = 1, keep = 0)", x, {13.5}, "2, 3");
    expect_values("norm(x, order = infinity, axis = 1, expand = true)", x, {6, 2, 3}, "2, 3");
    expect_slopes("norm(x, keep = 0)", {0, 0}, {0, 0});
    const double first = std::exp(1) + std::exp(2) + std::exp(3), second = std::exp(6) + std::exp(0.5) + std::exp(-1);
    expect_values("logsumexp(x, axis = 2)", x, {std::log(first), std::log(second)}, "2, 3");
    expect_values("logsumexp(x, axis = 1, expand = true)", {3, -1}, {std::log(std::exp(3) + std::exp(-1))});
    const Sloped far = Expression("logsumexp(x, axis = 1)", "3").at({1000, 1000, -1000});
    expect_near(far.values, {1000 + std::log(2)}, "logsumexp far away");
    expect_near(far.slopes, {0.5, 0.5, 0}, "logsumexp far away");
    expect_near(Expression("logsumexp(x, axis = 1)", "2").at({-kInfinity, -kInfinity}).values, {-kInfinity}, "logsumexp of nothing");
    expect_values("cumsum(x)", x, {1, 3, 6, 6, 6.5, 5.5}, "2, 3");
    expect_values("cumsum(x, axis = 1)", x, {1, 2, 3, 7, 2.5, 2}, "2, 3");
}

TEST(LibraryGradients, Truths) {
    const Numbers x = {1, 2, 3, 6, 0.5, -1};
    auto values = [&](const std::string &expression) { return Expression(expression, "2, 3").at(x).values; };
    expect_near(values("count(x > 1.5, axis = 2)"), {2, 1}, "count");
    expect_near(values("cast(any(x > 5, axis = 2), to = float)"), {0, 1}, "any");
    expect_near(values("cast(all(x > 0, axis = 2, expand = true), to = float)"), {1, 0}, "all");
    expect_near(values("cast(all(x > -2, keep = 0), to = float)"), {1}, "all");
    expect_near(values("cast(argmin(x, axis = 2), to = float)"), {0, 2}, "argmin");
}

TEST(LibraryGradients, Layout) {
    const Numbers x = {1, 2, 3, 4, 5, 6};
    expect_values("stack([x[.., 0, 0..], x[.., 1, 0..]])", x, {1, 4, 2, 5, 3, 6}, "2, 3");
    expect_values("stack(unstack(x, axis = 1), axis = 1)", x, x, "2, 3");
    expect_values("unstack(x)[1]", x, {2, 5}, "2, 3");
    expect_values("chunk(x, 3)[2]", x, {5, 6});
    expect_values("chunk(x, [1, 2], axis = 2)[1]", x, {2, 3, 5, 6}, "2, 3");
    expect_values("chunk(x, 3, axis = 1)[1]", x, {3, 4}, "3, 2, 1");
    expect_values("repeat(x, 2)", {1, 2}, {1, 1, 2, 2});
    expect_values("repeat(x, 2, axis = 1)", {1, 2, 3, 4}, {1, 2, 1, 2, 3, 4, 3, 4}, "2, 2");
    expect_values("tile(x, 2)", {1, 2}, {1, 2, 1, 2});
    expect_values("tile(x, 2, axis = 1)", {1, 2, 3, 4}, {1, 2, 3, 4, 1, 2, 3, 4}, "2, 2");
    expect_values("squeeze(expand_dims(x, 1), 1) + squeeze(expand_dims(x, -1), -1)", {1, 2}, {2, 4});
}

TEST(LibraryGradients, Vectors) {
    expect_values("normalize(x)", {3, 4}, {0.6, 0.8});
    expect_near(Expression("normalize(x)", "2").at({0, 0}).values, {0, 0}, "normalize");
    expect_values("cosine_similarity(x[.., 0..2], x[.., 2..4])", {3, 4, 1, 0}, {0.6});
    expect_near(Expression("cosine_similarity(x[.., 0..2], x[.., 2..4])", "4").at({3, 4, 0, 0}).values, {0}, "cosine_similarity");
    expect_values("outer(x[.., 0..2], x[.., 2..5])", {2, 3, 1, 5, 7}, {2, 10, 14, 3, 15, 21});
}

/// p and t are the halves of x.
std::string of_halves(const std::string &call, const std::string &half) {
    std::string text = call;
    for (auto [name, part] : {std::pair<std::string, std::string>{"(p", "(x[.., 0.." + half + "]"}, {", t", ", x[.., " + half + "..]"}})
        text.replace(text.find(name), name.size(), part);
    return text;
}

TEST(LibraryGradients, LossesOfNumbers) {
    const Numbers x = {0.5, -3, 2, 1, 1, 4};  // errors -0.5, -4, -2
    auto expect = [&](const std::string &call, double expected) { expect_values(of_halves(call, "3"), x, {expected}); };
    expect("squared_hinge(p, t)", (0.25 + 16 + 0) / 3);
    expect("log_cosh(p, t)", (std::log(std::cosh(0.5)) + std::log(std::cosh(4)) + std::log(std::cosh(2))) / 3);
    expect("quantile(p, t, q = 0.9)", 0.9 * 6.5 / 3);
    expect("quantile(p, t)", 0.5 * 6.5 / 3);
    expect("mape(p, t)", 100 * (0.5 + 4 + 0.5) / 3);
    expect("msle(p, t)", (std::pow(std::log(1.5 / 2), 2) + std::pow(std::log(2), 2) + std::pow(std::log(3.0 / 5), 2)) / 3);
    expect("poisson_nll(p, t)", (std::exp(0.5) - 0.5 + std::exp(-3) + 3 + std::exp(2) - 8) / 3);
    expect("gaussian_kl(p, t)", (0.25 + 9 + 4 + 2 * std::exp(1) + std::exp(4) - 6 - 3) / 2);
    expect_values("gaussian_nll(x[.., 0..1], x[.., 1..2], x[.., 2..3])", {3, 0.5, 1}, {0.5 * (4 * std::exp(-0.5) + 0.5)});
    expect_values("quantile(x, 0 * x, q = 0.9)", {2}, {0.2});
    expect_slopes("log_cosh(x, 0 * x)", {0, 2000, -2000}, {0, 1.0 / 3, -1.0 / 3});
    expect_slopes("squared_hinge(x, 0 * x + 1)", {1, 2000}, {0, 0});
    expect_near(Expression("mape(x, 0 * x, eps = 0.5)", "1").at({1}).values, {200}, "mape beside 0");
    expect_near(Expression("log_cosh(x, 0 * x)", "1").at({2000}).values, {2000 - std::log(2)}, "log_cosh far away");
}

TEST(LibraryGradients, LossesOfYesOrNo) {
    const Numbers x = {0.5, -3, 1, 0};
    auto bce = [](double z, double t) { return std::log1p(std::exp(z)) - z * t; };
    expect_values(of_halves("binary_cross_entropy(p, t, positive_weight = 3)", "2"), {0.5, -3, 1, 0.25},
                  {(3 * bce(0.5, 1) + 0.75 * bce(-3, 0) + 0.25 * 3 * bce(-3, 1)) / 2});
    auto focal = [](double z, double t, double gamma) { return -std::pow(t ? sigmoid(-z) : sigmoid(z), gamma) * std::log(t ? sigmoid(z) : sigmoid(-z)); };
    expect_values(of_halves("binary_focal_cross_entropy(p, t)", "2"), x, {(focal(0.5, 1, 2) + focal(-3, 0, 2)) / 2});
    expect_values(of_halves("binary_focal_cross_entropy(p, t, gamma = 0.5, alpha = 0.25)", "2"), x,
                  {(0.25 * focal(0.5, 1, 0.5) + 0.75 * focal(-3, 0, 0.5)) / 2});
    expect_values(of_halves("binary_focal_cross_entropy(p, t, gamma = 0)", "2"), {0.5, -3, 1, 0.25}, {(bce(0.5, 1) + bce(-3, 0.25)) / 2});
    // What is right beyond doubt costs nothing, what is wrong beyond doubt its logit; neither slope is infinite.
    const Sloped far = Expression("binary_focal_cross_entropy(x, 0 * x + 1, gamma = 0.5)", "2").at({2000, -2000});
    expect_near(far.values, {1000}, "focal far away");
    expect_near(far.slopes, {0, -0.5}, "focal far away");
    expect_values(of_halves("dice(p, t)", "2"), {0.5, 0.25, 1, 0}, {1 - 2.0 / 2.75});
    expect_values(of_halves("dice(p, t, smooth = 0.5)", "2"), {0.5, 0.25, 1, 0}, {1 - 1.5 / 2.25});
}

TEST(LibraryGradients, LossesOfClasses) {
    const Numbers x = {0.5, -3, 2, 0, 0, 1, 0};  // the label, of four, is the place of the largest of the last four: 2
    const std::string of_label = "(x[.., 0..3], argmax(x[.., 3..6], axis = -1)";
    const double sum = std::exp(0.5) + std::exp(-3) + std::exp(2), p = std::exp(2) / sum;
    expect_values("focal_cross_entropy" + of_label + ")", x, {-std::pow(1 - p, 2) * std::log(p)});
    expect_values("focal_cross_entropy" + of_label + ", gamma = 0.5)", x, {-std::pow(1 - p, 0.5) * std::log(p)});
    expect_values("focal_cross_entropy" + of_label + ", gamma = 0)", x, {-std::log(p)});
    // Two rows of two classes: log (3, 1) of class 0 and log (1, 1) of class 1, which a mask leaves out.
    const std::string of_rows = "(x[.., 0..2, 0..2], argmax(x[.., 2..4, 0..2], axis = -1)", mask = ", mask = x[.., 2..4, 0] > 0.5)";
    const Numbers rows = {std::log(3), 0, 0, 0, 1, 0, 0, 1};
    expect_values("class_dice" + of_rows + ")", rows, {1 - (2.5 / 3.25 + 2 / 2.75) / 2}, "4, 2");
    expect_values("class_dice" + of_rows + ", smooth = 0.5)", rows, {1 - (2 / 2.75 + 1.5 / 2.25) / 2}, "4, 2");
    expect_values("class_dice" + of_rows + mask, rows, {1 - (2.5 / 2.75 + 1 / 1.25) / 2}, "4, 2");
    expect_values("focal_cross_entropy" + of_rows + mask, rows, {-std::pow(0.25, 2) * std::log(0.75)}, "4, 2");
    const Sloped far = Expression("focal_cross_entropy" + of_label + ", gamma = 0.5)", "7").at({-2000, -2000, 2000, 0, 0, 1, 0});
    expect_near(far.values, {0}, "focal far away");
    expect_near(far.slopes, Numbers(7, 0), "focal far away");
    expect_values("categorical_hinge" + of_label + ")", x, {0});
    expect_values("categorical_hinge" + of_label + ")", {2.5, -3, 2, 0, 0, 1, 0}, {1.5});
    expect_values("x[.., 0..1] * class_weight(argmax(x[.., 3..6], axis = -1), [1, 2, 5])", x, {2.5});
    expect_values("kl_divergence(x[.., 0..2], x[.., 2..4])", {0.5, -1, 0.25, 0.75},
                  {0.25 * std::log(0.25 / sigmoid(1.5)) + 0.75 * std::log(0.75 / sigmoid(-1.5))});
    expect_near(Expression("kl_divergence(x[.., 0..2], x[.., 2..4])", "4").at({2000, 0, 1, 0}).values, {0}, "kl_divergence of a label");
}

TEST(LibraryGradients, LossesOfDistances) {
    const Numbers x = {0, 0, 3, 4, 1, 0};
    expect_values("cosine_distance(x[.., 0..2], x[.., 2..4])", {3, 4, 1, 0}, {0.4});
    expect_values("triplet(x[.., 0..2], x[.., 2..4], x[.., 4..6])", x, {5 - 1 + 1});
    expect_values("triplet(x[.., 0..2], x[.., 4..6], x[.., 2..4])", x, {0});
    expect_slopes("triplet(x[.., 0..2], x[.., 2..4], x[.., 4..6])", {1, 1, 1, 1, 1, 1}, Numbers(6, 0));  // all in one place
    expect_values("contrastive(x[.., 0..2], x[.., 2..4], x[.., 4])", {0, 0, 3, 4, 1, 0}, {12.5});
    expect_values("contrastive(x[.., 0..2], x[.., 2..4], x[.., 5], margin = 6)", {0, 0, 3, 4, 1, 0}, {0.5});
    expect_values("margin_ranking(x[.., 0..1], x[.., 1..2], x[.., 2..3], margin = 0.5)", {1, 3, 1}, {2.5});
    expect_values("margin_ranking(x[.., 0..1], x[.., 1..2], x[.., 2..3], margin = 0.5)", {1, 3, -1}, {0});
}

}  // namespace
}  // namespace kiln
