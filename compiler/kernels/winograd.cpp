#include "compiler/kernels/winograd.h"

#include <array>

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

}  // namespace

Expr build_winograd(Lowering &l, NodeId id, const WinogradSource &source, WinogradFuncs &f) {
    const Node &node = l.node(id);
    const int64_t width = f.plan.vectors * l.lanes();
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
    f.half_tile = Func(l.name(id, "half_tile"));
    f.half_tile(c, a, i, tx, ty, n) = product(kPixels, i, [&](Expr b) { return pixel(n, ty * kWinogradTile + b, tx * kWinogradTile + a, c); });
    f.tile = Func(l.name(id, "tile"));
    f.tile(c, tx, ty, n, i, j) = product(kPixels, j, [&](Expr b) { return Expr(f.half_tile(c, b, i, tx, ty, n)); });

    Expr k = min(panel * index_expr(width) + u, index_expr(f.shape[3] - 1));
    f.half_weights = Func(l.name(id, "half_weights"));
    f.half_weights(u, c, panel, i, s) = product(kWeights, i, [&](Expr r) { return source.weight(r, s, c, k); });
    f.weights = Func(l.name(id, "weights"));
    f.weights(u, c, panel, i, j) = product(kWeights, j, [&](Expr b) { return Expr(f.half_weights(u, c, panel, i, b)); });

    f.channel = RDom(0, int(source.channels), l.name(id, "channel"));
    f.sum = Func(l.name(id, "sum"));
    f.sum(u, tx, ty, n, panel, i, j) = Internal::make_zero(storage_type(node.type.dtype));
    f.sum(u, tx, ty, n, panel, i, j) += f.weights(u, f.channel.x, panel, i, j) * f.tile(f.channel.x, tx, ty, n, i, j);
    f.product = Func(l.name(id, "product"));
    f.product(u, tx, ty, n, panel, i, j) = f.sum(u, tx, ty, n, panel, i, j);

    f.half_image = Func(l.name(id, "half_image"));
    f.half_image(u, panel, i, q, tx, ty, n) = product(kResults, q, [&](Expr b) { return Expr(f.product(u, tx, ty, n, panel, i, b)); });
    f.image = Func(l.name(id, "image"));
    f.image(u, panel, q, p, tx, ty, n) = product(kResults, p, [&](Expr b) { return Expr(f.half_image(u, panel, b, q, tx, ty, n)); });

    Var on = f.axes[0], oy = f.axes[1], ox = f.axes[2], ok = f.axes[3];
    Expr w = index_expr(width), t = kWinogradTile;
    return f.image(ok % w, ok / w, ox % t, oy % t, ox / t, oy / t, on);
}

}  // namespace kiln
