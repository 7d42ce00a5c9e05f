// The primitives of core.model that are answered by the compiler and leave no node behind.
#include "compiler/elaborate/elaborator.h"

#include "compiler/ir/text_names.h"

#include <fmt/format.h>

namespace kiln {

std::optional<Value> Elaborator::call_intrinsic(const std::string &name, const std::vector<std::optional<Value>> &values, SourceRange range) {
    const TensorValue *tensor = !values.empty() && values[0] ? values[0]->get<TensorValue>() : nullptr;
    if (name == "shape") {
        if (tensor) tensor->context->asked_shapes.insert(tensor->node.index);
        const Shape shape = tensor ? type_of(*tensor).shape : Shape{};
        std::vector<SourceRange> origins(shape.size());
        if (tensor) {
            auto known = tensor->context->origins.find(tensor->node.index);
            if (known != tensor->context->origins.end()) origins = known->second;
        }
        origins.resize(shape.size());
        if (const int64_t *axis = values[1]->get<int64_t>()) {
            int64_t at = *axis < 0 ? *axis + int64_t(shape.size()) : *axis;
            if (at < 0 || at >= int64_t(shape.size())) return fail(DiagnosticCode::index_out_of_range, range, {std::to_string(*axis), std::to_string(shape.size())});
            return Value(shape[size_t(at)], origins[size_t(at)]);
        }
        if (!values[1]->is<None>()) return fail(DiagnosticCode::wrong_type, range, {"`axis`", "an integer", describe(*values[1])});
        std::vector<Value> items;
        for (size_t i = 0; i < shape.size(); ++i) items.push_back(Value(shape[i], origins[i]));
        return make_list(std::move(items), range);
    }
    if (name == "rank") {
        if (tensor) tensor->context->asked_shapes.insert(tensor->node.index);
        return Value(int64_t(tensor ? type_of(*tensor).rank() : 0), range);
    }
    if (name == "element_type") return Value(tensor ? type_of(*tensor).dtype : DType::f64, range);
    if (name == "length") return Value(int64_t(values[0]->get<ListValue>()->items->size()), range);
    if (name == "is_list") return Value(values[0]->is<ListValue>(), range);
    if (name == "is_int") return Value(values[0]->is<int64_t>(), range);
    if (name == "is_number") return Value(values[0]->number(), range);
    if (name == "is_same") {
        const TensorValue *other = values[1]->get<TensorValue>();
        return Value(tensor && other && tensor->context == other->context && tensor->node == other->node, range);
    }
    if (name == "unwarped") {
        if (!tensor) return Value();
        const Node &node = tensor->context->graph[tensor->node];
        std::vector<Value> parts{*values[0], make_list({}, range), Value(None{}), Value(None{})};
        if (node.op == Op::warp) {
            std::vector<Value> map;
            for (size_t i = 1; i < node.operands.size(); ++i) map.push_back(Value(TensorValue{node.operands[i], tensor->context}, range));
            const auto &warp = attrs<WarpAttrs>(node);
            parts = {Value(TensorValue{node.operands[0], tensor->context}, range), make_list(std::move(map), range),
                     Value(std::string(text::name_of_enumerator(warp.fill)), range), Value(warp.value, range)};
        }
        return Value(TupleValue{std::make_shared<const std::vector<Value>>(std::move(parts))}, range);
    }
    if (name == "parameters") {
        const std::string &pattern = *values[0]->get<std::string>();
        if (!context_ || path_.empty()) return fail(DiagnosticCode::storage_not_here, range, {name, "a model"});
        parameters_asked_ = true;
        std::vector<Value> items;
        std::vector<std::string> paths;
        for (const Storage &storage : known_params_) {
            paths.push_back(storage.path);
            if (path_matches(pattern, storage.path))
                items.push_back(Value(TensorValue{context_->read(InputKind::storage, storage.path, storage.type), context_}, range));
        }
        if (items.empty()) {
            suggest(report(DiagnosticCode::no_such_parameter, range, {pattern}), pattern, paths);
            return Value();
        }
        return make_list(std::move(items), range);
    }
    if (name == "parameter_matches") {
        const std::string &pattern = *values[0]->get<std::string>();
        std::vector<std::string> paths;
        bool any = false, all = true;
        for (const Storage &storage : module_.storages) {
            if (storage.kind != StorageKind::param) continue;
            paths.push_back(storage.path);
            bool matches = path_matches(pattern, storage.path);
            any |= matches;
            all &= matches;
        }
        if (!any) {
            suggest(report(DiagnosticCode::no_such_parameter, range, {pattern}), pattern, paths);
            return Value();
        }
        // A range of several parameters has no path: unless all match, each is then updated alone.
        if (!all && updating_.empty()) return fail(DiagnosticCode::storage_not_here, range, {name, "the update of a parameter"});
        return Value(all || path_matches(pattern, updating_), range);
    }
    if (name == "require") {
        if (!*values[0]->get<bool>()) return fail(DiagnosticCode::requirement, range, {*values[1]->get<std::string>()});
        return Value(None{}, range);
    }
    if (name == "random_stream") return Value(next_stream(), range);
    return {};
}

}  // namespace kiln
