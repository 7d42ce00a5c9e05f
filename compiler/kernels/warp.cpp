// Images through an affine map: every element finds its place in the image and reads four pixels there (ops/warp.cpp).
#include "compiler/kernels/schedule.h"
#include "compiler/support/check.h"

namespace kiln {

using namespace Halide;

namespace {

/// A place along one axis: the pixels before and after it, whether they are in the image, and how far it is from the first.
struct Between {
    Expr first, second, first_inside, second_inside, fraction;
};

Between between_pixels(Expr at, int64_t extent, Fill fill) {
    const auto real = [&](double value) { return Internal::make_const(at.type(), value); };
    const double last = double(extent - 1);
    switch (fill) {
        case Fill::nearest: at = clamp(at, real(0), real(last)); break;
        case Fill::constant: at = clamp(at, real(-1), real(last + 1)); break;
        case Fill::reflect: {
            Expr period = real(2 * double(extent)), shifted = at + real(0.5);
            Expr phase = shifted - period * Halide::floor(shifted / period);
            at = clamp(min(phase, period - phase) - real(0.5), real(0), real(last));
            break;
        }
    }
    Expr floored = Halide::floor(at), first = cast<int>(floored);
    // Clamped as an integer too: a map that is not a number must not read outside the image.
    const auto inside = [&](Expr i) { return fill == Fill::constant ? i >= 0 && i < index_expr(extent) : Internal::const_true(); };
    const auto pixel = [&](Expr i) { return clamp(i, 0, index_expr(extent - 1)); };
    return {pixel(first), pixel(first + 1), inside(first), inside(first + 1), at - floored};
}

}  // namespace

Expr lower_warp(Lowering &l, NodeId id, const Coordinates &at) {
    const Node &node = l.node(id);
    const auto &a = attrs<WarpAttrs>(node);
    const Shape &image = l.shape(id);
    Halide::Type real = expression_type(node.type.dtype);
    const auto from_centre = [&](size_t axis) { return cast(real, at[axis]) - Internal::make_const(real, double(image[axis] - 1) / 2); };
    const auto map = [&](size_t i) { return l.stored_value(node.operands[i + 1], {at[0]}); };
    Expr row = from_centre(1), column = from_centre(2);
    const auto place = [&](size_t first, size_t axis) {
        return between_pixels(map(first) * row + map(first + 1) * column + map(first + 2) + Internal::make_const(real, double(image[axis] - 1) / 2),
                              image[axis], a.fill);
    };
    const Between y = place(0, 1), x = place(3, 2);
    const auto tap = [&](Expr i, Expr j, Expr inside) {
        Expr value = l.stored_value(node.operands[0], {at[0], i, j, at[3]});
        return is_const_one(inside) ? value : select(inside, value, Internal::make_const(real, a.value));
    };
    const auto mix = [](Expr first, Expr second, Expr fraction) { return first + fraction * (second - first); };
    Expr above = mix(tap(y.first, x.first, y.first_inside && x.first_inside), tap(y.first, x.second, y.first_inside && x.second_inside), x.fraction);
    Expr below = mix(tap(y.second, x.first, y.second_inside && x.first_inside), tap(y.second, x.second, y.second_inside && x.second_inside), x.fraction);
    return mix(above, below, y.fraction);
}

}  // namespace kiln
