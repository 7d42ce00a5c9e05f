// Calls of the primitives of core.model: parameters named like an attribute of the op become attributes, the others operands.
#include "compiler/elaborate/elaborator.h"

#include "compiler/support/check.h"

#include <fmt/format.h>

#include <algorithm>

namespace kiln {

namespace {

std::optional<Op> find_op(const std::string &name) {
    if (name == "constant_tensor") return Op::constant;  // `constant` is the initializer
    for (int i = 0; i < kOpCount; ++i)
        if (name == info(Op(i)).name) return Op(i);
    return {};
}

struct AttributeError { std::string expected; };

void assign(int64_t &field, const Value &value) {
    if (!value.is<int64_t>()) throw AttributeError{"an integer known at compile time"};
    field = *value.get<int64_t>();
}
void assign(bool &field, const Value &value) {
    if (!value.is<bool>()) throw AttributeError{"true or false"};
    field = *value.get<bool>();
}
void assign(DType &field, const Value &value) {
    if (!value.is<DType>()) throw AttributeError{"an element type"};
    field = *value.get<DType>();
}
void assign(Ints &field, const Value &value) {
    const ListValue *list = value.get<ListValue>();
    if (!list) throw AttributeError{"a list of integers"};
    field.clear();
    for (const Value &item : *list->items) {
        if (!item.is<int64_t>()) throw AttributeError{"a list of integers"};
        field.push_back(*item.get<int64_t>());
    }
}
void assign(std::vector<double> &field, const Value &value) {
    const ListValue *list = value.get<ListValue>();
    if (!list) throw AttributeError{"a list of numbers"};
    field.clear();
    for (const Value &item : *list->items) {
        if (!item.number()) throw AttributeError{"a list of numbers"};
        field.push_back(item.as_double());
    }
}
void assign(double &field, const Value &value) {
    if (!value.number()) throw AttributeError{"a number known at compile time"};
    field = value.as_double();
}
void assign(Fill &field, const Value &value) {
    const std::string *name = value.get<std::string>();
    if (name && *name == "nearest") field = Fill::nearest;
    else if (name && *name == "constant") field = Fill::constant;
    else if (name && *name == "reflect") field = Fill::reflect;
    else throw AttributeError{"\"nearest\", \"constant\" or \"reflect\""};
}
void assign(std::string &, const Value &) { throw AttributeError{"no value"}; }
void assign(InputKind &, const Value &) { throw AttributeError{"no value"}; }
void assign(Reducer &, const Value &) { throw AttributeError{"no value"}; }
void assign(std::vector<AffineIndex> &, const Value &) { throw AttributeError{"no value"}; }
void assign(std::vector<BodyValue> &, const Value &) { throw AttributeError{"no value"}; }

/// Sets the attribute of that name; false if the op has none.
bool set_attribute(Attrs &attributes, const std::string &name, const Value &value) {
    bool found = false;
    std::visit(
        [&](auto &fields) {
            fields.visit([&](std::string_view field, auto &member) {
                if (field != name) return;
                assign(member, value);
                found = true;
            });
        },
        attributes);
    return found;
}

void normalize_axes(Attrs &attributes, Op op, int64_t rank) {
    if (AxisAttrs *single = std::get_if<AxisAttrs>(&attributes))
        if (single->axis < 0 && single->axis >= -rank) single->axis += rank;
    if (AxesAttrs *several = std::get_if<AxesAttrs>(&attributes)) {
        for (int64_t &axis : several->axes)
            if (axis < 0 && axis >= -rank) axis += rank;
        if (op != Op::transpose) std::sort(several->axes.begin(), several->axes.end());
    }
}

}  // namespace

Value Elaborator::call_primitive(const ast::Decl &decl, std::vector<std::optional<Value>> values, SourceRange range) {
    const auto &definition = std::get<ast::DefinitionDecl>(decl.node);
    FunctionValue function;
    function.declaration = &decl;
    function.scope = prelude_;
    auto scope = std::make_shared<Scope>();
    scope->parent = prelude_;
    bool ok = in_scope(scope, [&] {
        if (!complete(function, values, range)) return false;
        return true;
    });
    if (!ok) return {};
    for (const std::optional<Value> &value : values)
        if (value && value->poison()) return {};
    if (std::optional<Value> result = call_intrinsic(decl.name.text, values, range)) return *result;
    std::optional<Op> op = find_op(decl.name.text);
    if (!op) return fail(DiagnosticCode::unknown_primitive, decl.name.range, {decl.name.text});
    return emit_primitive(*op, definition.params, values, range);
}

Value Elaborator::emit_primitive(Op op, const std::vector<ast::Param> &params, const std::vector<std::optional<Value>> &values, SourceRange range) {
    Attrs attributes = info(op).default_attrs;
    std::vector<Value> operands;
    std::vector<const ast::Param *> operand_params;
    Type declared{module_.float_type, {}};
    std::vector<SourceRange> origins;
    for (size_t i = 0; i < params.size(); ++i) {
        const std::string &name = params[i].name.text;
        try {
            bool attribute = set_attribute(attributes, name, *values[i]);
            if (name == "shape") {
                assign(declared.shape, *values[i]);
                for (const Value &item : *values[i]->get<ListValue>()->items) origins.push_back(item.origin);
                for (int64_t extent : declared.shape)
                    if (extent < 1) return fail(DiagnosticCode::wrong_extent, range, {std::to_string(extent)});
            }
            if (name == "to") assign(declared.dtype, *values[i]);
            if (attribute || name == "shape" || name == "to") continue;
        } catch (const AttributeError &error) {
            return fail(DiagnosticCode::wrong_type, values[i]->origin, {fmt::format("`{}`", name), error.expected, describe(*values[i])});
        }
        if (const ListValue *list = values[i]->get<ListValue>()) {
            for (const Value &item : *list->items) {
                operands.push_back(item);
                operand_params.push_back(&params[i]);
            }
        } else {
            operands.push_back(*values[i]);
            operand_params.push_back(&params[i]);
        }
    }
    if (has_trait(op, kElementwise) && op != Op::cast) return elementwise(op, operands, range);
    bool numbers_only = !operands.empty();
    for (const Value &operand : operands) numbers_only &= operand.number();
    if (op == Op::cast && numbers_only) return is_float(std::get<CastAttrs>(attributes).to) ? Value(operands[0].as_double(), range) : operands[0];
    // A reduction over no axes is its operand, a number of any rank 0 included.
    if (has_trait(op, kReduction) && std::holds_alternative<AxesAttrs>(attributes) && std::get<AxesAttrs>(attributes).axes.empty() && operands.size() == 1)
        return operands[0];

    Value result = build(operands, range, [&](GraphContext &context) {
        std::vector<NodeId> ids;
        for (size_t i = 0; i < operands.size(); ++i) {
            DType dtype = module_.float_type;
            const ast::TypeExpr *type = operand_params[i]->type.get();
            if (type && type->has_dims && type->name.text != "tensor") dtype = element_type(type->name).value_or(dtype);
            NodeId id = materialize(context, operands[i], dtype);
            if (type && type->has_dims && type->dims.empty()) id = context.builder.cast(id, dtype);
            ids.push_back(id);
        }
        int64_t rank = ids.empty() ? int64_t(declared.shape.size()) : context.builder.type(ids[0]).rank();
        normalize_axes(attributes, op, rank);
        if (op == Op::reshape) return context.builder.reshape(ids[0], std::get<ShapeAttrs>(attributes).shape);
        if (op == Op::cast) return context.builder.cast(ids[0], std::get<CastAttrs>(attributes).to);
        return context.builder.append(op, ids, attributes, declared);
    });
    if (const TensorValue *tensor = result.get<TensorValue>()) {
        std::vector<SourceRange> &known = tensor->context->origins[tensor->node.index];
        for (size_t i = 0; i < origins.size() && i < known.size(); ++i)
            if (origins[i].valid() && !in_stdlib(origins[i])) known[i] = origins[i];
    }
    return result;
}

}  // namespace kiln
