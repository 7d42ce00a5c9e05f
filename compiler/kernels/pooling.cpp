// Windows over images. Small windows are written out as expressions, so that maximum and index share them and neighbours fuse;
// larger ones are reductions.
#include "compiler/kernels/schedule.h"

namespace kiln {

using namespace Halide;

namespace {

constexpr int64_t kWrittenOut = 16;

struct Window {
    Ints size, stride, padding;
    Shape image;  ///< H, W
    NodeId operand;
};

Window window_of(Lowering &l, NodeId id) {
    const WindowAttrs &a = attrs<WindowAttrs>(l.node(id));
    const Shape &x = l.shape(l.node(id).operands[0]);
    return {a.window, a.stride, a.padding, {x[1], x[2]}, l.node(id).operands[0]};
}

/// The pixel under window element (r, s), clamped into the image, and whether it is in the image.
std::pair<Expr, Expr> pixel(Lowering &l, const Window &w, const Coordinates &at, Expr r, Expr s) {
    Expr y = at[1] * index_expr(w.stride[0]) + r, x = at[2] * index_expr(w.stride[1]) + s;
    Expr inside = Internal::const_true();
    if (w.padding != Ints{0, 0, 0, 0}) {
        y = y - index_expr(w.padding[0]), x = x - index_expr(w.padding[2]);
        inside = y >= 0 && y < index_expr(w.image[0]) && x >= 0 && x < index_expr(w.image[1]);
        y = clamp(y, 0, index_expr(w.image[0] - 1)), x = clamp(x, 0, index_expr(w.image[1] - 1));
    }
    return {to_storage(l.value(w.operand, {at[0], y, x, at[3]})), inside};
}

struct Best {
    Expr value, index, found;
};
Best better(const Best &best, Expr value, Expr index, Expr inside) {
    Expr wins = inside && (!best.found || value > best.value);
    return {select(wins, value, best.value), select(wins, index, best.index), best.found || inside};
}

/// The first maximum of the window and its place r * window_w + s.
Best maximum(Lowering &l, NodeId id, const Coordinates &at) {
    const Window w = window_of(l, id);
    const int64_t elements = w.size[0] * w.size[1];
    if (elements <= kWrittenOut) {
        auto [value, inside] = pixel(l, w, at, 0, 0);
        Best best{value, 0, inside};
        for (int64_t i = 1; i < elements; i++) {
            auto [next, next_inside] = pixel(l, w, at, index_expr(i / w.size[1]), index_expr(i % w.size[1]));
            best = better(best, next, index_expr(i), next_inside);
        }
        return best;
    }
    Func result = l.storage_of(id, [&] {
        std::vector<Var> axes = l.declare_vars(id);
        const std::vector<Var> vars = reversed(axes);
        Coordinates here(axes.begin(), axes.end());
        RDom r({{0, int(w.size[1])}, {0, int(w.size[0])}}, l.name(id, "r"));
        Func best(l.name(id));
        auto [first, first_inside] = pixel(l, w, here, 0, 0);
        best(vars) = Tuple(first, Expr(0), cast<uint8_t>(first_inside));
        auto [value, inside] = pixel(l, w, here, r.y, r.x);
        Best next = better({best(vars)[0], best(vars)[1], best(vars)[2] != cast<uint8_t>(0)}, value, r.y * index_expr(w.size[1]) + r.x, inside);
        best(vars) = Tuple(next.value, next.index, cast<uint8_t>(next.found));
        return schedule_final_reduction(l, best, axes, l.shape(id), 1, Func(l.name(id, "stored")));
    });
    return {call(result, at, 0), call(result, at, 1), {}};
}

}  // namespace

Expr lower_max_pool2d(Lowering &l, NodeId id, const Coordinates &at) { return maximum(l, id, at).value; }
Expr lower_max_pool2d_index(Lowering &l, NodeId id, const Coordinates &at) { return maximum(l, id, at).index; }

Expr lower_window_pick2d(Lowering &l, NodeId id, const Coordinates &at) {
    const Window w = window_of(l, id);
    const Expr index = l.value(l.node(id).operands[1], at);
    auto element = [&](Expr place, Expr r, Expr s, Expr otherwise) {
        auto [value, inside] = pixel(l, w, at, r, s);
        return select(inside && index == place, value, otherwise.defined() ? otherwise : Internal::make_zero(value.type()));
    };
    if (w.size[0] * w.size[1] > kWrittenOut) {
        const Expr place = clamp(index, 0, index_expr(w.size[0] * w.size[1] - 1));
        return element(place, place / index_expr(w.size[1]), place % index_expr(w.size[1]), {});
    }
    Expr picked;
    for (int64_t i = 0; i < w.size[0] * w.size[1]; i++) picked = element(index_expr(i), index_expr(i / w.size[1]), index_expr(i % w.size[1]), picked);
    return picked;
}

Expr lower_window_sum2d(Lowering &l, NodeId id, const Coordinates &at) {
    const Window w = window_of(l, id);
    auto term = [&](const Coordinates &where, Expr r, Expr s) {
        auto [value, inside] = pixel(l, w, where, r, s);
        return select(inside, value, Internal::make_zero(value.type()));
    };
    if (w.size[0] * w.size[1] <= kWrittenOut) {
        Expr sum = term(at, 0, 0);
        for (int64_t i = 1; i < w.size[0] * w.size[1]; i++) sum = sum + term(at, index_expr(i / w.size[1]), index_expr(i % w.size[1]));
        return sum;
    }
    Func result = l.storage_of(id, [&] {
        std::vector<Var> axes = l.declare_vars(id);
        Coordinates here(axes.begin(), axes.end());
        RDom r({{0, int(w.size[1])}, {0, int(w.size[0])}}, l.name(id, "r"));
        Func sum(l.name(id));
        sum(reversed(axes)) = Internal::make_zero(storage_type(l.node(id).type.dtype));
        sum(reversed(axes)) += in_domain(r, term(here, r.y, r.x));
        return schedule_final_reduction(l, sum, axes, l.shape(id), 1, Func(l.name(id, "stored")));
    });
    return call(result, at);
}

Expr lower_max_pool2d_gradient(Lowering &l, NodeId id, const Coordinates &at) {
    const Node &node = l.node(id);
    const WindowGradAttrs &a = attrs<WindowGradAttrs>(node);
    const Shape &pooled = l.shape(node.operands[0]);
    // The windows that hold a pixel are the last few that begin at or before it.
    const int64_t candidates_y = (a.window[0] + a.stride[0] - 1) / a.stride[0], candidates_x = (a.window[1] + a.stride[1] - 1) / a.stride[1];
    auto term = [&](const Coordinates &where, Expr back_y, Expr back_x) {
        Expr y = where[1] + index_expr(a.padding[0]), x = where[2] + index_expr(a.padding[2]);
        Expr p = y / index_expr(a.stride[0]) - back_y, q = x / index_expr(a.stride[1]) - back_x;
        Expr r = y - p * index_expr(a.stride[0]), s = x - q * index_expr(a.stride[1]);
        Expr inside = r < index_expr(a.window[0]) && s < index_expr(a.window[1]) && p >= 0 && q >= 0 && p < index_expr(pooled[1]) && q < index_expr(pooled[2]);
        Coordinates there{where[0], clamp(p, 0, index_expr(pooled[1] - 1)), clamp(q, 0, index_expr(pooled[2] - 1)), where[3]};
        Expr dy = l.value(node.operands[0], there), index = l.value(node.operands[1], there);
        return select(inside && index == r * index_expr(a.window[1]) + s, dy, Internal::make_zero(dy.type()));
    };
    if (candidates_y * candidates_x <= kWrittenOut) {
        Expr sum;
        for (int64_t i = candidates_y * candidates_x; i-- > 0;) {
            Expr next = term(at, index_expr(i / candidates_x), index_expr(i % candidates_x));
            sum = sum.defined() ? sum + next : next;
        }
        return sum;
    }
    Func result = l.storage_of(id, [&] {
        std::vector<Var> axes = l.declare_vars(id);
        Coordinates here(axes.begin(), axes.end());
        RDom r({{0, int(candidates_x)}, {0, int(candidates_y)}}, l.name(id, "r"));
        Func sum(l.name(id));
        sum(reversed(axes)) = Internal::make_zero(storage_type(node.type.dtype));
        sum(reversed(axes)) += term(here, index_expr(candidates_y - 1) - r.y, index_expr(candidates_x - 1) - r.x);
        return schedule_final_reduction(l, sum, axes, l.shape(id), 1, Func(l.name(id, "stored")));
    });
    return call(result, at);
}

}  // namespace kiln
