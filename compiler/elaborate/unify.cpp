// Types of parameters against values: element types, and dimensions by unification. A dimension is a literal, a name that the
// first tensor binds, an expression of bound names, or `..` for any number of dimensions.
#include "compiler/elaborate/elaborator.h"

#include <fmt/format.h>

#include <algorithm>

namespace kiln {

namespace {
const std::vector<std::string> kTypeNames = {"float", "f32", "f64", "i32", "i64", "u8", "bool", "int", "string", "list", "path", "fn", "layer", "class", "tensor", "dtype", "records", "column", "vocabulary"};
}  // namespace

/// Whether a number is one of this type; reals are rounded.
static bool holds(DType dtype, const Value &number) {
    if (is_float(dtype)) return true;
    const int64_t *integer = number.get<int64_t>();
    if (!integer || dtype == DType::boolean) return false;
    return dtype == DType::i64 || (dtype == DType::i32 ? *integer == int32_t(*integer) : *integer == uint8_t(*integer));
}

/// A name that is no element type.
void Elaborator::report_type(const ast::Name &name) {
    if (std::find(kTypeNames.begin(), kTypeNames.end(), name.text) != kTypeNames.end()) report(DiagnosticCode::without_dimensions, name.range, {name.text});
    else suggest(report(DiagnosticCode::unknown_type, name.range, {name.text}), name.text, kTypeNames);
}

std::optional<DType> Elaborator::element_type(const ast::Name &name) {
    if (name.text == "float") return module_.float_type;
    if (name.text == "class") return DType::i32;
    return dtype_from_name(name.text);
}

std::optional<Value> Elaborator::check_type(const ast::TypeExpr &type, Value value, const std::string &what, SourceRange place) {
    if (value.poison()) return {};
    auto wrong = [&](const std::string &expected) -> std::optional<Value> {
        Diagnostic &diagnostic = report(DiagnosticCode::wrong_type, place, {what, expected, describe(value)});
        diagnostic.labels.push_back({type.range, "its type is declared here"});
        if (is_scalar(value) && !type.has_dims) diagnostic.notes.push_back("a `hyper` is known only when the program runs; declare it `const` to fix it when it is compiled");
        return {};
    };
    const std::string &name = type.name.text;
    const bool of_a_sample = per_sample_ && value.is<TensorValue>() && !is_scalar(value);  // as inputs of a model are written
    if (!type.has_dims && !of_a_sample) {
        if (name == "int") return value.is<int64_t>() ? std::optional(value) : wrong("an integer known at compile time");
        if (name == "float") return value.number() || is_scalar(value) ? std::optional(value) : wrong("a number");
        if (name == "bool") return value.is<bool>() ? std::optional(value) : wrong("true or false, known at compile time");
        if (name == "column") return value.is<std::string>() ? std::optional(value) : wrong("the name of a column, a string");
        if (name == "string") return value.is<std::string>() ? std::optional(value) : wrong("a string");
        if (name == "list") return value.is<ListValue>() ? std::optional(value) : wrong("a list");
        if (name == "dtype") return value.is<DType>() ? std::optional(value) : wrong("an element type");
        if (name == "fn" || name == "layer") return value.is<FunctionValue>() ? std::optional(value) : wrong("a function or a layer");
        if (name == "records" || name == "vocabulary") {
            const ReaderCall *call = value.get<ReaderCall>();
            const bool fits = call && (call->result == "vocabulary") == (name == "vocabulary");
            return fits ? std::optional(value) : wrong(name == "records" ? "a call of a reader" : "a vocabulary");
        }
        if (name == "path") {
            if (const std::string *text = value.get<std::string>()) return Value(PathValue{*text}, value.origin);
            return value.is<PathValue>() ? std::optional(value) : wrong("a path");
        }
    }
    bool any = name == "tensor";
    std::optional<DType> dtype = element_type(type.name);
    if (!any && !dtype) {
        report_type(type.name);
        return {};
    }
    const TensorValue *tensor = value.get<TensorValue>();
    if (!tensor) {
        bool rank_0 = type.dims.empty() || (type.dims.size() == 1 && type.dims[0].ellipsis);
        bool fits = rank_0 && name != "class" && (value.is<bool>() ? any || dtype == DType::boolean : value.number() && (any || holds(*dtype, value)));
        return fits ? std::optional(value) : wrong((rank_0 && value.number() ? "a number of type " : "a tensor ") + source_text(type.range));
    }
    DType actual = type_of(*tensor).dtype;
    bool converts = is_scalar(value) && (is_float(actual) || is_integer(actual)) && dtype && *dtype != DType::boolean;
    const bool soft_label = name == "class" && is_float(actual) && tensor->context->classes.count(tensor->node.index);
    if (!any && actual != *dtype && !converts && !soft_label) return wrong("a tensor " + source_text(type.range));
    if (name == "class") {
        if (type.has_elements && !unify_dims(type, type.elements, *tensor, what, place)) return {};
        if (type.dims.size() != 1 || type.dims[0].ellipsis) return value;
        const std::optional<int64_t> classes = tensor->context->classes_of(tensor->node);
        std::optional<Value> expected = dimension(*type.dims[0].value);
        if (!expected) {
            const ast::NameRef *ref = std::get_if<ast::NameRef>(&type.dims[0].value->node);
            if (!ref) return {};
            if (classes) scope_->names[ref->name] = Binding{Value(*classes, value.origin), {}, false, false, type.dims[0].range};
            else scope_->unsized[ref->name] = {what, describe(value), place};
            return value;
        }
        const bool is_label = tensor->context->classes.count(tensor->node.index);  // else what was computed, of which fewer fit, too
        const int64_t *wanted = expected->get<int64_t>();
        if (classes && wanted && (is_label ? *wanted != *classes : *wanted < *classes)) {
            Diagnostic &diagnostic = report(DiagnosticCode::classes_differ, place, {what, show(*expected), std::to_string(*classes)});
            if (expected->origin.valid()) diagnostic.labels.push_back({expected->origin, fmt::format("{} comes from here", show(*expected))});
            return {};
        }
        return value;
    }
    if (!unify_dims(type, type.dims, *tensor, what, place)) return {};
    return value;
}

/// The value of a dimension expression; nothing (and no report) if it is a name that is still to be bound.
std::optional<Value> Elaborator::dimension(const ast::Expr &expr) {
    if (const ast::NameRef *ref = std::get_if<ast::NameRef>(&expr.node)) {
        auto own = scope_->names.find(ref->name);
        if (own != scope_->names.end()) {
            used_.insert({own->second.declared.file, own->second.declared.begin});
            return own->second.value;
        }
        for (Scope *scope = scope_->parent.get(); scope; scope = scope->parent.get()) {
            auto entry = scope->names.find(ref->name);
            bool sized = entry != scope->names.end() && (entry->second.constant || entry->second.value.is<int64_t>());
            if (!sized) continue;
            used_.insert({entry->second.declared.file, entry->second.declared.begin});
            return entry->second.value;
        }
        return {};
    }
    Value value = evaluate(expr);
    if (value.poison()) return Value();
    if (!value.is<int64_t>()) {
        report(DiagnosticCode::wrong_type, expr.range, {"a dimension", "an integer known at compile time", describe(value)});
        return Value();
    }
    return value;
}

/// The `const` of the file that an expression is, "" if it is none: what `-D` can change.
std::string Elaborator::constant_name(const ast::Expr &expr) const {
    const ast::NameRef *ref = std::get_if<ast::NameRef>(&expr.node);
    if (!ref) return "";
    const Binding *binding = find(ref->name);
    return binding && binding->constant ? ref->name : "";
}

bool Elaborator::unify_dims(const ast::TypeExpr &type, const std::vector<ast::Dim> &dims, const TensorValue &tensor, const std::string &what, SourceRange place) {
    Type own = type_of(tensor);
    const bool batched = per_sample_ && !own.shape.empty();
    if (batched) own.shape.erase(own.shape.begin());
    const Shape &shape = own.shape;
    size_t fixed = 0, ellipsis = dims.size();
    for (size_t i = 0; i < dims.size(); ++i) {
        if (dims[i].ellipsis) ellipsis = i;
        else ++fixed;
    }
    if (fixed + 1 < dims.size()) {
        report(DiagnosticCode::two_ellipses, type.range, {"type"});
        return false;
    }
    bool open = ellipsis < dims.size();
    auto mismatch = [&]() -> Diagnostic & {
        Diagnostic &diagnostic = report(DiagnosticCode::shape_mismatch, place, {what, source_text(type.range), to_string(own)});
        diagnostic.labels.push_back({type.range, "its type is declared here"});
        return diagnostic;
    };
    if (open ? shape.size() < fixed : shape.size() != fixed) {
        mismatch().notes.push_back(fmt::format("{} {} dimensions are needed, {} are there", open ? "at least" : "exactly", fixed, shape.size()));
        return false;
    }
    auto origin_of = [&](size_t dim) {
        auto known = tensor.context->origins.find(tensor.node.index);
        dim += batched;
        return known != tensor.context->origins.end() && dim < known->second.size() ? known->second[dim] : SourceRange{};
    };
    bool ok = true;
    for (size_t i = 0; i < dims.size(); ++i) {
        if (dims[i].ellipsis) {
            if (dims[i].rest.text.empty()) continue;
            std::vector<Value> extents;
            for (size_t at = i; at < i + shape.size() - fixed; ++at) extents.push_back(Value(shape[at], origin_of(at)));
            const Value rest = make_list(std::move(extents), place);
            auto [known, is_new] = scope_->names.try_emplace(dims[i].rest.text, Binding{rest, {}, false, false, dims[i].range});
            if (is_new || equal(known->second.value, rest)) continue;
            mismatch().notes.push_back(fmt::format("`{}` should be {} and is {}", source_text(dims[i].range), show(known->second.value), show(rest)));
            ok = false;
            continue;
        }
        size_t at = i < ellipsis ? i : shape.size() - (dims.size() - i);
        std::optional<Value> expected = dimension(*dims[i].value);
        if (!expected) {
            const ast::NameRef &ref = std::get<ast::NameRef>(dims[i].value->node);
            scope_->names[ref.name] = Binding{Value(shape[at], origin_of(at)), {}, false, false, dims[i].range};
            continue;
        }
        if (expected->poison()) return false;
        const int64_t *extent = expected->get<int64_t>();
        if (extent && *extent == shape[at]) continue;
        Diagnostic &diagnostic = mismatch();
        diagnostic.notes.push_back(fmt::format("dimension {} should be {} and is {}", at, show(*expected), shape[at]));
        if (expected->origin.valid()) diagnostic.labels.push_back({expected->origin, fmt::format("{} comes from here", show(*expected))});
        if (origin_of(at).valid()) diagnostic.labels.push_back({origin_of(at), fmt::format("{} comes from here", shape[at])});
        ok = false;
    }
    return ok;
}

/// Dimensions that are all known: numbers, and lists of them such as those that `..rest` of a parameter stands for.
std::optional<Shape> Elaborator::known_extents(const std::vector<ast::Dim> &dims, std::vector<SourceRange> *origins) {
    Shape result;
    auto take = [&](const Value &extent, const ast::Dim &dim) {
        const int64_t *number = extent.get<int64_t>();
        if (!number || *number < 1) {
            report(DiagnosticCode::wrong_extent, dim.range, {describe(extent)});
            return false;
        }
        result.push_back(*number);
        if (origins) origins->push_back(extent.origin.valid() ? extent.origin : dim.range);
        return true;
    };
    for (const ast::Dim &dim : dims) {
        const Binding *rest = dim.ellipsis && !dim.rest.text.empty() ? find(dim.rest.text) : nullptr;
        if (const ListValue *list = rest ? rest->value.get<ListValue>() : nullptr) {
            for (const Value &extent : *list->items)
                if (!take(extent, dim)) return {};
            continue;
        }
        if (dim.ellipsis) {
            report(DiagnosticCode::open_shape, dim.range);
            return {};
        }
        std::optional<Value> extent = dimension(*dim.value);
        if (!extent) {
            report_unknown(source_text(dim.range), dim.range);
            return {};
        }
        if (extent->poison() || !take(*extent, dim)) return {};
    }
    return result;
}

/// The type of a storage or an input; of `class[n][..]` that of its elements.
std::optional<Type> Elaborator::tensor_type(const ast::TypeExpr &type, std::vector<SourceRange> *origins) {
    std::optional<DType> dtype = element_type(type.name);
    if (!dtype) {
        report_type(type.name);
        return {};
    }
    std::optional<Shape> shape = known_extents(type.name.text == "class" ? type.elements : type.dims, origins);
    if (!shape) return {};
    double elements = 1;
    for (int64_t extent : *shape) elements *= double(extent);
    if (elements > double(kMaxTensorElements)) {
        report(DiagnosticCode::tensor_too_large, type.range, {to_string(Type{*dtype, *shape})});
        return {};
    }
    return Type{*dtype, *shape};
}

}  // namespace kiln
