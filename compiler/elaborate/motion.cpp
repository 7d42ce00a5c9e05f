#include "compiler/elaborate/motion.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <vector>

namespace kiln {

namespace {

constexpr int kNowhere = -1;  ///< without places: a constant, a statistic
constexpr int kUnknown = -2;
constexpr int kRoot = 0;

/// How pixels were moved last, and from which motion before.
struct Step {
    enum class Kind { root, warp, reverse, choice } kind;
    int before;           ///< of a choice: where the condition holds
    int otherwise;
    NodeId node;          ///< of the warp, the reverse, or the condition, [n]
    bool operator<(const Step &other) const {
        return std::tuple(kind, before, otherwise, node.index) < std::tuple(other.kind, other.before, other.otherwise, other.node.index);
    }
};

class Motions {
public:
    Motions(const Graph &graph, NodeId picture) : graph_(graph), motions_(size_t(picture.index) + 1, kNowhere) {
        const Shape &shape = graph[picture].type.shape;
        if (shape.size() < 3) return;
        places_.assign(shape.begin(), shape.begin() + 3);
        steps.push_back({Step::Kind::root, kNowhere, kNowhere, {}});
        for (int32_t i = 0; i <= picture.index; ++i) motions_[size_t(i)] = motion_of(graph[NodeId{i}]);
        last = motions_.back();
    }

    int last = kUnknown;      ///< of the picture: kNowhere, kUnknown or the number of its step
    std::vector<Step> steps;  ///< each after the ones before it; the root comes first

private:
    int of(NodeId node) const { return motions_[size_t(node.index)]; }
    bool has_places(const Node &node) const {
        const Shape &shape = node.type.shape;
        return shape.size() >= 3 && std::equal(places_.begin(), places_.end(), shape.begin());
    }
    int step(Step::Kind kind, int before, int otherwise, NodeId node) {
        const Step wanted{kind, before, otherwise, node};
        auto [known, is_new] = numbers_.try_emplace(wanted, int(steps.size()));
        if (is_new) steps.push_back(wanted);
        return known->second;
    }
    /// Of what is computed from pixels at the same place.
    int together(const std::vector<NodeId> &nodes) const {
        int all = kNowhere;
        for (NodeId node : nodes) {
            const int motion = of(node);
            if (motion == kUnknown || (all != kNowhere && motion != kNowhere && motion != all)) return kUnknown;
            if (motion != kNowhere) all = motion;
        }
        return all;
    }
    /// A condition that is the same for all pixels of a sample, [n]; nothing if it is not.
    std::optional<NodeId> of_samples(NodeId condition) const {
        const Node &node = graph_[condition];
        if (of(condition) != kNowhere || node.op != Op::broadcast || graph_[node.operands[0]].type.elements() != places_[0]) return {};
        const auto &dims = attrs<BroadcastAttrs>(node).dims;
        return !dims.empty() && dims[0] == 0 && graph_[node.operands[0]].type.shape[0] == places_[0] ? std::optional(node.operands[0]) : std::nullopt;
    }

    int motion_of(const Node &node) {
        if (node.op == Op::input) return has_places(node) && attrs<InputAttrs>(node).kind == InputKind::data ? kRoot : kNowhere;
        const int motion = together(node.operands);
        if (motion == kNowhere) return kNowhere;
        if (node.op == Op::select && of(node.operands[1]) >= 0 && of(node.operands[2]) >= 0 && motion == kUnknown) {
            const std::optional<NodeId> condition = of_samples(node.operands[0]);
            return condition ? step(Step::Kind::choice, of(node.operands[1]), of(node.operands[2]), *condition) : kUnknown;
        }
        if (motion == kUnknown || has_trait(node.op, kElementwise)) return motion;
        const NodeId operand = node.operands[0];
        const bool in_place = has_places(graph_[operand]) && has_places(node);
        auto leaves_places = [&](const Ints &axes) { return std::all_of(axes.begin(), axes.end(), [](int64_t axis) { return axis > 2; }); };
        auto has = [](const Ints &axes, int64_t axis) { return std::find(axes.begin(), axes.end(), axis) != axes.end(); };
        switch (node.op) {
        case Op::warp: return step(Step::Kind::warp, motion, kNowhere, NodeId{int32_t(&node - graph_.nodes.data())});
        case Op::reverse: {
            const Ints &axes = attrs<AxesAttrs>(node).axes;
            if (leaves_places(axes)) return motion;
            return has(axes, 0) ? kUnknown : step(Step::Kind::reverse, motion, kNowhere, NodeId{int32_t(&node - graph_.nodes.data())});
        }
        case Op::reduce_sum:
        case Op::reduce_product:
        case Op::reduce_max:
        case Op::reduce_min: {
            const Ints &axes = attrs<AxesAttrs>(node).axes;
            if (leaves_places(axes)) return motion;
            return has(axes, 1) && has(axes, 2) ? kNowhere : kUnknown;
        }
        case Op::broadcast: {
            const Ints &dims = attrs<BroadcastAttrs>(node).dims;
            return in_place && dims.size() >= 3 && dims[0] == 0 && dims[1] == 1 && dims[2] == 2 ? motion : kUnknown;
        }
        case Op::transpose: {
            const Ints &axes = attrs<AxesAttrs>(node).axes;
            return in_place && axes[0] == 0 && axes[1] == 1 && axes[2] == 2 ? motion : kUnknown;
        }
        case Op::concat: return attrs<AxisAttrs>(node).axis > 2 ? motion : kUnknown;
        case Op::reshape:
        case Op::slice:     // of the same extents: of channels
        case Op::pad:
        case Op::conv2d:    // around each pixel
        case Op::max_pool2d:
        case Op::window_sum2d: return in_place && of(operand) >= 0 ? motion : kUnknown;
        default: return kUnknown;
        }
    }

    const Graph &graph_;
    Shape places_;  ///< [n, h, w]
    std::vector<int> motions_;
    std::map<Step, int> numbers_;
};

/// A step is followed back for the samples that came through it.
struct Arrived {
    PlacesShown at;
    std::optional<NodeId> samples;  ///< bool [n]; none: all
};

class WayBack {
public:
    WayBack(Builder &builder, const Shape &places, DType dtype) : b_(builder), real_{dtype, places} {}

    PlacesShown follow(const Motions &motions) {
        const NodeId true_ = b_.constant(1, Type{DType::boolean, real_.shape});
        std::vector<std::optional<Arrived>> arrived(motions.steps.size());
        arrived[size_t(motions.last)] = Arrived{{b_.iota(1, real_), b_.iota(2, real_), true_}, {}};
        for (size_t i = motions.steps.size(); i-- > 1;) {
            if (!arrived[i]) continue;
            const Step &step = motions.steps[i];
            const Arrived here = *arrived[i];
            if (step.kind == Step::Kind::choice) {
                const NodeId condition = b_.reshape(step.node, {real_.shape[0]}), not_ = b_.append(Op::logical_not, {condition});
                auto both = [&](NodeId other) { return here.samples ? b_.append(Op::logical_and, {*here.samples, other}) : other; };
                arrive(arrived[size_t(step.before)], {here.at, both(condition)});
                arrive(arrived[size_t(step.otherwise)], {here.at, both(not_)});
            } else {
                const PlacesShown at = step.kind == Step::Kind::warp ? through_warp(step.node, here.at) : through_reverse(step.node, here.at);
                arrive(arrived[size_t(step.before)], {at, here.samples});
            }
        }
        return arrived[kRoot]->at;
    }

private:
    NodeId number(double value) { return b_.constant(value, real_); }
    NodeId of_sample(NodeId x) { return b_.append(Op::broadcast, {x}, BroadcastAttrs{real_.shape, {0}}); }

    void arrive(std::optional<Arrived> &known, const Arrived &more) {
        if (!known) {
            known = more;
            return;
        }
        // Each sample came one way.
        const NodeId is_more = of_sample(*more.samples);
        auto chosen = [&](NodeId a, NodeId b) { return b_.append(Op::select, {is_more, a, b}); };
        known = Arrived{{chosen(more.at.y, known->at.y), chosen(more.at.x, known->at.x), chosen(more.at.inside, known->at.inside)},
                        b_.append(Op::logical_or, {*more.samples, *known->samples})};
    }

    PlacesShown through_reverse(NodeId node, PlacesShown at) {
        for (int64_t axis : attrs<AxesAttrs>(b_.graph()[node]).axes) {
            NodeId *place = axis == 1 ? &at.y : axis == 2 ? &at.x : nullptr;
            if (place) *place = b_.subtract(number(double(real_.shape[size_t(axis)] - 1)), *place);
        }
        return at;
    }

    PlacesShown through_warp(NodeId node, const PlacesShown &at) {
        const std::vector<NodeId> map = b_.graph()[node].operands;
        const Fill fill = attrs<WarpAttrs>(b_.graph()[node]).fill;
        const double middle_y = double(real_.shape[1] - 1) / 2, middle_x = double(real_.shape[2] - 1) / 2;
        const NodeId row = b_.subtract(at.y, number(middle_y)), column = b_.subtract(at.x, number(middle_x));
        auto place = [&](size_t first, double middle) {
            const NodeId turned = b_.add(b_.multiply(of_sample(map[first]), row), b_.multiply(of_sample(map[first + 1]), column));
            return b_.add(b_.add(turned, of_sample(map[first + 2])), number(middle));
        };
        const NodeId y = place(1, middle_y), x = place(4, middle_x);
        const NodeId inside = b_.append(Op::logical_and, {is_inside(y, real_.shape[1]), is_inside(x, real_.shape[2])});
        return {folded(y, real_.shape[1], fill), folded(x, real_.shape[2], fill), b_.append(Op::logical_and, {at.inside, inside})};
    }

    NodeId is_inside(NodeId at, int64_t extent) {
        return b_.append(Op::logical_and, {b_.append(Op::less_equal, {number(-0.5), at}), b_.append(Op::less, {at, number(double(extent) - 0.5)})});
    }

    /// Moved inside, as `warp` does it.
    NodeId folded(NodeId at, int64_t extent, Fill fill) {
        if (fill == Fill::reflect) {
            const NodeId period = number(2 * double(extent)), shifted = b_.add(at, number(0.5));
            const NodeId phase = b_.subtract(shifted, b_.multiply(period, b_.append(Op::floor, {b_.divide(shifted, period)})));
            at = b_.subtract(b_.append(Op::minimum, {phase, b_.subtract(period, phase)}), number(0.5));
        }
        return b_.append(Op::minimum, {b_.append(Op::maximum, {at, number(0)}), number(double(extent - 1))});
    }

    Builder &b_;
    Type real_;  ///< [n, h, w]
};

}  // namespace

Movement movement_of(const Graph &graph, NodeId picture) {
    const int last = Motions(graph, picture).last;
    return last == kUnknown ? Movement::unknown : last == kRoot || last == kNowhere ? Movement::still : Movement::moved;
}

std::optional<PlacesShown> places_shown(Builder &builder, NodeId picture) {
    const Motions motions(builder.graph(), picture);
    if (motions.last < 0) return {};
    const Type &type = builder.type(picture);
    return WayBack(builder, {type.shape[0], type.shape[1], type.shape[2]}, type.dtype).follow(motions);
}

}  // namespace kiln
