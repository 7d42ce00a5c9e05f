// The `scan` block: which hypers take which values, and what decides between them. The executable runs it.
#include "compiler/elaborate/elaborator.h"

#include <fmt/format.h>

#include <algorithm>

namespace kiln {

namespace {

const std::set<std::string> kRegularizers = {"Dropout", "l1", "l2", "Decay", "MaxNorm"};
const std::set<std::string> kRegularizingParameters = {"decay", "weight_decay", "smoothing"};

void collect_scalars(const Graph &graph, NodeId id, std::set<std::string> &names) {
    const Node &node = graph[id];
    if (node.type.rank() != 0) return;
    if (node.op == Op::input && attrs<InputAttrs>(node).kind == InputKind::scalar) names.insert(attrs<InputAttrs>(node).name);
    for (NodeId operand : node.operands) collect_scalars(graph, operand, names);
}

}  // namespace

/// Remembers the hypers that set how strongly a model is regularized: what a sample says about them misleads.
void Elaborator::note_regularizers(const FunctionValue &function, const std::vector<std::optional<Value>> &values) {
    if (!scan_ || !in_stdlib(function.place)) return;
    const bool all = kRegularizers.count(function.name()) > 0;
    for (size_t i = 0; i < values.size(); ++i) {
        const TensorValue *tensor = values[i] ? values[i]->get<TensorValue>() : nullptr;
        if (tensor && is_scalar(*values[i]) && (all || kRegularizingParameters.count(function.params()[i].name.text)))
            collect_scalars(tensor->context->graph, tensor->node, regularizers_);
    }
}

/// `rotation = [0deg, 5deg]`
void Elaborator::scan_setting(const ast::BindStmt &setting) {
    const ast::Name &name = setting.names[0];
    auto declared = file_scope_->names.find(name.text);
    auto hyper = std::find_if(module_.hypers.begin(), module_.hypers.end(), [&](const Hyper &h) { return h.name == name.text; });
    if (hyper == module_.hypers.end() || declared == file_scope_->names.end() || declared->second.declared.file != scan_->name.range.file) {
        std::vector<std::string> names;
        for (const Hyper &h : module_.hypers) names.push_back(h.name);
        suggest(report(DiagnosticCode::scan_of_no_hyper, name.range, {name.text}), name.text, names);
        return;
    }
    Value value = evaluate(*setting.value);
    if (value.poison()) return;
    const ListValue *list = value.get<ListValue>();
    Scan::Setting result;
    result.hyper = name.text;
    bool numbers = list && !list->items->empty();
    for (size_t i = 0; numbers && i < list->items->size(); ++i) {
        const Value &item = (*list->items)[i];
        const bool *flag = item.get<bool>();
        const bool fits = hyper->kind == ScalarKind::boolean ? flag != nullptr : hyper->kind == ScalarKind::integer ? item.is<int64_t>() : item.number();
        numbers = fits;
        if (!fits) break;
        const double number = flag ? double(*flag) : item.as_double();
        for (const Scan::Value &other : result.values)
            if (other.number == number) report(DiagnosticCode::scan_value_twice, item.origin, {name.text, show(item)});
        result.values.push_back({number, source_text(item.origin)});
    }
    if (!numbers) {
        report(DiagnosticCode::scan_without_values, setting.value->range, {name.text, describe(value)});
        return;
    }
    for (const ast::Decl &decl : main_file_->declarations)
        if (const auto *declaration = std::get_if<ast::ValueDecl>(&decl.node); declaration && decl.name.text == name.text) {
            result.begin = declaration->value->range.begin;
            result.end = declaration->value->range.end;
        }
    module_.scan->settings.push_back(std::move(result));
}

/// `metric = validation.accuracy`, or with a minus sign if less is better.
void Elaborator::scan_metric(const ast::Expr &written) {
    const ast::Expr *expr = &written;
    const auto *negated = std::get_if<ast::UnaryExpr>(&expr->node);
    if (negated) expr = negated->operand.get();
    const auto *field = std::get_if<ast::FieldExpr>(&expr->node);
    const auto *split = field ? std::get_if<ast::NameRef>(&field->object->node) : nullptr;
    std::vector<std::string> names = {"loss"};
    for (const Metric &metric : module_.metrics) names.push_back(metric.name);
    const bool known = split && std::find(names.begin(), names.end(), field->field.text) != names.end() &&
                       std::any_of(module_.splits.begin(), module_.splits.end(), [&](const Split &s) { return s.name == split->name; });
    if (!known) {
        suggest(report(DiagnosticCode::scan_metric, written.range, {source_text(written.range)}), field ? field->field.text : source_text(expr->range), names);
        return;
    }
    module_.scan->on = split->name;
    module_.scan->metric = field->field.text;
    module_.scan->higher_is_better = !negated && field->field.text != "loss";
}

/// Within the scope of the data block; `training` is its split `train`.
void Elaborator::elaborate_scan(const Value &training) {
    const auto &scan = std::get<ast::TrainDecl>(scan_->node);
    if (scan_->name.text != module_.name) suggest(report(DiagnosticCode::unknown_model, scan_->name.range, {scan_->name.text}), scan_->name.text, {module_.name});
    module_.scan.emplace();
    Value source = training;
    const auto *transform = scan.data ? std::get_if<ast::CallExpr>(&scan.data->node) : nullptr;
    if (transform) source = evaluate_call(*transform, scan.data->range, CallArgument{{}, training, scan.data->range});
    else if (scan.data) report(DiagnosticCode::scan_without_sample, scan.data->range, {source_text(scan.data->range)});
    if (const ReaderCall *call = source.get<ReaderCall>()) module_.scan->training = {"train", call->reader, reader_arguments(*call), to_loc(scan_->name.range)};
    in_scope(file_scope_, [&] {
        std::set<std::string> seen;
        for (const ast::StmtPtr &stmt : scan.body) {
            const auto *setting = std::get_if<ast::BindStmt>(&stmt->node);
            if (!setting || setting->names.size() != 1) {
                report(DiagnosticCode::not_a_setting, stmt->range);
                continue;
            }
            const std::string &name = setting->names[0].text;
            if (!seen.insert(name).second) report(DiagnosticCode::duplicate_name, setting->names[0].range, {name});
            auto count = [&](int64_t most) {
                std::optional<int64_t> number = evaluate_int(*setting->value, "a setting of the scan");
                if (number && (*number < 1 || *number > most))
                    report(DiagnosticCode::setting_out_of_range, setting->value->range, {name, std::to_string(*number), fmt::format("between 1 and {}", most)});
                return number.value_or(1);
            };
            if (name == "metric") scan_metric(*setting->value);
            else if (name == "seeds") module_.scan->seeds = count(1000);
            else if (name == "epochs") module_.scan->epochs = count(1000000);
            else scan_setting(*setting);
        }
        if (!seen.count("metric")) report(DiagnosticCode::missing_setting, scan_->name.range, {"metric"});
        if (module_.scan->settings.empty() && !diagnostics_->has_errors()) report(DiagnosticCode::missing_setting, scan_->name.range, {"hyper = [values]"});
        if (module_.scan->epochs > 0 && module_.phases.size() > 1) report(DiagnosticCode::setting_without_effect, scan_->name.range, {"epochs"});
    });
    module_.scan->source = main_file_->file->text;
}

/// Once model and optimizer have shown what regularizes.
void Elaborator::warn_of_regularizers() {
    if (!module_.scan || !std::get<ast::TrainDecl>(scan_->node).data) return;
    for (Scan::Setting &setting : module_.scan->settings) {
        setting.regularizes = regularizers_.count(setting.hyper) > 0;
        if (setting.regularizes) report(DiagnosticCode::scan_of_regularization, scan_->name.range, {setting.hyper});
    }
}

}  // namespace kiln
