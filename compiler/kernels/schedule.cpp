// Loops without contractions: elementwise, views, windows, reductions.
#include "compiler/kernels/schedule.h"

#include "compiler/passes/row_updates.h"
#include "compiler/support/check.h"

#include <algorithm>
#include <numeric>

namespace kiln {

using namespace Halide;

Internal::Stmt prefetch_line(const std::string &buffer, const Expr &offset, Asked asked) {
    const Expr base = Internal::Variable::make(Handle(), buffer);
    return Internal::Evaluate::make(Internal::Call::make(Int(32), asked == Asked::to_store ? kPrefetchLineToStore : kPrefetchLine, {base, Internal::simplify(offset)}, Internal::Call::Extern));
}

std::vector<Internal::Stmt> prefetch_share(const std::string &buffer, int64_t lines, int64_t turns, const Expr &turn, const std::function<Expr(Expr)> &offset, Asked asked) {
    const int64_t share = (lines + turns - 1) / turns;
    std::vector<Internal::Stmt> all;
    for (int64_t i = 0; i < share; i++) {
        const Expr line = turn * index_expr(share) + index_expr(i);
        all.push_back(prefetch_line(buffer, offset(turns * share > lines ? min(line, index_expr(lines - 1)) : line), asked));
    }
    return all;
}

std::string loops_of(const Consumer &consumer) { return consumer.func.name() + (consumer.updates ? ".s1." : ".s0."); }

Expr loop_variable(const std::string &name, int64_t extent) { return extent > 1 ? Internal::Variable::make(Int(32), name) : Expr(0); }

void set_dense_bounds(OutputImageParam image, const Shape &shape, bool extents) {
    int64_t stride = 1;
    for (int d = 0; d < int(shape.size()); d++) {
        const int64_t extent = shape[shape.size() - 1 - size_t(d)];
        if (extents) image.dim(d).set_bounds(0, int(extent));
        image.dim(d).set_stride(int(stride));
        stride *= extent;
    }
}

namespace {

/// Vectors along a dimension: full ones if it is long enough, else one of its length.
void vectorize_inner(const Lowering &l, Stage stage, Var inner, int64_t extent, bool exact) {
    if (extent <= 1) return;
    const int lanes = int(std::min<int64_t>(l.lanes(), extent));
    // Without ShiftInwards (which stores some elements twice) the rest is a masked vector.
    const TailStrategy tail = exact ? TailStrategy::GuardWithIf : extent % lanes == 0 ? TailStrategy::RoundUp : TailStrategy::ShiftInwards;
    stage.vectorize(inner, lanes, tail);
}

/// Runs the outer loops in parallel chunks of about kTaskElements. `axes` outermost first, without the innermost.
void parallelize_outer(Stage stage, const std::vector<Var> &axes, const Shape &extents, int64_t elements, int64_t weight = 1) {
    if (elements * weight < kParallelElements || axes.empty()) return;
    int64_t outer = 1;
    size_t used = 0;
    Var fused = axes[0];
    while (used < axes.size() && (used == 0 || outer < 32)) {
        outer *= extents[used];
        if (used > 0) {
            Var next("fused" + std::to_string(used));
            stage.fuse(axes[used], fused, next);
            fused = next;
        }
        used++;
    }
    const int64_t chunk = std::max<int64_t>(1, kTaskElements / weight / std::max<int64_t>(1, elements / outer));
    if (outer / chunk < 2) return;
    Var task("task"), within("within");
    stage.split(fused, task, within, int(chunk), TailStrategy::GuardWithIf).parallel(task);
}

/// One number takes as long as so many elements of a copy: ten rounds of two products for four of them.
constexpr int64_t kRandomWeight = 8;
/// With as many numbers, 4 us of one thread, two are faster.
constexpr int64_t kParallelRandom = 4096;

bool has_warp(const Graph &body) {
    return std::any_of(body.nodes.begin(), body.nodes.end(), [](const Node &node) { return node.op == Op::warp; });
}

/// How many elements of a copy take as long as one of this body: roots and quotients cost several loads, random numbers ten rounds of products.
int64_t weight_of(const Graph &body) {
    int64_t weight = 0;
    for (const Node &node : body.nodes) {
        if (node.op == Op::random_uniform) weight += 4 * kRandomWeight;
        if (!has_trait(node.op, kElementwise) || node.type.rank() == 0) continue;
        const bool slow = node.op == Op::sqrt || node.op == Op::divide || node.op == Op::power || node.op == Op::exp || node.op == Op::log ||
                          node.op == Op::tanh || node.op == Op::erf;
        weight += slow ? 8 : 1;
    }
    return std::clamp<int64_t>(weight / 4, 1, 32);
}

}  // namespace

void schedule_part(Lowering &l, Func joined, const std::vector<Var> &axes, const Shape &shape, RVar r, int64_t extent) {
    Stage stage = joined.update(joined.num_update_definitions() - 1);
    if (extent > 1) stage.vectorize(r, int(std::min<int64_t>(l.lanes(), extent)), TailStrategy::GuardWithIf);
    else stage.unscheduled();
    if (axes.size() > 1 && element_count(shape) >= kParallelElements) stage.parallel(axes[0]);
}

void schedule_random(Lowering &l, Func random, Func words, Var i, Var block, int64_t elements) {
    const int lanes = std::min(16, l.target().natural_vector_size(UInt(32)));
    Var vector("vector"), lane("lane"), group("group"), word("word");
    random.compute_root().split(i, vector, lane, 16).split(vector, group, word, 4, TailStrategy::RoundUp).unroll(word);
    random.vectorize(lane, lanes).unroll(lane);
    words.vectorize(block, lanes);
    const int64_t groups = (elements + 63) / 64, chunk = std::clamp<int64_t>(groups / 32, 4, kTaskElements / kRandomWeight / 64);
    if (elements < kParallelRandom || groups / chunk < 2) {
        words.compute_at(random, group);
        return;
    }
    Var task("task"), within("within");
    random.split(group, task, within, int(chunk), TailStrategy::GuardWithIf).parallel(task);
    words.compute_at(random, within);
}

/// Where random numbers are stored that nothing but these loops reads: a task's at a time.
static void compute_random_at(Lowering &l, const Consumer &consumer, Var task) {
    const Graph &body = l.body();
    auto is_local = [](const Node &node) {
        return node.op == Op::input || node.op == Op::constant || node.op == Op::broadcast || node.op == Op::random_uniform || has_trait(node.op, kElementwise);
    };
    if (!std::all_of(body.nodes.begin(), body.nodes.end(), is_local)) return;
    if (!std::all_of(body.results.begin(), body.results.end(), [&](const Result &result) { return l.shape(result.value) == consumer.shape; })) return;
    for (int i = 0; i < body.size(); i++)
        if (body[{i}].op == Op::random_uniform && l.is_stored({i})) l.stored({i}).compute_at(consumer.func, task);
}

void schedule_loops(Lowering &l, Consumer &consumer) {
    const size_t rank = consumer.axes.size();
    if (rank == 0) return;
    const int64_t elements = element_count(consumer.shape);
    Stage stage = consumer.stage();
    const int64_t weight = weight_of(l.body());
    if (rank == 1 && elements * weight >= kParallelElements) {
        // At least 32 tasks, so that few threads have nearly the same number of them.
        const int64_t unit = 4 * l.lanes(), chunk = std::min(kTaskElements / weight / 1024 * 1024, (elements / 32 + unit) / unit * unit);
        Var task("task"), within("within"), vector("vector"), lane("lane");
        if (consumer.updates) {
            // Vectors first, tasks of vectors then: the other way round every element of every task is guarded.
            stage.split(consumer.axes[0], vector, lane, l.lanes(), TailStrategy::GuardWithIf).vectorize(lane);
            stage.split(vector, task, within, int(chunk / l.lanes()), TailStrategy::GuardWithIf).parallel(task);
        } else {
            stage.split(consumer.axes[0], task, within, int(chunk), TailStrategy::ShiftInwards).parallel(task);
            vectorize_inner(l, stage, within, chunk, false);
            compute_random_at(l, consumer, task);
        }
        return;
    }
    // Images have few channels: vectors of a warp run over the pixels of a row, or the arithmetic of a place is done for each channel.
    std::vector<Var> axes = consumer.axes;
    Shape shape = consumer.shape;
    if (rank == 4 && shape.back() < l.lanes() && has_warp(l.body())) {
        Var row("row");
        stage.fuse(axes[3], axes[2], row);
        axes = {axes[0], axes[1], row};
        shape = {shape[0], shape[1], shape[2] * shape[3]};
    }
    vectorize_inner(l, stage, axes.back(), shape.back(), consumer.updates);
    parallelize_outer(stage, {axes.begin(), axes.end() - 1}, {shape.begin(), shape.end() - 1}, elements, weight);
}

/// As many terms may be added to one f32, one after the other. Equal ones can all be rounded in the same direction: the sum is then off by a part of 1.2e-4 at most.
constexpr int64_t kLongestSum = 4096;

ReductionPlan plan_reduction(const Lowering &l, const Shape &operand, const Ints &axes, int sums, bool in_f32) {
    ReductionPlan plan;
    const int64_t total = element_count(operand);
    const bool inner_reduced = axes.back() == int64_t(operand.size()) - 1;
    const int64_t extent = operand.back();
    if (inner_reduced && extent >= 2 * l.lanes()) plan.lanes = extent >= 16 * l.lanes() ? 4 * l.lanes() : l.lanes();
    int64_t kept = 1;
    for (size_t axis = 0; axis < operand.size(); axis++)
        if (std::find(axes.begin(), axes.end(), int64_t(axis)) == axes.end()) kept *= operand[axis];
    // Few results from many elements: the outermost reduced axis in chunks.
    int64_t outer = operand[size_t(axes[0])];
    if (axes[0] == axes.back() && inner_reduced) outer /= plan.lanes;
    const int64_t kept_outer = inner_reduced ? kept : kept / extent;
    if (total >= kParallelElements && kept_outer < 16) {
        plan.parallel = true;
        plan.chunks = std::clamp<int64_t>(std::min({total / kTaskElements, outer, std::max<int64_t>(1, total / kept / 16)}), 1, 16);
    }
    plan.wide = in_f32 && total / kept / (plan.chunks * plan.lanes) > kLongestSum;
    const int registers = plan.wide ? 8 : 16;  // for vectors of f32 or f64
    // Neighbouring vectors lie in the same pages and often in the same pairs of cache lines: they are read together. A last tile is shifted back.
    if (!inner_reduced && plan.chunks > 1) {
        int64_t least = INT64_MAX;
        for (int64_t tile = l.lanes(); tile <= extent && tile / l.lanes() * sums <= registers; tile += l.lanes())
            if (const int64_t computed = (extent + tile - 1) / tile * tile; computed <= least) least = computed, plan.tile = tile;
    }
    return plan;
}

void schedule_tiled_reduction(Lowering &l, Func stored, Func partial, const std::vector<Var> &kept, Var chunk, const ReductionPlan &plan,
                              const Shape &kept_shape) {
    Var panel("panel"), in_panel("in_panel"), k = kept.back();
    stored.compute_root().bound(k, 0, int(kept_shape.back()));
    stored.split(k, panel, in_panel, int(plan.tile)).vectorize(in_panel, l.lanes()).unroll(in_panel).parallel(chunk);
    partial.compute_at(stored, panel).bound_extent(k, int(plan.tile)).vectorize(k, l.lanes()).unroll(k);
    std::vector<VarOrRVar> order{k};
    for (const RVar &r : partial.rvars(0)) order.push_back(r);
    partial.update(0).reorder(order).vectorize(k, l.lanes()).unroll(k);
}

void schedule_partial_reduction(Lowering &l, Func partial, const std::vector<Var> &kept, Var chunk, Var lane, const ReductionPlan &plan,
                                const Shape &kept_shape) {
    partial.compute_root();
    for (int stage = 0; stage < 2; stage++) {
        Stage s = stage == 0 ? Stage(partial) : partial.update(0);
        if (plan.lanes > 1) {
            s.vectorize(lane, int(std::min<int64_t>(plan.lanes, l.lanes())));
            if (plan.lanes > l.lanes()) s.unroll(lane);
        } else if (!kept.empty()) {
            vectorize_inner(l, s, kept.back(), kept_shape.back(), stage == 1);
        }
        if (plan.chunks > 1) s.parallel(chunk);
        else if (plan.parallel && kept.size() > 1) s.parallel(kept.front());
    }
    if (plan.lanes > 1) {
        partial.bound_extent(lane, int(plan.lanes));
        // The lanes stay in registers: they are the innermost loop around the reduction's step.
        partial.update(0).reorder(lane, RVar(partial.rvars(0)[0].name()));
    }
}

bool leaves_rest(const Lowering &l, const Shape &kept_shape) {
    return !kept_shape.empty() && kept_shape.back() > l.lanes() && kept_shape.back() % l.lanes() != 0;
}

Func schedule_final_reduction(Lowering &l, Func sums, const std::vector<Var> &kept, const Shape &kept_shape, int updates, Func stored, bool wide) {
    if (wide || leaves_rest(l, kept_shape)) {
        const std::vector<Var> vars = reversed(kept);
        std::vector<Expr> values;
        for (int i = 0; i < sums.outputs(); i++) values.push_back(wide ? cast<float>(element(sums(vars), i)) : element(sums(vars), i));
        define(stored(vars), values);
    }
    if (kept.empty()) {
        sums.compute_root();
        return wide ? stored.compute_root() : sums;
    }
    const int64_t elements = element_count(kept_shape);
    const std::vector<Var> outer(kept.begin(), kept.end() - 1);
    if (leaves_rest(l, kept_shape)) {
        const Var k = kept.back(), vector("vector"), lane("lane");
        Stage stage(stored.compute_root());
        stage.split(k, vector, lane, l.lanes(), TailStrategy::ShiftInwards).vectorize(lane);
        parallelize_outer(stage, outer, {kept_shape.begin(), kept_shape.end() - 1}, elements);
        sums.compute_at(stored, vector).bound_extent(k, l.lanes()).vectorize(k, l.lanes());
        for (int update = 0; update < updates; update++) sums.update(update).vectorize(k, l.lanes());
        return stored;
    }
    sums.compute_root();
    for (int stage = 0; stage <= updates; stage++) {
        Stage s = stage == 0 ? Stage(sums) : sums.update(stage - 1);
        vectorize_inner(l, s, kept.back(), kept_shape.back(), stage > 0);
        if (stage > 0 && kept_shape.back() <= 1) s.unscheduled();
        parallelize_outer(s, outer, {kept_shape.begin(), kept_shape.end() - 1}, elements);
    }
    if (!wide) return sums;
    vectorize_inner(l, Stage(stored.compute_root()), kept.back(), kept_shape.back(), false);
    return stored;
}

std::vector<RowPiece> pieces_of_rows(const Lowering &l, const Shape &table) {
    if (table.size() < 2 || !leaves_rest(l, table)) return {{}};
    const int64_t rest = table.back() % l.lanes();
    return {{false, 0, table.back() - rest}, {false, table.back() - rest, rest}};
}

void schedule_table(Lowering &l, Func table, const std::vector<Var> &axes, const Shape &shape) {
    vectorize_inner(l, Stage(table.compute_root()), axes.back(), shape.back(), false);
}

void schedule_rows(Lowering &l, Func table, const std::vector<Var> &columns, const Shape &shape, const RowPiece &piece, const RDom &r) {
    const int update = table.num_update_definitions() - 1;
    Stage stage = table.update(update);
    std::vector<VarOrRVar> order(columns.rbegin(), columns.rend());
    if (!piece.is_all) order[0] = RVar(r.x);
    // An index of rank 0 is one row, and the update has no domain.
    if (!table.rvars(update).empty())
        for (int i = piece.is_all ? 0 : 1; i < r.dimensions(); i++) order.push_back(RVar(r[i]));
    if (order.size() > 1) stage.reorder(order);
    if (piece.is_all && !columns.empty()) vectorize_inner(l, stage, columns.back(), shape.back(), true);
    // A rest one by one: a store by a mask takes 14 cycles on AMD (Zen 3).
    if (!piece.is_all && piece.first > 0) stage.unroll(RVar(r.x));
    if (!piece.is_all && piece.first == 0) stage.allow_race_conditions().vectorize(RVar(r.x), l.lanes());
}

/// Elements of a table in more parts, of which any number of threads has nearly as many.
constexpr int64_t kManyParts = 1 << 20;

TableParts parts_of(const Shape &table) {
    const int64_t elements = element_count(table), row = elements / table[0], count = elements >= kManyParts ? 32 : 8;
    // A part begins with a vector, whatever its elements are.
    constexpr int64_t kMostLanes = 16;
    const int64_t unit = kMostLanes / std::gcd(row, kMostLanes), rows = (table[0] + count * unit - 1) / (count * unit) * unit;
    return {(table[0] + rows - 1) / rows, rows};
}

RowVectors::RowVectors(const Lowering &l, std::vector<Var> axes, const Shape &shape)
    : axes_(std::move(axes)), extent_(axes_.empty() ? 1 : shape.back()), lanes_(std::min<int64_t>(l.lanes(), extent_)),
      overlap_(!axes_.empty() && leaves_rest(l, shape)) {}

RDom RowVectors::domain(int64_t slots, const Expr &parts, const std::string &name) const {
    Region region{{0, int(slots)}, {0, parts}};
    // Innermost first, for Halide does not reorder what it does not see to be independent.
    if (overlap_) region.insert(region.begin(), {{0, int(lanes_)}, {0, int((extent_ + lanes_ - 1) / lanes_)}});
    return RDom(region, name);
}

Coordinates RowVectors::columns(const RDom &domain, bool in_storage) const {
    Coordinates at(axes_.begin(), axes_.end());
    if (!overlap_) return at;
    const Expr first = domain[1] * index_expr(lanes_);
    at.back() = (in_storage ? first : min(first, index_expr(extent_ - lanes_))) + domain[0];
    return at;
}

void RowVectors::schedule(Stage stage, const RDom &domain) const {
    std::vector<VarOrRVar> order(axes_.rbegin(), axes_.rend());
    if (overlap_) order[0] = RVar(domain[1]), order.insert(order.begin(), RVar(domain[0]));
    order.insert(order.end(), {slot(domain), part(domain)});
    stage.reorder(order);
    if (overlap_) stage.allow_race_conditions().vectorize(RVar(domain[0]));
    else if (extent_ > 1) stage.vectorize(axes_.back(), int(lanes_), TailStrategy::GuardWithIf);
}

void RowVectors::schedule_storage(Func rows, Var slot) const { rows.compute_root().align_storage(axes_.empty() ? slot : axes_.back(), int(lanes_)); }

void schedule_part_lists(Func before, Func listed, const TableParts &parts) {
    const Var part = before.args()[0];
    before.compute_root().bound(part, 0, int(parts.count));
    before.update(0).vectorize(part, int(parts.count));
    before.update(1).reorder(part, RVar(before.rvars(1)[0].name())).vectorize(part, int(parts.count));
    listed.compute_root();
    listed.update(0).unscheduled();
}

void schedule_gather_in_parts(Consumer &consumer, const RDom &r, const RowVectors &columns) {
    Stage stage = consumer.func.update(0);
    columns.schedule(stage, r);
    stage.allow_race_conditions().parallel(RowVectors::part(r));
}

RowUpdatePlan plan_row_update(const Lowering &l, const Shape &table, const Shape &rows, bool stores_others) {
    const int64_t elements = element_count(table), weight = weight_of(l.body());
    RowUpdatePlan plan;
    plan.parallel = table[0] >= kRowsInParts && (stores_others ? elements >= kElementsInParts : element_count(rows) * weight >= kParallelElements);
    plan.parts = plan.parallel ? parts_of(table) : TableParts{2, (table[0] + 1) / 2};
    return plan;
}

void schedule_row_update(Lowering &l, Consumer &consumer, RowUpdateFuncs &f, const Var &slot) {
    f.columns.schedule_storage(f.rows, slot);
    // Always in a parallel loop, which is a function of its own, or one that knows of the stores (OneLoopOfParts): a compiler that takes short
    // loops apart must not load old rows behind stores that it does not know to be stores over them.
    f.columns.schedule(f.rows.update(0), f.making);
    f.rows.update(0).allow_race_conditions().parallel(RowVectors::part(f.making));
    if (f.stores_others) {
        Stage stage = consumer.func.update(0);
        Var flat = consumer.axes.back(), vector("vector"), lane("lane"), task("task"), within("within");
        for (size_t axis = consumer.axes.size() - 1; axis-- > 0;) {
            Var next("flat" + std::to_string(axis));
            stage.fuse(flat, consumer.axes[axis], next);
            flat = next;
        }
        stage.split(flat, vector, lane, l.lanes(), TailStrategy::GuardWithIf).vectorize(lane);
        if (f.plan.parallel) {
            const int64_t row = element_count(consumer.shape) / consumer.shape[0];
            stage.split(vector, task, within, int(f.plan.parts.rows * row / l.lanes()), TailStrategy::GuardWithIf).parallel(task);
        }
    }
    Stage set = consumer.func.update(f.stores_others ? 1 : 0);
    f.columns.schedule(set, f.setting);
    if (!f.plan.parallel) return;
    set.allow_race_conditions().parallel(RowVectors::part(f.setting));
    const std::string result = consumer.func.name();
    l.in_one_loop({.making = f.rows.name() + ".s1." + RowVectors::part(f.making).name(),
                   .setting = result + (f.stores_others ? ".s2." : ".s1.") + RowVectors::part(f.setting).name(),
                   .others = f.stores_others ? result + ".s1." : "",
                   .parts = f.plan.parts.count,
                   .results = l.overwritten_buffers(f.results, consumer.func)});
}

void schedule_scattered(Lowering &l, Func sum, const std::vector<Var> &axes, const Shape &shape, const std::vector<bool> &is_free) {
    sum.compute_root();
    vectorize_inner(l, Stage(sum), axes.back(), shape.back(), false);
    Stage update = sum.update(0);
    if (is_free.back()) vectorize_inner(l, update, axes.back(), shape.back(), true);
    else update.unscheduled();
    for (size_t d = 0; d + 1 < axes.size(); d++)
        if (is_free[d] && element_count(shape) >= kParallelElements) {
            update.parallel(axes[d]);
            break;
        }
}

}  // namespace kiln
