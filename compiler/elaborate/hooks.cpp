// Rules with memory: `global` scalars, `epoch_end`, and statistics of the gradient that add up over an epoch.
#include "compiler/elaborate/elaborator.h"

#include <fmt/format.h>

#include <algorithm>

namespace kiln {

namespace {

const ast::Block &body_of(const FunctionValue &definition) { return std::get<ast::DefinitionDecl>(definition.declaration->node).body; }

}  // namespace

bool has_memory(const FunctionValue &definition) {
    return std::any_of(body_of(definition).begin(), body_of(definition).end(), [](const ast::StmtPtr &stmt) { return std::holds_alternative<ast::HookStmt>(stmt->node); });
}

std::vector<const ast::StorageStmt *> storages_of(const FunctionValue &definition, ast::StorageStmt::Kind kind) {
    std::vector<const ast::StorageStmt *> storages;
    for (const ast::StmtPtr &stmt : body_of(definition))
        if (const auto *storage = std::get_if<ast::StorageStmt>(&stmt->node); storage && storage->kind == kind) storages.push_back(storage);
    return storages;
}

bool has_memory(const ScheduleValue &schedule) {
    if (schedule.kind == ScheduleValue::Kind::leaf) return has_memory(schedule.leaf);
    return has_memory(*schedule.first) || has_memory(*schedule.second);
}

/// Binds the parameters of an optimizer or schedule, and its globals, in the current scope.
bool Elaborator::bind_definition(const FunctionValue &definition, SourceRange range) {
    std::vector<std::optional<Value>> values;
    for (const ast::Param &param : definition.params()) {
        auto bound = definition.bound->find(param.name.text);
        values.push_back(bound != definition.bound->end() ? std::optional(bound->second) : std::nullopt);
    }
    if (!complete(definition, values, range)) return false;
    for (const ast::StorageStmt *global : storages_of(definition, ast::StorageStmt::Kind::global)) {
        std::string name = definition.name() + "." + global->name.text;
        Value initial = evaluate(*global->init);
        if (!initial.poison() && !initial.number())
            report(DiagnosticCode::wrong_type, global->init->range, {fmt::format("`global {}`", global->name.text), "a number known at compile time", describe(initial)});
        else if (initial.number()) declare_global(name, initial.as_double());
        bind(global->name, Value(), true, Cell{InputKind::scalar, name, Type{DType::f64, {}}});
    }
    return true;
}

void Elaborator::run_hook_body(const ast::HookStmt &hook) {
    int errors = diagnostics_->error_count();
    if (execute(hook.body) && diagnostics_->error_count() == errors) report(DiagnosticCode::return_in_model, hook.kind.range);
}

void Elaborator::declare_global(const std::string &name, double initial) {
    for (const Global &global : module_.globals)
        if (global.name == name) return;
    module_.globals.push_back({name, initial});
}

/// A number computed from `grad` in a rule: it is computed in every step's update and added up over the epoch.
Value Elaborator::statistic(NodeId node) {
    std::string name = fmt::format("statistic.{}", statistics_.size());
    statistics_.push_back({name, node});
    declare_global(name, 0);
    return scalar(name);
}

/// Appends the statistics to an update graph.
void Elaborator::append_statistics(GraphContext &context) {
    if (statistics_.empty()) return;
    std::vector<NodeId> copies;
    for (Node node : statistics_graph_->graph.nodes) {
        for (NodeId &operand : node.operands) operand = copies[size_t(operand.index)];
        copies.push_back(NodeId{context.graph.size()});
        context.graph.nodes.push_back(std::move(node));
    }
    for (const auto &[name, node] : statistics_) {
        NodeId now = context.builder.cast(copies[size_t(node.index)], DType::f64);
        NodeId before = context.read(InputKind::scalar, name, Type{DType::f64, {}});
        context.write(InputKind::scalar, name, context.builder.add(before, now));
    }
}

void Elaborator::run_epoch_end(const FunctionValue &definition, const Value &rate, SourceRange range) {
    auto scope = std::make_shared<Scope>();
    scope->parent = definition.scope;
    frames_.push_back({range, range.file, definition.name()});
    in_scope(scope, [&] {
        if (!bind_definition(definition, range)) return;
        for (const ast::StmtPtr &stmt : body_of(definition)) {
            const auto *hook = std::get_if<ast::HookStmt>(&stmt->node);
            bool optimizer = definition.kind() == ast::DefinitionDecl::Kind::optimizer;
            if (hook && hook->kind.text != "epoch_end" && !(optimizer && (hook->kind.text == "update" || hook->kind.text == "update_rows" || hook->kind.text == "before_step")))
                report(DiagnosticCode::hook_not_here, hook->kind.range, {hook->kind.text});
            if (!hook || hook->kind.text != "epoch_end") continue;
            auto inner = std::make_shared<Scope>();
            inner->parent = scope_;
            if (!optimizer) inner->names["lr"] = Binding{rate, {}, false, true, hook->kind.range};
            in_scope(inner, [&] {
                run_hook_body(*hook);
            });
            if (optimizer || !rate.is<TensorValue>()) continue;
            const Value &changed = inner->names["lr"].value;
            if (changed.poison() || (changed.is<TensorValue>() && changed.get<TensorValue>()->node == rate.get<TensorValue>()->node)) continue;
            // Kept as a factor of the base rate, which a flag may change when the run is resumed. A rate of 0 has none, and stays.
            Value change = elementwise(Op::select, {binary(ast::BinaryOp::greater, rate, Value(0.0, range), range), binary(ast::BinaryOp::divide, changed, rate, range), Value(1.0, range)}, range);
            Value factor = binary(ast::BinaryOp::multiply, rate_factor(), change, range);
            if (const TensorValue *tensor = factor.get<TensorValue>()) context_->write(InputKind::scalar, "lr_factor", tensor->node);
        }
    });
    frames_.pop_back();
}

/// What rules have made of the rate so far, those before this one at the end of the same epoch, too.
Value Elaborator::rate_factor() { return TensorValue{context_->read(InputKind::scalar, "lr_factor", Type{DType::f64, {}}), context_}; }

/// What was written since `before` keeps its value unless `active` holds.
void Elaborator::only_if(const Value &active, const std::map<std::string, NodeId> &before, SourceRange range) {
    for (auto &[key, node] : context_->current) {
        auto old = before.find(key);
        if (old != before.end() && old->second == node) continue;
        NodeId unchanged = old != before.end() ? old->second : context_->input(InputKind::scalar, key.substr(key.find(':') + 1), Type{DType::f64, {}});
        Value chosen = elementwise(Op::select, {active, TensorValue{node, context_}, TensorValue{unchanged, context_}}, range);
        if (const TensorValue *tensor = chosen.get<TensorValue>()) node = tensor->node;
    }
}

/// Runs `epoch_end` of the rules with memory in a schedule; of those beside `then` only in epochs that end in their part.
void Elaborator::anneal(const ScheduleValue &schedule, const Value &rate, std::optional<Value> active) {
    SourceRange range = schedule.range;
    using B = ast::BinaryOp;
    switch (schedule.kind) {
    case ScheduleValue::Kind::leaf: {
        if (!has_memory(schedule.leaf)) return;
        std::map<std::string, NodeId> before = context_->current;
        run_epoch_end(schedule.leaf, binary(B::multiply, rate, rate_factor(), range), range);
        if (active) only_if(*active, before, range);
        return;
    }
    case ScheduleValue::Kind::pipe:
        anneal(*schedule.first, rate, active);
        anneal(*schedule.second, rate, active);
        return;
    case ScheduleValue::Kind::then: {
        std::optional<Value> steps = duration(*schedule.first);
        if (!steps) return;  // said so by the rate
        Value first = binary(B::less, lookup("phase_step", range), *steps, range), second = elementwise(Op::logical_not, {first}, range);
        if (active) {
            first = elementwise(Op::logical_and, {*active, first}, range);
            second = elementwise(Op::logical_and, {*active, second}, range);
        }
        std::map<std::string, Value> outer = clock_;
        anneal(*schedule.first, rate, first);
        clock_["phase_step"] = binary(B::subtract, lookup("phase_step", range), *steps, range);
        anneal(*schedule.second, rate, second);
        clock_ = outer;
        return;
    }
    }
}

void Elaborator::epoch_rules(const std::vector<PhaseSettings> &phases) {
    statistics_graph_ = std::make_unique<GraphContext>("statistics");
    GraphContext context("rules.epoch");
    context.training = context.scalar_only = true;
    in_context(context, [&] {
        int64_t elements = module_.arena_elements("param");
        Type type{module_.float_type, {elements}};
        gradient_ = Value(TensorValue{statistics_graph_->input(InputKind::arena, fmt::format("gradient[0:{}]", elements), type), statistics_graph_.get()});
        for (size_t i = 0; i < phases.size(); ++i) {
            std::map<std::string, NodeId> before = context.current;
            SourceRange range = train_->name.range;
            if (std::optional<FunctionValue> optimizer = optimizer_of(phases[i], nullptr); optimizer && has_memory(*optimizer))
                run_epoch_end(*optimizer, Value(), range);
            auto setting = phases[i].settings.find("schedule");
            if (setting != phases[i].settings.end()) {
                range = setting->second->value->range;
                Value value = evaluate(*setting->second->value);
                if (const FunctionValue *bare = value.get<FunctionValue>()) value = call(*bare, {}, range, false);
                if (const ScheduleValue *schedule = value.get<ScheduleValue>(); schedule && has_memory(*schedule)) {
                    anneal(*schedule, base_rate(phases[i]), {});
                }
            }
            if (phases.size() == 1) continue;
            // Only the phase under way changes anything.
            only_if(binary(ast::BinaryOp::equal, scalar("phase"), Value(double(i)), range), before, range);
        }
        for (const auto &[name, node] : statistics_) context.write(InputKind::scalar, name, context.builder.constant(0, Type{DType::f64, {}}));
    });
    gradient_.reset();
    if (!diagnostics_->has_errors() && !context.writes.empty()) module_.graphs["rules.epoch"] = context.finish();
}

}  // namespace kiln
