#include "compiler/ops/builder.h"

#include "compiler/ops/rules.h"
#include "compiler/support/check.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

namespace kiln {
namespace {

std::string list_types(const std::vector<Type> &types) {
    std::vector<std::string> names;
    for (const Type &type : types) names.push_back(to_string(type));
    return fmt::format("{}", fmt::join(names, " and "));
}

/// NumPy's rule: extents aligned at the right, each pair equal or one of them 1.
Shape common_shape(Op op, const Shape &a, const Shape &b) {
    Shape result = a.size() >= b.size() ? a : b;
    const Shape &other = a.size() >= b.size() ? b : a;
    const size_t offset = result.size() - other.size();
    for (size_t i = 0; i < other.size(); ++i) {
        int64_t &extent = result[offset + i];
        if (extent == 1) extent = other[i];
        else if (other[i] != 1 && other[i] != extent)
            throw BuildError{fmt::format("`{}`: shapes {} and {} do not broadcast: dimension {} from the right is {} and {}", info(op).name, to_string(a),
                                         to_string(b), other.size() - i, a[a.size() - other.size() + i], b[b.size() - other.size() + i])};
    }
    return result;
}

int64_t from_end(int64_t axis, int rank) { return axis < 0 ? axis + rank : axis; }

/// Position in the order in which scalars of different types promote: bool, integers, floats, each by size.
int promotion(DType dtype) {
    switch (dtype) {
    case DType::boolean: return 0;
    case DType::u8: return 1;
    case DType::i32: return 2;
    case DType::i64: return 3;
    case DType::f32: return 4;
    case DType::f64: return 5;
    }
    KILN_UNREACHABLE("dtype {}", int(dtype));
}

/// Whether a rank-0 node may take an element type without losing what it stands for: a real scalar does not become an
/// integer, unless it is a literal without a fraction.
bool adopts(const Node &scalar, DType to) {
    if (promotion(scalar.type.dtype) <= promotion(to) || is_float(to)) return true;
    if (to == DType::boolean) return false;
    if (is_integer(scalar.type.dtype)) return true;
    return scalar.op == Op::constant && std::floor(attrs<ConstantAttrs>(scalar).values[0]) == attrs<ConstantAttrs>(scalar).values[0];
}

}  // namespace

NodeId Builder::append(Op op, std::vector<NodeId> operands, Attrs attrs, std::optional<Type> declared) {
    std::vector<Type> types;
    for (NodeId operand : operands) {
        KILN_CHECK(operand.index >= 0 && operand.index < graph_.size(), "operand %{} of {}", operand.index, info(op).name);
        types.push_back(type(operand));
    }
    ShapeResult inferred = infer_type(op, types, attrs, declared.value_or(Type{}));
    if (const ShapeError *error = std::get_if<ShapeError>(&inferred)) {
        if (types.empty()) throw BuildError{fmt::format("`{}`: {}", info(op).name, error->message)};
        throw BuildError{fmt::format("`{}` of {}: {}", info(op).name, list_types(types), error->message)};
    }
    Node node;
    node.op = op;
    node.attrs = std::move(attrs);
    node.operands = std::move(operands);
    node.type = std::get<Type>(std::move(inferred));
    node.loc = loc_;
    node.scope = scope_;
    graph_.nodes.push_back(std::move(node));
    return NodeId{int32_t(graph_.size() - 1)};
}

NodeId Builder::input(InputKind kind, std::string name, Type type) {
    return append(Op::input, {}, InputAttrs{kind, std::move(name)}, std::move(type));
}

NodeId Builder::constant(double value, Type type) { return append(Op::constant, {}, ConstantAttrs{{value}}, std::move(type)); }

NodeId Builder::constant(std::vector<double> values, Type type) {
    return append(Op::constant, {}, ConstantAttrs{std::move(values)}, std::move(type));
}

NodeId Builder::iota(int64_t axis, Type type) { return append(Op::iota, {}, AxisAttrs{axis}, std::move(type)); }

NodeId Builder::elementwise(Op op, std::vector<NodeId> operands) {
    KILN_CHECK(has_trait(op, kElementwise), "{} is not elementwise", info(op).name);
    const size_t first_value = op == Op::select ? 1 : 0;  // the condition of a select keeps its type

    // The element type: of the operands that are not scalars, or the widest scalar.
    std::optional<Type> leader;
    for (size_t i = first_value; i < operands.size(); ++i) {
        const Type &operand = type(operands[i]);
        if (operand.rank() == 0) continue;
        if (leader && leader->dtype != operand.dtype)
            throw BuildError{fmt::format("`{}` of {} and {}: element types differ", info(op).name, to_string(*leader), to_string(operand))};
        if (!leader) leader = operand;
    }
    if (!leader) {
        leader = type(operands[first_value]);
        for (size_t i = first_value; i < operands.size(); ++i)
            if (promotion(type(operands[i]).dtype) > promotion(leader->dtype)) leader = type(operands[i]);
    }
    for (size_t i = first_value; i < operands.size(); ++i) {
        if (type(operands[i]).dtype == leader->dtype) continue;
        if (!adopts(graph_[operands[i]], leader->dtype))
            throw BuildError{fmt::format("`{}` of {} and the scalar {}: the scalar does not fit {} elements; cast one of them", info(op).name,
                                         to_string(*leader), to_string(type(operands[i])), name_of(leader->dtype))};
        operands[i] = cast(operands[i], leader->dtype);
    }

    Shape shape;
    for (NodeId operand : operands) shape = common_shape(op, shape, type(operand).shape);
    for (NodeId &operand : operands) operand = broadcast_to(operand, shape);
    return append(op, std::move(operands));
}

NodeId Builder::cast(NodeId x, DType to) {
    if (type(x).dtype == to) return x;
    return append(Op::cast, {x}, CastAttrs{to});
}

NodeId Builder::broadcast_to(NodeId x, const Shape &shape) {
    const Shape &from = type(x).shape;
    if (from == shape) return x;
    if (from.size() > shape.size())
        throw BuildError{fmt::format("`broadcast` of {} to {}: the rank would fall", to_string(type(x)), to_string(shape))};
    Ints dims;
    for (size_t i = 0; i < from.size(); ++i) dims.push_back(int64_t(shape.size() - from.size() + i));
    return append(Op::broadcast, {x}, BroadcastAttrs{shape, std::move(dims)});
}

NodeId Builder::reshape(NodeId x, Shape shape) {
    if (type(x).shape == shape) return x;
    return append(Op::reshape, {x}, ShapeAttrs{std::move(shape)});
}

NodeId Builder::transpose(NodeId x, Ints axes) {
    for (int64_t &axis : axes) axis = from_end(axis, type(x).rank());
    if (axes.size() == type(x).shape.size() && std::is_sorted(axes.begin(), axes.end()) &&
        std::adjacent_find(axes.begin(), axes.end()) == axes.end() && (axes.empty() || (axes.front() == 0 && axes.back() == int64_t(axes.size()) - 1)))
        return x;
    return append(Op::transpose, {x}, AxesAttrs{std::move(axes)});
}

NodeId Builder::reduce(Op op, NodeId x, Ints axes, bool keep) {
    if (axes.empty()) return x;
    const Type operand = type(x);
    for (int64_t &axis : axes) axis = from_end(axis, operand.rank());
    std::sort(axes.begin(), axes.end());
    const NodeId reduced = append(op, {x}, AxesAttrs{axes});
    if (!keep) return reduced;
    Shape shape = operand.shape;
    for (int64_t axis : axes) shape[size_t(axis)] = 1;
    return reshape(reduced, std::move(shape));
}

NodeId Builder::matmul(NodeId a, NodeId b, bool transpose_a, bool transpose_b) {
    const Type type_a = type(a), type_b = type(b);
    const MatmulAttrs attrs{transpose_a, transpose_b};
    if (type_a.rank() < 2 || type_b.rank() < 2 || type_a.rank() == type_b.rank()) {
        const bool same_batch = type_a.rank() < 2 || type_b.rank() < 2 ||
                                std::equal(type_a.shape.begin(), type_a.shape.end() - 2, type_b.shape.begin());
        if (same_batch) return append(Op::matmul, {a, b}, attrs);
    } else if (type_b.rank() == 2 && !transpose_a) {
        // The rows of all matrices of `a` meet the same `b`: one large matrix.
        const int64_t inner = type_a.shape.back();
        const Type matrix{type_a.dtype, Shape(type_a.shape.end() - 2, type_a.shape.end())};
        const ShapeResult fits = infer_type(Op::matmul, {matrix, type_b}, attrs, {});
        if (const ShapeError *error = std::get_if<ShapeError>(&fits))  // with the shapes the caller knows
            throw BuildError{fmt::format("`matmul` of {} and {}: {}", to_string(type_a), to_string(type_b), error->message)};
        const NodeId rows = reshape(a, {type_a.elements() / inner, inner});
        Shape shape = type_a.shape;
        const NodeId product = append(Op::matmul, {rows, b}, attrs);
        shape.back() = type(product).shape.back();
        return reshape(product, std::move(shape));
    }
    const Shape leading = common_shape(Op::matmul, Shape(type_a.shape.begin(), type_a.shape.end() - 2), Shape(type_b.shape.begin(), type_b.shape.end() - 2));
    const auto repeat = [&](NodeId x, const Shape &from) {
        Shape shape = leading;
        shape.insert(shape.end(), from.end() - 2, from.end());
        return broadcast_to(x, shape);
    };
    const NodeId left = repeat(a, type_a.shape), right = repeat(b, type_b.shape);
    return append(Op::matmul, {left, right}, attrs);
}

}  // namespace kiln
