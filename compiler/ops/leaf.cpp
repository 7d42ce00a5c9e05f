// Ops without differentiable operands: input, constant, iota, random_uniform.
#include "compiler/ops/common.h"
#include "compiler/ops/philox.h"

#include <cmath>

namespace kiln {

// --- input ---------------------------------------------------------------------------------------------------------
ShapeResult shape_input(const std::vector<Type> &, const InputAttrs &attrs, const Type &declared) {
    if (attrs.kind == InputKind::scalar && declared.rank() != 0)
        return shape_error("the scalar \"{}\" is declared as {}, and scalars have rank 0", attrs.name, to_string(declared));
    return declared;
}
std::vector<NodeId> vjp_input(Builder &, const Graph &, NodeId, NodeId) { return {}; }
Tensor evaluate_input(const Node &node, const std::vector<const Tensor *> &) {
    KILN_UNREACHABLE("the value of input \"{}\" comes from outside the graph", attrs<InputAttrs>(node).name);
}

// --- constant ------------------------------------------------------------------------------------------------------
ShapeResult shape_constant(const std::vector<Type> &, const ConstantAttrs &attrs, const Type &declared) {
    const size_t count = attrs.values.size();
    if (count != 1 && int64_t(count) != declared.elements())
        return shape_error("{} values for the {} elements of {}", count, declared.elements(), to_string(declared));
    for (double value : attrs.values) {
        const bool whole = value == std::floor(value) && std::abs(value) < 0x1p63;
        const bool fits = is_float(declared.dtype) || (declared.dtype == DType::boolean && (value == 0 || value == 1)) ||
                          (declared.dtype == DType::u8 && whole && value >= 0 && value <= 255) ||
                          (declared.dtype == DType::i32 && whole && value >= -0x1p31 && value < 0x1p31) ||
                          (declared.dtype == DType::i64 && whole);
        if (!fits) return shape_error("{} is not a value of type {}", value, name_of(declared.dtype));
    }
    return declared;
}
std::vector<NodeId> vjp_constant(Builder &, const Graph &, NodeId, NodeId) { return {}; }
Tensor evaluate_constant(const Node &node, const std::vector<const Tensor *> &) {
    const auto &values = attrs<ConstantAttrs>(node).values;
    if (values.size() == 1) return {node.type, std::vector<double>(size_t(node.type.elements()), values[0])};
    return {node.type, values};
}

// --- iota ----------------------------------------------------------------------------------------------------------
ShapeResult shape_iota(const std::vector<Type> &, const AxisAttrs &attrs, const Type &declared) {
    if (auto error = check_axes({attrs.axis}, declared.rank())) return *error;
    if (declared.dtype == DType::boolean) return shape_error("counts in a number type, not in bool");
    if (declared.dtype == DType::u8 && declared.shape[size_t(attrs.axis)] > 256)
        return shape_error("u8 cannot count {} elements", declared.shape[size_t(attrs.axis)]);
    return declared;
}
std::vector<NodeId> vjp_iota(Builder &, const Graph &, NodeId, NodeId) { return {}; }
Tensor evaluate_iota(const Node &node, const std::vector<const Tensor *> &) {
    Tensor result = zeros(node.type);
    Ints strides(node.type.shape.size(), 0);
    strides[size_t(attrs<AxisAttrs>(node).axis)] = 1;
    walk(node.type.shape, 0, strides, [&](int64_t i, int64_t index) { result.values[size_t(i)] = double(index); });
    return result;
}

// --- random_uniform ------------------------------------------------------------------------------------------------
ShapeResult shape_random_uniform(const std::vector<Type> &operands, const RandomAttrs &attrs, const Type &) {
    const Type integer{DType::i64, {}};
    if (operands[0] != integer) return shape_error("the seed must be i64[], not {}", to_string(operands[0]));
    if (operands[1] != integer) return shape_error("the counter must be i64[], not {}", to_string(operands[1]));
    if (!is_float(attrs.to)) return shape_error("makes f32 or f64, not {}", name_of(attrs.to));
    if (attrs.stream < 0 || attrs.stream >= int64_t(1) << 32) return shape_error("stream {} is not in [0, 2^32)", attrs.stream);
    Type result{attrs.to, attrs.shape};
    if (result.elements() > int64_t(1) << 32) return shape_error("more than 2^32 elements in {}", to_string(result));
    return result;
}
std::vector<NodeId> vjp_random_uniform(Builder &, const Graph &, NodeId, NodeId) { return {NodeId{}, NodeId{}}; }
Tensor evaluate_random_uniform(const Node &node, const std::vector<const Tensor *> &operands) {
    const auto &random = attrs<RandomAttrs>(node);
    const auto seed = uint64_t(int64_t(operands[0]->values[0]));
    const auto counter = uint64_t(int64_t(operands[1]->values[0]));
    Tensor result = zeros(node.type);
    for (size_t i = 0; i < result.values.size(); ++i) {
        result.values[i] = random.to == DType::f32 ? uniform_f32(seed, counter, uint32_t(random.stream), uint32_t(i))
                                                   : uniform_f64(seed, counter, uint32_t(random.stream), uint32_t(i));
    }
    return result;
}

}  // namespace kiln
