#include "compiler/passes/zero_algebra.h"

#include <limits>

namespace kiln {

namespace {

/// Functions with f(0) = 0.
bool keeps_zero(Op op) {
    return op == Op::negate || op == Op::absolute || op == Op::sign || op == Op::sqrt || op == Op::sin || op == Op::tanh || op == Op::erf ||
           op == Op::log1p || op == Op::floor || op == Op::ceil || op == Op::round || op == Op::cast || op == Op::stop_gradient;
}

double value_of(const Node &node) { return attrs<ConstantAttrs>(node).values[0]; }

}  // namespace

bool ZeroAlgebra::is_zero(NodeId id) const { return is_splat(at(id), 0); }

bool ZeroAlgebra::is_positive(NodeId id) const {
    const Node &node = at(id);
    const auto &x = node.operands;
    switch (node.op) {
        // Denormal numbers are flushed to zero.
        case Op::constant: return is_splat(node) && value_of(node) >= double(std::numeric_limits<float>::min());
        case Op::broadcast:
        case Op::reshape:
        case Op::stop_gradient:
        case Op::sqrt: return is_positive(x[0]);
        case Op::cast: return is_float(node.type.dtype) && is_positive(x[0]);
        case Op::add: return (is_positive(x[0]) && is_not_negative(x[1])) || (is_positive(x[1]) && is_not_negative(x[0]));
        case Op::maximum: return is_positive(x[0]) || is_positive(x[1]);
        case Op::minimum: return is_positive(x[0]) && is_positive(x[1]);
        case Op::select: return is_positive(x[1]) && is_positive(x[2]);
        default: return false;  // products and quotients may underflow
    }
}

bool ZeroAlgebra::is_not_negative(NodeId id) const {
    const Node &node = at(id);
    const auto &x = node.operands;
    switch (node.op) {
        case Op::constant: return is_splat(node) && value_of(node) >= 0;
        case Op::broadcast:
        case Op::reshape:
        case Op::cast:
        case Op::stop_gradient: return is_not_negative(x[0]);
        case Op::sqrt:
        case Op::exp:
        case Op::absolute: return true;
        case Op::multiply: return x[0] == x[1] || (is_not_negative(x[0]) && is_not_negative(x[1]));
        case Op::divide: return is_not_negative(x[0]) && is_positive(x[1]);
        case Op::add:
        case Op::minimum: return is_not_negative(x[0]) && is_not_negative(x[1]);
        case Op::maximum: return is_not_negative(x[0]) || is_not_negative(x[1]);
        case Op::select: return is_not_negative(x[1]) && is_not_negative(x[2]);
        default: return is_positive(id);
    }
}

NodeId ZeroAlgebra::simplest(Op op, const std::vector<NodeId> &x, const Attrs &attributes) {
    auto zero = [&] {
        Type type = at(x[0]).type;
        if (op == Op::cast) type.dtype = std::get<CastAttrs>(attributes).to;
        return builder_.constant(0, type);
    };
    switch (op) {
        case Op::add:
            if (is_zero(x[0])) return x[1];
            if (is_zero(x[1])) return x[0];
            break;
        case Op::subtract:
            if (is_zero(x[1])) return x[0];
            break;
        case Op::multiply:
            if (is_zero(x[0]) || is_zero(x[1])) return zero();
            break;
        case Op::divide:
            if (is_zero(x[0]) && is_positive(x[1])) return zero();
            break;
        case Op::power:
            if (is_zero(x[0]) && is_positive(x[1])) return zero();
            break;
        case Op::minimum:
        case Op::maximum:
            if (is_zero(x[0]) && is_zero(x[1])) return zero();
            break;
        case Op::select:
            if (x[1] == x[2]) return x[1];
            if (is_splat(at(x[0]))) return value_of(at(x[0])) != 0 ? x[1] : x[2];
            if (is_zero(x[1]) && is_zero(x[2])) return x[1];
            break;
        default:
            if (keeps_zero(op) && is_zero(x[0])) return zero();
            break;
    }
    return builder_.append(op, x, attributes);
}

}  // namespace kiln
