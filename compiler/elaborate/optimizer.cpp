// The optimizer's step as a graph: over whole ranges of the arenas if it is elementwise, else parameter by parameter.
#include "compiler/elaborate/elaborator.h"

#include <fmt/format.h>

#include <algorithm>

namespace kiln {

namespace {

/// Whether this optimizer goes around another, given as its first argument.
bool is_wrapper(const FunctionValue &optimizer) {
    return !optimizer.params().empty() && optimizer.params()[0].name.text == "inner" && optimizer.bound && optimizer.bound->count("inner");
}

}  // namespace

std::optional<FunctionValue> Elaborator::optimizer_of(const PhaseSettings &phase, const Value *rate, std::vector<FunctionValue> *wrappers) {
    const ast::Expr &expr = *phase.settings.at("optimizer")->value;
    Value value = evaluate(expr);
    if (value.poison()) return {};
    const FunctionValue *function = value.get<FunctionValue>();
    if (function && function->kind() == ast::DefinitionDecl::Kind::optimizer && !function->bound) {
        value = call(*function, {}, expr.range, false);
        function = value.get<FunctionValue>();
        if (!function) return {};
    }
    if (!function || function->kind() != ast::DefinitionDecl::Kind::optimizer) {
        report(DiagnosticCode::wrong_type, expr.range, {"`optimizer`", "an optimizer", describe(value)});
        return {};
    }
    FunctionValue result = *function;
    while (is_wrapper(result)) {
        if (wrappers) wrappers->insert(wrappers->begin(), result);
        Value inner = result.bound->at("inner");
        const FunctionValue *next = inner.get<FunctionValue>();
        if (next && next->kind() == ast::DefinitionDecl::Kind::optimizer && !next->bound) {
            inner = call(FunctionValue(*next), {}, expr.range, false);
            next = inner.get<FunctionValue>();
        }
        if (inner.poison()) return {};
        if (!next || next->kind() != ast::DefinitionDecl::Kind::optimizer) {
            report(DiagnosticCode::wrong_type, expr.range, {fmt::format("`inner` of `{}`", result.name()), "an optimizer", describe(inner)});
            return {};
        }
        result = FunctionValue(*next);
    }
    if (rate) {
        auto bound = std::make_shared<std::map<std::string, Value>>(*result.bound);
        (*bound)["lr"] = *rate;
        for (const char *name : {"momentum", "beta1"})
            if (auto momentum = bound->find(name); momentum != bound->end() && is_scalar(momentum->second)) momentum->second = scalar("optimizer.momentum");
        result.bound = std::move(bound);
    }
    return result;
}

void Elaborator::elaborate_updates(const std::vector<PhaseSettings> &phases) {
    find_optimizers(phases);
    bool alike = true;
    for (const PhaseSettings &phase : phases)
        alike &= phase.frozen == phases[0].frozen && phase.settings.at("optimizer") == phases[0].settings.at("optimizer");
    for (size_t i = 0; i < (alike ? 1 : phases.size()); ++i) {
        std::string name = alike ? "update" : own_graph_of_phase("update", i);
        int errors = diagnostics_->error_count();
        std::optional<Graph> graph;
        {
            // Flat first; whether that is right shows only in the graph.
            std::vector<Storage> storages = module_.storages;
            Graph init = init_->graph;
            const Diagnostics trial = unreported([&] { graph = update_graph(phases, i, name, true); });
            if (trial.has_errors() || !graph) {
                graph.reset();
                module_.storages = std::move(storages);
                init_->graph = std::move(init);
            }
        }
        if (!graph) graph = update_graph(phases, i, name, false);
        if (graph && diagnostics_->error_count() == errors) module_.graphs[name] = std::move(*graph);
    }
    module_.graphs["init"] = init_->finish();
}

/// Ranges of the arena are cut where the counters of `step` differ if it is `counted`, which shows only when the hooks have run.
std::optional<Graph> Elaborator::update_graph(const std::vector<PhaseSettings> &phases, size_t index, const std::string &name, bool flat, bool counted) {
    const PhaseSettings &phase = phases[index];
    counts_.clear();
    step_asked_ = false;
    GraphContext context(name);
    context.training = true;
    std::set<int32_t> whole;
    bool ok = in_context(context, [&] {
        Value rate = scalar("rate");
        std::vector<FunctionValue> around;
        std::optional<FunctionValue> optimizer = optimizer_of(phase, &rate, &around);
        if (!optimizer) return false;
        declare_state(*optimizer);
        const ast::Block &body = std::get<ast::DefinitionDecl>(optimizer->declaration->node).body;
        auto outer = std::make_shared<Scope>();
        outer->parent = optimizer->scope;
        SourceRange range = phase.settings.at("optimizer")->value->range;
        frames_.push_back({range, range.file, optimizer->name()});
        std::vector<Wrapper> wrappers;
        gradient_ = whole_gradient(context, phase, whole);
        bool bound = bind_wrappers(around, wrappers, range);
        std::vector<Piece> pieces = bound ? pieces_of(phases, index, *optimizer, flat, counted) : std::vector<Piece>{};
        for (Piece &piece : pieces) {
            NodeId raw = context.input(piece.gradient_cell.kind, piece.gradient_cell.name, piece.param.type);
            piece.gradient = Value(TensorValue{raw, &context});
        }
        for (const Wrapper &wrapper : wrappers) pass_through(wrapper, pieces, flat);
        bound = bound && !gradient_->poison() && in_scope(outer, [&] {
            counter_ = step_counter(phases, *optimizer, "");
            if (!bind_definition(*optimizer, range)) return false;
            for (const ast::StmtPtr &stmt : body) {
                const auto *hook = std::get_if<ast::HookStmt>(&stmt->node);
                if (hook && hook->kind.text == "before_step") run_before_step(*hook);
                else if (!hook && !std::holds_alternative<ast::StorageStmt>(stmt->node)) execute(*stmt);
            }
            return true;
        });
        counter_.clear();  // wrappers count the steps of the run
        for (size_t i = 0; bound && i < pieces.size(); ++i) {
            const Piece &piece = pieces[i];
            int errors = diagnostics_->error_count();
            updating_ = piece.path;
            for (const Wrapper &wrapper : wrappers) run_wrapper_hook(wrapper, "before_update", piece.param);
            auto scope = std::make_shared<Scope>();
            scope->parent = outer;
            counter_ = piece.counter;
            in_scope(scope, [&] {
                for (const ast::StorageStmt *state : storages_of(*optimizer, ast::StorageStmt::Kind::state))
                    bind(state->name, Value(), true, piece.state(state_name(*optimizer, state->name.text)));
                for (const ast::StmtPtr &stmt : body) {
                    const auto *hook = std::get_if<ast::HookStmt>(&stmt->node);
                    if (hook && hook->kind.text != "before_step" && hook->kind.text != "epoch_end") run_update_hook(*hook, piece);
                }
            });
            counter_.clear();
            bool written = std::any_of(context.writes.begin(), context.writes.end(), [&](const Result &write) { return write.name == piece.param.name; });
            if (!written && diagnostics_->error_count() == errors) report(DiagnosticCode::parameter_not_written, optimizer->place, {optimizer->name()});
            for (const Wrapper &wrapper : wrappers) run_wrapper_hook(wrapper, "after_update", piece.param);
            if (diagnostics_->has_errors()) break;  // the next parameter would say the same
        }
        updating_.clear();
        frames_.pop_back();
        return bound;
    });
    gradient_.reset();
    if (!ok || (flat && needs_whole_parameters(context, whole))) return {};
    if (flat && !counted && step_asked_ && phases.size() > 1) return update_graph(phases, index, name, flat, true);
    append_statistics(context);
    return context.finish();
}

/// What one run of the hooks updates: a range of the arena, or a parameter.
std::vector<Elaborator::Piece> Elaborator::pieces_of(const std::vector<PhaseSettings> &phases, size_t index, const FunctionValue &optimizer, bool flat, bool counted) {
    const PhaseSettings &phase = phases[index];
    std::vector<Storage> params;
    for (const Storage &storage : module_.storages)
        if (storage.kind == StorageKind::param && !phase.freezes(storage.path))
            params.push_back(storage);
    std::vector<Piece> pieces;
    for (size_t i = 0; i < params.size();) {
        int64_t begin = params[i].offset, end = begin;
        const Storage &first = params[i];
        const std::string counter = step_counter(phases, optimizer, first.path);
        do {
            end = params[i].offset + aligned_in_arena(params[i].type.elements());
            ++i;
        } while (flat && i < params.size() && params[i].offset == end && (!counted || step_counter(phases, optimizer, params[i].path) == counter));
        if (flat) {
            std::string range = fmt::format("[{}:{}]", begin, end);
            Type type{module_.float_type, {end - begin}};
            pieces.push_back({"", range, counter, {InputKind::arena, "param" + range, type}, {InputKind::arena, "gradient" + range, type}, {}});
        } else {
            pieces.push_back({first.path, "", counter, {InputKind::storage, first.path, first.type}, {InputKind::storage, "gradient:" + first.path, first.type}, {}});
        }
    }
    return pieces;
}

Cell Elaborator::Piece::state(const std::string &name) const {
    if (path.empty()) return {InputKind::arena, fmt::format("state.{}{}", name, range), param.type};
    return {InputKind::storage, path + "." + name, param.type};
}

Cell Elaborator::Piece::touched() const {
    const Type type{DType::boolean, param.type.shape};
    if (path.empty()) return {InputKind::arena, "touched" + range, type};
    return {InputKind::storage, "touched:" + path, type};
}

void Elaborator::run_update_hook(const ast::HookStmt &hook, const Piece &piece) {
    const bool rows = hook.kind.text == "update_rows";
    if (!rows && hook.kind.text != "update") {
        report(DiagnosticCode::hook_not_here, hook.kind.range, {hook.kind.text});
        return;
    }
    if (hook.params.size() != 2) {
        report(DiagnosticCode::update_parameters, hook.kind.range);
        return;
    }
    auto scope = std::make_shared<Scope>();
    scope->parent = scope_;
    in_scope(scope, [&] {
        bind(hook.params[0], Value(), true, piece.param);
        bind(hook.params[1], *piece.gradient, false);
        scope->names[hook.params[1].text].assignable = false;
        if (rows) touched_ = piece.touched();
        in_update_hook_ = true;
        run_hook_body(hook);
        in_update_hook_ = false;
        touched_.reset();
    });
}

/// Binds the parameters of the wrappers, from the innermost outwards. `lr` is the rate of the step in them too.
bool Elaborator::bind_wrappers(const std::vector<FunctionValue> &wrappers, std::vector<Wrapper> &bound, SourceRange range) {
    static const std::vector<std::string> hooks = {"gradient", "before_update", "after_update"};
    for (const FunctionValue &definition : wrappers) {
        Wrapper wrapper{definition, std::make_shared<Scope>()};
        wrapper.scope->parent = definition.scope;
        wrapper.scope->names["lr"] = Binding{scalar("rate"), {}, false, false, definition.place};
        bool ok = in_scope(wrapper.scope, [&] {
            if (!bind_definition(definition, range)) return false;
            for (const ast::StmtPtr &stmt : std::get<ast::DefinitionDecl>(definition.declaration->node).body) {
                const auto *hook = std::get_if<ast::HookStmt>(&stmt->node);
                if (hook && std::find(hooks.begin(), hooks.end(), hook->kind.text) != hooks.end()) {
                    if (hook->params.size() == 1) continue;
                    report(DiagnosticCode::wrapper_parameters, hook->kind.range, {hook->kind.text});
                    return false;
                }
                const auto *storage = std::get_if<ast::StorageStmt>(&stmt->node);
                if (hook) report(DiagnosticCode::hook_not_here, hook->kind.range, {hook->kind.text});
                else if (storage) report(DiagnosticCode::storage_not_here, stmt->range, {storage->name.text, "an optimizer with `update`"});
                else execute(*stmt);
                if (hook || storage) return false;
            }
            return true;
        });
        if (!ok) return false;
        bound.push_back(wrapper);
    }
    return true;
}

/// Sends the gradients of the pieces, and `grad`, the whole model's, through a wrapper. Ranges of the arena are changed element by
/// element or not at all, so that the whole can go through like a piece; of parameters, each with a norm of its own perhaps, it is put together again.
void Elaborator::pass_through(const Wrapper &wrapper, std::vector<Piece> &pieces, bool flat) {
    if (gradient_->poison()) return;
    for (Piece &piece : pieces) {
        updating_ = piece.path;
        piece.gradient = wrapped_gradient(wrapper, *piece.gradient);
        if (!piece.gradient->poison()) continue;
        gradient_ = Value();
        return;
    }
    updating_.clear();
    if (flat) {
        gradient_ = wrapped_gradient(wrapper, *gradient_);
        return;
    }
    gradient_ = build({}, wrapper.definition.place, [&](GraphContext &context) {
        std::vector<NodeId> flattened;
        for (const Piece &piece : pieces)
            flattened.push_back(context.builder.reshape(piece.gradient->get<TensorValue>()->node, {piece.param.type.elements()}));
        return flattened.size() == 1 ? flattened[0] : context.builder.append(Op::concat, flattened, AxisAttrs{0});
    });
}

Value Elaborator::wrapped_gradient(const Wrapper &wrapper, const Value &gradient) {
    Value result = gradient;
    for (const ast::StmtPtr &stmt : std::get<ast::DefinitionDecl>(wrapper.definition.declaration->node).body) {
        const auto *hook = std::get_if<ast::HookStmt>(&stmt->node);
        if (!hook || hook->kind.text != "gradient" || result.poison()) continue;
        auto scope = std::make_shared<Scope>();
        scope->parent = wrapper.scope;
        result = in_scope(scope, [&] {
            bind(hook->params[0], result, true);
            run_hook_body(*hook);
            return scope->names[hook->params[0].text].value;
        });
        const TensorValue *before = gradient.get<TensorValue>(), *after = result.get<TensorValue>();
        if (result.poison() || (after && type_of(*after) == type_of(*before))) continue;
        result = fail(DiagnosticCode::wrong_type, hook->params[0].range, {fmt::format("`{}`", hook->params[0].text), describe(gradient), describe(result)});
    }
    return result;
}

void Elaborator::run_wrapper_hook(const Wrapper &wrapper, const std::string &name, const Cell &param) {
    for (const ast::StmtPtr &stmt : std::get<ast::DefinitionDecl>(wrapper.definition.declaration->node).body) {
        const auto *hook = std::get_if<ast::HookStmt>(&stmt->node);
        if (!hook || hook->kind.text != name) continue;
        auto scope = std::make_shared<Scope>();
        scope->parent = wrapper.scope;
        in_scope(scope, [&] {
            bind(hook->params[0], Value(), true, param);
            run_hook_body(*hook);
        });
    }
}

void Elaborator::run_before_step(const ast::HookStmt &hook) {
    auto scope = std::make_shared<Scope>();
    scope->parent = scope_;
    in_scope(scope, [&] {
        if (hook.params.size() > 1) report(DiagnosticCode::update_parameters, hook.kind.range);
        else if (hook.params.size() == 1) bind(hook.params[0], scalar("loss"), false);
        run_hook_body(hook);
    });
}

/// The gradient of every trained parameter, end to end.
Value Elaborator::whole_gradient(GraphContext &context, const PhaseSettings &phase, std::set<int32_t> &whole) {
    std::vector<NodeId> pieces;
    int64_t begin = -1, end = -1;
    auto close = [&] {
        if (begin < 0) return;
        pieces.push_back(context.builder.input(InputKind::arena, fmt::format("gradient[{}:{}]", begin, end), Type{module_.float_type, {end - begin}}));
        whole.insert(pieces.back().index);
        begin = -1;
    };
    for (const Storage &storage : module_.storages) {
        if (storage.kind != StorageKind::param) continue;
        if (phase.freezes(storage.path)) {
            close();
            continue;
        }
        if (begin < 0) begin = storage.offset;
        end = storage.offset + aligned_in_arena(storage.type.elements());
    }
    close();
    NodeId node = pieces[0];
    if (pieces.size() > 1) {
        node = context.builder.append(Op::concat, pieces, AxisAttrs{0});
        whole.insert(node.index);
    }
    return Value(TensorValue{node, &context});
}

/// Whether a value of one element depends on others, so that the borders between parameters matter. What depends only on the
/// gradient of the whole model (`whole`) does not.
bool Elaborator::needs_whole_parameters(const GraphContext &context, const std::set<int32_t> &whole) const {
    const Graph &graph = context.graph;
    std::set<int32_t> exempt = whole;
    for (int32_t i = 0; i < graph.size(); ++i) {
        const Node &node = graph[NodeId{i}];
        bool reads_tensor = false, only_whole = true;
        for (NodeId operand : node.operands) {
            if (graph[operand].type.rank() == 0) continue;
            reads_tensor = true;
            only_whole &= exempt.count(operand.index) > 0;
        }
        if (!reads_tensor) {
            if (node.op == Op::constant || node.op == Op::broadcast) exempt.insert(i);  // one number everywhere
            continue;
        }
        if (only_whole) exempt.insert(i);
        else if (!has_trait(node.op, kElementwise)) return true;
    }
    for (int32_t asked : context.asked_shapes)
        if (graph[NodeId{asked}].type.rank() > 0 && !exempt.count(asked)) return true;
    return false;
}

}  // namespace kiln
