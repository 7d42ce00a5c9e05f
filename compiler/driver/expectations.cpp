#include "compiler/driver/expectations.h"

#include <fmt/format.h>

#include <regex>
#include <sstream>
#include <vector>

namespace kiln {

namespace {

struct Expectation {
    Severity severity;
    int line;  ///< 0: no place
    std::string text;
    int written_at;
    bool met = false;
};

std::vector<Expectation> read_expectations(const SourceFile &file) {
    static const std::regex pattern(R"(expected-(error|warning)(@([+-]\d{1,6}|unknown))?\s*\{\{(.*?)\}\})");
    std::vector<Expectation> result;
    std::istringstream lines(file.text);
    std::string line;
    for (int number = 1; std::getline(lines, line); number++) {
        if (line.find("expected-") == std::string::npos) continue;
        for (std::sregex_iterator match(line.begin(), line.end(), pattern), end; match != end; ++match) {
            std::string where = (*match)[3];
            int at = where == "unknown" ? 0 : where.empty() ? number : number + std::stoi(where);
            result.push_back({(*match)[1] == "error" ? Severity::error : Severity::warning, at, (*match)[4], number});
        }
    }
    return result;
}

const char *name_of(Severity severity) { return severity == Severity::error ? "error" : "warning"; }

int line_of(const SourceFile &file, const Diagnostic &diagnostic) {
    if (diagnostic.range.valid()) return diagnostic.range.file == &file ? line_column(file, diagnostic.range.begin).line : 0;
    const std::string &name = diagnostic.loc.file;  // IR text names its sources without folders
    return diagnostic.loc.valid() && (file.name == name || file.name.ends_with("/" + name)) ? diagnostic.loc.line : 0;
}

bool says(const Diagnostic &diagnostic, const std::string &text) {
    if (diagnostic.message.find(text) != std::string::npos || code_text(diagnostic.code) == text) return true;
    for (const Label &label : diagnostic.labels)
        if (label.text.find(text) != std::string::npos) return true;
    for (const std::string &note : diagnostic.notes)
        if (note.find(text) != std::string::npos) return true;
    return false;
}

}  // namespace

std::string compare_with_expectations(const SourceFile &file, const Diagnostics &diagnostics) {
    std::vector<Expectation> expectations = read_expectations(file);
    std::string problems;
    for (const Diagnostic &diagnostic : diagnostics.all()) {
        int line = line_of(file, diagnostic);
        bool expected = false;
        for (Expectation &e : expectations)
            if (!e.met && e.line == line && e.severity == diagnostic.severity && says(diagnostic, e.text)) {
                e.met = expected = true;
                break;
            }
        if (!expected)
            problems += fmt::format("{}:{}: unexpected {} {}: {}\n", file.name, line, name_of(diagnostic.severity), code_text(diagnostic.code), diagnostic.message);
    }
    for (const Expectation &e : expectations)
        if (!e.met) problems += fmt::format("{}:{}: expected {} was not reported: {}\n", file.name, e.written_at, name_of(e.severity), e.text);
    return problems;
}

}  // namespace kiln
