// The gradient of every differentiable op against central differences in f64: step 1e-6, relative error 1e-3, absolute 1e-5. The
// cases come from the examples of the op table, so a new op is checked by having examples.
#include "compiler/autodiff/differentiate.h"

#include "compiler/ops/builder.h"
#include "compiler/ops/interpret.h"
#include "compiler/ops/philox.h"
#include "test/property/op_examples.h"

#include <gtest/gtest.h>

#include <cmath>

namespace kiln {
namespace {

constexpr double kStep = 1e-6, kRelative = 1e-3, kAbsolute = 1e-5;
/// Of a large input every k-th element is moved, so that about this many are.
constexpr size_t kElements = 150;

std::vector<Tensor> run(const Graph &graph, const std::vector<Tensor> &inputs) {
    size_t next = 0;
    return interpret(graph, [&](const Node &) { return inputs[next++]; });
}

/// A rank-0 weighted sum of `value`, so that every element has a gradient of its own.
NodeId append_loss(Graph &graph, NodeId value, uint64_t seed) {
    Builder b(graph);
    const Type type = b.type(value);
    std::vector<double> weights(size_t(type.elements()));
    for (size_t i = 0; i < weights.size(); ++i) weights[i] = 0.5 + uniform_f64(seed, 0, 0, uint32_t(i));
    Ints axes(type.shape.size());
    for (size_t i = 0; i < axes.size(); ++i) axes[i] = int64_t(i);
    return b.reduce(Op::reduce_sum, b.multiply(value, b.constant(weights, type)), axes);
}

/// The arguments a difference can be taken of.
std::vector<NodeId> real_arguments(const OpExample &example) {
    std::vector<NodeId> arguments;
    for (size_t i = 0; i < example.inputs.size(); ++i)
        if (example.inputs[i].type.dtype == DType::f64) arguments.push_back(NodeId{int32_t(i)});
    return arguments;
}

/// Compares the gradient of the graph's result `loss`; returns the number of elements compared.
size_t check(const OpExample &example, const Graph &graph, NodeId loss) {
    Graph forward = graph;
    forward.results = {{ResultKind::value, "", loss}};
    const std::vector<NodeId> wrt = real_arguments(example);
    Graph backward = graph;
    backward.results.clear();
    for (NodeId gradient : append_gradients(backward, loss, wrt)) backward.results.push_back({ResultKind::value, "", gradient});

    std::vector<Tensor> inputs = draw_inputs(example, 11);
    const std::vector<Tensor> gradients = run(backward, inputs);
    size_t compared = 0;
    for (size_t k = 0; k < wrt.size(); ++k) {
        std::vector<double> &values = inputs[size_t(wrt[k].index)].values;
        for (size_t i = 0; i < values.size(); i += 1 + values.size() / kElements) {
            const double value = values[i];
            values[i] = value + kStep;
            const double above = run(forward, inputs)[0].values[0];
            values[i] = value - kStep;
            const double below = run(forward, inputs)[0].values[0];
            values[i] = value;
            const double numeric = (above - below) / (2 * kStep);
            EXPECT_LE(std::abs(gradients[k].values[i] - numeric), kAbsolute + kRelative * std::abs(numeric))
                << "operand " << wrt[k].index << ", element " << i << ": " << gradients[k].values[i] << " and by differences " << numeric;
            ++compared;
        }
    }
    return compared;
}

class GradientCheck : public testing::TestWithParam<Op> {};

TEST_P(GradientCheck, AgreesWithFiniteDifferences) {
    size_t compared = 0;
    for (const OpExample &example : op_examples(DType::f64)) {
        if (example.op != GetParam() || example.graph[example.graph.results[0].value].type.dtype != DType::f64) continue;
        SCOPED_TRACE(example.name);
        Graph graph = example.graph;
        const NodeId loss = append_loss(graph, graph.results[0].value, 99);
        compared += check(example, graph, loss);
        if (HasFailure()) return;
    }
    const bool has_operands = info(GetParam()).arity != 0;
    EXPECT_TRUE(compared > 0 || !has_operands) << "no example has a gradient to check";
}

// The ops that gradients are made of have gradients themselves: the table is closed. Left out are products with zeros, whose
// rule chooses its case by comparison and has no second derivative there.
TEST_P(GradientCheck, GradientsHaveGradients) {
    for (const OpExample &example : op_examples(DType::f64)) {
        if (example.op != GetParam() || example.graph[example.graph.results[0].value].type.dtype != DType::f64) continue;
        if (example.name.find("with zeros") != std::string::npos) continue;
        SCOPED_TRACE(example.name);
        Graph graph = example.graph;
        const NodeId loss = append_loss(graph, graph.results[0].value, 99);
        const std::vector<NodeId> gradients = append_gradients(graph, loss, real_arguments(example));
        Builder b(graph);
        NodeId total = b.constant(0, {DType::f64, {}});
        for (size_t k = 0; k < gradients.size(); ++k) total = b.add(total, append_loss(graph, gradients[k], 7 + k));
        check(example, graph, total);
        if (HasFailure()) return;
    }
}

std::vector<Op> differentiable_ops() {
    std::vector<Op> ops;
    for (int i = 0; i < kOpCount; ++i)
        if (!has_trait(Op(i), kIntegral)) ops.push_back(Op(i));
    return ops;
}

INSTANTIATE_TEST_SUITE_P(EveryOp, GradientCheck, testing::ValuesIn(differentiable_ops()),
                         [](const testing::TestParamInfo<Op> &test) { return std::string(kiln::info(test.param).name); });

}  // namespace
}  // namespace kiln
