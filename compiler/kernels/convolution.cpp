// Convolutions, NHWC with weights [R, S, C, K]: output channels in vectors, a register tile of pixels by vectors.
#include "compiler/kernels/schedule.h"
#include "compiler/kernels/winograd.h"
#include "compiler/support/check.h"

namespace kiln {

using namespace Halide;

namespace {

/// An image with a border of zeros and zeros between its elements: element (n, y, x, c) is the operand's at
/// ((y - top) / step_y, (x - left) / step_x) if that is a whole position inside.
struct Border {
    NodeId operand;
    int64_t top = 0, left = 0, step_y = 1, step_x = 1;
    bool needed = true;
};

Expr read_with_border(Lowering &l, const Border &b, Expr n, Expr y, Expr x, Expr c) {
    if (!b.needed) return l.value(b.operand, {n, y, x, c});
    const Shape &image = l.shape(b.operand);
    Expr py = y - index_expr(b.top), px = x - index_expr(b.left);
    Expr inside = py >= 0 && py <= index_expr((image[1] - 1) * b.step_y) && px >= 0 && px <= index_expr((image[2] - 1) * b.step_x);
    if (b.step_y > 1) inside = inside && py % index_expr(b.step_y) == 0, py = py / index_expr(b.step_y);
    if (b.step_x > 1) inside = inside && px % index_expr(b.step_x) == 0, px = px / index_expr(b.step_x);
    Expr value = l.value(b.operand, {n, clamp(likely(py), 0, index_expr(image[1] - 1)), clamp(likely(px), 0, index_expr(image[2] - 1)), c});
    return select(inside, likely(value), Internal::make_zero(value.type()));
}

/// The operand at a pixel; through `padded`, the operand copied with its border, where there is a border or something to compute.
Expr read_pixel(Lowering &l, NodeId id, const Border &border, Expr n, Expr y, Expr x, Expr c, Func &padded) {
    if (!border.needed && l.is_plain(border.operand)) return l.value(border.operand, {n, y, x, c});
    Var pn("n"), py("y"), px("x"), pc("c");
    padded = Func(l.name(id, "padded"));
    padded(pc, px, py, pn) = read_with_border(l, border, pn, py, px, pc);
    return padded(c, x, y, n);
}

/// Rows and columns of zeros on both sides of the operand in what a 3x3 window reads for these results.
Ints zeros_on_both_sides(const Lowering &l, const Border &b, const Shape &results) {
    const Shape &image = l.shape(b.operand);
    return {std::min(b.top, results[1] + 2 - b.top - image[1]), std::min(b.left, results[2] + 2 - b.left - image[2])};
}

/// False for rows that are zero throughout: border, or between the rows of the operand. They are skipped.
Expr row_is_inside(Lowering &l, const Border &b, Expr y) {
    Expr py = y - index_expr(b.top);
    Expr inside = py >= 0 && py <= index_expr((l.shape(b.operand)[1] - 1) * b.step_y);
    return b.step_y > 1 ? inside && py % index_expr(b.step_y) == 0 : inside;
}

/// The same by minimal filtering. The last tiles may reach past the border.
Func build_filtered(Lowering &l, NodeId id, Border border, int64_t channels, const std::function<Expr(Expr, Expr, Expr, Expr)> &weight,
                    const WinogradPlan &plan) {
    const Node &node = l.node(id);
    const Shape &shape = node.type.shape;
    border.needed = border.needed || shape[1] % kWinogradTile != 0 || shape[2] % kWinogradTile != 0;
    WinogradSource source;
    source.pixel = [&](Expr n, Expr y, Expr x, Expr c) { return read_with_border(l, border, n, y, x, c); };
    source.weight = weight;
    source.is_plain = !border.needed && l.is_plain(border.operand);
    source.channels = channels;
    WinogradFuncs f;
    f.plan = plan;
    Func result(l.name(id));
    Expr value = build_winograd(l, id, source, f);
    result(reversed(f.axes)) = value;
    if (l.is_fused(id)) {
        l.schedule_fused = [&l, f](Consumer &consumer) mutable { schedule_winograd(l, consumer, f); };
        return result;
    }
    Consumer consumer{result, f.axes, shape};
    result.compute_root();
    schedule_winograd(l, consumer, f);
    return result;
}

/// sum over c, s, r of weight(r, s, c, k) * image(n, y * stride + r * dilation, x * stride + s * dilation, c), image with border.
/// Between the columns of an image that is spread out there are zeros, so each x modulo the step reads every so many taps only, and from
/// these the columns side by side. (Rows of zeros are skipped.)
Func build_convolution(Lowering &l, NodeId id, Border border, int64_t channels, Ints taps, Ints stride, Ints dilation,
                       const std::function<Expr(Expr, Expr, Expr, Expr)> &weight) {
    const Node &node = l.node(id);
    if (!l.direct_convolutions() && taps == Ints{3, 3} && stride == Ints{1, 1} && dilation == Ints{1, 1} && border.step_y == 1 && border.step_x == 1 && node.type.dtype == DType::f32) {
        const WinogradPlan plan = plan_winograd(l, node.type.shape, channels, zeros_on_both_sides(l, border, node.type.shape));
        if (plan.pays) return build_filtered(l, id, border, channels, weight, plan);
    }
    ConvolutionFuncs f;
    f.axes = l.declare_vars(id);
    f.channels = channels;
    f.products = node.type.elements() * channels * taps[0] * taps[1];
    Var n = f.axes[0], y = f.axes[1], x = f.axes[2], k = f.axes[3];
    f.phase = Var("phase");
    if (stride[1] == 1 && dilation[1] == 1) f.phases = border.step_x;
    const int64_t step = f.phases, left = border.left;
    // With a window of one element nothing but the zeros between the elements is added to the operand, and those are skipped.
    const bool reads_in_place = taps == Ints{1, 1} && border.top == 0 && left == 0 && step > 1 && l.is_plain(border.operand);
    if (step > 1) border.step_x = 1, border.left = (left + step - 1) / step;
    f.split = split_channels(l, node.type.shape[3], (node.type.shape[2] + step - 1) / step);
    f.product = Func(l.name(id, "product"));
    auto product = [&](Expr to, Expr column, Expr phase) { return step > 1 ? f.product(to, column, phase, y, n) : f.product(to, column, y, n); };
    const Expr zero = Internal::make_zero(storage_type(node.type.dtype));
    product(k, x, f.phase) = f.split.rest > 0 ? undef(zero.type()) : zero;
    auto accumulate = [&](const char *name, int64_t first, int64_t count) {
        Region region{{0, int(channels)}, {0, int((taps[1] + step - 1) / step)}, {0, int(taps[0])}};
        if (count > 0) region.insert(region.begin(), {int(first), int(count)});
        RDom domain(region, l.name(id, name));
        const int at = count > 0 ? 1 : 0;
        Expr c = domain[at], s = domain[at + 1], r = domain[at + 2], to = count > 0 ? Expr(domain[0]) : Expr(k);
        Expr at_y = y * index_expr(stride[0]) + r * index_expr(dilation[0]), at_x = x * index_expr(stride[1]) + s * index_expr(dilation[1]);
        if (border.needed) domain.where(row_is_inside(l, border, at_y));
        if (step > 1) {
            const Expr first_tap = (index_expr(left) - f.phase) % index_expr(step), tap = first_tap + s * index_expr(step);
            at_x = x + (f.phase + first_tap - index_expr(left)) / index_expr(step) + s + index_expr(border.left);
            domain.where(tap < index_expr(taps[1]));
            s = min(tap, index_expr(taps[1] - 1));
        }
        Expr pixel;
        if (reads_in_place) pixel = l.value(border.operand, {n, at_y / index_expr(border.step_y), x, c});
        else pixel = f.padded.defined() ? f.padded(c, at_x, at_y, n) : read_pixel(l, id, border, n, at_y, at_x, c, f.padded);
        // What a vector reads behind the last weights is not used, and there is memory; assertions would not let it pass.
        const Expr column = l.target().has_feature(Target::NoAsserts) ? to : min(to, index_expr(node.type.shape[3] - 1));
        product(to, x, f.phase) += weight(r, s, c, column) * pixel;
        return domain;
    };
    if (f.split.rest == 0) {
        f.taps = accumulate("tap", 0, 0);
    } else {
        // Written as it is added to, or LLVM keeps the rest in full vectors that it takes apart for each product.
        f.zeros = RDom(0, int(f.split.full), l.name(id, "zero"));
        f.rest_zeros = RDom(int(f.split.full), int(f.split.rest_lanes), l.name(id, "rest_zero"));
        product(f.zeros, x, f.phase) = zero;
        product(f.rest_zeros, x, f.phase) = zero;
        f.taps = accumulate("tap", 0, f.split.full);
        f.rest_taps = accumulate("rest", f.split.full, f.split.rest_lanes);
    }
    if (taps == Ints{1, 1} && !f.padded.defined()) f.read = {l.buffer_of(border.operand), l.shape(border.operand), stride, border.step_y};
    const Expr at_column = step > 1 ? x / index_expr(step) : Expr(x), at_phase = x % index_expr(step);
    if (l.is_fused(id)) {
        l.schedule_fused = [&l, f](Consumer &consumer) mutable { schedule_convolution(l, consumer, f); };
        if (step == 1) return f.product;
        Func joined(l.name(id, "joined"));
        joined(k, x, y, n) = product(k, at_column, at_phase);
        return joined;
    }
    Consumer consumer{Func(l.name(id)), f.axes, node.type.shape};
    consumer.func(k, x, y, n) = product(k, at_column, at_phase);
    consumer.func.compute_root();
    schedule_convolution(l, consumer, f);
    return consumer.func;
}

/// An input gradient with fewer channels than half a vector: vectors run along the channels of dy, which are summed up at the end.
NarrowFuncs build_narrow(Lowering &l, NodeId id, const Border &border, const Shape &w, const Ints &dilation) {
    const Node &node = l.node(id);
    const int lanes = l.lanes();
    NarrowFuncs f;
    f.axes = l.declare_vars(id);
    f.products = node.type.elements() * w[0] * w[1] * w[3];
    f.lane = Var("lane");
    Var n = f.axes[0], y = f.axes[1], x = f.axes[2], c = f.axes[3];
    f.taps = RDom({{0, int(w[3] / lanes)}, {0, int(w[1])}, {0, int(w[0])}}, l.name(id, "tap"));
    Expr k = f.taps[0] * lanes + f.lane, s = f.taps[1], r = f.taps[2];
    Expr at_y = y + r * index_expr(dilation[0]), at_x = x + s * index_expr(dilation[1]);
    if (border.needed) f.taps.where(row_is_inside(l, border, at_y));
    Var pn("n"), py("y"), px("x"), pk("k");
    f.padded = Func(l.name(id, "padded"));
    f.padded(pk, px, py, pn) = read_with_border(l, border, pn, py, px, pk);
    f.part = Func(l.name(id, "part"));
    f.part(f.lane, c, x, y, n) = Internal::make_zero(storage_type(node.type.dtype));
    f.part(f.lane, c, x, y, n) +=
        l.stored_value(node.operands[1], {index_expr(w[0] - 1) - r, index_expr(w[1] - 1) - s, c, k}) * f.padded(k, at_x, at_y, n);
    f.lanes = RDom(0, lanes, l.name(id, "lane"));
    f.sum = Func(l.name(id, "sum"));
    f.sum(c, x, y, n) = Internal::make_zero(storage_type(node.type.dtype));
    f.sum(c, x, y, n) += f.part(f.lanes.x, c, x, y, n);
    return f;
}

WinogradGradientPlan plan_filtered_gradient(const Lowering &l, NodeId id) {
    const Node &node = l.node(id);
    const ConvGradAttrs &a = attrs<ConvGradAttrs>(node);
    const Shape &gradient = l.shape(node.operands[1]);
    return plan_winograd_gradient(l, gradient, node.type.shape[2], zeros_on_both_sides(l, {node.operands[0], a.padding[0], a.padding[2]}, gradient));
}

bool filters_weight_gradient(const Lowering &l, NodeId id) {
    const Node &node = l.node(id);
    const ConvGradAttrs &a = attrs<ConvGradAttrs>(node);
    if (l.direct_convolutions() || a.extents != Ints{3, 3} || a.stride != Ints{1, 1} || a.dilation != Ints{1, 1} || node.type.dtype != DType::f32) return false;
    return plan_filtered_gradient(l, id).pays;
}

Func build_filtered_gradient(Lowering &l, NodeId id) {
    const Node &node = l.node(id);
    const ConvGradAttrs &a = attrs<ConvGradAttrs>(node);
    const Shape &gradient = l.shape(node.operands[1]);
    const bool reaches_past = gradient[1] % kWinogradTile != 0 || gradient[2] % kWinogradTile != 0;
    Border image{node.operands[0], a.padding[0], a.padding[2]}, results{node.operands[1]};
    image.needed = reaches_past || a.padding != Ints{0, 0, 0, 0};
    results.needed = reaches_past;
    WinogradGradientSource source;
    source.pixel = [&](Expr n, Expr y, Expr x, Expr c) { return read_with_border(l, image, n, y, x, c); };
    source.gradient = [&](Expr n, Expr y, Expr x, Expr k) { return read_with_border(l, results, n, y, x, k); };
    source.pixel_is_plain = !image.needed && l.is_plain(image.operand);
    source.gradient_is_plain = !results.needed && l.is_plain(results.operand);
    WinogradGradientFuncs f;
    f.plan = plan_filtered_gradient(l, id);
    return build_winograd_gradient(l, id, source, f);
}

}  // namespace

Expr lower_conv2d(Lowering &l, NodeId id, const Coordinates &at) {
    Func result = l.storage_of(id, [&] {
        const Node &node = l.node(id);
        const ConvAttrs &a = attrs<ConvAttrs>(node);
        const Shape &w = l.shape(node.operands[1]);
        Border border{node.operands[0], a.padding[0], a.padding[2]};
        border.needed = a.padding != Ints{0, 0, 0, 0};
        return build_convolution(l, id, border, w[2], {w[0], w[1]}, a.stride, a.dilation,
                                 [&](Expr r, Expr s, Expr c, Expr k) { return l.stored_value(node.operands[1], {r, s, c, k}); });
    });
    return call(result, at);
}

Expr lower_conv2d_input_gradient(Lowering &l, NodeId id, const Coordinates &at) {
    Func result = l.storage_of(id, [&] {
        // The convolution of dy, spread out by the stride, with the weights turned round and transposed.
        const Node &node = l.node(id);
        const ConvGradAttrs &a = attrs<ConvGradAttrs>(node);
        const Shape &w = l.shape(node.operands[1]);
        Border border{node.operands[0], (w[0] - 1) * a.dilation[0] - a.padding[0], (w[1] - 1) * a.dilation[1] - a.padding[2], a.stride[0], a.stride[1]};
        border.needed = w[0] > 1 || w[1] > 1 || a.padding != Ints{0, 0, 0, 0} || a.stride != Ints{1, 1};
        if (w[2] * 4 <= l.lanes() && w[3] % l.lanes() == 0) {
            NarrowFuncs f = build_narrow(l, id, border, w, a.dilation);
            if (l.is_fused(id)) {
                l.schedule_fused = [&l, f](Consumer &consumer) mutable { schedule_narrow_convolution(l, consumer, f); };
                return f.sum;
            }
            Consumer consumer{Func(l.name(id)), f.axes, node.type.shape};
            consumer.func(reversed(f.axes)) = call(f.sum, {f.axes.begin(), f.axes.end()});
            consumer.func.compute_root();
            schedule_narrow_convolution(l, consumer, f);
            return consumer.func;
        }
        Consumer turned{Func(l.name(id, "weights")), {Var("r"), Var("s"), Var("k"), Var("c")}, {w[0], w[1], w[3], w[2]}};
        Var r = turned.axes[0], s = turned.axes[1], k = turned.axes[2], c = turned.axes[3];
        // The rest of the channels is a vector that may have a few lanes more than there are channels.
        const Expr channel = split_channels(l, w[2], node.type.shape[2]).rest > 0 ? min(c, index_expr(w[2] - 1)) : Expr(c);
        turned.func(c, k, s, r) = l.value(node.operands[1], {index_expr(w[0] - 1) - r, index_expr(w[1] - 1) - s, channel, k});
        turned.func.compute_root();
        schedule_loops(l, turned);
        return build_convolution(l, id, border, w[3], {w[0], w[1]}, {1, 1}, a.dilation,
                                 [&](Expr r, Expr s, Expr k, Expr c) { return Expr(turned.func(c, k, s, r)); });
    });
    return call(result, at);
}

Expr lower_conv2d_weight_gradient(Lowering &l, NodeId id, const Coordinates &at) {
    if (l.is_stored(id) ? l.stored(id).dimensions() == 4 : filters_weight_gradient(l, id)) return call(l.storage_of(id, [&] { return build_filtered_gradient(l, id); }), at);
    WeightGradientPlan plan;
    const Shape &dy_shape = l.shape(l.node(id).operands[1]);
    plan = plan_weight_gradient(dy_shape[0], l.shape(id), size_of(l.node(id).type.dtype));
    Func parts = l.storage_of(id, [&] {
        const Node &node = l.node(id);
        const ConvGradAttrs &a = attrs<ConvGradAttrs>(node);
        Border border{node.operands[0], a.padding[0], a.padding[2]};
        border.needed = a.padding != Ints{0, 0, 0, 0};
        WeightGradientFuncs f;
        f.plan = plan;
        f.axes = l.declare_vars(id);
        f.p = Var("part");
        f.shape = node.type.shape;
        Var r = f.axes[0], s = f.axes[1], c = f.axes[2], k = f.axes[3];
        const int64_t samples = dy_shape[0] / plan.parts;
        f.samples = samples;
        f.sample_pixels = dy_shape[1] * dy_shape[2];
        f.sample_bytes = element_count(l.shape(node.operands[0])) / dy_shape[0] * size_of(node.type.dtype);
        f.row_pixels = dy_shape[2];
        f.image_buffer = l.buffer_of(node.operands[0]), f.image = l.shape(node.operands[0]), f.stride = a.stride;
        if (l.is_plain(node.operands[1])) {
            if (const std::string buffer = l.buffer_of(node.operands[1]); !buffer.empty()) f.gradient_buffers.push_back(buffer);
        } else {
            for (int i = 0; i < l.body().size(); i++)
                if (l.shape({i}) == dy_shape && !l.buffer_of({i}).empty()) f.gradient_buffers.push_back(l.buffer_of({i}));
        }
        f.packs_pixels = !border.needed && f.shape[0] == 1 && f.shape[1] == 1 && a.stride != Ints{1, 1};
        f.part = Func(l.name(id, "part"));
        f.part(k, c, s, r, f.p) = Internal::make_zero(storage_type(node.type.dtype));
        auto accumulate = [&](const char *name, int64_t first, int64_t count) {
            WeightGradientFuncs::Update update;
            Region region{{0, int(dy_shape[2])}, {0, int(dy_shape[1])}, {0, int(samples)}};
            if (count > 0) region.insert(region.begin(), {int(first), int(count)});
            update.pixels = RDom(region, l.name(id, name));
            const int at = count > 0 ? 1 : 0;
            Expr to = count > 0 ? Expr(update.pixels[0]) : Expr(k);
            Expr n = f.p * index_expr(samples) + update.pixels[at + 2], y = update.pixels[at + 1], x = update.pixels[at];
            Expr at_y = y * index_expr(a.stride[0]) + r * index_expr(a.dilation[0]), at_x = x * index_expr(a.stride[1]) + s * index_expr(a.dilation[1]);
            Expr pixel;
            if (f.packs_pixels) {
                Var pn("n"), py("y"), px("x"), pc("c");
                update.padded = Func(l.name(id, "pixels"));
                update.padded(pc, px, py, pn) = l.value(border.operand, {pn, py * index_expr(a.stride[0]), px * index_expr(a.stride[1]), pc});
                pixel = update.padded(c, x, y, n);
            } else {
                pixel = read_pixel(l, id, border, n, at_y, at_x, c, update.padded);
            }
            Expr gradient;
            if (l.is_plain(node.operands[1]) && !f.packs_pixels) {
                gradient = l.value(node.operands[1], {n, y, x, to});
            } else {
                Var gn("n"), gy("y"), gx("x"), gk("k");
                update.gradient = Func(l.name(id, "gradient"));
                update.gradient(gk, gx, gy, gn) = to_storage(l.value(node.operands[1], {gn, gy, gx, gk}));
                gradient = update.gradient(to, x, y, n);
            }
            f.part(to, c, s, r, f.p) += gradient * pixel;
            update.columns = count > 0 ? count : f.shape[3];
            f.updates.push_back(update);
        };
        // Masked vectors would be taken apart into single numbers.
        const int64_t rest = f.shape[3] % l.lanes();
        f.is_split = rest > 0 && rest < f.shape[3];
        if (f.is_split) {
            accumulate("pixel", 0, f.shape[3] - rest);
            accumulate("rest", f.shape[3] - rest, rest);
        } else {
            accumulate("pixel", 0, 0);
        }
        schedule_weight_gradient(l, f);
        return f.part;
    });
    // The partial sums in their order.
    Expr sum;
    for (int64_t p = 0; p < plan.parts; p++) {
        Coordinates where{index_expr(p), at[0], at[1], at[2], at[3]};
        Expr part = call(parts, where);
        sum = sum.defined() ? sum + part : part;
    }
    return sum;
}

}  // namespace kiln
