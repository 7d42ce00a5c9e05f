// Index notation: the body of a comprehension as one expression, summed in a register tile, folded, or added to where it belongs.
#include "compiler/kernels/schedule.h"

#include "compiler/ops/comprehension.h"
#include "compiler/support/check.h"

#include <algorithm>

namespace kiln {

using namespace Halide;

namespace {

/// The term at a point of the space, and whether it counts.
struct Point {
    Expr term, active;  ///< active undefined: always
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
            scalars.bind(id, l_.stored_value(operand, place(value.at, l_.shape(operand), at, &scalars)));
        }
        Point point;
        point.term = to_storage(scalars.value(NodeId{int32_t(attrs_.body.size()) - 1}, {}));
        auto require = [&](Expr condition) { point.active = point.active.defined() ? point.active && condition : condition; };
        for (const AffineIndex &guard : attrs_.guards) require(index(guard, at) >= 0);
        if (attrs_.condition >= 0) require(scalars.value(NodeId{int32_t(attrs_.condition)}, {}));
        if (target) *target = place(attrs_.target, node_.type.shape, at, &scalars);
        return point;
    }

private:
    Lowering &l_;
    const Node &node_;
    const ComprehensionAttrs &attrs_;
    Kernel kernel_;
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
    sum(reversed(to)) += where(point, zero);
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
            fold(vars) += where(point, Internal::make_zero(type));
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
    schedule_final_reduction(l, fold, axes, l.shape(id), 1);
    return fold;
}

}  // namespace

Expr lower_comprehension(Lowering &l, NodeId id, const Coordinates &at) {
    const Node &node = l.node(id);
    const ComprehensionAttrs &a = attrs<ComprehensionAttrs>(node);
    const Body body(l, id);
    const bool arg = a.reduce == Reducer::argmax || a.reduce == Reducer::argmin;
    if (a.target.empty() && a.kept == int64_t(a.space.size()) && !arg) {
        const Point point = body.at(at);
        return from_storage(where(point, Internal::make_zero(point.term.type())), node.type.dtype);
    }
    Func result = l.storage_of(id, [&] { return a.target.empty() ? build_fold(l, id, body) : build_scattered(l, id, body); });
    return from_storage(call(result, at, arg ? 1 : -1), node.type.dtype);
}

}  // namespace kiln
