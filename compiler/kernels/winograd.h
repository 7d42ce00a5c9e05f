// 3x3 convolutions by Winograd's minimal filtering, F(4x4, 3x3) (Lavin & Gray 2016, "Fast algorithms for convolutional neural
// networks", with the points 0, 1, -1, 2, -2 and infinity): a tile of 4x4 results takes 36 multiplications a pair of channels instead of
// 144. Tiles of 6x6 pixels and the weights are transformed, the products are 36 matrix products, and their results are transformed back.
#pragma once

#include "compiler/kernels/schedule.h"

namespace kiln {

/// Results of a tile in each direction, and pixels or products.
inline constexpr int kWinogradTile = 4, kWinogradPoints = 6;

/// What the convolution reads: the image with its border of zeros, which is read past its end, too; and the weights.
struct WinogradSource {
    std::function<Expr(Expr, Expr, Expr, Expr)> pixel;   ///< (n, y, x, c)
    std::function<Expr(Expr, Expr, Expr, Expr)> weight;  ///< (r, s, c, k)
    bool is_plain = false;   ///< pixels are loads and always inside
    int64_t channels = 0;
};

struct WinogradPlan {
    bool pays = false;
    int64_t tiles_y = 0, tiles_x = 0;
    int64_t band = 1;        ///< rows of tiles of one task
    int64_t images = 1;      ///< images of one task
    int rows_x = 1, rows_y = 1, rows_n = 1;  ///< tiles of a register tile
    int vectors = 1;
};
/// `shape`: of the result, [N, P, Q, K].
WinogradPlan plan_winograd(const Lowering &l, const Shape &shape, int64_t channels);

struct WinogradFuncs {
    WinogradPlan plan;
    Func padded;             ///< (c, x, y, n), or undefined
    Func half_tile;          ///< (c, a, i, tx, ty, n): the tile transformed along y
    Func tile;               ///< (c, tx, ty, n, i, j): and along x
    Func half_weights;       ///< (u, c, panel, i, s)
    Func weights;            ///< (u, c, panel, i, j), k = panel * width + u
    Func sum, product;       ///< (u, tx, ty, n, panel, i, j)
    Func half_image;         ///< (u, panel, i, q, tx, ty, n)
    Func image;              ///< (u, panel, q, p, tx, ty, n)
    Halide::RDom channel;
    std::vector<Var> axes;   ///< of the result: n, y, x, k
    Shape shape;
    int64_t channels = 0;
};
/// The result as an expression over f.axes.
Expr build_winograd(Lowering &l, NodeId id, const WinogradSource &source, WinogradFuncs &f);
void schedule_winograd(Lowering &l, Consumer &consumer, WinogradFuncs &f);

/// The gradient of the weights: transformed back from the sums of products of transformed pixels and transformed gradients.
struct WinogradGradientSource {
    std::function<Expr(Expr, Expr, Expr, Expr)> pixel;     ///< (n, y, x, c)
    std::function<Expr(Expr, Expr, Expr, Expr)> gradient;  ///< (n, y, x, k)
    bool pixel_is_plain = false, gradient_is_plain = false;
};

struct WinogradGradientPlan {
    bool pays = false;
    int64_t tiles_y = 0, tiles_x = 0;
    int64_t parts = 1;       ///< partial sums, each over batch / parts samples
    int64_t images = 1;      ///< transformed at a time; divides batch / parts
    int64_t band = 1;        ///< rows of tiles transformed at a time; divides tiles_y
    bool by_plane = false;   ///< all samples are transformed before, and a task sums up one of the 36 products
    int64_t columns = 0;     ///< of k in `gradient` and `part`: the outputs and zeros, in full vectors
    Tile tile;
};
/// `gradient`: of the convolution's result, [N, P, Q, K].
WinogradGradientPlan plan_winograd_gradient(const Lowering &l, const Shape &gradient, int64_t channels);

struct WinogradGradientFuncs {
    WinogradGradientPlan plan;
    Func padded, padded_gradient;    ///< (c, x, y, n), or undefined
    std::vector<Halide::RDom> copied; ///< channels that the updates of padded_gradient store, if some are no full vector
    Func half_tile, tile;            ///< (c, a, i, tx, ty, n), (c, tx, ty, n, i, j)
    Func half_gradient, gradient;    ///< the same of the gradient
    Func part;                       ///< (k, c, i, j, p)
    Halide::RDom tiles;              ///< tx, ty, image of the block, block
    Func half_weights, weights;      ///< (k, c, i, s), (k, c, s, r)
    int64_t channels = 0, outputs = 0;
};
/// [R, S, C, K] as a Func with dimensions (k, c, s, r), scheduled.
Func build_winograd_gradient(Lowering &l, NodeId id, const WinogradGradientSource &source, WinogradGradientFuncs &f);
void schedule_winograd_gradient(Lowering &l, WinogradGradientFuncs &f);

}  // namespace kiln
