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

/// The result of an example made a rank-0 loss: a weighted sum, so that every element has a gradient of its own.
NodeId append_loss(Graph &graph) {
    Builder b(graph);
    const NodeId result = graph.results[0].value;
    const Type type = b.type(result);
    std::vector<double> weights(size_t(type.elements()));
    for (size_t i = 0; i < weights.size(); ++i) weights[i] = 0.5 + uniform_f64(99, 0, 0, uint32_t(i));
    Ints axes(type.shape.size());
    for (size_t i = 0; i < axes.size(); ++i) axes[i] = int64_t(i);
    return b.reduce(Op::reduce_sum, b.multiply(result, b.constant(weights, type)), axes);
}

/// Compares; returns the number of elements compared.
size_t check(const OpExample &example) {
    Graph forward = example.graph;
    const NodeId loss = append_loss(forward);
    forward.results = {{ResultKind::value, "", loss}};

    std::vector<NodeId> wrt;
    std::vector<size_t> positions;
    for (size_t i = 0; i < example.inputs.size(); ++i)
        if (example.inputs[i].type.dtype == DType::f64) {
            wrt.push_back(NodeId{int32_t(i)});
            positions.push_back(i);
        }
    Graph backward = forward;
    backward.results.clear();
    for (NodeId gradient : append_gradients(backward, loss, wrt)) backward.results.push_back({ResultKind::value, "", gradient});

    std::vector<Tensor> inputs = draw_inputs(example, 11);
    const std::vector<Tensor> gradients = run(backward, inputs);
    size_t compared = 0;
    for (size_t k = 0; k < positions.size(); ++k) {
        std::vector<double> &values = inputs[positions[k]].values;
        for (size_t i = 0; i < values.size(); i += 1 + values.size() / kElements) {
            const double value = values[i];
            values[i] = value + kStep;
            const double above = run(forward, inputs)[0].values[0];
            values[i] = value - kStep;
            const double below = run(forward, inputs)[0].values[0];
            values[i] = value;
            const double numeric = (above - below) / (2 * kStep);
            EXPECT_LE(std::abs(gradients[k].values[i] - numeric), kAbsolute + kRelative * std::abs(numeric))
                << "operand " << positions[k] << ", element " << i << ": " << gradients[k].values[i] << " and by differences " << numeric;
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
        compared += check(example);
        if (HasFailure()) return;
    }
    const bool has_operands = info(GetParam()).arity != 0;
    EXPECT_TRUE(compared > 0 || !has_operands) << "no example has a gradient to check";
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
