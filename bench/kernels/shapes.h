// The shapes that kernels are judged by: convolutions, products, pooling, elementwise work and updates, with their gradients.
// Measured by bench_kernels; a test looks for register spills in the assembly of each.
#pragma once

#include "compiler/plan/plan.h"

#include <string>
#include <vector>

namespace kiln {

struct ShapeKernel {
    std::string shape;  ///< "convolution 32x32, 64 to 64"
    std::string part;   ///< "forward", "input gradient", "weight gradient"; "" if there is only one
    Kernel kernel;
};

/// Every kernel of every shape, those of one shape together.
std::vector<ShapeKernel> shape_kernels();

}  // namespace kiln
