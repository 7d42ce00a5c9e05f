// The reference interpreter: slow, readable, the oracle for compiled kernels.
#pragma once

#include "compiler/ir/module.h"
#include "compiler/ops/tensor.h"
#include "compiler/support/diagnostics.h"

#include <functional>
#include <vector>

namespace kiln {

/// Runs a graph; `read_input` supplies the value of each `input` node. One tensor per result, in order.
std::vector<Tensor> interpret(const Graph &graph, const std::function<Tensor(const Node &)> &read_input);

/// Full verifier: verify_structure plus each op's shape rule.
bool verify(const Graph &graph, Diagnostics &diagnostics);
/// Each graph, and if they are right the whole.
bool verify(const Module &module, Diagnostics &diagnostics);

}  // namespace kiln
