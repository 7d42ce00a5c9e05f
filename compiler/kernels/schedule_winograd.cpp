// Convolutions by minimal filtering: a task transforms the tiles of a few rows or images, multiplies them, and transforms the products
// back while all of it lies in the second cache.
#include "compiler/kernels/winograd.h"

#include "compiler/kernels/target.h"

#include <algorithm>
#include <numeric>

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
/// Images lie beside each other if that leaves no more than this share of the tiles, and at most so many of a group, which is transformed as a whole.
constexpr double kMosaicPays = 0.9;
constexpr int64_t kMostMosaicTiles = 64;
/// Bytes of partial sums together.
constexpr int64_t kPartBytes = 8 << 20;

/// Additions that sum up the lanes of a vector, in the time of additions of vectors.
constexpr int64_t kSumOfLanes = 8;
/// Least tiles of a register tile that has a rest.
constexpr int64_t kRowsOfRest = 4;

/// Products of a tile, for each pair of channels.
constexpr int64_t kProducts = kWinogradPoints * kWinogradPoints;

/// Bytes of a tile of pixels and one of results, both transformed, and of the weights or their sums.
int64_t tile_bytes(int64_t channels, int64_t outputs) { return kProducts * (channels + outputs) * 4; }
int64_t weight_bytes(int64_t channels, int64_t outputs) { return kProducts * channels * outputs * 4; }

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

/// Results that belong to an image, of those of all tiles.
double filled_share(const Mosaic &m) { return double(m.images() * m.height * m.width) / double(m.tiles_y() * m.tiles_x() * kWinogradTile * kWinogradTile); }

/// The largest divisor up to a limit.
int64_t divisor(int64_t of, int64_t most) {
    for (int64_t d = std::min(of, most); d > 1; d--)
        if (of % d == 0) return d;
    return 1;
}

/// One vector of channels after the other is transformed, with loops over the elements of a tile `unrolled`, for all of `outer`; the last of those in parallel, `task` at a
/// time, if that is not 0. A rest of channels is transformed one after the other, in vectors along the tiles of a row, the axis `row`, if they fill some.
void schedule_transform(WinogradTransform &transform, const std::vector<Var> &half_unrolled, const std::vector<Var> &unrolled, const std::vector<Var> &outer, int task, const Var &row, int64_t row_tiles) {
    const int tiles = int(std::gcd(row_tiles, int64_t{4}));
    for (size_t p = 0; p < transform.parts.size(); p++) {
        WinogradTransform::Part &part = transform.parts[p];
        const bool is_update = transform.parts.size() > 1, along_row = p > 0 && 2 * part.group.count <= tiles;
        const Var channel = transform.whole.args()[0];
        Stage stage = is_update ? transform.whole.update(int(p)) : Stage(transform.whole);
        VarOrRVar all = is_update ? VarOrRVar(part.stored.x) : VarOrRVar(channel);
        VarOrRVar vector = is_update ? VarOrRVar(RVar("vector")) : VarOrRVar(Var("vector")), in_vector = is_update ? VarOrRVar(RVar("in_vector")) : VarOrRVar(Var("in_vector"));
        const int lanes = along_row ? tiles : part.group.lanes;
        if (along_row) vector = all, in_vector = VarOrRVar(Var("tile_of_vector"));
        std::vector<VarOrRVar> order{in_vector};
        order.insert(order.end(), unrolled.begin(), unrolled.end());
        order.push_back(vector);
        order.insert(order.end(), outer.begin(), outer.end());
        if (along_row) stage.split(row, row, in_vector, lanes, TailStrategy::RoundUp);
        else stage.split(all, vector, in_vector, lanes);
        stage.reorder(order);
        if (lanes > 1) stage.vectorize(in_vector);
        for (const Var &var : unrolled) stage.unroll(var);
        if (task > 0) stage.parallel(outer.back(), task, TailStrategy::GuardWithIf);
        part.half.compute_at(LoopLevel(transform.whole, vector));
        if (lanes > 1) part.half.vectorize(along_row ? row : channel, lanes);
        for (const Var &var : half_unrolled) part.half.unroll(var);
    }
}

/// Vectors of channels that begin in the middle of a line take two. With less than two full ones, the room between them costs as much.
void align_vectors(Func func, int64_t channels, int lanes) {
    if (channels > 2 * lanes) func.align_storage(func.args()[0], lanes);
}

}  // namespace

std::vector<ChannelGroup> channel_groups(const Lowering &l, int64_t channels) {
    const ChannelSplit split = split_rest(l, channels);
    std::vector<ChannelGroup> groups{{0, split.full, int(std::min<int64_t>(l.lanes(), channels))}};
    if (split.rest > 0) groups.push_back({split.full, split.rest, int(split.rest)});
    return groups;
}

int64_t Mosaic::tiles_y() const { return ceil_div((images_y - 1) * period_y + height, kWinogradTile); }
int64_t Mosaic::tiles_x() const { return ceil_div((images_x - 1) * period_x + width, kWinogradTile); }

Mosaic choose_mosaic(int64_t images, int64_t height, int64_t width, const Ints &shared) {
    const int64_t around = kWinogradPoints - kWinogradTile;
    const auto period = [&](int64_t extent, int64_t zeros) { return extent + around - std::clamp<int64_t>(zeros, 0, around); };
    Mosaic best{1, 1, period(height, shared[0]), period(width, shared[1]), height, width};
    double least = kMosaicPays * double(best.tiles_y() * best.tiles_x());
    for (int64_t images_y = 1; images_y <= 4; images_y *= 2)
        for (int64_t images_x = 1; images_x <= 4; images_x *= 2) {
            Mosaic m = best;
            m.images_y = images_y, m.images_x = images_x;
            const int64_t of_group = m.tiles_y() * m.tiles_x();
            const double tiles = double(of_group) / double(m.images());
            if (images % m.images() == 0 && of_group <= kMostMosaicTiles && tiles < least) least = tiles, best = m;
        }
    return best;
}

/// What the sums of a Winograd convolution cost.
struct SumsCost {
    double vectors = 0;             ///< computed for all outputs
    double cycles = 1e300;          ///< of those, for a step of a tile of results
};

/// The outputs of a register tile whose rows are chosen.
static SumsCost choose_outputs(const Lowering &l, WinogradPlan &plan, int64_t outputs, int64_t channels) {
    const int64_t rows = plan.rows_x * plan.rows_y * plan.rows_n, lanes = l.lanes();
    const int registers = vector_registers(l.target());
    const ChannelSplit split = split_rest(l, outputs);
    SumsCost best;
    for (int vectors = 1; vectors <= 4; vectors++) {
        if (vectors * rows + vectors + 1 > registers || (vectors == 4 && rows == 7)) continue;
        // With 32 registers any number of vectors keeps the multipliers busy.
        const double cycles = registers > 16 ? 1 : cycles_of_step(l, {vectors, int(rows)}) / double(vectors * rows), computed = double(ceil_div(outputs, vectors * lanes) * vectors);
        if (computed * cycles <= best.cycles) best = {computed, computed * cycles}, plan.rest_along_channels = false, plan.panel = vectors * lanes, plan.outputs = {{0, vectors * lanes, int(lanes)}};
        // A rest goes with the only panel, or along the channels beside several, if there are rows enough to make the sum of its lanes cheap.
        if (split.rest == 0 || split.full % (vectors * lanes) != 0 || rows < kRowsOfRest) continue;
        const bool along_channels = split.rest * rows + 2 <= registers && split.rest * (channels / lanes + channels % lanes + kSumOfLanes) < channels, is_one = split.full == vectors * lanes;
        const double with_rest = double(split.full) / double(lanes) + 0.5;
        if (!is_one && (!along_channels || vectors == 1 || with_rest * cycles > best.cycles)) continue;
        plan.rest_along_channels = along_channels;
        best = {with_rest, with_rest * cycles}, plan.panel = along_channels ? vectors * lanes : (vectors + 1) * lanes, plan.outputs = {{0, split.full, int(lanes)}};
        if (along_channels) plan.outputs.push_back({split.full, split.rest, 1});
        else plan.outputs.push_back({split.full, split.rest_lanes, int(split.rest_lanes)});
    }
    return best;
}

/// Rows of a register tile, of which `rows_x` along x: along y and over images, too, if there are few.
static void choose_other_rows(WinogradPlan &plan, int64_t batch, int most) {
    plan.rows_y = int(divisor(plan.tiles_y, most / plan.rows_x));
    plan.rows_n = plan.rows_x * plan.rows_y == plan.tiles_x * plan.tiles_y ? int(divisor(batch, most / (plan.rows_x * plan.rows_y))) : 1;
}

/// The register tile of the sums.
static SumsCost choose_sums(const Lowering &l, WinogradPlan &plan, int64_t batch, int64_t outputs, int64_t channels) {
    if (vector_registers(l.target()) > 16) {
        // 6 to 9 rows.
        for (int64_t rows = 1; rows <= std::min<int64_t>(plan.tiles_x, 8); rows++)
            if (ceil_div(plan.tiles_x, rows) * rows * 10 <= plan.tiles_x * 11) plan.rows_x = int(rows);
        choose_other_rows(plan, batch, 8);
        return choose_outputs(l, plan, outputs, channels);
    }
    // 16 registers hold 8 rows of one vector, which wait for their loads, and 4 or 6 of two.
    SumsCost best;
    const WinogradPlan begun = plan;
    for (int rows = 1; rows <= std::min<int64_t>(plan.tiles_x, 6); rows++) {
        WinogradPlan with = begun;
        with.rows_x = rows;
        choose_other_rows(with, batch, 6);
        SumsCost cost = choose_outputs(l, with, outputs, channels);
        cost.cycles *= double(ceil_div(plan.tiles_x, rows) * rows);
        if (cost.cycles <= best.cycles) best = cost, plan = with;
    }
    return best;
}

WinogradPlan plan_winograd(const Lowering &l, const Shape &shape, int64_t channels, const Ints &shared) {
    WinogradPlan plan;
    const int64_t outputs = shape[3], lanes = l.lanes();
    const bool near = weight_bytes(channels, outputs) <= kNearWeights;
    // A task of near weights is a few rows of tiles, and the rows of a group belong to several images.
    plan.mosaic = choose_mosaic(near ? 1 : shape[0], shape[1], shape[2], shared);
    const int64_t batch = shape[0] / plan.mosaic.images();
    plan.tiles_y = plan.mosaic.tiles_y(), plan.tiles_x = plan.mosaic.tiles_x();
    const double best = choose_sums(l, plan, batch, outputs, channels).vectors;
    // A task: rows of tiles of one group, or whole groups.
    const int64_t row_bytes = plan.tiles_x * tile_bytes(channels, outputs);
    const int64_t most_rows = near ? std::max<int64_t>(kNearTaskBytes / row_bytes, 1) : std::max(kTaskBytes / row_bytes, ceil_div(kTaskTiles, plan.tiles_x));
    const bool is_whole = most_rows >= plan.tiles_y || plan.mosaic.images() > 1;
    plan.band = is_whole ? plan.tiles_y : std::max<int64_t>(plan.rows_y, divisor(plan.tiles_y / plan.rows_y, most_rows / plan.rows_y) * plan.rows_y);
    plan.groups = plan.band == plan.tiles_y ? std::max<int64_t>(plan.rows_n, divisor(batch / plan.rows_n, most_rows / plan.tiles_y / plan.rows_n) * plan.rows_n) : 1;
    // Multiplications and additions of a tile in whole vectors, against those of 16 sums over 3x3 windows. A transformation of 36 numbers
    // takes about 160.
    const double direct = 144.0 * filled_share(plan.mosaic) * double(channels) * double(ceil_div(outputs, lanes));
    const double filtered = 36.0 * double(channels) * best + 200.0 * double(ceil_div(channels, lanes)) + 160.0 * best;
    plan.pays = channels >= l.lanes() && outputs >= l.lanes() && filtered < 0.8 * direct;
    return plan;
}

/// The sums of a rest that is summed up along the channels: for all tiles of a register tile vectors of every so many channels, then their lanes.
static void schedule_rest(WinogradFuncs &f, Func sum, const LoopLevel &at, int lanes) {
    Var u("u"), tx("tx"), ty("ty"), n("n"), lane("lane");
    const auto unrolled = [&](Stage stage) { stage.unroll(u).unroll(tx).unroll(ty).unroll(n); };
    unrolled(sum);
    unrolled(sum.update(0).reorder(f.lane_of_channels.x, u, tx, ty, n).atomic().vectorize(f.lane_of_channels.x, lanes));
    if (f.last_channel.defined()) unrolled(sum.update(1).reorder(u, tx, ty, n, f.last_channel.x));
    f.rest_part.compute_at(at).vectorize(lane, lanes).unroll(u).unroll(tx).unroll(ty).unroll(n);
    unrolled(f.rest_part.update().reorder(lane, u, tx, ty, n, f.vector_of_channels.x).vectorize(lane, lanes));
}

void schedule_winograd(Lowering &l, Consumer &consumer, WinogradFuncs &f) {
    const int lanes = l.lanes(), width = int(f.plan.panel);
    const int64_t outputs = f.shape[3];
    Var n = consumer.axes[0], y = consumer.axes[1], x = consumer.axes[2], k = consumer.axes[3];
    Var band("band"), in_band("in_band"), block("block"), in_block("in_block"), task("task"), in_vector("in_vector");
    Stage stage = consumer.stage();
    const int rows = int(f.plan.band == f.plan.tiles_y ? f.shape[1] : f.plan.band * kWinogradTile), images = int(f.plan.groups * f.plan.mosaic.images());
    const int vector = int(std::min<int64_t>(lanes, outputs));
    LoopLevel of_task;
    if (consumer.within != nullptr) {
        of_task = schedule_tasks(l, consumer, rows, images, true);
        in_band = y, in_block = n;
    } else {
        stage.split(y, band, in_band, rows, consumer.shape[1] % rows == 0 ? TailStrategy::RoundUp : TailStrategy::GuardWithIf);
        stage.split(n, block, in_block, images, TailStrategy::RoundUp);
    }
    const TailStrategy tail = outputs % vector == 0 ? TailStrategy::RoundUp : consumer.updates ? TailStrategy::GuardWithIf : TailStrategy::ShiftInwards;
    stage.split(k, k, in_vector, vector, tail);
    // The results of a tile are read where they lie side by side.
    Var in_tile("in_tile");
    if (consumer.shape[2] % kWinogradTile == 0 && f.plan.mosaic.images_x == 1)
        stage.split(x, x, in_tile, kWinogradTile, TailStrategy::RoundUp).reorder(in_vector, in_tile, k, x, in_band, in_block).unroll(in_tile);
    else
        stage.reorder(in_vector, k, x, in_band, in_block);
    stage.vectorize(in_vector);
    if (consumer.within == nullptr) {
        stage.reorder(in_block, band, block).fuse(band, block, task).parallel(task);
        of_task = LoopLevel(consumer.func, task);
    }

    const auto tiles_of = [&](Func func) {
        func.bound_extent(Var("tx"), int(f.plan.tiles_x)).bound_extent(Var("ty"), int(f.plan.band)).bound_extent(Var("n"), int(f.plan.groups));
    };
    align_vectors(f.tile.whole, f.channels, lanes);
    align_vectors(f.image.whole, outputs, lanes);
    const bool has_rest = f.plan.outputs.size() > 1;
    const int panels = has_rest ? int(std::max<int64_t>(1, f.plan.outputs[0].count / width)) : int(ceil_div(outputs, width)), channel_vector = int(std::min<int64_t>(lanes, f.channels));
    Var c("c"), a("a"), i("i"), j("j"), tx("tx"), ty("ty"), tn("n"), u("u"), panel("panel"), s("s"), p("p"), q("q");
    if (f.padded.defined()) f.padded.compute_at(of_task).vectorize(c, channel_vector);

    f.tile.whole.compute_at(of_task).bound_extent(c, int(f.channels)).bound(i, 0, kWinogradPoints).bound(j, 0, kWinogradPoints);
    tiles_of(f.tile.whole);
    schedule_transform(f.tile, {a, i}, {i, j}, {tx, ty, tn}, 0, tx, f.plan.tiles_x);

    f.weights.compute_root().bound(u, 0, width).bound(panel, 0, panels).bound(i, 0, kWinogradPoints).bound(j, 0, kWinogradPoints);
    Var some("some");
    f.weights.split(u, u, in_vector, lanes).reorder(in_vector, i, j, u, c, panel).vectorize(in_vector).unroll(i).unroll(j);
    f.weights.fuse(c, panel, some).parallel(some, int(divisor(f.channels * panels, std::max<int64_t>(1, f.channels / 8))));
    f.half_weights.compute_at(f.weights, u).vectorize(u, lanes).unroll(i).unroll(s);

    if (f.plan.rest_along_channels) {
        f.rest_weights.compute_root().split(c, c, in_vector, lanes, TailStrategy::ShiftInwards).reorder(in_vector, i, j, c, u).vectorize(in_vector).unroll(i).unroll(j);
        f.rest_weights.bound(c, 0, int(f.channels)).bound(u, 0, int(f.plan.outputs.back().count)).bound(i, 0, kWinogradPoints).bound(j, 0, kWinogradPoints).align_storage(c, lanes);
        f.half_rest_weights.compute_at(f.rest_weights, c).vectorize(c, lanes).unroll(i).unroll(s);
    }

    Var tile_x("tile_x"), tile_y("tile_y"), tile_n("tile_n");
    const int tiles_of_sum = f.plan.rows_x * f.plan.rows_y * f.plan.rows_n;
    for (size_t g = 0; g < f.products.size(); g++) {
        Func sum = f.sums[g], product = f.products[g];
        const ChannelGroup &group = f.plan.outputs[g];
        const int count = int(std::min<int64_t>(group.count, width));
        product.compute_at(of_task).bound(u, 0, count).bound(panel, 0, g == 0 ? panels : 1).bound(i, 0, kWinogradPoints).bound(j, 0, kWinogradPoints);
        tiles_of(product);
        product.split(tx, tile_x, tx, f.plan.rows_x, TailStrategy::ShiftInwards)
            .split(ty, tile_y, ty, f.plan.rows_y, TailStrategy::ShiftInwards)
            .split(tn, tile_n, tn, f.plan.rows_n, TailStrategy::ShiftInwards);
        product.reorder(u, tx, ty, tn, tile_x, tile_y, tile_n, panel, i, j);
        if (group.lanes > 1) product.vectorize(u, group.lanes);
        product.unroll(u).unroll(tx).unroll(ty).unroll(tn);
        sum.compute_at(product, tile_x).bound_extent(u, count).bound_extent(tx, f.plan.rows_x).bound_extent(ty, f.plan.rows_y).bound_extent(tn, f.plan.rows_n);
        if (g > 0 && f.plan.rest_along_channels) {
            schedule_rest(f, sum, LoopLevel(product, tile_x), lanes);
            continue;
        }
        // Of short vectors: far apart and more than any transformation, or they get memory that full vectors were in before, and LLVM keeps
        // them in parts of full vectors.
        if (group.lanes < lanes) sum.align_storage(u, 2 * kWinogradPoints * kWinogradPoints * lanes / tiles_of_sum);
        sum.vectorize(u, group.lanes).unroll(u).unroll(tx).unroll(ty).unroll(tn);
        sum.update().reorder(u, tx, ty, tn, f.channel.x).vectorize(u, group.lanes).unroll(u).unroll(tx).unroll(ty).unroll(tn);
    }

    f.image.whole.compute_at(of_task).bound(u, 0, int(f.plan.outputs.back().first + f.plan.outputs.back().count)).bound(panel, 0, has_rest ? 1 : panels);
    f.image.whole.bound(p, 0, kWinogradTile).bound(q, 0, kWinogradTile);
    tiles_of(f.image.whole);
    schedule_transform(f.image, {i, q}, {p, q}, {panel, tx, ty, tn}, 0, tx, f.plan.tiles_x);
}

WinogradGradientPlan plan_winograd_gradient(const Lowering &l, const Shape &gradient, int64_t channels, const Ints &shared) {
    WinogradGradientPlan plan;
    const int64_t outputs = gradient[3], lanes = l.lanes();
    plan.mosaic = choose_mosaic(gradient[0], gradient[1], gradient[2], shared);
    const int64_t batch = gradient[0] / plan.mosaic.images();
    plan.tiles_y = plan.mosaic.tiles_y(), plan.tiles_x = plan.mosaic.tiles_x();
    const int64_t tiles = plan.tiles_y * plan.tiles_x;
    const int64_t bytes = weight_bytes(channels, outputs);
    for (int64_t parts = 1; parts <= 8; parts++)
        if (batch % parts == 0 && (parts <= 2 || parts * bytes <= kPartBytes)) plan.parts = parts;
    // Large weights on small maps: all tiles together are no more than twice the sums of the parts.
    plan.by_plane = batch * tiles * tile_bytes(channels, outputs) <= 2 * plan.parts * bytes;
    if (plan.by_plane) plan.parts = 1;
    const int64_t groups = batch / plan.parts;
    plan.columns = ceil_div(outputs, lanes) * lanes;
    plan.tile = choose_tile(l, plan.columns, channels, int(lanes), kTileRows, true);
    // A rest of outputs as rows, whose vectors run along the channels, if those are fewer products than zeros in its place, and one register tile that the loop over
    // the others ends with: what it reads is another expression.
    const ChannelSplit split = split_rest(l, outputs);
    const int64_t rows = ceil_div(channels, split.full);
    if (split.rest > 0 && channels >= split.full && (channels + split.rest * rows) * split.full < channels * plan.columns) {
        const Tile tile = choose_tile(l, split.full, channels, int(lanes), kTileRows, true);
        if (channels % tile.rows == 0 && split.rest * rows <= tile.rows) plan.columns = split.full, plan.rest_rows = split.rest * rows, plan.rows_a_rest = rows, plan.tile = tile;
    }
    const double output_vectors = double(ceil_div(outputs, lanes)), channel_vectors = double(ceil_div(channels, lanes));
    const double products = double(kProducts * (channels + plan.rest_rows) * plan.columns) / double(lanes);
    // Cycles a tile: its products, reading and writing all sums for each block of tiles, writing and reading the transformed tiles, which lie in
    // nearer caches if a block is small, and copying the rows of pixels that two bands have in common.
    double least = 1e300;
    auto consider = [&](int64_t band, int64_t groups) {
        const int64_t block = band * plan.tiles_x * groups, block_bytes = block * tile_bytes(channels, outputs);
        const double line = block_bytes <= 40 << 10 ? 3 : block_bytes <= 256 << 10 ? 8 : 12;
        const double cycles = products * (1 + 2.5 / double(block)) + kProducts * (channel_vectors + output_vectors) * line + 48 * channel_vectors * (1 + 0.5 / double(band));
        if ((block <= kMostGradientTiles || band * groups == 1) && cycles < least) least = cycles, plan.band = band, plan.groups = groups;
    };
    if (plan.by_plane) {
        plan.band = plan.tiles_y, plan.groups = batch;
    } else {
        for (int64_t band = 1; band < plan.tiles_y; band++)
            if (plan.tiles_y % band == 0 && plan.mosaic.images() == 1) consider(band, 1);
        for (int64_t of_block = 1; of_block <= groups; of_block++)
            if (groups % of_block == 0) consider(plan.tiles_y, of_block);
    }
    const int64_t largest = divisor(groups, std::max<int64_t>(1, kMostGradientTiles / tiles)) * tiles;
    const double direct = 144.0 * filled_share(plan.mosaic) * double(channels) * output_vectors;
    const double filtered = products * (1 + 8.0 / double(largest)) + 200.0 * channel_vectors + 160.0 * output_vectors;
    plan.pays = channels >= lanes && outputs >= lanes && largest >= kLeastGradientTiles && filtered < 0.8 * direct;
    return plan;
}

void schedule_winograd_gradient(Lowering &l, WinogradGradientFuncs &f) {
    const int lanes = l.lanes(), rows = f.plan.tile.rows;
    const int stored = f.plan.tile.vectors * lanes;
    Var c("c"), k("k"), a("a"), i("i"), j("j"), tx("tx"), ty("ty"), n("n"), part("part"), s("s"), r("r"), in_panel("in_panel"), panel("panel"), row("row"), block("block");
    f.part.compute_root().bound(k, 0, int(f.plan.columns)).bound(c, 0, int(f.channels + f.plan.rest_rows)).bound(i, 0, kWinogradPoints).bound(j, 0, kWinogradPoints).bound(part, 0, int(f.plan.parts));
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

    auto transform = [&](Func padded, WinogradTransform &t, int64_t channels) {
        if (padded.defined()) {
            padded.vectorize(c, int(std::min<int64_t>(lanes, channels)));
            if (f.plan.by_plane) padded.compute_at(t.whole, n);
            else padded.compute_at(f.part, f.tiles[3]);
        }
        if (f.plan.by_plane) t.whole.compute_root();
        else t.whole.compute_at(f.part, f.tiles[3]);
        t.whole.bound_extent(c, int(channels)).bound_extent(tx, int(f.plan.tiles_x)).bound_extent(ty, int(f.plan.band));
        align_vectors(t.whole, channels, lanes);
        t.whole.bound_extent(n, int(f.plan.groups)).bound(i, 0, kWinogradPoints).bound(j, 0, kWinogradPoints);
        schedule_transform(t, {a, i}, {i, j}, {tx, ty, n}, f.plan.by_plane ? 1 : 0, tx, f.plan.tiles_x);
    };
    transform(f.padded, f.tile, f.channels);
    transform(f.padded_gradient, f.gradient, std::max(f.plan.columns, f.outputs));
    for (size_t i = 0; i < f.copied.size(); i++) {
        const int count = i == 0 ? lanes : int(f.outputs % lanes);
        if (count > 1) f.padded_gradient.update(int(i)).vectorize(f.copied[i].x, count);
        else f.padded_gradient.update(int(i)).unscheduled();
    }

    f.weights.whole.compute_root().bound(k, 0, int(f.outputs)).bound(c, 0, int(f.channels)).bound(s, 0, 3).bound(r, 0, 3);
    schedule_transform(f.weights, {i, s}, {s, r}, {c}, std::max(1, int(f.channels) / 16), c, 1);
}

}  // namespace kiln
