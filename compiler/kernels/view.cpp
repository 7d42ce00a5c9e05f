// Views: they only change where an operand is read.
#include "compiler/kernels/schedule.h"

namespace kiln {

using namespace Halide;

Expr lower_reshape(Lowering &l, NodeId id, const Coordinates &at) {
    const Node &node = l.node(id);
    const Shape &to = node.type.shape, &from = l.shape(node.operands[0]);
    // Runs of dimensions with equal products map to each other; inside a run the position is linear.
    Coordinates there;
    size_t i = 0, j = 0;
    while (i < to.size() || j < from.size()) {
        size_t i0 = i, j0 = j;
        int64_t a = i < to.size() ? to[i++] : 1, b = j < from.size() ? from[j++] : 1;
        while (a != b) {
            if (a < b) a *= to[i++];
            else b *= from[j++];
        }
        while (i < to.size() && to[i] == 1 && j == from.size()) i++;
        if (i - i0 == 1 && j - j0 == 1) {
            there.push_back(at[i0]);
            continue;
        }
        Expr linear = 0;
        for (size_t k = i0; k < i; k++) linear = linear * index_expr(to[k]) + at[k];
        int64_t stride = b;
        for (size_t k = j0; k < j; k++) {
            stride /= from[k];
            Expr coordinate = linear / index_expr(stride);
            if (k > j0) coordinate = coordinate % index_expr(from[k]);
            there.push_back(from[k] == 1 ? Expr(0) : coordinate);
        }
    }
    return l.value(node.operands[0], there);
}

Expr lower_broadcast(Lowering &l, NodeId id, const Coordinates &at) {
    const Node &node = l.node(id);
    const Shape &from = l.shape(node.operands[0]);
    Coordinates there;
    for (size_t axis = 0; axis < from.size(); axis++)
        there.push_back(from[axis] == 1 ? Expr(0) : at[size_t(attrs<BroadcastAttrs>(node).dims[axis])]);
    return l.value(node.operands[0], there);
}

Expr lower_transpose(Lowering &l, NodeId id, const Coordinates &at) {
    const Node &node = l.node(id);
    Coordinates there(at.size());
    for (size_t axis = 0; axis < at.size(); axis++) there[size_t(attrs<AxesAttrs>(node).axes[axis])] = at[axis];
    return l.value(node.operands[0], there);
}

Expr lower_slice(Lowering &l, NodeId id, const Coordinates &at) {
    const Node &node = l.node(id);
    const SliceAttrs &slice = attrs<SliceAttrs>(node);
    Coordinates there;
    for (size_t axis = 0; axis < at.size(); axis++) there.push_back(at[axis] * index_expr(slice.step[axis]) + index_expr(slice.begin[axis]));
    return l.value(node.operands[0], there);
}

Expr lower_pad(Lowering &l, NodeId id, const Coordinates &at) {
    const Node &node = l.node(id);
    const PadAttrs &pad = attrs<PadAttrs>(node);
    const Shape &from = l.shape(node.operands[0]);
    Coordinates there;
    Expr inside = Internal::const_true();
    for (size_t axis = 0; axis < at.size(); axis++) {
        int64_t step = pad.interior[axis] + 1;
        Expr position = at[axis] - index_expr(pad.low[axis]);
        if (pad.low[axis] > 0) inside = inside && position >= 0;
        if (pad.high[axis] > 0) inside = inside && position <= index_expr((from[axis] - 1) * step);
        if (step > 1) inside = inside && position % index_expr(step) == 0;
        there.push_back(clamp(step > 1 ? position / index_expr(step) : position, 0, index_expr(from[axis] - 1)));
    }
    Expr x = l.value(node.operands[0], there);
    return select(inside, x, Internal::make_zero(x.type()));
}

Expr lower_reverse(Lowering &l, NodeId id, const Coordinates &at) {
    const Node &node = l.node(id);
    Coordinates there = at;
    for (int64_t axis : attrs<AxesAttrs>(node).axes) there[size_t(axis)] = index_expr(node.type.shape[size_t(axis)] - 1) - at[size_t(axis)];
    return l.value(node.operands[0], there);
}

namespace {

/// Parts end to end along the innermost axis, each stored by a loop of its own.
Func build_concat(Lowering &l, NodeId id) {
    const Node &node = l.node(id);
    Func joined(l.name(id));
    const std::vector<Var> axes = l.declare_vars(id);
    joined(reversed(axes)) = undef(storage_type(node.type.dtype));
    int64_t begin = 0;
    for (NodeId operand : node.operands) {
        Coordinates from(axes.begin(), axes.end()), to = from;
        const int64_t extent = l.shape(operand).back();
        RDom r(0, int(extent));
        from.back() = r;
        to.back() = r + index_expr(begin);
        joined(reversed(to)) = to_storage(l.value(operand, from));
        schedule_part(l, joined, axes, node.type.shape, r, extent);
        begin += extent;
    }
    joined.compute_root();
    return joined;
}

}  // namespace

Expr lower_concat(Lowering &l, NodeId id, const Coordinates &at) {
    const Node &node = l.node(id);
    const size_t axis = size_t(attrs<AxisAttrs>(node).axis);
    const bool is_innermost = axis + 1 == node.type.shape.size();
    const int64_t lanes = l.lanes();
    const bool is_aligned = std::all_of(node.operands.begin(), node.operands.end(), [&](NodeId operand) { return l.shape(operand)[axis] % lanes == 0; });
    // Along the vectors, the limited coordinates of a part would be read one by one.
    if (is_innermost && !is_aligned && element_count(node.type.shape) <= kStoredConcat)
        return from_storage(call(l.storage_of(id, [&] { return build_concat(l, id); }), at), node.type.dtype);
    Expr result;
    int64_t end = node.type.shape[axis];
    for (size_t i = node.operands.size(); i-- > 0;) {
        const int64_t extent = l.shape(node.operands[i])[axis], begin = end - extent;
        Coordinates there = at;
        Expr place = at[axis] - index_expr(begin);
        there[axis] = is_innermost && is_aligned ? clamp(place / index_expr(lanes), 0, index_expr(extent / lanes - 1)) * index_expr(lanes) + place % index_expr(lanes)
                                                 : clamp(place, 0, index_expr(extent - 1));
        Expr x = l.value(node.operands[i], there);
        result = result.defined() ? select(at[axis] < index_expr(end), x, result) : x;
        end = begin;
    }
    return result;
}

}  // namespace kiln
