// The model: its inputs, losses, metrics and outputs, walked once for training and once for inference.
#include "compiler/elaborate/elaborator.h"

#include "compiler/support/check.h"

#include <fmt/format.h>

#include <algorithm>

namespace kiln {

namespace {

/// The names an expression reads, in order.
void collect_names(const ast::Expr &expr, std::vector<const ast::Expr *> &names) {
    if (std::holds_alternative<ast::NameRef>(expr.node)) names.push_back(&expr);
    if (const auto *call = std::get_if<ast::CallExpr>(&expr.node))
        for (const ast::Argument &argument : call->arguments) collect_names(*argument.value, names);
    if (const auto *unary = std::get_if<ast::UnaryExpr>(&expr.node)) collect_names(*unary->operand, names);
    if (const auto *binary = std::get_if<ast::BinaryExpr>(&expr.node)) {
        collect_names(*binary->left, names);
        collect_names(*binary->right, names);
    }
    if (const auto *pipe = std::get_if<ast::PipeExpr>(&expr.node)) {
        collect_names(*pipe->value, names);
        collect_names(*pipe->call, names);
    }
}

}  // namespace

bool Elaborator::find_model(const ast::Module &file) {
    std::vector<std::string> names;
    for (const ast::Decl &decl : file.declarations) {
        const auto *definition = std::get_if<ast::DefinitionDecl>(&decl.node);
        if (!definition || definition->kind != ast::DefinitionDecl::Kind::model) continue;
        names.push_back(decl.name.text);
        if (model_) report(DiagnosticCode::two_models, decl.name.range).labels.push_back({model_->name.range, "the first one is here"});
        else model_ = &decl;
    }
    if (!model_) {
        diagnostics_->report(DiagnosticCode::no_model, SourceRange{file.file, 0, 0}, {file.file->name});
        return false;
    }
    module_.name = model_->name.text;
    if (!model_->doc.empty()) module_.doc = model_->doc;
    module_.batch = 1;
    if (!train_) return true;
    if (train_->name.text != module_.name) suggest(report(DiagnosticCode::unknown_model, train_->name.range, {train_->name.text}), train_->name.text, names);
    TrainSettings train = collect_settings(std::get<ast::TrainDecl>(train_->node).body, false);
    auto batch = train.settings.find("batch");
    if (batch == train.settings.end()) {
        report(DiagnosticCode::missing_setting, train_->name.range, {"batch"});
    } else if (std::optional<int64_t> size = evaluate_int(*batch->second->value, "`batch`")) {
        if (*size < 1 || *size > kMaxBatch) report(DiagnosticCode::setting_out_of_range, batch->second->value->range, {"batch", std::to_string(*size), fmt::format("between 1 and {}", kMaxBatch)});
        else module_.batch = *size;
    }
    return true;
}

void Elaborator::start_walk() {
    module_.storages.clear();
    module_.columns.clear();
    storage_places_.clear();
    initialized_.clear();
    init_ = std::make_unique<GraphContext>("init");
    init_->training = true;
}

/// Walks the model for training and for inference, without a word about what is wrong; false if something is.
bool Elaborator::walk_quietly(GraphContext &inference) {
    const Diagnostics found = unreported([&] {
        start_walk();
        GraphContext scratch("train");
        scratch.training = true;
        walk_model(scratch);
        walk_model(inference);
    });
    return !found.has_errors();
}

/// Counts the layers of each name and, where the model asks for parameters by their names, finds out what there are.
void Elaborator::count_layers() {
    {
        GraphContext inference("evaluate");
        walk_quietly(inference);
    }
    if (!parameters_asked_) return;
    // Paths are final once the layers are counted.
    GraphContext inference("evaluate");
    walk_quietly(inference);
    known_params_.clear();
    for (const Storage &storage : module_.storages)
        if (storage.kind == StorageKind::param) known_params_.push_back(storage);
}

void Elaborator::elaborate_model() {
    count_layers();
    start_walk();
    GraphContext train("train");
    train.training = true;
    walk_model(train);
    finish_train(train);

    elaborate_sample();
    GraphContext inference("evaluate");
    report_news(unreported([&] { walk_model(inference); }));
    if (diagnostics_->has_errors()) return;
    finish_inference(inference);
    find_never_trained();
    layout_storages();
    module_.graphs["init"] = init_->finish();
}

/// What two walks find wrong is said once.
void Elaborator::report_news(const Diagnostics &found) {
    for (const Diagnostic &each : found.all()) {
        const auto &first = diagnostics_->all();
        bool known = std::any_of(first.begin(), first.end(), [&](const Diagnostic &d) {
            return d.code == each.code && d.range.file == each.range.file && d.range.begin == each.range.begin;
        });
        if (!known) diagnostics_->add(each);
    }
}

/// The model in inference form on one sample, for `trace` and for `generate`.
void Elaborator::elaborate_sample() {
    const int64_t batch = std::exchange(module_.batch, 1);
    const bool generates = generation_.has_value();
    GraphContext context("trace");
    const Diagnostics found = unreported([&] { walk_model(context); });
    module_.batch = batch;
    // A model that needs more than one sample has no trace; what else is wrong with it the other walks say.
    if (found.has_errors()) {
        if (generates) report_news(found);
        return;
    }
    if (!outputs_.empty()) elaborate_trace(context);
    if (!generation_) return;
    Graph graph = context.graph;
    graph.name = "generate";
    graph.results = {*generation_};
    module_.graphs["generate"] = dce(graph);
}

void Elaborator::walk_model(GraphContext &context) {
    const auto &definition = std::get<ast::DefinitionDecl>(model_->node);
    losses_.clear();
    metrics_.clear();
    outputs_.clear();
    generation_.reset();
    module_.metrics.clear();
    module_.columns.clear();
    visits_.clear();
    calls_made_ = turns_made_ = 0;
    report_ = std::make_unique<GraphContext>("rules.report");
    report_->scalar_only = true;
    path_ = stream_path_ = model_->name.text;
    auto scope = std::make_shared<Scope>();
    scope->parent = file_scope_;
    in_context(context, [&] {
        in_scope(scope, [&] {
            for (const ast::Param &param : definition.params) {
                Value value = model_input(param, context);
                if (bind(param.name, value, false)) locals_[{param.name.range.file, param.name.range.begin}] = {param.name, {}};
            }
            execute(definition.body);
            named_values_.clear();
            for (const auto &[name, binding] : scope->names)
                if (const TensorValue *tensor = binding.value.get<TensorValue>()) named_values_.try_emplace(tensor->node.index, name);
            if (!outputs_.empty()) return;
            // Without `output`, the model's outputs are the named values that its loss compares: those that it has learned, if it learns.
            struct Compared { std::string name; Value value; SourceRange range; bool learned; };
            std::vector<Compared> compared;
            for (const ast::StmtPtr &stmt : definition.body) {
                const auto *loss = std::get_if<ast::LossStmt>(&stmt->node);
                std::vector<const ast::Expr *> names;
                if (loss) collect_names(*loss->value, names);
                for (const ast::Expr *expr : names) {
                    const std::string &name = std::get<ast::NameRef>(expr->node).name;
                    auto bound = scope->names.find(name);
                    if (bound == scope->names.end() || bound->second.cell || !bound->second.value.is<TensorValue>()) continue;
                    bool again = std::any_of(compared.begin(), compared.end(), [&](const Compared &other) { return other.name == name; });
                    bool is_input = std::any_of(definition.params.begin(), definition.params.end(), [&](const ast::Param &p) { return p.name.text == name; });
                    const Value &value = bound->second.value;
                    if (!is_input && !again) compared.push_back({name, value, expr->range, depends_on_storage(*value.get<TensorValue>())});
                }
            }
            const bool learns = std::any_of(compared.begin(), compared.end(), [](const Compared &c) { return c.learned; });
            for (const Compared &c : compared)
                if (c.learned || !learns) add_output(c.name, c.value, c.range);
        });
    });
    path_.clear();
    stream_path_.clear();
}

Value Elaborator::model_input(const ast::Param &param, GraphContext &context) {
    if (param.default_value) report(DiagnosticCode::input_default, param.default_value->range, {param.name.text});
    if (!param.type) return fail(DiagnosticCode::input_without_type, param.name.range, {param.name.text});
    Column column;
    column.name = param.name.text;
    column.loc = to_loc(param.name.range);
    std::vector<SourceRange> origins;
    std::optional<Type> type = tensor_type(*param.type, &origins);
    if (!type) return {};
    if (param.type->name.text == "class") {
        std::optional<Shape> classes = known_extents(param.type->dims);
        if (!classes) return {};
        if (classes->size() != 1) return fail(DiagnosticCode::input_class, param.type->range, {param.name.text});
        column.classes = classes->front();
        column.capacity = constant_name(*param.type->dims[0].value);
    }
    column.type = *type;
    module_.columns.push_back(column);
    // Mixed labels are shares of the classes.
    const bool soft = (context.graph.name == "train" || (raw_shares_ && column.name == module_.pseudo_label)) && soft_labels_.count(column.name);
    if (soft) {
        type->dtype = DType::f32;
        type->shape.push_back(column.classes);
    }
    Type batched{type->dtype, {module_.batch}};
    batched.shape.insert(batched.shape.end(), type->shape.begin(), type->shape.end());
    if (batched.elements() > kMaxTensorElements) return fail(DiagnosticCode::tensor_too_large, param.type->range, {fmt::format("a batch of `{}`, {},", param.name.text, to_string(batched))});
    context.builder.set_loc(to_loc(param.name.range));
    context.builder.set_scope("");
    NodeId node = context.input(InputKind::data, param.name.text, batched);
    if (is_float(batched.dtype)) node = context.builder.cast(node, module_.float_type);
    if (soft) origins.push_back(param.type->range);
    origins.insert(origins.begin(), SourceRange{});
    context.origins[node.index] = origins;
    if (column.classes) context.classes[node.index] = column.classes;
    return Value(TensorValue{node, &context}, param.name.range);
}

static std::vector<bool> depends_on_inputs(const Graph &graph, InputKind kind) {
    std::vector<bool> depends(graph.nodes.size(), false);
    for (size_t i = 0; i < graph.nodes.size(); ++i) {
        const Node &node = graph.nodes[i];
        depends[i] = node.op == Op::input && attrs<InputAttrs>(node).kind == kind;
        for (NodeId operand : node.operands) depends[i] = depends[i] || depends[size_t(operand.index)];
    }
    return depends;
}

std::vector<bool> depends_on_data(const Graph &graph) { return depends_on_inputs(graph, InputKind::data); }
bool depends_on_data(const TensorValue &tensor) { return depends_on_data(tensor.context->graph)[size_t(tensor.node.index)]; }
bool depends_on_storage(const TensorValue &tensor) { return depends_on_inputs(tensor.context->graph, InputKind::storage)[size_t(tensor.node.index)]; }

bool Elaborator::is_of_samples(const TensorValue &tensor) {
    const Type &type = type_of(tensor);
    return type.rank() > 0 && type.shape[0] == module_.batch && depends_on_data(tensor);
}

std::optional<NodeId> Elaborator::per_sample(const Value &value, SourceRange range, const char *what) {
    if (value.poison()) return {};
    const TensorValue *tensor = value.get<TensorValue>();
    bool fits = tensor && tensor->context == context_ && (type_of(*tensor).rank() == 0 || type_of(*tensor).shape == Shape{module_.batch});
    if (!fits) {
        report(DiagnosticCode::not_per_sample, range, {what, describe(value), std::to_string(module_.batch)});
        return {};
    }
    Value whole = build({value}, range, [&](GraphContext &context) {
        NodeId node = context.builder.cast(tensor->node, module_.float_type);
        return context.builder.broadcast_to(node, {module_.batch});
    });
    if (!whole.is<TensorValue>()) return {};
    return whole.get<TensorValue>()->node;
}

void Elaborator::add_loss(const Value &value, SourceRange range) {
    if (!per_sample(value, range, "`loss`")) return;
    const TensorValue &tensor = *value.get<TensorValue>();
    if (type_of(tensor).rank() == 0 && depends_on_data(tensor)) report(DiagnosticCode::loss_of_batch, range, {std::to_string(module_.batch)});
    losses_.push_back({value, range});
}

void Elaborator::add_metric(const ast::MetricStmt &metric, SourceRange range) {
    std::string name = metric.name.text;
    if (name.empty()) {
        const ast::Expr *expr = metric.value.get();
        if (const auto *pipe = std::get_if<ast::PipeExpr>(&expr->node)) expr = pipe->call.get();
        if (const auto *call_expr = std::get_if<ast::CallExpr>(&expr->node)) expr = call_expr->callee.get();
        if (const auto *ref = std::get_if<ast::NameRef>(&expr->node)) name = ref->name;
        if (name.empty()) {
            report(DiagnosticCode::metric_without_name, range);
            return;
        }
    }
    bool taken = name == "loss" || std::any_of(metrics_.begin(), metrics_.end(), [&](const MetricValue &m) { return m.name == name; });
    if (taken) {
        report(DiagnosticCode::duplicate_metric, range, {name});
        return;
    }
    MetricValue found{name, {}};
    metric_ = &found;
    Value value = evaluate(*metric.value);
    metric_ = nullptr;
    if (value.poison()) return;
    const TensorValue *tensor = value.get<TensorValue>();
    if (!found.means.empty()) {
        if (!tensor || tensor->context != report_.get() || type_of(*tensor).rank() != 0) {
            report(DiagnosticCode::not_per_sample, metric.value->range, {"`metric`", describe(value), std::to_string(module_.batch)});
            return;
        }
        report_->graph.results.push_back({ResultKind::scalar, name, tensor->node});
        metrics_.push_back(found);
        return;
    }
    // Else the metric is the mean of what it gives.
    std::optional<NodeId> samples = per_sample(value, metric.value->range, "`metric`");
    if (!samples) return;
    if (type_of(*tensor).rank() == 0 && depends_on_data(*tensor)) {
        report(DiagnosticCode::metric_of_batch, metric.value->range, {std::to_string(module_.batch)});
        return;
    }
    report_->graph.results.push_back({ResultKind::scalar, name, mean_over_split(found, *samples)});
    metrics_.push_back(found);
}

NodeId Elaborator::mean_over_split(MetricValue &metric, NodeId samples) {
    const size_t index = size_t(std::find(metric.means.begin(), metric.means.end(), samples) - metric.means.begin());
    if (index == metric.means.size()) metric.means.push_back(samples);
    return report_->input(InputKind::scalar, std::string(kMeanOf) + mean_of_metric(metric.name, index), Type{DType::f64, {}});
}

void Elaborator::add_output(const std::string &name, const Value &value, SourceRange range) {
    if (value.poison()) return;
    const TensorValue *tensor = value.get<TensorValue>();
    if (!tensor || type_of(*tensor).rank() == 0 || type_of(*tensor).shape[0] != module_.batch) {
        report(DiagnosticCode::not_per_sample, range, {fmt::format("output `{}`", name), describe(value), std::to_string(module_.batch)});
        return;
    }
    for (const Result &other : outputs_)
        if (other.name == name) {
            report(DiagnosticCode::duplicate_name, range, {name});
            return;
        }
    outputs_.push_back({ResultKind::output, name, tensor->node});
}

namespace {
NodeId total(Builder &builder, const std::vector<NodeId> &values) {
    NodeId sum = values[0];
    for (size_t i = 1; i < values.size(); ++i) sum = builder.add(sum, values[i]);
    return sum;
}
}  // namespace

void Elaborator::add_metric_samples(Graph &graph) {
    for (const MetricValue &metric : metrics_)
        for (size_t i = 0; i < metric.means.size(); ++i) graph.results.push_back({ResultKind::sample, mean_of_metric(metric.name, i), metric.means[i]});
}

void Elaborator::finish_train(GraphContext &context) {
    if (!train_) return;
    if (losses_.empty()) {
        if (!diagnostics_->has_errors()) report(DiagnosticCode::no_loss, model_->name.range, {module_.name}).labels.push_back({train_->name.range, "trained here"});
        return;
    }
    if (diagnostics_->has_errors()) return;
    in_context(context, [&] {
        std::vector<NodeId> means, samples;
        for (const auto &[value, range] : losses_) {
            NodeId node = value.get<TensorValue>()->node;
            samples.push_back(*per_sample(value, range, "`loss`"));
            Value mean = build({value}, range, [&](GraphContext &c) {
                NodeId x = c.builder.cast(node, module_.float_type);
                if (c.builder.type(x).rank() == 0) return x;
                NodeId sum = c.builder.reduce(Op::reduce_sum, x, {0});
                return c.builder.multiply(sum, c.builder.constant(1.0 / double(module_.batch), Type{module_.float_type, {}}));
            });
            means.push_back(mean.get<TensorValue>()->node);
        }
        context.graph.results.push_back({ResultKind::loss, "loss", total(context.builder, means)});
        context.graph.results.push_back({ResultKind::sample, "loss", total(context.builder, samples)});
        add_metric_samples(context.graph);
    });
    module_.graphs["train"] = context.finish();
}

void Elaborator::finish_inference(GraphContext &context) {
    in_context(context, [&] {
        if (!losses_.empty() || !metrics_.empty()) {
            Graph whole = context.graph;
            std::vector<NodeId> samples;
            for (const auto &[value, range] : losses_) samples.push_back(*per_sample(value, range, "`loss`"));
            if (!samples.empty()) {
                NodeId loss = total(context.builder, samples);
                whole = context.graph;
                whole.results.push_back({ResultKind::sample, "loss", loss});
            }
            add_metric_samples(whole);
            module_.graphs["evaluate"] = dce(whole);
        }
        if (outputs_.empty()) {
            report(DiagnosticCode::no_output, model_->name.range, {module_.name});
            return;
        }
        Graph predict = context.graph;
        predict.name = "predict";
        predict.results = outputs_;
        module_.graphs["predict"] = dce(predict);
    });
    for (const MetricValue &metric : metrics_) module_.metrics.push_back({metric.name, true});
    if (!metrics_.empty()) module_.graphs["rules.report"] = report_->finish();
    module_.best_metric = "loss";
}

/// Parameters of inference that the training does not read, such as those of a layer that is called anew where `training` is false.
void Elaborator::find_never_trained() {
    if (!module_.graphs.count("train")) return;
    auto read_by = [&](const char *name, const Storage &storage) {
        const auto graph = module_.graphs.find(name);
        return graph != module_.graphs.end() && reads(graph->second, InputKind::storage, storage.path);
    };
    for (const Storage &storage : module_.storages)
        if (storage.kind == StorageKind::param && !read_by("train", storage) && (read_by("predict", storage) || read_by("generate", storage)))
            diagnostics_->report(DiagnosticCode::never_trained, storage.loc, {storage.path});
}

void Elaborator::layout_storages() {
    std::map<std::string, int64_t> end;
    for (Storage &storage : module_.storages) {
        storage.offset = end[storage.arena];
        end[storage.arena] += aligned_in_arena(storage.type.elements());
    }
    if (end["param"] > kMaxTensorElements)
        report(DiagnosticCode::too_many_parameters, model_->name.range, {std::to_string(end["param"])});
}

}  // namespace kiln
