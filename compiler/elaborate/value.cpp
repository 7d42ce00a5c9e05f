#include "compiler/elaborate/value.h"

#include "compiler/support/check.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace kiln {

const std::vector<ast::Param> &FunctionValue::params() const {
    return lambda ? lambda->params : std::get<ast::DefinitionDecl>(declaration->node).params;
}

std::string FunctionValue::name() const { return declaration ? declaration->name.text : "fn"; }

std::optional<ast::DefinitionDecl::Kind> FunctionValue::kind() const {
    if (!declaration) return {};
    return std::get<ast::DefinitionDecl>(declaration->node).kind;
}

Value make_list(std::vector<Value> items, SourceRange origin) {
    return Value(ListValue{std::make_shared<const std::vector<Value>>(std::move(items))}, origin);
}

const Type &type_of(const TensorValue &tensor) { return tensor.context->graph[tensor.node].type; }

bool is_scalar(const Value &value) {
    const TensorValue *tensor = value.get<TensorValue>();
    if (!tensor) return false;
    const Type &type = type_of(*tensor);
    return type.rank() == 0 && (type.dtype == DType::f64 || type.dtype == DType::i64 || type.dtype == DType::boolean);
}

bool equal(const Value &a, const Value &b) {
    if (a.number() && b.number()) return a.as_double() == b.as_double();
    if (a.v.index() != b.v.index()) return false;
    if (a.is<None>()) return true;
    if (auto x = a.get<bool>()) return *x == *b.get<bool>();
    if (auto x = a.get<std::string>()) return *x == *b.get<std::string>();
    if (auto x = a.get<DType>()) return *x == *b.get<DType>();
    if (auto x = a.get<ListValue>()) {
        const auto &left = *x->items, &right = *b.get<ListValue>()->items;
        if (left.size() != right.size()) return false;
        for (size_t i = 0; i < left.size(); ++i)
            if (!equal(left[i], right[i])) return false;
        return true;
    }
    return false;
}

namespace {

const char *kind_name(const FunctionValue &function) {
    if (!function.declaration) return "function";
    using Kind = ast::DefinitionDecl::Kind;
    switch (*function.kind()) {
    case Kind::function: return "function";
    case Kind::layer: return "layer";
    case Kind::op: return "op";
    case Kind::optimizer: return "optimizer";
    case Kind::schedule: return "schedule";
    case Kind::augment: return "augmentation";
    case Kind::model: return "model";
    case Kind::data: return "data set";
    case Kind::reader: return "reader";
    case Kind::primitive: return "primitive";
    }
    KILN_UNREACHABLE("kind");
}

/// With a point, or an exponent: no integer.
std::string real_text(double value) {
    std::string text = fmt::format("{}", value);
    return text.find_first_not_of("-0123456789") == std::string::npos ? text + ".0" : text;
}

/// Short lists of numbers as they are.
std::string list_text(const ListValue &list) {
    std::vector<std::string> items;
    for (const Value &item : *list.items) {
        if (const double *real = item.get<double>()) items.push_back(real_text(*real));
        else if (item.is<int64_t>()) items.push_back(show(item));
    }
    if (items.size() < list.items->size() || items.size() > 8) return fmt::format("a list of {}", list.items->size());
    return fmt::format("the list [{}]", fmt::join(items, ", "));
}

struct Describer {
    std::string operator()(const Poison &) const { return "a wrong value"; }
    std::string operator()(const None &) const { return "none"; }
    std::string operator()(int64_t v) const { return fmt::format("the integer {}", v); }
    std::string operator()(double v) const { return fmt::format("the number {}", real_text(v)); }
    std::string operator()(bool v) const { return v ? "true" : "false"; }
    std::string operator()(const std::string &v) const { return fmt::format("the string \"{}\"", v); }
    std::string operator()(DType v) const { return fmt::format("the element type {}", name_of(v)); }
    std::string operator()(const PathValue &v) const { return fmt::format("the path \"{}\"", v.text); }
    std::string operator()(const ListValue &v) const { return list_text(v); }
    std::string operator()(const TupleValue &v) const { return fmt::format("{} values", v.items->size()); }
    std::string operator()(const TensorValue &v) const {
        const Type &type = type_of(v);
        if (type.rank() == 0 && type.dtype == DType::f64) return "a run-time number";
        return "a tensor " + to_string(type);
    }
    std::string operator()(const FunctionValue &v) const {
        if (!v.declaration) return "a function";
        const std::string name = fmt::format("the {} `{}`", kind_name(v), v.name());
        if (!v.bound) return name;
        for (const ast::Param &param : v.params())
            if (!param.default_value && !v.bound->count(param.name.text)) return fmt::format("{}, which waits for its `{}`", name, param.name.text);
        return name;
    }
    std::string operator()(const ScheduleValue &) const { return "a schedule"; }
    std::string operator()(const IndexValue &) const { return "an index"; }
    std::string operator()(const ReaderCall &v) const { return fmt::format("the reader `{}`", v.reader); }
};

}  // namespace

std::string describe(const Value &value) { return std::visit(Describer{}, value.v); }

std::string show(const Value &value) {
    if (auto v = value.get<int64_t>()) return std::to_string(*v);
    if (auto v = value.get<double>()) return real_text(*v);
    if (auto v = value.get<std::string>()) return fmt::format("\"{}\"", *v);
    if (auto v = value.get<ListValue>()) {
        std::vector<std::string> items;
        for (const Value &item : *v->items) items.push_back(show(item));
        return fmt::format("[{}]", fmt::join(items, ", "));
    }
    return describe(value);
}

}  // namespace kiln
