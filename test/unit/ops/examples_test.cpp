// Every op of the table has examples, and they all run.
#include "compiler/ir/text.h"
#include "compiler/ops/interpret.h"
#include "test/property/op_examples.h"

#include <gtest/gtest.h>

#include <set>

namespace kiln {
namespace {

std::vector<Tensor> run(const OpExample &example, const std::vector<Tensor> &inputs) {
    size_t next = 0;
    return interpret(example.graph, [&](const Node &) { return inputs[next++]; });
}

TEST(OpExamples, ThereAreSomeForEveryOpOfTheTable) {
    std::set<Op> covered;
    for (const OpExample &example : op_examples(DType::f64)) covered.insert(example.op);
#define OP(name, arity, attributes, traits) EXPECT_TRUE(covered.count(Op::name)) << "no example of " #name;
#include "compiler/ir/ops.def"
#undef OP
}

TEST(OpExamples, EachHoldsItsOpAndHasItsOwnName) {
    std::set<std::string> names;
    for (const OpExample &example : op_examples(DType::f32)) {
        EXPECT_TRUE(names.insert(example.name).second) << example.name;
        bool found = false;
        for (const Node &node : example.graph.nodes) found |= node.op == example.op;
        EXPECT_TRUE(found) << example.name;
    }
}

TEST(OpExamples, RunInBothPrecisionsAndAgree) {
    const std::vector<OpExample> doubles = op_examples(DType::f64), floats = op_examples(DType::f32);
    ASSERT_EQ(doubles.size(), floats.size());
    for (size_t i = 0; i < doubles.size(); ++i) {
        SCOPED_TRACE(doubles[i].name);
        const std::vector<Tensor> inputs = draw_inputs(floats[i], 7);
        std::vector<Tensor> wide = inputs;
        for (size_t k = 0; k < wide.size(); ++k) wide[k].type = doubles[i].inputs[k].type;
        const Tensor narrow = run(floats[i], inputs)[0], exact = run(doubles[i], wide)[0];
        ASSERT_EQ(narrow.type.shape, exact.type.shape);
        for (size_t k = 0; k < narrow.values.size(); ++k) {
            if (narrow.type.dtype == DType::f32) {
                ASSERT_EQ(narrow.values[k], double(float(narrow.values[k])));
            }
            ASSERT_NEAR(narrow.values[k], exact.values[k], 1e-5 * (1 + std::abs(exact.values[k]))) << k;
        }
    }
}

TEST(OpExamples, PassTheVerifier) {
    for (DType dtype : {DType::f32, DType::f64})
        for (const OpExample &example : op_examples(dtype)) {
            Diagnostics diagnostics;
            EXPECT_TRUE(verify(example.graph, diagnostics)) << example.name << "\n" << render(diagnostics, false);
        }
}

TEST(OpExamples, SurviveTheTextForm) {
    for (const OpExample &example : op_examples(DType::f32)) {
        SourceMap sources;
        Diagnostics diagnostics;
        const std::string text = print(example.graph);
        const Module module = parse_module(sources.add("example", text), diagnostics);
        ASSERT_EQ(module.graphs.size(), 1u) << example.name << "\n" << render(diagnostics, false);
        EXPECT_EQ(print(module.graphs.begin()->second), text);
        const std::vector<Tensor> inputs = draw_inputs(example, 3);
        OpExample again = example;
        again.graph = module.graphs.begin()->second;
        EXPECT_EQ(run(again, inputs)[0].values, run(example, inputs)[0].values) << example.name;
    }
}

TEST(OpExamples, InputsAreAPureFunctionOfTheSeed) {
    for (const OpExample &example : op_examples(DType::f64)) {
        const std::vector<Tensor> first = draw_inputs(example, 1), again = draw_inputs(example, 1);
        for (size_t i = 0; i < first.size(); ++i) EXPECT_EQ(first[i].values, again[i].values) << example.name;
    }
}

}  // namespace
}  // namespace kiln
