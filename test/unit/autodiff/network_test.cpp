// The gradient of a whole small network: what single ops do not show, values with several users and gradients through long
// chains, for every parameter at once.
#include "compiler/autodiff/differentiate.h"

#include "compiler/ops/builder.h"
#include "compiler/ops/interpret.h"
#include "compiler/ops/philox.h"

#include <gtest/gtest.h>

#include <cmath>

namespace kiln {
namespace {

/// Convolution, relu, pooling, a residual sum, a dense layer, and the cross entropy of its logits.
Graph network() {
    Graph graph;
    Builder b(graph);
    const auto parameter = [&](const char *name, Shape shape) { return b.input(InputKind::storage, name, {DType::f64, std::move(shape)}); };
    const NodeId image = b.input(InputKind::data, "image", {DType::f64, {3, 6, 5, 2}});
    const NodeId label = b.input(InputKind::data, "label", {DType::i32, {3}});
    const NodeId filter = parameter("filter", {3, 3, 2, 2}), bias = parameter("bias", {2}), weight = parameter("weight", {12, 4});

    const NodeId sum = b.add(b.append(Op::conv2d, {image, filter}, ConvAttrs{{1, 1}, {1, 1, 1, 1}, {1, 1}}), bias);
    const NodeId residual = b.add(b.append(Op::tanh, {sum}), b.multiply(sum, image));
    const NodeId pooled = b.append(Op::max_pool2d, {residual}, WindowAttrs{{2, 2}, {2, 2}, {0, 0, 0, 0}});
    const NodeId logits = b.matmul(b.reshape(pooled, {3, 12}), weight);
    const NodeId shifted = b.subtract(logits, b.append(Op::stop_gradient, {b.reduce(Op::reduce_max, logits, {1}, true)}));
    const NodeId log_sum = b.append(Op::log, {b.reduce(Op::reduce_sum, b.append(Op::exp, {shifted}), {1})});
    const NodeId place = b.append(Op::equal, {b.iota(1, {DType::i32, {3, 4}}), b.append(Op::broadcast, {label}, BroadcastAttrs{{3, 4}, {0}})});
    const NodeId at_label = b.reduce(Op::reduce_sum, b.multiply(shifted, b.cast(place, DType::f64)), {1});
    const NodeId each = b.subtract(log_sum, at_label);
    const NodeId loss = b.divide(b.reduce(Op::reduce_sum, each, {0}), b.constant(3, {DType::f64, {}}));
    graph.results.push_back({ResultKind::loss, "loss", loss});
    return graph;
}

double value_of(const std::string &name, size_t i) {
    if (name == "label") return double(i % 4);
    return uniform_f64(uint64_t(name[0]), 1, 2, uint32_t(i)) - 0.5;
}

TEST(Network, EveryParameterAgreesWithFiniteDifferences) {
    const std::vector<std::string> parameters{"filter", "bias", "weight"};
    const Graph graph = differentiate(network(), parameters);
    std::string moved;
    size_t position = 0;
    double step = 0;
    const auto read = [&](const Node &node) {
        const std::string &name = attrs<InputAttrs>(node).name;
        Tensor tensor{node.type, std::vector<double>(size_t(node.type.elements()))};
        for (size_t i = 0; i < tensor.values.size(); ++i) tensor.values[i] = value_of(name, i) + (name == moved && i == position ? step : 0);
        return tensor;
    };
    const std::vector<Tensor> exact = interpret(graph, read);
    ASSERT_EQ(exact.size(), 4u);
    for (size_t p = 0; p < parameters.size(); ++p) {
        moved = parameters[p];
        for (position = 0; position < exact[p + 1].values.size(); ++position) {
            step = 1e-6;
            const double above = interpret(graph, read)[0].values[0];
            step = -1e-6;
            const double below = interpret(graph, read)[0].values[0];
            const double numeric = (above - below) / 2e-6;
            EXPECT_NEAR(exact[p + 1].values[position], numeric, 1e-6 + 1e-4 * std::abs(numeric)) << moved << " " << position;
        }
    }
}

TEST(Network, TheGraphIsTheSameEachTime) {
    const Graph first = differentiate(network(), {"filter", "bias", "weight"}), second = differentiate(network(), {"filter", "bias", "weight"});
    ASSERT_EQ(first.size(), second.size());
    for (int i = 0; i < first.size(); ++i) {
        EXPECT_EQ(first.nodes[size_t(i)].op, second.nodes[size_t(i)].op);
        EXPECT_EQ(first.nodes[size_t(i)].operands, second.nodes[size_t(i)].operands);
    }
}

}  // namespace
}  // namespace kiln
