// 3x3 convolutions by Winograd's minimal filtering, F(4x4, 3x3) (Lavin & Gray 2016, "Fast algorithms for convolutional neural
// networks", with the points 0, 1, -1, 2, -2 and infinity): a tile of 4x4 results takes 36 multiplications a pair of channels instead of
// 144. Tiles of 6x6 pixels and the weights are transformed, the products are 36 matrix products, and their results are transformed back.
#pragma once

#include "compiler/kernels/schedule.h"

namespace kiln {

/// Results of a tile in each direction, and pixels or products.
inline constexpr int kWinogradTile = 4, kWinogradPoints = 6;

using WinogradElement = std::function<Expr(Expr, Expr, Expr, Expr)>;

/// What the convolution reads: the image with its border of zeros, which is read past its end, too; and the weights.
struct WinogradSource {
    WinogradElement pixel;   ///< (n, y, x, c)
    WinogradElement weight;  ///< (r, s, c, k)
    bool is_plain = false;   ///< pixels are loads and always inside
    int64_t channels = 0;
};

/// Small maps beside each other, so that fewer tiles reach past their ends: the images of a group lie in rows of `images_x`, each `period_y` results
/// below and `period_x` right of its neighbour. They share the zeros of their borders; results between them belong to none.
struct Mosaic {
    int64_t images_y = 1, images_x = 1, period_y = 0, period_x = 0;
    int64_t height = 0, width = 0;       ///< of an image's results
    int64_t images() const { return images_y * images_x; }
    int64_t tiles_y() const;
    int64_t tiles_x() const;
};
/// `shared`: rows and columns of zeros that neighbours can share. The images of a group divide `images`.
Mosaic choose_mosaic(int64_t images, int64_t height, int64_t width, const Ints &shared);

/// Neighbouring channels in vectors of the same length. Of channels that leave a rest of at most half a vector the rest is a group of its own.
struct ChannelGroup {
    int64_t first = 0, count = 0;
    int lanes = 1;
};
std::vector<ChannelGroup> channel_groups(const Lowering &l, int64_t channels);

/// A transformation along both directions of a tile: `half` along the first, `whole` along the second. If the innermost dimension has
/// several groups of channels, each is stored by an update of its own.
struct WinogradTransform {
    struct Part {
        ChannelGroup group;
        Func half;
        Halide::RDom stored;                 ///< of the innermost dimension, if there are several parts
    };
    Func whole;
    std::vector<Part> parts;
};

struct WinogradPlan {
    bool pays = false;
    Mosaic mosaic;
    int64_t tiles_y = 0, tiles_x = 0;        ///< of a group
    int64_t band = 1;        ///< rows of tiles of one task
    int64_t groups = 1;      ///< groups of images of one task
    int rows_x = 1, rows_y = 1, rows_n = 1;  ///< tiles of a register tile, of neighbouring groups
    int64_t panel = 0;       ///< outputs of a panel of weights, in full vectors
    std::vector<ChannelGroup> outputs;       ///< a panel of full vectors, or with a rest all of them: one panel, or several if the rest goes along the channels
    bool rest_along_channels = false;        ///< products of a rest are summed up in vectors along the channels
};
/// `shape`: of the result, [N, P, Q, K]; `shared`: see choose_mosaic.
WinogradPlan plan_winograd(const Lowering &l, const Shape &shape, int64_t channels, const Ints &shared);

/// n is a group of images, but for padded images.
struct WinogradFuncs {
    WinogradPlan plan;
    Func padded;             ///< (c, x, y, n), or undefined
    WinogradTransform tile;  ///< of pixels: half (c, a, i, tx, ty, n), along y, and whole (c, tx, ty, n, i, j), along x, too
    Func half_weights;       ///< (u, c, panel, i, s)
    Func weights;            ///< (u, c, panel, i, j), k = panel * plan.panel + u
    std::vector<Func> sums, products;        ///< (u, tx, ty, n, panel, i, j), a Func for each group of outputs
    Func half_rest_weights, rest_weights;    ///< (c, u, i, s) and (c, u, i, j), of a rest that is summed up along the channels
    Func rest_part;                          ///< (lane, u, tx, ty, n, i, j): its sums of every so many channels
    Halide::RDom vector_of_channels, lane_of_channels, last_channel;
    WinogradTransform image; ///< of products: half (u, panel, i, q, tx, ty, n), whole (u, panel, q, p, tx, ty, n)
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
    WinogradElement pixel;     ///< (n, y, x, c)
    WinogradElement gradient;  ///< (n, y, x, k)
    bool pixel_is_plain = false, gradient_is_plain = false;
};

struct WinogradGradientPlan {
    bool pays = false;
    Mosaic mosaic;
    int64_t tiles_y = 0, tiles_x = 0;        ///< of a group
    int64_t parts = 1;       ///< partial sums, each over as many groups
    int64_t groups = 1;      ///< transformed at a time; divides those of a part
    int64_t band = 1;        ///< rows of tiles transformed at a time; divides tiles_y
    bool by_plane = false;   ///< all samples are transformed before, and a task sums up one of the 36 products
    int64_t columns = 0;     ///< of `part`: the outputs, and zeros, in full vectors; with rest rows, those that fill vectors
    /// Rows of `part` behind those of the channels: the gradients of each output of a rest, by channel, `rows_a_rest` for each. The last of them ends with the channels.
    int64_t rest_rows = 0, rows_a_rest = 1;
    Tile tile;
};
/// `gradient`: of the convolution's result, [N, P, Q, K]; `shared`: see choose_mosaic.
WinogradGradientPlan plan_winograd_gradient(const Lowering &l, const Shape &gradient, int64_t channels, const Ints &shared);

/// n is a group of images, but for padded images.
struct WinogradGradientFuncs {
    WinogradGradientPlan plan;
    Func padded, padded_gradient;    ///< (c, x, y, n), or undefined
    std::vector<Halide::RDom> copied; ///< channels that the updates of padded_gradient store, if some are no full vector
    WinogradTransform tile;          ///< of pixels: half (c, a, i, tx, ty, n), whole (c, tx, ty, n, i, j)
    WinogradTransform gradient;      ///< the same of the gradient, over its outputs, and zeros up to the columns
    Func part;                       ///< (k, c, i, j, p), and behind the channels rest rows
    Halide::RDom tiles;              ///< tx, ty, group of the block, band, block
    WinogradTransform weights;       ///< of sums: half (k, c, i, s), whole (k, c, s, r)
    int64_t channels = 0, outputs = 0;
};
/// [R, S, C, K] as a Func with dimensions (k, c, s, r), scheduled.
Func build_winograd_gradient(Lowering &l, NodeId id, const WinogradGradientSource &source, WinogradGradientFuncs &f);
void schedule_winograd_gradient(Lowering &l, WinogradGradientFuncs &f);

}  // namespace kiln
