// Elementwise ops. Halide's float arithmetic is fast-math: nothing here may rest on NaN or infinity comparing in any particular way.
#include "compiler/kernels/lowering.h"
#include "compiler/kernels/quotient.h"
#include "compiler/support/check.h"

#include <cmath>
#include <numbers>

namespace kiln {

using namespace Halide;

namespace {

Expr operand(Lowering &l, NodeId id, int i, const Coordinates &at) { return l.value(l.node(id).operands[size_t(i)], at); }

Expr libm(const char *function, Expr x) { return Internal::Call::make(Float(64), function, {x}, Internal::Call::PureExtern); }

/// f(x), but x itself where x is NaN, or also where it is +infinity. By bits, without an operation on floats that fast-math may take to be finite.
Expr or_not_a_number(const Expr &x, const Expr &f, bool or_infinity = false) {
    const Halide::Type bits_type = UInt(x.type().bits());
    const bool is_wide = x.type().bits() == 64;
    auto pattern = [&](int64_t narrow, int64_t wide) { return Internal::make_const(bits_type, is_wide ? wide : narrow); };
    const Expr bits = reinterpret(bits_type, x), infinity = pattern(0x7f800000, 0x7ff0000000000000);
    Expr keeps = (bits & pattern(0x7fffffff, 0x7fffffffffffffff)) > infinity;
    if (or_infinity) keeps = keeps || bits == infinity;
    return reinterpret(x.type(), select(keeps, bits, reinterpret(bits_type, f)));
}

/// Halide's takes large numbers for small ones, and NaN, too.
Expr exp_of(Expr x) {
    if (x.type() == Float(64)) return Halide::exp(x);
    return or_not_a_number(x, Halide::exp(min(x, 100.0f)));
}

/// Halide's takes infinity for 2^128, and NaN for a little more.
Expr log_of(Expr x) {
    if (x.type() == Float(64)) return Halide::log(x);
    return or_not_a_number(x, Halide::log(x), true);
}

/// tanh and friends are computed in the exponential, which has a vector form.
Expr tanh_of(Expr x) {
    if (x.type() == Float(64)) return libm("tanh", x);
    // |x| small: the odd polynomial of tanh, else 1 - 2 / (exp(2|x|) + 1), whose relative error grows towards 0.
    Expr a = min(abs(x), 10.0f), s = x * x;
    Expr series = x * (1.0f + s * (-1.0f / 3 + s * (2.0f / 15 + s * (-17.0f / 315 + s * (62.0f / 2835)))));
    Expr large = 1.0f - 2.0f / (Halide::exp(2.0f * a) + 1.0f);
    return or_not_a_number(x, select(a < 0.25f, series, select(x < 0.0f, -large, large)));
}

/// log(1 + x) = 2 atanh(x / (2 + x)) near 0, where 1 + x would lose digits of x.
Expr log1p_of(Expr x) {
    if (x.type() == Float(64)) return libm("log1p", x);
    Expr near = x > -0.4f && x < 0.5f;
    Expr t = select(near, x, 0.0f);
    Expr s = t / (2.0f + t), q = s * s;
    Expr series = 2.0f * s * (1.0f + q * (1.0f / 3 + q * (1.0f / 5 + q * (1.0f / 7 + q * (1.0f / 9 + q * (1.0f / 11))))));
    return or_not_a_number(x, select(near, series, Halide::log(1.0f + x)), true);
}

/// Halide multiplies by the reciprocals of constants.
bool has_reciprocal(const Halide::Type &type, double value) { return std::isfinite(type.bits() == 32 ? double(1.0f / float(value)) : 1.0 / value); }

Expr floor_divide(Expr a, Expr b) {
    // Halide rounds so that the remainder is not negative; with a negative divisor that is not the floor.
    if (a.type().is_uint()) return a / b;
    const Expr quotient = a / b;
    return select(b < 0 && quotient * b != a, quotient - 1, quotient);
}

/// sqrt(x) + c in f32 with a constant c such that the sum is no denormal, and far from the largest number unless it is infinite.
bool is_root_plus_constant(const Lowering &l, NodeId id) {
    const Node &sum = l.node(id);
    if (sum.op != Op::add || sum.type.dtype != DType::f32) return false;
    auto is_root = [&](NodeId term) { return l.node(term).op == Op::sqrt; };
    auto is_constant = [&](NodeId term) {
        if (!is_splat(l.node(term))) return false;
        const double value = attrs<ConstantAttrs>(l.node(term)).values[0];
        return value >= 0x1p-100 && value <= 0x1p60;
    };
    return (is_root(sum.operands[0]) && is_constant(sum.operands[1])) || (is_root(sum.operands[1]) && is_constant(sum.operands[0]));
}

/// A processor has one unit for roots and quotients: while it takes the root the multipliers are free, and compute the quotient.
bool is_quotient_without_divider(const Lowering &l, NodeId id) {
    return l.node(id).op == Op::divide && is_root_plus_constant(l, l.node(id).operands[1]) && l.target().has_feature(Target::FMA);
}

/// Such a quotient that one node reads.
bool is_own_quotient(const Lowering &l, NodeId id) { return is_quotient_without_divider(l, id) && l.uses(id) == 1; }

/// The sum, or difference, of operand i and an own quotient.
Expr sum_with_quotient(Lowering &l, NodeId id, int i, const Coordinates &at) {
    const NodeId quotient = l.node(id).operands[size_t(1 - i)];
    return sum_without_divider(operand(l, id, i, at), operand(l, quotient, 0, at), operand(l, quotient, 1, at), l.node(id).op == Op::subtract);
}

}  // namespace

Expr lower_negate(Lowering &l, NodeId id, const Coordinates &at) { return -operand(l, id, 0, at); }

Expr lower_absolute(Lowering &l, NodeId id, const Coordinates &at) {
    Expr x = operand(l, id, 0, at);
    return x.type().is_uint() ? x : cast(x.type(), abs(x));
}

Expr lower_sign(Lowering &l, NodeId id, const Coordinates &at) {
    Expr x = operand(l, id, 0, at), zero = Internal::make_zero(x.type()), one = Internal::make_one(x.type());
    if (x.type().is_uint()) return select(x == zero, zero, one);
    const Expr sign = select(x > zero, one, select(x < zero, -one, zero));
    return x.type().is_float() ? or_not_a_number(x, sign) : sign;
}

Expr lower_exp(Lowering &l, NodeId id, const Coordinates &at) { return exp_of(operand(l, id, 0, at)); }
Expr lower_log(Lowering &l, NodeId id, const Coordinates &at) { return log_of(operand(l, id, 0, at)); }
Expr lower_log1p(Lowering &l, NodeId id, const Coordinates &at) { return log1p_of(operand(l, id, 0, at)); }
Expr lower_sqrt(Lowering &l, NodeId id, const Coordinates &at) { return Halide::sqrt(operand(l, id, 0, at)); }
Expr lower_sin(Lowering &l, NodeId id, const Coordinates &at) { return Halide::sin(operand(l, id, 0, at)); }
Expr lower_cos(Lowering &l, NodeId id, const Coordinates &at) { return Halide::cos(operand(l, id, 0, at)); }
Expr lower_tanh(Lowering &l, NodeId id, const Coordinates &at) { return tanh_of(operand(l, id, 0, at)); }

Expr lower_erf(Lowering &l, NodeId id, const Coordinates &at) {
    Expr x = operand(l, id, 0, at);
    if (x.type() == Float(64)) return libm("erf", x);
    // Halide's is a quotient that overflows; in f32 there is nothing between erf(4) and 1.
    return select(x > 4, Internal::make_one(x.type()), x < -4, -Internal::make_one(x.type()), Halide::erf(x));
}

Expr lower_floor(Lowering &l, NodeId id, const Coordinates &at) {
    Expr x = operand(l, id, 0, at);
    return x.type().is_float() ? Halide::floor(x) : x;
}
Expr lower_ceil(Lowering &l, NodeId id, const Coordinates &at) {
    Expr x = operand(l, id, 0, at);
    return x.type().is_float() ? Halide::ceil(x) : x;
}
Expr lower_round(Lowering &l, NodeId id, const Coordinates &at) {
    Expr x = operand(l, id, 0, at);
    return x.type().is_float() ? Halide::round(x) : x;
}

Expr lower_logical_not(Lowering &l, NodeId id, const Coordinates &at) { return !operand(l, id, 0, at); }

Expr lower_is_finite(Lowering &l, NodeId id, const Coordinates &at) {
    // By the bits of the exponent: under fast-math a comparison may be assumed away.
    Expr x = operand(l, id, 0, at);
    if (x.type() == Float(32)) return (reinterpret<uint32_t>(x) & Expr(uint32_t(0x7f800000))) != Expr(uint32_t(0x7f800000));
    if (x.type() == Float(64)) {
        Expr exponent = Internal::make_const(UInt(64), int64_t(0x7ff0000000000000));
        return (reinterpret<uint64_t>(x) & exponent) != exponent;
    }
    return Internal::const_true();
}

Expr lower_cast(Lowering &l, NodeId id, const Coordinates &at) {
    Expr x = operand(l, id, 0, at);
    Halide::Type to = expression_type(attrs<CastAttrs>(l.node(id)).to);
    if (to.is_bool()) return x.type().is_bool() ? x : x != Internal::make_zero(x.type());
    // A cast of a bool looks to Halide 14's pattern matcher like a narrow integer: times a constant it becomes a
    // widening multiplication that LLVM code generation cannot type.
    if (x.type().is_bool()) return select(x, Internal::make_one(to), Internal::make_zero(to));
    return cast(to, x);
}

Expr lower_stop_gradient(Lowering &l, NodeId id, const Coordinates &at) { return operand(l, id, 0, at); }

Expr lower_add(Lowering &l, NodeId id, const Coordinates &at) {
    for (int i : {0, 1})
        if (is_own_quotient(l, l.node(id).operands[size_t(1 - i)])) return sum_with_quotient(l, id, i, at);
    return operand(l, id, 0, at) + operand(l, id, 1, at);
}

Expr lower_subtract(Lowering &l, NodeId id, const Coordinates &at) {
    if (is_own_quotient(l, l.node(id).operands[1])) return sum_with_quotient(l, id, 0, at);
    return operand(l, id, 0, at) - operand(l, id, 1, at);
}
Expr lower_multiply(Lowering &l, NodeId id, const Coordinates &at) {
    Expr product = operand(l, id, 0, at) * operand(l, id, 1, at);
    // Of (x * c) * y Halide would make (x * y) * c, though x * c is there already.
    const bool by_constant = is_splat(l.node(l.node(id).operands[0])) || is_splat(l.node(l.node(id).operands[1]));
    return by_constant && product.type().is_float() && l.uses(id) > 1 ? as_it_is(product) : product;
}

Expr lower_divide(Lowering &l, NodeId id, const Coordinates &at) {
    Expr a = operand(l, id, 0, at), b = operand(l, id, 1, at);
    const NodeId divisor = l.node(id).operands[1];
    if (is_quotient_without_divider(l, id)) return quotient_without_divider(a, b);
    if (!a.type().is_float()) return floor_divide(a, b);
    return is_splat(l.node(divisor)) && !has_reciprocal(a.type(), attrs<ConstantAttrs>(l.node(divisor)).values[0]) ? a / hidden(b) : a / b;
}

Expr lower_modulo(Lowering &l, NodeId id, const Coordinates &at) {
    Expr a = operand(l, id, 0, at), b = operand(l, id, 1, at);
    if (a.type().is_float()) return a - b * Halide::floor(a / b);
    if (a.type().is_uint()) return a % b;
    Expr zero = Internal::make_zero(a.type());
    return select(b == zero, zero, a - b * floor_divide(a, b));
}

Expr lower_power(Lowering &l, NodeId id, const Coordinates &at) {
    Expr a = operand(l, id, 0, at), b = operand(l, id, 1, at);
    if (a.type() == Float(32)) {
        if (const auto *exponent = b.as<Internal::FloatImm>()) {
            if (exponent->value == 0.5) return Halide::sqrt(a);
            if (exponent->value == -0.5) return 1.0f / Halide::sqrt(a);
            if (exponent->value == int(exponent->value) && std::abs(exponent->value) <= 64) return Internal::raise_to_integer_power(a, int(exponent->value));
        }
        // exp(b log a) in f32 loses the digits of b log a before the point, so the product is computed in f64.
        return cast<float>(Internal::Call::make(Float(64), "pow", {cast<double>(a), cast<double>(b)}, Internal::Call::PureExtern));
    }
    if (a.type() == Float(64)) return Internal::Call::make(Float(64), "pow", {a, b}, Internal::Call::PureExtern);
    return cast(a.type(), round(Internal::Call::make(Float(64), "pow", {cast<double>(a), cast<double>(b)}, Internal::Call::PureExtern)));
}

/// An operand of a comparison with a constant. Of a sum with a constant there, or below, Halide would take both to one side, max(c - x, d) = c - min(x, c - d),
/// and what is small beside c is lost: 1 - min(x, 1) for max(1 - x, 1e-30).
static Expr compared(Lowering &l, NodeId id, int i, const Coordinates &at) {
    const Expr value = operand(l, id, i, at);
    const std::vector<NodeId> &operands = l.node(id).operands;
    const bool is_computed = has_trait(l.node(operands[size_t(i)]).op, kElementwise);
    return is_computed && value.type().is_float() && is_splat(l.node(operands[size_t(1 - i)])) ? as_it_is(value) : value;
}

Expr lower_minimum(Lowering &l, NodeId id, const Coordinates &at) {
    Expr a = compared(l, id, 0, at), b = compared(l, id, 1, at);
    return a.type().is_bool() ? a && b : min(a, b);
}
Expr lower_maximum(Lowering &l, NodeId id, const Coordinates &at) {
    Expr a = compared(l, id, 0, at), b = compared(l, id, 1, at);
    return a.type().is_bool() ? a || b : max(a, b);
}

Expr lower_equal(Lowering &l, NodeId id, const Coordinates &at) { return compared(l, id, 0, at) == compared(l, id, 1, at); }
Expr lower_not_equal(Lowering &l, NodeId id, const Coordinates &at) { return compared(l, id, 0, at) != compared(l, id, 1, at); }
Expr lower_less(Lowering &l, NodeId id, const Coordinates &at) { return compared(l, id, 0, at) < compared(l, id, 1, at); }
Expr lower_less_equal(Lowering &l, NodeId id, const Coordinates &at) { return compared(l, id, 0, at) <= compared(l, id, 1, at); }
Expr lower_logical_and(Lowering &l, NodeId id, const Coordinates &at) { return operand(l, id, 0, at) && operand(l, id, 1, at); }
Expr lower_logical_or(Lowering &l, NodeId id, const Coordinates &at) { return operand(l, id, 0, at) || operand(l, id, 1, at); }

Expr lower_select(Lowering &l, NodeId id, const Coordinates &at) {
    return select(operand(l, id, 0, at), operand(l, id, 1, at), operand(l, id, 2, at));
}

}  // namespace kiln
