#include "compiler/autodiff/differentiate.h"

#include "compiler/ops/builder.h"
#include "compiler/ops/interpret.h"
#include "compiler/support/check.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace kiln {
namespace {

using Values = std::vector<double>;

struct DifferentiateTest : testing::Test {
    Graph graph;
    Builder b{graph};

    NodeId input(Shape shape, std::string name = "x") { return b.input(InputKind::storage, std::move(name), {DType::f64, std::move(shape)}); }
    NodeId sum(NodeId x) {
        Ints axes(b.type(x).shape.size());
        for (size_t i = 0; i < axes.size(); ++i) axes[i] = int64_t(i);
        return b.reduce(Op::reduce_sum, x, axes);
    }
    /// Gradient of the sum of `y` with respect to `x`, for these values of the inputs in order.
    Values gradient(NodeId y, NodeId x, const std::vector<Values> &values) {
        const NodeId dx = append_gradients(graph, sum(y), {x})[0];
        graph.results = {{ResultKind::value, "", dx}};
        size_t next = 0;
        return interpret(graph, [&](const Node &node) { return Tensor{node.type, values[next++]}; })[0].values;
    }
    int count(Op op) const {
        return int(std::count_if(graph.nodes.begin(), graph.nodes.end(), [&](const Node &node) { return node.op == op; }));
    }
};

TEST_F(DifferentiateTest, ContributionsAreSummed) {
    const NodeId x = input({2});
    EXPECT_EQ(gradient(b.add(b.multiply(x, x), x), x, {{3, 5}}), (Values{7, 11}));
}

TEST_F(DifferentiateTest, AnIndependentNodeHasAZeroGradient) {
    const NodeId x = input({2}), y = input({3}, "y");
    const NodeId dy = append_gradients(graph, sum(x), {y})[0];
    EXPECT_EQ(graph[dy].op, Op::constant);
    EXPECT_EQ(graph[dy].type, graph[y].type);
    EXPECT_EQ(attrs<ConstantAttrs>(graph[dy]).values, Values{0});
}

TEST_F(DifferentiateTest, NoGradientFlowsThroughIntegralOps) {
    const NodeId x = input({2});
    EXPECT_EQ(gradient(b.multiply(b.append(Op::stop_gradient, {x}), x), x, {{3, 5}}), (Values{3, 5}));
}

TEST_F(DifferentiateTest, TheGradientOfAnInnerNodeIncludesWhatLiesBehindIt) {
    const NodeId x = input({1});
    const NodeId y = b.multiply(x, x), z = b.multiply(y, y);
    const std::vector<NodeId> gradients = append_gradients(graph, sum(z), {y, x});
    graph.results = {{ResultKind::value, "", gradients[0]}, {ResultKind::value, "", gradients[1]}};
    const auto results = interpret(graph, [&](const Node &node) { return Tensor{node.type, {3}}; });
    EXPECT_EQ(results[0].values, (Values{18}));
    EXPECT_EQ(results[1].values, (Values{108}));
}

TEST_F(DifferentiateTest, NothingIsAppendedOffThePath) {
    // The data operand of a product needs no gradient: one matmul for the weight, none for the data.
    const NodeId data = input({4, 3}, "data"), weight = input({3, 2}, "weight");
    const NodeId loss = sum(b.matmul(b.append(Op::exp, {data}), weight));
    const int before = count(Op::matmul);
    append_gradients(graph, loss, {weight});
    EXPECT_EQ(count(Op::matmul), before + 1);
    // Every node is used or returned.
    const auto users = users_of(graph);
    for (int i = loss.index + 1; i + 1 < graph.size(); ++i) EXPECT_FALSE(users[size_t(i)].empty()) << i;
}

TEST_F(DifferentiateTest, GradientsCarryThePlaceOfTheirNode) {
    const NodeId x = input({2});
    b.set_loc({"a.model", 7, 3});
    b.set_scope("Model/layer");
    const NodeId y = b.append(Op::tanh, {x});
    b.set_loc({"a.model", 9, 1});
    b.set_scope("");
    const NodeId loss = sum(y);
    const NodeId dx = append_gradients(graph, loss, {x})[0];
    EXPECT_EQ(graph[dx].loc.line, 7);
    EXPECT_EQ(graph[dx].scope, "Model/layer");
}

TEST_F(DifferentiateTest, SecondDerivatives) {
    const NodeId x = input({2});
    const NodeId dx = append_gradients(graph, sum(b.multiply(b.multiply(x, x), x)), {x})[0];
    EXPECT_EQ(gradient(dx, x, {{3, 5}}), (Values{18, 30}));
}

TEST_F(DifferentiateTest, TiesGoToTheFirst) {
    const NodeId x = input({3}), y = input({3}, "y");
    const NodeId loss = sum(b.append(Op::maximum, {x, y}));
    const std::vector<NodeId> gradients = append_gradients(graph, loss, {x, y});
    graph.results = {{ResultKind::value, "", gradients[0]}, {ResultKind::value, "", gradients[1]}};
    const std::vector<Values> values{{1, 2, 3}, {1, 3, 2}};
    size_t next = 0;
    const auto results = interpret(graph, [&](const Node &node) { return Tensor{node.type, values[next++]}; });
    EXPECT_EQ(results[0].values, (Values{1, 0, 1}));
    EXPECT_EQ(results[1].values, (Values{0, 1, 0}));
}

TEST_F(DifferentiateTest, AMaximumOverAxesGoesToTheFirstInRowMajorOrder) {
    const NodeId x = input({2, 2, 2});
    // Over axes 0 and 2; the maximum 9 of column 0 stands at (0, 0, 1) and (1, 0, 0).
    EXPECT_EQ(gradient(b.reduce(Op::reduce_max, x, {0, 2}), x, {{1, 9, 5, 4, 9, 2, 5, 5}}), (Values{0, 1, 1, 0, 0, 0, 0, 0}));
}

TEST_F(DifferentiateTest, AMinimumOverAxesGoesToTheFirstInRowMajorOrder) {
    const NodeId x = input({2, 2});
    EXPECT_EQ(gradient(b.reduce(Op::reduce_min, x, {0, 1}), x, {{4, 1, 1, 2}}), (Values{0, 1, 0, 0}));
}

TEST_F(DifferentiateTest, AProductWithOneOrTwoZeros) {
    const NodeId x = input({3, 3});
    EXPECT_EQ(gradient(b.reduce(Op::reduce_product, x, {1}), x, {{2, 3, 4, 2, 0, 4, 0, 0, 4}}), (Values{12, 8, 6, 0, 8, 0, 0, 0, 0}));
}

TEST_F(DifferentiateTest, PowersOfZero) {
    const NodeId x = input({4}), y = input({4}, "y");
    const NodeId loss = sum(b.append(Op::power, {x, y}));
    const std::vector<NodeId> gradients = append_gradients(graph, loss, {x, y});
    graph.results = {{ResultKind::value, "", gradients[0]}, {ResultKind::value, "", gradients[1]}};
    const std::vector<Values> values{{0, 0, 0, -2}, {0, 1, 2, 0}};
    size_t next = 0;
    const auto results = interpret(graph, [&](const Node &node) { return Tensor{node.type, values[next++]}; });
    EXPECT_EQ(results[0].values, (Values{0, 1, 0, 0}));
    for (size_t i = 0; i < 3; ++i) EXPECT_EQ(results[1].values[i], 0) << i;
}

TEST_F(DifferentiateTest, CastsBetweenFloatsPassTheGradient) {
    const NodeId x = b.input(InputKind::storage, "x", {DType::f32, {2}});
    const NodeId wide = b.cast(x, DType::f64);
    EXPECT_EQ(gradient(b.multiply(wide, wide), x, {{3, 5}}), (Values{6, 10}));
}

TEST_F(DifferentiateTest, StoresOneGradientForEachParameterRead) {
    const NodeId w = input({2}, "M/w"), again = input({2}, "M/w"), v = input({2}, "M/v");
    input({2}, "M/statistic");
    const NodeId loss = sum(b.add(b.multiply(w, again), v));
    graph.results.push_back({ResultKind::loss, "loss", loss});
    const Graph result = differentiate(graph, {"M/w", "M/v", "M/unread"});
    ASSERT_EQ(result.results.size(), 3u);
    EXPECT_EQ(result.results[0].kind, ResultKind::loss);
    EXPECT_EQ(result.results[1].name, "gradient:M/w");
    EXPECT_EQ(result.results[2].name, "gradient:M/v");
    const auto values = interpret(result, [&](const Node &node) { return Tensor{node.type, {3, 5}}; });
    EXPECT_EQ(values[1].values, (Values{6, 10})) << "w is read twice";
    EXPECT_EQ(values[2].values, (Values{1, 1}));
}

TEST_F(DifferentiateTest, WhatIsMadePassesTheVerifier) {
    const NodeId x = input({3, 4}), y = input({4}, "y");
    const NodeId z = b.divide(b.append(Op::power, {b.append(Op::absolute, {x}), b.broadcast_to(y, {3, 4})}), y);
    graph.results.push_back({ResultKind::loss, "loss", sum(b.reduce(Op::reduce_product, z, {0}))});
    Diagnostics diagnostics;
    EXPECT_TRUE(verify(differentiate(graph, {"x", "y"}), diagnostics)) << render(diagnostics, false);
}

TEST_F(DifferentiateTest, AGradientOfATensorIsABugOfTheCaller) {
    const NodeId x = input({2});
    EXPECT_THROW(append_gradients(graph, x, {x}), InternalError);
}

}  // namespace
}  // namespace kiln
