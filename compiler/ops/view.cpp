// Ops that move elements: reshape, broadcast, transpose, slice, pad, reverse, concat. Any element type.
#include "compiler/ops/common.h"

namespace kiln {
namespace {

/// result[i] = operand[base + sum of index[d] * strides[d]].
Tensor strided_read(const Node &node, const Tensor &operand, int64_t base, const Ints &strides) {
    Tensor result = zeros(node.type);
    walk(node.type.shape, base, strides, [&](int64_t i, int64_t offset) { result.values[size_t(i)] = operand.values[size_t(offset)]; });
    return result;
}

NodeId operand(const Graph &g, NodeId node) { return g[node].operands[0]; }

}  // namespace

// --- reshape -------------------------------------------------------------------------------------------------------
ShapeResult shape_reshape(const std::vector<Type> &operands, const ShapeAttrs &attrs, const Type &) {
    Type result{operands[0].dtype, attrs.shape};
    if (result.elements() != operands[0].elements())
        return shape_error("{} has {} elements and {} has {}", to_string(operands[0]), operands[0].elements(), to_string(attrs.shape), result.elements());
    return result;
}
std::vector<NodeId> vjp_reshape(Builder &b, const Graph &g, NodeId node, NodeId dy) {
    const Shape shape = b.type(operand(g, node)).shape;
    return {b.reshape(dy, shape)};
}
Tensor evaluate_reshape(const Node &node, const std::vector<const Tensor *> &operands) { return {node.type, operands[0]->values}; }

// --- broadcast -----------------------------------------------------------------------------------------------------
ShapeResult shape_broadcast(const std::vector<Type> &operands, const BroadcastAttrs &attrs, const Type &) {
    const Type &x = operands[0];
    if (attrs.dims.size() != x.shape.size()) return shape_error("{} dims are given for {}", attrs.dims.size(), to_string(x));
    if (auto error = check_axes(attrs.dims, int(attrs.shape.size()))) return *error;
    for (size_t i = 0; i < attrs.dims.size(); ++i) {
        const int64_t target = attrs.shape[size_t(attrs.dims[i])];
        if (x.shape[i] != target && x.shape[i] != 1)
            return shape_error("dimension {} of {} is {}, and dimension {} of {} is {}", i, to_string(x), x.shape[i], attrs.dims[i], to_string(attrs.shape), target);
    }
    return Type{x.dtype, attrs.shape};
}
std::vector<NodeId> vjp_broadcast(Builder &b, const Graph &g, NodeId node, NodeId dy) {
    const BroadcastAttrs a = attrs<BroadcastAttrs>(g[node]);
    const Shape shape = b.type(operand(g, node)).shape;
    Ints repeated;  // axes of the result along which elements were repeated
    for (int64_t axis = 0, next = 0; axis < int64_t(a.shape.size()); ++axis) {
        const bool mapped = next < int64_t(a.dims.size()) && a.dims[size_t(next)] == axis;
        const bool kept = mapped && shape[size_t(next)] == a.shape[size_t(axis)];
        if (!kept) repeated.push_back(axis);
        next += mapped;
    }
    const NodeId sum = b.reduce(Op::reduce_sum, dy, repeated);
    return {b.reshape(sum, shape)};
}
Tensor evaluate_broadcast(const Node &node, const std::vector<const Tensor *> &operands) {
    const auto &a = attrs<BroadcastAttrs>(node);
    const Shape &shape = operands[0]->type.shape;
    const Ints source = strides_of(shape);
    Ints strides(a.shape.size(), 0);
    for (size_t i = 0; i < shape.size(); ++i)
        if (shape[i] != 1) strides[size_t(a.dims[i])] = source[i];
    return strided_read(node, *operands[0], 0, strides);
}

// --- transpose -----------------------------------------------------------------------------------------------------
ShapeResult shape_transpose(const std::vector<Type> &operands, const AxesAttrs &attrs, const Type &) {
    const Type &x = operands[0];
    if (attrs.axes.size() != x.shape.size()) return shape_error("{} axes are given for {}", attrs.axes.size(), to_string(x));
    Type result{x.dtype, {}};
    std::vector<bool> seen(x.shape.size(), false);
    for (int64_t axis : attrs.axes) {
        if (axis < 0 || axis >= x.rank()) return shape_error("there is no axis {} in {}", axis, to_string(x));
        if (seen[size_t(axis)]) return shape_error("axis {} is named twice", axis);
        seen[size_t(axis)] = true;
        result.shape.push_back(x.shape[size_t(axis)]);
    }
    return result;
}
std::vector<NodeId> vjp_transpose(Builder &b, const Graph &g, NodeId node, NodeId dy) {
    const Ints axes = attrs<AxesAttrs>(g[node]).axes;
    Ints inverse(axes.size());
    for (size_t i = 0; i < axes.size(); ++i) inverse[size_t(axes[i])] = int64_t(i);
    return {b.transpose(dy, inverse)};
}
Tensor evaluate_transpose(const Node &node, const std::vector<const Tensor *> &operands) {
    const Ints source = strides_of(operands[0]->type.shape);
    Ints strides;
    for (int64_t axis : attrs<AxesAttrs>(node).axes) strides.push_back(source[size_t(axis)]);
    return strided_read(node, *operands[0], 0, strides);
}

// --- slice ---------------------------------------------------------------------------------------------------------
ShapeResult shape_slice(const std::vector<Type> &operands, const SliceAttrs &attrs, const Type &) {
    const Type &x = operands[0];
    const size_t rank = x.shape.size();
    if (attrs.begin.size() != rank || attrs.end.size() != rank || attrs.step.size() != rank)
        return shape_error("begin, end and step must have one entry for each dimension of {}", to_string(x));
    Type result{x.dtype, {}};
    for (size_t i = 0; i < rank; ++i) {
        const int64_t begin = attrs.begin[i], end = attrs.end[i], step = attrs.step[i];
        if (begin < 0 || end > x.shape[i] || begin >= end)
            return shape_error("{}:{} is not a range within dimension {} of {}", begin, end, i, to_string(x));
        if (step < 1) return shape_error("the step {} of dimension {} is below 1", step, i);
        result.shape.push_back((end - begin - 1) / step + 1);
    }
    return result;
}
std::vector<NodeId> vjp_slice(Builder &b, const Graph &g, NodeId node, NodeId dy) {
    const SliceAttrs a = attrs<SliceAttrs>(g[node]);
    const Shape whole = b.type(operand(g, node)).shape, part = b.type(node).shape;
    PadAttrs pad;
    for (size_t i = 0; i < whole.size(); ++i) {
        const int64_t last = a.begin[i] + (part[i] - 1) * a.step[i];
        pad.low.push_back(a.begin[i]);
        pad.high.push_back(whole[i] - 1 - last);
        pad.interior.push_back(a.step[i] - 1);
    }
    return {b.append(Op::pad, {dy}, pad)};
}
Tensor evaluate_slice(const Node &node, const std::vector<const Tensor *> &operands) {
    const auto &a = attrs<SliceAttrs>(node);
    Ints strides = strides_of(operands[0]->type.shape);
    int64_t base = 0;
    for (size_t i = 0; i < strides.size(); ++i) {
        base += a.begin[i] * strides[i];
        strides[i] *= a.step[i];
    }
    return strided_read(node, *operands[0], base, strides);
}

// --- pad -----------------------------------------------------------------------------------------------------------
ShapeResult shape_pad(const std::vector<Type> &operands, const PadAttrs &attrs, const Type &) {
    const Type &x = operands[0];
    const size_t rank = x.shape.size();
    if (attrs.low.size() != rank || attrs.high.size() != rank || attrs.interior.size() != rank)
        return shape_error("low, high and interior must have one entry for each dimension of {}", to_string(x));
    Type result{x.dtype, {}};
    for (size_t i = 0; i < rank; ++i) {
        for (int64_t amount : {attrs.low[i], attrs.high[i], attrs.interior[i]}) {
            if (amount < 0) return shape_error("the padding {} of dimension {} is negative", amount, i);
            if (amount > int64_t(1) << 40) return shape_error("the padding {} of dimension {} is more than 2^40", amount, i);
        }
        if (attrs.interior[i] > 0 && x.shape[i] - 1 > (int64_t(1) << 40) / attrs.interior[i])
            return shape_error("the padding {} within dimension {} of {} is too large", attrs.interior[i], i, to_string(x));
        result.shape.push_back(attrs.low[i] + x.shape[i] + (x.shape[i] - 1) * attrs.interior[i] + attrs.high[i]);
    }
    return result;
}
std::vector<NodeId> vjp_pad(Builder &b, const Graph &g, NodeId node, NodeId dy) {
    const PadAttrs a = attrs<PadAttrs>(g[node]);
    const Shape shape = b.type(operand(g, node)).shape;
    SliceAttrs slice;
    for (size_t i = 0; i < shape.size(); ++i) {
        const int64_t step = a.interior[i] + 1;
        slice.begin.push_back(a.low[i]);
        slice.end.push_back(a.low[i] + (shape[i] - 1) * step + 1);
        slice.step.push_back(step);
    }
    return {b.append(Op::slice, {dy}, slice)};
}
Tensor evaluate_pad(const Node &node, const std::vector<const Tensor *> &operands) {
    const auto &a = attrs<PadAttrs>(node);
    Tensor result = zeros(node.type);
    Ints strides = strides_of(node.type.shape);
    int64_t base = 0;
    for (size_t i = 0; i < strides.size(); ++i) {
        base += a.low[i] * strides[i];
        strides[i] *= a.interior[i] + 1;
    }
    walk(operands[0]->type.shape, base, strides, [&](int64_t i, int64_t offset) { result.values[size_t(offset)] = operands[0]->values[size_t(i)]; });
    return result;
}

// --- reverse -------------------------------------------------------------------------------------------------------
ShapeResult shape_reverse(const std::vector<Type> &operands, const AxesAttrs &attrs, const Type &) {
    if (auto error = check_axes(attrs.axes, operands[0].rank())) return *error;
    return operands[0];
}
std::vector<NodeId> vjp_reverse(Builder &b, const Graph &g, NodeId node, NodeId dy) {
    const Attrs same = g[node].attrs;
    return {b.append(Op::reverse, {dy}, same)};
}
Tensor evaluate_reverse(const Node &node, const std::vector<const Tensor *> &operands) {
    Ints strides = strides_of(node.type.shape);
    int64_t base = 0;
    for (int64_t axis : attrs<AxesAttrs>(node).axes) {
        int64_t &stride = strides[size_t(axis)];
        base += stride * (node.type.shape[size_t(axis)] - 1);
        stride = -stride;
    }
    return strided_read(node, *operands[0], base, strides);
}

// --- concat --------------------------------------------------------------------------------------------------------
ShapeResult shape_concat(const std::vector<Type> &operands, const AxisAttrs &attrs, const Type &) {
    Type result = operands[0];
    if (auto error = check_axes({attrs.axis}, result.rank())) return *error;
    const size_t axis = size_t(attrs.axis);
    for (size_t i = 1; i < operands.size(); ++i) {
        const Type &x = operands[i];
        if (x.dtype != result.dtype) return shape_error("element types differ: {} and {}", to_string(operands[0]), to_string(x));
        if (x.rank() != result.rank()) return shape_error("ranks differ: {} and {}", to_string(operands[0]), to_string(x));
        for (size_t d = 0; d < x.shape.size(); ++d)
            if (d != axis && x.shape[d] != result.shape[d])
                return shape_error("{} and {} differ in dimension {}, and are joined along dimension {}", to_string(operands[0]), to_string(x), d, axis);
        result.shape[axis] += x.shape[axis];
    }
    return result;
}
std::vector<NodeId> vjp_concat(Builder &b, const Graph &g, NodeId node, NodeId dy) {
    const Node whole = g[node];
    const size_t axis = size_t(attrs<AxisAttrs>(whole).axis);
    std::vector<NodeId> gradients;
    SliceAttrs slice{Ints(whole.type.shape.size(), 0), whole.type.shape, Ints(whole.type.shape.size(), 1)};
    int64_t offset = 0;
    for (NodeId part : whole.operands) {
        slice.begin[axis] = offset;
        slice.end[axis] = offset += b.type(part).shape[axis];
        gradients.push_back(b.append(Op::slice, {dy}, slice));
    }
    return gradients;
}
Tensor evaluate_concat(const Node &node, const std::vector<const Tensor *> &operands) {
    Tensor result = zeros(node.type);
    const Ints strides = strides_of(node.type.shape);
    const size_t axis = size_t(attrs<AxisAttrs>(node).axis);
    int64_t base = 0;
    for (const Tensor *part : operands) {
        walk(part->type.shape, base, strides, [&](int64_t i, int64_t offset) { result.values[size_t(offset)] = part->values[size_t(i)]; });
        base += part->type.shape[axis] * strides[axis];
    }
    return result;
}

}  // namespace kiln
