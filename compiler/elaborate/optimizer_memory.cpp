// What optimizers keep from step to step: states, one tensor for each parameter, and how often they updated what.
#include "compiler/elaborate/elaborator.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

namespace kiln {

/// The optimizers of the phases, and the names of states that several of them have.
void Elaborator::find_optimizers(const std::vector<PhaseSettings> &phases) {
    std::map<std::string, const ast::Decl *> owners;
    GraphContext context("update");  // for what depends on hypers
    context.training = true;
    for (const PhaseSettings &phase : phases) {
        std::optional<FunctionValue> optimizer;
        unreported([&] { in_context(context, [&] { optimizer = optimizer_of(phase, nullptr); }); });
        optimizers_.push_back(optimizer ? optimizer->declaration : nullptr);
        if (!optimizer) continue;
        for (const ast::StorageStmt *state : storages_of(*optimizer, ast::StorageStmt::Kind::state))
            if (owners.try_emplace(state->name.text, optimizer->declaration).first->second != optimizer->declaration) shared_state_names_.insert(state->name.text);
    }
}

/// The global that counts what `step` means in an optimizer: its own updates, of a parameter or (without a path) of any. Empty if it has updated
/// in every step of the run.
std::string Elaborator::step_counter(const std::vector<PhaseSettings> &phases, const FunctionValue &optimizer, const std::string &path) {
    std::vector<bool> updates;
    for (size_t i = 0; i < phases.size(); ++i)
        updates.push_back(optimizers_[i] == optimizer.declaration && !phases[i].freezes(path));
    if (std::find(updates.begin(), updates.end(), false) == updates.end()) return {};
    const auto known = std::count_if(counters_.begin(), counters_.end(), [&](const auto &counter) { return counter.first.first == optimizer.declaration; });
    auto [entry, is_new] = counters_.try_emplace({optimizer.declaration, updates});
    if (is_new) entry->second = fmt::format("{}.step{}", optimizer.name(), known == 0 ? "" : fmt::format(".{}", known + 1));
    return entry->second;
}

Value Elaborator::counted_step() {
    Value &count = counts_[counter_];
    if (!count.poison()) return count;
    declare_global(counter_, 0);
    GraphContext &context = *surroundings();
    const NodeId before = context.read(InputKind::scalar, counter_, Type{DType::f64, {}});
    const NodeId now = context.builder.add(before, context.builder.constant(1, Type{DType::f64, {}}));
    context.write(InputKind::scalar, counter_, now);
    return count = Value(TensorValue{now, &context});
}

/// "v", or "Adam.v" if optimizers of other phases have a `v`, too, which need not mean the same.
std::string Elaborator::state_name(const FunctionValue &optimizer, const std::string &name) const {
    return shared_state_names_.count(name) ? fmt::format("{}.{}", optimizer.name(), name) : name;
}

/// Each optimizer state has the layout of the parameters.
void Elaborator::declare_state(const FunctionValue &optimizer) {
    for (const ast::StmtPtr &stmt : std::get<ast::DefinitionDecl>(optimizer.declaration->node).body) {
        const auto *state = std::get_if<ast::StorageStmt>(&stmt->node);
        if (!state || state->kind != ast::StorageStmt::Kind::state) continue;
        const std::string name = state_name(optimizer, state->name.text), arena = "state." + name;
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
            storage.path = param.path + "." + name;
            storage.kind = StorageKind::state;
            storage.arena = arena;
            if (initial.as_double() != 0)
                init_->graph.results.push_back({ResultKind::store, storage.path, init_->builder.constant(initial.as_double(), storage.type)});
            module_.storages.push_back(std::move(storage));
        }
    }
}

}  // namespace kiln
