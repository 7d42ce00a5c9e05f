// The primitives of core.model that are answered by the compiler and leave no node behind.
#include "compiler/elaborate/elaborator.h"
#include "compiler/elaborate/motion.h"

#include "compiler/ir/text_names.h"
#include "compiler/ops/interpret.h"
#include "kiln/names.h"

#include <fmt/format.h>

#include <algorithm>

namespace kiln {

namespace {

/// What a scalar is computed from, as a graph of its own.
struct Cone {
    const std::vector<Hyper> &hypers;
    bool in_phase;          ///< the length of a phase may enter
    bool of_phase = false;  ///< it does
    bool scheduled = false; ///< the rate or momentum of a step enters, whose source is checked instead
    Graph graph = {};
    std::map<int32_t, NodeId> copies = {};
    std::string written = {};  ///< equal for equal cones

    /// False if anything else enters.
    bool copy(const Graph &from, NodeId node) {
        if (auto known = copies.find(node.index); known != copies.end()) {
            written += fmt::format(" %{}", known->second.index);
            return true;
        }
        Node copied = from[node];
        if (copied.op == Op::input) {
            const auto &input = attrs<InputAttrs>(copied);
            bool is_hyper = std::any_of(hypers.begin(), hypers.end(), [&](const Hyper &h) { return h.name == input.name; });
            bool is_length = in_phase && (input.name == "phase_steps" || input.name == "steps_per_epoch");
            scheduled |= input.kind == InputKind::scalar && (input.name == "rate" || input.name == "optimizer.momentum");
            if (input.kind != InputKind::scalar || !(is_hyper || is_length)) return false;
            of_phase |= is_length;
            written += " " + input.name;
        } else if (copied.op == Op::constant) {
            for (double value : attrs<ConstantAttrs>(copied).values) written += fmt::format(" {}", value);
        } else {
            written += fmt::format(" {}", int(copied.op));
        }
        for (NodeId &operand : copied.operands) {
            if (!copy(from, operand)) return false;
            operand = copies.at(operand.index);
        }
        copies[node.index] = NodeId{graph.size()};
        graph.nodes.push_back(std::move(copied));
        return true;
    }
};

}  // namespace

/// A condition that is known is checked. One on hypers must hold for their defaults, and is left in rules.require for the flags of
/// the executable. One on the length of the phase under way must not fail for short and long epochs alike; the data will tell.
Value Elaborator::requirement(const Value &condition, const std::string &message, SourceRange range, bool must_be_known) {
    if (condition.poison()) return {};
    if (const bool *known = condition.get<bool>())
        return *known ? Value(None{}, range) : fail(DiagnosticCode::requirement, range, {message});
    const TensorValue *tensor = condition.get<TensorValue>();
    Cone cone{module_.hypers, phase_ >= 0};
    if (!tensor || type_of(*tensor) != Type{DType::boolean, {}} || !cone.copy(tensor->context->graph, tensor->node)) {
        if (!must_be_known || cone.scheduled) return Value(None{}, range);
        return fail(DiagnosticCode::wrong_type, range, {"the condition of `require`", "true or false, known at compile time or from hypers alone", describe(condition)});
    }
    NodeId last = cone.copies.at(tensor->node.index);
    auto holds = [&](double steps_per_epoch) {
        Graph graph = cone.graph;
        graph.results.push_back({ResultKind::scalar, message, last});
        return interpret(graph, [&](const Node &node) {
            const std::string &name = attrs<InputAttrs>(node).name;
            double value = name == "steps_per_epoch" ? steps_per_epoch : cone.of_phase && name == "phase_steps" ? steps_per_epoch * double(module_.phases[size_t(phase_)].epochs) : 0;
            for (const Hyper &hyper : module_.hypers)
                if (hyper.name == name) value = hyper.default_value;
            return Tensor{node.type, {value}};
        })[0].values[0] != 0;
    };
    if (!holds(1) && !holds(1e9)) return fail(DiagnosticCode::requirement, range, {message});
    std::string kind = fmt::format("{}:{}", cone.of_phase ? phase_ : -1, message);
    // A model is walked several times.
    if (!requirements_.insert(kind + cone.written).second) return Value(None{}, range);
    Graph &all = module_.graphs["rules.require"];
    all.name = "rules.require";
    int32_t first = all.size();
    for (Node &node : cone.graph.nodes) {
        for (NodeId &operand : node.operands) operand.index += first;
        all.nodes.push_back(std::move(node));
    }
    std::string name = fmt::format("{}.{}:{}", cone.of_phase ? phase_ : -1, all.results.size(), message);
    all.results.push_back({ResultKind::scalar, name, NodeId{last.index + first}});
    return Value(None{}, range);
}

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
    if (name == "length") {
        if (const ListValue *list = values[0]->get<ListValue>()) return Value(int64_t(list->items->size()), range);
        const std::string *text = values[0]->get<std::string>();
        if (!text) return fail(DiagnosticCode::wrong_type, range, {"`items` of `length`", "a list or a text", describe(*values[0])});
        return Value(int64_t(std::count_if(text->begin(), text->end(), [](char c) { return (c & 0xC0) != 0x80; })), range);
    }
    if (name == "labels") {
        if (!module_.graphs.count("predict")) return Value();  // what is wrong with the model has been said
        std::vector<Value> found;
        for (const Column &column : module_.columns)
            if (column.classes && column.type.rank() == 0 && !reads(module_.graphs.at("predict"), InputKind::data, column.name)) found.push_back(Value(column.name, range));
        return make_list(std::move(found), range);
    }
    if (name == "is_list") return Value(values[0]->is<ListValue>(), range);
    if (name == "is_int") return Value(values[0]->is<int64_t>(), range);
    if (name == "is_number") return Value(values[0]->number(), range);
    if (name == "is_fixed") {
        const bool scalar = tensor && type_of(*tensor).rank() == 0;
        return Value(values[0]->number() || (scalar && Cone{module_.hypers, false}.copy(tensor->context->graph, tensor->node)), range);
    }
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
    if (name == "places_shown") {
        if (!tensor) return Value();
        std::optional<PlacesShown> places;
        Value inside = build({*values[0]}, range, [&](GraphContext &context) {
            places = places_shown(context.builder, tensor->node);
            return places ? places->inside : tensor->node;
        });
        if (inside.poison()) return Value();
        if (!places) return fail(DiagnosticCode::cannot_follow, values[0]->origin.valid() ? values[0]->origin : range);
        std::vector<Value> parts{Value(TensorValue{places->y, tensor->context}, range), Value(TensorValue{places->x, tensor->context}, range), inside};
        return Value(TupleValue{std::make_shared<const std::vector<Value>>(std::move(parts))}, range);
    }
    if (name == "is_input") {
        if (!tensor) return Value(false, range);
        NodeId node = tensor->node;
        while (tensor->context->graph[node].op == Op::cast) node = tensor->context->graph[node].operands[0];
        const Node &source = tensor->context->graph[node];
        return Value(source.op == Op::input && attrs<InputAttrs>(source).kind == InputKind::data, range);
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
        return requirement(*values[0], *values[1]->get<std::string>(), range);
    }
    if (name == "random_stream") return Value(next_stream(), range);
    return {};
}

}  // namespace kiln
