// Index notation: the body of a comprehension as one expression, summed in a register tile, folded, or added to where it belongs.
#include "compiler/kernels/schedule.h"

#include "compiler/ops/comprehension.h"
#include "compiler/support/check.h"

#include <algorithm>
#include <numeric>
#include <set>

namespace kiln {

using namespace Halide;

namespace {

/// The term at a point of the space, and whether it counts.
struct Point {
    Expr term, active;  ///< active undefined: always
};

/// A copy of an operand made for one read: with zeros around it, and with its dimensions in another order.
struct Copied {
    OperandCopy copy;
    std::vector<size_t> order;  ///< dimensions of the copy, outermost first
};

class Body {
public:
    Body(Lowering &l, NodeId id) : l_(l), node_(l.node(id)), attrs_(kiln::attrs<ComprehensionAttrs>(node_)) {
        Kernel kernel;
        kernel.name = "body";
        kernel.body = scalar_graph(attrs_.body);
        kernel_ = kernel;
    }

    Expr index(const AffineIndex &index, const Coordinates &at, Lowering *scalars = nullptr) const {
        Expr result;
        for (size_t axis = 0; axis < at.size(); axis++) {
            const int64_t c = index.coefficients[axis];
            if (c == 0) continue;
            Expr part = c == 1 ? at[axis] : at[axis] * index_expr(c);
            result = result.defined() ? result + part : part;
        }
        if (index.gather >= 0) {
            Expr gathered = scalars->value(NodeId{int32_t(index.gather)}, {});
            result = result.defined() ? result + gathered : gathered;
        }
        if (!result.defined()) return index_expr(index.offset);
        return index.offset == 0 ? result : result + index_expr(index.offset);
    }

    /// Coordinates in a tensor. What may lie outside, at points that do not count or by a gathered index, is clamped.
    Coordinates place(const std::vector<AffineIndex> &list, const Shape &shape, const Coordinates &at, Lowering *scalars) const {
        Coordinates result;
        for (size_t d = 0; d < list.size(); d++) {
            Expr position = index(list[d], at, scalars);
            if (list[d].gather >= 0 || !bounds(list[d], attrs_.space).inside(shape[d])) position = clamp(position, 0, index_expr(shape[d] - 1));
            result.push_back(position);
        }
        return result;
    }

    Point at(const Coordinates &at, Coordinates *target = nullptr) const {
        Lowering scalars(kernel_, l_.target(), false);
        for (size_t i = 0; i < attrs_.body.size(); i++) {
            const BodyValue &value = attrs_.body[i];
            const NodeId id{int32_t(i)};
            if (value.kind == BodyValue::Kind::index) scalars.bind(id, index(value.at[0], at));
            if (value.kind != BodyValue::Kind::read) continue;
            const NodeId operand = node_.operands[size_t(value.operand)];
            if (auto copied = copies_.find(i); copied != copies_.end()) {
                Coordinates from;
                const auto &[copy, order] = copied->second;
                for (size_t d = 0; d < order.size(); d++) {
                    const AffineIndex &affine = value.at[order[d]];
                    const int64_t low = copy.low[d], high = low + copy.loops.shape[d] - 1;
                    const Interval range = bounds(affine, attrs_.space);
                    from.push_back(index(affine, at));
                    if (range.low < low || range.high > high) from.back() = clamp(from.back(), index_expr(low), index_expr(high));
                }
                scalars.bind(id, from_storage(call(copy.loops.func, from), value.dtype));
                continue;
            }
            Expr read = l_.stored_value(operand, place(value.at, l_.shape(operand), at, &scalars));
            if (auto guarded = guarded_.find(i); guarded != guarded_.end()) read = select(holds(guarded->second, at), read, Internal::make_zero(read.type()));
            scalars.bind(id, read);
        }
        Point point;
        point.term = to_storage(scalars.value(NodeId{int32_t(attrs_.body.size()) - 1}, {}));
        auto require = [&](Expr condition) { point.active = point.active.defined() ? point.active && condition : condition; };
        for (size_t i = 0; i < attrs_.guards.size(); i++)
            if (!absorbed_.count(i)) require(index(attrs_.guards[i], at) >= 0);
        if (attrs_.condition >= 0) require(scalars.value(NodeId{int32_t(attrs_.condition)}, {}));
        if (target) *target = place(attrs_.target, node_.type.shape, at, &scalars);
        return point;
    }

    const ComprehensionAttrs &attrs() const { return attrs_; }
    const Node &node() const { return node_; }

    /// Whether a step of the sum has terms at all; undefined: always.
    Expr step_counts(const Coordinates &at) const { return steps_.empty() ? Expr() : holds(steps_, at); }

    /// Values that are factors of the term: where one is zero, the term is.
    std::vector<size_t> factors() const {
        std::vector<size_t> result, open{attrs_.body.size() - 1};
        while (!open.empty()) {
            const size_t i = open.back();
            open.pop_back();
            const BodyValue &value = attrs_.body[i];
            if (value.kind == BodyValue::Kind::apply && value.op == Op::multiply) open.insert(open.end(), value.operands.begin(), value.operands.end());
            else if (std::find(result.begin(), result.end(), i) == result.end()) result.push_back(i);
        }
        return result;
    }

    /// Reads whose tensor is copied: a guard that says that a factor is inside its tensor is dropped for zeros around it, and a tensor that
    /// lies across the vectors is turned. A window that is written out reads in place instead.
    void prepare_reads(const SumPlan &plan) {
        const int64_t vector_axis = plan.vector_axis;
        for (size_t i : factors()) {
            const BodyValue &value = attrs_.body[i];
            if (value.kind != BodyValue::Kind::read) continue;
            const Shape &shape = l_.shape(node_.operands[size_t(value.operand)]);
            std::set<size_t> guards;
            Ints low(shape.size(), 0), extent = shape;
            bool gathers = false;
            for (size_t d = 0; d < shape.size(); d++) {
                gathers = gathers || value.at[d].gather >= 0;
                const AffineIndex below = combine(constant_index(attrs_.space.size(), shape[d] - 1), value.at[d], -1);
                for (size_t g = 0; g < attrs_.guards.size(); g++)
                    if (!absorbed_.count(g) && (attrs_.guards[g] == value.at[d] || attrs_.guards[g] == below)) guards.insert(g);
                const Interval range = bounds(value.at[d], attrs_.space);
                low[d] = std::min<int64_t>(range.low, 0);
                extent[d] = std::max(range.high + 1, shape[d]) - low[d];
            }
            if (gathers) continue;
            // Zeros must not take more room than the tensor is worth.
            if (element_count(extent) > 4 * element_count(shape) + 4096) guards.clear();
            std::vector<size_t> order(shape.size());
            std::iota(order.begin(), order.end(), size_t(0));
            bool turned = false;
            if (vector_axis >= 0 && !shape.empty() && element_count(shape) * 4 <= points(attrs_)) {
                size_t across = SIZE_MAX, moved = 0;
                for (size_t d = 0; d < shape.size(); d++)
                    if (value.at[d].coefficients[size_t(vector_axis)] != 0) across = d, moved++;
                turned = moved == 1 && across + 1 != shape.size();
                if (turned) order.erase(order.begin() + long(across)), order.push_back(across);
            }
            if (!turned && guards.empty()) continue;
            absorbed_.insert(guards.begin(), guards.end());
            if (!turned && guard_in_place(i, guards, plan)) continue;
            OperandCopy copied = copy(i, order, guards.empty() ? Ints(shape.size(), 0) : low, guards.empty() ? shape : extent);
            const int64_t first = plain_axis(value.at[order[0]]);
            int64_t moved = 0;
            for (const AffineIndex &each : value.at) moved += first >= 0 && each.coefficients[size_t(first)] != 0;
            if (moved == 1) copied.follows = int(first);
            copies_[i] = {copied, order};
        }
    }

    std::vector<OperandCopy> copies() const {
        std::vector<OperandCopy> result;
        for (const auto &[value, copied] : copies_) result.push_back(copied.copy);
        return result;
    }

private:
    /// The first and the last tile of a row know when they are compiled which neighbours lie outside, and the others that none does; a step that
    /// is outside for the whole tile is left out. So do the steps of sums over positions whose tile is the window. False if the guards of read i are
    /// about something else.
    bool guard_in_place(size_t i, const std::set<size_t> &guards, const SumPlan &plan) {
        auto along = [&](size_t g, int axis) { return axis >= 0 && attrs_.guards[g].coefficients[size_t(axis)] != 0; };
        const bool is_window = plan.parts > 0 ? plan.joined_axis >= 0 : plan.window_axis >= 0;
        if (!is_window || std::any_of(guards.begin(), guards.end(), [&](size_t g) { return along(g, plan.vector_axis); })) return false;
        for (size_t g : guards) (plan.parts > 0 || along(g, plan.row_axis) || along(g, plan.window_axis) ? guarded_[i] : steps_).push_back(g);
        return true;
    }
    Expr holds(const std::vector<size_t> &guards, const Coordinates &at) const {
        Expr all;
        for (size_t g : guards) {
            const Expr each = likely(index(attrs_.guards[g], at) >= 0);
            all = all.defined() ? all && each : each;
        }
        return all;
    }

    /// The operand of read i over [low, low + extent), zero outside the tensor, its dimensions in this order.
    OperandCopy copy(size_t i, const std::vector<size_t> &order, const Ints &low, const Shape &extent) {
        const NodeId operand = node_.operands[size_t(attrs_.body[i].operand)];
        const Shape &shape = l_.shape(operand);
        Consumer c{Func(l_.name(operand, fmt::format("copy{}", i).c_str())), {}, {}};
        Coordinates at(shape.size());
        Expr inside;
        for (size_t d : order) {
            c.axes.emplace_back(fmt::format("d{}", d));
            c.shape.push_back(extent[d]);
            at[d] = c.axes.back();
            auto require = [&](Expr condition) { inside = inside.defined() ? inside && condition : condition; };
            if (low[d] < 0) require(c.axes.back() >= 0);
            if (low[d] + extent[d] > shape[d]) require(c.axes.back() < index_expr(shape[d]));
            if (low[d] < 0 || low[d] + extent[d] > shape[d]) at[d] = clamp(at[d], 0, index_expr(shape[d] - 1));
        }
        Expr value = to_storage(l_.value(operand, at));
        c.func(reversed(c.axes)) = inside.defined() ? select(inside, value, Internal::make_zero(value.type())) : value;
        OperandCopy result{c, {}};
        for (size_t d : order) result.low.push_back(low[d]);
        return result;
    }

    Lowering &l_;
    const Node &node_;
    const ComprehensionAttrs &attrs_;
    Kernel kernel_;
    std::set<size_t> absorbed_;        ///< guards that zeros stand for
    std::map<size_t, Copied> copies_;  ///< by value of the body
    std::map<size_t, std::vector<size_t>> guarded_;  ///< by value of the body: guards of a read in place that differ within a tile
    std::vector<size_t> steps_;        ///< guards that are the same for a whole tile
};

Expr where(const Point &point, Expr otherwise) { return point.active.defined() ? select(point.active, point.term, otherwise) : point.term; }

/// Axes of the result where the target names one axis and nothing else does: they need no order.
std::vector<int64_t> free_axes(const ComprehensionAttrs &a) {
    std::vector<int64_t> axes;
    for (const AffineIndex &index : a.target) {
        int64_t axis = plain_axis(index);
        for (const AffineIndex &other : a.target)
            if (axis >= 0 && &other != &index && other.coefficients[size_t(axis)] != 0) axis = -1;
        axes.push_back(axis);
    }
    return axes;
}

Func build_scattered(Lowering &l, NodeId id, const Body &body) {
    const ComprehensionAttrs &a = attrs<ComprehensionAttrs>(l.node(id));
    const Shape &shape = l.shape(id);
    const std::vector<int64_t> free = free_axes(a);
    std::vector<Var> axes = l.declare_vars(id);
    Region region{{0, 1}};
    Coordinates at(a.space.size());
    std::vector<size_t> ordered;
    for (size_t axis = a.space.size(); axis-- > 0;) {
        const auto found = std::find(free.begin(), free.end(), int64_t(axis));
        // A free axis shorter than the dimension leaves elements without terms: it is walked like the others.
        if (found != free.end() && a.space[axis] == shape[size_t(found - free.begin())]) {
            at[axis] = axes[size_t(found - free.begin())];
            continue;
        }
        ordered.push_back(axis);
        region.emplace_back(0, int(a.space[axis]));
    }
    RDom r(region, l.name(id, "r"));
    for (size_t i = 0; i < ordered.size(); i++) at[ordered[i]] = r[int(i) + 1];
    Coordinates to;
    const Point point = body.at(at, &to);
    Func sum(l.name(id));
    Expr zero = Internal::make_zero(storage_type(l.node(id).type.dtype));
    sum(reversed(axes)) = zero;
    sum(reversed(to)) += in_domain(r, where(point, zero));
    std::vector<bool> is_free;
    for (size_t d = 0; d < to.size(); d++) is_free.push_back(to[d].same_as(Expr(axes[d])) || (free[d] >= 0 && a.space[size_t(free[d])] == shape[d]));
    schedule_scattered(l, sum, axes, shape, is_free);
    return sum;
}

/// Maxima, minima and their positions, and sums that have no register tile.
Func build_fold(Lowering &l, NodeId id, const Body &body) {
    const Node &node = l.node(id);
    const ComprehensionAttrs &a = attrs<ComprehensionAttrs>(node);
    std::vector<Var> axes = l.declare_vars(id);
    const std::vector<Var> vars = reversed(axes);
    Region region;
    for (size_t axis = a.space.size(); axis-- > size_t(a.kept);) region.emplace_back(0, int(a.space[axis]));
    RDom r(region, l.name(id, "r"));
    Coordinates at(axes.begin(), axes.end());
    Expr number = 0;
    for (size_t axis = size_t(a.kept); axis < a.space.size(); axis++) {
        at.push_back(r[int(a.space.size() - 1 - axis)]);
        number = number * index_expr(a.space[axis]) + at.back();
    }
    const Point point = body.at(at);
    Func fold(l.name(id));
    const Halide::Type type = point.term.type();
    const bool largest = a.reduce == Reducer::max || a.reduce == Reducer::argmax;
    Expr start = largest ? type.min() : type.max();
    switch (a.reduce) {
        case Reducer::sum:
            fold(vars) = Internal::make_zero(type);
            fold(vars) += in_domain(r, where(point, Internal::make_zero(type)));
            break;
        case Reducer::max:
            fold(vars) = start;
            fold(vars) = max(fold(vars), where(point, start));
            break;
        case Reducer::min:
            fold(vars) = start;
            fold(vars) = min(fold(vars), where(point, start));
            break;
        case Reducer::argmax:
        case Reducer::argmin: {
            fold(vars) = Tuple(start, Expr(0));
            Expr term = where(point, start);
            Expr better = largest ? term > fold(vars)[0] : term < fold(vars)[0];
            fold(vars) = Tuple(select(better, term, fold(vars)[0]), select(better, number, fold(vars)[1]));
            break;
        }
    }
    return schedule_final_reduction(l, fold, axes, l.shape(id), 1, Func(l.name(id, "stored")));
}

/// Elements from one position of each axis to the next, for every read without gathered indices; and the sizes of their tensors.
void strides_of_reads(const Lowering &l, const Body &body, std::vector<Ints> &strides, std::vector<int64_t> &sizes) {
    const ComprehensionAttrs &a = body.attrs();
    for (const BodyValue &value : a.body) {
        if (value.kind != BodyValue::Kind::read) continue;
        const Shape &shape = l.shape(body.node().operands[size_t(value.operand)]);
        Ints each(a.space.size(), 0);
        int64_t stride = 1;
        for (size_t d = shape.size(); d-- > 0;) {
            for (size_t axis = 0; axis < each.size(); axis++) each[axis] += stride * value.at[d].coefficients[axis];
            stride *= shape[d];
        }
        strides.push_back(std::move(each));
        sizes.push_back(element_count(shape));
    }
}

/// A sum whose elements fill vectors.
Expr build_sum(Lowering &l, NodeId id, Body &body, const SumPlan &plan, const Coordinates &at) {
    const ComprehensionAttrs &a = body.attrs();
    Func result = l.storage_of(id, [&] {
        body.prepare_reads(plan);
        SumFuncs f;
        f.copies = body.copies();
        f.plan = plan;
        f.axes = l.declare_vars(id);
        f.shape = l.shape(id);
        f.points = double(points(a));
        f.part = Var("part");
        Region region;
        for (int axis : plan.order) {
            const bool outermost = plan.parts > 0 && axis == plan.order.back();
            region.emplace_back(0, int(outermost ? a.space[size_t(axis)] / plan.parts : a.space[size_t(axis)]));
        }
        f.reduced = RDom(region, l.name(id, "r"));
        Coordinates point(f.axes.begin(), f.axes.end());
        point.resize(a.space.size());
        for (size_t i = 0; i < plan.order.size(); i++) point[size_t(plan.order[i])] = f.reduced[int(i)];
        std::vector<Var> vars = reversed(f.axes);
        if (plan.parts > 0) {
            Expr &outermost = point[size_t(plan.order.back())];
            outermost = f.part * index_expr(a.space[size_t(plan.order.back())] / plan.parts) + outermost;
            vars.push_back(f.part);
        }
        if (Expr counts = body.step_counts(point); counts.defined()) f.reduced.where(counts);
        const Point term = body.at(point);
        const Expr zero = Internal::make_zero(term.term.type());
        f.sum = Func(l.name(id, plan.parts > 0 ? "part" : "sum"));
        f.sum(vars) = zero;
        f.sum(vars) += in_domain(f.reduced, where(term, zero));
        if (plan.parts > 0) {
            schedule_sum_in_parts(l, f);
            return f.sum;
        }
        if (l.is_fused(id)) {
            l.schedule_fused = [&l, f](Consumer &consumer) mutable { schedule_sum(l, consumer, f); };
            return f.sum;
        }
        Consumer consumer{Func(l.name(id)), f.axes, f.shape};
        consumer.func(reversed(f.axes)) = call(f.sum, {f.axes.begin(), f.axes.end()});
        consumer.func.compute_root();
        schedule_sum(l, consumer, f);
        return consumer.func;
    });
    if (plan.parts == 0) return call(result, at);
    Expr sum;  // the parts in their order
    for (int64_t p = 0; p < plan.parts; p++) {
        Coordinates where{index_expr(p)};
        where.insert(where.end(), at.begin(), at.end());
        sum = sum.defined() ? sum + call(result, where) : call(result, where);
    }
    return sum;
}

}  // namespace

Expr lower_comprehension(Lowering &l, NodeId id, const Coordinates &at) {
    const Node &node = l.node(id);
    const ComprehensionAttrs &a = attrs<ComprehensionAttrs>(node);
    Body body(l, id);
    const bool arg = a.reduce == Reducer::argmax || a.reduce == Reducer::argmin;
    if (a.target.empty() && a.kept == int64_t(a.space.size()) && !arg) {
        const Point point = body.at(at);
        return from_storage(where(point, Internal::make_zero(point.term.type())), node.type.dtype);
    }
    if (a.target.empty() && a.reduce == Reducer::sum && is_float(node.type.dtype)) {
        std::vector<Ints> strides;
        std::vector<int64_t> sizes;
        strides_of_reads(l, body, strides, sizes);
        const SumPlan plan = plan_sum(l, a.space, size_t(a.kept), strides, sizes);
        if (plan.vector_axis >= 0) return build_sum(l, id, body, plan, at);
    }
    Func result = l.storage_of(id, [&] { return a.target.empty() ? build_fold(l, id, body) : build_scattered(l, id, body); });
    return from_storage(call(result, at, arg ? 1 : -1), node.type.dtype);
}

}  // namespace kiln
