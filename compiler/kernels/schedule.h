// All scheduling policy: tiles, vectors, unrolling, chunks of work, partial sums. Everything is chosen from shapes and the target at
// compile time, never from the number of threads, so that results do not depend on it.
#pragma once

#include "compiler/kernels/lowering.h"

namespace kiln {

/// Loops with fewer elements than this run on one thread.
inline constexpr int64_t kParallelElements = 64 * 1024;
/// What one task of a parallel loop should at least do.
inline constexpr int64_t kTaskElements = 32 * 1024;
/// The same in multiplications, for contractions.
inline constexpr int64_t kParallelProducts = 1 << 18;
/// Tensors joined along the vectors are stored before they are read if they have no more elements.
inline constexpr int64_t kStoredConcat = 1 << 20;
/// Most rows of a register tile.
inline constexpr int kTileRows = 28;

/// Loops of what computes `rows` part by part: a task takes `band` rows of `images` samples. Where a task's part of the rows is computed.
Halide::LoopLevel schedule_tasks(const Lowering &l, Consumer &rows, int64_t band, int64_t images, bool parallel);

/// Larger buffers are not asked for ahead: offsets are of 32 bits, and run a little past the end.
inline constexpr int64_t kMostPrefetched = 1 << 30;
/// Bytes of a line of the caches.
inline constexpr int64_t kLineBytes = 64;
/// What is done with a line that is asked for.
enum class Asked { to_read, to_store };
/// Asks for the line at an offset in bytes of a buffer that is an argument or a result; for before_loop() and in_loop().
Halide::Internal::Stmt prefetch_line(const std::string &buffer, const Expr &offset, Asked asked = Asked::to_read);
/// The same for `lines` of a buffer, of which each of `turns` asks for as many: those of `turn`. `offset`: in bytes, of a line.
std::vector<Halide::Internal::Stmt> prefetch_share(const std::string &buffer, int64_t lines, int64_t turns, const Expr &turn, const std::function<Expr(Expr)> &offset, Asked asked = Asked::to_read);
/// The innermost loop of products that asks for lines is cut into turns of so many steps: at each step there would be more requests than lines.
inline constexpr int kStepsOfTurn = 4;
/// The loops of a consumer are named with this in front.
std::string loops_of(const Consumer &consumer);
/// The variable of a loop of the lowered kernel; a loop of one iteration is none.
Expr loop_variable(const std::string &name, int64_t extent);

/// Constant bounds and strides: with them the prologue of a kernel is a few loads of addresses.
void set_dense_bounds(Halide::OutputImageParam image, const Shape &shape, bool extents = true);

/// Schedules a loop nest of its own: innermost dimension in vectors, outer dimensions in parallel chunks if there is enough to do.
void schedule_loops(Lowering &l, Consumer &consumer);

/// The last update of a Func over `axes`, of `shape`, which stores a part of its innermost axis, `r`, of this extent.
void schedule_part(Lowering &l, Func joined, const std::vector<Var> &axes, const Shape &shape, Halide::RVar r, int64_t extent);

/// Random numbers in a row, `elements` of them over `i`: 16 blocks of four words at a time become 64 neighbours.
void schedule_random(Lowering &l, Func random, Func words, Var i, Var block, int64_t elements);

/// How a reduction is cut into partial results; they are combined in a fixed order.
struct ReductionPlan {
    int64_t lanes = 1;   ///< partial results along the innermost axis, if that is reduced
    int64_t chunks = 1;  ///< partial results over ranges of the outermost reduced axis
    int64_t tile = 1;    ///< kept elements, along the innermost axis, whose results stay in registers over all steps
    bool parallel = false;
    bool wide = false;   ///< added up in f64: so many terms one after the other that roundings in f32 would show
};
/// `sums`: reductions computed in the same loop; `in_f32`: they add numbers of that type.
ReductionPlan plan_reduction(const Lowering &l, const Shape &operand, const Ints &axes, int sums, bool in_f32);
/// `stored`: the same as `partial`, which is computed in registers for a tile at a time.
void schedule_tiled_reduction(Lowering &l, Func stored, Func partial, const std::vector<Var> &kept, Var chunk, const ReductionPlan &plan,
                              const Shape &kept_shape);
/// `partial`: Func over (kept axes.., chunk, lane), updated once over `domain`.
void schedule_partial_reduction(Lowering &l, Func partial, const std::vector<Var> &kept, Var chunk, Var lane, const ReductionPlan &plan,
                                const Shape &kept_shape);
/// Whether vectors along the innermost kept axis leave a rest, which no update may have: compiler/decisions/rests-of-reductions.md.
bool leaves_rest(const Lowering &l, const Shape &kept_shape);
/// What holds the result of `updates` of `sums`: themselves, or `stored`, an undefined Func, if they leave a rest or are f64 for an f32 (`wide`).
Func schedule_final_reduction(Lowering &l, Func sums, const std::vector<Var> &kept, const Shape &kept_shape, int updates, Func stored, bool wide = false);
/// Columns of a row that one update stores: all of them, or those along the innermost axis that fill vectors, or the rest of these.
struct RowPiece {
    bool is_all = true;
    int64_t first = 0, count = 0;
};
std::vector<RowPiece> pieces_of_rows(const Lowering &l, const Shape &table);
/// The table before its rows are stored or added to.
void schedule_table(Lowering &l, Func table, const std::vector<Var> &axes, const Shape &shape);
/// The last update of the table, row by row; `columns`: the axes of a row, of which the innermost is the first of `r` unless it is_all.
void schedule_rows(Lowering &l, Func table, const std::vector<Var> &columns, const Shape &shape, const RowPiece &piece, const Halide::RDom &r);

/// Rows of tables made anew from old ones, and the rest of the tables computed where it lies. A table is cut into parts of neighbouring rows.
/// All that happens to a part falls to one thread, so that it stays in the caches of one processor: the new rows of a part are made and
/// stored together, too, before they are set.
struct TableParts {
    int64_t count = 1, rows = 0;    ///< of a part; the last one may have fewer
};
TableParts parts_of(const Shape &table);

/// Rows, listed in the slots of parts, that an update stores one after the other in vectors along the innermost of their axes. Where those
/// leave a rest (leaves_rest()) the last vector begins earlier and stores some elements again, for a store by a mask takes 14 cycles on AMD
/// (Zen 3): the update must not read what it stores.
class RowVectors {
public:
    /// `axes` and `shape`: of what is stored, of which `axes` are the columns of a row.
    RowVectors(const Lowering &l, std::vector<Var> axes, const Shape &shape);
    /// Slots of a part that hold a row, and parts; vectors that overlap, too.
    Halide::RDom domain(int64_t slots, const Expr &parts, const std::string &name) const;
    static Halide::RVar slot(const Halide::RDom &domain) { return domain[domain.dimensions() - 2]; }
    static Halide::RVar part(const Halide::RDom &domain) { return domain[domain.dimensions() - 1]; }
    /// Columns of the table, and of storage of whole vectors.
    Coordinates in_table(const Halide::RDom &domain) const { return columns(domain, false); }
    Coordinates in_storage(const Halide::RDom &domain) const { return columns(domain, true); }
    void schedule(Halide::Stage stage, const Halide::RDom &domain) const;
    /// Of storage for rows that are not read behind `in_storage`.
    void schedule_storage(Func rows, Var slot) const;

private:
    Coordinates columns(const Halide::RDom &domain, bool in_storage) const;
    std::vector<Var> axes_;
    int64_t extent_ = 1, lanes_ = 1;
    bool overlap_ = false;
};

/// `before`: over parts and positions, counted in its last update; `listed`: over positions and parts.
void schedule_part_lists(Func before, Func listed, const TableParts &parts);
void schedule_gather_in_parts(Consumer &consumer, const Halide::RDom &r, const RowVectors &columns);
struct RowUpdatePlan {
    TableParts parts;
    bool parallel = false;
};
/// `table`, `rows`: their shapes.
RowUpdatePlan plan_row_update(const Lowering &l, const Shape &table, const Shape &rows, bool stores_others);
struct RowUpdateFuncs {
    explicit RowUpdateFuncs(RowVectors of_a_row) : columns(std::move(of_a_row)) {}
    RowUpdatePlan plan;
    std::vector<NodeId> results;
    Func rows;                      ///< the new rows, over (columns, slot, part)
    Halide::RDom making, setting;   ///< of `columns`: of the last update of `rows` and of the consumer's
    bool stores_others = false;     ///< the consumer's first update computes the rest
    RowVectors columns;
};
/// `slot`: of `rows`.
void schedule_row_update(Lowering &l, Consumer &consumer, RowUpdateFuncs &f, const Var &slot);

/// Terms added where they belong: dimensions in `is_free` have no order, the innermost one runs in vectors if it is such.
void schedule_scattered(Lowering &l, Func sum, const std::vector<Var> &axes, const Shape &shape, const std::vector<bool> &is_free);

/// A register tile of a contraction: `vectors` along the vector dimension times `rows`.
struct Tile {
    int vectors = 1, rows = 1;
};
/// Cycles that a sum waits for its last product.
inline constexpr double kMultiplyLatency = 4;
/// Cycles of a step of the sums of a tile: two multiply-adds a cycle, and two loads with 32 registers; with 16, three in two cycles (AVX2, Zen 3).
double cycles_of_step(const Lowering &l, const Tile &tile, double latency = kMultiplyLatency);
/// The fastest tile for columns x rows results. With 32 registers a model of one multiply-add a cycle chooses what is measured to be the fastest.
/// `even`: the columns are full vectors, and a number of whole tiles.
Tile choose_tile(const Lowering &l, int64_t columns, int64_t rows, int lanes, int most_rows = kTileRows, bool even = false, double latency = kMultiplyLatency);

/// How a sum in index notation runs: vectors along one axis of the result, a few positions of another beside them in registers.
struct SumPlan {
    int vector_axis = -1;           ///< of the result; -1: no tile, too few elements
    int row_axis = -1;              ///< -1: one row
    int window_axis = -1;           ///< reduced, written out: what one row reads along it, its neighbours read, too; -1: none
    int joined_axis = -1;           ///< of the result, all of whose positions are in the tile, too; -1: none
    int steps = 1;                  ///< of the innermost reduced axis, written out
    Tile tile;
    int vector = 1;                 ///< elements of a vector
    std::vector<int> order;         ///< reduced axes, innermost first
    /// The outermost reduced axis runs outside of the tiles, in `parts` ranges that are summed up at the end; 0: inside like the others.
    int64_t parts = 0;
};
/// strides[r][axis]: elements from one position to the next of read r. sizes[r]: elements of its tensor.
SumPlan plan_sum(const Lowering &l, const Shape &space, size_t kept, const std::vector<Ints> &strides, const std::vector<int64_t> &sizes);
/// A copy of an operand of a sum, over [low, low + shape) in each of its axes.
struct OperandCopy {
    Consumer loops;
    Ints low;
    int follows = -1;               ///< axis of the space along which one position needs one along the copy's first axis, and no other; -1: none
};
struct SumFuncs {
    SumPlan plan;
    std::vector<OperandCopy> copies;
    Func sum;                       ///< over the axes of the result, and `part` if there are parts
    Halide::RDom reduced;           ///< in plan.order
    std::vector<Var> axes;
    Var part;
    Shape shape;                    ///< of the result
    double points = 0;
};
void schedule_sum(Lowering &l, Consumer &consumer, SumFuncs &f);
void schedule_sum_in_parts(Lowering &l, SumFuncs &f);

inline int64_t round_up(int64_t a, int64_t b) { return (a + b - 1) / b * b; }
/// Exact tails for stages that update in place; else a last tile that overlaps the one before.
Halide::TailStrategy tail_of(const Consumer &consumer, int64_t extent, int64_t factor);

struct MatmulPlan {
    bool columns_are_rows = false;  ///< vectors run along M instead of N; the result is stored transposed
    Tile tile;
    bool along_rows = false;        ///< the other operand lies along the rows of a tile in memory, not along K
    bool transposes = false;        ///< the vector operand lies the other way in memory
    bool packs_rows = false;        ///< the other operand, too, is copied: its rows lie far apart along K
    int tiles_beside = 1;           ///< of so many tiles the rows are packed side by side, and multiplied by one panel after the other
    int rows_beside() const { return tiles_beside * tile.rows; }
    bool by_line = false;           ///< results stored along the rows of a tile: several tiles make a line of a row, and lines are stored as a whole
    bool packs_whole = false;       ///< all panels are packed before, and a tile's rows are multiplied by one after the other
    int64_t row_block = 0;          ///< rows one task computes with one packed panel, or of which it packs the other operand
    int64_t parts = 1;              ///< of a deep K, each summed alone and then added in their order
    int64_t depth_block = 0;        ///< of a part: so much of K at a time
};
struct MatmulFuncs {
    MatmulPlan plan;
    Func product;
    Func turned;                    ///< product in the order of the results, if that is not its own
    Func packed;                    ///< the vector operand in panels of a tile's width
    Func packed_rows;               ///< the other operand, or undefined
    Func part;                      ///< the sum of a part of K, or undefined
    Var p;                          ///< of parts
    Halide::RDom depth, parts;
    std::string vector_buffer, row_buffer;  ///< the operands, if they are arguments
    Var u, v;                       ///< vector dimension and rows of `product`
    int64_t columns = 0, rows = 0, inner = 0, batch = 1;
    bool overruns = false;          ///< tiles that do not fit are not shifted back, since nothing may be stored twice: they read the last row and column again
};
/// `has_epilogue`: something is computed of the results before they are stored.
MatmulPlan plan_matmul(const Lowering &l, int64_t m, int64_t n, int64_t k, bool transpose_a, bool transpose_b, int64_t batch, bool has_epilogue);
void schedule_matmul(Lowering &l, Consumer &consumer, MatmulFuncs &f);

/// Output channels as full vectors and a rest of at most half of one. The rest has an update of its own, in vectors of its length:
/// a third vector of which one lane counts would take as long as a full one.
struct ChannelSplit {
    int64_t full = 0;               ///< channels in full vectors; all of them if rest is 0
    int64_t rest = 0;
    int64_t rest_lanes = 0;         ///< of a vector that holds the rest: a few lanes more are faster than single numbers
};
/// All channels in full vectors if they leave no rest of at most half of one.
ChannelSplit split_rest(const Lowering &l, int64_t channels);
/// The same where the rest goes with the only panel; `rows`: the other side of the tile.
ChannelSplit split_channels(const Lowering &l, int64_t channels, int64_t rows);

struct ConvolutionFuncs {
    Func product;                   ///< over (n, y, x, k); with phases over (n, y, phase, x / phases, k)
    Func padded;                    ///< the image with its border, or undefined
    Halide::RDom taps;              ///< channel, s, r; behind a channel of the result if they are split
    Halide::RDom rest_taps, zeros, rest_zeros;
    ChannelSplit split;
    std::vector<Var> axes;          ///< n, y, x, k
    Var phase;
    int64_t phases = 1;             ///< x modulo the stride of an input gradient: each has taps of its own
    int64_t channels = 0;           ///< reduced
    int64_t products = 0;           ///< multiplications in all
    /// A window of one element that is read in place: every so many pixels and rows of a buffer that is an argument, [N, H, W, C].
    struct ReadPixels {
        std::string buffer;
        Shape shape;
        Ints stride;
        int64_t rows_apart = 1;     ///< rows of results from one row that is read to the next
    } read;
};
void schedule_convolution(Lowering &l, Consumer &consumer, ConvolutionFuncs &f);

/// A convolution to a few channels, see convolution.cpp.
struct NarrowFuncs {
    Func sum, part, padded;
    Halide::RDom taps;              ///< vectors of channels, s, r
    Halide::RDom lanes;
    Var lane;
    std::vector<Var> axes;          ///< n, y, x, c
    int64_t products = 0;
};
void schedule_narrow_convolution(Lowering &l, Consumer &consumer, NarrowFuncs &f);

struct WeightGradientPlan {
    int64_t parts = 1;              ///< partial sums, each over batch / parts samples; divides the batch
};
struct WeightGradientFuncs {
    WeightGradientPlan plan;
    Func part;                      ///< over (r, s, c, k, part)
    bool is_split = false;          ///< the last channels of k, less than a vector, have an update of their own
    bool packs_pixels = false;      ///< of both operands, side by side: those that a stride leaves apart would meet in a few sets of the first cache
    struct Update {
        int64_t columns = 0;        ///< of k
        Func padded;                ///< the image with its border or the pixels packed, or undefined
        Func gradient;              ///< of the results, if it is computed or packed
        Halide::RDom pixels;        ///< x, y, sample of the part; behind k if that is split
    };
    std::vector<Update> updates;
    std::vector<Var> axes;          ///< r, s, c, k
    Var p;
    Shape shape;                    ///< [R, S, C, K]
    int64_t samples = 0;            ///< of a part
    int64_t sample_pixels = 0;      ///< of the gradient
    int64_t row_pixels = 0;
    std::vector<std::string> gradient_buffers;  ///< arguments as large as the gradient: it, or what it is computed from
    int64_t sample_bytes = 0;       ///< of the image
    std::string image_buffer;       ///< the image, [N, H, W, C], if it is an argument
    Shape image;
    Ints stride;
};
WeightGradientPlan plan_weight_gradient(int64_t batch, const Shape &weights, int64_t element_bytes);
void schedule_weight_gradient(Lowering &l, WeightGradientFuncs &f);

}  // namespace kiln
