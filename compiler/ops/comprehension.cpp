// Index notation: shape rule and reference evaluation of `comprehension`; its gradient is in comprehension_gradient.cpp.
#include "compiler/ops/comprehension.h"

#include "compiler/ops/common.h"

#include <algorithm>
#include <limits>

namespace kiln {
namespace {

constexpr size_t kMaxAxes = 64, kMaxBody = 10000;
constexpr int64_t kMaxIndex = (int64_t(1) << 31) - 1;  // kernels index with 32 bits

std::optional<ShapeError> check_index(const AffineIndex &index, const ComprehensionAttrs &attrs, size_t values, const char *what) {
    if (index.coefficients.size() != attrs.space.size()) return shape_error("{} names an axis that is not in the space of rank {}", what, attrs.space.size());
    const Interval range = bounds(index, attrs.space);
    if (range.low < -kMaxIndex || range.high > kMaxIndex) return shape_error("{} runs beyond 2^31", what);
    if (index.gather < -1 || index.gather >= int64_t(values)) return shape_error("{} uses v{}, which is no earlier value of the body", what, index.gather);
    if (index.gather >= 0 && attrs.body[size_t(index.gather)].dtype != DType::i32)
        return shape_error("{} uses v{}, which is {} and not i32", what, index.gather, name_of(attrs.body[size_t(index.gather)].dtype));
    return std::nullopt;
}

/// Indices into a tensor of this shape: as many as it has dimensions, and inside wherever the guards hold.
std::optional<ShapeError> check_access(const std::vector<AffineIndex> &at, const Shape &shape, const ComprehensionAttrs &attrs, size_t values,
                                       const std::string &what) {
    if (at.size() != shape.size()) return shape_error("{} has {} indices for {}", what, at.size(), to_string(shape));
    for (size_t d = 0; d < at.size(); ++d) {
        if (auto error = check_index(at[d], attrs, values, what.c_str())) return error;
        if (at[d].gather >= 0) continue;
        const Interval range = bounds(at[d], attrs.space, attrs.guards);
        if (range.low <= range.high && !range.inside(shape[d]))
            return shape_error("{} leaves dimension {}: the index runs from {} to {}, the extent is {}", what, d, range.low, range.high, shape[d]);
    }
    return std::nullopt;
}

std::optional<ShapeError> check_body(const std::vector<Type> &operands, const ComprehensionAttrs &attrs) {
    if (attrs.body.empty() || attrs.body.size() > kMaxBody) return shape_error("a body of {} values", attrs.body.size());
    for (size_t i = 0; i < attrs.body.size(); ++i) {
        const BodyValue &value = attrs.body[i];
        const std::string what = fmt::format("v{}", i);
        switch (value.kind) {
        case BodyValue::Kind::read: {
            if (value.operand < 0 || value.operand >= int64_t(operands.size())) return shape_error("{} reads operand {}, there are {}", what, value.operand, operands.size());
            const Type &operand = operands[size_t(value.operand)];
            if (value.dtype != operand.dtype) return shape_error("{} is {} and reads {}", what, name_of(value.dtype), to_string(operand));
            if (auto error = check_access(value.at, operand.shape, attrs, i, what)) return error;
            break;
        }
        case BodyValue::Kind::index:
            if (value.at.size() != 1 || value.at[0].gather != -1 || value.dtype != DType::i32) return shape_error("{} is an index and must be one affine i32", what);
            if (auto error = check_index(value.at[0], attrs, i, what.c_str())) return error;
            break;
        case BodyValue::Kind::constant: break;
        case BodyValue::Kind::apply: {
            if (!has_trait(value.op, kElementwise)) return shape_error("{}: {} is not elementwise", what, info(value.op).name);
            std::vector<Type> types;
            for (int64_t operand : value.operands) {
                if (operand < 0 || operand >= int64_t(i)) return shape_error("{} uses v{}, which is no earlier value of the body", what, operand);
                types.push_back({attrs.body[size_t(operand)].dtype, {}});
            }
            const ShapeResult type = infer_type(value.op, types, value.op == Op::cast ? Attrs(CastAttrs{value.dtype}) : Attrs(NoAttrs{}), {});
            if (const ShapeError *error = std::get_if<ShapeError>(&type)) return shape_error("{}: {}: {}", what, info(value.op).name, error->message);
            if (std::get<Type>(type).dtype != value.dtype) return shape_error("{} is {} and must be {}", what, name_of(value.dtype), name_of(std::get<Type>(type).dtype));
            break;
        }
        }
    }
    return std::nullopt;
}

/// The start of a fold whose terms may be none.
double neutral(Reducer reduce, DType dtype) {
    if (reduce == Reducer::sum) return 0;
    const double sign = reduce == Reducer::max || reduce == Reducer::argmax ? -1 : 1;
    switch (dtype) {
    case DType::f32: return sign * double(std::numeric_limits<float>::max());
    case DType::f64: return sign * std::numeric_limits<double>::max();
    case DType::i32: return sign < 0 ? double(std::numeric_limits<int32_t>::min()) : double(std::numeric_limits<int32_t>::max());
    case DType::i64: return sign * 0x1p53;
    case DType::u8:
    case DType::boolean: return sign < 0 ? 0 : 255;
    }
    KILN_UNREACHABLE("dtype {}", int(dtype));
}

/// Evaluates a body on a run of points side by side.
class Points {
public:
    Points(const ComprehensionAttrs &attrs, const std::vector<const Tensor *> &operands) : attrs_(attrs), operands_(operands), scalars_(scalar_graph(attrs.body)) {}

    /// The points from `first` on, in row-major order.
    void evaluate(int64_t first, int64_t count) {
        count_ = size_t(count);
        positions_.assign(attrs_.space.size(), std::vector<int64_t>(count_));
        for (size_t p = 0; p < count_; ++p) {
            int64_t rest = first + int64_t(p);
            for (size_t axis = attrs_.space.size(); axis-- > 0;) {
                positions_[axis][p] = rest % attrs_.space[axis];
                rest /= attrs_.space[axis];
            }
        }
        values_.clear();
        for (size_t i = 0; i < attrs_.body.size(); ++i) values_.push_back(value(i));
        active_.assign(count_, true);
        for (const AffineIndex &guard : attrs_.guards) {
            const std::vector<int64_t> at = index(guard, 0);
            for (size_t p = 0; p < count_; ++p) active_[p] = active_[p] && at[p] >= 0;
        }
        if (attrs_.condition >= 0)
            for (size_t p = 0; p < count_; ++p) active_[p] = active_[p] && values_[size_t(attrs_.condition)].values[p] != 0;
    }

    bool active(size_t p) const { return active_[p]; }
    double term(size_t p) const { return values_.back().values[p]; }
    int64_t position(size_t axis, size_t p) const { return positions_[axis][p]; }

    /// Positions of an index; with an extent, clamped into it. (Unguarded points only rely on that for gathered indices.)
    std::vector<int64_t> index(const AffineIndex &index, int64_t extent) const {
        std::vector<int64_t> result(count_, index.offset);
        for (size_t axis = 0; axis < positions_.size(); ++axis)
            if (index.coefficients[axis] != 0)
                for (size_t p = 0; p < count_; ++p) result[p] += index.coefficients[axis] * positions_[axis][p];
        for (size_t p = 0; p < count_; ++p) {
            if (index.gather >= 0) result[p] += int64_t(values_[size_t(index.gather)].values[p]);
            if (extent > 0) result[p] = std::clamp<int64_t>(result[p], 0, extent - 1);
        }
        return result;
    }
    std::vector<int64_t> offsets(const std::vector<AffineIndex> &at, const Shape &shape) const {
        std::vector<int64_t> result(count_, 0);
        for (size_t d = 0; d < at.size(); ++d) {
            const std::vector<int64_t> positions = index(at[d], shape[d]);
            for (size_t p = 0; p < count_; ++p) result[p] = result[p] * shape[d] + positions[p];
        }
        return result;
    }

private:
    Tensor value(size_t i) const {
        const BodyValue &body = attrs_.body[i];
        Tensor result{{body.dtype, {int64_t(count_)}}, std::vector<double>(count_, body.value)};
        switch (body.kind) {
        case BodyValue::Kind::constant: break;
        case BodyValue::Kind::index: {
            const std::vector<int64_t> at = index(body.at[0], 0);
            result.values.assign(at.begin(), at.end());
            break;
        }
        case BodyValue::Kind::read: {
            const Tensor &operand = *operands_[size_t(body.operand)];
            const std::vector<int64_t> from = offsets(body.at, operand.type.shape);
            for (size_t p = 0; p < count_; ++p) result.values[p] = operand.values[size_t(from[p])];
            break;
        }
        case BodyValue::Kind::apply: {
            Node node = scalars_.nodes[i];
            node.type.shape = {int64_t(count_)};
            std::vector<const Tensor *> operands;
            for (int64_t operand : body.operands) operands.push_back(&values_[size_t(operand)]);
            return kiln::evaluate(node, operands);
        }
        }
        return result;
    }

    const ComprehensionAttrs &attrs_;
    const std::vector<const Tensor *> &operands_;
    const Graph scalars_;
    size_t count_ = 0;
    std::vector<std::vector<int64_t>> positions_;  ///< per axis, per point
    std::vector<Tensor> values_;
    std::vector<bool> active_;
};

}  // namespace

Graph scalar_graph(const std::vector<BodyValue> &body) {
    Graph graph;
    graph.name = "body";
    for (const BodyValue &value : body) {
        Node node;
        node.type = {value.dtype, {}};
        switch (value.kind) {
        case BodyValue::Kind::read:
        case BodyValue::Kind::index:
            node.op = Op::input;
            node.attrs = InputAttrs{InputKind::argument, fmt::format("v{}", graph.size())};
            break;
        case BodyValue::Kind::constant:
            node.op = Op::constant;
            node.attrs = ConstantAttrs{{value.value}};
            break;
        case BodyValue::Kind::apply:
            node.op = value.op;
            if (value.op == Op::cast) node.attrs = CastAttrs{value.dtype};
            for (int64_t operand : value.operands) node.operands.push_back(NodeId{int32_t(operand)});
            break;
        }
        graph.nodes.push_back(std::move(node));
    }
    return graph;
}

std::vector<AffineIndex> target_of(const ComprehensionAttrs &attrs) {
    if (!attrs.target.empty()) return attrs.target;
    std::vector<AffineIndex> target;
    for (int64_t axis = 0; axis < attrs.kept; ++axis) target.push_back(axis_index(attrs.space.size(), size_t(axis)));
    return target;
}

int64_t points(const ComprehensionAttrs &attrs) { return element_count(attrs.space); }

void remove_unused(ComprehensionAttrs &attrs, std::vector<NodeId> &operands) {
    std::vector<bool> used(attrs.body.size(), false);
    used.back() = true;
    if (attrs.condition >= 0) used[size_t(attrs.condition)] = true;
    for (const AffineIndex &index : attrs.target)
        if (index.gather >= 0) used[size_t(index.gather)] = true;
    for (size_t i = attrs.body.size(); i-- > 0;) {
        if (!used[i]) continue;
        for (int64_t operand : attrs.body[i].operands) used[size_t(operand)] = true;
        for (const AffineIndex &index : attrs.body[i].at)
            if (index.gather >= 0) used[size_t(index.gather)] = true;
    }
    std::vector<int64_t> renamed(attrs.body.size(), -1), renamed_operand(operands.size(), -1);
    std::vector<BodyValue> body;
    std::vector<NodeId> kept_operands;
    auto rename = [&](std::vector<AffineIndex> &list) {
        for (AffineIndex &index : list)
            if (index.gather >= 0) index.gather = renamed[size_t(index.gather)];
    };
    for (size_t i = 0; i < attrs.body.size(); ++i) {
        if (!used[i]) continue;
        BodyValue value = std::move(attrs.body[i]);
        for (int64_t &operand : value.operands) operand = renamed[size_t(operand)];
        rename(value.at);
        if (value.kind == BodyValue::Kind::read) {
            int64_t &operand = renamed_operand[size_t(value.operand)];
            if (operand < 0) {
                // The same tensor twice is one operand.
                const NodeId id = operands[size_t(value.operand)];
                operand = std::find(kept_operands.begin(), kept_operands.end(), id) - kept_operands.begin();
                if (operand == int64_t(kept_operands.size())) kept_operands.push_back(id);
            }
            value.operand = operand;
        }
        renamed[i] = int64_t(body.size());
        body.push_back(std::move(value));
    }
    rename(attrs.target);
    if (attrs.condition >= 0) attrs.condition = renamed[size_t(attrs.condition)];
    attrs.body = std::move(body);
    if (!kept_operands.empty()) operands = std::move(kept_operands);
    else operands.resize(1);  // an op has operands
    std::vector<AffineIndex> guards;
    for (size_t i = 0; i < attrs.guards.size(); ++i) {
        std::vector<AffineIndex> others = guards;
        others.insert(others.end(), attrs.guards.begin() + long(i) + 1, attrs.guards.end());
        if (bounds(attrs.guards[i], attrs.space, others).low < 0) guards.push_back(attrs.guards[i]);
    }
    attrs.guards = std::move(guards);
}

ShapeResult shape_comprehension(const std::vector<Type> &operands, const ComprehensionAttrs &attrs, const Type &) {
    if (attrs.space.size() > kMaxAxes) return shape_error("a space of rank {}, at most {}", attrs.space.size(), kMaxAxes);
    for (int64_t extent : attrs.space)
        if (extent < 1 || extent > kMaxIndex) return shape_error("an axis of extent {}", extent);
    if (element_count(attrs.space) > kHugeIndex) return shape_error("a space of more than 2^62 points");
    if (attrs.kept < 0 || attrs.kept > int64_t(attrs.space.size())) return shape_error("keeps {} of {} axes", attrs.kept, attrs.space.size());
    for (const AffineIndex &guard : attrs.guards) {
        if (guard.gather != -1) return shape_error("a guard with a gathered part");
        if (auto error = check_index(guard, attrs, 0, "a guard")) return *error;
    }
    if (auto error = check_body(operands, attrs)) return *error;
    if (attrs.condition < -1 || attrs.condition >= int64_t(attrs.body.size())) return shape_error("v{} is no condition", attrs.condition);
    if (attrs.condition >= 0 && attrs.body[size_t(attrs.condition)].dtype != DType::boolean) return shape_error("the condition v{} is not bool", attrs.condition);
    Type result{attrs.body.back().dtype, {}};
    const bool reduces = !attrs.target.empty() || attrs.kept < int64_t(attrs.space.size());
    if (result.dtype == DType::boolean && (reduces || attrs.reduce != Reducer::sum)) return shape_error("combines numbers, not bool");
    if (attrs.target.empty()) {
        if (!attrs.shape.empty()) return shape_error("a shape without a target");
        result.shape.assign(attrs.space.begin(), attrs.space.begin() + attrs.kept);
    } else {
        if (attrs.reduce != Reducer::sum || attrs.kept != 0) return shape_error("with a target, terms are summed, and no axis is kept");
        for (int64_t extent : attrs.shape)
            if (extent < 1 || extent > kMaxIndex) return shape_error("a result of extent {}", extent);
        if (auto error = check_access(attrs.target, attrs.shape, attrs, attrs.body.size(), "the target")) return *error;
        result.shape = attrs.shape;
    }
    if (attrs.reduce == Reducer::argmax || attrs.reduce == Reducer::argmin) {
        result.dtype = DType::i32;
        if (element_count(Shape(attrs.space.begin() + attrs.kept, attrs.space.end())) > kMaxIndex) return shape_error("numbers of terms run beyond 2^31");
    }
    return result;
}

Tensor evaluate_comprehension(const Node &node, const std::vector<const Tensor *> &operands) {
    const ComprehensionAttrs &a = attrs<ComprehensionAttrs>(node);
    constexpr int64_t kRun = 4096;
    const bool largest = a.reduce == Reducer::max || a.reduce == Reducer::argmax, arg = a.reduce == Reducer::argmax || a.reduce == Reducer::argmin;
    const std::vector<AffineIndex> target = target_of(a);
    Tensor result = zeros(node.type);
    std::vector<double> &best = result.values;
    std::vector<double> winners;
    if (a.reduce != Reducer::sum) std::fill(best.begin(), best.end(), neutral(a.reduce, a.body.back().dtype));
    if (arg) winners.assign(best.size(), 0);
    std::vector<bool> seen(best.size(), false);
    Points run(a, operands);
    const int64_t all = points(a);
    for (int64_t first = 0; first < all; first += kRun) {
        const int64_t count = std::min(kRun, all - first);
        run.evaluate(first, count);
        const std::vector<int64_t> to = run.offsets(target, node.type.shape);
        for (size_t p = 0; p < size_t(count); ++p) {
            if (!run.active(p)) continue;
            double &element = best[size_t(to[p])];
            const double term = run.term(p);
            if (a.reduce == Reducer::sum) {
                element += term;
            } else if (!seen[size_t(to[p])] || (largest ? term > element : term < element)) {
                element = term;
                seen[size_t(to[p])] = true;
                if (!arg) continue;
                int64_t position = 0;
                for (size_t axis = size_t(a.kept); axis < a.space.size(); ++axis) position = position * a.space[axis] + run.position(axis, p);
                winners[size_t(to[p])] = double(position);
            }
        }
    }
    if (arg) result.values = std::move(winners);
    return result;
}

}  // namespace kiln
