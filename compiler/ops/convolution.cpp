// Two-dimensional convolution (as a correlation, like every framework), channels last, and its two gradients. Each is
// bilinear, and the three are closed under differentiation:
//   y[n,p,q,k]  = sum over r,s,c of x[n, h, w, c] * weight[r,s,c,k]      h = p * stride - top + r * dilation, w alike
//   dx[n,h,w,c] = the sum over the (p,q,r,s) that meet at (h,w), and k   conv2d_input_gradient
//   dw[r,s,c,k] = the sum over n,p,q                                     conv2d_weight_gradient
// x is zero outside its extents.
#include "compiler/ops/common.h"

namespace kiln {
namespace {

/// Output extent of one dimension; below 1 if the kernel does not fit.
int64_t output_extent(int64_t extent, int64_t kernel, int64_t stride, int64_t low, int64_t high, int64_t dilation) {
    const int64_t room = extent + low + high - (dilation * (kernel - 1) + 1);
    return room < 0 ? 0 : room / stride + 1;
}

template <typename A> std::optional<ShapeError> check_attrs(const A &attrs) {
    const int64_t kLimit = int64_t(1) << 20;  // products with extents stay far from overflow
    if (attrs.stride.size() != 2 || attrs.dilation.size() != 2 || attrs.padding.size() != 4)
        return shape_error("stride and dilation take two numbers and padding four");
    for (int64_t stride : attrs.stride)
        if (stride < 1 || stride >= kLimit) return shape_error("the stride {} is not in [1, 2^20)", stride);
    for (int64_t dilation : attrs.dilation)
        if (dilation < 1 || dilation >= kLimit) return shape_error("the dilation {} is not in [1, 2^20)", dilation);
    for (int64_t padding : attrs.padding)
        if (padding < 0 || padding >= kLimit) return shape_error("the padding {} is not in [0, 2^20)", padding);
    return std::nullopt;
}

std::optional<ShapeError> check_operands(const Type &a, const char *form_a, const Type &b, const char *form_b) {
    if (a.rank() != 4) return shape_error("the first operand must be {}, not {}", form_a, to_string(a));
    if (b.rank() != 4) return shape_error("the second operand must be {}, not {}", form_b, to_string(b));
    for (const Type *type : {&a, &b})
        if (!is_float(type->dtype)) return shape_error("takes f32 or f64, not {}", to_string(*type));
    if (a.dtype != b.dtype) return shape_error("element types differ: {} and {}", to_string(a), to_string(b));
    return std::nullopt;
}

std::optional<ShapeError> check_extents(const ConvGradAttrs &attrs, const char *meaning) {
    if (attrs.extents.size() != 2) return shape_error("extents takes two numbers, {}", meaning);
    for (int64_t extent : attrs.extents)
        if (extent < 1 || extent > int64_t(1) << 40) return shape_error("the extent {} is not in [1, 2^40]", extent);
    return std::nullopt;
}

/// [P, Q] for an image of (H, W) and a kernel of (R, S).
template <typename A> Ints output_extents(int64_t h, int64_t w, int64_t r, int64_t s, const A &attrs) {
    return {output_extent(h, r, attrs.stride[0], attrs.padding[0], attrs.padding[1], attrs.dilation[0]),
            output_extent(w, s, attrs.stride[1], attrs.padding[2], attrs.padding[3], attrs.dilation[1])};
}

/// A gradient's dy must have the extents that the convolution it belongs to makes.
std::optional<ShapeError> check_gradient_extents(const Ints &expected, const Type &dy) {
    if (dy.shape[1] != expected[0] || dy.shape[2] != expected[1])
        return shape_error("the convolution makes {} and the gradient is {}", to_string(Shape{dy.shape[0], expected[0], expected[1], dy.shape[3]}), to_string(dy));
    return std::nullopt;
}

template <typename A> ConvAttrs conv_attrs(const A &attrs) { return {attrs.stride, attrs.padding, attrs.dilation}; }
template <typename A> ConvGradAttrs gradient_attrs(const A &attrs, int64_t first, int64_t second) {
    return {attrs.stride, attrs.padding, attrs.dilation, {first, second}};
}

/// The loop nest of all three ops: calls f(pixel of x, tap of the weight, pixel of y) for each triple that meets, each
/// argument an offset in units of the innermost dimension. Outermost n, p, q, then r, s.
template <typename A, typename F> void for_each_tap(const Shape &x, const Shape &weight, const Shape &y, const A &attrs, F &&f) {
    const int64_t N = x[0], H = x[1], W = x[2], R = weight[0], S = weight[1], P = y[1], Q = y[2];
    for (int64_t n = 0; n < N; ++n)
        for (int64_t p = 0; p < P; ++p)
            for (int64_t q = 0; q < Q; ++q)
                for (int64_t r = 0; r < R; ++r) {
                    const int64_t h = p * attrs.stride[0] - attrs.padding[0] + r * attrs.dilation[0];
                    if (h < 0 || h >= H) continue;
                    for (int64_t s = 0; s < S; ++s) {
                        const int64_t w = q * attrs.stride[1] - attrs.padding[2] + s * attrs.dilation[1];
                        if (w < 0 || w >= W) continue;
                        f((n * H + h) * W + w, r * S + s, (n * P + p) * Q + q);
                    }
                }
}

}  // namespace

// --- conv2d --------------------------------------------------------------------------------------------------------
ShapeResult shape_conv2d(const std::vector<Type> &operands, const ConvAttrs &attrs, const Type &) {
    const Type &x = operands[0], &weight = operands[1];
    if (auto error = check_attrs(attrs)) return *error;
    if (auto error = check_operands(x, "[N,H,W,C]", weight, "[R,S,C,K]")) return *error;
    if (x.shape[3] != weight.shape[2])
        return shape_error("channels differ: {} of the image {} and {} of the kernel {}", x.shape[3], to_string(x), weight.shape[2], to_string(weight));
    const Ints extents = output_extents(x.shape[1], x.shape[2], weight.shape[0], weight.shape[1], attrs);
    if (extents[0] < 1 || extents[1] < 1) return shape_error("the kernel {} does not fit into the image {}", to_string(weight), to_string(x));
    return Type{x.dtype, {x.shape[0], extents[0], extents[1], weight.shape[3]}};
}
std::vector<NodeId> vjp_conv2d(Builder &b, const Graph &g, NodeId node, NodeId dy) {
    const ConvAttrs a = attrs<ConvAttrs>(g[node]);
    const NodeId x = g[node].operands[0], weight = g[node].operands[1];
    const Shape image = b.type(x).shape, kernel = b.type(weight).shape;
    return {b.append(Op::conv2d_input_gradient, {dy, weight}, gradient_attrs(a, image[1], image[2])),
            b.append(Op::conv2d_weight_gradient, {x, dy}, gradient_attrs(a, kernel[0], kernel[1]))};
}
Tensor evaluate_conv2d(const Node &node, const std::vector<const Tensor *> &operands) {
    const Shape &x = operands[0]->type.shape, &weight = operands[1]->type.shape;
    const int64_t C = weight[2], K = weight[3];
    Tensor result = zeros(node.type);
    for_each_tap(x, weight, node.type.shape, attrs<ConvAttrs>(node), [&](int64_t x_pixel, int64_t tap, int64_t y_pixel) {
        for (int64_t c = 0; c < C; ++c) {
            const double value = operands[0]->values[size_t(x_pixel * C + c)];
            const double *row = operands[1]->values.data() + (tap * C + c) * K;
            double *target = result.values.data() + y_pixel * K;
            for (int64_t k = 0; k < K; ++k) target[k] += value * row[k];
        }
    });
    return result;
}

// --- conv2d_input_gradient: (dy: [N,P,Q,K], weight: [R,S,C,K]) -> [N,H,W,C] ----------------------------------------
ShapeResult shape_conv2d_input_gradient(const std::vector<Type> &operands, const ConvGradAttrs &attrs, const Type &) {
    const Type &dy = operands[0], &weight = operands[1];
    if (auto error = check_attrs(attrs)) return *error;
    if (auto error = check_operands(dy, "[N,P,Q,K]", weight, "[R,S,C,K]")) return *error;
    if (auto error = check_extents(attrs, "the H and W of the image")) return *error;
    if (dy.shape[3] != weight.shape[3])
        return shape_error("channels differ: {} of the gradient {} and {} of the kernel {}", dy.shape[3], to_string(dy), weight.shape[3], to_string(weight));
    if (auto error = check_gradient_extents(output_extents(attrs.extents[0], attrs.extents[1], weight.shape[0], weight.shape[1], attrs), dy)) return *error;
    return Type{dy.dtype, {dy.shape[0], attrs.extents[0], attrs.extents[1], weight.shape[2]}};
}
std::vector<NodeId> vjp_conv2d_input_gradient(Builder &b, const Graph &g, NodeId node, NodeId dz) {
    const ConvGradAttrs a = attrs<ConvGradAttrs>(g[node]);
    const NodeId dy = g[node].operands[0], weight = g[node].operands[1];
    const Shape kernel = b.type(weight).shape;
    return {b.append(Op::conv2d, {dz, weight}, conv_attrs(a)),
            b.append(Op::conv2d_weight_gradient, {dz, dy}, gradient_attrs(a, kernel[0], kernel[1]))};
}
Tensor evaluate_conv2d_input_gradient(const Node &node, const std::vector<const Tensor *> &operands) {
    const Shape &dy = operands[0]->type.shape, &weight = operands[1]->type.shape;
    const int64_t C = weight[2], K = weight[3];
    Tensor result = zeros(node.type);
    for_each_tap(node.type.shape, weight, dy, attrs<ConvGradAttrs>(node), [&](int64_t x_pixel, int64_t tap, int64_t y_pixel) {
        const double *gradient = operands[0]->values.data() + y_pixel * K;
        for (int64_t c = 0; c < C; ++c) {
            const double *row = operands[1]->values.data() + (tap * C + c) * K;
            double sum = 0;
            for (int64_t k = 0; k < K; ++k) sum += gradient[k] * row[k];
            result.values[size_t(x_pixel * C + c)] += sum;
        }
    });
    return result;
}

// --- conv2d_weight_gradient: (x: [N,H,W,C], dy: [N,P,Q,K]) -> [R,S,C,K] --------------------------------------------
ShapeResult shape_conv2d_weight_gradient(const std::vector<Type> &operands, const ConvGradAttrs &attrs, const Type &) {
    const Type &x = operands[0], &dy = operands[1];
    if (auto error = check_attrs(attrs)) return *error;
    if (auto error = check_operands(x, "[N,H,W,C]", dy, "[N,P,Q,K]")) return *error;
    if (auto error = check_extents(attrs, "the R and S of the kernel")) return *error;
    if (x.shape[0] != dy.shape[0])
        return shape_error("batches differ: {} of the image {} and {} of the gradient {}", x.shape[0], to_string(x), dy.shape[0], to_string(dy));
    if (auto error = check_gradient_extents(output_extents(x.shape[1], x.shape[2], attrs.extents[0], attrs.extents[1], attrs), dy)) return *error;
    return Type{x.dtype, {attrs.extents[0], attrs.extents[1], x.shape[3], dy.shape[3]}};
}
std::vector<NodeId> vjp_conv2d_weight_gradient(Builder &b, const Graph &g, NodeId node, NodeId dz) {
    const ConvGradAttrs a = attrs<ConvGradAttrs>(g[node]);
    const NodeId x = g[node].operands[0], dy = g[node].operands[1];
    const Shape image = b.type(x).shape;
    return {b.append(Op::conv2d_input_gradient, {dy, dz}, gradient_attrs(a, image[1], image[2])),
            b.append(Op::conv2d, {x, dz}, conv_attrs(a))};
}
Tensor evaluate_conv2d_weight_gradient(const Node &node, const std::vector<const Tensor *> &operands) {
    const Shape &x = operands[0]->type.shape, &dy = operands[1]->type.shape;
    const int64_t C = node.type.shape[2], K = node.type.shape[3];
    Tensor result = zeros(node.type);
    for_each_tap(x, node.type.shape, dy, attrs<ConvGradAttrs>(node), [&](int64_t x_pixel, int64_t tap, int64_t y_pixel) {
        const double *gradient = operands[1]->values.data() + y_pixel * K;
        for (int64_t c = 0; c < C; ++c) {
            const double value = operands[0]->values[size_t(x_pixel * C + c)];
            double *row = result.values.data() + (tap * C + c) * K;
            for (int64_t k = 0; k < K; ++k) row[k] += value * gradient[k];
        }
    });
    return result;
}

}  // namespace kiln
