// Operators and elementwise primitives: folded on compile-time numbers, nodes on tensors.
#include "compiler/elaborate/elaborator.h"

#include "compiler/ops/rules.h"
#include "compiler/support/check.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace kiln {

GraphContext *Elaborator::context_of(const std::vector<Value> &operands, SourceRange range) {
    GraphContext *context = nullptr;
    for (const Value &operand : operands) {
        const TensorValue *tensor = operand.get<TensorValue>();
        if (!tensor) continue;
        if (context && tensor->context != context) {
            Diagnostic &diagnostic = report(DiagnosticCode::values_of_two_graphs, range, {});
            if (metric_) diagnostic.notes.push_back("a `mean(..)` of a metric is one number for the whole split, which meets other means and numbers, not samples, parameters or hypers");
            return nullptr;
        }
        context = tensor->context;
    }
    if (!context) context = context_;
    if (!context) report(DiagnosticCode::not_compile_time, range, {"this expression"});
    return context;
}

NodeId Elaborator::materialize(GraphContext &context, const Value &value, DType dtype) {
    if (const TensorValue *tensor = value.get<TensorValue>()) return tensor->node;
    if (const bool *b = value.get<bool>()) return context.builder.constant(*b ? 1 : 0, Type{dtype, {}});
    if (!value.number()) throw BuildError{fmt::format("expected a tensor or a number, got {}", describe(value))};
    double number = value.as_double();
    if (!is_float(dtype) && number != std::floor(number))
        throw BuildError{fmt::format("{} does not fit {} elements: cast the tensor to float", describe(value), name_of(dtype))};
    return context.builder.constant(number, Type{dtype, {}});
}

/// An operator as it is written; other ops are called by name.
static std::string written(Op op) {
    switch (op) {
    case Op::add: return "+";
    case Op::subtract:
    case Op::negate: return "-";
    case Op::multiply: return "*";
    case Op::divide: return "/";
    case Op::modulo: return "%";
    case Op::power: return "^";
    case Op::logical_and: return "and";
    case Op::logical_or: return "or";
    case Op::logical_not: return "not";
    default: return info(op).name;
    }
}

Value Elaborator::elementwise(Op op, std::vector<Value> operands, SourceRange range) {
    if (op_)
        for (Value &operand : operands) operand = in_body(operand, range);
    const bool is_logical = op == Op::logical_and || op == Op::logical_or || op == Op::logical_not;
    bool all_constant = true, any_real = op == Op::power || op == Op::divide;
    std::optional<DType> tensor_type;
    size_t first = op == Op::select ? 1 : 0;
    for (size_t i = 0; i < operands.size(); ++i) {
        const Value &operand = operands[i];
        if (operand.poison()) return {};
        const TensorValue *tensor = operand.get<TensorValue>();
        if (tensor) all_constant = false;
        else if (!operand.number() && !operand.is<bool>()) return fail(DiagnosticCode::wrong_operand, range, {written(op), describe(operand)});
        if (is_logical && operand.number()) return fail(DiagnosticCode::wrong_operand, range, {written(op), describe(operand)});
        if (i < first) continue;
        if (operand.is<double>() || (tensor && is_scalar(operand) && type_of(*tensor).dtype == DType::f64)) any_real = true;
        if (tensor && !is_scalar(operand) && !tensor_type) tensor_type = type_of(*tensor).dtype;
    }
    // Two numbers between which a tensor chooses make a tensor, of the experiment's floats; where a scalar does, one of a rule's.
    const bool chooses_elements = op == Op::select && operands[0].is<TensorValue>() && !is_scalar(operands[0]);
    DType number_type = chooses_elements ? module_.float_type : DType::f64;
    if (tensor_type) number_type = *tensor_type;
    else if (!any_real && op != Op::select && info(op).arity > 1) {
        bool all_boolean = true;
        for (const Value &operand : operands)
            all_boolean &= operand.is<bool>() || (operand.get<TensorValue>() && type_of(*operand.get<TensorValue>()).dtype == DType::boolean);
        number_type = all_boolean ? DType::boolean : DType::i64;
    }
    if (is_logical) number_type = DType::boolean;

    if (all_constant) {
        // The reference evaluation of the op itself, so that compile time and run time agree.
        Graph scratch;
        Builder builder(scratch);
        try {
            std::vector<NodeId> ids;
            std::vector<Tensor> tensors;
            for (size_t i = 0; i < operands.size(); ++i) {
                DType dtype = i < first ? DType::boolean : number_type;
                double number = operands[i].is<bool>() ? double(*operands[i].get<bool>()) : operands[i].as_double();
                ids.push_back(builder.constant(number, Type{dtype, {}}));
                tensors.push_back(Tensor{Type{dtype, {}}, {number}});
            }
            NodeId node = builder.append(op, ids);
            std::vector<const Tensor *> pointers;
            for (const Tensor &tensor : tensors) pointers.push_back(&tensor);
            Tensor result = kiln::evaluate(scratch[node], pointers);
            if (result.type.dtype == DType::boolean) return Value(result.values[0] != 0, range);
            if (is_integer(result.type.dtype)) return Value(int64_t(result.values[0]), range);
            return Value(result.values[0], range);
        } catch (const BuildError &error) {
            return fail(DiagnosticCode::shapes_do_not_fit, range, {error.message});
        }
    }
    return build(operands, range, [&](GraphContext &context) {
        std::vector<NodeId> ids;
        for (size_t i = 0; i < operands.size(); ++i) {
            NodeId id = materialize(context, operands[i], i < first ? DType::boolean : number_type);
            const Type type = context.builder.type(id);
            // Integer scalars (step) meet reals as reals.
            if (i >= first && !tensor_type && type.dtype == DType::i64 && number_type == DType::f64) id = context.builder.cast(id, DType::f64);
            if (i >= first && !tensor_type && chooses_elements) id = context.builder.cast(id, number_type);
            ids.push_back(id);
        }
        return context.builder.elementwise(op, ids);
    });
}

Value Elaborator::unary(ast::UnaryOp op, const Value &operand, SourceRange range) {
    if (operand.poison()) return {};
    if (op == ast::UnaryOp::negate && operand.is<IndexValue>()) return *index_arithmetic(ast::BinaryOp::multiply, operand, Value(int64_t(-1)), range);
    switch (op) {
    case ast::UnaryOp::negate:
        if (auto v = operand.get<int64_t>()) return Value(-*v, range);
        if (auto v = operand.get<double>()) return Value(-*v, range);
        return elementwise(Op::negate, {operand}, range);
    case ast::UnaryOp::logical_not: return elementwise(Op::logical_not, {operand}, range);
    }
    KILN_UNREACHABLE("unary operator");
}

/// Arithmetic of two compile-time numbers; integers stay integers where the result is one.
Value Elaborator::numbers(ast::BinaryOp op, const Value &left, const Value &right, SourceRange range) {
    using B = ast::BinaryOp;
    bool integers = left.is<int64_t>() && right.is<int64_t>();
    double a = left.as_double(), b = right.as_double(), result = 0;
    switch (op) {
    case B::add: result = a + b; break;
    case B::subtract: result = a - b; break;
    case B::multiply: result = a * b; break;
    case B::divide:
        if (b == 0 && integers) return fail(DiagnosticCode::division_by_zero, range);
        result = a / b;
        integers = integers && result == std::floor(result);
        break;
    case B::floor_divide:
        if (b == 0) return fail(DiagnosticCode::division_by_zero, range);
        result = std::floor(a / b);
        break;
    case B::modulo:
        if (b == 0) return fail(DiagnosticCode::division_by_zero, range);
        result = a - b * std::floor(a / b);
        break;
    case B::power:
        result = std::pow(a, b);
        integers = integers && b >= 0;
        break;
    case B::less: return Value(a < b, range);
    case B::less_equal: return Value(a <= b, range);
    case B::greater: return Value(a > b, range);
    case B::greater_equal: return Value(a >= b, range);
    case B::equal: return Value(a == b, range);
    case B::not_equal: return Value(a != b, range);
    case B::matmul:
    case B::logical_and:
    case B::logical_or:
    case B::share: return fail(DiagnosticCode::wrong_operand, range, {source_text(range), describe(left)});
    }
    if (!integers) return Value(result, range);
    // Exact in double up to 2^53; extents and step counts stay far below.
    if (std::abs(result) > 9007199254740992.0) return fail(DiagnosticCode::integer_too_large, range);
    return Value(int64_t(result), range);
}

Value Elaborator::binary(ast::BinaryOp op, const Value &left, const Value &right, SourceRange range) {
    using B = ast::BinaryOp;
    if (left.poison() || right.poison()) return {};
    if (left.number() && right.number()) return numbers(op, left, right, range);
    if (left.is<IndexValue>() || right.is<IndexValue>())
        if (std::optional<Value> index = index_arithmetic(op, left, right, range)) return *index;
    bool tensors = left.is<TensorValue>() || right.is<TensorValue>();
    const bool is_left_out = left.is<None>() || right.is<None>();  // an argument that may be a tensor
    if ((!tensors || is_left_out) && (op == B::equal || op == B::not_equal)) return Value(equal(left, right) == (op == B::equal), range);
    if (op == B::add && left.is<ListValue>() && right.is<ListValue>()) {
        std::vector<Value> items = *left.get<ListValue>()->items;
        if (int64_t(items.size() + right.get<ListValue>()->items->size()) > kMostElements) return fail(DiagnosticCode::list_too_long, range, {std::to_string(kMostElements)});
        for (const Value &item : *right.get<ListValue>()->items) items.push_back(item);
        return make_list(std::move(items), range);
    }
    if (op == B::divide && left.is<PathValue>() && right.is<std::string>()) {
        const std::string &folder = left.get<PathValue>()->text, &file = *right.get<std::string>();
        return Value(PathValue{folder.empty() ? file : folder + "/" + file}, range);
    }
    if (op == B::divide && left.is<PathValue>()) return fail(DiagnosticCode::wrong_type, range, {"what comes behind a path and `/`", "the name of a file", describe(right)});
    auto is_integer_tensor = [](const Value &v) { return v.get<TensorValue>() && !is_scalar(v) && is_integer(type_of(*v.get<TensorValue>()).dtype); };
    const bool of_integers = is_integer_tensor(left) || is_integer_tensor(right);
    switch (op) {
    case B::add: return elementwise(Op::add, {left, right}, range);
    case B::subtract: return elementwise(Op::subtract, {left, right}, range);
    case B::multiply: return elementwise(Op::multiply, {left, right}, range);
    case B::divide:
        if (of_integers) return fail(DiagnosticCode::integer_division, range);
        return elementwise(Op::divide, {left, right}, range);
    case B::floor_divide:
        if (of_integers) return elementwise(Op::divide, {left, right}, range);
        return elementwise(Op::floor, {elementwise(Op::divide, {left, right}, range)}, range);
    case B::modulo: return elementwise(Op::modulo, {left, right}, range);
    case B::power: return elementwise(Op::power, {left, right}, range);
    case B::equal: return elementwise(Op::equal, {left, right}, range);
    case B::not_equal: return elementwise(Op::not_equal, {left, right}, range);
    case B::less: return elementwise(Op::less, {left, right}, range);
    case B::less_equal: return elementwise(Op::less_equal, {left, right}, range);
    case B::greater: return elementwise(Op::less, {right, left}, range);
    case B::greater_equal: return elementwise(Op::less_equal, {right, left}, range);
    case B::logical_and: return elementwise(Op::logical_and, {left, right}, range);
    case B::logical_or: return elementwise(Op::logical_or, {left, right}, range);
    case B::share: break;  // never evaluated
    case B::matmul:
        if (!left.is<TensorValue>() || !right.is<TensorValue>())
            return fail(DiagnosticCode::wrong_operand, range, {"@", describe(left.is<TensorValue>() ? right : left)});
        return build({left, right}, range, [&](GraphContext &context) {
            return context.builder.matmul(left.get<TensorValue>()->node, right.get<TensorValue>()->node);
        });
    }
    KILN_UNREACHABLE("binary operator");
}

void Elaborator::note_origins(GraphContext &context, NodeId result, const std::vector<NodeId> &operands, SourceRange range) {
    const Node &node = context.graph[result];
    std::vector<SourceRange> origins(node.type.shape.size(), user_range(range));
    auto from = [&](NodeId operand, size_t dim) -> SourceRange {
        auto known = context.origins.find(operand.index);
        return known != context.origins.end() && dim < known->second.size() ? known->second[dim] : SourceRange{};
    };
    auto take = [&](size_t dim, NodeId operand, size_t operand_dim) {
        if (context.graph[operand].type.shape[operand_dim] != node.type.shape[dim]) return;
        SourceRange origin = from(operand, operand_dim);
        if (origin.valid()) origins[dim] = origin;
    };
    size_t rank = node.type.shape.size();
    if (const BroadcastAttrs *broadcast = std::get_if<BroadcastAttrs>(&node.attrs)) {
        for (size_t i = 0; i < broadcast->dims.size(); ++i) take(size_t(broadcast->dims[i]), operands[0], i);
    } else if (node.op == Op::transpose) {
        const Ints &axes = attrs<AxesAttrs>(node).axes;
        for (size_t i = 0; i < rank; ++i) take(i, operands[0], size_t(axes[i]));
    } else if (node.op == Op::matmul) {
        for (size_t i = 0; i + 1 < rank; ++i) take(i, operands[0], i);
        take(rank - 1, operands[1], context.graph[operands[1]].type.shape.size() - 1);
    } else if (has_trait(node.op, kReduction)) {
        std::vector<size_t> kept;
        for (size_t i = 0; i < context.graph[operands[0]].type.shape.size(); ++i) {
            bool removed = std::holds_alternative<AxesAttrs>(node.attrs)
                               ? std::count(attrs<AxesAttrs>(node).axes.begin(), attrs<AxesAttrs>(node).axes.end(), int64_t(i)) > 0
                               : attrs<AxisAttrs>(node).axis == int64_t(i);
            if (!removed) kept.push_back(i);
        }
        for (size_t i = 0; i < rank && i < kept.size(); ++i) take(i, operands[0], kept[i]);
    } else if (node.op == Op::conv2d) {
        take(0, operands[0], 0);
        take(3, operands[1], 3);
    } else {
        for (NodeId operand : operands)
            if (context.graph[operand].type.shape.size() == rank)
                for (size_t i = rank; i-- > 0;)
                    if (origins[i].begin == user_range(range).begin) take(i, operand, i);
        if (node.op == Op::reshape && rank > 0 && context.graph[operands[0]].type.rank() > 0) take(0, operands[0], 0);
    }
    context.origins[result.index] = std::move(origins);
}

void Elaborator::label_shapes(Diagnostic &diagnostic, const std::vector<Value> &operands) {
    for (const Value &operand : operands) {
        const TensorValue *tensor = operand.get<TensorValue>();
        if (!tensor || type_of(*tensor).rank() == 0) continue;
        auto known = tensor->context->origins.find(tensor->node.index);
        if (known == tensor->context->origins.end()) continue;
        const Shape &shape = type_of(*tensor).shape;
        diagnostic.notes.push_back(fmt::format("{} has shape {}", source_text(operand.origin).empty() ? "an operand" : "`" + source_text(operand.origin) + "`", to_string(shape)));
        for (size_t i = 0; i < shape.size() && i < known->second.size(); ++i)
            if (known->second[i].valid() && (i > 0 || shape.size() == 1))
                diagnostic.labels.push_back({known->second[i], fmt::format("{} comes from here", shape[i])});
    }
}

}  // namespace kiln
