// Sums over the rows of a convolution's results, taken while the rows are near: a task computes some rows, then their sums. BatchNorm's
// statistics are made of them (passes/row_moments.cpp).
#include "compiler/kernels/schedule.h"
#include "compiler/support/check.h"

#include <algorithm>

namespace kiln {

using namespace Halide;

namespace {

/// Vectors of sums at a time: they stay in registers, and there are enough of them to hide the latency of an addition.
constexpr int64_t kSumsInRegisters = 16;

/// Neighbouring elements of a row that have sums of their own.
int64_t parts_of_row(int64_t width) { return width % 4 == 0 ? 4 : width % 2 == 0 ? 2 : 1; }

}  // namespace

NodeId find_summed_rows(const Graph &body) {
    NodeId rows;
    for (const Result &result : body.results)
        if (body[result.value].type.rank() == 4) rows = result.value;
    if (!rows.valid() || body.results.size() < 2) return {};
    const Shape &shape = body[rows].type.shape, of_rows{shape[0], shape[1], shape[3]};
    for (const Result &result : body.results)
        if (result.value != rows && body[result.value].type.shape != of_rows) return {};
    int convolutions = 0;
    for (const Node &node : body.nodes) {
        if (node.op == Op::conv2d) convolutions++;
        else if (node.op == Op::reduce_sum && body[node.operands[0]].type.shape == shape && attrs<AxesAttrs>(node).axes == Ints{2}) continue;
        else if (node.op != Op::input && node.op != Op::constant && node.op != Op::broadcast && !has_trait(node.op, kElementwise)) return {};
    }
    return convolutions == 1 ? rows : NodeId{};
}

void build_row_sums(Lowering &l, NodeId rows, Consumer &results) {
    const Graph &body = l.body();
    const int64_t width = l.shape(rows)[2], channels = l.shape(rows)[3], parts = parts_of_row(width), lanes = l.lanes();
    std::vector<NodeId> pending;
    for (int i = 0; i < body.size(); i++)
        if (body.nodes[size_t(i)].op == Op::reduce_sum) pending.push_back({i});
    while (!pending.empty()) {
        // Those that do not need others share a loop.
        std::vector<NodeId> together, later;
        for (NodeId id : pending) {
            const bool waits = std::any_of(pending.begin(), pending.end(), [&](NodeId other) { return other != id && depends_on(body, id, other); });
            (waits ? later : together).push_back(id);
        }
        pending = later;
        Var n = results.axes[0], y = results.axes[1], c = results.axes[2], part("part"), some("some");
        Func sum(l.name(together[0], "row")), partial(l.name(together[0], "partial"));
        RDom r(0, int(width / parts), l.name(together[0], "r"));
        std::vector<Expr> zeros, terms, sums;
        for (size_t i = 0; i < together.size(); i++) {
            const Expr term = to_storage(l.value(body[together[i]].operands[0], {n, y, r.x * index_expr(parts) + part, c}));
            zeros.push_back(Internal::make_zero(term.type()));
            terms.push_back(term);
        }
        define(partial(c, part, y, n), zeros);
        for (size_t i = 0; i < together.size(); i++) terms[i] = element(partial(c, part, y, n), int(i)) + in_domain(r, terms[i]);
        define(partial(c, part, y, n), terms);
        for (size_t i = 0; i < together.size(); i++) {
            Expr all = element(partial(c, 0, y, n), int(i));
            for (int p = 1; p < parts; p++) all = all + element(partial(c, p, y, n), int(i));
            sums.push_back(all);
        }
        define(sum(c, y, n), sums);
        for (NodeId id : together) l.store(id, sum);

        // Whole tiles: what lies past the last channel is not there.
        const int vector = int(std::min<int64_t>(lanes, channels & -channels));
        int64_t vectors = std::max<int64_t>(1, kSumsInRegisters / (parts * int64_t(together.size())));
        while (channels % (vectors * vector) != 0) vectors--;
        sum.compute_at(results.func, y).split(c, some, c, int(vectors * vector)).vectorize(c, vector).unroll(c);
        partial.compute_at(sum, some).bound_extent(c, int(vectors * vector)).bound(part, 0, int(parts)).vectorize(c, vector).unroll(c).unroll(part);
        partial.update().reorder(c, part, r.x).vectorize(c, vector).unroll(c).unroll(part);
    }
}

LoopLevel schedule_tasks(const Lowering &l, Consumer &rows, int64_t band, int64_t images, bool parallel) {
    Consumer &outer = *rows.within;
    Var n = outer.axes[0], y = outer.axes[1], band_of("band"), block("block"), task("task");
    const int64_t channels = outer.shape[2];
    outer.func.vectorize(outer.axes[2], int(std::min<int64_t>(l.lanes(), channels & -channels)));
    // A piece of a sample, or whole samples, is a piece of the tensor.
    KILN_CHECK(images == 1 || band == outer.shape[1], "{} rows of {} samples each", band, images);
    const TailStrategy tail = outer.shape[1] % band == 0 ? TailStrategy::RoundUp : TailStrategy::GuardWithIf;
    outer.func.split(y, band_of, y, int(band), tail).split(n, block, n, int(images)).reorder(y, n, band_of, block).fuse(band_of, block, task);
    if (parallel) outer.func.parallel(task);
    const LoopLevel at(outer.func, task);
    rows.func.compute_at(at);
    const int64_t bands = (outer.shape[1] + band - 1) / band, row = rows.shape[2] * rows.shape[3];
    const Expr task_of = loop_variable(outer.func.name() + ".s0." + y.name() + ".band.task", outer.shape[0] / images * bands);
    const Expr first_row = task_of / index_expr(bands) * index_expr(images * outer.shape[1]) + task_of % index_expr(bands) * index_expr(band);
    rows.first_of_task = Internal::simplify(first_row * index_expr(row));
    return at;
}

}  // namespace kiln
