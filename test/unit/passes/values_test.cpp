// Every pass keeps every value: on random graphs to the bit, and on the examples of every op.
#include "compiler/ops/interpret.h"
#include "compiler/ir/text.h"
#include "compiler/passes/pipeline.h"
#include "test/property/op_examples.h"
#include "test/property/random_graph.h"

#include <gtest/gtest.h>

namespace kiln {
namespace {

/// `tolerance` is relative to a value and what it is a difference of, `terms`; 0 asks for the same bits.
void expect_same(const std::vector<Tensor> &expected, const std::vector<Tensor> &actual, double tolerance = 0, double terms = 0) {
    ASSERT_EQ(expected.size(), actual.size());
    for (size_t i = 0; i < expected.size(); ++i) {
        ASSERT_EQ(expected[i].type, actual[i].type);
        for (size_t k = 0; k < expected[i].values.size(); ++k) {
            if (std::isnan(expected[i].values[k]) && std::isnan(actual[i].values[k])) continue;
            if (expected[i].values[k] == actual[i].values[k]) continue;
            ASSERT_NEAR(expected[i].values[k], actual[i].values[k], tolerance * (terms + std::abs(expected[i].values[k]))) << "result " << i << " element " << k;
        }
    }
}

Graph run(const Pass *pass, const Graph &graph) {
    const Graph result = pass ? pass->run(graph) : optimize(graph, 3);
    Diagnostics diagnostics;
    EXPECT_TRUE(verify(result, diagnostics)) << render(diagnostics, false) << print(graph) << print(result);
    return result;
}

std::vector<const Pass *> passes_and_pipeline() {
    std::vector<const Pass *> passes{nullptr};
    for (const Pass &pass : all_passes()) passes.push_back(&pass);
    return passes;
}

TEST(Values, RandomGraphs) {
    for (uint32_t seed = 1000; seed < 1300; ++seed) {
        const Graph graph = testing::random_module(seed).graphs.at("train");
        const std::vector<Tensor> expected = interpret(graph, testing::input_value);
        for (const Pass *pass : passes_and_pipeline()) {
            SCOPED_TRACE(std::to_string(seed) + " " + (pass ? pass->name : "pipeline"));
            expect_same(expected, interpret(run(pass, graph), testing::input_value));
            if (::testing::Test::HasFailure()) return;
        }
    }
}

TEST(Values, ExamplesOfEveryOp) {
    for (DType type : {DType::f32, DType::f64})
        for (const OpExample &example : op_examples(type)) {
            const std::vector<Tensor> inputs = draw_inputs(example, 1);
            // Arguments are known by their place, which passes change; so they get names.
            Graph graph = example.graph;
            for (size_t i = 0; i < inputs.size(); ++i) std::get<InputAttrs>(graph.nodes[i].attrs).name = std::to_string(i);
            auto read = [&](const Node &node) { return inputs[std::stoul(attrs<InputAttrs>(node).name)]; };
            const std::vector<Tensor> expected = interpret(graph, read);
            for (const Pass *pass : passes_and_pipeline()) {
                SCOPED_TRACE(example.name + " " + (pass ? pass->name : "pipeline"));
                // Powers become multiplications, which round at each step; a contraction rounds its sum only, not each product.
                const bool rounds = example.op == Op::power || example.op == Op::comprehension;
                const double tolerance = !rounds ? 0 : type == DType::f32 ? 1e-6 : 1e-14;
                expect_same(expected, interpret(run(pass, graph), read), tolerance, example.op == Op::comprehension ? 5 : 0);
                if (::testing::Test::HasFailure()) return;
            }
        }
}

}  // namespace
}  // namespace kiln
