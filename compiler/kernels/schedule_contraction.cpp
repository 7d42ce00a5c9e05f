// Contractions: a register tile of vectors by rows, computed inside the loops of what consumes it, so that an epilogue is free.
#include "compiler/kernels/schedule.h"

#include "compiler/kernels/target.h"

#include <algorithm>
#include <bit>

namespace kiln {

using namespace Halide;

namespace {

/// Rows of a matrix often lie a multiple of 2 KiB apart, in the same few sets of the first cache: no more at a time than it has ways.
constexpr int kMatmulRows = 8;
/// What a tile costs more whose results are stored in vectors along its rows, if those are not 1, 2, 4 or 8.
constexpr double kUnevenStore = 1.04;

/// Pixels that a tile of a weight gradient sums over between a load and a store.
constexpr int64_t kPassPixels = 512;
/// Pictures of a pass, whose channels are taken one after the other: beyond this, more of them cost more than fewer passes save.
constexpr int64_t kPassBytes = 2 << 20;

/// Largest picture that is copied as a whole with the zeros around it: it stays in the second cache.
constexpr int64_t kPaddedBytes = 512 << 10;

/// A product this deep with at most so many results is summed in parts, one a task, for each of which both operands are read once.
constexpr int64_t kDeep = 4096, kDeepResult = 64 * 1024;
/// So much of K at a time of a part: panels of it stay in the second cache.
constexpr int64_t kDepthBlock = 256;
/// Deepest K of which the rows of a block are packed: a block and a panel fit into the second cache.
constexpr int64_t kPackedDepth = 1024;
/// Of a vector operand no larger than this, all panels are packed before: they stay in the second cache, and blocks of so many rows
/// make longer pieces of what is read and written.
constexpr int64_t kWholeBytes = 256 << 10, kWholeRowBlock = 384;

int64_t round_up(int64_t a, int64_t b) { return (a + b - 1) / b * b; }

/// With as many blocks of rows a panel is packed once for all of them, and the threads share the blocks of one panel after the other.
constexpr int64_t kManyBlocks = 8;
/// Rows that one task takes of many: the last block is shifted back over the one before, so blocks that fit waste nothing. With an odd
/// number of few blocks one of two threads has a block more than the other.
constexpr int64_t kRowBlock = 96;
int64_t choose_row_block(int64_t rows, int64_t tile_rows, int64_t about = kRowBlock) {
    int64_t best = 0, least = 0;
    for (int64_t block = round_up(about * 3 / 4, tile_rows); block <= about * 3 / 2; block += tile_rows)
        if (const int64_t computed = round_up(rows, 2 * block); best == 0 || computed < least) best = block, least = computed;
    return best;
}

/// Exact tails for stages that update in place; else a last tile that overlaps the one before.
TailStrategy tail_of(const Consumer &consumer, int64_t extent, int64_t factor) {
    if (consumer.updates) return TailStrategy::GuardWithIf;
    return extent % factor == 0 ? TailStrategy::RoundUp : TailStrategy::ShiftInwards;
}

}  // namespace

Tile choose_tile(const Lowering &l, int64_t columns, int64_t rows, int lanes, int most_rows, bool even, bool stored_along_rows) {
    const int registers = vector_registers(l.target());
    Tile best;
    double best_cost = 1e300;
    for (int vectors = 4; vectors >= 1; vectors--)
        for (int r = 1; r <= most_rows; r++) {
            if (r > rows || vectors * r + vectors + 1 > registers || (vectors == 4 && r == 7)) continue;
            if (vectors > 1 && (vectors - 1) * lanes >= columns) continue;
            if (even && columns % (vectors * lanes) != 0) continue;
            // Cycles for one step of the reduction over all tiles: one FMA a cycle, two loads a cycle, latency of four.
            const double step = std::max({double(vectors * r), (vectors + r) / 2.0, 4.0}) + 0.3;
            const double tiles = double((columns + vectors * lanes - 1) / (vectors * lanes)) * double((rows + r - 1) / r);
            const double cost = step * tiles * (stored_along_rows && !std::has_single_bit(unsigned(r)) ? kUnevenStore : 1);
            if (cost < best_cost * 0.999) best_cost = cost, best = {vectors, r};
        }
    return best;
}

MatmulPlan plan_matmul(const Lowering &l, int64_t m, int64_t n, int64_t k, bool transpose_a, bool transpose_b, int64_t batch, bool has_epilogue) {
    MatmulPlan plan;
    // Elements that must be moved one by one rather than in vectors, for vectors along N and along M.
    const double along_n = (transpose_b ? double(n) * k : 0.0);
    const double along_m = (transpose_a ? 0.0 : double(m) * k) + double(m) * n;
    auto cycles = [&](int64_t columns, int64_t rows, double moved) {
        const Tile tile = choose_tile(l, columns, rows, l.lanes(), kMatmulRows);
        const double tiles = double((columns + tile.vectors * l.lanes() - 1) / (tile.vectors * l.lanes())) * double((rows + tile.rows - 1) / tile.rows);
        return tiles * std::max({double(tile.vectors * tile.rows), (tile.vectors + tile.rows) / 2.0, 4.0}) * double(k) + 2 * moved;
    };
    plan.columns_are_rows = cycles(m, n, along_m) < cycles(n, m, along_n);
    const int64_t columns = plan.columns_are_rows ? m : n, rows = plan.columns_are_rows ? n : m;
    plan.tile = choose_tile(l, columns, rows, l.lanes(), kMatmulRows, false, plan.columns_are_rows);
    // Stored along the rows, results pass an epilogue, and what it reads, in vectors as long as a tile has rows.
    if (has_epilogue && plan.columns_are_rows && rows >= kMatmulRows) plan.tile = {std::min(plan.tile.vectors, 2), kMatmulRows};
    plan.transposes = plan.columns_are_rows ? !transpose_a : transpose_b;
    plan.row_block = rows <= 2 * kRowBlock ? rows : choose_row_block(rows, plan.tile.rows);
    const bool along_rows = plan.columns_are_rows ? !transpose_b : transpose_a;
    if (k >= kDeep && columns * rows <= kDeepResult) {
        for (int64_t parts = 2; parts <= 16; parts++)
            if (k % parts == 0) plan.parts = parts;
        plan.depth_block = std::min<int64_t>(k / plan.parts, kDepthBlock);
    }
    plan.packs_rows = along_rows && (plan.parts > 1 || (rows > plan.row_block && k <= kPackedDepth));
    plan.packs_whole = plan.packs_rows && plan.parts == 1 && batch == 1 && !plan.columns_are_rows && rows >= 2 * kWholeRowBlock && columns * k * int64_t(sizeof(float)) <= kWholeBytes;
    if (plan.packs_whole) {
        plan.tile = {1, kMatmulRows};
        plan.row_block = choose_row_block(rows, plan.tile.rows, kWholeRowBlock);
    }
    return plan;
}

/// Of the packed vector operand, all panels: vectors of a row of them, and an odd number of lines from row to row, which spreads the
/// lines of a panel over all sets of the first cache.
static void schedule_panels(const Lowering &l, MatmulFuncs &f) {
    const int64_t lanes = l.lanes(), lines = (f.columns + lanes - 1) / lanes;
    Var u = f.packed.args()[0], in_vector("in_vector");
    f.packed.split(u, u, in_vector, int(lanes), TailStrategy::ShiftInwards).vectorize(in_vector).align_storage(u, int((lines | 1) * lanes));
}

/// Of the packed vector operand, a panel.
static void schedule_panel(const Lowering &l, MatmulFuncs &f, bool in_parallel) {
    const int width = f.plan.tile.vectors * l.lanes();
    Var u = f.packed.args()[0], k = f.packed.args()[1], few("few");
    f.packed.bound_extent(u, width);
    // Transposing, a few rows are read side by side along their length.
    if (f.plan.transposes) f.packed.split(u, u, few, width % 8 == 0 ? 8 : l.lanes()).reorder(few, k, u).vectorize(few);
    else f.packed.vectorize(u, l.lanes()).unroll(u);
    if (in_parallel && width * f.inner >= kTaskElements) {
        Var task("task"), in_task("in_task");
        f.packed.split(k, task, in_task, int(kTaskElements / 2 / width), TailStrategy::GuardWithIf).reorder(in_task, u, task).parallel(task);
    }
}

/// The sums of the parts of K: of each, a block of depth after the other, all tiles of the result with it. A vector operand that lies in the right
/// order is read once, row by row, as a block of it is packed, and the rows of a tile stay in the first cache for all panels.
static void schedule_parts(const Lowering &l, MatmulFuncs &f) {
    const int lanes = l.lanes(), width = f.plan.tile.vectors * lanes, rows = f.plan.tile.rows;
    Var panel("panel"), in_panel("in_panel"), tile("tile"), in_tile("in_tile");
    Halide::RVar block("block"), in_block("in_block");
    f.part.compute_root().bound(f.u, 0, int(round_up(f.columns, width))).bound(f.v, 0, int(f.rows)).bound(f.p, 0, int(f.plan.parts));
    f.part.vectorize(f.u, lanes).parallel(f.p);
    f.part.update().split(f.u, panel, in_panel, width).split(f.v, tile, in_tile, rows, TailStrategy::GuardWithIf);
    f.part.update().split(f.depth.x, block, in_block, int(f.plan.depth_block), TailStrategy::GuardWithIf);
    if (f.plan.transposes) {
        f.part.update().reorder({in_panel, in_tile, in_block, tile, panel, block, f.p});
        f.packed.compute_at(f.part, panel);
        schedule_panel(l, f, false);
    } else {
        f.part.update().reorder({in_panel, in_tile, in_block, panel, tile, block, f.p});
        f.packed.compute_at(f.part, block);
        schedule_panels(l, f);
    }
    f.part.update().vectorize(in_panel, lanes).unroll(in_panel).unroll(in_tile).parallel(f.p);
    if (f.packed_rows.defined()) f.packed_rows.compute_at(f.part, block).vectorize(f.packed_rows.args()[0], lanes);
}

void schedule_matmul(Lowering &l, Consumer &consumer, MatmulFuncs &f) {
    const int lanes = l.lanes();
    const int width = f.plan.tile.vectors * lanes, rows = f.plan.tile.rows;
    const size_t rank = consumer.axes.size();
    Var x = consumer.axes[rank - 1], y = consumer.axes[rank - 2];
    Var column = f.plan.columns_are_rows ? y : x, row = f.plan.columns_are_rows ? x : y;
    Var panel("panel"), in_panel("in_panel"), tile("tile"), in_tile("in_tile"), block("block"), task("task");
    Stage stage = consumer.stage();
    const int stored = int(std::min<int64_t>(width, f.columns));
    stage.split(column, panel, in_panel, stored, tail_of(consumer, f.columns, stored));
    const bool blocked = f.plan.row_block < f.rows;
    Var rest = row;
    if (blocked) {
        stage.split(row, block, rest, int(f.plan.row_block), tail_of(consumer, f.rows, f.plan.row_block));
    }
    const int64_t block_rows = blocked ? f.plan.row_block : f.rows;
    stage.split(rest, tile, in_tile, rows, tail_of(consumer, block_rows, rows));
    Var inner = f.plan.columns_are_rows ? in_tile : in_panel, other = f.plan.columns_are_rows ? in_panel : in_tile;
    const int64_t inner_extent = f.plan.columns_are_rows ? rows : stored;
    if (f.plan.packs_whole) stage.reorder(inner, other, panel, tile, block);
    else if (blocked) stage.reorder(inner, other, tile, panel, block);
    else stage.reorder(inner, other, tile, panel);
    if (inner_extent > 1) {
        const int vector = int(std::min<int64_t>(lanes, inner_extent));
        stage.vectorize(inner, vector, TailStrategy::GuardWithIf);
    }
    if (!f.plan.columns_are_rows) {
        if (stored > lanes) stage.unroll(inner);
        stage.unroll(other);
    }
    const double products = double(f.columns) * double(f.rows) * double(f.inner) * double(f.batch);
    Var outermost = panel;
    bool packs_in_parallel = false;
    if (f.part.defined()) {
        schedule_parts(l, f);
    } else if (products >= kParallelProducts) {
        const int64_t panels = (f.columns + stored - 1) / stored, tiles = (f.rows + rows - 1) / rows;
        if (f.batch >= 8) {
            stage.parallel(consumer.axes[0]);
        } else if (blocked && f.plan.packs_rows) {
            stage.parallel(block);
        } else if (blocked && (f.plan.transposes || f.rows > (kManyBlocks - 1) * f.plan.row_block)) {
            // Packing a panel costs as much as a good part of a block, transposing it more.
            stage.reorder(block, panel).parallel(block);
            packs_in_parallel = true;
        } else if (blocked) {
            stage.fuse(panel, block, task).parallel(task);
            outermost = task;
        } else if (panels >= 4 || tiles < 4) {
            stage.parallel(panel);
        } else {
            stage.parallel(tile);
        }
    }
    f.product.compute_at(consumer.func, f.plan.packs_whole ? panel : tile).bound_extent(f.u, width).bound_extent(f.v, rows);
    f.product.vectorize(f.u, lanes).unroll(f.u).unroll(f.v);
    if (f.part.defined()) {
        f.product.update().reorder(f.u, f.v, f.parts.x).vectorize(f.u, lanes).unroll(f.u).unroll(f.v);
        return;
    }
    f.product.update().reorder(f.u, f.v, f.depth.x).vectorize(f.u, lanes).unroll(f.u).unroll(f.v);
    if (f.plan.packs_whole) {
        f.packed.compute_root();
        schedule_panels(l, f);
    } else {
        f.packed.compute_at(consumer.func, outermost);
        schedule_panel(l, f, packs_in_parallel);
    }
    if (f.packed_rows.defined()) f.packed_rows.compute_at(consumer.func, block).vectorize(f.packed_rows.args()[0], lanes);
}

ChannelSplit split_channels(const Lowering &l, int64_t channels, int64_t rows) {
    const int64_t lanes = l.lanes(), over = channels % lanes, full = channels - over;
    const ChannelSplit whole{channels, 0, 0};
    if (full == 0 || over == 0 || over > lanes / 2) return whole;
    // The rest goes with the only panel.
    if (choose_tile(l, full, rows, int(lanes)).vectors * lanes < full) return whole;
    return {full, over, int64_t(std::bit_ceil(uint64_t(std::max<int64_t>(over, 4))))};
}

void schedule_convolution(Lowering &l, Consumer &consumer, ConvolutionFuncs &f) {
    const int lanes = l.lanes();
    Var n = consumer.axes[0], y = consumer.axes[1], x = consumer.axes[2], k = consumer.axes[3];
    const int64_t channels = consumer.shape[3], width = consumer.shape[2];
    const Tile tile = choose_tile(l, f.split.full, (width + f.phases - 1) / f.phases, lanes);
    // A rest of channels belongs to the one panel there is.
    const int vector_width = f.split.rest > 0 ? int(round_up(channels, lanes)) : tile.vectors * lanes, stored = int(std::min<int64_t>(vector_width, channels));
    Var panel("panel"), in_panel("in_panel"), pixels("pixels"), pixel("pixel"), phase("phase_of_pixel");
    Stage stage = consumer.stage();
    stage.split(k, panel, in_panel, stored, tail_of(consumer, channels, stored));
    if (f.phases > 1) {
        // A last tile that is shifted back has to begin at a phase of 0, too.
        const int64_t pixels_of_tile = tile.rows * f.phases;
        const TailStrategy tail = width % f.phases == 0 ? tail_of(consumer, width, pixels_of_tile) : TailStrategy::GuardWithIf;
        stage.split(x, pixels, pixel, int(pixels_of_tile), tail).split(pixel, pixel, phase, int(f.phases), TailStrategy::RoundUp);
        stage.reorder(in_panel, pixel, phase, pixels, panel, y, n);
    } else {
        stage.split(x, pixels, pixel, tile.rows, tail_of(consumer, width, tile.rows));
        stage.reorder(in_panel, pixel, pixels, panel, y, n);
    }
    // Shorter vectors that leave no rest are faster than full ones that leave some numbers.
    const bool even = f.split.rest >= 4 && std::has_single_bit(uint64_t(f.split.rest));
    const int vector = even ? int(f.split.rest) : std::min(lanes, stored);
    if (stored > 1) stage.vectorize(in_panel, vector, TailStrategy::GuardWithIf);
    if (stored > vector) stage.unroll(in_panel);
    stage.unroll(pixel);
    Var row = y;
    if (f.products >= kParallelProducts) {
        if (consumer.shape[0] >= 8) {
            stage.parallel(n);
        } else {
            Var image_row("image_row");
            stage.fuse(y, n, image_row).parallel(image_row);
            row = image_row;
        }
    }
    Var pk = f.axes[3], px = f.axes[2];
    f.product.compute_at(consumer.func, pixels).bound_extent(pk, vector_width).bound_extent(px, tile.rows);
    if (f.phases > 1) f.product.bound(f.phase, 0, int(f.phases)).unroll(f.phase);
    if (f.split.rest == 0) f.product.vectorize(pk, lanes).unroll(pk).unroll(px);
    auto schedule_update = [&](Stage update, RDom &taps, int lanes_of_update) {
        const int at = f.split.rest > 0 ? 1 : 0;
        RVar c = taps[at], s = taps[at + 1], r = taps[at + 2];
        if (f.split.rest > 0) {
            RVar to = taps[0];
            if (f.phases > 1) update.reorder(to, px, c, s, r, f.phase);
            else update.reorder(to, px, c, s, r);
            if (lanes_of_update > 1) update.vectorize(to, lanes_of_update);
            update.unroll(to);
        } else {
            if (f.phases > 1) update.reorder(pk, px, c, s, r, f.phase);
            else update.reorder(pk, px, c, s, r);
            update.vectorize(pk, lanes_of_update).unroll(pk);
        }
        update.unroll(px);
        if (f.phases > 1) update.unroll(f.phase);
        if (f.channels <= 4) update.unroll(c);
    };
    if (f.split.rest == 0) {
        schedule_update(f.product.update(0), f.taps, lanes);
    } else {
        const int rest = int(f.split.rest_lanes);
        f.product.update(0).reorder(f.zeros.x, px).vectorize(f.zeros.x, lanes).unroll(f.zeros.x).unroll(px);
        f.product.update(1).reorder(f.rest_zeros.x, px).vectorize(f.rest_zeros.x, rest).unroll(f.rest_zeros.x).unroll(px);
        schedule_update(f.product.update(2), f.taps, lanes);
        schedule_update(f.product.update(3), f.rest_taps, rest);
    }
    if (f.padded.defined()) {
        // A row is copied once and kept for all rows of results that read it. Of a picture with zeros between its rows Halide would copy them anew
        // for each; it is copied as a whole, if it is small.
        const int64_t picture_bytes = consumer.shape[1] * width * f.channels / (f.phases * f.phases) * int64_t(sizeof(float));
        const bool by_picture = row.same_as(y);
        if (by_picture) f.padded.store_at(consumer.func, n);
        f.padded.compute_at(consumer.func, by_picture && f.phases > 1 && picture_bytes <= kPaddedBytes ? n : row);
        f.padded.vectorize(f.padded.args()[0], int(std::min<int64_t>(lanes, f.channels)), TailStrategy::RoundUp);
    }
}

void schedule_narrow_convolution(Lowering &l, Consumer &consumer, NarrowFuncs &f) {
    const int lanes = l.lanes();
    Var n = consumer.axes[0], y = consumer.axes[1], x = consumer.axes[2], c = consumer.axes[3];
    const int64_t width = consumer.shape[2], channels = consumer.shape[3];
    const Tile tile = choose_tile(l, lanes, width * channels, lanes);
    const int pixels_in_tile = std::max(1, int(tile.rows / channels));
    Var pixels("pixels"), pixel("pixel");
    Stage stage = consumer.stage();
    stage.split(x, pixels, pixel, pixels_in_tile, tail_of(consumer, width, pixels_in_tile)).reorder(c, pixel, pixels, y, n);
    if (f.products >= kParallelProducts) stage.parallel(n);
    Var pc = f.axes[3], px = f.axes[2];
    f.sum.compute_at(consumer.func, pixels).unroll(pc).unroll(px);
    f.sum.update().reorder(f.lanes.x, pc, px).atomic().vectorize(f.lanes.x, lanes).unroll(pc).unroll(px);
    f.part.compute_at(consumer.func, pixels).vectorize(f.lane, lanes).unroll(pc).unroll(px);
    f.part.update().reorder(f.lane, pc, px, f.taps[0], f.taps[1], f.taps[2]).vectorize(f.lane, lanes).unroll(pc).unroll(px);
    f.padded.compute_at(consumer.func, y).vectorize(f.padded.args()[0], lanes);
}

WeightGradientPlan plan_weight_gradient(int64_t batch, const Shape &weights, int64_t element_bytes) {
    // Partial sums of at most 4 MiB together.
    WeightGradientPlan plan;
    const int64_t bytes = element_count(weights) * element_bytes;
    for (int64_t parts = 1; parts <= 8; parts++)
        if (batch % parts == 0 && (parts <= 2 || parts * bytes <= (4 << 20))) plan.parts = parts;
    return plan;
}

void schedule_weight_gradient(Lowering &l, WeightGradientFuncs &f) {
    const int lanes = l.lanes();
    Var r = f.axes[0], s = f.axes[1], c = f.axes[2], k = f.axes[3];
    const int64_t channels = f.shape[2], outputs = f.shape[3];
    const Tile tile = choose_tile(l, f.updates[0].columns, channels, lanes, kTileRows, f.is_split);
    const int stored = int(std::min<int64_t>(tile.vectors * lanes, outputs));
    f.part.compute_root();
    f.part.bound(k, 0, int(outputs)).bound(c, 0, int(channels)).bound(s, 0, int(f.shape[1])).bound(r, 0, int(f.shape[0])).bound(f.p, 0, int(f.plan.parts));
    f.part.vectorize(k, int(std::min<int64_t>(lanes, outputs)), TailStrategy::GuardWithIf).parallel(f.p);
    // All weights are loaded and stored once a pass. A pass takes as many samples as make that cheap.
    int64_t samples = 1;
    for (int64_t more = 2; more <= f.samples && samples * f.sample_pixels < kPassPixels && more * f.sample_bytes <= kPassBytes; more++)
        if (f.samples % more == 0) samples = more;
    for (size_t i = 0; i < f.updates.size(); i++) {
        WeightGradientFuncs::Update &update = f.updates[i];
        const int at = f.is_split ? 1 : 0;
        RVar x = update.pixels[at], y = update.pixels[at + 1], n = update.pixels[at + 2], pass("pass"), sample("sample");
        Var panel("panel"), in_panel("in_panel"), rows("rows"), row("row");
        Stage stage = f.part.update(int(i));
        stage.split(c, rows, row, tile.rows, TailStrategy::GuardWithIf).split(n, pass, sample, int(samples), TailStrategy::GuardWithIf);
        if (f.is_split) {
            RVar to = update.pixels[0], tile_of("tile_of"), in_tile("in_tile");
            const int width = i == 0 ? stored : int(update.columns), vector = std::min(lanes, width);
            stage.split(to, tile_of, in_tile, width, TailStrategy::GuardWithIf);
            stage.reorder({in_tile, row, x, y, sample, r, s, rows, tile_of, pass, f.p});
            if (vector > 1) stage.vectorize(in_tile, vector, TailStrategy::GuardWithIf);
            if (width > vector) stage.unroll(in_tile);
        } else {
            stage.split(k, panel, in_panel, stored, TailStrategy::GuardWithIf);
            // With few channels a tile has too few sums to hide the latency of one: those of all columns of the window side by side.
            const int64_t sums = f.shape[1] * channels * tile.vectors;
            if (tile.rows == channels && sums + tile.vectors + 1 <= vector_registers(l.target()))
                stage.reorder({in_panel, row, s, x, y, sample, r, rows, panel, pass, f.p}).unroll(s);
            else
                stage.reorder({in_panel, row, x, y, sample, r, s, rows, panel, pass, f.p});
            stage.vectorize(in_panel, std::min(lanes, stored), TailStrategy::GuardWithIf);
            if (stored > lanes) stage.unroll(in_panel);
        }
        stage.unroll(row);
        stage.parallel(f.p);
        if (update.padded.defined()) {
            update.padded.compute_at(f.part, pass);
            update.padded.vectorize(update.padded.args()[0], int(std::min<int64_t>(lanes, channels)), TailStrategy::RoundUp);
        }
    }
}

}  // namespace kiln
