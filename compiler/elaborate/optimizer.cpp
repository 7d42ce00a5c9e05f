// The optimizer's step as a graph: over whole ranges of the arenas if it is elementwise, else parameter by parameter.
#include "compiler/elaborate/elaborator.h"

#include "compiler/support/check.h"

#include <fmt/format.h>

#include <algorithm>

namespace kiln {

std::optional<FunctionValue> Elaborator::optimizer_of(const PhaseSettings &phase, const Value *rate) {
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
    if (rate) {
        auto bound = std::make_shared<std::map<std::string, Value>>(*result.bound);
        (*bound)["lr"] = *rate;
        result.bound = std::move(bound);
    }
    return result;
}

void Elaborator::elaborate_updates(const std::vector<PhaseSettings> &phases) {
    bool alike = true;
    for (const PhaseSettings &phase : phases)
        alike &= phase.frozen == phases[0].frozen && phase.settings.at("optimizer") == phases[0].settings.at("optimizer");
    for (size_t i = 0; i < (alike ? 1 : phases.size()); ++i) {
        std::string name = alike ? "update" : fmt::format("update.{}", i);
        int errors = diagnostics_->error_count();
        std::optional<Graph> graph;
        {
            // Flat first; whether that is right shows only in the graph.
            Diagnostics trial, *real = diagnostics_;
            diagnostics_ = &trial;
            std::vector<Storage> storages = module_.storages;
            Graph init = init_->graph;
            graph = update_graph(phases[i], name, true);
            diagnostics_ = real;
            if (trial.has_errors() || !graph) {
                graph.reset();
                module_.storages = std::move(storages);
                init_->graph = std::move(init);
            }
        }
        if (!graph) graph = update_graph(phases[i], name, false);
        if (graph && diagnostics_->error_count() == errors) module_.graphs[name] = std::move(*graph);
    }
    module_.graphs["init"] = init_->finish();
}

/// Each optimizer state has the layout of the parameters.
void Elaborator::declare_state(const FunctionValue &optimizer) {
    for (const ast::StmtPtr &stmt : std::get<ast::DefinitionDecl>(optimizer.declaration->node).body) {
        const auto *state = std::get_if<ast::StorageStmt>(&stmt->node);
        if (!state || state->kind != ast::StorageStmt::Kind::state) continue;
        std::string arena = "state." + state->name.text;
        bool known = false;
        for (const Storage &storage : module_.storages) known |= storage.arena == arena;
        if (known) continue;
        Value initial = in_scope(optimizer.scope, [&] { return evaluate(*state->init); });
        if (initial.poison()) continue;
        if (!initial.number()) {
            report(DiagnosticCode::wrong_type, state->init->range, {fmt::format("`state {}`", state->name.text), "a number known at compile time", describe(initial)});
            continue;
        }
        std::vector<Storage> params;
        for (const Storage &storage : module_.storages)
            if (storage.kind == StorageKind::param) params.push_back(storage);
        init_->builder.set_loc(to_loc(stmt->range));
        init_->builder.set_scope("");
        if (initial.as_double() == 0) {
            int64_t elements = module_.arena_elements("param");
            NodeId zero = init_->builder.constant(0, Type{module_.float_type, {elements}});
            init_->graph.results.push_back({ResultKind::store, fmt::format("{}[0:{}]", arena, elements), zero});
        }
        for (const Storage &param : params) {
            Storage storage = param;
            storage.path = param.path + "." + state->name.text;
            storage.kind = StorageKind::state;
            storage.arena = arena;
            if (initial.as_double() != 0)
                init_->graph.results.push_back({ResultKind::store, storage.path, init_->builder.constant(initial.as_double(), storage.type)});
            module_.storages.push_back(std::move(storage));
        }
    }
}

std::optional<Graph> Elaborator::update_graph(const PhaseSettings &phase, const std::string &name, bool flat) {
    GraphContext context(name);
    context.training = true;
    std::set<int32_t> whole;
    bool ok = in_context(context, [&] {
        Value rate = scalar("rate");
        std::optional<FunctionValue> optimizer = optimizer_of(phase, &rate);
        if (!optimizer) return false;
        declare_state(*optimizer);
        const ast::Block &body = std::get<ast::DefinitionDecl>(optimizer->declaration->node).body;
        auto outer = std::make_shared<Scope>();
        outer->parent = optimizer->scope;
        SourceRange range = phase.settings.at("optimizer")->value->range;
        frames_.push_back({range, range.file, optimizer->name()});
        bool bound = in_scope(outer, [&] {
            if (!bind_definition(*optimizer, range)) return false;
            gradient_ = whole_gradient(context, phase, whole);
            for (const ast::StmtPtr &stmt : body) {
                const auto *hook = std::get_if<ast::HookStmt>(&stmt->node);
                if (hook && hook->kind.text == "before_step") run_before_step(*hook);
                else if (!hook && !std::holds_alternative<ast::StorageStmt>(stmt->node)) execute(*stmt);
            }
            return true;
        });
        auto run = [&](const std::string &suffix, const Type &type, const std::string &path) {
            auto scope = std::make_shared<Scope>();
            scope->parent = outer;
            in_scope(scope, [&] {
                for (const ast::StmtPtr &stmt : body) {
                    const auto *state = std::get_if<ast::StorageStmt>(&stmt->node);
                    if (state && state->kind == ast::StorageStmt::Kind::state) {
                        Cell cell = flat ? Cell{InputKind::arena, fmt::format("state.{}{}", state->name.text, suffix), type}
                                         : Cell{InputKind::storage, path + "." + state->name.text, type};
                        bind(state->name, Value(), true, cell);
                    }
                }
                for (const ast::StmtPtr &stmt : body) {
                    const auto *hook = std::get_if<ast::HookStmt>(&stmt->node);
                    if (hook && hook->kind.text != "before_step" && hook->kind.text != "epoch_end") run_update_hook(*hook, suffix, type, flat, path);
                }
            });
        };
        std::vector<Storage> params;
        for (const Storage &storage : module_.storages)
            if (storage.kind == StorageKind::param && std::find(phase.frozen.begin(), phase.frozen.end(), storage.path) == phase.frozen.end())
                params.push_back(storage);
        for (size_t i = 0; bound && i < params.size();) {
            int64_t begin = params[i].offset, end = begin;
            size_t first = i;
            do {
                end = params[i].offset + (params[i].type.elements() + 15) / 16 * 16;
                ++i;
            } while (flat && i < params.size() && params[i].offset == end);
            if (flat) run(fmt::format("[{}:{}]", begin, end), Type{module_.float_type, {end - begin}}, "");
            else run("", params[first].type, params[first].path);
        }
        frames_.pop_back();
        return bound;
    });
    gradient_.reset();
    if (!ok || (flat && needs_whole_parameters(context, whole))) return {};
    append_statistics(context);
    return context.finish();
}

void Elaborator::run_update_hook(const ast::HookStmt &hook, const std::string &suffix, const Type &type, bool flat, const std::string &path) {
    if (hook.kind.text != "update") {
        report(DiagnosticCode::not_supported, hook.kind.range, {fmt::format("the hook `{}`", hook.kind.text)});
        return;
    }
    if (hook.params.size() != 2) {
        report(DiagnosticCode::update_parameters, hook.kind.range);
        return;
    }
    auto scope = std::make_shared<Scope>();
    scope->parent = scope_;
    in_scope(scope, [&] {
        if (flat) {
            bind(hook.params[0], Value(), true, Cell{InputKind::arena, "param" + suffix, type});
            bind(hook.params[1], Value(), true, Cell{InputKind::arena, "gradient" + suffix, type});
        } else {
            bind(hook.params[0], Value(), true, Cell{InputKind::storage, path, type});
            bind(hook.params[1], Value(), true, Cell{InputKind::storage, "gradient:" + path, type});
        }
        scope->names[hook.params[1].text].assignable = false;
        if (execute(hook.body)) report(DiagnosticCode::return_in_model, hook.kind.range);
    });
}

void Elaborator::run_before_step(const ast::HookStmt &hook) {
    auto scope = std::make_shared<Scope>();
    scope->parent = scope_;
    in_scope(scope, [&] {
        if (hook.params.size() > 1) report(DiagnosticCode::update_parameters, hook.kind.range);
        else if (hook.params.size() == 1) bind(hook.params[0], scalar("loss"), false);
        if (execute(hook.body)) report(DiagnosticCode::return_in_model, hook.kind.range);
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
        if (std::find(phase.frozen.begin(), phase.frozen.end(), storage.path) != phase.frozen.end()) {
            close();
            continue;
        }
        if (begin < 0) begin = storage.offset;
        end = storage.offset + (storage.type.elements() + 15) / 16 * 16;
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
        if (!reads_tensor) continue;
        if (only_whole) exempt.insert(i);
        else if (!has_trait(node.op, kElementwise)) return true;
    }
    for (int32_t asked : context.asked_shapes)
        if (graph[NodeId{asked}].type.rank() > 0 && !exempt.count(asked)) return true;
    return false;
}

}  // namespace kiln
