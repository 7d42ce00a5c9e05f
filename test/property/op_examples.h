// Example graphs for every op of the table, over the shapes that go wrong: extents of 1, odd sizes, a batch of 1, strides larger
// than the kernel, padding, dilation. From them come the finite-difference checks of the gradients and the comparison of
// compiled kernels with the interpreter. Free of any test framework.
#pragma once

#include "compiler/ir/graph.h"
#include "compiler/ops/tensor.h"

#include <cstdint>
#include <string>
#include <vector>

namespace kiln {

/// How the values of one `argument` input are drawn. Choices keep clear of ties and kinks, where a finite difference and the
/// one-sided choice of a gradient rule disagree.
struct ExampleInput {
    enum class Draw {
        uniform,   ///< evenly in [low, high], with an absolute value of `margin` or more
        distinct,  ///< evenly spaced over [low, high] in random order: no two are equal
        whole,     ///< whole numbers in [low, high], plus `offset`
    };
    Type type;
    Draw draw = Draw::uniform;
    double low = -2, high = 2;
    double margin = 0, offset = 0;
};

struct OpExample {
    std::string name;                  ///< "conv2d: stride 3, kernel 2"
    Op op;                             ///< the op it is an example of
    Graph graph;                       ///< `argument` inputs, in order the graph's first nodes, and one `value` result
    std::vector<ExampleInput> inputs;  ///< one for each argument
};

/// Every example with this element type where floating point is meant.
std::vector<OpExample> op_examples(DType float_type);

/// Values for the inputs of an example; a pure function of the example and the seed.
std::vector<Tensor> draw_inputs(const OpExample &example, uint64_t seed);

}  // namespace kiln
