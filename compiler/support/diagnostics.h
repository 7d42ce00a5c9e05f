// Diagnostics: what is wrong with the user's program. Collected, never thrown; several per run.
//
// Every diagnostic has a code and a message template in diagnostics.def. A message may carry labels on further places
// ("declared here") and notes ("did you mean `relu`?"). render() shows them as
//
//   digits.model:18:12: error[E0201]: cannot multiply f32[64, 10] by f32[12, 3]
//     16 |     a = flatten(image)
//        |     - f32[64, 10] comes from here
//     ...
//     18 |     y = a @ b
//        |         ^^^^^
//   note: the inner dimensions 10 and 12 must agree
#pragma once

#include "compiler/support/source.h"

#include <set>
#include <string>
#include <vector>

namespace kiln {

enum class Severity { error, warning };

/// Complete in diagnostic_codes.h, for those who report: the rest is not rebuilt when a diagnostic is added.
enum class DiagnosticCode : int;

struct Label {
    SourceRange range;
    std::string text;
};

struct Diagnostic {
    DiagnosticCode code;
    Severity severity;
    SourceRange range;            ///< the primary place; may be invalid (for a whole file), then `loc` may help
    Loc loc;                      ///< used when there is no source text (IR files)
    std::string message;          ///< the template with its arguments filled in
    std::vector<Label> labels;    ///< further places involved
    std::vector<std::string> notes;
};

/// "E0123" or "W0007".
std::string code_text(DiagnosticCode code);
/// The message template of a code, with {0}, {1}, ... for its arguments.
const char *template_text(DiagnosticCode code);

/// Collects the diagnostics of one compilation, in the order they were raised.
class Diagnostics {
public:
    /// Raises a diagnostic; the arguments fill the placeholders of its template. The reference is for adding labels and
    /// notes and is valid until the next call. What was said before, in the same words at the same place, is not said again: a
    /// definition is elaborated once for each of its uses.
    Diagnostic &report(DiagnosticCode code, SourceRange range, std::vector<std::string> arguments = {});
    Diagnostic &report(DiagnosticCode code, const Loc &loc, std::vector<std::string> arguments = {});

    /// Takes over a finished diagnostic, as another collector holds it.
    Diagnostic &add(Diagnostic diagnostic);

    bool has_errors() const { return error_count_ > 0; }
    int error_count() const { return error_count_; }
    const std::vector<Diagnostic> &all() const { return all_; }

private:
    std::vector<Diagnostic> all_;
    std::set<std::string> said_;
    Diagnostic repeated_{};  ///< takes the labels of what is not said again
    int error_count_ = 0;
};

/// All diagnostics as text with source lines and carets; `colour` adds ANSI escapes. One without source text renders as
/// "file:line:col: error[E0501]: message". Ends with a newline unless empty.
std::string render(const Diagnostics &diagnostics, bool colour);

}  // namespace kiln
