// Images seen through an affine map, bilinearly. Output pixel (y, x), counted from the image's centre, reads the image at
// (a y + b x + c, d y + e x + f), in pixels from the centre; the map of each sample is six numbers. Everything is exact for the
// identity: coordinates are multiples of 1/2, no fraction is left, and the pixel itself is the result.
//
// The four pixels around a place are its taps. Outside the image a tap is the nearest pixel, a constant, or the pixel of the
// mirrored image; a place that needs only those is moved next to the image first, so that indices stay small.
#include "compiler/ops/common.h"

#include <algorithm>
#include <cmath>

namespace kiln {
namespace {

constexpr const char *kMapNames[6] = {"a", "b", "c", "d", "e", "f"};

/// A coordinate inside the image or next to it, and its derivative by the coordinate given.
struct Place {
    double at, slope;
};

Place folded(double at, int64_t extent, Fill fill) {
    const double last = double(extent - 1);
    const auto clamped = [](double x, double low, double high, double slope) { return Place{std::clamp(x, low, high), x < low || x > high ? 0 : slope}; };
    if (std::isnan(at)) return {0, 0};
    switch (fill) {
        case Fill::nearest: return clamped(at, 0, last, 1);
        case Fill::constant: return clamped(at, -1, last + 1, 1);
        case Fill::reflect: {
            const double period = 2 * double(extent), shifted = at + 0.5;
            const double phase = shifted - period * std::floor(shifted / period);
            return clamped(std::min(phase, period - phase) - 0.5, 0, last, phase < period - phase ? 1 : -1);
        }
    }
    KILN_UNREACHABLE("fill {}", int(fill));
}

}  // namespace

ShapeResult shape_warp(const std::vector<Type> &operands, const WarpAttrs &, const Type &) {
    const Type &x = operands[0];
    if (!is_float(x.dtype)) return shape_error("takes f32 or f64, not {}", to_string(x));
    if (x.rank() != 4) return shape_error("takes images [N,H,W,C], not {}", to_string(x));
    const Type per_image{x.dtype, {x.shape[0]}};
    for (size_t i = 0; i < 6; ++i)
        if (operands[i + 1] != per_image)
            return shape_error("`{}` of the map of {} is {}, not {}", kMapNames[i], to_string(x), to_string(per_image), to_string(operands[i + 1]));
    return x;
}

namespace {

/// The nodes of the coordinates of all places of a warp, each [N,H,W], and what is derived from them.
class Places {
public:
    Places(Builder &b, const Node &warp, const Type &image)
        : b_(b), fill_(attrs<WarpAttrs>(warp).fill), image_(image.shape), real_{image.dtype, {image_[0], image_[1], image_[2]}},
          whole_{DType::i32, real_.shape} {
        row_ = from_centre(1);
        column_ = from_centre(2);
        const auto &m = warp.operands;
        y_ = fold(place(m[1], m[2], m[3]), image_[1], &slope_y);
        x_ = fold(place(m[4], m[5], m[6]), image_[2], &slope_x);
        top_ = b_.append(Op::floor, {y_});
        left_ = b_.append(Op::floor, {x_});
        fy = b_.subtract(y_, top_);
        fx = b_.subtract(x_, left_);
    }

    struct Tap {
        NodeId index;   ///< i32, of the pixel among those of all images
        NodeId inside;  ///< bool; invalid id: all are
        NodeId weight;
    };
    Tap tap(int below, int right) {
        NodeId y = shifted(top_, below), x = shifted(left_, right);
        Tap result;
        if (fill_ == Fill::constant)
            result.inside = b_.append(Op::logical_and, {within(y, image_[1]), within(x, image_[2])});
        const NodeId sample = b_.multiply(b_.iota(0, whole_), number(whole_, double(image_[1])));
        const NodeId line = b_.add(sample, clamped(y, image_[1]));
        result.index = b_.add(b_.multiply(line, number(whole_, double(image_[2]))), clamped(x, image_[2]));
        result.weight = b_.multiply(below ? fy : rest(fy), right ? fx : rest(fx));
        return result;
    }
    NodeId rest(NodeId fraction) { return b_.subtract(number(real_, 1), fraction); }
    NodeId row() const { return row_; }
    NodeId column() const { return column_; }
    /// [N,H,W] repeated over the channels.
    NodeId over_channels(NodeId x) {
        return b_.append(Op::broadcast, {x}, BroadcastAttrs{image_, {0, 1, 2}});
    }

    NodeId fy, fx;            ///< the fractions
    NodeId slope_y, slope_x;  ///< derivatives of the folded coordinates

private:
    NodeId number(const Type &type, double value) { return b_.constant(value, type); }
    NodeId from_centre(int axis) {
        return b_.subtract(b_.iota(axis, real_), number(real_, double(image_[size_t(axis)] - 1) / 2));
    }
    NodeId per_image(NodeId m) { return b_.append(Op::broadcast, {m}, BroadcastAttrs{real_.shape, {0}}); }
    NodeId place(NodeId by_row, NodeId by_column, NodeId offset) {
        return b_.add(b_.add(b_.multiply(per_image(by_row), row_), b_.multiply(per_image(by_column), column_)), per_image(offset));
    }
    NodeId fold(NodeId from_centre, int64_t extent, NodeId *slope) {
        NodeId at = b_.add(from_centre, number(real_, double(extent - 1) / 2));
        double low = 0, high = double(extent - 1);
        NodeId sign = number(real_, 1);
        if (fill_ == Fill::constant) low = -1, high = double(extent);
        if (fill_ == Fill::reflect) {
            const NodeId period = number(real_, 2 * double(extent)), shifted = b_.add(at, number(real_, 0.5));
            const NodeId phase = b_.subtract(shifted, b_.multiply(period, b_.append(Op::floor, {b_.divide(shifted, period)})));
            const NodeId back = b_.subtract(period, phase);
            sign = b_.append(Op::select, {b_.append(Op::less, {phase, back}), sign, number(real_, -1)});
            at = b_.subtract(b_.append(Op::minimum, {phase, back}), number(real_, 0.5));
        }
        const NodeId outside = b_.append(Op::logical_or, {b_.append(Op::less, {at, number(real_, low)}), b_.append(Op::less, {number(real_, high), at})});
        *slope = b_.append(Op::select, {outside, number(real_, 0), sign});
        return b_.append(Op::minimum, {b_.append(Op::maximum, {at, number(real_, low)}), number(real_, high)});
    }
    NodeId shifted(NodeId first, int by) {
        const NodeId whole = b_.cast(first, DType::i32);
        return by ? b_.add(whole, number(whole_, by)) : whole;
    }
    NodeId within(NodeId i, int64_t extent) {
        return b_.append(Op::logical_and, {b_.append(Op::less_equal, {number(whole_, 0), i}), b_.append(Op::less, {i, number(whole_, double(extent))})});
    }
    NodeId clamped(NodeId i, int64_t extent) {
        return b_.append(Op::minimum, {b_.append(Op::maximum, {i, number(whole_, 0)}), number(whole_, double(extent - 1))});
    }

    Builder &b_;
    Fill fill_;
    Shape image_;
    Type real_, whole_;
    NodeId row_, column_, y_, x_, top_, left_;
};

}  // namespace

// The image's gradient is dy scattered to the taps by their weights; the map's is the slope of the image at each place, times dy.
std::vector<NodeId> vjp_warp(Builder &b, const Graph &g, NodeId node, NodeId dy) {
    const Node warp = g[node];
    const NodeId image = warp.operands[0];
    const Type type = b.type(image);
    const int64_t pixels = type.shape[0] * type.shape[1] * type.shape[2];
    Places places(b, warp, type);
    const NodeId flat = b.reshape(image, {pixels, type.shape[3]});
    NodeId image_gradient;
    NodeId tap_values[2][2];
    for (int below : {0, 1})
        for (int right : {0, 1}) {
            const Places::Tap tap = places.tap(below, right);
            NodeId part = b.multiply(dy, places.over_channels(tap.weight));
            NodeId value = b.append(Op::gather_rows, {flat, tap.index}, GatherAttrs{});
            if (tap.inside.valid()) {
                const NodeId inside = places.over_channels(tap.inside);
                part = b.append(Op::select, {inside, part, b.constant(0, type)});
                value = b.append(Op::select, {inside, value, b.constant(attrs<WarpAttrs>(warp).value, type)});
            }
            const NodeId scattered = b.append(Op::scatter_add_rows, {part, tap.index}, RowsAttrs{pixels});
            image_gradient = image_gradient.valid() ? b.add(image_gradient, scattered) : scattered;
            tap_values[below][right] = value;
        }
    const auto between = [&](NodeId first, NodeId second, NodeId fraction) {
        return b.add(b.multiply(first, places.over_channels(places.rest(fraction))), b.multiply(second, places.over_channels(fraction)));
    };
    const auto by_place = [&](NodeId slope, NodeId sign) {
        return b.multiply(b.reduce(Op::reduce_sum, b.multiply(dy, slope), {3}), sign);
    };
    const auto difference = [&](NodeId second, NodeId first) { return b.subtract(second, first); };
    const NodeId dplace_y = by_place(between(difference(tap_values[1][0], tap_values[0][0]), difference(tap_values[1][1], tap_values[0][1]), places.fx), places.slope_y);
    const NodeId dplace_x = by_place(between(difference(tap_values[0][1], tap_values[0][0]), difference(tap_values[1][1], tap_values[1][0]), places.fy), places.slope_x);
    std::vector<NodeId> gradients{b.reshape(image_gradient, type.shape)};
    for (NodeId dplace : {dplace_y, dplace_x}) {
        gradients.push_back(b.reduce(Op::reduce_sum, b.multiply(dplace, places.row()), {1, 2}));
        gradients.push_back(b.reduce(Op::reduce_sum, b.multiply(dplace, places.column()), {1, 2}));
        gradients.push_back(b.reduce(Op::reduce_sum, dplace, {1, 2}));
    }
    return gradients;
}

Tensor evaluate_warp(const Node &node, const std::vector<const Tensor *> &operands) {
    const auto &a = attrs<WarpAttrs>(node);
    const Shape &shape = node.type.shape;
    const int64_t N = shape[0], H = shape[1], W = shape[2], C = shape[3];
    const std::vector<double> &x = operands[0]->values;
    Tensor result = zeros(node.type);
    size_t output = 0;
    for (int64_t n = 0; n < N; ++n) {
        double m[6];
        for (size_t i = 0; i < 6; ++i) m[i] = operands[i + 1]->values[size_t(n)];
        for (int64_t h = 0; h < H; ++h)
            for (int64_t w = 0; w < W; ++w) {
                const double row = double(h) - double(H - 1) / 2, column = double(w) - double(W - 1) / 2;
                const double y = folded(m[0] * row + m[1] * column + m[2] + double(H - 1) / 2, H, a.fill).at;
                const double z = folded(m[3] * row + m[4] * column + m[5] + double(W - 1) / 2, W, a.fill).at;
                const int64_t top = int64_t(std::floor(y)), left = int64_t(std::floor(z));
                const double fy = y - double(top), fx = z - double(left);
                for (int64_t c = 0; c < C; ++c) {
                    const auto tap = [&](int64_t i, int64_t j) {
                        if (a.fill == Fill::constant && (i < 0 || i >= H || j < 0 || j >= W)) return a.value;
                        i = std::clamp<int64_t>(i, 0, H - 1), j = std::clamp<int64_t>(j, 0, W - 1);
                        return x[size_t(((n * H + i) * W + j) * C + c)];
                    };
                    const auto between = [](double first, double second, double t) { return first + t * (second - first); };
                    result.values[output++] = between(between(tap(top, left), tap(top, left + 1), fx), between(tap(top + 1, left), tap(top + 1, left + 1), fx), fy);
                }
            }
    }
    return result;
}

}  // namespace kiln
