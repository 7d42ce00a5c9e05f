// The `train` block: its settings, and the phases they make.
#include "compiler/elaborate/elaborator.h"
#include "kiln/names.h"

#include <fmt/format.h>

#include <algorithm>

namespace kiln {

TrainSettings Elaborator::collect_settings(const ast::Block &block, bool phase) {
    static const std::vector<std::string> for_train = {"batch", "epochs", "optimizer", "schedule", "shuffle", "best", "augment", "mix", "patience", "restore_best"};
    static const std::vector<std::string> for_phase = {"epochs", "optimizer", "schedule", "lr", "freeze", "data", "augment", "mix", "patience", "restore_best"};
    const std::vector<std::string> &known = phase ? for_phase : for_train;
    TrainSettings result;
    for (const ast::StmtPtr &stmt : block) {
        if (const auto *hook = std::get_if<ast::HookStmt>(&stmt->node); hook && hook->kind.text == "phase" && !phase) {
            result.phases.push_back(hook);
            continue;
        }
        const auto *setting = std::get_if<ast::BindStmt>(&stmt->node);
        if (!setting || setting->names.size() != 1) {
            report(DiagnosticCode::not_a_setting, stmt->range);
            continue;
        }
        const ast::Name &name = setting->names[0];
        if (setting->type) report(DiagnosticCode::setting_type, setting->type->range, {name.text});
        if (std::find(known.begin(), known.end(), name.text) == known.end()) {
            suggest(report(DiagnosticCode::unknown_setting, name.range, {name.text, phase ? "a phase" : "a `train` block"}), name.text, known);
            continue;
        }
        auto [entry, is_new] = result.settings.try_emplace(name.text, setting);
        if (!is_new) report(DiagnosticCode::duplicate_name, name.range, {name.text}).labels.push_back({entry->second->names[0].range, "first set here"});
    }
    return result;
}

/// The settings of a block whose problems were, or will be, reported elsewhere.
TrainSettings Elaborator::collect_quietly(const ast::Block &block, bool phase) {
    TrainSettings settings;
    unreported([&] { settings = collect_settings(block, phase); });
    return settings;
}

void Elaborator::elaborate_training() {
    const auto &declaration = std::get<ast::TrainDecl>(train_->node);
    TrainSettings train = collect_quietly(declaration.body, false);
    if (auto entry = train.settings.find("shuffle"); entry != train.settings.end()) {
        Value value = evaluate(*entry->second->value);
        if (const bool *flag = value.get<bool>()) module_.shuffle = *flag;
        else if (!value.poison()) report(DiagnosticCode::wrong_type, entry->second->value->range, {"`shuffle`", "true or false", describe(value)});
    }
    // `best = accuracy`: the highest is kept; `best = -error`: the lowest.
    if (auto entry = train.settings.find("best"); entry != train.settings.end()) {
        const ast::Expr *expr = entry->second->value.get();
        const auto *negated = std::get_if<ast::UnaryExpr>(&expr->node);
        if (negated) expr = negated->operand.get();
        const auto *name = std::get_if<ast::NameRef>(&expr->node);
        std::vector<std::string> names = {"loss"};
        bool found = name && name->name == "loss";
        for (Metric &metric : module_.metrics) {
            names.push_back(metric.name);
            if (!name || metric.name != name->name) continue;
            found = true;
            metric.higher_is_better = !negated;
        }
        if (found) module_.best_metric = name->name;
        else suggest(report(DiagnosticCode::unknown_metric, expr->range, {source_text(expr->range)}), source_text(expr->range), names);
    }
    std::vector<PhaseSettings> phases = make_phases(train);
    if (phases.empty() || diagnostics_->has_errors()) return;
    // Before anything looks at the arena of parameters or of gradients, which would be empty.
    bool has_params = std::any_of(module_.storages.begin(), module_.storages.end(), [](const Storage &s) { return s.kind == StorageKind::param; });
    if (!has_params) {
        report(DiagnosticCode::no_parameters, model_->name.range, {module_.name});
        return;
    }
    find_phases_without_gradients();
    elaborate_rules(phases);
    if (!diagnostics_->has_errors()) epoch_rules(phases);
    if (!diagnostics_->has_errors()) elaborate_updates(phases);
}

/// Follows gradients back from the losses: phases that train no parameter which they reach would change nothing.
void Elaborator::find_phases_without_gradients() {
    const Graph &graph = module_.graphs.at("train");
    std::vector<bool> reached(graph.nodes.size(), false);
    for (const Result &result : graph.results)
        if (result.kind == ResultKind::loss) reached[size_t(result.value.index)] = true;
    std::set<std::string> paths;
    for (size_t i = graph.nodes.size(); i-- > 0;) {
        const Node &node = graph.nodes[i];
        if (!reached[i] || has_trait(node.op, kIntegral) || !is_float(node.type.dtype)) continue;
        if (node.op == Op::input) paths.insert(attrs<InputAttrs>(node).name);
        for (NodeId operand : node.operands) reached[size_t(operand.index)] = true;
    }
    for (const Phase &phase : module_.phases) {
        auto is_trained = [&](const Storage &storage) {
            return storage.kind == StorageKind::param && paths.count(storage.path) && std::find(phase.frozen.begin(), phase.frozen.end(), storage.path) == phase.frozen.end();
        };
        if (std::none_of(module_.storages.begin(), module_.storages.end(), is_trained)) report(DiagnosticCode::no_gradient, losses_.front().second, {phase.name});
    }
    if (!diagnostics_->has_errors()) find_never_reached(paths);
}

/// Parameters that some phase would train and no gradient reaches, by the largest layers that have no others.
void Elaborator::find_never_reached(const std::set<std::string> &reached) {
    auto is_idle = [&](const Storage &storage) {
        const std::string &path = storage.path;
        const bool is_frozen = std::all_of(module_.phases.begin(), module_.phases.end(), [&](const Phase &phase) { return std::count(phase.frozen.begin(), phase.frozen.end(), path) > 0; });
        return !reached.count(path) && !is_frozen;
    };
    std::set<std::string> told;
    for (const Storage &storage : module_.storages) {
        // Of what training does not read at all, never_trained has spoken.
        if (storage.kind != StorageKind::param || !is_idle(storage) || !reads(module_.graphs.at("train"), InputKind::storage, storage.path)) continue;
        std::string name = storage.path;
        for (size_t at = name.rfind('/'); at != name.find('/'); at = name.rfind('/', at - 1)) {
            const std::string layer = storage.path.substr(0, at);
            auto is_trained = [&](const Storage &other) { return other.kind == StorageKind::param && other.path.starts_with(layer + "/") && !is_idle(other); };
            if (std::any_of(module_.storages.begin(), module_.storages.end(), is_trained)) break;
            name = layer;
        }
        if (!told.insert(name).second) continue;
        Diagnostic &diagnostic = diagnostics_->report(DiagnosticCode::no_gradient_reaches, storage.loc, {name});
        diagnostic.notes.push_back(fmt::format("if that is meant, `freeze = \"{}\"` in each phase says so", name == storage.path ? name : name + "/*"));
    }
}

std::vector<PhaseSettings> Elaborator::make_phases(const TrainSettings &train) {
    std::vector<PhaseSettings> phases;
    auto add = [&](const std::string &name, const PhaseSettings &settings, SourceRange place) {
        Phase phase;
        phase.name = name;
        phase.frozen = settings.frozen;
        for (const char *needed : {"epochs", "optimizer"})
            if (!settings.settings.count(needed)) report(DiagnosticCode::missing_setting, place, {needed});
        std::optional<int64_t> count;
        if (auto epochs = settings.settings.find("epochs"); epochs != settings.settings.end()) {
            count = evaluate_int(*epochs->second->value, "`epochs`");
            if (count && (*count < 1 || *count > 1000000))
                report(DiagnosticCode::setting_out_of_range, epochs->second->value->range, {"epochs", std::to_string(*count), "between 1 and 1000000"});
            phase.epochs = count.value_or(1);
        }
        if (auto patience = settings.settings.find("patience"); patience != settings.settings.end()) {
            SourceRange range = patience->second->value->range;
            std::optional<int64_t> wait = evaluate_int(*patience->second->value, "`patience`");
            if (wait && *wait < 1) report(DiagnosticCode::setting_out_of_range, range, {"patience", std::to_string(*wait), "at least 1"});
            else if (wait && count && *wait >= *count)
                report(DiagnosticCode::patience_never_ends, range, {std::to_string(*wait), name, std::to_string(*count)})
                    .labels.push_back({settings.settings.at("epochs")->value->range, "its epochs"});
            phase.patience = wait.value_or(0);
        }
        if (auto restore = settings.settings.find("restore_best"); restore != settings.settings.end()) {
            Value value = evaluate(*restore->second->value);
            if (const bool *flag = value.get<bool>()) phase.restore_best = *flag;
            else if (!value.poison()) report(DiagnosticCode::wrong_type, restore->second->value->range, {"`restore_best`", "true or false", describe(value)});
        }
        if (auto data = settings.settings.find("data"); data != settings.settings.end()) phase.split = training_split(*data->second->value);
        if (auto mix = settings.settings.find("mix"); mix != settings.settings.end()) mix_splits(*mix->second, settings.settings.count("data") > 0, phase);
        for (const Phase &other : module_.phases)
            if (other.name == name) report(name.empty() ? DiagnosticCode::unnamed_phases : DiagnosticCode::duplicate_name, place, {name});
        module_.phases.push_back(std::move(phase));
        phases.push_back(settings);
    };
    if (train.phases.empty()) {
        add("main", PhaseSettings{train.settings, {}}, train_->name.range);
        return phases;
    }
    for (const ast::HookStmt *hook : train.phases) {
        TrainSettings own = collect_settings(hook->body, true);
        PhaseSettings settings{train.settings, {}};
        for (const auto &[name, setting] : own.settings) settings.settings[name] = setting;
        if (auto freeze = own.settings.find("freeze"); freeze != own.settings.end()) settings.frozen = frozen_paths(*freeze->second->value);
        add(hook->name.text, settings, hook->kind.range);
    }
    for (const auto &[name, setting] : train.settings) {
        bool inherited = name == "batch" || name == "shuffle" || name == "best";
        for (const PhaseSettings &phase : phases) inherited |= phase.settings.at(name) == setting;
        if (!inherited) report(DiagnosticCode::setting_without_effect, setting->names[0].range, {name});
    }
    return phases;
}

/// The name of a split that may be trained on.
std::string Elaborator::training_split(const ast::Expr &expr) {
    const auto *name = std::get_if<ast::NameRef>(&expr.node);
    std::string text = name ? name->name : source_text(expr.range);
    std::vector<std::string> names;
    for (const Split &split : module_.splits) names.push_back(split.name);
    if (std::find(names.begin(), names.end(), text) == names.end())
        suggest(report(DiagnosticCode::unknown_split, expr.range, {text}), text, names);
    else if (text == "validation" || text == "test") report(DiagnosticCode::evaluated_split, expr.range, {text});
    return text;
}

std::vector<std::string> Elaborator::frozen_paths(const ast::Expr &list) {
    std::vector<std::string> frozen;
    Value value = evaluate(list);
    if (value.poison()) return {};
    std::vector<Value> patterns;
    if (const ListValue *items = value.get<ListValue>()) patterns = *items->items;
    else patterns.push_back(value);
    std::vector<std::string> paths;
    for (const Storage &storage : module_.storages)
        if (storage.kind == StorageKind::param) paths.push_back(storage.path);
    std::set<std::string> chosen;
    for (const Value &pattern : patterns) {
        const std::string *text = pattern.get<std::string>();
        if (!text) {
            report(DiagnosticCode::wrong_type, list.range, {"`freeze`", "a list of parameter paths", describe(pattern)});
            continue;
        }
        const size_t before = chosen.size();
        bool matches = false;
        for (const std::string &path : paths)
            if (path_matches(*text, path)) matches = true, chosen.insert(path);
        const bool is_layer = !matches && std::any_of(paths.begin(), paths.end(), [&](const std::string &path) { return path_matches(*text + "/*", path); });
        if (is_layer) report(DiagnosticCode::no_such_parameter, pattern.origin, {*text}).notes.push_back(fmt::format("`{}/*` are those of the layer", *text));
        else if (!matches) suggest(report(DiagnosticCode::no_such_parameter, pattern.origin, {*text}), *text, paths);
        else if (chosen.size() == before) report(DiagnosticCode::frozen_already, pattern.origin, {*text});
    }
    if (!paths.empty() && chosen.size() == paths.size()) report(DiagnosticCode::everything_frozen, list.range);
    frozen.assign(chosen.begin(), chosen.end());
    return frozen;
}

}  // namespace kiln
