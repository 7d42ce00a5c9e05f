// Rank-0 arithmetic as LLVM instructions: rates, bias corrections, hypers on their way into kernels.
//
// Same results as the interpreter: floating point without contraction or reassociation, libm for transcendental
// functions, floor division and modulo for integers, saturating conversions. Integer division by zero gives 0, as in Halide.
#pragma once

#include "compiler/codegen/module_builder.h"

#include <functional>
#include <vector>

namespace kiln {

/// Emits every node of a graph whose nodes are all rank 0; the values by node index, with the register type of each
/// node's dtype. `read` supplies inputs.
std::vector<llvm::Value *> emit_scalars(ModuleBuilder &module, const Graph &graph, const std::function<llvm::Value *(const Node &)> &read);

}  // namespace kiln
