// The `scan` block: which hypers take which values, and what decides between them. The executable runs it.
#include "compiler/elaborate/elaborator.h"

#include <fmt/format.h>

#include <algorithm>
#include <sstream>

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

/// Remembers the hypers and constants that set how strongly a model is regularized: what a sample says about them misleads.
void Elaborator::note_regularizers(const FunctionValue &function, const std::vector<std::optional<Value>> &values) {
    if (!scan_ || !in_stdlib(function.place)) return;
    const bool all = kRegularizers.count(function.name()) > 0;
    for (size_t i = 0; i < values.size(); ++i) {
        if (!values[i] || !(all || kRegularizingParameters.count(function.params()[i].name.text))) continue;
        const TensorValue *tensor = values[i]->get<TensorValue>();
        if (tensor && is_scalar(*values[i])) collect_scalars(tensor->context->graph, tensor->node, regularizers_);
        // A constant is known by the place of its value.
        for (const auto &[name, binding] : file_scope_->names) {
            const SourceRange place = binding.constant ? binding.value.origin : SourceRange{};
            if (place.valid() && place.file == values[i]->origin.file && place.begin == values[i]->origin.begin) regularizers_.insert(name);
        }
    }
}

/// What `-D name=` takes for a value; "" if it takes none like it.
static std::string define_text(const Value &value) {
    if (const std::string *text = value.get<std::string>()) return *text;
    if (const bool *flag = value.get<bool>()) return *flag ? "true" : "false";
    if (const int64_t *number = value.get<int64_t>()) return std::to_string(*number);
    if (value.is<ListValue>()) return show(value);
    if (!value.number()) return "";
    return fmt::format("{}", value.as_double());
}

/// `rotation = [0deg, 5deg]`
void Elaborator::scan_setting(const ast::BindStmt &setting) {
    const ast::Name &name = setting.names[0];
    auto declared = file_scope_->names.find(name.text);
    const bool here = declared != file_scope_->names.end() && declared->second.declared.file == scan_->name.range.file;
    auto hyper = std::find_if(module_.hypers.begin(), module_.hypers.end(), [&](const Hyper &h) { return h.name == name.text; });
    if (!here || (hyper == module_.hypers.end() && !declared->second.constant)) {
        std::vector<std::string> names;
        for (const auto &[candidate, binding] : file_scope_->names)
            if (binding.declared.file == scan_->name.range.file && (binding.constant || binding.cell)) names.push_back(candidate);
        suggest(report(DiagnosticCode::scan_of_what, name.range, {name.text}), name.text, names);
        return;
    }
    Value value = evaluate(*setting.value);
    const Value *now = declared->second.constant ? &declared->second.value : nullptr;
    if (value.poison() || (now && now->poison())) return;
    const ListValue *list = value.get<ListValue>();
    Scan::Setting result;
    result.name = name.text;
    result.constant = now != nullptr;
    bool fits = list && !list->items->empty();
    for (size_t i = 0; fits && i < list->items->size(); ++i) {
        const Value &item = (*list->items)[i];
        Scan::Value tried{0, source_text(item.origin)};
        if (now) {
            std::optional<Value> given = parse_define(define_text(item), *now);
            fits = given && (item.is<std::string>() == now->is<std::string>());
            if (!fits) break;
            tried.define = define_text(*given);
            if (tried.define == define_text(*now)) result.built = int64_t(i);
        } else {
            const bool *flag = item.get<bool>();
            fits = hyper->kind == ScalarKind::boolean ? flag != nullptr : hyper->kind == ScalarKind::integer ? item.is<int64_t>() : item.number();
            if (!fits) break;
            tried.number = flag ? double(*flag) : item.as_double();
        }
        for (const Scan::Value &other : result.values)
            if (other.number == tried.number && other.define == tried.define) report(DiagnosticCode::scan_value_twice, item.origin, {name.text, show(item)});
        result.values.push_back(std::move(tried));
    }
    if (!fits) {
        report(DiagnosticCode::scan_without_values, setting.value->range, {name.text, describe(value)});
        return;
    }
    module_.scan->settings.push_back(std::move(result));
}

namespace {

struct SourceEdit {
    uint32_t begin, end;
    std::string text;
};

/// What documents a file does not document the one that it becomes a part of.
std::string with_plain_comments(const std::string &text) {
    std::string result;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        const size_t at = line.find_first_not_of(" \t");
        if (at != std::string::npos && line.compare(at, 3, "//!") == 0) line.erase(at + 2, 1);
        result += line + "\n";
    }
    return result;
}

}  // namespace

/// The text of a file that needs no other: imported files stand where they are imported, and values given by -D where they are declared.
/// `settings` of the file, if any, learn where their values are there.
std::string Elaborator::whole_source(const ast::Module &file, std::set<const ast::Module *> &done, std::vector<Scan::Setting> *settings) {
    std::vector<SourceEdit> edits;
    for (const ast::Decl &decl : file.declarations) {
        if (const auto *import = std::get_if<ast::ImportDecl>(&decl.node)) {
            std::string text;
            const SourceFile *imported = imported_.at(imported_name(import->path, *file.file));
            for (const auto &tree : trees_)
                if (tree->file == imported && done.insert(tree.get()).second) text = fmt::format("// {}\n{}", import->path, with_plain_comments(whole_source(*tree, done, nullptr)));
            edits.push_back({decl.range.begin, decl.range.end, std::move(text)});
        } else if (const auto *value = std::get_if<ast::ValueDecl>(&decl.node); value && value->kind != ast::ValueDecl::Kind::hyper && options_.defines.count(decl.name.text)) {
            const Value &given = file_scope_->names.at(decl.name.text).value;
            edits.push_back({value->value->range.begin, value->value->range.end, given.is<std::string>() ? show(given) : define_text(given)});
        }
    }
    std::string text;
    uint32_t from = 0;
    std::vector<std::pair<uint32_t, int64_t>> shifts;  // from this byte on
    for (const SourceEdit &edit : edits) {
        text += file.file->text.substr(from, edit.begin - from) + edit.text;
        from = edit.end;
        shifts.push_back({edit.end, int64_t(text.size()) - int64_t(edit.end)});
    }
    text += file.file->text.substr(from);
    for (size_t i = 0; settings && i < settings->size(); ++i)
        for (const ast::Decl &decl : file.declarations)
            if (const auto *value = std::get_if<ast::ValueDecl>(&decl.node); value && decl.name.text == (*settings)[i].name) {
                int64_t begin_shift = 0, end_shift = 0;
                for (auto [byte, shift] : shifts) {
                    // A value that -D gave begins where it was and ends elsewhere.
                    if (byte <= value->value->range.begin) begin_shift = shift;
                    if (byte <= value->value->range.end) end_shift = shift;
                }
                (*settings)[i].begin = value->value->range.begin + begin_shift;
                (*settings)[i].end = value->value->range.end + end_shift;
            }
    return text;
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
    });
    std::set<const ast::Module *> done;
    module_.scan->source = whole_source(*main_file_, done, &module_.scan->settings);
}

/// Once there are phases, and model and optimizer have shown what regularizes.
void Elaborator::finish_scan() {
    if (module_.scan && module_.scan->epochs > 0 && module_.phases.size() > 1) report(DiagnosticCode::setting_without_effect, scan_->name.range, {"epochs"});
    if (!module_.scan) return;
    for (const Hyper &hyper : module_.hypers)
        if (std::any_of(module_.scan->settings.begin(), module_.scan->settings.end(), [&](const Scan::Setting &s) { return s.name == hyper.name; }) && module_.only_generates(hyper))
            report(DiagnosticCode::scan_of_generation, scan_->name.range, {hyper.name});
    if (!std::get<ast::TrainDecl>(scan_->node).data) return;
    for (Scan::Setting &setting : module_.scan->settings) {
        setting.regularizes = regularizers_.count(setting.name) > 0;
        if (setting.regularizes) report(DiagnosticCode::scan_of_regularization, scan_->name.range, {setting.name});
    }
}

}  // namespace kiln
