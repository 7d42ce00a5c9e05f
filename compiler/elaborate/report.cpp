// Diagnostics are placed where the user can act: at the innermost call in their own file, with a label where the library noticed.
#include "compiler/elaborate/elaborator.h"
#include "kiln/names.h"

#include <fmt/format.h>

namespace kiln {

bool Elaborator::in_stdlib(SourceRange range) const { return stdlib_files_.count(range.file) > 0; }

SourceRange Elaborator::user_range(SourceRange range) const {
    if (range.valid() && !in_stdlib(range)) return range;
    for (size_t i = frames_.size(); i-- > 0;)
        if (frames_[i].call.valid() && !in_stdlib(frames_[i].call)) return frames_[i].call;
    return range;
}

Diagnostic &Elaborator::report(DiagnosticCode code, SourceRange range, std::vector<std::string> arguments) {
    ++reports_;
    SourceRange place = user_range(range);
    Diagnostic &diagnostic = diagnostics_->report(code, place, std::move(arguments));
    if (range.valid() && (place.file != range.file || place.begin != range.begin)) diagnostic.labels.push_back({range, "noticed here"});
    if (!path_.empty() && path_.find('/') != std::string::npos) diagnostic.notes.push_back(fmt::format("in layer `{}`", path_));
    return diagnostic;
}

Value Elaborator::fail(DiagnosticCode code, SourceRange range, std::vector<std::string> arguments) {
    report(code, range, std::move(arguments));
    return {};
}

std::string Elaborator::suggestion(std::string_view name, const std::vector<std::string> &candidates) const {
    return nearest_name(name, candidates);
}

void Elaborator::suggest(Diagnostic &diagnostic, std::string_view name, const std::vector<std::string> &candidates) const {
    std::string nearest = suggestion(name, candidates);
    if (!nearest.empty()) diagnostic.notes.push_back(fmt::format("did you mean `{}`?", nearest));
}

void Elaborator::report_unused() {
    // Another value of a `const` may choose a branch that leaves names aside which the file as it stands reads. A flag without effect is an error all the same.
    const bool is_as_written = options_.defines.empty();
    for (const auto &[name, binding] : file_scope_->names) {
        bool is_hyper = binding.cell && binding.cell->kind == InputKind::scalar;
        const bool is_read_elsewhere = binding.constant && !is_as_written && !options_.defines.count(name);
        if ((is_hyper || binding.constant) && !is_read_elsewhere && !used_.count({binding.declared.file, binding.declared.begin}))
            diagnostics_->report(DiagnosticCode::unused_name, binding.declared, {is_hyper ? "hyper" : "const", name});
    }
    for (const auto &[place, local] : locals_) {
        if (used_.count(place) || !is_as_written) continue;
        Diagnostic &diagnostic = diagnostics_->report(DiagnosticCode::unused_name, local.name.range, {"name", local.name.text});
        static const std::set<std::string> statements = {"loss", "metric", "output"};
        if (statements.count(local.name.text)) diagnostic.notes.push_back(fmt::format("`{} ..` without `=` is the statement", local.name.text));
        if (local.hides.valid()) diagnostic.labels.push_back({local.hides, fmt::format("hides this one, which `{} <- ..` would change", local.name.text)});
    }
}

std::string source_text(SourceRange range) {
    if (!range.valid()) return "";
    return range.file->text.substr(range.begin, range.end - range.begin);
}

}  // namespace kiln
