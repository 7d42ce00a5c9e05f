// Reductions: sum, product, maximum, minimum over axes, which vanish from the result; and the index of a maximum.
#include "compiler/ops/common.h"

#include <limits>

namespace kiln {
namespace {

ShapeResult reduced_shape(const std::vector<Type> &operands, const AxesAttrs &attrs) {
    const Type &x = operands[0];
    if (x.dtype == DType::boolean) return shape_error("takes numbers, not {}", to_string(x));
    if (attrs.axes.empty()) return shape_error("no axis to reduce is named");
    if (auto error = check_axes(attrs.axes, x.rank())) return *error;
    Type result{x.dtype, {}};
    for (int axis = 0; axis < x.rank(); ++axis)
        if (!contains(attrs.axes, axis)) result.shape.push_back(x.shape[size_t(axis)]);
    return result;
}

/// Strides that lead from an element of `shape` to its place in the tensor without `axes`.
Ints strides_without(const Shape &shape, const Ints &axes) {
    Ints strides(shape.size(), 0);
    int64_t stride = 1;
    for (size_t d = shape.size(); d-- > 0;) {
        if (contains(axes, int64_t(d))) continue;
        strides[d] = stride;
        stride *= shape[d];
    }
    return strides;
}

/// Folds in row-major order of the operand. Sums and products of f32 are held in double and rounded once, at the end.
template <typename F> Tensor fold(const Node &node, const Tensor &x, double start, F &&f) {
    Tensor result{node.type, std::vector<double>(size_t(node.type.elements()), start)};
    walk(x.type.shape, 0, strides_without(x.type.shape, attrs<AxesAttrs>(node).axes), [&](int64_t i, int64_t offset) {
        double &target = result.values[size_t(offset)];
        target = f(target, x.values[size_t(i)]);
    });
    return result;
}

Ints complement(const Ints &axes, size_t rank) {
    Ints kept;
    for (int64_t axis = 0; axis < int64_t(rank); ++axis)
        if (!contains(axes, axis)) kept.push_back(axis);
    return kept;
}

/// `reduced` repeated along `axes` of `shape`.
NodeId expand(Builder &b, NodeId reduced, const Shape &shape, const Ints &axes) {
    return b.append(Op::broadcast, {reduced}, BroadcastAttrs{shape, complement(axes, shape.size())});
}

/// Gradient of a maximum (or, with the sign turned, a minimum) over axes: all of it goes to the first extreme element.
NodeId extreme_gradient(Builder &b, const Graph &g, NodeId node, NodeId dy, bool minimum) {
    const NodeId x = g[node].operands[0];
    const Type type = b.type(x);
    const Ints axes = attrs<AxesAttrs>(g[node]).axes;

    // Bring the reduced axes together into one axis, so that argmax sees them in row-major order.
    const bool adjacent = axes.back() - axes.front() + 1 == int64_t(axes.size());
    Ints order = complement(axes, type.shape.size());
    const size_t position = adjacent ? size_t(axes.front()) : order.size();
    order.insert(order.begin() + int64_t(position), axes.begin(), axes.end());
    const NodeId moved = b.transpose(x, order);
    const Shape moved_shape = b.type(moved).shape;
    Shape joined = b.type(node).shape;
    joined.insert(joined.begin() + int64_t(position), type.elements() / b.type(node).elements());
    NodeId flat = b.reshape(moved, joined);
    if (minimum) flat = b.append(Op::negate, {flat});

    const Ints axis{int64_t(position)};
    const NodeId winner = expand(b, b.append(Op::argmax, {flat}, AxisAttrs{axis[0]}), joined, axis);
    const NodeId here = b.append(Op::equal, {b.iota(axis[0], {DType::i32, joined}), winner});
    const NodeId zero = b.constant(0, {type.dtype, joined});
    const NodeId gradient = b.append(Op::select, {here, expand(b, dy, joined, axis), zero});

    Ints inverse(order.size());
    for (size_t i = 0; i < order.size(); ++i) inverse[size_t(order[i])] = int64_t(i);
    return b.transpose(b.reshape(gradient, moved_shape), inverse);
}

}  // namespace

// --- reduce_sum ----------------------------------------------------------------------------------------------------
ShapeResult shape_reduce_sum(const std::vector<Type> &operands, const AxesAttrs &attrs, const Type &) { return reduced_shape(operands, attrs); }
std::vector<NodeId> vjp_reduce_sum(Builder &b, const Graph &g, NodeId node, NodeId dy) {
    const Shape shape = b.type(g[node].operands[0]).shape;
    const Ints axes = attrs<AxesAttrs>(g[node]).axes;
    return {expand(b, dy, shape, axes)};
}
Tensor evaluate_reduce_sum(const Node &node, const std::vector<const Tensor *> &operands) {
    return fold(node, *operands[0], 0, [](double sum, double x) { return sum + x; });
}

// --- reduce_product ------------------------------------------------------------------------------------------------
ShapeResult shape_reduce_product(const std::vector<Type> &operands, const AxesAttrs &attrs, const Type &) { return reduced_shape(operands, attrs); }
// The gradient of element i is the product of the others. With no zero among them that is P / x[i], P being the product of
// the elements that are not zero; with one zero it is P at that zero and 0 elsewhere; with more it is 0. The branches are
// chosen by comparisons, so second derivatives at a zero are not covered.
std::vector<NodeId> vjp_reduce_product(Builder &b, const Graph &g, NodeId node, NodeId dy) {
    const NodeId x = g[node].operands[0];
    const Type type = b.type(x);
    const Ints axes = attrs<AxesAttrs>(g[node]).axes;
    const NodeId zero = b.constant(0, type), one = b.constant(1, type);
    const NodeId is_zero = b.append(Op::equal, {x, zero});
    const NodeId others = b.append(Op::select, {is_zero, one, x});
    const NodeId product = expand(b, b.reduce(Op::reduce_product, others, axes), type.shape, axes);
    const NodeId zeros = expand(b, b.reduce(Op::reduce_sum, b.cast(is_zero, DType::i32), axes), type.shape, axes);
    const Type counts{DType::i32, type.shape};
    const NodeId no_zero = b.append(Op::equal, {zeros, b.constant(0, counts)});
    const NodeId one_zero = b.append(Op::equal, {zeros, b.constant(1, counts)});
    const NodeId at_zero = b.append(Op::select, {one_zero, product, zero});
    const NodeId elsewhere = b.append(Op::select, {no_zero, b.divide(product, others), zero});
    const NodeId slope = b.append(Op::select, {is_zero, at_zero, elsewhere});
    return {b.multiply(expand(b, dy, type.shape, axes), slope)};
}
Tensor evaluate_reduce_product(const Node &node, const std::vector<const Tensor *> &operands) {
    return fold(node, *operands[0], 1, [](double product, double x) { return product * x; });
}

// --- reduce_max, reduce_min ----------------------------------------------------------------------------------------
ShapeResult shape_reduce_max(const std::vector<Type> &operands, const AxesAttrs &attrs, const Type &) { return reduced_shape(operands, attrs); }
std::vector<NodeId> vjp_reduce_max(Builder &b, const Graph &g, NodeId node, NodeId dy) { return {extreme_gradient(b, g, node, dy, false)}; }
Tensor evaluate_reduce_max(const Node &node, const std::vector<const Tensor *> &operands) {
    return fold(node, *operands[0], -std::numeric_limits<double>::infinity(), [](double best, double x) { return x > best ? x : best; });
}

ShapeResult shape_reduce_min(const std::vector<Type> &operands, const AxesAttrs &attrs, const Type &) { return reduced_shape(operands, attrs); }
std::vector<NodeId> vjp_reduce_min(Builder &b, const Graph &g, NodeId node, NodeId dy) { return {extreme_gradient(b, g, node, dy, true)}; }
Tensor evaluate_reduce_min(const Node &node, const std::vector<const Tensor *> &operands) {
    return fold(node, *operands[0], std::numeric_limits<double>::infinity(), [](double best, double x) { return x < best ? x : best; });
}

// --- argmax --------------------------------------------------------------------------------------------------------
ShapeResult shape_argmax(const std::vector<Type> &operands, const AxisAttrs &attrs, const Type &) {
    ShapeResult result = reduced_shape(operands, AxesAttrs{{attrs.axis}});
    if (Type *type = std::get_if<Type>(&result)) type->dtype = DType::i32;
    return result;
}
std::vector<NodeId> vjp_argmax(Builder &, const Graph &, NodeId, NodeId) { return {NodeId{}}; }
Tensor evaluate_argmax(const Node &node, const std::vector<const Tensor *> &operands) {
    const Tensor &x = *operands[0];
    const size_t axis = size_t(attrs<AxisAttrs>(node).axis);
    const int64_t extent = x.type.shape[axis], stride = strides_of(x.type.shape)[axis];
    Tensor result = zeros(node.type);
    for (int64_t i = 0; i < int64_t(result.values.size()); ++i) {
        const int64_t first = i / stride * stride * extent + i % stride;
        int64_t best = 0;
        for (int64_t k = 1; k < extent; ++k)
            if (x.values[size_t(first + k * stride)] > x.values[size_t(first + best * stride)]) best = k;
        result.values[size_t(i)] = double(best);
    }
    return result;
}

}  // namespace kiln
