// The gradient of index notation, derived symbolically.
//
// A sum  y[T(p)] += f(x[A(p)], ..)  over the points p of a box has the gradient  dx[A(p)] += dy[T(p)] * df/dx(..)  over the same
// points: the same op with the maps of x and y exchanged. f is a graph of elementwise ops, and its derivative comes from their own
// gradient rules. append_scattered() then solves h = A(p) for as many axes as it can.
//
// A maximum is the sum of the one term whose number among the reduced axes is that of the first largest term.
#include "compiler/ops/comprehension.h"

#include "compiler/ops/common.h"

#include <algorithm>
#include <map>

namespace kiln {
namespace {

/// Reverse mode through the scalar graph, from the node `from` whose gradient is `seed`: the gradient of each node, or an invalid id.
std::vector<NodeId> scalar_gradients(Graph &graph, NodeId from, NodeId seed) {
    const int size = graph.size();
    std::vector<NodeId> gradients(size_t(size), NodeId{});
    gradients[size_t(from.index)] = seed;
    Builder b(graph);
    for (NodeId id = from; id.valid(); --id.index) {
        const NodeId dy = gradients[size_t(id.index)];
        if (!dy.valid() || has_trait(graph[id].op, kIntegral) || graph[id].operands.empty()) continue;
        const std::vector<NodeId> contributions = vjp(b, graph, id, dy);
        const std::vector<NodeId> operands = graph[id].operands;
        for (size_t i = 0; i < operands.size(); ++i) {
            if (!contributions[i].valid() || !is_float(graph[operands[i]].type.dtype)) continue;
            NodeId &gradient = gradients[size_t(operands[i].index)];
            gradient = gradient.valid() ? b.add(gradient, contributions[i]) : contributions[i];
        }
    }
    return gradients;
}

/// A node of a scalar graph as a value of a body; inputs are not among them.
BodyValue body_value(const Node &node) {
    BodyValue value;
    value.dtype = node.type.dtype;
    KILN_CHECK(node.type.rank() == 0, "{} of {} in a body", info(node.op).name, to_string(node.type));
    if (node.op == Op::constant) {
        value.value = attrs<ConstantAttrs>(node).values[0];
        return value;
    }
    KILN_CHECK(has_trait(node.op, kElementwise), "{} in a body", info(node.op).name);
    value.kind = BodyValue::Kind::apply;
    value.op = node.op;
    for (NodeId operand : node.operands) value.operands.push_back(operand.index);
    return value;
}

int64_t append_value(ComprehensionAttrs &attrs, BodyValue value) {
    attrs.body.push_back(std::move(value));
    return int64_t(attrs.body.size()) - 1;
}

/// The sum whose value the maximum or minimum is: the terms whose number is the winner's.
ComprehensionAttrs as_sum(Builder &b, const Node &node, std::vector<NodeId> &operands) {
    ComprehensionAttrs sum = attrs<ComprehensionAttrs>(node);
    if (sum.reduce == Reducer::sum) return sum;
    ComprehensionAttrs winner = sum;
    winner.reduce = sum.reduce == Reducer::max ? Reducer::argmax : Reducer::argmin;
    sum.reduce = Reducer::sum;
    const NodeId first = b.append(Op::comprehension, operands, winner);

    AffineIndex number = constant_index(sum.space.size(), 0);
    int64_t stride = 1;
    for (size_t axis = sum.space.size(); axis-- > size_t(sum.kept);) {
        number.coefficients[axis] = stride;
        stride *= sum.space[axis];
    }
    BodyValue here{BodyValue::Kind::index, DType::i32}, read{BodyValue::Kind::read, DType::i32};
    here.at = {number};
    read.operand = int64_t(operands.size());
    read.at = target_of(sum);
    operands.push_back(first);
    BodyValue equal{BodyValue::Kind::apply, DType::boolean, Op::equal};
    const BodyValue term = sum.body.back();
    equal.operands = {append_value(sum, here), append_value(sum, read)};
    int64_t condition = append_value(sum, equal);
    if (sum.condition >= 0) {
        BodyValue both{BodyValue::Kind::apply, DType::boolean, Op::logical_and};
        both.operands = {sum.condition, condition};
        condition = append_value(sum, both);
    }
    sum.condition = condition;
    append_value(sum, term);  // the term is the last value
    return sum;
}

/// What solving the target for the axes found: each old axis as an index over the new ones, result axes first.
struct Solution {
    std::vector<int64_t> space;           ///< new
    std::vector<AffineIndex> axes;        ///< old in terms of new
    std::vector<AffineIndex> guards;
    Shape split, low, shape;              ///< reshape the result from `split`.. to the shape with extents whole[d], of which [low, low + shape)
    Shape whole;
};

/// Solves target[d] = h[d] for the axes. Every dimension becomes one result axis, or two if it is strided.
class Solver {
public:
    Solver(const ComprehensionAttrs &attrs) : attrs_(attrs) {
        // Unknowns: the old axes, then whatever is introduced.
        for (int64_t extent : attrs.space) introduce(extent);
        for (size_t axis = 0; axis < attrs.space.size(); ++axis) known_.push_back({});
    }

    Solution solve() {
        for (size_t d = 0; d < attrs_.target.size(); ++d) solve_dimension(d);
        return finish();
    }

private:
    // An index here has a coefficient for each unknown so far.
    AffineIndex widened(AffineIndex index) const {
        index.coefficients.resize(extents_.size(), 0);
        return index;
    }
    size_t introduce(int64_t extent) {
        extents_.push_back(extent);
        return extents_.size() - 1;
    }
    AffineIndex unknown(size_t i) const { return axis_index(extents_.size(), i); }

    /// Old axes that are solved replaced by what they are.
    AffineIndex reduced(AffineIndex index) const {
        index = widened(std::move(index));
        for (bool changed = true; changed;) {
            changed = false;
            for (size_t axis = 0; axis < known_.size(); ++axis) {
                const int64_t c = index.coefficients[axis];
                if (c == 0 || known_[axis].coefficients.empty()) continue;
                index.coefficients[axis] = 0;
                index = combine(index, widened(known_[axis]), c);
                changed = true;
            }
        }
        return index;
    }

    void set(size_t axis, AffineIndex value) {
        known_[axis] = value;
        guards_.push_back(value);                                                     // value >= 0
        guards_.push_back(combine(constant_index(value.coefficients.size(), extents_[axis] - 1), value, -1));  // value < extent
    }

    bool is_open(size_t axis) const { return axis < known_.size() && known_[axis].coefficients.empty(); }

    void solve_dimension(size_t d) {
        const AffineIndex target = reduced(attrs_.target[d]);
        const int64_t extent = attrs_.shape[d];
        size_t unit = SIZE_MAX, strided = SIZE_MAX;
        for (size_t axis = 0; axis < attrs_.space.size(); ++axis) {
            const int64_t c = target.coefficients[axis];
            if (c == 0 || !is_open(axis)) continue;
            if (std::abs(c) == 1 && (unit == SIZE_MAX || extents_[axis] > extents_[unit])) unit = axis;
            if (c > 1 && (strided == SIZE_MAX || c < target.coefficients[strided])) strided = axis;
        }
        if (strided != SIZE_MAX && split(d, target, strided)) return;
        const size_t h = introduce(extent);
        results_.push_back(h);
        split_.push_back(extent);
        whole_.push_back(extent);
        low_.push_back(0);
        AffineIndex rest = combine(unknown(h), widened(target), -1);  // h - target = 0
        if (unit == SIZE_MAX) {
            guards_.push_back(rest);
            guards_.push_back(combine(constant_index(extents_.size(), 0), rest, -1));
            return;
        }
        // target = c * unit + others, so unit = c * (h - others).
        const int64_t c = target.coefficients[unit];
        rest.coefficients[unit] = 0;
        set(unit, combine(constant_index(extents_.size(), 0), rest, c));
    }

    /// h = stride * p + r + others, where the others move in steps of the stride and r is one axis or nothing: h = stride * a + b,
    /// r = stride * t + (b shifted), p = a - t - others / stride.
    bool split(size_t d, const AffineIndex &target, size_t strided) {
        const int64_t stride = target.coefficients[strided];
        size_t within = SIZE_MAX;
        for (size_t i = 0; i < target.coefficients.size(); ++i) {
            if (i == strided || target.coefficients[i] % stride == 0) continue;
            if (within != SIZE_MAX || target.coefficients[i] != 1 || !is_open(i)) return false;
            within = i;
        }
        const int64_t steps = within == SIZE_MAX ? 1 : (extents_[within] + stride - 1) / stride;
        if (steps >= extents_[strided] || stride > attrs_.shape[d]) return false;
        // Count from a position q = h - offset + stride * shift that is never negative.
        const int64_t shift = (std::max<int64_t>(target.offset, 0) + stride - 1) / stride;
        const int64_t low = stride * shift - target.offset;
        const int64_t whole = (low + attrs_.shape[d] + stride - 1) / stride;
        const size_t a = introduce(whole), b = introduce(stride);
        const size_t t = within == SIZE_MAX ? SIZE_MAX : introduce(steps);
        results_.push_back(a);
        results_.push_back(b);
        split_.push_back(whole);
        split_.push_back(stride);
        whole_.push_back(whole * stride);
        low_.push_back(low);
        AffineIndex p = unknown(a);
        p.offset -= shift;
        for (size_t i = 0; i < target.coefficients.size(); ++i)
            if (i != strided && i != within) p.coefficients[i] -= target.coefficients[i] / stride;
        if (within != SIZE_MAX) {
            p.coefficients[t] -= 1;
            AffineIndex r = axis_index(extents_.size(), t, stride);
            r.coefficients[b] += 1;
            set(within, r);
        } else {
            guards_.push_back(axis_index(extents_.size(), b, -1));  // b = 0
        }
        set(strided, p);
        return true;
    }

    Solution finish() {
        // New order: result axes, then old axes that stay, then introduced ones that are reduced.
        std::vector<size_t> order = results_;
        for (size_t axis = 0; axis < extents_.size(); ++axis) {
            const bool solved = axis < known_.size() && !is_open(axis);
            if (!solved && std::find(results_.begin(), results_.end(), axis) == results_.end()) order.push_back(axis);
        }
        Solution solution;
        std::vector<AffineIndex> unknowns(extents_.size());
        for (size_t i = 0; i < order.size(); ++i) {
            solution.space.push_back(extents_[order[i]]);
            unknowns[order[i]] = axis_index(order.size(), i);
        }
        for (AffineIndex &index : unknowns)
            if (index.coefficients.empty()) index = constant_index(order.size(), 0);  // solved: replaced before
        auto renamed = [&](const AffineIndex &index) { return substitute(reduced(index), unknowns, order.size()); };
        for (size_t axis = 0; axis < attrs_.space.size(); ++axis) solution.axes.push_back(renamed(axis_index(attrs_.space.size(), axis)));
        for (const AffineIndex &guard : guards_) solution.guards.push_back(renamed(guard));
        solution.split = split_;
        solution.whole = whole_;
        solution.low = low_;
        solution.shape = attrs_.shape;
        return solution;
    }

    const ComprehensionAttrs &attrs_;
    std::vector<int64_t> extents_;        ///< of all unknowns
    std::vector<AffineIndex> known_;      ///< per old axis: what it is, once solved
    std::vector<AffineIndex> guards_;
    std::vector<size_t> results_;
    Shape split_, whole_, low_;
};

/// Whether the guards show that an access stays inside of a tensor of this shape.
bool stays_inside(const std::vector<AffineIndex> &at, const Shape &shape, const ComprehensionAttrs &attrs) {
    for (size_t d = 0; d < at.size(); ++d) {
        const Interval range = bounds(at[d], attrs.space, attrs.guards);
        if (at[d].gather < 0 && range.low <= range.high && !range.inside(shape[d])) return false;
    }
    return true;
}

}  // namespace

NodeId append_scattered(Builder &b, ComprehensionAttrs scattered, std::vector<NodeId> operands) {
    remove_unused(scattered, operands);
    const bool depends_on_data = std::any_of(scattered.target.begin(), scattered.target.end(), [](const AffineIndex &i) { return i.gather >= 0; });
    if (depends_on_data) return b.append(Op::comprehension, operands, scattered);
    Solution solution = Solver(scattered).solve();
    // Looking for the terms of each element must not cost much more than going through the terms.
    if (double(element_count(solution.space)) > 8.0 * double(points(scattered)) + 4.0 * double(element_count(scattered.shape)))
        return b.append(Op::comprehension, operands, scattered);

    ComprehensionAttrs gathered = scattered;
    gathered.target.clear();
    gathered.shape.clear();
    gathered.space = solution.space;
    gathered.kept = int64_t(solution.split.size());
    const size_t axes = solution.space.size();
    gathered.guards = solution.guards;
    for (const AffineIndex &guard : scattered.guards) gathered.guards.push_back(substitute(guard, solution.axes, axes));
    for (BodyValue &value : gathered.body)
        for (AffineIndex &index : value.at) index = substitute(index, solution.axes, axes);
    // What cannot be shown to stay inside is read where the terms are, which is inside by the op's own guards.
    for (const BodyValue &value : gathered.body)
        if (value.kind == BodyValue::Kind::read && !stays_inside(value.at, b.type(operands[size_t(value.operand)]).shape, gathered)) return b.append(Op::comprehension, operands, scattered);
    remove_unused(gathered, operands);
    NodeId result = b.append(Op::comprehension, operands, gathered);
    if (solution.whole != solution.split) result = b.reshape(result, solution.whole);
    if (solution.whole != solution.shape) {
        SliceAttrs slice{solution.low, solution.low, Ints(solution.low.size(), 1)};
        for (size_t d = 0; d < slice.end.size(); ++d) slice.end[d] += solution.shape[d];
        result = b.append(Op::slice, {result}, slice);
    }
    return result;
}

std::vector<NodeId> vjp_comprehension(Builder &b, const Graph &g, NodeId node, NodeId dy) {
    std::vector<NodeId> operands = g[node].operands;
    std::vector<NodeId> gradients(operands.size(), NodeId{});
    const Node copy = g[node];  // appending moves the nodes
    const ComprehensionAttrs sum = as_sum(b, copy, operands);

    Graph scalars = scalar_graph(sum.body);
    const int values = scalars.size();
    const NodeId seed = Builder(scalars).input(InputKind::argument, "dy", {copy.type.dtype, {}});
    const std::vector<NodeId> slopes = scalar_gradients(scalars, NodeId{values - 1}, seed);

    for (int i = 0; i < values; ++i) {
        const BodyValue &read = sum.body[size_t(i)];
        if (read.kind != BodyValue::Kind::read || !slopes[size_t(i)].valid()) continue;
        ComprehensionAttrs scattered = sum;
        scattered.kept = 0;
        scattered.target = read.at;
        scattered.shape = b.type(operands[size_t(read.operand)]).shape;
        std::vector<NodeId> all = operands;
        for (int k = values; k < scalars.size(); ++k) {
            if (NodeId{k} != seed) {
                append_value(scattered, body_value(scalars.nodes[size_t(k)]));
                continue;
            }
            BodyValue read_dy{BodyValue::Kind::read, copy.type.dtype};
            read_dy.operand = int64_t(all.size());
            read_dy.at = target_of(sum);
            append_value(scattered, read_dy);
            all.push_back(dy);
        }
        // The slope is the last value.
        scattered.body.resize(size_t(std::max(slopes[size_t(i)].index, values)) + 1);
        if (slopes[size_t(i)].index != int32_t(scattered.body.size()) - 1) append_value(scattered, scattered.body[size_t(slopes[size_t(i)].index)]);
        NodeId contribution;
        if (scattered.target.empty()) {  // an operand of rank 0: everything is summed
            remove_unused(scattered, all);
            contribution = b.append(Op::comprehension, all, scattered);
        } else {
            contribution = append_scattered(b, std::move(scattered), std::move(all));
        }
        NodeId &gradient = gradients[size_t(read.operand)];
        gradient = gradient.valid() ? b.add(gradient, contribution) : contribution;
    }
    gradients.resize(copy.operands.size());
    return gradients;
}

}  // namespace kiln
