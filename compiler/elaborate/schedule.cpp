// The rate of each step: rules.step, from the optimizer's `lr` through the schedule.
#include "compiler/elaborate/elaborator.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <limits>

namespace kiln {

namespace {

/// The run-time numbers that a value is computed from.
std::set<std::string> scalars_of(const Value &value) {
    std::set<std::string> names;
    const TensorValue *tensor = value.get<TensorValue>();
    if (!tensor) return names;
    const Graph &graph = tensor->context->graph;
    std::vector<bool> enters(graph.nodes.size(), false);
    enters[size_t(tensor->node.index)] = true;
    for (size_t i = graph.nodes.size(); i-- > 0;) {
        if (!enters[i]) continue;
        if (graph.nodes[i].op == Op::input) names.insert(attrs<InputAttrs>(graph.nodes[i]).name);
        for (NodeId operand : graph.nodes[i].operands) enters[size_t(operand.index)] = true;
    }
    return names;
}

/// Whether two numbers are the same one, known or computed.
bool same_number(const Value &a, const Value &b) {
    const TensorValue *first = a.get<TensorValue>(), *second = b.get<TensorValue>();
    return equal(a, b) || (first && second && first->context == second->context && first->node == second->node);
}

/// A rule with memory that a schedule has more than once.
std::optional<std::string> rule_used_twice(const ScheduleValue &schedule) {
    std::set<std::string> rules;
    std::optional<std::string> twice;
    std::function<void(const ScheduleValue &)> visit = [&](const ScheduleValue &part) {
        if (part.kind != ScheduleValue::Kind::leaf) {
            visit(*part.first);
            visit(*part.second);
        } else if (has_memory(part.leaf) && !rules.insert(part.leaf.name()).second) {
            twice = part.leaf.name();
        }
    };
    visit(schedule);
    return twice;
}

}  // namespace

void Elaborator::elaborate_rules(const std::vector<PhaseSettings> &phases) {
    GraphContext context("rules.step");
    context.training = context.scalar_only = true;
    in_context(context, [&] {
        auto add = [&](const char *name, const Value &value) {
            Value result = build({value}, train_->name.range, [&](GraphContext &built) {
                return built.builder.cast(materialize(built, value, DType::f64), DType::f64);
            });
            if (const TensorValue *tensor = result.get<TensorValue>()) context.graph.results.push_back({ResultKind::scalar, name, tensor->node});
        };
        begins_anew_.clear();
        add("rate", by_phase(phases, &Elaborator::rate_of));
        for (const auto &[name, value] : begins_anew_) add(name.c_str(), value);
        if (Value momentum = by_phase(phases, &Elaborator::momentum_of); !momentum.is<None>()) add("optimizer.momentum", momentum);
    });
    if (!diagnostics_->has_errors()) module_.graphs["rules.step"] = context.finish();
}

/// The value of the phase under way; of a phase without one, NaN.
Value Elaborator::by_phase(const std::vector<PhaseSettings> &phases, Value (Elaborator::*of)(const PhaseSettings &)) {
    std::vector<Value> values;
    bool any = false, poison = false;
    for (size_t i = 0; i < phases.size(); ++i) {
        phase_ = int(i);
        values.push_back((this->*of)(phases[i]));
        any |= !values.back().is<None>();
        poison |= values.back().poison();
    }
    phase_ = -1;
    if (poison) return {};
    if (!any) return values[0];
    SourceRange range = train_->name.range;
    for (Value &value : values)
        if (value.is<None>()) value = Value(std::numeric_limits<double>::quiet_NaN(), range);
    Value result = values.back();
    for (size_t i = phases.size() - 1; i-- > 0;) {
        Value current = binary(ast::BinaryOp::equal, scalar("phase"), Value(double(i), range), range);
        result = elementwise(Op::select, {current, values[i], result}, range);
    }
    return result;
}

/// The optimizer's `momentum` or `beta1`, for people to see; if it is computed at run time, also for the update to use.
Value Elaborator::momentum_of(const PhaseSettings &phase) {
    std::optional<FunctionValue> optimizer = optimizer_of(phase, nullptr);
    if (!optimizer) return {};
    for (const ast::Param &param : optimizer->params()) {
        if (param.name.text != "momentum" && param.name.text != "beta1") continue;
        auto bound = optimizer->bound->find(param.name.text);
        Value value = bound != optimizer->bound->end() ? bound->second : param.default_value ? evaluate(*param.default_value) : Value(None{});
        if (!value.number() && !is_scalar(value)) continue;
        SourceRange range = phase.settings.at("optimizer")->value->range;
        using B = ast::BinaryOp;
        for (const Value &sound : {binary(B::greater_equal, value, Value(0.0, range), range), binary(B::less, value, Value(1.0, range), range)})
            if (requirement(sound, fmt::format("`{}` is at least 0 and less than 1", param.name.text), range, false).poison()) return {};
        return value;
    }
    return Value(None{});
}

Value Elaborator::base_rate(const PhaseSettings &phase) {
    Value rate = given_rate(phase);
    if (rate.poison()) return rate;
    auto lr = phase.settings.find("lr");
    SourceRange range = phase.settings.at(lr != phase.settings.end() ? "lr" : "optimizer")->value->range;
    Value sound = binary(ast::BinaryOp::greater_equal, rate, Value(0.0, range), range);
    if (requirement(sound, "the learning rate is not negative", range, false).poison()) return {};
    return rate;
}

Value Elaborator::given_rate(const PhaseSettings &phase) {
    if (auto lr = phase.settings.find("lr"); lr != phase.settings.end()) {
        Value value = evaluate(*lr->second->value);
        if (!value.poison() && !value.number() && !is_scalar(value))
            return fail(DiagnosticCode::wrong_type, lr->second->value->range, {"`lr`", "a number", describe(value)});
        return value;
    }
    std::optional<FunctionValue> optimizer = optimizer_of(phase, nullptr);
    if (!optimizer) return {};
    SourceRange range = phase.settings.at("optimizer")->value->range;
    auto bound = optimizer->bound->find("lr");
    if (bound != optimizer->bound->end()) {
        if (!bound->second.number() && !is_scalar(bound->second)) return fail(DiagnosticCode::wrong_type, range, {"`lr`", "a number", describe(bound->second)});
        return bound->second;
    }
    for (const ast::Param &param : optimizer->params())
        if (param.name.text == "lr" && param.default_value) return evaluate(*param.default_value);
    return fail(DiagnosticCode::optimizer_without_rate, range, {optimizer->name()});
}

Value Elaborator::rate_of(const PhaseSettings &phase) {
    Value base = base_rate(phase);
    auto setting = phase.settings.find("schedule");
    if (setting == phase.settings.end() || base.poison()) return base;
    const ast::Expr &expr = *setting->second->value;
    Value value = evaluate(expr);
    if (value.poison()) return {};
    if (const FunctionValue *bare = value.get<FunctionValue>(); bare && bare->kind() == ast::DefinitionDecl::Kind::schedule)
        value = call(*bare, {}, expr.range, false);
    if (value.poison()) return {};
    if (const ScheduleValue *schedule = value.get<ScheduleValue>()) {
        if (has_memory(*schedule)) {
            if (const std::optional<std::string> twice = rule_used_twice(*schedule))
                return fail(DiagnosticCode::requirement, expr.range, {fmt::format("a schedule has `{}` once: what the rule remembers from epoch to epoch is one", *twice)});
            begin_anew(*schedule);
            base = binary(ast::BinaryOp::multiply, base, anew("lr_factor", 1, expr.range), expr.range);
        }
        Value rate = apply_schedule(*schedule, base);
        if (!has_memory(*schedule) && same_number(rate, base))
            return fail(DiagnosticCode::requirement, expr.range, {"this schedule has no effect: it gives the optimizer's rate as it is"});
        return rate;
    }
    if (value.number() || is_scalar(value)) {
        std::set<std::string> given = scalars_of(base), used = scalars_of(value);
        bool together = given.empty() || std::any_of(given.begin(), given.end(), [&](const std::string &name) { return used.count(name) > 0; });
        if (!together) return fail(DiagnosticCode::rate_without_effect, expr.range);
        return value;
    }
    return fail(DiagnosticCode::not_a_schedule, expr.range, {describe(value)});
}

/// A global that a phase's schedule remembers something in: in its first step what it is at first, whatever the phase before left.
Value Elaborator::anew(const std::string &name, double initial, SourceRange range) {
    declare_global(name, initial);
    if (module_.phases.size() < 2) return scalar(name);
    const Value begins = binary(ast::BinaryOp::equal, scalar("phase_step"), Value(0.0, range), range);
    return begins_anew_[name] = elementwise(Op::select, {begins, Value(initial, range), scalar(name)}, range);
}

void Elaborator::begin_anew(const ScheduleValue &schedule) {
    if (schedule.kind != ScheduleValue::Kind::leaf) {
        begin_anew(*schedule.first);
        begin_anew(*schedule.second);
        return;
    }
    if (!has_memory(schedule.leaf)) return;
    for (const ast::StorageStmt *global : storages_of(schedule.leaf, ast::StorageStmt::Kind::global)) {
        const Value initial = in_scope(schedule.leaf.scope, [&] { return evaluate(*global->init); });
        // What is no number is an error where the rule's end of an epoch is elaborated.
        if (initial.number()) anew(schedule.leaf.name() + "." + global->name.text, initial.as_double(), global->name.range);
    }
}

/// What a rule with memory requires of its arguments and of the length of its part.
void Elaborator::check_rule(const FunctionValue &rule, SourceRange range) {
    auto scope = std::make_shared<Scope>();
    scope->parent = rule.scope;
    frames_.push_back({range, range.file, rule.name()});
    in_scope(scope, [&] {
        if (!bind_definition(rule, range)) return;
        for (const ast::StmtPtr &stmt : std::get<ast::DefinitionDecl>(rule.declaration->node).body)
            if (!std::holds_alternative<ast::HookStmt>(stmt->node) && !std::holds_alternative<ast::StorageStmt>(stmt->node)) execute(*stmt);
    });
    frames_.pop_back();
}

Value Elaborator::apply_schedule(const ScheduleValue &schedule, const Value &rate) {
    if (rate.poison()) return {};
    SourceRange range = schedule.range;
    switch (schedule.kind) {
    case ScheduleValue::Kind::leaf: {
        const FunctionValue &leaf = schedule.leaf;
        if (has_memory(leaf)) {  // it acts through the base rate, at the ends of epochs
            check_rule(leaf, range);
            return rate;
        }
        std::vector<std::optional<Value>> values;
        for (const ast::Param &param : leaf.params()) {
            auto bound = leaf.bound->find(param.name.text);
            values.push_back(bound != leaf.bound->end() ? std::optional(bound->second) : std::nullopt);
            if (param.name.text == "rate" && !values.back()) values.back() = rate;
        }
        Value result = invoke(leaf, std::move(values), range);
        if (result.poison() || result.number() || is_scalar(result)) return result;
        return fail(DiagnosticCode::wrong_type, range, {fmt::format("the result of `{}`", leaf.name()), "a number", describe(result)});
    }
    case ScheduleValue::Kind::pipe: return apply_schedule(*schedule.second, apply_schedule(*schedule.first, rate));
    case ScheduleValue::Kind::then: {
        std::optional<Value> steps = duration(*schedule.first);
        if (!steps) return fail(DiagnosticCode::schedule_without_end, schedule.first->range);
        using B = ast::BinaryOp;
        Value now = lookup("phase_step", range), end = lookup("phase_steps", range);
        Value later_part = binary(B::less, *steps, end, range);
        if (requirement(later_part, "what follows `then` never applies: what comes before lasts to the end of the training", schedule.second->range, false).poison()) return {};
        std::map<std::string, Value> outer = clock_;
        // The first sees an end at its own, the second a start there.
        clock_["phase_steps"] = *steps;
        clock_["progress"] = elementwise(Op::minimum, {binary(B::divide, now, *steps, range), Value(1.0)}, range);
        Value first = apply_schedule(*schedule.first, rate);
        Value later = binary(B::subtract, now, *steps, range);
        Value left = elementwise(Op::maximum, {binary(B::subtract, end, *steps, range), Value(1.0)}, range);
        clock_["phase_step"] = later;
        clock_["phase_steps"] = left;
        clock_["progress"] = elementwise(Op::maximum, {binary(B::divide, later, left, range), Value(0.0)}, range);
        Value second = apply_schedule(*schedule.second, rate);
        clock_ = outer;
        if (first.poison() || second.poison()) return {};
        return elementwise(Op::select, {binary(B::less, now, *steps, range), first, second}, range);
    }
    }
    return {};
}

/// How many steps a schedule lasts: its `steps`, or its `epochs` times the steps of an epoch.
std::optional<Value> Elaborator::duration(const ScheduleValue &schedule) {
    switch (schedule.kind) {
    case ScheduleValue::Kind::leaf: {
        auto given = [&](const char *name) -> std::optional<Value> {
            auto bound = schedule.leaf.bound->find(name);
            if (bound == schedule.leaf.bound->end() || !(bound->second.number() || is_scalar(bound->second))) return {};
            return bound->second;
        };
        if (std::optional<Value> steps = given("steps")) return steps;
        if (std::optional<Value> epochs = given("epochs"))
            return binary(ast::BinaryOp::multiply, *epochs, lookup("steps_per_epoch", schedule.range), schedule.range);
        return {};
    }
    case ScheduleValue::Kind::pipe: {
        std::optional<Value> first = duration(*schedule.first);
        return first ? first : duration(*schedule.second);
    }
    case ScheduleValue::Kind::then: {
        std::optional<Value> first = duration(*schedule.first), second = duration(*schedule.second);
        if (!first || !second) return {};
        return binary(ast::BinaryOp::add, *first, *second, schedule.range);
    }
    }
    return {};
}

}  // namespace kiln
