// Augmentations: `augment = ..` of the `train` block or of a phase becomes a graph from the columns of a batch to those that
// the training step reads instead. It runs ahead of the step and is walked before the model, because an augmentation that mixes
// labels makes them soft: the model is then trained on f32[batch, classes] where inference has i32[batch].
#include "compiler/elaborate/elaborator.h"
#include "compiler/elaborate/motion.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

namespace kiln {

namespace {

using Kind = ast::DefinitionDecl::Kind;

/// Labels as rows of shares: 1 for its class.
NodeId one_hot(Builder &builder, NodeId label, int64_t classes) {
    Type whole = builder.type(label);
    Ints dims(whole.shape.size());
    std::iota(dims.begin(), dims.end(), 0);
    whole.shape.push_back(classes);
    NodeId own = builder.append(Op::broadcast, {label}, BroadcastAttrs{whole.shape, dims});
    return builder.cast(builder.append(Op::equal, {builder.iota(int64_t(dims.size()), whole), own}), DType::f32);
}

}  // namespace

bool is_augmentation(const Value &value) {
    const FunctionValue *function = value.get<FunctionValue>();
    return function && function->kind() == Kind::augment;
}

/// Calls the augmentation with the model's inputs of its tensors' names; what it returns for each, in order.
std::optional<std::vector<std::pair<std::string, Value>>> Elaborator::augmented_inputs(const FunctionValue &augmentation, SourceRange range) {
    const auto &inputs = std::get<ast::DefinitionDecl>(model_->node).params;
    std::vector<CallArgument> arguments;
    std::vector<std::string> names;
    for (const ast::Param &param : augmentation.params()) {
        if (!param.type || augmentation.bound->count(param.name.text)) continue;
        auto input = std::find_if(inputs.begin(), inputs.end(), [&](const ast::Param &p) { return p.name.text == param.name.text; });
        const bool is_number = param.default_value || !element_type(param.type->name) || input == inputs.end();
        if (!param.type->has_dims && is_number) continue;
        if (input == inputs.end()) {
            std::vector<std::string> known;
            for (const ast::Param &p : inputs) known.push_back(p.name.text);
            Diagnostic &diagnostic = report(DiagnosticCode::augment_without_input, range, {augmentation.name(), param.name.text, module_.name});
            diagnostic.labels.push_back({param.name.range, "the tensors it augments are inputs of the model, by name"});
            suggest(diagnostic, param.name.text, known);
            return {};
        }
        names.push_back(param.name.text);
        arguments.push_back({ast::Name{param.name.text, range}, model_input(*input, *context_), range});
    }
    Value result = call(augmentation, std::move(arguments), range, true);
    if (result.poison()) return {};
    std::vector<Value> values{result};
    if (const TupleValue *tuple = result.get<TupleValue>()) values = *tuple->items;
    if (std::any_of(values.begin(), values.end(), [](const Value &value) { return value.poison(); })) return {};
    if (values.size() != names.size() || names.empty()) {
        report(DiagnosticCode::augment_result, range, {augmentation.name(), fmt::format("a value for each of its {} tensors", names.size()), fmt::format("{}", values.size())});
        return {};
    }
    std::vector<std::pair<std::string, Value>> augmented;
    for (size_t i = 0; i < names.size(); ++i) augmented.push_back({names[i], values[i]});
    return augmented;
}

/// Pictures that an augmentation does not take, though it moves the pixels of one of their height and width: of classes, which would be those of other
/// pixels, or of numbers, which may be.
void Elaborator::find_masks_left(const std::vector<std::pair<std::string, Value>> &augmented, SourceRange range) {
    auto is_taken = [&](const std::string &name) { return std::any_of(augmented.begin(), augmented.end(), [&](const auto &other) { return other.first == name; }); };
    const std::vector<Column> taken = module_.columns;
    for (const ast::Param &input : std::get<ast::DefinitionDecl>(model_->node).params) {
        if (is_taken(input.name.text)) continue;
        unreported([&] { model_input(input, *context_); });
        const Column other = module_.columns.size() > taken.size() ? module_.columns.back() : Column{};
        module_.columns = taken;
        if (other.type.rank() < 2 || (other.classes && other.type.rank() > 2)) continue;
        for (const auto &[picture, value] : augmented) {
            const TensorValue *tensor = value.get<TensorValue>();
            const Column &own = *std::find_if(taken.begin(), taken.end(), [&](const Column &c) { return c.name == picture; });
            const bool fits = own.type.rank() > 2 && !own.classes && std::equal(own.type.shape.begin(), own.type.shape.begin() + 2, other.type.shape.begin());
            const Movement movement = tensor && fits ? movement_of(context_->graph, tensor->node) : Movement::still;
            if (movement == Movement::still) continue;
            const DiagnosticCode code = other.classes ? DiagnosticCode::augment_leaves_mask : DiagnosticCode::augment_leaves_picture;
            Diagnostic &diagnostic = report(code, range, {movement == Movement::moved ? "moves" : "may move", picture, other.name});
            diagnostic.labels.push_back({input.type->range, fmt::format("`{}` is declared here", other.name)});
            const bool has_names = picture == "image" && other.name == "mask";
            if (has_names) diagnostic.notes.push_back(fmt::format("`WithMask({})` moves `mask` along with `image`", source_text(range)));
            else diagnostic.notes.push_back(fmt::format("an augmentation that takes both may give `follow({}, changed)`, moved as `changed` was, in its place", other.name));
            diagnostic.notes.push_back(fmt::format("where it is meant, let the augmentation take `{}`, too, and return it as it is", other.name));
            break;
        }
    }
}

/// The results of the graph: what the augmentation changed. Labels that became shares of the classes are noted.
void Elaborator::add_augmented(const std::string &name, const Value &value, SourceRange range) {
    GraphContext &context = *context_;
    const Column &column = *std::find_if(module_.columns.begin(), module_.columns.end(), [&](const Column &c) { return c.name == name; });
    Type expected{column.type.dtype, {module_.batch}};
    expected.shape.insert(expected.shape.end(), column.type.shape.begin(), column.type.shape.end());
    const TensorValue *tensor = value.get<TensorValue>();
    Type soft{module_.float_type, expected.shape};
    soft.shape.push_back(column.classes);
    bool fits = tensor && tensor->context == &context && type_of(*tensor).shape == expected.shape && is_float(type_of(*tensor).dtype) == is_float(expected.dtype);
    if (column.classes && tensor && type_of(*tensor) == soft) {
        soft_labels_[name] = {column.classes, column.type.shape};
        expected = Type{DType::f32, soft.shape};
    } else if (!fits) {
        report(DiagnosticCode::augment_result, range, {name, "a tensor " + to_string(expected), describe(value)});
        return;
    }
    Value stored = build({value}, range, [&](GraphContext &c) { return c.builder.cast(tensor->node, expected.dtype); });
    NodeId node = stored.get<TensorValue>()->node;
    if (context.graph[node].op != Op::input) context.graph.results.push_back({ResultKind::output, name, node});
}

void Elaborator::elaborate_augmentations() {
    TrainSettings train = collect_quietly(std::get<ast::TrainDecl>(train_->node).body, false);
    // What augments the batches of each phase, and whether their label are shares of the classes before it does.
    std::vector<std::pair<const ast::BindStmt *, bool>> settings;
    auto setting_of = [](const TrainSettings &of, const char *name) { return of.settings.count(name) ? of.settings.at(name) : nullptr; };
    auto add = [&](const TrainSettings &own) {
        auto effective = [&](const char *name) { return setting_of(own, name) ? setting_of(own, name) : setting_of(train, name); };
        settings.push_back({effective("augment"), reads_shares(effective("mix"))});
    };
    for (const ast::HookStmt *phase : train.phases) add(collect_quietly(phase->body, true));
    if (train.phases.empty()) add(train);

    std::map<std::pair<const ast::BindStmt *, bool>, std::unique_ptr<GraphContext>> contexts;
    for (const auto &setting : settings) {
        if (!setting.first || contexts.count(setting)) continue;
        const ast::Expr &expr = *setting.first->value;
        GraphContext &context = *(contexts[setting] = std::make_unique<GraphContext>("augment"));
        context.training = true;
        raw_shares_ = setting.second;
        stream_path_ = "augment";
        in_context(context, [&] {
            Value value = evaluate(expr);
            if (value.poison() || value.is<None>()) return;
            if (is_augmentation(value) && !value.get<FunctionValue>()->bound) value = partial(*value.get<FunctionValue>(), std::vector<std::optional<Value>>(value.get<FunctionValue>()->params().size()));
            if (!is_augmentation(value)) {
                report(DiagnosticCode::wrong_type, expr.range, {"`augment`", "an augmentation or none", describe(value)});
                return;
            }
            auto augmented = augmented_inputs(*value.get<FunctionValue>(), expr.range);
            if (!augmented) return;
            find_masks_left(*augmented, expr.range);
            for (const auto &[name, result] : *augmented) add_augmented(name, result, expr.range);
        });
        stream_path_.clear();
        module_.columns.clear();
        raw_shares_ = false;
    }
    if (diagnostics_->has_errors()) return;

    const bool same = std::all_of(settings.begin(), settings.end(), [&](const auto &s) { return s == settings[0]; });
    for (size_t phase = 0; phase < settings.size() && (phase == 0 || !same); ++phase) {
        std::string name = same ? "augment" : own_graph_of_phase("augment", phase);
        GraphContext plain(name);
        GraphContext &context = settings[phase].first ? *contexts.at(settings[phase]) : plain;
        Graph graph = context.finish();
        graph.name = name;
        for (const auto &[label, soft] : soft_labels_) {
            const std::string &name_of_label = label;
            if (settings[phase].second && label == module_.pseudo_label) continue;
            auto known = std::find_if(graph.results.begin(), graph.results.end(), [&](const Result &r) { return r.name == name_of_label; });
            if (known != graph.results.end() && is_float(graph[known->value].type.dtype)) continue;
            // The step reads shares in every phase.
            Builder builder(graph);
            Type of_batch{DType::i32, {module_.batch}};
            of_batch.shape.insert(of_batch.shape.end(), soft.shape.begin(), soft.shape.end());
            NodeId hard = known != graph.results.end() ? known->value : builder.input(InputKind::data, label, of_batch);
            NodeId shares = one_hot(builder, hard, soft.classes);
            if (known != graph.results.end()) known->value = shares;
            else graph.results.push_back({ResultKind::output, label, shares});
        }
        if (!graph.results.empty()) module_.graphs[name] = dce(graph);
    }
}

}  // namespace kiln
