#include "compiler/elaborate/elaborator.h"

#include "compiler/support/check.h"

#include <fmt/format.h>

namespace kiln {

namespace {
template <typename... F> struct Overloaded : F... { using F::operator()...; };
template <typename... F> Overloaded(F...) -> Overloaded<F...>;
constexpr double kDegree = 0.017453292519943295;
}  // namespace

Value Elaborator::evaluate(const ast::Expr &expr) {
    struct Depth {
        int &count;
        ~Depth() { --count; }
    } depth{evaluations_};
    if (++evaluations_ > kMaxEvaluations) return fail(DiagnosticCode::nested_too_deeply, expr.range);
    SourceRange range = expr.range;
    Value value = std::visit(
        Overloaded{
            [&](const ast::IntLiteral &e) { return Value(e.value, range); },
            [&](const ast::FloatLiteral &e) { return Value(e.unit == "deg" ? e.value * kDegree : e.value, range); },
            [&](const ast::StringLiteral &e) { return Value(e.value, range); },
            [&](const ast::BoolLiteral &e) { return Value(e.value, range); },
            [&](const ast::NameRef &e) { return lookup(e.name, range); },
            [&](const ast::ListExpr &e) {
                std::vector<Value> items;
                for (const ast::ExprPtr &element : e.elements) {
                    items.push_back(evaluate(*element));
                    if (items.back().poison()) return Value();
                }
                return make_list(std::move(items), range);
            },
            [&](const ast::TupleExpr &e) {
                std::vector<Value> items;
                for (const ast::ExprPtr &element : e.elements) items.push_back(evaluate(*element));
                return Value(TupleValue{std::make_shared<const std::vector<Value>>(std::move(items))}, range);
            },
            [&](const ast::CallExpr &e) { return evaluate_call(e, range, {}); },
            [&](const ast::FieldExpr &e) {
                Value object = evaluate(*e.object);
                if (object.poison()) return Value();
                Diagnostic &diagnostic = report(DiagnosticCode::no_field, e.field.range, {describe(object), e.field.text});
                const std::string callee = e.field.text, argument = source_text(e.object->range);
                if (object.is<TensorValue>() && prelude_->names.count(callee)) diagnostic.notes.push_back(fmt::format("did you mean `{}({})`?", callee, argument));
                return Value();
            },
            [&](const ast::IndexExpr &e) { return evaluate_index(e, range); },
            [&](const ast::UnaryExpr &e) { return unary(e.op, evaluate(*e.operand), range); },
            [&](const ast::BinaryExpr &e) {
                if (e.op == ast::BinaryOp::share) return fail(DiagnosticCode::share_outside_mix, range);
                Value left = evaluate(*e.left);
                // `and` and `or` of compile-time conditions stop at the first that decides.
                if (const bool *known = left.get<bool>()) {
                    if (e.op == ast::BinaryOp::logical_and) return *known ? evaluate(*e.right) : left;
                    if (e.op == ast::BinaryOp::logical_or) return *known ? left : evaluate(*e.right);
                }
                Value right = evaluate(*e.right);
                return binary(e.op, left, right, range);
            },
            [&](const ast::PipeExpr &e) { return evaluate_pipe(e, range); },
            [&](const ast::ThenExpr &e) {
                Value first = evaluate(*e.first), second = evaluate(*e.second);
                if (first.poison() || second.poison()) return Value();
                if (!first.is<ScheduleValue>() || !second.is<ScheduleValue>())
                    return fail(DiagnosticCode::not_a_schedule, range, {describe(first.is<ScheduleValue>() ? second : first)});
                return Value(ScheduleValue{ScheduleValue::Kind::then, {}, std::make_shared<const ScheduleValue>(*first.get<ScheduleValue>()),
                                           std::make_shared<const ScheduleValue>(*second.get<ScheduleValue>()), range},
                             range);
            },
            [&](const ast::IfExpr &e) { return evaluate_if(e, range); },
            [&](const ast::RangeExpr &) -> Value { KILN_UNREACHABLE("the parser admits a range only after `in`"); },
            [&](const ast::Lambda &e) {
                FunctionValue function;
                function.lambda = &e;
                function.scope = scope_;
                function.place = range;
                return Value(std::move(function), range);
            },
            [&](const ast::ReduceExpr &e) { return op_ ? evaluate_reduction(e, range) : fail(DiagnosticCode::index_notation_outside_op, range); },
        },
        expr.node);
    // A number keeps the place where it was written; a tensor is where it is used.
    if (!value.origin.valid() || value.is<TensorValue>()) value.origin = range;
    return value;
}

std::optional<int64_t> Elaborator::evaluate_int(const ast::Expr &expr, const char *what) {
    Value value = evaluate(expr);
    if (value.poison()) return {};
    if (const int64_t *number = value.get<int64_t>()) return *number;
    report(DiagnosticCode::wrong_type, expr.range, {what, "an integer known at compile time", describe(value)});
    return {};
}

Value Elaborator::fail_not_callable(const Value &callee, SourceRange range) {
    Diagnostic &diagnostic = report(DiagnosticCode::not_callable, range, {describe(callee)});
    if (const std::string *text = callee.get<std::string>(); text && find(*text)) diagnostic.notes.push_back(fmt::format("without quotes, `{}` is a function", *text));
    return {};
}

Value Elaborator::evaluate_call(const ast::CallExpr &call_expr, SourceRange range, std::optional<CallArgument> piped) {
    Value callee = evaluate(*call_expr.callee);
    std::vector<CallArgument> arguments;
    bool is_piped = piped.has_value();
    bool poison = callee.poison() || (piped && piped->value.poison());
    if (piped) arguments.push_back(std::move(*piped));
    const FunctionValue *function = callee.get<FunctionValue>();
    for (const ast::Argument &argument : call_expr.arguments) {
        if (function)
            for (const ast::Param &param : function->params())
                if (param.name.text == argument.name.text && param.default_value && std::holds_alternative<ast::StringLiteral>(param.default_value->node))
                    text_argument_ = argument.value->range;
        Value value = in_body(evaluate(*argument.value), argument.value->range);
        poison |= value.poison();
        arguments.push_back({argument.name, std::move(value), argument.value->range});
    }
    if (poison && !function) return {};
    if (!function) return fail_not_callable(callee, call_expr.callee->range);
    if (poison) {
        // The call itself is still checked for names and count.
        match_arguments(*function, arguments, range, 0);
        return {};
    }
    return call_from_op(*function, std::move(arguments), range, is_piped);
}

Value Elaborator::evaluate_pipe(const ast::PipeExpr &pipe, SourceRange range) {
    Value value = in_body(evaluate(*pipe.value), pipe.value->range);
    CallArgument piped{{}, value, pipe.value->range};
    if (const ast::CallExpr *call_expr = std::get_if<ast::CallExpr>(&pipe.call->node)) {
        if (value.is<ScheduleValue>()) {
            Value second = evaluate(*pipe.call);
            if (second.poison()) return {};
            if (!second.is<ScheduleValue>()) return fail(DiagnosticCode::not_a_schedule, pipe.call->range, {describe(second)});
            return Value(ScheduleValue{ScheduleValue::Kind::pipe, {}, std::make_shared<const ScheduleValue>(*value.get<ScheduleValue>()),
                                       std::make_shared<const ScheduleValue>(*second.get<ScheduleValue>()), range},
                         range);
        }
        return evaluate_call(*call_expr, pipe.call->range, std::move(piped));
    }
    Value callee = evaluate(*pipe.call);
    if (callee.poison() || value.poison()) return {};
    const FunctionValue *function = callee.get<FunctionValue>();
    if (!function) return fail_not_callable(callee, pipe.call->range);
    return call_from_op(*function, {std::move(piped)}, pipe.call->range, true);
}

Value Elaborator::evaluate_if(const ast::IfExpr &expr, SourceRange range) {
    Value condition = evaluate(*expr.condition);
    if (condition.poison()) return {};
    if (const bool *known = condition.get<bool>()) return evaluate(*known ? *expr.then_value : *expr.else_value);
    if (!condition.is<TensorValue>() || type_of(*condition.get<TensorValue>()).dtype != DType::boolean)
        return fail(DiagnosticCode::wrong_type, expr.condition->range, {"the condition of `if`", "true or false", describe(condition)});
    return elementwise(Op::select, {condition, evaluate(*expr.then_value), evaluate(*expr.else_value)}, range);
}

Value Elaborator::evaluate_index(const ast::IndexExpr &index, SourceRange range) {
    Value object = evaluate(*index.object);
    if (object.poison()) return {};
    if (const TensorValue *tensor = object.get<TensorValue>()) return op_ ? read_indexed(*tensor, index, range) : slice_tensor(*tensor, index, range);
    const std::vector<Value> *items = nullptr;
    if (const ListValue *list = object.get<ListValue>()) items = list->items.get();
    if (!items || index.subscripts.size() != 1) return fail(DiagnosticCode::not_indexable, range, {describe(object)});
    const ast::Subscript &subscript = index.subscripts[0];
    int64_t size = int64_t(items->size());
    auto position = [&](const ast::ExprPtr &expr, int64_t absent) -> std::optional<int64_t> {
        if (!expr) return absent;
        std::optional<int64_t> at = evaluate_int(*expr, "an index");
        if (at && *at < 0) *at += size;
        return at;
    };
    if (subscript.kind == ast::Subscript::Kind::index) {
        std::optional<int64_t> at = position(subscript.index, 0);
        if (!at) return {};
        if (*at < 0 || *at >= size) return fail(DiagnosticCode::index_out_of_range, subscript.range, {std::to_string(*at), std::to_string(size)});
        return (*items)[size_t(*at)];
    }
    if (subscript.kind == ast::Subscript::Kind::ellipsis) return object;
    std::optional<int64_t> begin = position(subscript.begin, 0), end = position(subscript.end, size);
    if (!begin || !end) return {};
    if (*begin < 0 || *end > size || *begin > *end)
        return fail(DiagnosticCode::index_out_of_range, subscript.range, {fmt::format("{}..{}", *begin, *end), std::to_string(size)});
    return make_list(std::vector<Value>(items->begin() + *begin, items->begin() + *end), range);
}

Value Elaborator::slice_tensor(const TensorValue &tensor, const ast::IndexExpr &index, SourceRange range) {
    const Shape shape = type_of(tensor).shape;
    size_t rank = shape.size(), given = 0;
    for (const ast::Subscript &subscript : index.subscripts) {
        if (subscript.kind != ast::Subscript::Kind::ellipsis) ++given;
    }
    if (index.subscripts.size() > given + 1) return fail(DiagnosticCode::two_ellipses, range, {"subscript"});
    if (given > rank) return fail(DiagnosticCode::too_many_indices, range, {std::to_string(given), to_string(type_of(tensor))});
    SliceAttrs slice;
    Shape result;
    auto whole = [&](size_t dim) {
        slice.begin.push_back(0);
        slice.end.push_back(shape[dim]);
        slice.step.push_back(1);
        result.push_back(shape[dim]);
    };
    size_t dim = 0;
    for (const ast::Subscript &subscript : index.subscripts) {
        if (subscript.kind == ast::Subscript::Kind::ellipsis) {
            for (size_t i = given; i < rank; ++i) whole(dim++);
            continue;
        }
        bool single = subscript.kind == ast::Subscript::Kind::index;
        auto bound = [&](const ast::ExprPtr &expr, int64_t absent) -> std::optional<int64_t> {
            if (!expr) return absent;
            std::optional<int64_t> at = evaluate_int(*expr, "an index");
            if (at && *at < 0) *at += shape[dim];
            return at;
        };
        std::optional<int64_t> begin = bound(single ? subscript.index : subscript.begin, 0);
        std::optional<int64_t> end = single ? (begin ? std::optional(*begin + 1) : std::nullopt) : bound(subscript.end, shape[dim]);
        if (!begin || !end) return {};
        if (*begin >= *end && *begin <= shape[dim] && *end >= 0)
            return fail(DiagnosticCode::empty_range, subscript.range, {fmt::format("{}..{}", *begin, *end)});
        if (*begin < 0 || *begin >= *end || *end > shape[dim])
            return fail(DiagnosticCode::index_out_of_range, subscript.range,
                        {single ? std::to_string(*begin) : fmt::format("{}..{}", *begin, *end), std::to_string(shape[dim])});
        slice.begin.push_back(*begin);
        slice.end.push_back(*end);
        slice.step.push_back(1);
        if (!single) result.push_back(*end - *begin);
        ++dim;
    }
    while (dim < rank) whole(dim++);
    return build({Value(tensor)}, range, [&](GraphContext &context) {
        return context.builder.reshape(context.builder.append(Op::slice, {tensor.node}, slice), result);
    });
}

}  // namespace kiln
