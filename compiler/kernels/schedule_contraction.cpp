// The register tile of contractions, and convolutions: a tile of vectors by rows is computed inside the loops of what consumes it, so that an epilogue is free.
#include "compiler/kernels/schedule.h"

#include "compiler/kernels/target.h"

#include <algorithm>
#include <bit>

namespace kiln {

using namespace Halide;

namespace {

/// Pixels that a tile of a weight gradient sums over between a load and a store: few, which stay in the first cache, if the sums stay in the second one.
constexpr int64_t kNearPassPixels = 64, kPassPixels = 512, kNearSums = 256 << 10;
/// Pixels of a row for which it pays to load and store all sums, and bytes of a sample's gradient that do not stay in the second cache beside the image.
constexpr int64_t kLongRow = 48, kLargeGradient = 512 << 10;
/// Two products a cycle, each of which takes four: with fewer sums the multipliers wait.
constexpr int64_t kFewSums = 8;
/// Cycles that a sum of a weight gradient waits, whose operands come from the second cache at times.
constexpr double kFarLatency = 5;

/// Pictures of a pass, whose channels are taken one after the other: beyond this, more of them cost more than fewer passes save.
constexpr int64_t kPassBytes = 2 << 20;

/// Rows of results that are read again when they have been computed: they stay in the second cache.
constexpr int64_t kBandBytes = 192 << 10;

/// Most lines that a turn of a loop over channels asks for.
constexpr int64_t kMostLinesOfTurn = 8;

/// Images and gradients of as many bytes together come from beyond the second cache.
constexpr int64_t kFromFarBytes = 1 << 20;

/// Images and gradients of a pass, of at most so many bytes together, stay in the second cache until the next one reads them.
constexpr int64_t kPrefetchedPass = 512 << 10;

/// Largest picture that is copied as a whole with the zeros around it: it stays in the second cache.
constexpr int64_t kPaddedBytes = 512 << 10;

/// The last vector of a pixel's channels reads on behind them, where there is memory; assertions would not let it pass.
TailStrategy over_the_end(const Lowering &l) { return l.target().has_feature(Target::NoAsserts) ? TailStrategy::RoundUp : TailStrategy::GuardWithIf; }

}  // namespace

TailStrategy tail_of(const Consumer &consumer, int64_t extent, int64_t factor) {
    if (consumer.updates) return TailStrategy::GuardWithIf;
    return extent % factor == 0 ? TailStrategy::RoundUp : TailStrategy::ShiftInwards;
}

double cycles_of_step(const Lowering &l, const Tile &tile, double latency) {
    constexpr double many_registers_overhead = 0.3, overhead = 0.15, overhead_of_vector = 0.05;
    const double multiplies = tile.vectors * tile.rows / 2.0, loads = tile.vectors + tile.rows;
    if (vector_registers(l.target()) > 16) return std::max({multiplies, loads / 2, latency}) + many_registers_overhead;
    return std::max({multiplies, loads / 1.5, latency}) + overhead + overhead_of_vector * tile.vectors;
}

Tile choose_tile(const Lowering &l, int64_t columns, int64_t rows, int lanes, int most_rows, bool even, double latency) {
    const int registers = vector_registers(l.target());
    Tile best;
    double best_cost = 1e300;
    for (int vectors = 4; vectors >= 1; vectors--)
        for (int r = 1; r <= most_rows; r++) {
            if (r > rows || vectors * r + vectors + 1 > registers || (vectors == 4 && r == 7)) continue;
            if (vectors > 1 && (vectors - 1) * lanes >= columns) continue;
            if (even && columns % (vectors * lanes) != 0) continue;
            const double step = registers > 16 ? std::max({double(vectors * r), (vectors + r) / 2.0, kMultiplyLatency}) + 0.3 : cycles_of_step(l, {vectors, r}, latency);
            const double tiles = double((columns + vectors * lanes - 1) / (vectors * lanes)) * double((rows + r - 1) / r);
            if (const double cost = step * tiles; cost < best_cost * 0.999) best_cost = cost, best = {vectors, r};
        }
    return best;
}

ChannelSplit split_rest(const Lowering &l, int64_t channels) {
    const int64_t lanes = l.lanes(), over = channels % lanes, full = channels - over;
    if (full == 0 || over == 0 || over > lanes / 2) return {channels, 0, 0};
    return {full, over, std::min(lanes, int64_t(std::bit_ceil(uint64_t(std::max<int64_t>(over, 4)))))};
}

ChannelSplit split_channels(const Lowering &l, int64_t channels, int64_t rows) {
    const ChannelSplit split = split_rest(l, channels);
    const bool one_panel = choose_tile(l, split.full, rows, l.lanes()).vectors * l.lanes() >= split.full;
    return split.rest > 0 && !one_panel ? ChannelSplit{channels, 0, 0} : split;
}

/// Whether pixels that a window of one element reads in place are asked for ahead; the loop over the channels is then cut into turns.
static bool asks_for_pixels(const Consumer &consumer, const ConvolutionFuncs &f) {
    return !f.read.buffer.empty() && consumer.within == nullptr && f.split.rest == 0 && f.channels % kStepsOfTurn == 0 && f.channels > kStepsOfTurn &&
           std::max(element_count(f.read.shape), element_count(consumer.shape)) * f.product.output_types()[0].bytes() <= kMostPrefetched;
}

/// While a tile is multiplied, the pixels of the next one are asked for; and, of an input gradient, which is written with the zeros between its elements, the lines of the next results.
static void prefetch_next_tile(Lowering &l, const Consumer &consumer, const ConvolutionFuncs &f, int64_t tile_rows, int64_t panels) {
    const Shape &read = f.read.shape, &shape = consumer.shape;
    const int64_t bytes = f.product.output_types()[0].bytes(), turns = f.channels / kStepsOfTurn;
    const int64_t width = (shape[2] + f.phases - 1) / f.phases, height = (shape[1] + f.read.rows_apart - 1) / f.read.rows_apart;
    const std::string loops = loops_of(consumer), loop = f.product.name() + ".s1." + f.taps[0].name() + ".turn";
    const Expr n = loop_variable(loops + consumer.axes[0].name(), shape[0]), y = loop_variable(loops + consumer.axes[1].name(), shape[1]);
    const Expr next_tile = loop_variable(loops + consumer.axes[2].name() + ".pixels", (width + tile_rows - 1) / tile_rows) + 1;
    std::vector<Internal::Stmt> all;
    const auto ask = [&](const std::string &buffer, int64_t lines, const std::function<Expr(Expr)> &offset, Asked asked = Asked::to_read) {
        if (lines > kMostLinesOfTurn * turns) return;
        for (const Internal::Stmt &one : prefetch_share(buffer, lines, turns, loop_variable(loop, turns), offset, asked)) all.push_back(one);
    };
    const int64_t of_pixel = (f.channels * bytes + kLineBytes - 1) / kLineBytes;
    ask(f.read.buffer, tile_rows * of_pixel, [&](const Expr &line) {
        const Expr pixel = (n * index_expr(height) + y / index_expr(f.read.rows_apart)) * index_expr(width) + next_tile * index_expr(tile_rows) + line / index_expr(of_pixel);
        const Expr row = pixel / index_expr(width), column = pixel % index_expr(width);
        const Expr read_row = row / index_expr(height) * index_expr(read[1]) + row % index_expr(height) * index_expr(f.read.stride[0]);
        return (read_row * index_expr(read[2]) + column * index_expr(f.read.stride[1])) * index_expr(f.channels * bytes) + line % index_expr(of_pixel) * index_expr(kLineBytes);
    });
    // Rows of zeros follow the one with results. Of several panels each writes a part of many lines.
    const int64_t result_lines = tile_rows * f.phases * f.read.rows_apart * shape[3] * bytes / kLineBytes;
    if (f.phases > 1 && panels == 1) {
        ask(consumer.func.name(), result_lines, [&](const Expr &line) {
            return (n * index_expr(shape[1]) + y) * index_expr(shape[2] * shape[3] * bytes) + (next_tile * index_expr(result_lines) + line) * index_expr(kLineBytes);
        }, Asked::to_store);
    }
    if (!all.empty()) l.in_loop(loop, Internal::Block::make(all));
}

void schedule_convolution(Lowering &l, Consumer &consumer, ConvolutionFuncs &f) {
    Var n = consumer.axes[0], y = consumer.axes[1], x = consumer.axes[2], k = consumer.axes[3];
    const int64_t channels = consumer.shape[3], width = consumer.shape[2];
    // No vector is twice as long as the channels: a processor adds up two short ones in the time of a full one.
    const int lanes = int(std::min<int64_t>(l.lanes(), std::max<int64_t>(4, int64_t(std::bit_ceil(uint64_t(channels))))));
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
    LoopLevel of_task;
    if (consumer.within != nullptr) {
        const int64_t row_bytes = width * channels * f.product.output_types()[0].bytes();
        const int64_t height = consumer.shape[1], most = std::max<int64_t>(1, kBandBytes / row_bytes), bands = (height + most - 1) / most;
        of_task = schedule_tasks(l, consumer, (height + bands - 1) / bands, 1, f.products >= kParallelProducts);
    } else if (f.products >= kParallelProducts) {
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
    const bool asks_ahead = asks_for_pixels(consumer, f);
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
            RVar turn("turn");
            std::vector<VarOrRVar> order{pk, px, c, s, r};
            if (asks_ahead) update.split(c, turn, c, kStepsOfTurn).unroll(c), order.insert(order.begin() + 3, turn);
            if (f.phases > 1) order.push_back(f.phase);
            update.reorder(order).vectorize(pk, lanes_of_update).unroll(pk);
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
    if (asks_ahead) prefetch_next_tile(l, consumer, f, tile.rows, (channels + stored - 1) / stored);
    if (f.padded.defined() && consumer.within != nullptr) {
        f.padded.compute_at(of_task).vectorize(f.padded.args()[0], int(std::min<int64_t>(l.lanes(), f.channels)), over_the_end(l));
    } else if (f.padded.defined()) {
        // A row is copied once and kept for all rows of results that read it. Of a picture with zeros between its rows Halide would copy them anew
        // for each; it is copied as a whole, if it is small.
        const int64_t picture_bytes = consumer.shape[1] * width * f.channels / (f.phases * f.phases) * int64_t(sizeof(float));
        const bool by_picture = row.same_as(y);
        if (by_picture) f.padded.store_at(consumer.func, n);
        f.padded.compute_at(consumer.func, by_picture && f.phases > 1 && picture_bytes <= kPaddedBytes ? n : row);
        f.padded.vectorize(f.padded.args()[0], int(std::min<int64_t>(l.lanes(), f.channels)), over_the_end(l));
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

/// A register tile of a weight gradient whose image has few channels: all of them, at some columns of the window beside each other.
struct ColumnTile {
    Tile tile;
    int columns = 1;
};
/// The fastest one for so many outputs and columns; of no columns: the registers do not hold all channels.
static ColumnTile choose_column_tile(const Lowering &l, int64_t outputs, int64_t channels, int64_t columns) {
    ColumnTile best{{}, 0};
    double best_cost = 1e300;
    for (int vectors = 4; vectors >= 1; vectors--)
        for (int64_t beside = std::min<int64_t>(columns, (vector_registers(l.target()) - 1 - vectors) / (vectors * channels)); beside >= 1; beside--) {
            if (vectors > 1 && (vectors - 1) * l.lanes() >= outputs) continue;
            const double tiles = double((outputs + vectors * l.lanes() - 1) / (vectors * l.lanes())) * double((columns + beside - 1) / beside);
            if (const double cost = tiles * cycles_of_step(l, {vectors, int(beside * channels)}); cost < best_cost * 0.999) best_cost = cost, best = {{vectors, int(channels)}, int(beside)};
        }
    return best;
}

/// While a row of the gradient is multiplied, what the next one is computed from is asked for: the same number of lines at each pixel.
/// `samples`: of a pass.
static void prefetch_next_row(Lowering &l, const WeightGradientFuncs &f, size_t update, int64_t samples) {
    const int64_t row_bytes = f.row_pixels * f.shape[3] * f.part.output_types()[0].bytes(), height = f.sample_pixels / f.row_pixels;
    if (row_bytes * height * f.samples * f.plan.parts > kMostPrefetched) return;
    const Halide::RDom &pixels = f.updates[update].pixels;
    const std::string loops = f.part.name() + ".s" + std::to_string(update + 1) + ".", n = loops + pixels[2].name();
    const Expr pass = loop_variable(n + ".pass", f.samples / samples), sample = loop_variable(n + ".sample", samples);
    const Expr r = loop_variable(loops + f.axes[0].name(), f.shape[0]), x = loop_variable(loops + pixels[0].name(), f.row_pixels);
    const Expr picture = loop_variable(loops + f.p.name(), f.plan.parts) * index_expr(f.samples) + pass * index_expr(samples) + sample;
    const Expr row = picture * index_expr(height) + loop_variable(loops + pixels[1].name(), height);
    const int64_t places = f.shape[0] * f.row_pixels, lines = (row_bytes + places * kLineBytes - 1) / (places * kLineBytes);
    const Expr first = (row + 1) * index_expr(row_bytes) + (r * index_expr(f.row_pixels) + x) * index_expr(row_bytes / places);
    std::vector<Internal::Stmt> all;
    for (const std::string &buffer : f.gradient_buffers)
        for (int64_t line = 0; line < lines; line++) all.push_back(prefetch_line(buffer, first + index_expr(line * kLineBytes)));
    if (!all.empty()) l.in_loop(loops + pixels[0].name(), Internal::Block::make(all));
}

/// While the samples of a pass are multiplied, those of the next one are asked for: for each row of pixels a share of the lines of a row, a different one for each register tile of the weights, of which there are `panels` by `rows` at each place of the window.
static void prefetch_next_pass(Lowering &l, const WeightGradientFuncs &f, size_t update, int64_t samples, int64_t panels, int64_t rows) {
    const int64_t bytes = f.part.output_types()[0].bytes(), height = f.sample_pixels / f.row_pixels, all_samples = f.samples * f.plan.parts;
    const int64_t gradient_bytes = all_samples * f.sample_pixels * f.shape[3] * bytes, image_bytes = all_samples * f.sample_bytes;
    if (gradient_bytes + image_bytes < kFromFarBytes || std::max(gradient_bytes, image_bytes) > kMostPrefetched) return;
    if ((gradient_bytes + image_bytes) / all_samples * samples > kPrefetchedPass) return;
    const Halide::RDom &pixels = f.updates[update].pixels;
    const std::string loops = f.part.name() + ".s" + std::to_string(update + 1) + ".", n = loops + pixels[2].name();
    const Expr next = loop_variable(n + ".pass", f.samples / samples) + 1, y = loop_variable(loops + pixels[1].name(), height);
    const Expr sample = loop_variable(loops + f.p.name(), f.plan.parts) * index_expr(f.samples) + next * index_expr(samples) + loop_variable(n + ".sample", samples);
    Expr block = 0;
    int64_t blocks = 1;
    for (const auto &[loop, extent] : {std::pair{f.axes[3].name() + ".panel", panels}, {f.axes[2].name() + ".rows", rows}, {f.axes[1].name(), f.shape[1]}, {f.axes[0].name(), f.shape[0]}})
        block = block * index_expr(extent) + loop_variable(loops + loop, extent), blocks *= extent;
    std::vector<Internal::Stmt> all;
    // A share of a row of pixels, each of which has so many bytes and lies so far behind the one before it.
    const auto ask = [&](const std::string &buffer, const Expr &first_byte, int64_t pixels_of_row, int64_t pixel_bytes, int64_t apart) {
        if (buffer.empty()) return;
        if (pixel_bytes == apart) pixel_bytes *= pixels_of_row, pixels_of_row = 1, apart = pixel_bytes;
        const int64_t of_pixel = (pixel_bytes + kLineBytes - 1) / kLineBytes, share = (of_pixel * pixels_of_row + blocks - 1) / blocks;
        const std::string each = f.part.name() + "." + buffer + ".line";
        const Expr line = block * index_expr(share) + Internal::Variable::make(Int(32), each);
        const Expr offset = first_byte + line / index_expr(of_pixel) * index_expr(apart) + line % index_expr(of_pixel) * index_expr(kLineBytes);
        all.push_back(Internal::For::make(each, 0, int(share), Internal::ForType::Serial, DeviceAPI::None, prefetch_line(buffer, offset)));
    };
    const int64_t gradient_pixel = f.shape[3] * bytes, image_pixel = f.image[3] * bytes;
    for (const std::string &buffer : f.gradient_buffers)
        ask(buffer, (sample * index_expr(height) + y) * index_expr(f.row_pixels * gradient_pixel), f.row_pixels, gradient_pixel, gradient_pixel);
    const Expr first_of_row = (sample * index_expr(f.image[1]) + y * index_expr(f.stride[0])) * index_expr(f.image[2] * image_pixel);
    if (f.shape[0] == 1 && f.shape[1] == 1) ask(f.image_buffer, first_of_row, f.row_pixels, image_pixel, f.stride[1] * image_pixel);
    else ask(f.image_buffer, first_of_row, 1, f.stride[0] * f.image[2] * image_pixel, f.stride[0] * f.image[2] * image_pixel);
    if (!all.empty()) l.before_loop(loops + pixels[0].name(), Internal::Block::make(all));
}

void schedule_weight_gradient(Lowering &l, WeightGradientFuncs &f) {
    const int lanes = l.lanes();
    Var r = f.axes[0], s = f.axes[1], c = f.axes[2], k = f.axes[3];
    const int64_t channels = f.shape[2], outputs = f.shape[3];
    Tile tile = choose_tile(l, f.updates[0].columns, channels, lanes, kTileRows, f.is_split, kFarLatency);
    // With few channels a tile has too few sums to hide the latency of one: those of all columns of the window side by side, and of all rows.
    // Where 16 registers are too few for all columns, as many as they hold.
    const int64_t sums = f.shape[1] * channels * tile.vectors;
    auto fit = [&](int64_t count) { return !f.is_split && tile.rows == channels && count + tile.vectors + 1 <= vector_registers(l.target()); };
    const bool all_columns = fit(sums), all_rows = sums < kFewSums && fit(sums * f.shape[0]);
    int beside = 1;
    if (!f.is_split && !all_columns && vector_registers(l.target()) == 16)
        if (const ColumnTile chosen = choose_column_tile(l, outputs, channels, f.shape[1]); chosen.columns > 1) tile = chosen.tile, beside = chosen.columns;
    const int stored = int(std::min<int64_t>(tile.vectors * lanes, outputs));
    f.part.compute_root();
    f.part.bound(k, 0, int(outputs)).bound(c, 0, int(channels)).bound(s, 0, int(f.shape[1])).bound(r, 0, int(f.shape[0])).bound(f.p, 0, int(f.plan.parts));
    f.part.vectorize(k, int(std::min<int64_t>(lanes, outputs)), TailStrategy::GuardWithIf).parallel(f.p);
    // All weights are loaded and stored once a pass. A pass takes as many samples as make that cheap.
    const int64_t sum_bytes = element_count(f.shape) * f.part.output_types()[0].bytes(), pass_pixels = sum_bytes <= kNearSums ? kNearPassPixels : kPassPixels;
    int64_t samples = 1;
    for (int64_t more = 2; more <= f.samples && samples * f.sample_pixels < pass_pixels && more * f.sample_bytes <= kPassBytes; more++)
        if (f.samples % more == 0) samples = more;
    // A row of a gradient that is computed is multiplied by all weights before the next one; so is a long row of one that does not stay in
    // the second cache until the next weights read it.
    const int64_t gradient_bytes = f.sample_pixels * outputs * f.part.output_types()[0].bytes();
    const bool is_long = f.row_pixels >= kLongRow && gradient_bytes >= kLargeGradient && sum_bytes <= 2 * gradient_bytes;
    for (size_t i = 0; i < f.updates.size(); i++) {
        WeightGradientFuncs::Update &update = f.updates[i];
        const int at = f.is_split ? 1 : 0;
        RVar x = update.pixels[at], y = update.pixels[at + 1], n = update.pixels[at + 2], pass("pass"), sample("sample");
        Var panel("panel"), in_panel("in_panel"), rows("rows"), row("row"), columns("columns"), column("column");
        LoopLevel of_panel(f.part, panel);
        Stage stage = f.part.update(int(i));
        stage.split(c, rows, row, tile.rows, TailStrategy::GuardWithIf).split(n, pass, sample, int(samples), TailStrategy::GuardWithIf);
        const bool by_row = (update.gradient.defined() && !f.packs_pixels) || is_long;
        if (beside > 1) stage.split(s, columns, column, beside, TailStrategy::GuardWithIf).unroll(column);
        auto reorder = [&](const VarOrRVar &inner, const VarOrRVar &outer) {
            std::vector<VarOrRVar> order{inner, row};
            if (beside > 1) order.push_back(column);
            else if (all_columns) order.push_back(s);
            if (all_rows) order.push_back(r);
            order.push_back(x);
            if (!by_row) order.insert(order.end(), {y, sample});
            if (!all_rows) order.push_back(r);
            if (beside > 1) order.push_back(columns);
            else if (!all_columns) order.push_back(s);
            order.insert(order.end(), {rows, outer});
            if (by_row) order.insert(order.end(), {y, sample});
            order.insert(order.end(), {pass, f.p});
            stage.reorder(order);
        };
        if (f.is_split) {
            RVar to = update.pixels[0], tile_of("tile_of"), in_tile("in_tile");
            of_panel = LoopLevel(f.part, tile_of);
            const int width = i == 0 ? stored : int(update.columns), vector = std::min(lanes, width);
            stage.split(to, tile_of, in_tile, width, TailStrategy::GuardWithIf);
            reorder(in_tile, tile_of);
            if (vector > 1) stage.vectorize(in_tile, vector, TailStrategy::GuardWithIf);
            if (width > vector) stage.unroll(in_tile);
        } else {
            stage.split(k, panel, in_panel, stored, TailStrategy::GuardWithIf);
            reorder(in_panel, panel);
            if (all_columns) stage.unroll(s);
            if (all_rows) stage.unroll(r);
            if (all_columns && stored == outputs && by_row) prefetch_next_row(l, f, i, samples);
            else if (!by_row && !all_columns && beside == 1) prefetch_next_pass(l, f, i, samples, (outputs + stored - 1) / stored, (channels + tile.rows - 1) / tile.rows);
            stage.vectorize(in_panel, std::min(lanes, stored), TailStrategy::GuardWithIf);
            if (stored > lanes) stage.unroll(in_panel);
        }
        stage.unroll(row);
        stage.parallel(f.p);
        if (update.gradient.defined()) {
            const Var channel = update.gradient.args()[0];
            update.gradient.compute_at(f.packs_pixels ? of_panel : LoopLevel(f.part, y)).vectorize(channel, int(std::min<int64_t>(lanes, update.columns)), over_the_end(l));
            if (update.columns > lanes) update.gradient.unroll(channel);
        }
        if (update.padded.defined()) {
            update.padded.compute_at(f.part, pass);
            update.padded.vectorize(update.padded.args()[0], int(std::min<int64_t>(lanes, channels)), over_the_end(l));
        }
    }
}

}  // namespace kiln
