#include "compiler/support/diagnostics.h"

#include "compiler/support/check.h"

#include <fmt/format.h>

namespace kiln {
namespace {

struct Entry {
    int number;
    Severity severity;
    const char *text;
};

constexpr Entry kEntries[] = {
#define DIAGNOSTIC(code, name, severity, text) {code, Severity::severity, text},
#include "compiler/support/diagnostics.def"
#undef DIAGNOSTIC
};

constexpr bool numbers_are_unique() {
    for (const Entry &a : kEntries) {
        for (const Entry &b : kEntries) {
            if (&a != &b && a.number == b.number) return false;
        }
    }
    return true;
}
static_assert(numbers_are_unique(), "two lines of diagnostics.def have the same code");

const Entry &entry(DiagnosticCode code) { return kEntries[static_cast<size_t>(code)]; }

/// The longest argument a message shows whole; a name of megabytes would bury what is said about it.
constexpr size_t kLongestArgument = 400;

std::string abbreviated(const std::string &argument) {
    if (argument.size() <= kLongestArgument) return argument;
    size_t end = kLongestArgument;
    while (end > 0 && (static_cast<unsigned char>(argument[end]) & 0xC0) == 0x80) --end;  // not within a UTF-8 character
    return argument.substr(0, end) + "...";
}

std::string fill(const char *text, const std::vector<std::string> &arguments) {
    std::string result;
    for (const char *p = text; *p; ++p) {
        if (p[0] == '{' && p[1] >= '0' && p[1] <= '9' && p[2] == '}') {
            size_t index = static_cast<size_t>(p[1] - '0');
            KILN_CHECK(index < arguments.size(), "no argument {} for the diagnostic \"{}\"", index, text);
            result += abbreviated(arguments[index]);
            p += 2;
        } else {
            result += *p;
        }
    }
    return result;
}

}  // namespace

std::string code_text(DiagnosticCode code) {
    return fmt::format("{}{:04}", entry(code).severity == Severity::error ? 'E' : 'W', entry(code).number);
}

const char *template_text(DiagnosticCode code) { return entry(code).text; }

Diagnostic &Diagnostics::report(DiagnosticCode code, SourceRange range, std::vector<std::string> arguments) {
    const Entry &e = entry(code);
    return add({code, e.severity, range, to_loc(range), fill(e.text, arguments), {}, {}});
}

Diagnostic &Diagnostics::report(DiagnosticCode code, const Loc &loc, std::vector<std::string> arguments) {
    const Entry &e = entry(code);
    return add({code, e.severity, {}, loc, fill(e.text, arguments), {}, {}});
}

Diagnostic &Diagnostics::add(Diagnostic diagnostic) {
    if (!said_.insert(fmt::format("{} {}:{}:{} {} {}", code_text(diagnostic.code), diagnostic.loc.file, diagnostic.loc.line, diagnostic.loc.column,
                                  diagnostic.range.end, diagnostic.message)).second) {
        repeated_ = std::move(diagnostic);
        return repeated_;
    }
    if (diagnostic.severity == Severity::error) ++error_count_;
    all_.push_back(std::move(diagnostic));
    return all_.back();
}

}  // namespace kiln
