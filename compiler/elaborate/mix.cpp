// `mix = 3/4 labelled + 1/4 pseudo(unlabelled, soft, refresh = once, above = 0.9)` of the `train` block or of a phase: what each batch is made
// of. Shares are exact, so they must be whole records. Read before the model is walked, because soft pseudo-labels are shares of the
// classes: the model is then trained on f32[batch, classes] where inference has i32[batch]. The splits are checked once they are known.
#include "compiler/elaborate/elaborator.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

namespace kiln {

namespace {

constexpr double kFewestPseudo = 0.25, kMostPseudo = 1.0 / 3;  // of a batch: the course's a quarter to a third
constexpr double kExact = 1e-9;

/// The terms of a sum, in order.
void collect_terms(const ast::Expr &expr, std::vector<const ast::Expr *> &terms) {
    const auto *sum = std::get_if<ast::BinaryExpr>(&expr.node);
    if (!sum || sum->op != ast::BinaryOp::add) return terms.push_back(&expr);
    collect_terms(*sum->left, terms);
    collect_terms(*sum->right, terms);
}

/// The smallest batch that a share is a whole number of records of; 0 if there is none up to 2^20.
int64_t smallest_batch(double share) {
    for (int64_t batch = 1; batch <= 1 << 20; ++batch)
        if (std::abs(share * double(batch) - std::round(share * double(batch))) < kExact * double(batch)) return batch;
    return 0;
}

bool same(const std::vector<std::pair<std::string, ReaderValue>> &a, const std::vector<std::pair<std::string, ReaderValue>> &b);

bool same(const ReaderValue &a, const ReaderValue &b) {
    if (a.kind != b.kind || a.number != b.number || a.boolean != b.boolean || a.text != b.text || a.list.size() != b.list.size()) return false;
    for (size_t i = 0; i < a.list.size(); ++i)
        if (!same(a.list[i], b.list[i])) return false;
    return same(a.arguments, b.arguments);
}

bool same(const std::vector<std::pair<std::string, ReaderValue>> &a, const std::vector<std::pair<std::string, ReaderValue>> &b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto &x, const auto &y) { return x.first == y.first && same(x.second, y.second); });
}

std::string word_of(const ast::Expr &expr) {
    const auto *name = std::get_if<ast::NameRef>(&expr.node);
    return name ? name->name : "";
}

}  // namespace

/// The arguments of `pseudo(..)`. False if one is wrong.
bool Elaborator::pseudo_arguments(const ast::CallExpr &call, SourceRange range, MixPart &part) {
    auto unknown = [&](SourceRange place) {
        suggest(report(DiagnosticCode::pseudo_argument, place, {source_text(place)}), source_text(place), {"soft", "hard", "once", "every_epoch", "refresh", "above"});
        return false;
    };
    part.pseudo = part.soft = part.every_epoch = true;
    std::set<std::string> given;
    bool fits = true;
    for (size_t i = 0; i < call.arguments.size(); ++i) {
        const ast::Argument &argument = call.arguments[i];
        const ast::Expr &value = *argument.value;
        const std::string word = word_of(value), &name = argument.name.text;
        std::string kind = name;
        if (name.empty() && i == 0) {
            kind = "split";
            part.split = word;
            if (word.empty()) fits = unknown(value.range);
        } else if (name.empty()) {
            kind = "targets";
            part.soft = word != "hard";
            if (word != "soft" && word != "hard") fits = unknown(value.range);
        } else if (name == "refresh") {
            part.every_epoch = word != "once";
            if (word != "once" && word != "every_epoch") fits = unknown(value.range);
        } else if (name == "above") {
            fits &= pseudo_threshold(value, part);
        } else {
            fits = unknown(argument.name.range);
        }
        if (!given.insert(kind).second) {
            report(DiagnosticCode::pseudo_argument, value.range, {source_text(value.range)}).notes.push_back(fmt::format("{} is given twice", kind == "targets" ? "`soft` or `hard`" : "`" + kind + "`"));
            fits = false;
        }
    }
    if (call.arguments.empty()) fits = unknown(range);
    return fits;
}

/// `above`: a number known at compile time, or a hyper, which the executable checks.
bool Elaborator::pseudo_threshold(const ast::Expr &expr, MixPart &part) {
    GraphContext context("rules");
    context.scalar_only = true;
    return in_context(context, [&] {
        Value value = evaluate(expr);
        if (value.poison()) return false;
        const std::string hyper = word_of(expr);
        const bool is_hyper = std::any_of(module_.hypers.begin(), module_.hypers.end(), [&](const Hyper &h) { return h.name == hyper && h.kind != ScalarKind::boolean; });
        if (value.number()) {
            part.above = value.as_double();
            if (part.above > 0 && part.above < 1) return true;
            report(DiagnosticCode::setting_out_of_range, expr.range, {"above", show(value), "a probability between 0 and 1, without these"});
            return false;
        }
        if (!is_hyper || !value.is<TensorValue>()) {
            report(DiagnosticCode::wrong_type, expr.range, {"`above`", "a number or a hyper", describe(value)});
            return false;
        }
        part.above_hyper = hyper;
        using B = ast::BinaryOp;
        const std::string message = "`above` is between 0 and 1, without these";
        return !requirement(binary(B::greater, value, Value(0.0, expr.range), expr.range), message, expr.range, true).poison() &&
               !requirement(binary(B::less, value, Value(1.0, expr.range), expr.range), message, expr.range, true).poison();
    });
}

/// One term of a mix. Nothing if it is wrong.
std::optional<MixPart> Elaborator::mix_part(const ast::Expr &term, double &share) {
    const auto *product = std::get_if<ast::BinaryExpr>(&term.node);
    const bool is_share = product && product->op == ast::BinaryOp::share;
    const ast::Expr *of = is_share ? product->right.get() : nullptr;
    const auto *call = of ? std::get_if<ast::CallExpr>(&of->node) : nullptr;
    const std::string kind = call ? word_of(*call->callee) : of ? word_of(*of) : "";
    if ((kind != "labelled" && kind != "pseudo") || (kind == "pseudo" && !call)) {
        Diagnostic &diagnostic = report(DiagnosticCode::mix_term, term.range, {source_text(term.range)});
        if (kind != "pseudo") suggest(diagnostic, kind, {"labelled", "pseudo"});
        return {};
    }
    MixPart part;
    bool fits = true;
    if (kind == "pseudo") {
        fits = pseudo_arguments(*call, of->range, part);
    } else if (call) {
        if (call->arguments.size() == 1 && call->arguments[0].name.text.empty()) part.split = word_of(*call->arguments[0].value);
        if (part.split.empty()) {
            report(DiagnosticCode::mix_term, term.range, {source_text(term.range)});
            fits = false;
        }
    }
    Value value = evaluate(*product->left);
    if (value.poison()) return {};
    if (!value.number()) {
        report(DiagnosticCode::wrong_type, product->left->range, {"the share", "a number known at compile time, such as 1/4", describe(value)});
        return {};
    }
    share = value.as_double();
    if (!(share > 0 && share <= 1)) {
        report(DiagnosticCode::setting_out_of_range, product->left->range, {"share", show(value), "above 0 and at most 1"});
        return {};
    }
    if (!fits) return {};
    part.rows = std::llround(share * double(module_.batch));
    return part;
}

void Elaborator::elaborate_mix(const ast::BindStmt &setting) {
    if (mixes_.count(&setting)) return;
    Mix &mix = mixes_[&setting];
    const ast::Expr &expr = *setting.value;
    std::vector<const ast::Expr *> terms;
    collect_terms(expr, terms);
    double sum = 0, pseudo = 0;
    int64_t fitting = 1;
    bool sound = true;
    std::vector<std::pair<double, SourceRange>> uneven;
    for (const ast::Expr *term : terms) {
        double share = 0;
        std::optional<MixPart> part = mix_part(*term, share);
        if (!part) {
            sound = false;
            continue;
        }
        sum += share;
        if (part->pseudo) pseudo += share;
        const int64_t smallest = smallest_batch(share);
        fitting = smallest && fitting ? std::lcm(fitting, smallest) : 0;
        if (std::abs(share * double(module_.batch) - double(part->rows)) > kExact * double(module_.batch)) uneven.push_back({share, term->range});
        mix.parts.push_back({std::move(*part), term->range});
    }
    if (!sound) return;
    if (std::abs(sum - 1) > kExact) report(DiagnosticCode::mix_sum, expr.range, {fmt::format("{:.6g}", sum)});
    if (std::abs(sum - 1) <= kExact)
        for (const auto &[share, range] : uneven) {
            Diagnostic &diagnostic = report(DiagnosticCode::mix_rows, range, {fmt::format("{:.6g}", share), std::to_string(module_.batch), fmt::format("{:.6g}", share * double(module_.batch))});
            const int64_t below = fitting ? module_.batch / fitting * fitting : 0;
            if (fitting && fitting <= 1 << 20) diagnostic.notes.push_back(below ? fmt::format("`batch = {}` or `batch = {}` would do", below, below + fitting) : fmt::format("`batch = {}` would do", fitting));
        }
    if (pseudo == 0 || std::abs(sum - 1) > kExact) return;
    if (std::none_of(mix.parts.begin(), mix.parts.end(), [](const auto &part) { return !part.first.pseudo; })) report(DiagnosticCode::mix_without_labelled, expr.range);
    else if (pseudo < kFewestPseudo - kExact) report(DiagnosticCode::few_pseudo_labels, expr.range, {fmt::format("{:.3g}", pseudo)});
    else if (pseudo > kMostPseudo + kExact) report(DiagnosticCode::many_pseudo_labels, expr.range, {fmt::format("{:.3g}", pseudo)});
}

/// All mixes of the `train` block, and what pseudo-labels are labels of.
void Elaborator::elaborate_mixes() {
    const ast::Block &body = std::get<ast::TrainDecl>(train_->node).body;
    TrainSettings train = collect_quietly(body, false);
    std::vector<const ast::BindStmt *> settings;
    auto add = [&](const TrainSettings &of) {
        if (auto mix = of.settings.find("mix"); mix != of.settings.end()) settings.push_back(mix->second);
    };
    add(train);
    for (const ast::HookStmt *phase : train.phases) add(collect_quietly(phase->body, true));
    bool soft = false;
    SourceRange pseudo;
    for (const ast::BindStmt *setting : settings) {
        elaborate_mix(*setting);
        for (const auto &[part, range] : mixes_[setting].parts) {
            if (part.pseudo && !pseudo.valid()) pseudo = range;
            soft |= part.pseudo && part.soft;
        }
    }
    if (!pseudo.valid() || diagnostics_->has_errors()) return;
    find_pseudo_label(pseudo);
    if (soft && !module_.pseudo_label.empty()) soft_labels_[module_.pseudo_label] = {pseudo_classes_, {}};
}

/// Whether batches of a mix come with shares of the classes in place of labels.
bool Elaborator::reads_shares(const ast::BindStmt *mix) const {
    auto found = mixes_.find(mix);
    return found != mixes_.end() && std::any_of(found->second.parts.begin(), found->second.parts.end(), [](const auto &part) { return part.first.soft; });
}

/// The label is the model's one `class[n]` that its outputs do not depend on; the first output gives its probabilities.
void Elaborator::find_pseudo_label(SourceRange range) {
    count_layers();
    GraphContext inference("evaluate");
    const bool walked = walk_quietly(inference);
    std::vector<Column> columns = module_.columns;
    module_.columns.clear();
    if (!walked || outputs_.empty()) return;  // the walk that speaks will say why
    Graph predict = inference.graph;
    predict.results = outputs_;
    predict = dce(predict);
    std::vector<std::string> labels;
    const Column *label = nullptr;
    std::string rows;  // an input of more labels than one
    for (const Column &column : columns) {
        if (!column.classes || reads(predict, InputKind::data, column.name)) continue;
        if (column.type.rank() > 0) {
            rows = column.name;
            continue;
        }
        labels.push_back("`" + column.name + "`");
        label = &column;
    }
    if (labels.size() != 1) {
        Diagnostic &diagnostic = report(DiagnosticCode::pseudo_without_label, range, {module_.name, labels.empty() ? "none" : fmt::format("{}", fmt::join(labels, ", "))});
        if (labels.empty() && !rows.empty()) diagnostic.notes.push_back(fmt::format("`{}` is many labels: pseudo-labels are one class for each record", rows));
        return;
    }
    const Type &output = predict[predict.results[0].value].type;
    const Type expected{module_.float_type, {module_.batch, label->classes}};
    if (output != expected) {
        report(DiagnosticCode::pseudo_output, range, {label->name, to_string(expected), predict.results[0].name, to_string(output)}).labels.push_back({model_->name.range, "its first output is what `predict` gives"});
        return;
    }
    module_.pseudo_label = label->name;
    pseudo_classes_ = label->classes;
}

/// The parts of a phase's batches, with the splits they are read from; `own` is the split of `data = ..`.
void Elaborator::mix_splits(const ast::BindStmt &setting, bool data_given, Phase &phase) {
    std::set<std::string> evaluated = {"validation", "test"};
    if (module_.scan && !module_.scan->on.empty()) evaluated.insert(module_.scan->on);
    auto declared = [&](const std::string &name) { return std::find_if(module_.splits.begin(), module_.splits.end(), [&](const Split &s) { return s.name == name; }); };
    bool uses_data = false;
    for (auto [part, range] : mixes_[&setting].parts) {
        if (part.split.empty()) {
            part.split = phase.split;
            uses_data = true;
        }
        auto split = declared(part.split);
        std::vector<std::string> names;
        for (const Split &other : module_.splits) names.push_back(other.name);
        if (split == module_.splits.end()) {
            suggest(report(DiagnosticCode::unknown_split, range, {part.split}), part.split, names);
            continue;
        }
        auto twice = std::find_if(phase.mix.begin(), phase.mix.end(), [&](const MixPart &other) { return other.split == part.split; });
        if (twice != phase.mix.end()) report(DiagnosticCode::mix_twice, range, {part.split});
        for (const std::string &name : evaluated) {
            auto measured = declared(name);
            if (measured == module_.splits.end()) continue;
            const bool itself = name == part.split;
            const bool alike = measured->reader == split->reader && same(measured->arguments, split->arguments);
            if (!itself && !(part.pseudo && alike)) continue;
            const DiagnosticCode code = part.pseudo ? DiagnosticCode::pseudo_of_evaluated : DiagnosticCode::evaluated_split;
            Diagnostic &diagnostic = report(code, range, {part.split});
            if (part.pseudo) diagnostic.labels.push_back({split_places_.at(name), itself ? "what is measured on is declared here" : fmt::format("`{}`, which is measured on, reads the same records", name)});
            break;
        }
        phase.mix.push_back(part);
    }
    if (data_given && !uses_data) report(DiagnosticCode::setting_without_effect, setting.names[0].range, {"data"});
    for (const MixPart &part : phase.mix)
        if (!part.pseudo) {
            phase.split = part.split;  // an epoch is one pass over the first labelled part
            break;
        }
}

}  // namespace kiln
