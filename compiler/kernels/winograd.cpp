#include "compiler/kernels/winograd.h"

namespace kiln {

using namespace Halide;

namespace {

using Matrix = std::vector<std::vector<double>>;

const Matrix kPixels{{4, 0, -5, 0, 1, 0}, {0, -4, -4, 1, 1, 0}, {0, 4, -4, -1, 1, 0}, {0, -2, -1, 2, 1, 0}, {0, 2, -1, -2, 1, 0}, {0, 4, 0, -5, 0, 1}};
const Matrix kWeights{{1. / 4, 0, 0}, {-1. / 6, -1. / 6, -1. / 6}, {-1. / 6, 1. / 6, -1. / 6}, {1. / 24, 1. / 12, 1. / 6}, {1. / 24, -1. / 12, 1. / 6}, {0, 0, 1}};
const Matrix kResults{{1, 1, 1, 1, 1, 0}, {0, 1, -1, 2, -2, 0}, {0, 1, 1, 4, 4, 0}, {0, 1, -1, 8, -8, 1}};

/// Row `row` of matrix times vector. The row is a variable of an unrolled loop, so one of the sums remains.
template <typename Element> Expr product(const Matrix &matrix, Expr row, Element element) {
    std::vector<Expr> rows;
    for (const std::vector<double> &factors : matrix) {
        Expr sum;
        for (size_t i = 0; i < factors.size(); i++) {
            if (factors[i] == 0) continue;
            Expr term = element(index_expr(int64_t(i)));
            if (factors[i] != 1) term = Internal::make_const(term.type(), factors[i]) * term;
            sum = sum.defined() ? sum + term : term;
        }
        rows.push_back(sum);
    }
    return mux(row, rows);
}

Matrix transposed(const Matrix &matrix) {
    Matrix result(matrix[0].size(), std::vector<double>(matrix.size()));
    for (size_t i = 0; i < matrix.size(); i++)
        for (size_t j = 0; j < matrix[0].size(); j++) result[j][i] = matrix[i][j];
    return result;
}

/// Declares a transformation named `name`. The first axis of both lists is the innermost one, which `groups` cut into parts. `half`: the
/// element of a part's `half_axes`; `whole`: the element of `axes` at a channel, computed from the part's half transformation.
void build_transform(WinogradTransform &transform, const std::string &name, const std::vector<ChannelGroup> &groups, const std::vector<Var> &half_axes, const std::vector<Var> &axes,
                     const std::function<Expr(size_t)> &half, const std::function<Expr(const Func &, Expr)> &whole) {
    transform.whole = Func(name);
    for (size_t p = 0; p < groups.size(); p++) {
        WinogradTransform::Part part{groups[p], Func(name + (p == 0 ? "_half" : "_half_rest")), {}};
        part.half(half_axes) = half(p);
        transform.parts.push_back(part);
    }
    if (groups.size() == 1) {
        transform.whole(axes) = whole(transform.parts[0].half, axes[0]);
        return;
    }
    transform.whole(axes) = undef(whole(transform.parts[0].half, axes[0]).type());
    for (WinogradTransform::Part &part : transform.parts) {
        part.stored = RDom(int(part.group.first), int(part.group.count), name + "_channel");
        std::vector<Expr> at(axes.begin(), axes.end());
        at[0] = part.stored.x;
        transform.whole(at) = whole(part.half, part.stored.x);
    }
}

/// `read`, a function of (n, y, x, c), at a place of a group: (group, y, x, c). Of each image it is asked for `height` by `width` elements, and past the last one's end.
WinogradElement in_mosaic(const Mosaic &m, const WinogradElement &read, int64_t height, int64_t width) {
    if (m.images() == 1) return read;
    return [=](Expr group, Expr y, Expr x, Expr c) {
        const auto image_of = [](Expr at, int64_t period, int64_t images) { return images == 1 ? index_expr(0) : Expr(min(at / index_expr(period), index_expr(images - 1))); };
        const Expr of_y = image_of(y, m.period_y, m.images_y), of_x = image_of(x, m.period_x, m.images_x);
        const auto inside = [](Expr at, Expr image, int64_t period, int64_t images, int64_t extent, int64_t tiles) {
            const int64_t past = tiles * kWinogradTile + kWinogradPoints - kWinogradTile - (images - 1) * period;
            return unsafe_promise_clamped(at - image * index_expr(period), 0, index_expr(std::max(extent, past) - 1));
        };
        return read(group * index_expr(m.images()) + of_y * index_expr(m.images_x) + of_x, inside(y, of_y, m.period_y, m.images_y, height, m.tiles_y()),
                    inside(x, of_x, m.period_x, m.images_x, width, m.tiles_x()), c);
    };
}

}  // namespace

/// Adds the products of the outputs from `first` on to `sum`, in vectors along the channels and then one by one what those leave.
static void add_rest(Lowering &l, NodeId id, const WinogradSource &source, WinogradFuncs &f, int64_t first, Func sum) {
    Var c("c"), i("i"), j("j"), tx("tx"), ty("ty"), n("n"), u("u"), panel("panel"), s("s"), lane("lane");
    const int lanes = l.lanes(), in_vectors = int(f.channels) / lanes * lanes;
    f.half_rest_weights = Func(l.name(id, "half_rest_weights")), f.rest_weights = Func(l.name(id, "rest_weights")), f.rest_part = Func(l.name(id, "rest_part"));
    f.half_rest_weights(c, u, i, s) = product(kWeights, i, [&](Expr r) { return source.weight(r, s, c, u + index_expr(first)); });
    f.rest_weights(c, u, i, j) = product(kWeights, j, [&](Expr b) { return Expr(f.half_rest_weights(c, u, i, b)); });
    const auto term = [&](Expr channel) { return f.rest_weights(channel, u, i, j) * f.tile.whole(channel, tx, ty, n, i, j); };
    f.vector_of_channels = RDom(0, in_vectors / lanes, l.name(id, "vector_of_channels")), f.lane_of_channels = RDom(0, lanes, l.name(id, "lane_of_channels"));
    f.rest_part(lane, u, tx, ty, n, i, j) = Internal::make_zero(storage_type(l.node(id).type.dtype));
    f.rest_part(lane, u, tx, ty, n, i, j) += term(f.vector_of_channels.x * lanes + lane);
    sum(u, tx, ty, n, panel, i, j) += f.rest_part(f.lane_of_channels.x, u, tx, ty, n, i, j);
    if (in_vectors == f.channels) return;
    f.last_channel = RDom(in_vectors, int(f.channels) - in_vectors, l.name(id, "last_channel"));
    sum(u, tx, ty, n, panel, i, j) += term(f.last_channel.x);
}

Expr build_winograd(Lowering &l, NodeId id, const WinogradSource &source, WinogradFuncs &f) {
    const Node &node = l.node(id);
    const int64_t width = f.plan.panel;
    f.axes = l.declare_vars(id);
    f.shape = node.type.shape;
    f.channels = source.channels;
    Var c("c"), a("a"), i("i"), j("j"), tx("tx"), ty("ty"), n("n"), u("u"), panel("panel"), s("s"), p("p"), q("q"), x("x"), y("y");

    auto pixel = source.pixel;
    if (!source.is_plain) {
        f.padded = Func(l.name(id, "padded"));
        f.padded(c, x, y, n) = source.pixel(n, y, x, c);
        pixel = [&](Expr in, Expr py, Expr px, Expr channel) { return Expr(f.padded(channel, px, py, in)); };
    }
    const Mosaic &mosaic = f.plan.mosaic;
    const int64_t around = kWinogradPoints - kWinogradTile;
    pixel = in_mosaic(mosaic, pixel, mosaic.height + around, mosaic.width + around);
    build_transform(f.tile, l.name(id, "tile"), channel_groups(l, f.channels), {c, a, i, tx, ty, n}, {c, tx, ty, n, i, j},
        [&](size_t) { return product(kPixels, i, [&](Expr b) { return pixel(n, ty * kWinogradTile + b, tx * kWinogradTile + a, c); }); },
        [&](const Func &half, Expr channel) { return product(kPixels, j, [&](Expr b) { return Expr(half(channel, b, i, tx, ty, n)); }); });

    Expr k = min(panel * index_expr(width) + u, index_expr(f.shape[3] - 1));
    f.half_weights = Func(l.name(id, "half_weights"));
    f.half_weights(u, c, panel, i, s) = product(kWeights, i, [&](Expr r) { return source.weight(r, s, c, k); });
    f.weights = Func(l.name(id, "weights"));
    f.weights(u, c, panel, i, j) = product(kWeights, j, [&](Expr b) { return Expr(f.half_weights(u, c, panel, i, b)); });

    f.channel = RDom(0, int(source.channels), l.name(id, "channel"));
    for (const ChannelGroup &group : f.plan.outputs) {
        const bool is_rest = group.first > 0;
        Func sum(l.name(id, is_rest ? "rest_sum" : "sum")), product(l.name(id, is_rest ? "rest_product" : "product"));
        sum(u, tx, ty, n, panel, i, j) = Internal::make_zero(storage_type(node.type.dtype));
        if (is_rest && f.plan.rest_along_channels) {
            add_rest(l, id, source, f, group.first, sum);
        } else {
            sum(u, tx, ty, n, panel, i, j) += f.weights(u + index_expr(group.first), f.channel.x, panel, i, j) * f.tile.whole(f.channel.x, tx, ty, n, i, j);
        }
        product(u, tx, ty, n, panel, i, j) = sum(u, tx, ty, n, panel, i, j);
        f.sums.push_back(sum), f.products.push_back(product);
    }

    build_transform(f.image, l.name(id, "image"), f.plan.outputs, {u, panel, i, q, tx, ty, n}, {u, panel, q, p, tx, ty, n},
        [&](size_t g) {
            // With a rest the panels lie one after the other along u.
            const bool has_panels = f.plan.outputs[g].count > width;
            const Expr in_panel = has_panels ? u % index_expr(width) : u - index_expr(f.plan.outputs[g].first), of_panel = has_panels ? u / index_expr(width) : Expr(panel);
            return product(kResults, q, [&](Expr b) { return Expr(f.products[g](in_panel, tx, ty, n, of_panel, i, b)); });
        },
        [&](const Func &half, Expr at) { return product(kResults, p, [&](Expr b) { return Expr(half(at, panel, b, q, tx, ty, n)); }); });

    Var on = f.axes[0], oy = f.axes[1], ox = f.axes[2], ok = f.axes[3];
    const Expr images = index_expr(mosaic.images()), in_row = index_expr(mosaic.images_x), group = on / images;
    const Expr at_y = oy + on % images / in_row * index_expr(mosaic.period_y), at_x = ox + on % in_row * index_expr(mosaic.period_x);
    Expr w = index_expr(width), t = kWinogradTile;
    if (f.plan.outputs.size() > 1) return f.image.whole(ok, 0, at_x % t, at_y % t, at_x / t, at_y / t, group);
    return f.image.whole(ok % w, ok / w, at_x % t, at_y % t, at_x / t, at_y / t, group);
}

Func build_winograd_gradient(Lowering &l, NodeId id, const WinogradGradientSource &source, WinogradGradientFuncs &f) {
    const Node &node = l.node(id);
    const Mosaic &mosaic = f.plan.mosaic;
    const int64_t groups = l.shape(node.operands[0])[0] / mosaic.images() / f.plan.parts;
    f.channels = node.type.shape[2], f.outputs = node.type.shape[3];
    Var c("c"), k("k"), a("a"), i("i"), j("j"), tx("tx"), ty("ty"), n("n"), part("part"), s("s"), r("r"), x("x"), y("y");
    // Pixels or gradients as tiles, transformed along y and then along x.
    auto transformed = [&](const Matrix &matrix, const WinogradElement &read, int64_t around, bool is_plain, const std::vector<ChannelGroup> &groups, bool fills, const char *what,
                           Func &padded, WinogradTransform &transform) {
        auto pixel = read;
        if (!is_plain || fills) {
            padded = Func(l.name(id, what) + "_padded");
            if (fills) {
                // Masked vectors of the sums would be taken apart into single numbers.
                padded(c, x, y, n) = Internal::make_zero(storage_type(node.type.dtype));
                const int rest = int(f.outputs % l.lanes()), full = int(f.outputs) - rest;
                f.copied = {RDom(0, full, l.name(id, "full")), RDom(full, rest, l.name(id, "rest"))};
                for (const RDom &copied : f.copied) padded(copied.x, x, y, n) = read(n, y, x, copied.x);
            } else {
                padded(c, x, y, n) = read(n, y, x, c);
            }
            pixel = [&padded](Expr in, Expr py, Expr px, Expr channel) { return Expr(padded(channel, px, py, in)); };
        }
        pixel = in_mosaic(mosaic, pixel, mosaic.height + around, mosaic.width + around);
        build_transform(transform, l.name(id, what), groups, {c, a, i, tx, ty, n}, {c, tx, ty, n, i, j},
            [&](size_t) { return product(matrix, i, [&](Expr b) { return pixel(n, ty * kWinogradTile + b, tx * kWinogradTile + a, c); }); },
            [&](const Func &half, Expr channel) { return product(matrix, j, [&](Expr b) { return Expr(half(channel, b, i, tx, ty, n)); }); });
    };
    transformed(kPixels, source.pixel, kWinogradPoints - kWinogradTile, source.pixel_is_plain, channel_groups(l, f.channels), false, "tile", f.padded, f.tile);
    const bool has_rest = f.plan.rest_rows > 0;
    const std::vector<ChannelGroup> outputs = has_rest ? channel_groups(l, f.outputs) : std::vector<ChannelGroup>{{0, f.plan.columns, l.lanes()}};
    transformed(transposed(kResults), source.gradient, 0, source.gradient_is_plain, outputs, f.plan.columns > f.outputs, "gradient", f.padded_gradient, f.gradient);

    f.tiles = RDom({{0, int(f.plan.tiles_x)}, {0, int(f.plan.band)}, {0, int(f.plan.groups)}, {0, int(f.plan.tiles_y / f.plan.band)}, {0, int(groups / f.plan.groups)}}, l.name(id, "tile_of_sum"));
    Expr group = part * index_expr(groups) + f.tiles[4] * index_expr(f.plan.groups) + f.tiles[2], tile_y = f.tiles[3] * index_expr(f.plan.band) + f.tiles[1];
    f.part = Func(l.name(id, "part"));
    f.part(k, c, i, j, part) = Internal::make_zero(storage_type(node.type.dtype));
    auto gradient = [&](Expr of) { return f.gradient.whole(of, f.tiles[0], tile_y, group, i, j); };
    auto pixel = [&](Expr of) { return f.tile.whole(of, f.tiles[0], tile_y, group, i, j); };
    // The first channel of a rest row.
    auto first_channel = [&](Expr of_rest) { return min(of_rest * index_expr(f.plan.columns), index_expr(f.channels - f.plan.columns)); };
    Expr term = gradient(k) * pixel(c);
    if (has_rest) {
        const Expr row = max(c - index_expr(f.channels), 0), output = min(index_expr(f.plan.columns) + row / index_expr(f.plan.rows_a_rest), index_expr(f.outputs - 1));
        const Expr rest_term = pixel(first_channel(row % index_expr(f.plan.rows_a_rest)) + k) * gradient(output);
        term = select(likely(c < index_expr(f.channels)), gradient(k) * pixel(min(c, index_expr(f.channels - 1))), rest_term);
    }
    f.part(k, c, i, j, part) += term;
    // The partial sums in their order.
    auto sum = [&](size_t g, Expr b, Expr at) {
        Expr column = k, row = c;
        if (g > 0) {
            const Expr of_rest = c / index_expr(f.plan.columns);
            column = unsafe_promise_clamped(c - first_channel(of_rest), 0, index_expr(f.plan.columns - 1)), row = index_expr(f.channels) + (k - index_expr(f.plan.columns)) * index_expr(f.plan.rows_a_rest) + of_rest;
        }
        Expr all = f.part(column, row, at, b, 0);
        for (int64_t p = 1; p < f.plan.parts; p++) all = all + f.part(column, row, at, b, index_expr(p));
        return all;
    };
    build_transform(f.weights, l.name(id), has_rest ? outputs : std::vector<ChannelGroup>{{0, f.outputs, l.lanes()}}, {k, c, i, s}, {k, c, s, r},
        [&](size_t g) { return product(transposed(kWeights), s, [&](Expr b) { return sum(g, b, i); }); },
        [&](const Func &half, Expr at) { return product(transposed(kWeights), r, [&](Expr b) { return Expr(half(at, c, b, s)); }); });
    schedule_winograd_gradient(l, f);
    return f.weights.whole;
}

}  // namespace kiln
