#include "compiler/elaborate/elaborator.h"

#include "compiler/support/check.h"

#include <fmt/format.h>

namespace kiln {

namespace {
template <typename... F> struct Overloaded : F... { using F::operator()...; };
template <typename... F> Overloaded(F...) -> Overloaded<F...>;
}  // namespace

std::optional<Value> Elaborator::execute(const ast::Block &block) {
    for (const ast::StmtPtr &stmt : block)
        if (std::optional<Value> result = execute(*stmt)) return result;
    return {};
}

/// The last statement of an augmentation is its result, without `return`.
std::optional<Value> Elaborator::execute_augment(const ast::Block &block) {
    for (const ast::StmtPtr &stmt : block) {
        const auto *last = stmt == block.back() ? std::get_if<ast::ExprStmt>(&stmt->node) : nullptr;
        if (last) return evaluate(*last->value);
        if (std::optional<Value> result = execute(*stmt)) return result;
    }
    return {};
}

/// A wrong statement ends the call of a definition, whose result is wrong then; a model goes on, to find more.
std::optional<Value> Elaborator::after_error() const { return frames_.empty() ? std::nullopt : std::optional<Value>(Value()); }

std::optional<Value> Elaborator::execute(const ast::Stmt &stmt) {
    using Result = std::optional<Value>;
    auto misplaced = [&](const char *what) -> Result {
        report(DiagnosticCode::statement_outside_model, stmt.range, {what});
        return {};
    };
    bool in_model = model_ && path_ == model_->name.text && frames_.empty();
    return std::visit(
        Overloaded{
            [&](const ast::BindStmt &s) -> Result { execute_bind(s, stmt.range); return {}; },
            [&](const ast::UpdateStmt &s) -> Result { execute_update(s, stmt.range); return {}; },
            [&](const ast::StorageStmt &s) -> Result { execute_storage(s, stmt.range); return {}; },
            [&](const ast::SharedStmt &s) -> Result { execute_shared(s, stmt.range); return {}; },
            [&](const ast::ReturnStmt &s) -> Result {
                if (!in_model) return evaluate(*s.value);
                report(DiagnosticCode::return_in_model, stmt.range);
                return {};
            },
            [&](const ast::IfStmt &s) -> Result { return execute_if(s, stmt.range); },
            [&](const ast::ForStmt &s) -> Result { return execute_for(s, stmt.range); },
            [&](const ast::LossStmt &s) -> Result {
                if (!in_model) return misplaced("loss");
                add_loss(evaluate(*s.value), s.value->range);
                return {};
            },
            [&](const ast::MetricStmt &s) -> Result {
                if (!in_model) return misplaced("metric");
                add_metric(s, stmt.range);
                return {};
            },
            [&](const ast::OutputStmt &s) -> Result {
                if (!in_model) return misplaced("output");
                std::string name = s.name.text;
                if (name.empty()) {
                    const ast::NameRef *ref = std::get_if<ast::NameRef>(&s.value->node);
                    KILN_CHECK(ref, "the parser admits only names as outputs without a name");
                    name = ref->name;
                }
                Value value = evaluate(*s.value);
                const ast::NameRef *itself = std::get_if<ast::NameRef>(&s.value->node);
                const bool binds = !s.name.text.empty() && !(itself && itself->name == s.name.text);
                if (!binds || bind(s.name, value, false)) add_output(name, value, s.value->range);
                return {};
            },
            [&](const ast::GenerateStmt &s) -> Result {
                if (!in_model) return misplaced("generate");
                add_generation(s, stmt.range);
                return {};
            },
            [&](const ast::ExprStmt &s) -> Result {
                Value value = evaluate(*s.value);
                if (value.poison()) return after_error();
                if (!value.is<None>()) report(DiagnosticCode::value_unused, stmt.range, {describe(value)});
                return {};
            },
            [&](const ast::IndexStmt &s) -> Result {
                if (op_) execute_indexed(s, stmt.range);
                else report(DiagnosticCode::index_notation_outside_op, stmt.range);
                return {};
            },
            [&](const ast::HookStmt &s) -> Result { report(DiagnosticCode::hook_not_here, s.kind.range, {s.kind.text}); return {}; },
        },
        stmt.node);
}

void Elaborator::execute_bind(const ast::BindStmt &statement, SourceRange range) {
    Value value = evaluate(*statement.value);
    if (statement.type && !value.poison()) {
        std::optional<Value> checked = check_type(*statement.type, value, fmt::format("`{}`", statement.names[0].text), statement.value->range);
        value = checked ? *checked : Value();
    }
    if (statement.names.size() == 1) {
        bind(statement.names[0], std::move(value));
        return;
    }
    const TupleValue *tuple = value.get<TupleValue>();
    const ListValue *list = value.get<ListValue>();
    const std::vector<Value> *items = tuple ? tuple->items.get() : list ? list->items.get() : nullptr;
    const bool fits = items && items->size() == statement.names.size();
    if (!value.poison() && !fits) report(DiagnosticCode::wrong_value_count, range, {std::to_string(statement.names.size()), describe(value)});
    for (size_t i = 0; i < statement.names.size(); ++i) bind(statement.names[i], fits ? (*items)[i] : Value());
}

void Elaborator::execute_update(const ast::UpdateStmt &update, SourceRange range) {
    Value value = evaluate(*update.value);
    Binding *binding = find(update.name.text);
    if (!binding) {
        report_unknown(update.name.text, update.name.range);
        return;
    }
    if (value.poison()) {
        if (!binding->cell) binding->value = {};
        return;
    }
    const bool once_a_run = binding->cell && binding->cell->kind == InputKind::scalar && in_update_hook_;
    if (!binding->assignable || once_a_run) {
        Diagnostic &diagnostic = report(DiagnosticCode::not_assignable, update.name.range, {update.name.text});
        diagnostic.labels.push_back({binding->declared, "declared here"});
        if (once_a_run)
            diagnostic.notes.push_back("`update` runs for each parameter, or for several of them at once: what is one for the whole run is assigned in `before_step` or `epoch_end`");
        return;
    }
    if (!binding->cell) {
        if (local_writes_) local_writes_->push_back({binding, binding->value});
        binding->value = std::move(value);
        return;
    }
    const Cell cell = *binding->cell;
    if (cell.kind == InputKind::storage && !context_->training && !context_->scalar_only) {
        report(DiagnosticCode::update_in_inference, range, {update.name.text});
        return;
    }
    GraphContext &context = *context_;
    Value stored = build({value}, range, [&](GraphContext &built) {
        if (&built != &context) throw BuildError{"a value of another graph"};
        NodeId node = materialize(built, value, cell.type.dtype);
        node = built.builder.cast(node, cell.type.dtype);
        if (built.builder.type(node).shape != cell.type.shape && built.builder.type(node).rank() == 0)
            node = built.builder.broadcast_to(node, cell.type.shape);
        if (built.builder.type(node).shape != cell.type.shape)
            throw BuildError{fmt::format("`{}` is {} and cannot become {}", update.name.text, to_string(cell.type), to_string(built.builder.type(node)))};
        if (!touched_ || cell.kind == InputKind::scalar) return node;
        const NodeId touched = built.input(touched_->kind, touched_->name, touched_->type);
        return built.builder.append(Op::select, {touched, node, built.read(cell.kind, cell.name, cell.type)});
    });
    if (const TensorValue *tensor = stored.get<TensorValue>()) context.write(cell.kind, cell.name, tensor->node);
}

std::optional<Value> Elaborator::execute_if(const ast::IfStmt &branch, SourceRange range) {
    Value condition = evaluate(*branch.condition);
    if (condition.poison()) return after_error();
    if (const bool *known = condition.get<bool>()) {
        auto scope = std::make_shared<Scope>();
        scope->parent = scope_;
        return in_scope(scope, [&] { return execute(*known ? branch.then_block : branch.else_block); });
    }
    const TensorValue *tensor = condition.get<TensorValue>();
    if (!tensor || type_of(*tensor).dtype != DType::boolean || type_of(*tensor).rank() != 0) {
        report(DiagnosticCode::wrong_type, branch.condition->range, {"the condition of `if`", "true or false", describe(condition)});
        return {};
    }
    execute_guarded(branch, condition, range);
    return {};
}

// Both branches are elaborated; what either assigned becomes a selection.
void Elaborator::execute_guarded(const ast::IfStmt &branch, const Value &condition, SourceRange range) {
    GraphContext &context = *context_;
    using Cells = std::map<std::string, NodeId>;
    const Cells before = context.current;
    auto *outer_writes = local_writes_;
    std::map<Binding *, Value> old_locals;
    // Others are of the branch, or of what it calls, and are gone when it ends.
    std::set<Binding *> outer;
    for (Scope *scope = scope_.get(); scope; scope = scope->parent.get())
        for (auto &[name, binding] : scope->names) outer.insert(&binding);
    auto run = [&](const ast::Block &block) {
        std::vector<std::pair<Binding *, Value>> writes;
        local_writes_ = &writes;
        auto scope = std::make_shared<Scope>();
        scope->parent = scope_;
        if (in_scope(scope, [&] { return execute(block); })) report(DiagnosticCode::return_at_run_time, range);
        local_writes_ = outer_writes;
        std::map<Binding *, Value> values;
        for (const auto &[binding, old] : writes) {
            if (!outer.count(binding)) continue;
            old_locals.try_emplace(binding, old);
            values[binding] = binding->value;
        }
        for (const auto &[binding, value] : values) binding->value = old_locals[binding];
        Cells cells = context.current;
        context.current = before;
        return std::pair(std::move(values), std::move(cells));
    };
    auto [then_values, then_cells] = run(branch.then_block);
    auto [else_values, else_cells] = run(branch.else_block);

    for (const auto &[binding, old] : old_locals) {
        Value a = then_values.count(binding) ? then_values[binding] : old, b = else_values.count(binding) ? else_values[binding] : old;
        if (outer_writes) outer_writes->push_back({binding, old});
        binding->value = elementwise(Op::select, {condition, a, b}, range);
    }
    Cells written = then_cells;
    written.insert(else_cells.begin(), else_cells.end());
    for (const auto &[key, some] : written) {
        auto value_in = [&](const Cells &cells) {
            auto entry = cells.find(key);
            if (entry != cells.end()) return entry->second;
            InputKind kind = InputKind(std::stoi(key));
            return context.input(kind, key.substr(key.find(':') + 1), context.builder.type(some));
        };
        NodeId a = value_in(then_cells), b = value_in(else_cells);
        Value chosen = a == b ? Value(TensorValue{a, &context})
                              : elementwise(Op::select, {condition, TensorValue{a, &context}, TensorValue{b, &context}}, range);
        if (const TensorValue *tensor = chosen.get<TensorValue>()) context.current[key] = tensor->node;
    }
}

std::optional<Value> Elaborator::execute_for(const ast::ForStmt &loop, SourceRange range) {
    const ast::RangeExpr *bounds = std::get_if<ast::RangeExpr>(&loop.range->node);
    std::vector<Value> items;
    if (bounds) {
        std::optional<int64_t> begin = evaluate_int(*bounds->begin, "the start of a loop"), end = evaluate_int(*bounds->end, "the end of a loop");
        if (!begin || !end) return after_error();
        if (*end - *begin > 100000) {
            report(DiagnosticCode::loop_too_long, loop.range->range, {std::to_string(*end - *begin)});
            return after_error();
        }
        for (int64_t i = *begin; i < *end; ++i) items.push_back(Value(i, loop.range->range));
    } else {
        Value list = evaluate(*loop.range);
        if (list.poison()) return after_error();
        if (!list.is<ListValue>()) {
            report(DiagnosticCode::wrong_type, loop.range->range, {"what `for` goes through", "a range or a list", describe(list)});
            return after_error();
        }
        items = *list.get<ListValue>()->items;
    }
    for (const Value &item : items) {
        if (++turns_made_ > kMostTurns) {
            if (turns_made_ == kMostTurns + 1) report(DiagnosticCode::loops_too_long, loop.range->range, {std::to_string(kMostTurns)});
            return after_error();
        }
        auto scope = std::make_shared<Scope>();
        scope->parent = scope_;
        std::optional<Value> result = in_scope(scope, [&] {
            bind(loop.variable, item, false);
            return execute(loop.body);
        });
        if (result) return result;
    }
    return {};
}

}  // namespace kiln
