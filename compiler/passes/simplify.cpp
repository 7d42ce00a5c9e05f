// Algebraic simplification. Every rule gives the same bits as what it replaces, with these exceptions, which kernels share
// anyway: the sign of a zero (x + 0 is x), and power with a small integer exponent, which becomes multiplications. Nothing is
// reassociated; a division becomes a multiplication only by a power of two.
//
// Two rules move work to where it is cheaper: an elementwise op on broadcasts is done before the broadcast (scalar arithmetic
// leaves the kernels), and an elementwise op on reshapes before the reshape (so that chains keep one shape and fuse).
#include "compiler/passes/passes.h"
#include "compiler/passes/rewrite.h"

#include <cmath>
#include <map>
#include <numeric>
#include <optional>

namespace kiln {

namespace {

class Simplifier {
public:
    explicit Simplifier(const Graph &graph) : rewriter_(graph) {}

    Graph run() {
        for (int i = 0; i < rewriter_.source().size(); ++i) rewriter_.map({i}, make(rewriter_.moved({i})));
        return rewriter_.finish();
    }

private:
    const Node &at(NodeId id) const { return rewriter_.result()[id]; }
    const Node &operand(const Node &node, size_t i) const { return at(node.operands[i]); }

    /// The node in its simplest form; existing or new.
    NodeId make(Node node) {
        std::optional<NodeId> simpler;
        if (has_trait(node.op, kElementwise)) {
            simpler = arithmetic(node);
            if (!simpler) simpler = before_broadcast(node);
            if (!simpler) simpler = before_reshape(node);
        } else {
            simpler = moving(node);
        }
        if (simpler) return *simpler;
        const NodeId id = rewriter_.append(std::move(node));
        if (at(id).op == Op::maximum)
            for (size_t i : {0, 1})
                if (splat(at(id).operands[1 - i])) maxima_[at(id).operands[i]] = id;
        return id;
    }

    NodeId make(const Node &place, Op op, std::vector<NodeId> operands, Type type, Attrs attributes = NoAttrs{}) {
        Node node;
        node.op = op;
        node.operands = std::move(operands);
        node.type = std::move(type);
        node.attrs = std::move(attributes);
        node.loc = place.loc;
        node.scope = place.scope;
        return make(std::move(node));
    }
    NodeId constant(const Node &place, double value, const Type &type) { return make(place, Op::constant, {}, type, ConstantAttrs{{value}}); }
    NodeId reshape(const Node &place, NodeId x, const Shape &shape) {
        return make(place, Op::reshape, {x}, {at(x).type.dtype, shape}, ShapeAttrs{shape});
    }

    std::optional<double> splat(NodeId id) const {
        const Node &node = at(id);
        if (node.op != Op::constant || attrs<ConstantAttrs>(node).values.size() != 1) return std::nullopt;
        return attrs<ConstantAttrs>(node).values[0];
    }
    bool is(NodeId id, double value) const {
        std::optional<double> x = splat(id);
        return x && *x == value;
    }

    // ---- arithmetic ----
    std::optional<NodeId> arithmetic(const Node &node) {
        const std::vector<NodeId> &x = node.operands;
        auto unary_of = [&](NodeId id, Op op) { return at(id).op == op ? std::optional(at(id).operands[0]) : std::nullopt; };
        switch (node.op) {
            case Op::stop_gradient: return x[0];
            case Op::negate: return unary_of(x[0], Op::negate);
            case Op::logical_not: return unary_of(x[0], Op::logical_not);
            case Op::cast: return cast(node);
            case Op::add:
                for (int i : {0, 1}) {
                    if (is(x[size_t(i)], 0)) return x[size_t(1 - i)];
                    if (auto y = unary_of(x[size_t(i)], Op::negate)) return make(node, Op::subtract, {x[size_t(1 - i)], *y}, node.type);
                }
                return std::nullopt;
            case Op::subtract:
                if (is(x[1], 0)) return x[0];
                if (is(x[0], 0)) return make(node, Op::negate, {x[1]}, node.type);
                if (auto y = unary_of(x[1], Op::negate)) return make(node, Op::add, {x[0], *y}, node.type);
                return std::nullopt;
            case Op::multiply:
                for (int i : {0, 1}) {
                    if (is(x[size_t(i)], 1)) return x[size_t(1 - i)];
                    if (is(x[size_t(i)], -1)) return make(node, Op::negate, {x[size_t(1 - i)]}, node.type);
                }
                return std::nullopt;
            case Op::divide: return divide(node);
            case Op::power: return power(node);
            case Op::minimum:
            case Op::maximum: return x[0] == x[1] ? std::optional(x[0]) : std::nullopt;
            case Op::logical_and:
            case Op::logical_or: {
                const double neutral = node.op == Op::logical_and ? 1 : 0;
                for (int i : {0, 1})
                    if (std::optional<double> value = splat(x[size_t(i)])) return *value == neutral ? x[size_t(1 - i)] : x[size_t(i)];
                return x[0] == x[1] ? std::optional(x[0]) : std::nullopt;
            }
            case Op::less_equal:  // x <= c is max(x, c) <= c, and c < x is c < max(x, c):
                if (auto y = maximum_with(x[0], x[1])) return make(node, Op::less_equal, {*y, x[1]}, node.type);
                return std::nullopt;
            case Op::less:
                if (auto y = maximum_with(x[1], x[0])) return make(node, Op::less, {x[0], *y}, node.type);
                return std::nullopt;
            case Op::select:
                if (x[1] == x[2]) return x[1];
                if (std::optional<double> condition = splat(x[0])) return *condition != 0 ? x[1] : x[2];
                if (auto inverse = unary_of(x[0], Op::logical_not)) return make(node, Op::select, {*inverse, x[2], x[1]}, node.type);
                return std::nullopt;
            default: return std::nullopt;  // no rule for this op
        }
    }

    /// max(x, c) for a constant c, if the graph computes it: the mask of a relu's gradient is then made from the relu's result, and its
    /// operand need not be stored.
    std::optional<NodeId> maximum_with(NodeId x, NodeId c) const {
        auto found = maxima_.find(x);
        if (found == maxima_.end() || !splat(c)) return std::nullopt;
        const Node &maximum = at(found->second);
        const NodeId other = maximum.operands[0] == x ? maximum.operands[1] : maximum.operands[0];
        return splat(other) == splat(c) ? std::optional(found->second) : std::nullopt;
    }

    std::optional<NodeId> divide(const Node &node) {
        std::optional<double> divisor = splat(node.operands[1]);
        if (!divisor) return std::nullopt;
        if (*divisor == 1) return node.operands[0];
        if (!is_float(node.type.dtype)) return std::nullopt;
        int exponent = 0;
        const double fraction = std::frexp(std::abs(*divisor), &exponent);
        // Powers of two have exact reciprocals; the bound keeps both normal numbers of f32.
        if (fraction != 0.5 || std::abs(exponent) > 100) return std::nullopt;
        return make(node, Op::multiply, {node.operands[0], constant(node, 1 / *divisor, node.type)}, node.type);
    }

    std::optional<NodeId> power(const Node &node) {
        const NodeId x = node.operands[0];
        std::optional<double> exponent = splat(node.operands[1]);
        if (!exponent || !is_float(node.type.dtype)) return std::nullopt;
        auto times = [&](NodeId a, NodeId b) { return make(node, Op::multiply, {a, b}, node.type); };
        auto inverse = [&](NodeId a) { return make(node, Op::divide, {constant(node, 1, node.type), a}, node.type); };
        if (*exponent == 0) return constant(node, 1, node.type);
        if (*exponent == 1) return x;
        if (*exponent == 2) return times(x, x);
        if (*exponent == 3) return times(times(x, x), x);
        if (*exponent == 4) return times(times(x, x), times(x, x));
        if (*exponent == -1) return inverse(x);
        if (*exponent == -2) return inverse(times(x, x));
        return std::nullopt;
    }

    /// Whether every value of `from` is one of `to`.
    static bool is_exact(DType from, DType to) {
        switch (from) {
            case DType::boolean: return true;
            case DType::u8: return to != DType::boolean;
            case DType::i32: return to == DType::i32 || to == DType::i64 || to == DType::f64;
            case DType::i64: return to == DType::i64;
            case DType::f32: return to == DType::f32 || to == DType::f64;
            case DType::f64: return to == DType::f64;
        }
        return false;
    }

    std::optional<NodeId> cast(const Node &node) {
        const Node &x = operand(node, 0);
        if (x.type == node.type) return node.operands[0];
        if (x.op == Op::cast && is_exact(operand(x, 0).type.dtype, x.type.dtype))
            return make(node, Op::cast, {x.operands[0]}, node.type, node.attrs);
        return std::nullopt;
    }

    // ---- elementwise ops before what moves their operands ----
    std::optional<NodeId> before_broadcast(const Node &node) {
        const Node *first = nullptr;
        for (NodeId id : node.operands) {
            const Node &x = at(id);
            if (splat(id)) continue;
            if (x.op != Op::broadcast || (first && (attrs<BroadcastAttrs>(x).dims != attrs<BroadcastAttrs>(*first).dims ||
                                                    operand(x, 0).type.shape != operand(*first, 0).type.shape)))
                return std::nullopt;
            first = &x;
        }
        if (!first) return std::nullopt;
        const Shape shape = operand(*first, 0).type.shape;
        const Attrs broadcast = first->attrs;
        std::vector<NodeId> operands;
        for (NodeId id : node.operands) {
            const std::optional<double> value = splat(id);
            operands.push_back(value ? constant(node, *value, {at(id).type.dtype, shape}) : at(id).operands[0]);
        }
        const NodeId small = make(node, node.op, operands, {node.type.dtype, shape}, node.attrs);
        return make(node, Op::broadcast, {small}, node.type, broadcast);
    }

    std::optional<NodeId> before_reshape(const Node &node) {
        std::optional<Shape> shape;
        auto is_filled = [&](NodeId id) { return splat(id) || (at(id).op == Op::broadcast && operand(at(id), 0).type.rank() == 0); };
        for (NodeId id : node.operands) {
            if (is_filled(id)) continue;
            if (at(id).op != Op::reshape) return std::nullopt;
            const Shape &from = operand(at(id), 0).type.shape;
            if (shape && *shape != from) return std::nullopt;
            shape = from;
        }
        if (!shape) return std::nullopt;
        std::vector<NodeId> operands;
        for (NodeId id : node.operands) {
            const Node x = at(id);
            if (const std::optional<double> value = splat(id))
                operands.push_back(constant(node, *value, {x.type.dtype, *shape}));
            else if (x.op == Op::broadcast)
                operands.push_back(make(node, Op::broadcast, {x.operands[0]}, {x.type.dtype, *shape}, BroadcastAttrs{*shape, {}}));
            else
                operands.push_back(x.operands[0]);
        }
        const NodeId moved = make(node, node.op, operands, {node.type.dtype, *shape}, node.attrs);
        return reshape(node, moved, node.type.shape);
    }

    // ---- ops that move elements, and reductions ----
    std::optional<NodeId> moving(const Node &node) {
        if (node.operands.empty()) return std::nullopt;
        const NodeId x = node.operands[0];
        const Node from = at(x);
        const bool same_type = from.type == node.type;
        switch (node.op) {
            case Op::reshape:
                if (same_type) return x;
                if (from.op == Op::reshape) return reshape(node, from.operands[0], node.type.shape);
                if (std::optional<double> value = splat(x)) return constant(node, *value, node.type);
                if (from.op == Op::broadcast && operand(from, 0).type.rank() == 0)
                    return make(node, Op::broadcast, {from.operands[0]}, node.type, BroadcastAttrs{node.type.shape, {}});
                return std::nullopt;
            case Op::broadcast: return broadcast(node);
            case Op::transpose: return transpose(node);
            case Op::slice:
            case Op::concat:
            case Op::reverse:
            case Op::pad: return unchanged(node) ? std::optional(x) : std::nullopt;
            case Op::reduce_sum:
            case Op::reduce_product:
            case Op::reduce_max:
            case Op::reduce_min:
                if (from.type.elements() == node.type.elements()) return reshape(node, x, node.type.shape);
                return std::nullopt;
            case Op::matmul: return matmul(node);
            default: return std::nullopt;  // no rule for this op
        }
    }

    bool unchanged(const Node &node) const {
        const Type &from = operand(node, 0).type;
        if (node.op == Op::concat) return node.operands.size() == 1;
        if (node.op == Op::slice) return from == node.type;
        if (node.op == Op::pad) {
            const PadAttrs &pad = attrs<PadAttrs>(node);
            for (const Ints &amounts : {pad.low, pad.high})
                for (int64_t amount : amounts)
                    if (amount != 0) return false;
            return from == node.type;
        }
        for (int64_t axis : attrs<AxesAttrs>(node).axes)  // reverse
            if (from.shape[size_t(axis)] != 1) return false;
        return true;
    }

    std::optional<NodeId> broadcast(const Node &node) {
        const NodeId x = node.operands[0];
        const Node from = at(x);
        if (std::optional<double> value = splat(x)) return constant(node, *value, node.type);
        const Ints &dims = attrs<BroadcastAttrs>(node).dims;
        if (from.op == Op::broadcast) {
            Ints composed;
            for (int64_t dim : attrs<BroadcastAttrs>(from).dims) composed.push_back(dims[size_t(dim)]);
            return make(node, Op::broadcast, {from.operands[0]}, node.type, BroadcastAttrs{node.type.shape, composed});
        }
        if (from.type.elements() == node.type.elements()) return reshape(node, x, node.type.shape);
        if (from.op == Op::reshape) {
            // A reshape that only adds or removes extents of 1 says nothing the broadcast does not.
            const Shape &small = operand(from, 0).type.shape;
            Ints composed;
            size_t next = 0;
            for (size_t i = 0; i < from.type.shape.size(); ++i) {
                if (from.type.shape[i] == 1) continue;
                if (next == small.size() || small[next] != from.type.shape[i]) return std::nullopt;
                composed.push_back(dims[i]);
                ++next;
            }
            if (next == small.size()) return make(node, Op::broadcast, {from.operands[0]}, node.type, BroadcastAttrs{node.type.shape, composed});
        }
        return std::nullopt;
    }

    std::optional<NodeId> transpose(const Node &node) {
        const NodeId x = node.operands[0];
        const Node from = at(x);
        const Ints &axes = attrs<AxesAttrs>(node).axes;
        if (from.op == Op::transpose) {
            Ints composed;
            for (int64_t axis : axes) composed.push_back(attrs<AxesAttrs>(from).axes[size_t(axis)]);
            return make(node, Op::transpose, {from.operands[0]}, node.type, AxesAttrs{composed});
        }
        // The order of extents of 1 does not matter.
        int64_t last = -1;
        for (int64_t axis : axes) {
            if (from.type.shape[size_t(axis)] == 1) continue;
            if (axis < last) return std::nullopt;
            last = axis;
        }
        return reshape(node, x, node.type.shape);
    }

    /// A matmul reads a transposed operand as well as a plain one.
    std::optional<NodeId> matmul(const Node &node) {
        MatmulAttrs attributes = attrs<MatmulAttrs>(node);
        std::vector<NodeId> operands = node.operands;
        bool changed = false;
        for (size_t i : {size_t(0), size_t(1)}) {
            const Node &x = at(operands[i]);
            if (x.op != Op::transpose) continue;
            Ints swapped(size_t(x.type.rank()));
            std::iota(swapped.begin(), swapped.end(), 0);
            std::swap(swapped[swapped.size() - 1], swapped[swapped.size() - 2]);
            if (attrs<AxesAttrs>(x).axes != swapped) continue;
            bool &flag = i == 0 ? attributes.transpose_a : attributes.transpose_b;
            flag = !flag;
            operands[i] = x.operands[0];
            changed = true;
        }
        if (!changed) return std::nullopt;
        return make(node, Op::matmul, operands, node.type, attributes);
    }

    Rewriter rewriter_;
    std::map<NodeId, NodeId> maxima_;  ///< x -> max(x, constant)
};

}  // namespace

Graph simplify(const Graph &graph) { return Simplifier(graph).run(); }

}  // namespace kiln
