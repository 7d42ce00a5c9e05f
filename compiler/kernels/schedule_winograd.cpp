// Convolutions by minimal filtering: a task transforms the tiles of a few rows or images, multiplies them, and transforms the products
// back while all of it lies in the second cache.
#include "compiler/kernels/winograd.h"

#include "compiler/kernels/target.h"

#include <algorithm>

namespace kiln {

using namespace Halide;

namespace {

/// Bytes of a task's transformed tiles and products together. With weights that stay in the second cache they are written and read again
/// before they leave the nearest caches; else a task has tiles enough that reading the weights anew costs little.
constexpr int64_t kNearWeights = 256 << 10, kNearTaskBytes = 64 << 10;
constexpr int64_t kTaskBytes = 1 << 20, kTaskTiles = 16;
/// Most tiles of a block of a weight gradient, whose products are added up before they are added to the sums in memory; and the
/// fewest that must be at hand.
constexpr int64_t kMostGradientTiles = 64, kLeastGradientTiles = 16;
/// Bytes of partial sums together.
constexpr int64_t kPartBytes = 8 << 20;

/// Products of a tile, for each pair of channels.
constexpr int64_t kProducts = kWinogradPoints * kWinogradPoints;

/// Bytes of a tile of pixels and one of results, both transformed, and of the weights or their sums.
int64_t tile_bytes(int64_t channels, int64_t outputs) { return kProducts * (channels + outputs) * 4; }
int64_t weight_bytes(int64_t channels, int64_t outputs) { return kProducts * channels * outputs * 4; }

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

/// The largest divisor up to a limit.
int64_t divisor(int64_t of, int64_t most) {
    for (int64_t d = std::min(of, most); d > 1; d--)
        if (of % d == 0) return d;
    return 1;
}

}  // namespace

WinogradPlan plan_winograd(const Lowering &l, const Shape &shape, int64_t channels) {
    WinogradPlan plan;
    const int64_t batch = shape[0], height = shape[1], width = shape[2], outputs = shape[3], lanes = l.lanes();
    plan.tiles_y = ceil_div(height, kWinogradTile), plan.tiles_x = ceil_div(width, kWinogradTile);
    // Rows of a register tile: 6 to 9 tiles along x, else along y and over images, too.
    for (int64_t rows = 1; rows <= std::min<int64_t>(plan.tiles_x, 8); rows++)
        if (ceil_div(plan.tiles_x, rows) * rows * 10 <= plan.tiles_x * 11) plan.rows_x = int(rows);
    plan.rows_y = int(divisor(plan.tiles_y, 8 / plan.rows_x));
    plan.rows_n = plan.rows_x * plan.rows_y == plan.tiles_x * plan.tiles_y ? int(divisor(batch, 8 / (plan.rows_x * plan.rows_y))) : 1;
    const int64_t rows = plan.rows_x * plan.rows_y * plan.rows_n;
    const int registers = vector_registers(l.target());
    int64_t best = INT64_MAX;
    for (int vectors = 1; vectors <= 4; vectors++) {
        const int64_t computed = ceil_div(outputs, vectors * lanes) * vectors;
        if (vectors * rows + vectors + 1 <= registers && !(vectors == 4 && rows == 7) && computed <= best) best = computed, plan.vectors = vectors;
    }
    // A task: rows of tiles of one image, or whole images.
    const int64_t row_bytes = plan.tiles_x * tile_bytes(channels, outputs);
    const int64_t most_rows = weight_bytes(channels, outputs) <= kNearWeights ? std::max<int64_t>(kNearTaskBytes / row_bytes, 1)
                                                                              : std::max(kTaskBytes / row_bytes, ceil_div(kTaskTiles, plan.tiles_x));
    plan.band = most_rows >= plan.tiles_y ? plan.tiles_y : std::max<int64_t>(plan.rows_y, divisor(plan.tiles_y / plan.rows_y, most_rows / plan.rows_y) * plan.rows_y);
    plan.images = plan.band == plan.tiles_y ? std::max<int64_t>(plan.rows_n, divisor(batch / plan.rows_n, most_rows / plan.tiles_y / plan.rows_n) * plan.rows_n) : 1;
    // Multiplications and additions of a tile in whole vectors, against those of 16 sums over 3x3 windows. A transformation of 36 numbers
    // takes about 160.
    const double direct = 144.0 * double(height * width) / double(plan.tiles_y * plan.tiles_x * 16) * double(channels) * double(ceil_div(outputs, lanes));
    const double filtered = 36.0 * double(channels) * double(best) + 200.0 * double(ceil_div(channels, lanes)) + 160.0 * double(best);
    plan.pays = channels >= l.lanes() && outputs >= l.lanes() && filtered < 0.8 * direct;
    return plan;
}

void schedule_winograd(Lowering &l, Consumer &consumer, WinogradFuncs &f) {
    const int lanes = l.lanes(), width = f.plan.vectors * lanes;
    const int64_t outputs = f.shape[3];
    Var n = consumer.axes[0], y = consumer.axes[1], x = consumer.axes[2], k = consumer.axes[3];
    Var band("band"), in_band("in_band"), block("block"), in_block("in_block"), task("task"), in_vector("in_vector");
    Stage stage = consumer.stage();
    const int rows = int(f.plan.band * kWinogradTile);
    const int vector = int(std::min<int64_t>(lanes, outputs));
    stage.split(y, band, in_band, rows, consumer.shape[1] % rows == 0 ? TailStrategy::RoundUp : TailStrategy::GuardWithIf);
    stage.split(n, block, in_block, int(f.plan.images), TailStrategy::RoundUp);
    const TailStrategy tail = outputs % vector == 0 ? TailStrategy::RoundUp : consumer.updates ? TailStrategy::GuardWithIf : TailStrategy::ShiftInwards;
    stage.split(k, k, in_vector, vector, tail);
    // The results of a tile are read where they lie side by side.
    Var in_tile("in_tile");
    if (consumer.shape[2] % kWinogradTile == 0)
        stage.split(x, x, in_tile, kWinogradTile, TailStrategy::RoundUp).reorder(in_vector, in_tile, k, x, in_band, in_block, band, block).unroll(in_tile);
    else
        stage.reorder(in_vector, k, x, in_band, in_block, band, block);
    stage.vectorize(in_vector);
    stage.fuse(band, block, task).parallel(task);

    const auto tiles_of = [&](Func func) {
        func.bound_extent(Var("tx"), int(f.plan.tiles_x)).bound_extent(Var("ty"), int(f.plan.band)).bound_extent(Var("n"), int(f.plan.images));
    };
    const int panels = int(ceil_div(outputs, width)), channel_vector = int(std::min<int64_t>(lanes, f.channels));
    Var c("c"), a("a"), i("i"), j("j"), tx("tx"), ty("ty"), tn("n"), u("u"), panel("panel"), s("s"), p("p"), q("q"), cv("cv");
    if (f.padded.defined()) f.padded.compute_at(consumer.func, task).vectorize(c, channel_vector);

    f.tile.compute_at(consumer.func, task).bound_extent(c, int(f.channels));
    tiles_of(f.tile);
    f.tile.split(c, c, cv, channel_vector).reorder(cv, i, j, c, tx, ty, tn).vectorize(cv).unroll(i).unroll(j).bound(i, 0, kWinogradPoints).bound(j, 0, kWinogradPoints);
    f.half_tile.compute_at(f.tile, c).vectorize(c, channel_vector).unroll(a).unroll(i);

    f.weights.compute_root().bound(u, 0, width).bound(panel, 0, panels).bound(i, 0, kWinogradPoints).bound(j, 0, kWinogradPoints);
    f.weights.reorder(u, i, j, c, panel).vectorize(u, lanes).unroll(i).unroll(j);
    Var some("some");
    f.weights.fuse(c, panel, some).parallel(some, std::max(1, int(f.channels) / 8));
    f.half_weights.compute_at(f.weights, u).vectorize(u, lanes).unroll(i).unroll(s);

    Var tile_x("tile_x"), tile_y("tile_y"), tile_n("tile_n");
    f.product.compute_at(consumer.func, task).bound(u, 0, width).bound(panel, 0, panels).bound(i, 0, kWinogradPoints).bound(j, 0, kWinogradPoints);
    tiles_of(f.product);
    f.product.split(tx, tile_x, tx, f.plan.rows_x, TailStrategy::ShiftInwards)
        .split(ty, tile_y, ty, f.plan.rows_y, TailStrategy::ShiftInwards)
        .split(tn, tile_n, tn, f.plan.rows_n, TailStrategy::ShiftInwards);
    f.product.reorder(u, tx, ty, tn, tile_x, tile_y, tile_n, panel, i, j).vectorize(u, lanes).unroll(u).unroll(tx).unroll(ty).unroll(tn);
    f.sum.compute_at(f.product, tile_x).bound_extent(u, width).bound_extent(tx, f.plan.rows_x).bound_extent(ty, f.plan.rows_y).bound_extent(tn, f.plan.rows_n);
    f.sum.vectorize(u, lanes).unroll(u).unroll(tx).unroll(ty).unroll(tn);
    f.sum.update().reorder(u, tx, ty, tn, f.channel.x).vectorize(u, lanes).unroll(u).unroll(tx).unroll(ty).unroll(tn);

    f.image.compute_at(consumer.func, task).bound(u, 0, width).bound(panel, 0, panels).bound(p, 0, kWinogradTile).bound(q, 0, kWinogradTile);
    tiles_of(f.image);
    Var uv("uv");
    f.image.split(u, u, uv, lanes).reorder(uv, p, q, u, panel, tx, ty, tn).vectorize(uv).unroll(p).unroll(q);
    f.half_image.compute_at(f.image, u).vectorize(u, lanes).unroll(i).unroll(q);
}

WinogradGradientPlan plan_winograd_gradient(const Lowering &l, const Shape &gradient, int64_t channels) {
    WinogradGradientPlan plan;
    const int64_t batch = gradient[0], height = gradient[1], width = gradient[2], outputs = gradient[3], lanes = l.lanes();
    plan.tiles_y = ceil_div(height, kWinogradTile), plan.tiles_x = ceil_div(width, kWinogradTile);
    const int64_t tiles = plan.tiles_y * plan.tiles_x;
    const int64_t bytes = weight_bytes(channels, outputs);
    for (int64_t parts = 1; parts <= 8; parts++)
        if (batch % parts == 0 && (parts <= 2 || parts * bytes <= kPartBytes)) plan.parts = parts;
    // Large weights on small maps: all tiles together are no more than twice the sums of the parts.
    plan.by_plane = batch * tiles * tile_bytes(channels, outputs) <= 2 * plan.parts * bytes;
    if (plan.by_plane) plan.parts = 1;
    const int64_t samples = batch / plan.parts;
    plan.columns = ceil_div(outputs, lanes) * lanes;
    plan.tile = choose_tile(l, plan.columns, channels, int(lanes), kTileRows, true);
    const double output_vectors = double(ceil_div(outputs, lanes)), channel_vectors = double(ceil_div(channels, lanes));
    const double products = double(kProducts * channels) * output_vectors;
    // Cycles a tile: its products, reading and writing all sums for each block of tiles, writing and reading the transformed tiles, which lie in
    // nearer caches if a block is small, and copying the rows of pixels that two bands have in common.
    double least = 1e300;
    auto consider = [&](int64_t band, int64_t images) {
        const int64_t block = band * plan.tiles_x * images, block_bytes = block * tile_bytes(channels, outputs);
        const double line = block_bytes <= 40 << 10 ? 3 : block_bytes <= 256 << 10 ? 8 : 12;
        const double cycles = products * (1 + 2.5 / double(block)) + kProducts * (channel_vectors + output_vectors) * line + 48 * channel_vectors * (1 + 0.5 / double(band));
        if ((block <= kMostGradientTiles || band * images == 1) && cycles < least) least = cycles, plan.band = band, plan.images = images;
    };
    if (plan.by_plane) {
        plan.band = plan.tiles_y, plan.images = batch;
    } else {
        for (int64_t band = 1; band < plan.tiles_y; band++)
            if (plan.tiles_y % band == 0) consider(band, 1);
        for (int64_t images = 1; images <= samples; images++)
            if (samples % images == 0) consider(plan.tiles_y, images);
    }
    const int64_t largest = divisor(samples, std::max<int64_t>(1, kMostGradientTiles / tiles)) * tiles;
    const double direct = 144.0 * double(height * width) / double(tiles * 16) * double(channels) * output_vectors;
    const double filtered = products * (1 + 8.0 / double(largest)) + 200.0 * channel_vectors + 160.0 * output_vectors;
    plan.pays = channels >= lanes && outputs >= lanes && largest >= kLeastGradientTiles && filtered < 0.8 * direct;
    return plan;
}

void schedule_winograd_gradient(Lowering &l, WinogradGradientFuncs &f) {
    const int lanes = l.lanes(), rows = f.plan.tile.rows;
    const int stored = f.plan.tile.vectors * lanes;
    Var c("c"), k("k"), a("a"), i("i"), j("j"), tx("tx"), ty("ty"), n("n"), part("part"), s("s"), r("r"), in_panel("in_panel"), panel("panel"), row("row"), block("block");
    f.part.compute_root().bound(k, 0, int(f.plan.columns)).bound(c, 0, int(f.channels)).bound(i, 0, kWinogradPoints).bound(j, 0, kWinogradPoints).bound(part, 0, int(f.plan.parts));
    f.part.vectorize(k, lanes);
    if (f.plan.by_plane) f.part.parallel(j);
    else f.part.parallel(part);
    Stage sums = f.part.update(0);
    sums.split(k, panel, in_panel, stored).split(c, block, row, rows, TailStrategy::GuardWithIf);
    sums.reorder({in_panel, row, f.tiles[0], f.tiles[1], f.tiles[2], block, panel, i, j, f.tiles[3], f.tiles[4], part});
    sums.vectorize(in_panel, lanes).unroll(in_panel);
    sums.unroll(row);
    Var plane("plane");
    if (f.plan.by_plane) sums.fuse(i, j, plane).parallel(plane);
    else sums.parallel(part);

    auto transform = [&](Func padded, Func half, Func whole, int64_t channels) {
        const int wide = int(std::min<int64_t>(lanes, channels));
        Var cv("cv");
        if (padded.defined()) {
            padded.vectorize(c, wide);
            if (f.plan.by_plane) padded.compute_at(whole, n);
            else padded.compute_at(f.part, f.tiles[3]);
        }
        if (f.plan.by_plane) whole.compute_root().parallel(n);
        else whole.compute_at(f.part, f.tiles[3]);
        whole.bound_extent(c, int(channels)).bound_extent(tx, int(f.plan.tiles_x)).bound_extent(ty, int(f.plan.band));
        whole.bound_extent(n, int(f.plan.images)).bound(i, 0, kWinogradPoints).bound(j, 0, kWinogradPoints);
        whole.split(c, c, cv, wide).reorder(cv, i, j, c, tx, ty, n).vectorize(cv).unroll(i).unroll(j);
        half.compute_at(whole, c).vectorize(c, wide).unroll(a).unroll(i);
    };
    transform(f.padded, f.half_tile, f.tile, f.channels);
    transform(f.padded_gradient, f.half_gradient, f.gradient, f.plan.columns);
    for (size_t i = 0; i < f.copied.size(); i++) {
        const int count = i == 0 ? lanes : int(f.outputs % lanes);
        if (count > 1) f.padded_gradient.update(int(i)).vectorize(f.copied[i].x, count);
        else f.padded_gradient.update(int(i)).unscheduled();
    }

    Var kv("kv");
    f.weights.compute_root().bound(k, 0, int(f.outputs)).bound(c, 0, int(f.channels)).bound(s, 0, 3).bound(r, 0, 3);
    f.weights.split(k, k, kv, lanes).reorder(kv, s, r, k, c).vectorize(kv).unroll(s).unroll(r).parallel(c, std::max(1, int(f.channels) / 16));
    f.half_weights.compute_at(f.weights, k).vectorize(k, lanes).unroll(i).unroll(s);
}

}  // namespace kiln
