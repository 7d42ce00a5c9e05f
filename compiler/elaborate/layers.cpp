// Instances of layers: the paths of their parameters, the parameters themselves and their initial values.
#include "compiler/elaborate/elaborator.h"

#include "compiler/support/check.h"

#include <fmt/format.h>

namespace kiln {

std::string snake_case(const std::string &name) {
    std::string result;
    for (size_t i = 0; i < name.size(); ++i) {
        bool upper = name[i] >= 'A' && name[i] <= 'Z';
        bool after_lower = i > 0 && name[i - 1] >= 'a' && name[i - 1] <= 'z';
        bool before_lower = i > 0 && i + 1 < name.size() && name[i + 1] >= 'a' && name[i + 1] <= 'z' && name[i - 1] != '_';
        if (upper && (after_lower || before_lower)) result += '_';
        result += upper ? char(name[i] - 'A' + 'a') : name[i];
    }
    return result;
}

// A number belongs to a place in the source (and the how-manieth visit of it below this path), so that the walks for training and
// inference agree. Numbers are left out where only one layer has the name; the first walk, whose graph is thrown away, counts.
std::string Elaborator::instance_path(const FunctionValue &layer, SourceRange range) {
    std::string stem = path_ + "/" + snake_case(layer.name());
    uint64_t place = (uint64_t(reinterpret_cast<uintptr_t>(range.file)) << 20) ^ (uint64_t(range.begin) << 32) ^ range.end;
    int visit = visits_[{stem, place}]++;
    auto &numbered = instances_[stem];
    size_t index = 0;
    while (index < numbered.size() && !(numbered[index].first.file == range.file && numbered[index].first.begin == range.begin &&
                                        numbered[index].first.end == range.end && numbered[index].second == visit))
        ++index;
    if (index == numbered.size()) numbered.push_back({range, visit});
    return numbered.size() == 1 ? stem : fmt::format("{}_{}", stem, index + 1);
}

void Elaborator::execute_shared(const ast::SharedStmt &shared, SourceRange range) {
    Value value = evaluate(*shared.value);
    const FunctionValue *layer = value.get<FunctionValue>();
    if (!value.poison() && (!layer || layer->kind() != ast::DefinitionDecl::Kind::layer)) {
        report(DiagnosticCode::wrong_type, shared.value->range, {fmt::format("`shared {}`", shared.name.text), "a layer without its tensor", describe(value)});
        value = {};
        layer = nullptr;
    }
    if (layer && !value.poison()) {
        FunctionValue instance = *layer;
        instance.instance = path_ + "/" + shared.name.text;
        value = Value(std::move(instance), range);
    }
    bind(shared.name, std::move(value));
}

void Elaborator::execute_storage(const ast::StorageStmt &statement, SourceRange range) {
    using Kind = ast::StorageStmt::Kind;
    if (statement.kind != Kind::param && statement.kind != Kind::buffer) {
        report(DiagnosticCode::storage_not_here, range, {statement.kind == Kind::state ? "state" : "global", "an optimizer or a schedule"});
        return;
    }
    if (path_.empty() || !context_ || op_ || context_->graph.name.starts_with("augment")) {
        report(DiagnosticCode::storage_not_here, range, {statement.kind == Kind::param ? "param" : "buffer", "a layer or a model"});
        bind(statement.name, Value());
        return;
    }
    bool is_param = statement.kind == Kind::param;
    std::vector<SourceRange> origins;
    KILN_CHECK(statement.type, "the parser admits no parameter or buffer without a type");
    std::optional<Type> type = tensor_type(*statement.type, &origins);
    if (type && !(type->dtype == module_.float_type)) {
        report(DiagnosticCode::storage_type, statement.type->range, {statement.name.text, to_string(*type), name_of(module_.float_type)});
        type.reset();
    }
    std::string path = path_ + "/" + statement.name.text;
    if (!type) {
        bind(statement.name, Value());
        return;
    }
    Storage storage;
    storage.path = path;
    storage.kind = is_param ? StorageKind::param : StorageKind::buffer;
    storage.type = *type;
    storage.arena = is_param ? "param" : "buffer";
    storage.loc = to_loc(user_range(range));
    auto known = storage_places_.find(path);
    if (known == storage_places_.end()) {
        storage_places_[path] = range;
        module_.storages.push_back(storage);
    } else {
        for (const Storage &other : module_.storages)
            if (other.path == path && !(other.type == *type)) {
                report(DiagnosticCode::storage_differs, range, {path, to_string(*type), to_string(other.type)}).labels.push_back({known->second, "declared here"});
                bind(statement.name, Value());
                return;
            }
    }
    bind(statement.name, Value(), true, Cell{InputKind::storage, path, *type});
    scope_->names[statement.name.text].assignable = !is_param;
    NodeId node = context_->read(InputKind::storage, path, *type);
    context_->origins.try_emplace(node.index, origins);
    if (initialized_.insert(path).second) initialize(storage, *statement.init);
}

void Elaborator::initialize(const Storage &storage, const ast::Expr &init) {
    const Shape &shape = storage.type.shape;
    int64_t fan_in = shape.empty() ? 1 : shape[0], fan_out = shape.empty() ? 1 : shape.back();
    if (shape.size() > 2) {
        int64_t window = element_count(shape) / (shape[shape.size() - 2] * shape.back());
        fan_in = window * shape[shape.size() - 2];
        fan_out = window * shape.back();
    }
    std::string outer = stream_path_;
    stream_path_ = "init:" + storage.path;
    in_context(*init_, [&] {
        Value value = evaluate(init);
        for (int i = 0; i < 8 && value.is<FunctionValue>(); ++i) {
            const FunctionValue function = *value.get<FunctionValue>();
            std::vector<CallArgument> arguments;
            for (const ast::Param &param : function.params()) {
                if (function.bound && function.bound->count(param.name.text)) continue;
                auto give = [&](Value given) { arguments.push_back({ast::Name{param.name.text, init.range}, std::move(given), init.range}); };
                std::vector<Value> extents;
                for (int64_t extent : shape) extents.push_back(Value(extent));
                if (param.name.text == "shape") give(make_list(std::move(extents), init.range));
                if (param.name.text == "fan_in") give(Value(fan_in, init.range));
                if (param.name.text == "fan_out") give(Value(fan_out, init.range));
            }
            value = call(function, std::move(arguments), init.range, true);
        }
        if (value.poison()) return;
        Value stored = build({value}, init.range, [&](GraphContext &context) {
            NodeId node = materialize(context, value, storage.type.dtype);
            node = context.builder.cast(node, storage.type.dtype);
            if (context.builder.type(node).rank() == 0) node = context.builder.broadcast_to(node, shape);
            if (context.builder.type(node).shape != shape)
                throw BuildError{fmt::format("`{}` is {}, and its initial value is {}", storage.path, to_string(storage.type), to_string(context.builder.type(node)))};
            return node;
        });
        const TensorValue *tensor = stored.get<TensorValue>();
        if (!tensor) return;
        if (tensor->context != init_.get()) {
            report(DiagnosticCode::values_of_two_graphs, init.range);
            return;
        }
        init_->graph.results.push_back({ResultKind::store, storage.path, tensor->node});
        init_->set(InputKind::storage, storage.path, tensor->node);
    });
    stream_path_ = outer;
}

/// 31 bits of the FNV-1a hash of the path and the number of draws before: stable as long as the path is.
int64_t Elaborator::next_stream() {
    int draw = context_ ? context_->random_streams[stream_path_]++ : 0;
    uint64_t hash = 14695981039346656037u;
    for (char c : fmt::format("{}#{}", stream_path_, draw)) hash = (hash ^ uint8_t(c)) * 1099511628211u;
    return int64_t((hash ^ (hash >> 32)) & 0x7fffffff);
}

}  // namespace kiln
