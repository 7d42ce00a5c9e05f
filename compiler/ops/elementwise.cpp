// Elementwise ops: element i of the result depends on element i of the operands, which all have the result's shape.
#include "compiler/ops/common.h"

#include <cmath>

namespace kiln {
namespace {

enum class Domain { any, number, signed_number, floating, boolean };

const char *describe(Domain domain) {
    switch (domain) {
    case Domain::any: return "any type";
    case Domain::number: return "numbers";
    case Domain::signed_number: return "signed numbers";
    case Domain::floating: return "f32 or f64";
    case Domain::boolean: return "bool";
    }
    KILN_UNREACHABLE("domain {}", int(domain));
}

bool admits(Domain domain, DType dtype) {
    switch (domain) {
    case Domain::any: return true;
    case Domain::number: return dtype != DType::boolean;
    case Domain::signed_number: return dtype != DType::boolean && dtype != DType::u8;
    case Domain::floating: return is_float(dtype);
    case Domain::boolean: return dtype == DType::boolean;
    }
    KILN_UNREACHABLE("domain {}", int(domain));
}

ShapeResult unary_shape(const std::vector<Type> &operands, Domain domain) {
    if (!admits(domain, operands[0].dtype)) return shape_error("takes {}, not {}", describe(domain), to_string(operands[0]));
    return operands[0];
}

ShapeResult binary_shape(const std::vector<Type> &operands, Domain domain) {
    const Type &a = operands[0], &b = operands[1];
    for (const Type &operand : operands)
        if (!admits(domain, operand.dtype)) return shape_error("takes {}, not {}", describe(domain), to_string(operand));
    if (a.dtype != b.dtype) return shape_error("element types differ: {} and {}", to_string(a), to_string(b));
    if (a.shape != b.shape) return shape_error("shapes differ: {} and {}", to_string(a), to_string(b));
    return a;
}

ShapeResult to_boolean(ShapeResult result) {
    if (Type *type = std::get_if<Type>(&result)) type->dtype = DType::boolean;
    return result;
}

template <typename F> Tensor map(const std::vector<const Tensor *> &operands, F &&f) {
    Tensor result{operands[0]->type, operands[0]->values};
    for (double &value : result.values) value = f(value);
    return result;
}

template <typename F> Tensor map2(const std::vector<const Tensor *> &operands, F &&f) {
    Tensor result{operands[0]->type, operands[0]->values};
    for (size_t i = 0; i < result.values.size(); ++i) result.values[i] = f(result.values[i], operands[1]->values[i]);
    return result;
}

bool integral(const std::vector<const Tensor *> &operands) { return is_integer(operands[0]->type.dtype); }

/// Operand `position` of a node. Nodes are looked up again after every append: the node vector moves.
NodeId operand(const Graph &g, NodeId node, size_t position) { return g[node].operands[position]; }

/// The constant `value` in the type of `like`.
NodeId splat(Builder &b, double value, NodeId like) {
    const Type type = b.type(like);
    return b.constant(value, type);
}

/// dy where `condition` holds, elsewhere zero.
NodeId where(Builder &b, NodeId condition, NodeId dy) { return b.append(Op::select, {condition, dy, splat(b, 0, dy)}); }
NodeId where_not(Builder &b, NodeId condition, NodeId dy) { return b.append(Op::select, {condition, splat(b, 0, dy), dy}); }

}  // namespace

// --- negate --------------------------------------------------------------------------------------------------------
ShapeResult shape_negate(const std::vector<Type> &operands, const NoAttrs &, const Type &) { return unary_shape(operands, Domain::signed_number); }
std::vector<NodeId> vjp_negate(Builder &b, const Graph &, NodeId, NodeId dy) { return {b.append(Op::negate, {dy})}; }
Tensor evaluate_negate(const Node &, const std::vector<const Tensor *> &operands) {
    return map(operands, [](double x) { return -x; });
}

// --- absolute ------------------------------------------------------------------------------------------------------
ShapeResult shape_absolute(const std::vector<Type> &operands, const NoAttrs &, const Type &) { return unary_shape(operands, Domain::signed_number); }
std::vector<NodeId> vjp_absolute(Builder &b, const Graph &g, NodeId node, NodeId dy) {
    return {b.multiply(dy, b.append(Op::sign, {operand(g, node, 0)}))};
}
Tensor evaluate_absolute(const Node &, const std::vector<const Tensor *> &operands) {
    return map(operands, [](double x) { return std::abs(x); });
}

// --- sign ----------------------------------------------------------------------------------------------------------
ShapeResult shape_sign(const std::vector<Type> &operands, const NoAttrs &, const Type &) { return unary_shape(operands, Domain::signed_number); }
std::vector<NodeId> vjp_sign(Builder &, const Graph &, NodeId, NodeId) { return {NodeId{}}; }
Tensor evaluate_sign(const Node &, const std::vector<const Tensor *> &operands) {
    return map(operands, [](double x) { return double(x > 0) - double(x < 0); });
}

// --- exp -----------------------------------------------------------------------------------------------------------
ShapeResult shape_exp(const std::vector<Type> &operands, const NoAttrs &, const Type &) { return unary_shape(operands, Domain::floating); }
std::vector<NodeId> vjp_exp(Builder &b, const Graph &, NodeId node, NodeId dy) { return {b.multiply(dy, node)}; }
Tensor evaluate_exp(const Node &, const std::vector<const Tensor *> &operands) {
    return map(operands, [](double x) { return std::exp(x); });
}

// --- log -----------------------------------------------------------------------------------------------------------
ShapeResult shape_log(const std::vector<Type> &operands, const NoAttrs &, const Type &) { return unary_shape(operands, Domain::floating); }
std::vector<NodeId> vjp_log(Builder &b, const Graph &g, NodeId node, NodeId dy) { return {b.divide(dy, operand(g, node, 0))}; }
Tensor evaluate_log(const Node &, const std::vector<const Tensor *> &operands) {
    return map(operands, [](double x) { return std::log(x); });
}

// --- log1p ---------------------------------------------------------------------------------------------------------
ShapeResult shape_log1p(const std::vector<Type> &operands, const NoAttrs &, const Type &) { return unary_shape(operands, Domain::floating); }
std::vector<NodeId> vjp_log1p(Builder &b, const Graph &g, NodeId node, NodeId dy) {
    const NodeId x = operand(g, node, 0);
    return {b.divide(dy, b.add(x, splat(b, 1, x)))};
}
Tensor evaluate_log1p(const Node &, const std::vector<const Tensor *> &operands) {
    return map(operands, [](double x) { return std::log1p(x); });
}

// --- sqrt ----------------------------------------------------------------------------------------------------------
ShapeResult shape_sqrt(const std::vector<Type> &operands, const NoAttrs &, const Type &) { return unary_shape(operands, Domain::floating); }
std::vector<NodeId> vjp_sqrt(Builder &b, const Graph &, NodeId node, NodeId dy) {
    return {b.divide(b.multiply(dy, splat(b, 0.5, node)), node)};
}
Tensor evaluate_sqrt(const Node &, const std::vector<const Tensor *> &operands) {
    return map(operands, [](double x) { return std::sqrt(x); });
}

// --- sin -----------------------------------------------------------------------------------------------------------
ShapeResult shape_sin(const std::vector<Type> &operands, const NoAttrs &, const Type &) { return unary_shape(operands, Domain::floating); }
std::vector<NodeId> vjp_sin(Builder &b, const Graph &g, NodeId node, NodeId dy) {
    return {b.multiply(dy, b.append(Op::cos, {operand(g, node, 0)}))};
}
Tensor evaluate_sin(const Node &, const std::vector<const Tensor *> &operands) {
    return map(operands, [](double x) { return std::sin(x); });
}

// --- cos -----------------------------------------------------------------------------------------------------------
ShapeResult shape_cos(const std::vector<Type> &operands, const NoAttrs &, const Type &) { return unary_shape(operands, Domain::floating); }
std::vector<NodeId> vjp_cos(Builder &b, const Graph &g, NodeId node, NodeId dy) {
    return {b.append(Op::negate, {b.multiply(dy, b.append(Op::sin, {operand(g, node, 0)}))})};
}
Tensor evaluate_cos(const Node &, const std::vector<const Tensor *> &operands) {
    return map(operands, [](double x) { return std::cos(x); });
}

// --- tanh ----------------------------------------------------------------------------------------------------------
ShapeResult shape_tanh(const std::vector<Type> &operands, const NoAttrs &, const Type &) { return unary_shape(operands, Domain::floating); }
std::vector<NodeId> vjp_tanh(Builder &b, const Graph &, NodeId node, NodeId dy) {
    return {b.multiply(dy, b.subtract(splat(b, 1, node), b.multiply(node, node)))};
}
Tensor evaluate_tanh(const Node &, const std::vector<const Tensor *> &operands) {
    return map(operands, [](double x) { return std::tanh(x); });
}

// --- erf -----------------------------------------------------------------------------------------------------------
ShapeResult shape_erf(const std::vector<Type> &operands, const NoAttrs &, const Type &) { return unary_shape(operands, Domain::floating); }
std::vector<NodeId> vjp_erf(Builder &b, const Graph &g, NodeId node, NodeId dy) {
    // erf'(x) = 2 / sqrt(pi) * exp(-x^2)
    const double kTwoOverRootPi = 1.1283791670955125739;
    const NodeId x = operand(g, node, 0);
    const NodeId bell = b.append(Op::exp, {b.append(Op::negate, {b.multiply(x, x)})});
    return {b.multiply(b.multiply(dy, splat(b, kTwoOverRootPi, x)), bell)};
}
Tensor evaluate_erf(const Node &, const std::vector<const Tensor *> &operands) {
    return map(operands, [](double x) { return std::erf(x); });
}

// --- floor, ceil, round, logical_not, is_finite --------------------------------------------------------------------
ShapeResult shape_floor(const std::vector<Type> &operands, const NoAttrs &, const Type &) { return unary_shape(operands, Domain::floating); }
std::vector<NodeId> vjp_floor(Builder &, const Graph &, NodeId, NodeId) { return {NodeId{}}; }
Tensor evaluate_floor(const Node &, const std::vector<const Tensor *> &operands) {
    return map(operands, [](double x) { return std::floor(x); });
}

ShapeResult shape_ceil(const std::vector<Type> &operands, const NoAttrs &, const Type &) { return unary_shape(operands, Domain::floating); }
std::vector<NodeId> vjp_ceil(Builder &, const Graph &, NodeId, NodeId) { return {NodeId{}}; }
Tensor evaluate_ceil(const Node &, const std::vector<const Tensor *> &operands) {
    return map(operands, [](double x) { return std::ceil(x); });
}

ShapeResult shape_round(const std::vector<Type> &operands, const NoAttrs &, const Type &) { return unary_shape(operands, Domain::floating); }
std::vector<NodeId> vjp_round(Builder &, const Graph &, NodeId, NodeId) { return {NodeId{}}; }
Tensor evaluate_round(const Node &, const std::vector<const Tensor *> &operands) {
    return map(operands, [](double x) { return std::nearbyint(x); });
}

ShapeResult shape_logical_not(const std::vector<Type> &operands, const NoAttrs &, const Type &) { return unary_shape(operands, Domain::boolean); }
std::vector<NodeId> vjp_logical_not(Builder &, const Graph &, NodeId, NodeId) { return {NodeId{}}; }
Tensor evaluate_logical_not(const Node &, const std::vector<const Tensor *> &operands) {
    return map(operands, [](double x) { return double(x == 0); });
}

ShapeResult shape_is_finite(const std::vector<Type> &operands, const NoAttrs &, const Type &) {
    return to_boolean(unary_shape(operands, Domain::floating));
}
std::vector<NodeId> vjp_is_finite(Builder &, const Graph &, NodeId, NodeId) { return {NodeId{}}; }
Tensor evaluate_is_finite(const Node &, const std::vector<const Tensor *> &operands) {
    return map(operands, [](double x) { return double(std::isfinite(x)); });
}

// --- cast, stop_gradient -------------------------------------------------------------------------------------------
ShapeResult shape_cast(const std::vector<Type> &operands, const CastAttrs &attrs, const Type &) { return Type{attrs.to, operands[0].shape}; }
std::vector<NodeId> vjp_cast(Builder &b, const Graph &g, NodeId node, NodeId dy) {
    const DType from = b.type(operand(g, node, 0)).dtype;
    if (!is_float(from)) return {NodeId{}};
    return {b.cast(dy, from)};
}
Tensor evaluate_cast(const Node &node, const std::vector<const Tensor *> &operands) {
    if (node.type.dtype == DType::boolean) return map(operands, [](double x) { return double(x != 0); });
    if (is_integer(node.type.dtype)) return map(operands, [](double x) { return std::trunc(x); });
    return *operands[0];
}

ShapeResult shape_stop_gradient(const std::vector<Type> &operands, const NoAttrs &, const Type &) { return unary_shape(operands, Domain::any); }
std::vector<NodeId> vjp_stop_gradient(Builder &, const Graph &, NodeId, NodeId) { return {NodeId{}}; }
Tensor evaluate_stop_gradient(const Node &, const std::vector<const Tensor *> &operands) { return *operands[0]; }

// --- add, subtract, multiply ---------------------------------------------------------------------------------------
ShapeResult shape_add(const std::vector<Type> &operands, const NoAttrs &, const Type &) { return binary_shape(operands, Domain::number); }
std::vector<NodeId> vjp_add(Builder &, const Graph &, NodeId, NodeId dy) { return {dy, dy}; }
Tensor evaluate_add(const Node &, const std::vector<const Tensor *> &operands) {
    return map2(operands, [](double a, double b) { return a + b; });
}

ShapeResult shape_subtract(const std::vector<Type> &operands, const NoAttrs &, const Type &) { return binary_shape(operands, Domain::number); }
std::vector<NodeId> vjp_subtract(Builder &b, const Graph &, NodeId, NodeId dy) { return {dy, b.append(Op::negate, {dy})}; }
Tensor evaluate_subtract(const Node &, const std::vector<const Tensor *> &operands) {
    return map2(operands, [](double a, double b) { return a - b; });
}

ShapeResult shape_multiply(const std::vector<Type> &operands, const NoAttrs &, const Type &) { return binary_shape(operands, Domain::number); }
std::vector<NodeId> vjp_multiply(Builder &b, const Graph &g, NodeId node, NodeId dy) {
    const NodeId x = operand(g, node, 0), y = operand(g, node, 1);
    return {b.multiply(dy, y), b.multiply(dy, x)};
}
Tensor evaluate_multiply(const Node &, const std::vector<const Tensor *> &operands) {
    return map2(operands, [](double a, double b) { return a * b; });
}

// --- divide, modulo ------------------------------------------------------------------------------------------------
ShapeResult shape_divide(const std::vector<Type> &operands, const NoAttrs &, const Type &) { return binary_shape(operands, Domain::number); }
std::vector<NodeId> vjp_divide(Builder &b, const Graph &g, NodeId node, NodeId dy) {
    const NodeId y = operand(g, node, 1);
    const NodeId dx = b.divide(dy, y);
    return {dx, b.append(Op::negate, {b.multiply(dx, node)})};
}
Tensor evaluate_divide(const Node &, const std::vector<const Tensor *> &operands) {
    if (integral(operands)) return map2(operands, [](double a, double b) { return b == 0 ? 0 : std::floor(a / b); });
    return map2(operands, [](double a, double b) { return a / b; });
}

ShapeResult shape_modulo(const std::vector<Type> &operands, const NoAttrs &, const Type &) { return binary_shape(operands, Domain::number); }
std::vector<NodeId> vjp_modulo(Builder &b, const Graph &g, NodeId node, NodeId dy) {
    const NodeId x = operand(g, node, 0), y = operand(g, node, 1);
    const NodeId quotient = b.append(Op::floor, {b.divide(x, y)});
    return {dy, b.append(Op::negate, {b.multiply(dy, quotient)})};
}
Tensor evaluate_modulo(const Node &, const std::vector<const Tensor *> &operands) {
    if (integral(operands)) return map2(operands, [](double a, double b) { return b == 0 ? 0 : a - b * std::floor(a / b); });
    return map2(operands, [](double a, double b) { return a - b * std::floor(a / b); });
}

// --- power ---------------------------------------------------------------------------------------------------------
ShapeResult shape_power(const std::vector<Type> &operands, const NoAttrs &, const Type &) { return binary_shape(operands, Domain::floating); }
std::vector<NodeId> vjp_power(Builder &b, const Graph &g, NodeId node, NodeId dy) {
    const NodeId x = operand(g, node, 0), y = operand(g, node, 1);
    const NodeId zero = splat(b, 0, x), one = splat(b, 1, x);
    // d x^y / dx = y x^(y-1); with y = 0 it is 0 even at x = 0, where the formula would be 0 * infinity.
    const NodeId slope = b.multiply(y, b.append(Op::power, {x, b.subtract(y, one)}));
    const NodeId dx = where_not(b, b.append(Op::equal, {y, zero}), b.multiply(dy, slope));
    // d x^y / dy = x^y log x, which tends to 0 as x does.
    const NodeId at_zero = b.append(Op::equal, {x, zero});
    const NodeId logarithm = b.append(Op::log, {b.append(Op::select, {at_zero, one, x})});
    return {dx, b.multiply(dy, b.multiply(node, logarithm))};
}
Tensor evaluate_power(const Node &, const std::vector<const Tensor *> &operands) {
    return map2(operands, [](double a, double b) { return std::pow(a, b); });
}

// --- minimum, maximum: of equal operands the first gets the gradient -----------------------------------------------
ShapeResult shape_minimum(const std::vector<Type> &operands, const NoAttrs &, const Type &) { return binary_shape(operands, Domain::number); }
std::vector<NodeId> vjp_minimum(Builder &b, const Graph &g, NodeId node, NodeId dy) {
    const NodeId first = b.append(Op::less_equal, {operand(g, node, 0), operand(g, node, 1)});
    return {where(b, first, dy), where_not(b, first, dy)};
}
Tensor evaluate_minimum(const Node &, const std::vector<const Tensor *> &operands) {
    return map2(operands, [](double a, double b) { return a <= b ? a : b; });
}

ShapeResult shape_maximum(const std::vector<Type> &operands, const NoAttrs &, const Type &) { return binary_shape(operands, Domain::number); }
std::vector<NodeId> vjp_maximum(Builder &b, const Graph &g, NodeId node, NodeId dy) {
    const NodeId first = b.append(Op::less_equal, {operand(g, node, 1), operand(g, node, 0)});
    return {where(b, first, dy), where_not(b, first, dy)};
}
Tensor evaluate_maximum(const Node &, const std::vector<const Tensor *> &operands) {
    return map2(operands, [](double a, double b) { return a >= b ? a : b; });
}

// --- comparisons and logic -----------------------------------------------------------------------------------------
#define KILN_PREDICATE(name, domain, expression)                                                            \
    ShapeResult shape_##name(const std::vector<Type> &operands, const NoAttrs &, const Type &) {             \
        return to_boolean(binary_shape(operands, domain));                                                   \
    }                                                                                                        \
    std::vector<NodeId> vjp_##name(Builder &, const Graph &, NodeId, NodeId) { return {NodeId{}, NodeId{}}; } \
    Tensor evaluate_##name(const Node &, const std::vector<const Tensor *> &operands) {                      \
        return map2(operands, [](double a, double b) { return double(expression); });                        \
    }
KILN_PREDICATE(equal, Domain::any, a == b)
KILN_PREDICATE(not_equal, Domain::any, a != b)
KILN_PREDICATE(less, Domain::number, a < b)
KILN_PREDICATE(less_equal, Domain::number, a <= b)
KILN_PREDICATE(logical_and, Domain::boolean, a != 0 && b != 0)
KILN_PREDICATE(logical_or, Domain::boolean, a != 0 || b != 0)
#undef KILN_PREDICATE

// --- select --------------------------------------------------------------------------------------------------------
ShapeResult shape_select(const std::vector<Type> &operands, const NoAttrs &, const Type &) {
    if (operands[0].dtype != DType::boolean) return shape_error("the condition must be bool, not {}", to_string(operands[0]));
    ShapeResult values = binary_shape({operands[1], operands[2]}, Domain::any);
    const Type *type = std::get_if<Type>(&values);
    if (type && type->shape != operands[0].shape)
        return shape_error("shapes differ: the condition is {} and the values are {}", to_string(operands[0]), to_string(*type));
    return values;
}
std::vector<NodeId> vjp_select(Builder &b, const Graph &g, NodeId node, NodeId dy) {
    const NodeId condition = operand(g, node, 0);
    return {NodeId{}, where(b, condition, dy), where_not(b, condition, dy)};
}
Tensor evaluate_select(const Node &node, const std::vector<const Tensor *> &operands) {
    Tensor result{node.type, operands[2]->values};
    for (size_t i = 0; i < result.values.size(); ++i)
        if (operands[0]->values[i] != 0) result.values[i] = operands[1]->values[i];
    return result;
}

}  // namespace kiln
