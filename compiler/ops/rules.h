// The rules of an op: shape, gradient and reference evaluation, declared for every line of ops.def and defined together in
// ops/<family>.cpp. A missing definition does not link.
#pragma once

#include "compiler/ir/graph.h"
#include "compiler/ops/builder.h"
#include "compiler/ops/tensor.h"

#include <string>
#include <variant>
#include <vector>

namespace kiln {

struct ShapeError { std::string message; };
/// The result type for operands of these types, or why there is none ("inner extents differ: 784 and 512").
using ShapeResult = std::variant<Type, ShapeError>;

#define OP(name, arity, attributes, traits)                                                                  \
    ShapeResult shape_##name(const std::vector<Type> &operands, const attributes &attrs, const Type &declared); \
    std::vector<NodeId> vjp_##name(Builder &b, const Graph &g, NodeId node, NodeId dy);                       \
    Tensor evaluate_##name(const Node &node, const std::vector<const Tensor *> &operands);
#include "compiler/ir/ops.def"
#undef OP

/// Dispatch through the table, after checking the operand count and the kind of attributes, so any input is safe: no rule
/// crashes on attributes that were read from text. `declared`: the type written on ops whose type is not determined by operands (input,
/// constant, iota); other rules ignore it.
ShapeResult infer_type(Op op, const std::vector<Type> &operands, const Attrs &attrs, const Type &declared);
/// Gradients of the node's operands given the gradient `dy` of its result, as new nodes; an invalid id: no gradient flows.
std::vector<NodeId> vjp(Builder &b, const Graph &g, NodeId node, NodeId dy);
Tensor evaluate(const Node &node, const std::vector<const Tensor *> &operands);

}  // namespace kiln
