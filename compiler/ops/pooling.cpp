// Windows over images [N,H,W,C] -> [N,P,Q,C]: maxima, their places, their gradient, what lies at a place, and sums. Window element (r, s) of
// output (p, q) is the pixel (p * stride - top + r, q * stride - left + s). Padding is less than the window, so every window
// holds a pixel.
#include "compiler/ops/common.h"

#include <limits>

namespace kiln {
namespace {

template <typename A> ShapeResult window_shape(const Type &x, int64_t h, int64_t w, const A &attrs) {
    if (attrs.window.size() != 2 || attrs.stride.size() != 2 || attrs.padding.size() != 4)
        return shape_error("window and stride take two numbers and padding four");
    for (int64_t stride : attrs.stride)
        if (stride < 1) return shape_error("the stride {} is below 1", stride);
    Type result = x;
    const Ints extents{h, w};
    for (size_t i = 0; i < 2; ++i) {
        if (attrs.window[i] < 1 || attrs.window[i] >= int64_t(1) << 31) return shape_error("the window {} is not in [1, 2^31)", attrs.window[i]);
        for (int64_t padding : {attrs.padding[2 * i], attrs.padding[2 * i + 1]})
            if (padding < 0 || padding >= attrs.window[i])
                return shape_error("the padding {} must be less than the window {}, and not negative", padding, attrs.window[i]);
        const int64_t room = extents[i] + attrs.padding[2 * i] + attrs.padding[2 * i + 1] - attrs.window[i];
        if (room < 0)
            return shape_error("the window {} does not fit into the image {}", to_string(attrs.window), to_string(Shape{x.shape[0], h, w, x.shape[3]}));
        result.shape[i + 1] = room / attrs.stride[i] + 1;
    }
    return result;
}

ShapeResult pooled_shape(const Type &x, const WindowAttrs &attrs) {
    if (!is_float(x.dtype)) return shape_error("takes f32 or f64, not {}", to_string(x));
    if (x.rank() != 4) return shape_error("takes [N,H,W,C], not {}", to_string(x));
    return window_shape(x, x.shape[1], x.shape[2], attrs);
}

WindowGradAttrs gradient_attrs(const WindowAttrs &a, const Shape &image) { return {a.window, a.stride, a.padding, {image[1], image[2]}}; }

/// Calls f(output element, offset of the input element, r, s) for every element inside the image, windows in row-major order.
template <typename A, typename F> void for_each_element(const Shape &x, const Shape &y, const A &attrs, F &&f) {
    const int64_t H = x[1], W = x[2], C = x[3];
    int64_t output = 0;
    for (int64_t n = 0; n < y[0]; ++n)
        for (int64_t p = 0; p < y[1]; ++p)
            for (int64_t q = 0; q < y[2]; ++q)
                for (int64_t c = 0; c < C; ++c, ++output)
                    for (int64_t r = 0; r < attrs.window[0]; ++r) {
                        const int64_t h = p * attrs.stride[0] - attrs.padding[0] + r;
                        if (h < 0 || h >= H) continue;
                        for (int64_t s = 0; s < attrs.window[1]; ++s) {
                            const int64_t w = q * attrs.stride[1] - attrs.padding[2] + s;
                            if (w < 0 || w >= W) continue;
                            f(size_t(output), size_t(((n * H + h) * W + w) * C + c), r, s);
                        }
                    }
}

}  // namespace

// --- max_pool2d ----------------------------------------------------------------------------------------------------
ShapeResult shape_max_pool2d(const std::vector<Type> &operands, const WindowAttrs &attrs, const Type &) { return pooled_shape(operands[0], attrs); }
std::vector<NodeId> vjp_max_pool2d(Builder &b, const Graph &g, NodeId node, NodeId dy) {
    const WindowAttrs a = attrs<WindowAttrs>(g[node]);
    const NodeId x = g[node].operands[0];
    const Shape image = b.type(x).shape;
    const NodeId index = b.append(Op::max_pool2d_index, {x}, a);
    return {b.append(Op::max_pool2d_gradient, {dy, index}, gradient_attrs(a, image))};
}
Tensor evaluate_max_pool2d(const Node &node, const std::vector<const Tensor *> &operands) {
    const Tensor &x = *operands[0];
    Tensor result{node.type, std::vector<double>(size_t(node.type.elements()), -std::numeric_limits<double>::infinity())};
    for_each_element(x.type.shape, node.type.shape, attrs<WindowAttrs>(node), [&](size_t output, size_t input, int64_t, int64_t) {
        if (x.values[input] > result.values[output]) result.values[output] = x.values[input];
    });
    return result;
}

// --- max_pool2d_index ----------------------------------------------------------------------------------------------
ShapeResult shape_max_pool2d_index(const std::vector<Type> &operands, const WindowAttrs &attrs, const Type &) {
    ShapeResult result = pooled_shape(operands[0], attrs);
    if (Type *type = std::get_if<Type>(&result)) type->dtype = DType::i32;
    return result;
}
std::vector<NodeId> vjp_max_pool2d_index(Builder &, const Graph &, NodeId, NodeId) { return {NodeId{}}; }
Tensor evaluate_max_pool2d_index(const Node &node, const std::vector<const Tensor *> &operands) {
    const Tensor &x = *operands[0];
    const auto &a = attrs<WindowAttrs>(node);
    Tensor result = zeros(node.type);
    std::vector<double> best(result.values.size(), 0);
    std::vector<bool> found(result.values.size(), false);
    for_each_element(x.type.shape, node.type.shape, a, [&](size_t output, size_t input, int64_t r, int64_t s) {
        if (found[output] && !(x.values[input] > best[output])) return;
        found[output] = true;
        best[output] = x.values[input];
        result.values[output] = double(r * a.window[1] + s);
    });
    return result;
}

// --- max_pool2d_gradient: (dy: [N,P,Q,C], index: i32[N,P,Q,C]) -> [N,H,W,C] ----------------------------------------
ShapeResult shape_max_pool2d_gradient(const std::vector<Type> &operands, const WindowGradAttrs &attrs, const Type &) {
    const Type &dy = operands[0], &index = operands[1];
    if (!is_float(dy.dtype)) return shape_error("takes f32 or f64, not {}", to_string(dy));
    if (dy.rank() != 4) return shape_error("takes [N,P,Q,C], not {}", to_string(dy));
    if (index != Type{DType::i32, dy.shape}) return shape_error("the index of {} must be i32{}, not {}", to_string(dy), to_string(dy.shape), to_string(index));
    if (attrs.extents.size() != 2) return shape_error("extents takes two numbers, the H and W of the image");
    for (int64_t extent : attrs.extents)
        if (extent < 1 || extent > int64_t(1) << 40) return shape_error("the extent {} is not in [1, 2^40]", extent);
    const ShapeResult pooled = window_shape(dy, attrs.extents[0], attrs.extents[1], attrs);
    if (std::holds_alternative<ShapeError>(pooled)) return pooled;
    if (std::get<Type>(pooled) != dy) return shape_error("the pooling makes {} and the gradient is {}", to_string(std::get<Type>(pooled)), to_string(dy));
    return Type{dy.dtype, {dy.shape[0], attrs.extents[0], attrs.extents[1], dy.shape[3]}};
}
// The op is linear in dy: the gradient of dy[n,p,q,c] is dz at the pixel its index points at.
std::vector<NodeId> vjp_max_pool2d_gradient(Builder &b, const Graph &g, NodeId node, NodeId dz) {
    const WindowGradAttrs &a = attrs<WindowGradAttrs>(g[node]);
    return {b.append(Op::window_pick2d, {dz, g[node].operands[1]}, WindowAttrs{a.window, a.stride, a.padding}), NodeId{}};
}
Tensor evaluate_max_pool2d_gradient(const Node &node, const std::vector<const Tensor *> &operands) {
    const auto &a = attrs<WindowGradAttrs>(node);
    Tensor result = zeros(node.type);
    for_each_element(node.type.shape, operands[0]->type.shape, a, [&](size_t output, size_t input, int64_t r, int64_t s) {
        if (operands[1]->values[output] == double(r * a.window[1] + s)) result.values[input] += operands[0]->values[output];
    });
    return result;
}

// --- window_pick2d: (x: [N,H,W,C], index: i32[N,P,Q,C]) -> [N,P,Q,C]; zero where no pixel of the window has that index ----
ShapeResult shape_window_pick2d(const std::vector<Type> &operands, const WindowAttrs &attrs, const Type &) {
    ShapeResult result = pooled_shape(operands[0], attrs);
    if (const Type *type = std::get_if<Type>(&result); type && operands[1] != Type{DType::i32, type->shape})
        return shape_error("the index of windows over {} must be i32{}, not {}", to_string(operands[0]), to_string(type->shape), to_string(operands[1]));
    return result;
}
std::vector<NodeId> vjp_window_pick2d(Builder &b, const Graph &g, NodeId node, NodeId dy) {
    const Node &pick = g[node];
    return {b.append(Op::max_pool2d_gradient, {dy, pick.operands[1]}, gradient_attrs(attrs<WindowAttrs>(pick), b.type(pick.operands[0]).shape)), NodeId{}};
}
Tensor evaluate_window_pick2d(const Node &node, const std::vector<const Tensor *> &operands) {
    const auto &a = attrs<WindowAttrs>(node);
    Tensor result = zeros(node.type);
    for_each_element(operands[0]->type.shape, node.type.shape, a, [&](size_t output, size_t input, int64_t r, int64_t s) {
        if (operands[1]->values[output] == double(r * a.window[1] + s)) result.values[output] = operands[0]->values[input];
    });
    return result;
}

// --- window_sum2d --------------------------------------------------------------------------------------------------
ShapeResult shape_window_sum2d(const std::vector<Type> &operands, const WindowAttrs &attrs, const Type &) { return pooled_shape(operands[0], attrs); }
// dx[h] is the sum of the dy[p] with 0 <= h + top - p * stride < window. Spread dy out with stride - 1 zeros between its elements,
// and the zeros for the rows at the end that no window reaches; then it is a sum of windows again, at stride 1.
std::vector<NodeId> vjp_window_sum2d(Builder &b, const Graph &g, NodeId node, NodeId dy) {
    const WindowAttrs a = attrs<WindowAttrs>(g[node]);
    const Shape image = b.type(g[node].operands[0]).shape, windows = b.type(node).shape;
    PadAttrs spread{{0, 0, 0, 0}, {0, 0, 0, 0}, {0, 0, 0, 0}};
    WindowAttrs sums{a.window, {1, 1}, {0, 0, 0, 0}};
    for (size_t i = 0; i < 2; ++i) {
        const int64_t room = image[i + 1] + a.padding[2 * i] + a.padding[2 * i + 1] - a.window[i];
        spread.interior[i + 1] = a.stride[i] - 1;
        spread.high[i + 1] = room - (windows[i + 1] - 1) * a.stride[i];
        sums.padding[2 * i] = a.window[i] - 1 - a.padding[2 * i];
        sums.padding[2 * i + 1] = a.window[i] - 1 - a.padding[2 * i + 1];
    }
    const bool dense = a.stride == Ints{1, 1};
    return {b.append(Op::window_sum2d, {dense ? dy : b.append(Op::pad, {dy}, spread)}, sums)};
}
Tensor evaluate_window_sum2d(const Node &node, const std::vector<const Tensor *> &operands) {
    const Tensor &x = *operands[0];
    Tensor result = zeros(node.type);
    for_each_element(x.type.shape, node.type.shape, attrs<WindowAttrs>(node), [&](size_t output, size_t input, int64_t, int64_t) {
        result.values[output] += x.values[input];
    });
    return result;
}

}  // namespace kiln
