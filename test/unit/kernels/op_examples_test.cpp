// Every example of every op, compiled, against the interpreter.
#include "compiler/ops/interpret.h"
#include "test/property/op_examples.h"
#include "test/unit/kernels/run_kernels.h"

#include <gtest/gtest.h>

#include <fmt/format.h>

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
        const std::vector<Tensor> actual = library.run(i, inputs);
        for (size_t k = 0; k < expected.size(); k++)
            EXPECT_EQ(difference(actual[k], expected[k], reduction_length(examples[i].graph)), "") << examples[i].name << " on " << target;
    }
}

TEST(OpExamples, f32) { check_examples(DType::f32, "native"); }
TEST(OpExamples, f64) { check_examples(DType::f64, "native"); }

}  // namespace
}  // namespace kiln
