// Every example of every op, compiled, against the interpreter.
#include "compiler/ops/builder.h"
#include "compiler/ops/interpret.h"
#include "test/property/op_examples.h"
#include "test/unit/kernels/run_kernels.h"

#include <gtest/gtest.h>

#include <fmt/format.h>

#include <cmath>

namespace kiln {
namespace {

void check_examples(DType float_type, const std::string &target) {
    const std::vector<OpExample> examples = op_examples(float_type);
    std::vector<Kernel> kernels;
    for (size_t i = 0; i < examples.size(); i++) kernels.push_back(kernel_of(examples[i].graph, fmt::format("example_{}", i)));
    KernelOptions options;
    options.target = target;
    options.jobs = 2;
    const KernelLibrary library(kernels, options);
    for (size_t i = 0; i < examples.size(); i++) {
        const std::vector<Tensor> inputs = draw_inputs(examples[i], 7);
        size_t next = 0;
        const std::vector<Tensor> expected = interpret(examples[i].graph, [&](const Node &) { return inputs[next++]; });
        std::vector<Tensor> actual;
        EXPECT_NO_THROW(actual = library.run(i, inputs)) << examples[i].name << " on " << target;
        for (size_t k = 0; k < actual.size(); k++)
            EXPECT_EQ(difference(actual[k], expected[k], reduction_length(examples[i].graph)), "") << examples[i].name << " on " << target;
    }
}

TEST(OpExamples, ErrorFunctionOfLargeNumbers) {
    Graph g;
    Builder b(g);
    const std::vector<double> values{-1e20, -10, -4, -3.9, 0, 0.5, 3.9, 4, 10, 1e20};
    const Type type{DType::f32, {int64_t(values.size())}};
    g.results.push_back({ResultKind::value, "", b.append(Op::erf, {b.input(InputKind::argument, "x", type)})});
    KernelOptions options;
    options.target = "native";
    const Tensor result = KernelLibrary({kernel_of(g, "erf")}, options).run(0, {Tensor{type, values}})[0];
    for (size_t i = 0; i < values.size(); i++) EXPECT_NEAR(result.values[i], std::erf(values[i]), 3e-7) << values[i];
}

TEST(OpExamples, f32) { check_examples(DType::f32, "native"); }
TEST(OpExamples, f64) { check_examples(DType::f64, "native"); }

}  // namespace
}  // namespace kiln
