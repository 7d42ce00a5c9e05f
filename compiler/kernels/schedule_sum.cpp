// Sums in index notation, by rules: which axis of the result runs in vectors, which one beside it in registers, the order of the
// reduced axes, and partial sums where the result is small and the sum long. Shapes and strides decide.
#include "compiler/kernels/schedule.h"

#include "compiler/kernels/target.h"

#include <algorithm>
#include <cmath>
#include <optional>

namespace kiln {

using namespace Halide;

namespace {

/// Terms of one element from which on the sum is cut into blocks, so that what it reads stays in the cache.
constexpr int64_t kLongSum = 4096;
/// Partial sums of one element; their memory together.
constexpr int64_t kMostParts = 8;
constexpr int64_t kPartBytes = 4 << 20;
/// Longest window that is written out, and rows that share its loads.
constexpr int64_t kWindow = 7;
constexpr int kWindowRows = 8;

TailStrategy tail(const Consumer &consumer, int64_t extent, int64_t factor) {
    if (consumer.updates) return TailStrategy::GuardWithIf;
    return extent % factor == 0 ? TailStrategy::RoundUp : TailStrategy::ShiftInwards;
}

int64_t magnitude(int64_t stride) { return std::abs(stride); }

/// Copies that follow this axis of the space are made a slice at a time, so that what they hold stays in the cache; the others before. -1: all of them.
void schedule_copies(Lowering &l, std::vector<OperandCopy> &copies, int followed, const LoopLevel &stored, const LoopLevel &computed) {
    for (OperandCopy &copy : copies) {
        Consumer &c = copy.loops;
        if (followed >= 0 && copy.follows == followed) {
            c.func.store_at(stored).compute_at(computed);
            if (c.shape.back() >= l.lanes()) c.func.vectorize(c.axes.back(), l.lanes());
            continue;
        }
        c.func.compute_root();
        for (size_t axis = 0; axis < c.axes.size(); axis++) c.func.bound(c.axes[axis], int(copy.low[axis]), int(c.shape[axis]));
        schedule_loops(l, c);
    }
}

}  // namespace

SumPlan plan_sum(const Lowering &l, const Shape &space, size_t kept, const std::vector<Ints> &strides, const std::vector<int64_t> &sizes) {
    SumPlan plan;
    if (kept == 0 || kept == space.size()) return plan;
    const Shape shape(space.begin(), space.begin() + long(kept));
    const double all = double(element_count(space)), elements = double(element_count(shape));

    // Vectors: full ones, along which the reads move by one element or stand still. What lies across is copied first.
    double best = 1e300;
    for (size_t axis = 0; axis < kept; axis++) {
        const double extent = double(space[axis]), vectors = std::ceil(extent / l.lanes());
        if (space[axis] == 1) continue;
        double cost = all / extent * vectors;
        for (size_t r = 0; r < strides.size(); r++)
            if (magnitude(strides[r][axis]) > 1) cost += double(sizes[r]) * 4 <= all ? 2.0 * double(sizes[r]) : all;
        if (axis + 1 != kept) cost += 2 * elements;
        if (cost < best) best = cost, plan.vector_axis = int(axis);
    }
    if (plan.vector_axis < 0) return plan;
    const int64_t columns = space[size_t(plan.vector_axis)];

    // Rows: along them a read in vectors stands still, and so serves all of them.
    int most = 0;
    for (size_t axis = kept; axis-- > 0;) {
        if (int(axis) == plan.vector_axis || space[axis] == 1) continue;
        int still = 1;
        for (const Ints &stride : strides) still += stride[axis] == 0 ? 2 + (stride[size_t(plan.vector_axis)] != 0) : 0;
        if (still > most || (still == most && space[axis] > space[size_t(plan.row_axis)])) most = still, plan.row_axis = int(axis);
    }
    // A window that slides along an axis: neighbours read the same elements, if they are rows of one tile and the window is written out. That
    // counts where no read stands still along the vectors, so that each product would take two loads.
    const bool all_move = std::all_of(strides.begin(), strides.end(), [&](const Ints &stride) { return stride[size_t(plan.vector_axis)] != 0; });
    for (size_t axis = 0; axis < kept && all_move; axis++)
        for (size_t window = kept; window < space.size(); window++)
            for (const Ints &stride : strides)
                if (int(axis) != plan.vector_axis && space[axis] >= kWindowRows && space[window] > 1 && space[window] <= kWindow &&
                    magnitude(stride[axis]) == magnitude(stride[window]) && stride[axis] != 0)
                    plan.row_axis = int(axis), plan.window_axis = int(window);
    const int64_t rows = plan.row_axis < 0 ? 1 : space[size_t(plan.row_axis)];
    plan.tile = plan.window_axis >= 0 ? Tile{1, kWindowRows} : choose_tile(l, columns, rows, l.lanes());
    plan.vector = int(std::min<int64_t>(l.lanes(), columns));
    // No tile is wider than the result: what lies beyond would be read past the end.
    plan.tile.vectors = int(std::clamp<int64_t>(columns / plan.vector, 1, plan.tile.vectors));

    // Reduced axes: the shortest steps innermost.
    for (size_t axis = kept; axis < space.size(); axis++) plan.order.push_back(int(axis));
    auto step = [&](int axis) {
        int64_t total = 0;
        for (const Ints &stride : strides) total += magnitude(stride[size_t(axis)]);
        return total;
    };
    std::stable_sort(plan.order.begin(), plan.order.end(), [&](int a, int b) { return step(a) < step(b); });
    std::stable_partition(plan.order.begin(), plan.order.end(), [&](int axis) { return axis == plan.window_axis; });

    const int64_t outermost = space[size_t(plan.order.back())];
    if (plan.order.size() > 1 && all / elements >= kLongSum && all >= kParallelProducts && outermost > 1) {
        const int64_t bytes = int64_t(elements) * 8;
        plan.parts = 1;
        for (int64_t parts = 1; parts <= kMostParts; parts++)
            if (outermost % parts == 0 && (parts <= 2 || parts * bytes <= kPartBytes)) plan.parts = parts;
        // Each load serves few of the sums in a tile, so those along another axis join them, and fewer vectors.
        for (size_t axis = 0; axis < kept && plan.row_axis >= 0 && plan.tile.rows == rows; axis++) {
            if (int(axis) == plan.vector_axis || int(axis) == plan.row_axis || space[axis] == 1 || space[axis] > kWindow) continue;
            auto fits = [&](int vectors) { return (rows * space[axis] + 1) * vectors + 1 <= vector_registers(l.target()); };
            int vectors = plan.tile.vectors;
            while (vectors > 1 && (!fits(vectors) || columns % (vectors * plan.vector) != 0)) vectors--;
            if (fits(vectors)) plan.joined_axis = int(axis), plan.tile.vectors = vectors;
        }
        // Steps of the sum side by side read the same elements again, at other places of a window.
        const size_t innermost = size_t(plan.order.front());
        auto shares = [&](const Ints &stride) {
            return stride[innermost] != 0 && (stride[innermost] == stride[size_t(plan.row_axis)] || stride[innermost] == stride[size_t(plan.joined_axis)]);
        };
        if (plan.joined_axis >= 0 && std::any_of(strides.begin(), strides.end(), shares))
            for (int count = 2; plan.steps == 1 && count <= kWindow; count++)
                if (space[innermost] % count == 0) plan.steps = count;
    }
    return plan;
}

void schedule_sum(Lowering &l, Consumer &consumer, SumFuncs &f) {
    const SumPlan &plan = f.plan;
    const size_t rank = consumer.axes.size(), columns = size_t(plan.vector_axis);
    const int width = plan.vector * plan.tile.vectors, rows = plan.row_axis < 0 ? 1 : plan.tile.rows;
    Stage stage = consumer.stage();
    Var panel("panel"), in_panel("in_panel"), tiles("tiles"), row("row");
    stage.split(consumer.axes[columns], panel, in_panel, width, tail(consumer, f.shape[columns], width));
    std::vector<VarOrRVar> order{in_panel};
    if (plan.row_axis >= 0) {
        stage.split(consumer.axes[size_t(plan.row_axis)], tiles, row, rows, tail(consumer, f.shape[size_t(plan.row_axis)], rows));
        order.push_back(row);
        order.push_back(tiles);
    }
    order.push_back(panel);
    auto is_outer = [&](size_t axis) { return axis < rank && axis != columns && int(axis) != plan.row_axis; };
    std::vector<Var> outer;
    for (size_t axis = rank; axis-- > 0;)
        if (is_outer(axis)) outer.push_back(consumer.axes[axis]);
    order.insert(order.end(), outer.begin(), outer.end());
    stage.reorder(order);
    stage.vectorize(in_panel, plan.vector, TailStrategy::GuardWithIf);
    if (plan.tile.vectors > 1) stage.unroll(in_panel);
    if (rows > 1) stage.unroll(row);
    std::optional<Var> fused;
    if (f.points >= double(kParallelProducts)) {
        // Enough of the outermost loops together.
        std::vector<Var> loops = outer;
        int64_t count = 1;
        for (size_t i = loops.size(); i-- > 0 && count < 16;) {
            const size_t axis = size_t(std::find_if(consumer.axes.begin(), consumer.axes.end(), [&](const Var &v) { return v.same_as(loops[i]); }) - consumer.axes.begin());
            if (fused) {
                Var next("outer" + std::to_string(i));
                stage.fuse(loops[i], *fused, next);
                fused = next;
            } else {
                fused = loops[i];
            }
            count *= f.shape[axis];
        }
        if (fused && count >= 4) stage.parallel(*fused);
        else if (plan.row_axis >= 0 && f.shape[size_t(plan.row_axis)] / rows >= f.shape[columns] / width) stage.parallel(tiles);
        else stage.parallel(panel);
    }
    // A slice for each position of the first axis, if that has a loop of its own; it slides along with the next loop.
    const bool first_is_loop = is_outer(0) && (!fused || fused->same_as(consumer.axes[0]));
    schedule_copies(l, f.copies, first_is_loop ? 0 : -1, {consumer.func, consumer.axes[0]}, {consumer.func, consumer.axes[is_outer(1) ? 1 : 0]});
    Var tile_loop = plan.row_axis >= 0 ? tiles : panel;
    f.sum.compute_at(consumer.func, tile_loop);
    Var u = f.axes[columns];
    std::vector<VarOrRVar> inner{u};
    f.sum.bound_extent(u, width).vectorize(u, plan.vector);
    if (plan.tile.vectors > 1) f.sum.unroll(u);
    Stage update = f.sum.update(0);
    if (plan.row_axis >= 0) {
        f.sum.bound_extent(f.axes[size_t(plan.row_axis)], rows).unroll(f.axes[size_t(plan.row_axis)]);
        inner.push_back(f.axes[size_t(plan.row_axis)]);
    }
    for (size_t i = 0; i < plan.order.size(); i++) inner.push_back(f.reduced[int(i)]);
    update.reorder(inner);
    update.vectorize(u, plan.vector);
    if (plan.window_axis >= 0) update.unroll(f.reduced[0]);
    if (plan.tile.vectors > 1) update.unroll(u);
    if (plan.row_axis >= 0) update.unroll(f.axes[size_t(plan.row_axis)]);
}

void schedule_sum_in_parts(Lowering &l, SumFuncs &f) {
    const SumPlan &plan = f.plan;
    const size_t rank = f.axes.size(), columns = size_t(plan.vector_axis);
    const int width = plan.vector * plan.tile.vectors, rows = plan.row_axis < 0 ? 1 : plan.tile.rows;
    f.sum.compute_root();
    for (size_t axis = 0; axis < rank; axis++) f.sum.bound(f.axes[axis], 0, int(f.shape[axis]));
    f.sum.bound(f.part, 0, int(plan.parts));
    f.sum.vectorize(f.axes[columns], plan.vector, TailStrategy::GuardWithIf).parallel(f.part);
    Var panel("panel"), in_panel("in_panel"), tiles("tiles"), row("row");
    Stage stage = f.sum.update(0);
    stage.split(f.axes[columns], panel, in_panel, width, TailStrategy::GuardWithIf);
    std::vector<VarOrRVar> order{in_panel};
    if (plan.row_axis >= 0) {
        stage.split(f.axes[size_t(plan.row_axis)], tiles, row, rows, TailStrategy::GuardWithIf);
        order.push_back(row);
    }
    if (plan.joined_axis >= 0) order.push_back(f.axes[size_t(plan.joined_axis)]);
    if (plan.steps > 1) {
        Halide::RVar steps("steps"), step("step");
        stage.split(f.reduced[0], steps, step, plan.steps).unroll(step);
        order.insert(order.end(), {step, steps});
    }
    for (size_t i = plan.steps > 1 ? 1 : 0; i + 1 < plan.order.size(); i++) order.push_back(f.reduced[int(i)]);
    for (size_t axis = rank; axis-- > 0;)
        if (axis != columns && int(axis) != plan.row_axis && int(axis) != plan.joined_axis) order.push_back(f.axes[axis]);
    if (plan.row_axis >= 0) order.push_back(tiles);
    order.push_back(panel);
    order.push_back(f.reduced[int(plan.order.size()) - 1]);
    order.push_back(f.part);
    stage.reorder(order);
    stage.vectorize(in_panel, plan.vector, TailStrategy::GuardWithIf);
    if (plan.tile.vectors > 1) stage.unroll(in_panel);
    if (rows > 1) stage.unroll(row);
    if (plan.joined_axis >= 0) stage.unroll(f.axes[size_t(plan.joined_axis)]);
    stage.parallel(f.part);
    const LoopLevel outermost(f.sum, f.reduced[int(plan.order.size()) - 1]);
    schedule_copies(l, f.copies, plan.order.back(), outermost, outermost);
}

}  // namespace kiln
