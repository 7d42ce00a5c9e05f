// Comprehensions that are one of the other ops become it: elementwise arithmetic, reductions over axes, matrix products and
// convolutions. What decides is the structure alone: which axes the reads move along. It runs before differentiation,
// because the gradients of those ops are made of the same fast ops, and after it, for the comprehensions that gradients are.
#include "compiler/ops/comprehension.h"
#include "compiler/passes/passes.h"
#include "compiler/passes/rewrite.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <optional>
#include <set>

namespace kiln {

namespace {

using Kind = BodyValue::Kind;

/// The axes a read moves along, dimension by dimension, if each is one axis of its own over its whole range.
std::optional<Ints> plain_axes(const ComprehensionAttrs &a, const BodyValue &read, const Shape &shape) {
    Ints axes;
    for (size_t d = 0; d < read.at.size(); ++d) {
        const int64_t axis = plain_axis(read.at[d]);
        if (axis < 0 || a.space[size_t(axis)] != shape[d] || std::count(axes.begin(), axes.end(), axis)) return {};
        axes.push_back(axis);
    }
    return axes;
}

Ints sorted(Ints list) {
    std::sort(list.begin(), list.end());
    return list;
}

/// The body after the passes for scalars: constants folded, powers that are products, equal values once.
ComprehensionAttrs simplified(const ComprehensionAttrs &a) {
    Graph scalars = scalar_graph(a.body);
    Ints wanted{int64_t(a.body.size()) - 1};
    auto want = [&](const AffineIndex &index) {
        if (index.gather >= 0) wanted.push_back(index.gather);
    };
    std::for_each(a.target.begin(), a.target.end(), want);
    for (const BodyValue &value : a.body) std::for_each(value.at.begin(), value.at.end(), want);
    if (a.condition >= 0) wanted.push_back(a.condition);
    for (int64_t value : wanted) scalars.results.push_back({ResultKind::value, "", NodeId{int32_t(value)}});
    for (int round = 0; round < 2; ++round) scalars = dce(cse(simplify(fold(scalars))));

    ComprehensionAttrs result = a;
    result.body.clear();
    std::map<int64_t, int64_t> numbers;  // of wanted values
    for (size_t i = 0; i < wanted.size(); ++i) numbers[wanted[i]] = scalars.results[i].value.index;
    auto renumber = [&](std::vector<AffineIndex> &list) {
        for (AffineIndex &index : list)
            if (index.gather >= 0) index.gather = numbers.at(index.gather);
    };
    for (const Node &node : scalars.nodes) {
        BodyValue value;
        value.dtype = node.type.dtype;
        if (node.type.rank() != 0) return a;
        if (node.op == Op::input) {
            value = a.body[size_t(std::stol(attrs<InputAttrs>(node).name.substr(1)))];
            renumber(value.at);
            for (const AffineIndex &index : value.at)
                if (index.gather >= int64_t(result.body.size())) return a;
        } else if (node.op == Op::constant) {
            value.value = attrs<ConstantAttrs>(node).values[0];
        } else if (has_trait(node.op, kElementwise)) {
            value.kind = Kind::apply;
            value.op = node.op;
            for (NodeId operand : node.operands) value.operands.push_back(operand.index);
        } else {
            return a;
        }
        result.body.push_back(std::move(value));
    }
    renumber(result.target);
    if (a.condition >= 0) result.condition = numbers.at(a.condition);
    const BodyValue term = result.body[size_t(numbers.at(wanted[0]))];
    if (numbers.at(wanted[0]) != int64_t(result.body.size()) - 1) result.body.push_back(term);
    return result;
}

class Specializer {
public:
    Specializer(Builder &b, const Node &node) : b_(b), node_(node), a_(attrs<ComprehensionAttrs>(node)) {}

    NodeId run() {
        if (!a_.target.empty() || a_.condition >= 0) return {};
        if (NodeId hoisted = as_hoisted(); hoisted.valid()) return hoisted;
        if (NodeId product = as_matmul(); product.valid()) return product;
        if (NodeId convolution = as_convolution(); convolution.valid()) return convolution;
        return as_elementwise();
    }

private:
    const Shape &shape_of(const BodyValue &read) const { return b_.type(node_.operands[size_t(read.operand)]).shape; }
    Shape extents(const Ints &axes) const {
        Shape shape;
        for (int64_t axis : axes) shape.push_back(a_.space[size_t(axis)]);
        return shape;
    }
    int64_t count(const Ints &axes) const { return element_count(extents(axes)); }

    /// `x`, whose dimensions are `from`, with its dimensions in the order `to`.
    NodeId permuted(NodeId x, const Ints &from, const Ints &to) {
        if (from == to) return x;
        Ints order;
        for (int64_t axis : to) order.push_back(std::find(from.begin(), from.end(), axis) - from.begin());
        return b_.transpose(x, order);
    }
    NodeId reshaped(NodeId x, const Shape &shape) { return b_.type(x).shape == shape ? x : b_.reshape(x, shape); }

    /// The two reads of a sum of products, if the body is that.
    std::optional<std::pair<BodyValue, BodyValue>> two_factors() const {
        const BodyValue &last = a_.body.back();
        if (a_.reduce != Reducer::sum || a_.body.size() != 3 || last.kind != Kind::apply || last.op != Op::multiply || !is_float(last.dtype)) return {};
        const BodyValue &x = a_.body[size_t(last.operands[0])], &y = a_.body[size_t(last.operands[1])];
        if (x.kind != Kind::read || y.kind != Kind::read || &x == &y) return {};
        return std::pair(x, y);
    }

    // ---- factors that all terms of an element share ----
    /// Per value of the body: whether it moves along a reduced axis.
    std::vector<bool> varying() const {
        std::vector<bool> result;
        auto moves = [&](const AffineIndex &index) {
            bool found = index.gather >= 0 && result[size_t(index.gather)];
            for (int64_t axis = a_.kept; axis < int64_t(a_.space.size()); ++axis) found = found || index.coefficients[size_t(axis)] != 0;
            return found;
        };
        for (const BodyValue &value : a_.body) {
            bool found = std::any_of(value.at.begin(), value.at.end(), moves);
            for (int64_t operand : value.operands) found = found || result[size_t(operand)];
            result.push_back(found);
        }
        return result;
    }

    /// sum of u * v, sum of u / v, sum of -u  ->  (sum of u) * v, (sum of u) / v, -(sum of u), where v is the same for all terms.
    NodeId as_hoisted() {
        const BodyValue &last = a_.body.back();
        if (a_.reduce != Reducer::sum || a_.kept == int64_t(a_.space.size()) || !a_.guards.empty() || last.kind != Kind::apply || !is_float(last.dtype)) return {};
        if (last.op != Op::multiply && last.op != Op::divide && last.op != Op::negate) return {};
        const std::vector<bool> moves = varying();
        int64_t inner = last.operands[0], shared = last.op == Op::negate ? -1 : last.operands[1];
        if (last.op == Op::multiply && !moves[size_t(inner)]) std::swap(inner, shared);
        if (!moves[size_t(inner)] || (shared >= 0 && moves[size_t(shared)])) return {};
        const NodeId sum = comprehension(inner, a_.space, a_.kept);
        if (shared < 0) return b_.append(Op::negate, {sum});
        const NodeId factor = comprehension(shared, Ints(a_.space.begin(), a_.space.begin() + a_.kept), a_.kept);
        return b_.append(last.op, {sum, factor});
    }

    /// The comprehension, over these first axes of the space, whose term is another value of the body.
    NodeId comprehension(int64_t term, const Ints &space, int64_t kept) {
        ComprehensionAttrs part = a_;
        part.space = space;
        part.kept = kept;
        part.body.resize(size_t(term) + 1);
        std::vector<NodeId> operands = node_.operands;
        remove_unused(part, operands);
        for (BodyValue &value : part.body)
            for (AffineIndex &index : value.at) index.coefficients.resize(space.size());
        const NodeId id = b_.append(Op::comprehension, operands, part);
        const Node made = b_.graph()[id];
        const NodeId special = Specializer(b_, made).run();
        return special.valid() ? special : id;
    }

    // ---- matrix products ----
    NodeId as_matmul() {
        const auto factors = two_factors();
        if (!factors || !a_.guards.empty()) return {};
        const auto &[x, y] = *factors;
        const std::optional<Ints> left = plain_axes(a_, x, shape_of(x)), right = plain_axes(a_, y, shape_of(y));
        if (!left || !right) return {};
        Ints batch, rows, columns, inner;
        for (int64_t axis = 0; axis < int64_t(a_.space.size()); ++axis) {
            const bool in_left = std::count(left->begin(), left->end(), axis), in_right = std::count(right->begin(), right->end(), axis);
            if (axis >= a_.kept) {
                if (!in_left || !in_right) return {};
                inner.push_back(axis);
            } else if (in_left && in_right) {
                batch.push_back(axis);
            } else if (in_left) {
                rows.push_back(axis);
            } else if (in_right) {
                columns.push_back(axis);
            } else {
                return {};
            }
        }
        if (rows.empty() || columns.empty() || inner.empty()) return {};
        // The operand whose axes come last in the result gives the columns.
        const bool swap = rows.back() > columns.back();
        if (swap) std::swap(rows, columns);
        const BodyValue &a = swap ? y : x, &b = swap ? x : y;
        const Ints &a_axes = swap ? *right : *left, &b_axes = swap ? *left : *right;
        auto joined = [](std::initializer_list<Ints> parts) {
            Ints result;
            for (const Ints &part : parts) result.insert(result.end(), part.begin(), part.end());
            return result;
        };
        auto matrix = [&](const BodyValue &read, const Ints &axes, const Ints &outer, const Ints &within, bool &transposed) {
            const Ints straight = joined({batch, outer, within}), turned = joined({batch, within, outer});
            transposed = axes == turned && axes != straight;
            NodeId id = permuted(node_.operands[size_t(read.operand)], axes, transposed ? turned : straight);
            Shape shape = extents(batch);
            shape.push_back(count(transposed ? within : outer));
            shape.push_back(count(transposed ? outer : within));
            return reshaped(id, shape);
        };
        bool transpose_a = false, transpose_b = false;
        const NodeId left_matrix = matrix(a, a_axes, rows, inner, transpose_a);
        const NodeId right_matrix = matrix(b, b_axes, inner, columns, transpose_b);
        const NodeId product = b_.matmul(left_matrix, right_matrix, transpose_a, transpose_b);
        const Ints order = joined({batch, rows, columns});
        Ints kept(size_t(a_.kept), 0);
        std::iota(kept.begin(), kept.end(), int64_t(0));
        return permuted(reshaped(product, extents(order)), order, kept);
    }

    // ---- convolutions ----
    /// One dimension of an image under a window: position = stride * out + dilation * tap - before.
    struct Windowed {
        int64_t out = -1, tap = -1, stride = 1, dilation = 1, before = 0, after = 0;
    };

    std::optional<Windowed> windowed(const AffineIndex &at, int64_t extent, const Ints &weight_axes) const {
        Windowed w;
        if (at.gather >= 0) return {};
        for (size_t axis = 0; axis < at.coefficients.size(); ++axis) {
            const int64_t c = at.coefficients[axis];
            if (c == 0) continue;
            if (c < 0) return {};
            if (int64_t(axis) < a_.kept && w.out < 0) w.out = int64_t(axis), w.stride = c;
            else if (int64_t(axis) >= a_.kept && w.tap < 0 && std::count(weight_axes.begin(), weight_axes.end(), int64_t(axis))) w.tap = int64_t(axis), w.dilation = c;
            else return {};
        }
        if (w.out < 0 || w.tap < 0 || at.offset > 0) return {};
        w.before = -at.offset;
        const int64_t last = w.stride * (a_.space[size_t(w.out)] - 1) + w.dilation * (a_.space[size_t(w.tap)] - 1) - w.before;
        w.after = std::max<int64_t>(0, last - (extent - 1));
        // As many positions as the convolution makes.
        const int64_t made = (extent + w.before + w.after - w.dilation * (a_.space[size_t(w.tap)] - 1) - 1) / w.stride + 1;
        if (made != a_.space[size_t(w.out)]) return {};
        return w;
    }

    NodeId as_convolution() {
        const auto factors = two_factors();
        if (!factors) return {};
        if (NodeId result = as_convolution(factors->first, factors->second); result.valid()) return result;
        return as_convolution(factors->second, factors->first);
    }

    NodeId as_convolution(const BodyValue &image, const BodyValue &weight) {
        const std::optional<Ints> weight_axes = plain_axes(a_, weight, shape_of(weight));
        const Shape shape = shape_of(image);
        if (!weight_axes || shape.size() < 3) return {};
        // Leading dimensions of the result, one or two windows, channels.
        const size_t rank = shape.size();
        const int64_t channel = plain_axis(image.at[rank - 1]);
        if (channel < a_.kept || a_.space[size_t(channel)] != shape[rank - 1] || !std::count(weight_axes->begin(), weight_axes->end(), channel)) return {};
        std::vector<Windowed> windows;
        size_t first = rank - 1;
        while (first > 0 && windows.size() < 2) {
            const auto window = windowed(image.at[first - 1], shape[first - 1], *weight_axes);
            if (!window) break;
            windows.insert(windows.begin(), *window);
            --first;
        }
        if (windows.empty()) return {};
        Ints order;  // of the result: leading dimensions, positions, features
        int64_t leading = 1;
        for (size_t d = 0; d < first; ++d) {
            const int64_t axis = plain_axis(image.at[d]);
            if (axis < 0 || axis >= a_.kept || a_.space[size_t(axis)] != shape[d] || std::count(weight_axes->begin(), weight_axes->end(), axis) ||
                std::count(order.begin(), order.end(), axis))
                return {};
            order.push_back(axis);
            leading *= shape[d];
        }
        Ints taps, positions;
        for (const Windowed &w : windows) taps.push_back(w.tap), positions.push_back(w.out);
        order.insert(order.end(), positions.begin(), positions.end());
        Ints features;
        for (int64_t axis : *weight_axes)
            if (axis < a_.kept) features.push_back(axis);
        features = sorted(features);
        order.insert(order.end(), features.begin(), features.end());
        // Every axis has exactly one of these roles.
        Ints all = order;
        all.insert(all.end(), taps.begin(), taps.end());
        all.push_back(channel);
        Ints expected(a_.space.size());
        std::iota(expected.begin(), expected.end(), int64_t(0));
        if (features.empty() || sorted(all) != expected || weight_axes->size() != taps.size() + 1 + features.size()) return {};
        // The guards say that the window stays in the image, and nothing else.
        std::vector<AffineIndex> needed, allowed;
        for (size_t i = 0; i < windows.size(); ++i) {
            const AffineIndex &at = image.at[first + i];
            const AffineIndex below = combine(constant_index(a_.space.size(), shape[first + i] - 1), at, -1);
            allowed.push_back(at);
            allowed.push_back(below);
            if (windows[i].before > 0) needed.push_back(at);
            if (windows[i].after > 0) needed.push_back(below);
        }
        auto among = [](const std::vector<AffineIndex> &list, const AffineIndex &index) { return std::find(list.begin(), list.end(), index) != list.end(); };
        for (const AffineIndex &guard : a_.guards)
            if (!among(allowed, guard)) return {};
        for (const AffineIndex &guard : needed)
            if (!among(a_.guards, guard)) return {};

        if (windows.size() == 1) windows.insert(windows.begin(), Windowed{});  // one row
        const bool row = taps.size() == 1;
        Ints weight_order = taps;
        weight_order.push_back(channel);
        weight_order.insert(weight_order.end(), features.begin(), features.end());
        const int64_t height = row ? 1 : shape[rank - 3], width = shape[rank - 2];
        const NodeId x = reshaped(node_.operands[size_t(image.operand)], {leading, height, width, shape[rank - 1]});
        const NodeId w = reshaped(permuted(node_.operands[size_t(weight.operand)], *weight_axes, weight_order),
                                  {row ? 1 : a_.space[size_t(taps[0])], a_.space[size_t(taps.back())], shape[rank - 1], count(features)});
        ConvAttrs conv{{windows[0].stride, windows[1].stride},
                       {windows[0].before, windows[0].after, windows[1].before, windows[1].after},
                       {windows[0].dilation, windows[1].dilation}};
        const NodeId y = reshaped(b_.append(Op::conv2d, {x, w}, conv), extents(order));
        Ints kept(size_t(a_.kept), 0);
        std::iota(kept.begin(), kept.end(), int64_t(0));
        return permuted(y, order, kept);
    }

    // ---- elementwise arithmetic and reductions ----
    struct Part {
        NodeId id;
        Ints axes;  ///< ascending
    };

    NodeId spread(const Part &part, const Ints &axes) {
        if (part.axes == axes) return part.id;
        Ints dims;
        for (int64_t axis : part.axes) dims.push_back(std::find(axes.begin(), axes.end(), axis) - axes.begin());
        return b_.append(Op::broadcast, {part.id}, BroadcastAttrs{extents(axes), dims});
    }

    NodeId as_elementwise() {
        if (!a_.guards.empty() || a_.reduce == Reducer::argmax || a_.reduce == Reducer::argmin) return {};
        Ints kept, reduced;
        for (int64_t axis = 0; axis < int64_t(a_.space.size()); ++axis) (axis < a_.kept ? kept : reduced).push_back(axis);
        bool covered = reduced.empty();
        for (const BodyValue &value : a_.body) {
            if (value.kind != Kind::read) continue;
            const auto axes = plain_axes(a_, value, shape_of(value));
            if (!axes) return {};
            covered = covered || axes->size() == a_.space.size();
        }
        // Without a tensor over the whole space the terms would take more memory than what they are made of.
        if (!covered) return {};
        std::vector<Part> parts;
        for (const BodyValue &value : a_.body) parts.push_back(part_of(value, parts));
        Part &last = parts.back();
        if (reduced.empty()) return spread(last, kept);
        Ints all = kept;
        all.insert(all.end(), reduced.begin(), reduced.end());
        last.id = spread(last, all);
        const Op op = a_.reduce == Reducer::sum ? Op::reduce_sum : a_.reduce == Reducer::max ? Op::reduce_max : Op::reduce_min;
        return b_.reduce(op, last.id, reduced);
    }

    Part part_of(const BodyValue &value, const std::vector<Part> &parts) {
        switch (value.kind) {
        case Kind::constant: return {b_.constant(value.value, {value.dtype, {}}), {}};
        case Kind::index: {
            Ints axes;
            for (size_t axis = 0; axis < a_.space.size(); ++axis)
                if (value.at[0].coefficients[axis] != 0) axes.push_back(int64_t(axis));
            const Type type{DType::i32, extents(axes)};
            NodeId sum = b_.constant(double(value.at[0].offset), type);
            for (size_t i = 0; i < axes.size(); ++i) {
                const NodeId scaled = b_.append(Op::multiply, {b_.iota(int64_t(i), type), b_.constant(double(value.at[0].coefficients[size_t(axes[i])]), type)});
                sum = b_.append(Op::add, {sum, scaled});
            }
            return {sum, axes};
        }
        case Kind::read: {
            const Ints axes = *plain_axes(a_, value, shape_of(value));
            return {permuted(node_.operands[size_t(value.operand)], axes, sorted(axes)), sorted(axes)};
        }
        case Kind::apply: break;
        }
        std::set<int64_t> united;
        for (int64_t operand : value.operands) united.insert(parts[size_t(operand)].axes.begin(), parts[size_t(operand)].axes.end());
        const Ints axes(united.begin(), united.end());
        std::vector<NodeId> operands;
        for (int64_t operand : value.operands) operands.push_back(spread(parts[size_t(operand)], axes));
        return {b_.append(value.op, operands, value.op == Op::cast ? Attrs(CastAttrs{value.dtype}) : Attrs(NoAttrs{})), axes};
    }

    Builder &b_;
    const Node node_;
    const ComprehensionAttrs a_;
};

}  // namespace

Graph specialize(const Graph &graph) {
    Rewriter rewriter(graph);
    for (int i = 0; i < graph.size(); ++i) {
        Node node = rewriter.moved({i});
        NodeId special;
        if (node.op == Op::comprehension) {
            ComprehensionAttrs body = simplified(attrs<ComprehensionAttrs>(node));
            remove_unused(body, node.operands);
            node.attrs = std::move(body);
            special = Specializer(rewriter.builder_at(node), node).run();
        }
        rewriter.map({i}, special.valid() ? special : rewriter.append(std::move(node)));
    }
    return rewriter.finish();
}

}  // namespace kiln
