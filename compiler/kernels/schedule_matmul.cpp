// Matrix products: panels of the vector operand, blocks of rows, sums in parts, and what is asked for ahead of a product that reads memory.
#include "compiler/kernels/schedule.h"

#include "compiler/kernels/target.h"

#include <algorithm>
#include <bit>
#include <numeric>

namespace kiln {

using namespace Halide;

namespace {

/// Rows of a matrix often lie a multiple of 2 KiB apart, in the same few sets of the first cache: no more at a time than it has ways.
constexpr int kMatmulRows = 8;
/// Cycles of a tile beside its steps of K.
constexpr double kCyclesOfTile = 100;
/// What a tile costs more whose results are stored in vectors along its rows, if those are not 1, 2, 4 or 8; and if the results leave the caches,
/// for several such tiles make no line.
constexpr double kUnevenStore = 1.04, kUnevenStoreToMemory = 1.2;
/// What a tile of 16 registers costs more that leaves a rest of rows: only where there is none is a panel packed by blocks of depth.
constexpr double kUnevenRows = 1.01;
/// Results of a row that make a line, and how many of them several tiles store at most, as whole lines.
constexpr int kLineRows = kLineBytes / int64_t(sizeof(float)), kMostLineRows = 3 * kLineRows;
/// A product this deep with at most so many results is summed in parts, one a task, for each of which both operands are read once.
/// So is one too deep to pack its rows as a whole, which lie far apart along K: they are packed for a block of a part.
constexpr int64_t kDeep = 4096, kDeepResult = 64 * 1024, kMostParts = 16;
/// So much of K at a time: a panel of it stays in the first cache.
constexpr int64_t kDepthBlock = 128;
/// Least depth of a part: writing its sums, and reading them again, must cost little beside it.
constexpr int64_t kLeastPart = 256;
/// Deepest K of which the rows of a block are packed: a block and a panel fit into the second cache.
constexpr int64_t kPackedDepth = 1024;
/// Of a vector operand no larger than this, all panels are packed before: they stay in the second cache, and blocks of so many rows
/// make longer pieces of what is read and written.
constexpr int64_t kWholeBytes = 256 << 10, kWholeRowBlock = 384;
/// Steps of K of which the rows of all tiles are packed at a time.
constexpr int kStepsOfPacking = 16;
/// But of another operand that the second cache keeps, the packed rows of a block stay in the first one.
constexpr int64_t kKeptRows = 1 << 20, kPackedRows = 16 << 10;
/// An operand of as many bytes comes from memory, and its lines are asked for ahead of the loop that multiplies them; and results go there.
constexpr int64_t kFromMemoryBytes = 8 << 20;
/// Of an operand this large lines are asked for: it leaves the second cache from one training step to the next.
constexpr int64_t kAskedBytes = 256 << 10;
/// Parameters and states of as many bytes leave the second cache from one training step to the next.
constexpr int64_t kUpdatedBytes = 1 << 20;
/// So many rows and less are few.
constexpr int64_t kFewRows = 128;
/// With as many panels the threads share them, else the tiles of each, if those are as many.
constexpr int64_t kLeastPanels = 4;
/// Tiles ahead, where a row is read by one tile alone.
constexpr int kTilesAhead = 4;
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

/// So much of a depth at a time, kDepthBlock or less: whole turns, and a divisor of the depth if there is one of at least half of that.
int64_t choose_depth_block(int64_t depth) {
    for (int64_t block = kDepthBlock; block >= kDepthBlock / 2; block -= kStepsOfTurn)
        if (depth % block == 0) return block;
    return std::min(depth, kDepthBlock);
}

/// Cycles of all tiles of a product.
double cycles_of_product(const Lowering &l, const Tile &tile, int64_t columns, int64_t rows, int64_t depth) {
    const int64_t width = tile.vectors * l.lanes();
    return double((columns + width - 1) / width) * double((rows + tile.rows - 1) / tile.rows) * (double(depth) * cycles_of_step(l, tile) + kCyclesOfTile);
}

/// Whether the threads share the tiles of a panel; else the panels.
bool shares_tiles(int64_t panels, int64_t tiles) { return panels < kLeastPanels && tiles >= kLeastPanels; }

/// Whether results are large enough to leave the caches.
bool goes_to_memory(int64_t columns, int64_t rows) { return columns * rows * int64_t(sizeof(float)) >= kFromMemoryBytes; }

/// Rows of as many tiles as make whole lines.
int rows_of_lines(int tile_rows) { return std::lcm(kLineRows, tile_rows); }

/// Whether that are few enough. With 16 registers tiles of six rows, three lines of them, are faster than shorter ones.
bool makes_lines(const Lowering &l, int tile_rows, int64_t rows) {
    const int lines = rows_of_lines(tile_rows);
    return lines == kLineRows || (vector_registers(l.target()) <= 16 && lines <= kMostLineRows && rows % lines == 0);
}

/// The fastest tile. `stored_along_rows`: so the results lie in memory.
Tile choose_product_tile(const Lowering &l, int64_t columns, int64_t rows, int64_t depth, bool stored_along_rows) {
    const int registers = vector_registers(l.target());
    auto uneven = [&](int r) {
        if (!stored_along_rows || std::has_single_bit(unsigned(r))) return 1.0;
        return !goes_to_memory(columns, rows) ? kUnevenStore : makes_lines(l, r, rows) ? 1.0 : kUnevenStoreToMemory;
    };
    Tile best;
    double best_cost = 1e300;
    for (int vectors = 5; vectors >= 1; vectors--)
        for (int r = 1; r <= std::min<int64_t>(kMatmulRows, rows); r++) {
            if (vectors * r + vectors + 1 > registers || (vectors > 1 && (vectors - 1) * l.lanes() >= columns)) continue;
            const double cost = cycles_of_product(l, {vectors, r}, columns, rows, depth) * uneven(r) * (registers > 16 || rows % r == 0 ? 1 : kUnevenRows);
            if (cost < best_cost * 0.999) best_cost = cost, best = {vectors, r};
        }
    return best;
}

}  // namespace

MatmulPlan plan_matmul(const Lowering &l, int64_t m, int64_t n, int64_t k, bool transpose_a, bool transpose_b, int64_t batch, bool has_epilogue) {
    MatmulPlan plan;
    // Elements that must be moved one by one rather than in vectors, for vectors along N and along M.
    const double along_n = (transpose_b ? double(n) * k : 0.0);
    const double along_m = (transpose_a ? 0.0 : double(m) * k) + double(m) * n;
    auto cycles = [&](int64_t columns, int64_t rows, double moved) {
        return cycles_of_product(l, choose_product_tile(l, columns, rows, k, false), columns, rows, k) + 2 * moved;
    };
    plan.columns_are_rows = cycles(m, n, along_m) < cycles(n, m, along_n);
    const int64_t columns = plan.columns_are_rows ? m : n, rows = plan.columns_are_rows ? n : m;
    plan.tile = choose_product_tile(l, columns, rows, k, plan.columns_are_rows);
    // Stored along the rows, results pass an epilogue, and what it reads, in vectors as long as a tile has rows, or in lines. 16 registers do not hold two vectors of them.
    const bool many_registers = vector_registers(l.target()) > 16;
    if (has_epilogue && plan.columns_are_rows && rows >= kMatmulRows && (many_registers || !goes_to_memory(columns, rows)))
        plan.tile = {std::min(plan.tile.vectors, many_registers ? 2 : 1), kMatmulRows};
    plan.transposes = plan.columns_are_rows ? !transpose_a : transpose_b;
    const int line_rows = rows_of_lines(plan.tile.rows);
    plan.by_line = plan.columns_are_rows && makes_lines(l, plan.tile.rows, rows) && goes_to_memory(columns, rows);
    plan.along_rows = plan.columns_are_rows ? !transpose_b : transpose_a;
    const int64_t about = plan.along_rows && k > 256 ? 2 * kRowBlock : kRowBlock;
    plan.row_block = rows <= 2 * about ? rows : choose_row_block(rows, plan.by_line ? line_rows : plan.tile.rows, about);
    const bool packs_by_part = plan.along_rows && k > kPackedDepth && batch == 1;
    if (packs_by_part || (k >= kDeep && columns * rows <= kDeepResult)) {
        for (int64_t parts = 2; parts <= kMostParts; parts++)
            if (k % parts == 0 && k / parts >= kLeastPart && parts * columns * rows <= kMostParts * kDeepResult) plan.parts = parts;
        plan.depth_block = choose_depth_block(k / plan.parts);
    }
    // Few rows pass over a panel a few times only, and making it costs more if it leaves the first cache in between.
    // The threads share the panels.
    const int64_t width = plan.tile.vectors * l.lanes();
    const bool is_even = rows % plan.tile.rows == 0 && columns % width == 0 && columns / width >= kLeastPanels;
    if (plan.parts == 1 && batch == 1 && !plan.transposes && !plan.along_rows && is_even && rows <= kFewRows && columns * k * int64_t(sizeof(float)) >= kWholeBytes)
        if (const int64_t depth = choose_depth_block(k); k % depth == 0 && k > depth) plan.depth_block = depth;
    plan.by_line = plan.by_line && plan.parts == 1 && plan.row_block % line_rows == 0;
    // A product of two vectors has no rows to pack: each element is used once.
    plan.packs_rows = plan.along_rows && k > 1 && (plan.parts > 1 || (rows > plan.row_block && k <= kPackedDepth));
    const bool whole = plan.parts == 1 && batch == 1 && columns * k * int64_t(sizeof(float)) <= kWholeBytes;
    // Rows that lie in memory pass the caches once, not once for each panel.
    plan.packs_whole = whole && plan.by_line && !plan.along_rows && columns > width && rows > plan.row_block;
    // Panels too few to share: the threads share the tiles, each for all panels, or they would wait for one another after every panel.
    const int64_t panels = (columns + width - 1) / width, tiles = (rows + plan.tile.rows - 1) / plan.tile.rows;
    if (whole && !plan.transposes && rows <= plan.row_block && panels > 1 && shares_tiles(panels, tiles) && columns * rows * k >= kParallelProducts) plan.packs_whole = true;
    if (whole && plan.packs_rows && !plan.columns_are_rows && rows >= kWholeRowBlock) {
        plan.packs_whole = true;
        const Tile wide{2, many_registers ? kMatmulRows : 6}, other = many_registers ? Tile{1, 2 * kMatmulRows} : Tile{3, 4};
        plan.tile = cycles_of_product(l, wide, columns, rows, k) < cycles_of_product(l, other, columns, rows, k) ? wide : other;
        const int64_t row_bytes = k * int64_t(sizeof(float)), about = rows * row_bytes <= kKeptRows ? std::max(kPackedRows / row_bytes, plan.tile.rows * int64_t(2)) : kWholeRowBlock;
        // A panel, and the packed rows of as many tiles, stay in the first cache. Parameters that are updated are faster in the order in which they lie.
        if (!many_registers && !l.stores_in_place() && rows * row_bytes > kKeptRows && kMostLineRows * row_bytes <= kPackedRows && kMostLineRows % plan.tile.rows == 0) plan.tiles_beside = kMostLineRows / plan.tile.rows;
        plan.row_block = choose_row_block(rows, plan.rows_beside(), std::min(about, rows / 2));
    }
    return plan;
}

/// Of the packed vector operand, all panels: vectors of a row of them, and an odd number of lines from row to row, which spreads the
/// lines of a panel over all sets of the first cache.
static void schedule_panels(const Lowering &l, MatmulFuncs &f) {
    const int64_t lanes = l.lanes(), lines = (f.columns + lanes - 1) / lanes;
    Var u = f.packed.args()[0], in_vector("in_vector");
    f.packed.split(u, u, in_vector, int(std::min(lanes, f.columns)), TailStrategy::ShiftInwards).vectorize(in_vector).align_storage(u, int((lines | 1) * lanes));
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

/// Of the other operand, the rows of a tile, or of a few, after those of another: a few steps of K of all tiles at a time, of which the lines stay in the first cache.
static void schedule_packed_rows(const Lowering &l, Func &packed_rows, int rows) {
    Var row = packed_rows.args()[0], k = packed_rows.args()[1], tile = packed_rows.args()[2], steps("steps"), step("step");
    packed_rows.bound_extent(row, rows).split(k, steps, step, kStepsOfPacking, TailStrategy::GuardWithIf).reorder(row, step, tile, steps);
    packed_rows.vectorize(row, rows % l.lanes() == 0 ? l.lanes() : rows);
}

/// Rows of an operand, or of the results, that are read or written a little later.
struct NextRows {
    std::string buffer;             ///< if it is an argument
    Expr first;                     ///< element
    int64_t rows = 1, stride = 0;   ///< elements from row to row
    int64_t elements = 0;           ///< of a row
    Asked asked = Asked::to_read;
};

/// Each of `turns` of a loop over K asks for its share of these lines.
static void ask_for(std::vector<Internal::Stmt> &all, const NextRows &next, int64_t bytes, int64_t turns, const Expr &turn) {
    const int64_t line = kLineBytes / bytes, of_row = (next.elements + line - 1) / line;
    if (next.buffer.empty()) return;
    for (const Internal::Stmt &one : prefetch_share(next.buffer, next.rows * of_row, turns, turn, [&](const Expr &at) {
             if (next.rows == 1) return (next.first + at * index_expr(line)) * index_expr(bytes);
             return (next.first + at / index_expr(of_row) * index_expr(next.stride) + at % index_expr(of_row) * index_expr(line)) * index_expr(bytes);
         }, next.asked))
        all.push_back(one);
}

/// A product in parts: each turn of the loop over K asks for its share of the next block of depth of both operands.
static void prefetch_next_block(Lowering &l, const MatmulFuncs &f, const std::string &loop) {
    const int64_t bytes = f.product.output_types()[0].bytes(), block = f.plan.depth_block, depth = f.inner / f.plan.parts;
    const int64_t width = f.plan.tile.vectors * l.lanes(), panels = (f.columns + width - 1) / width, tiles = (f.rows + f.plan.tile.rows - 1) / f.plan.tile.rows;
    const int64_t turns = panels * tiles * block / kStepsOfTurn;
    const std::string loops = f.part.name() + ".s1.";
    const Expr part = loop_variable(loops + f.p.name(), f.plan.parts), at_block = loop_variable(loops + f.depth.x.name() + ".block", depth / block);
    const Expr tile = loop_variable(loops + f.v.name() + ".tile", tiles), panel = loop_variable(loops + f.u.name() + ".vector.panel", panels);
    const Expr next = part * index_expr(depth) + (at_block + 1) * index_expr(block);
    const Expr turn = (panel * index_expr(tiles) + tile) * index_expr(block / kStepsOfTurn) + loop_variable(loop, block / kStepsOfTurn);
    std::vector<Internal::Stmt> all;
    ask_for(all, {f.vector_buffer, next * index_expr(f.columns), 1, 0, block * f.columns}, bytes, turns, turn);
    if (!f.plan.along_rows) ask_for(all, {f.row_buffer, next, f.rows, f.inner, block}, bytes, turns, turn);
    l.in_loop(loop, Internal::Block::make(all));
}

/// The sums of the parts of K: of each, a block of depth after the other, all tiles of the result with it. The block of a panel stays in the first
/// cache for all of them; a vector operand that lies in the right order is read in place.
static void schedule_parts(Lowering &l, MatmulFuncs &f) {
    const int lanes = l.lanes(), rows = f.plan.tile.rows;
    Var panel("panel"), in_panel("in_panel"), tile("tile"), in_tile("in_tile"), vector("vector"), lane("lane");
    Halide::RVar block("block"), in_block("in_block"), turn("turn"), one("one");
    const int64_t computed_columns = round_up(f.columns, f.overruns ? f.plan.tile.vectors * lanes : lanes), computed_rows = f.overruns ? round_up(f.rows, rows) : f.rows;
    f.part.compute_root().bound(f.u, 0, int(computed_columns)).bound(f.v, 0, int(computed_rows)).bound(f.p, 0, int(f.plan.parts));
    f.part.vectorize(f.u, lanes).parallel(f.p);
    Stage update = f.part.update();
    // A last panel has no more vectors than it needs.
    update.split(f.u, vector, lane, lanes).split(vector, panel, in_panel, f.plan.tile.vectors, TailStrategy::GuardWithIf).split(f.v, tile, in_tile, rows, TailStrategy::GuardWithIf);
    update.split(f.depth.x, block, in_block, int(f.plan.depth_block), TailStrategy::GuardWithIf);
    const int64_t bytes = std::max(f.columns, f.rows) * f.inner * f.product.output_types()[0].bytes();
    const bool is_even = f.inner / f.plan.parts % f.plan.depth_block == 0 && f.plan.depth_block % kStepsOfTurn == 0;
    const bool asks_ahead = is_even && f.batch == 1 && !f.plan.transposes && !f.vector_buffer.empty() && bytes >= kAskedBytes && bytes <= kMostPrefetched;
    if (asks_ahead) update.split(in_block, turn, one, kStepsOfTurn).reorder({lane, in_panel, in_tile, one, turn, tile, panel, block, f.p}).unroll(one);
    else update.reorder({lane, in_panel, in_tile, in_block, tile, panel, block, f.p});
    if (asks_ahead) prefetch_next_block(l, f, f.part.name() + ".s1." + f.depth.x.name() + ".in_block.turn");
    if (f.plan.transposes) {
        f.packed.compute_at(f.part, panel);
        schedule_panel(l, f, false);
    }
    update.vectorize(lane).unroll(in_panel).unroll(in_tile).parallel(f.p);
    if (f.packed_rows.defined()) schedule_packed_rows(l, f.packed_rows.compute_at(f.part, block), f.plan.rows_beside());
}

/// Whether the next panel is asked for while the tiles of one are multiplied; the loop over K is then cut into turns.
static bool asks_for_panel(const MatmulFuncs &f) {
    const int64_t bytes = f.columns * f.inner * f.product.output_types()[0].bytes();
    const bool is_packed_by_panel = !f.part.defined() && !f.plan.packs_whole && (f.plan.packs_rows || f.plan.row_block >= f.rows);
    return is_packed_by_panel && !f.plan.transposes && f.batch == 1 && !f.vector_buffer.empty() && f.inner % kStepsOfTurn == 0 && bytes >= kAskedBytes && bytes <= kMostPrefetched;
}

/// Whether rows that come from memory, and results that go there, are asked for while others are multiplied; the loop over K is then cut into turns.
static bool asks_for_rows(const Lowering &l, const MatmulFuncs &f, const Consumer &consumer) {
    const int64_t bytes = f.product.output_types()[0].bytes(), most = std::max({f.columns * f.inner, f.rows * f.inner, f.rows * f.columns}) * bytes;
    // Of groups of tiles it costs more than it saves.
    const bool reads_once = (f.plan.packs_whole && f.plan.tiles_beside == 1) || (f.plan.by_line && !f.plan.along_rows && f.columns <= f.plan.tile.vectors * l.lanes());
    const bool from_memory = most >= kFromMemoryBytes || (f.plan.packs_whole && consumer.updates && consumer.func.outputs() * f.rows * f.columns * bytes >= kUpdatedBytes);
    return reads_once && consumer.within == nullptr && f.batch == 1 && f.inner % kStepsOfTurn == 0 && from_memory && most <= kMostPrefetched;
}

/// Each turn of the loop over K of a tile, of `tiles`, asks for its share of the lines of the next panel, or of the next block of depth of one. Its pieces of rows lie far apart.
static void prefetch_next_panel(Lowering &l, const MatmulFuncs &f, const std::string &loop, int64_t tiles, const Expr &tile, const Expr &panel, const Expr &block) {
    const int64_t bytes = f.product.output_types()[0].bytes(), width = f.plan.tile.vectors * l.lanes();
    const int64_t depth = f.plan.depth_block > 0 ? f.plan.depth_block : f.inner, blocks = f.inner / depth, turns = depth / kStepsOfTurn;
    const Expr next = panel * index_expr(blocks) + block + 1;
    const Expr first = next % index_expr(blocks) * index_expr(depth * f.columns) + next / index_expr(blocks) * index_expr(width);
    std::vector<Internal::Stmt> all;
    ask_for(all, {f.vector_buffer, first, depth, f.columns, width}, bytes, tiles * turns, tile * index_expr(turns) + loop_variable(loop, turns));
    l.in_loop(loop, Internal::Block::make(all));
}

/// All rows of a panel, a block of depth after the other, of which the panel is packed into the first cache.
static void schedule_by_depth(Lowering &l, MatmulFuncs &f, const Expr &at_panel) {
    const int lanes = l.lanes(), width = f.plan.tile.vectors * lanes;
    Var tile_of_panel("tile_of_panel"), in_tile("in_tile");
    Halide::RVar block("block"), in_block("in_block"), turn("turn"), one("one");
    f.product.bound_extent(f.u, width).bound_extent(f.v, int(f.rows)).vectorize(f.u, lanes).unroll(f.u);
    Stage update = f.product.update();
    update.split(f.v, tile_of_panel, in_tile, f.plan.tile.rows, TailStrategy::RoundUp).split(f.depth.x, block, in_block, int(f.plan.depth_block)).split(in_block, turn, one, kStepsOfTurn);
    update.reorder({f.u, in_tile, one, turn, tile_of_panel, block}).vectorize(f.u, lanes).unroll(f.u).unroll(in_tile).unroll(one);
    f.packed.compute_at(f.product, block);
    schedule_panel(l, f, false);
    const std::string loops = f.product.name() + ".s1.", k = loops + f.depth.x.name();
    const int64_t tiles = f.rows / f.plan.tile.rows;
    if (asks_for_panel(f)) prefetch_next_panel(l, f, k + ".in_block.turn", tiles, loop_variable(loops + f.v.name() + ".tile_of_panel", tiles), at_panel, loop_variable(k + ".block", f.inner / f.plan.depth_block));
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
    const bool blocked = f.plan.row_block < f.rows, by_depth = f.plan.depth_block > 0 && !f.part.defined();
    Var rest = row;
    if (blocked) {
        stage.split(row, block, rest, int(f.plan.row_block), tail_of(consumer, f.rows, f.plan.row_block));
    }
    const int64_t block_rows = blocked ? f.plan.row_block : f.rows;
    const int tile_rows = f.plan.by_line ? rows_of_lines(rows) : rows;
    stage.split(rest, tile, in_tile, tile_rows, tail_of(consumer, block_rows, tile_rows));
    Var group("group");
    if (f.plan.tiles_beside > 1) stage.split(tile, group, tile, f.plan.tiles_beside, TailStrategy::GuardWithIf);
    Var inner = f.plan.columns_are_rows ? in_tile : in_panel, other = f.plan.columns_are_rows ? in_panel : in_tile;
    const int64_t inner_extent = f.plan.columns_are_rows ? tile_rows : stored;
    if (f.plan.tiles_beside > 1) stage.reorder(inner, other, tile, panel, group, block);
    else if (f.plan.packs_whole && blocked) stage.reorder(inner, other, panel, tile, block);
    else if (f.plan.packs_whole) stage.reorder(inner, other, panel, tile);
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
        const int64_t panels = (f.columns + stored - 1) / stored, tiles = (f.rows + tile_rows - 1) / tile_rows;
        if (f.batch >= 8) {
            stage.parallel(consumer.axes[0]);
        } else if (blocked && (f.plan.packs_rows || f.plan.packs_whole)) {
            stage.parallel(block);
        } else if (blocked && (f.plan.transposes || f.rows > (kManyBlocks - 1) * f.plan.row_block)) {
            // Packing a panel costs as much as a good part of a block, transposing it more.
            stage.reorder(block, panel).parallel(block);
            packs_in_parallel = true;
        } else if (blocked) {
            stage.fuse(panel, block, task).parallel(task);
            outermost = task;
        } else {
            stage.parallel(shares_tiles(panels, tiles) ? tile : panel);
        }
    }
    if (f.plan.by_line) {
        Var in_row = f.turned.args()[0], result_row = f.turned.args()[1], one_tile("one_tile");
        f.turned.compute_at(consumer.func, f.plan.packs_whole ? panel : tile).bound_extent(in_row, tile_rows).split(in_row, one_tile, in_row, rows).reorder(in_row, result_row, one_tile).vectorize(in_row);
        f.product.compute_at(f.turned, one_tile);
    } else {
        f.product.compute_at(consumer.func, (f.plan.packs_whole && f.plan.tiles_beside == 1) || by_depth ? panel : tile);
    }
    const std::string loops = loops_of(consumer);
    const Expr at_panel = loop_variable(loops + column.name() + "." + panel.name(), (f.columns + stored - 1) / stored);
    if (by_depth) {
        schedule_by_depth(l, f, at_panel);
        return;
    }
    f.product.bound_extent(f.u, width).bound_extent(f.v, rows);
    f.product.vectorize(f.u, lanes).unroll(f.u).unroll(f.v);
    if (f.part.defined()) {
        f.product.update().reorder(f.u, f.v, f.parts.x).vectorize(f.u, lanes).unroll(f.u).unroll(f.v);
        return;
    }
    const bool asks_panel = asks_for_panel(f), asks_rows = asks_for_rows(l, f, consumer);
    if (asks_panel || asks_rows) {
        Halide::RVar turn("turn"), one("one");
        f.product.update().split(f.depth.x, turn, one, kStepsOfTurn).reorder(f.u, f.v, one, turn).vectorize(f.u, lanes).unroll(f.u).unroll(f.v).unroll(one);
    } else {
        f.product.update().reorder(f.u, f.v, f.depth.x).vectorize(f.u, lanes).unroll(f.u).unroll(f.v);
    }
    if (f.plan.packs_whole) {
        f.packed.compute_root();
        schedule_panels(l, f);
    } else {
        f.packed.compute_at(consumer.func, outermost);
        schedule_panel(l, f, packs_in_parallel);
    }
    if (f.packed_rows.defined()) schedule_packed_rows(l, f.packed_rows.compute_at(consumer.func, block), f.plan.rows_beside());

    const std::string k = f.product.name() + ".s1." + f.depth.x.name() + ".turn", row_loops = loops + row.name() + ".";
    const Expr at_block = loop_variable(row_loops + block.name(), (f.rows + block_rows - 1) / block_rows);
    const Expr at_tile = loop_variable((blocked ? row_loops + rest.name() : loops + row.name()) + "." + tile.name(), (block_rows + tile_rows - 1) / tile_rows);
    if (asks_panel) prefetch_next_panel(l, f, k, (block_rows + tile_rows - 1) / tile_rows, at_tile, at_panel, 0);
    if (!asks_rows) return;
    const int64_t bytes = f.product.output_types()[0].bytes(), panels = (f.columns + stored - 1) / stored, tiles = block_rows / tile_rows, turns = f.inner / kStepsOfTurn;
    std::vector<std::string> results;
    for (const OutputImageParam &result : consumer.func.output_buffers()) results.push_back(result.name());
    std::vector<Internal::Stmt> all;
    if (f.plan.packs_whole && !f.plan.by_line) {
        // While a tile's rows are multiplied: the results of the next ones, and of the operand a share of the next block of rows.
        const Expr turn = at_panel * index_expr(turns) + loop_variable(k, turns);
        for (const std::string &result : results)
            ask_for(all, {result, (at_block * index_expr(block_rows) + (at_tile + 1) * index_expr(rows)) * index_expr(f.columns), 1, 0, rows * f.columns, Asked::to_store}, bytes, panels * turns, turn);
        if (f.rows * f.inner * bytes > kKeptRows) ask_for(all, {f.row_buffer, (at_block + 1) * index_expr(block_rows), f.inner, f.rows, block_rows}, bytes, tiles * panels * turns, at_tile * index_expr(panels * turns) + turn);
    } else {
        // The rows that a tile a little later reads, with the first panel or a line later, and the results of the next lines.
        const int64_t tiles_of_line = tile_rows / rows;
        const Expr line = at_block * index_expr(tiles) + at_tile, tile_of_line = loop_variable(f.turned.name() + ".s0." + f.turned.args()[0].name() + ".one_tile", tiles_of_line);
        const Expr turn = tile_of_line * index_expr(turns) + loop_variable(k, turns), turn_of_line = at_panel * index_expr(tiles_of_line * turns) + turn;
        if (panels == 1) ask_for(all, {f.row_buffer, (line * tile_rows + (tile_of_line + kTilesAhead) * rows) * index_expr(f.inner), 1, 0, rows * f.inner}, bytes, turns, loop_variable(k, turns));
        else ask_for(all, {f.row_buffer, (line + 1) * index_expr(tile_rows * f.inner), 1, 0, tile_rows * f.inner}, bytes, panels * tiles_of_line * turns, turn_of_line);
        for (const std::string &result : results)
            ask_for(all, {result, (line + 1) * index_expr(tile_rows), f.columns, f.rows, tile_rows, Asked::to_store}, bytes, panels * tiles_of_line * turns, turn_of_line);
    }
    l.in_loop(k, Internal::Block::make(all));
}

}  // namespace kiln
