// A cursor over the text form: skips blanks and `//` comments, reads words, numbers, strings and punctuation, and reports
// what it expected where.
#pragma once

#include "compiler/support/diagnostics.h"
#include "compiler/support/source.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace kiln::text {

class TextCursor {
public:
    TextCursor(const SourceFile &file, Diagnostics &diagnostics) : file_(file), diagnostics_(diagnostics) {}

    bool at_end();
    /// The next character that is no blank; '\0' at the end.
    char peek();
    bool accept(char c);
    bool expect(char c);
    bool accept_word(std::string_view word);
    bool expect_word(std::string_view word);

    // Each reports an error and returns nothing if the text has something else.
    std::optional<std::string> word(SourceRange *range = nullptr);
    std::optional<std::string> string();
    std::optional<std::string> word_or_string();
    std::optional<std::string> label(SourceRange *range);  ///< what follows `%`: letters, digits, underscores
    std::optional<int64_t> integer();
    std::optional<double> real();

    void skip_line();
    size_t position();  ///< of the next character that is no blank
    SourceRange range(size_t begin) const { return {&file_, uint32_t(begin), uint32_t(position_)}; }  ///< up to the last thing read
    /// After an error in what began at `start`: goes to the end of the line of the last thing read.
    void recover(size_t start);

    Diagnostic &error(DiagnosticCode code, SourceRange range, std::vector<std::string> arguments);
    Diagnostic &error_here(DiagnosticCode code, std::vector<std::string> arguments);
    void expected(std::string_view what);
    /// True once so many errors were found that the rest is not worth reading.
    bool gave_up() const { return errors_ > kMaxErrors; }

private:
    static constexpr int kMaxErrors = 50;

    void skip_blanks();
    std::string_view rest() const { return std::string_view(file_.text).substr(position_); }
    std::string_view number_text();

    const SourceFile &file_;
    Diagnostics &diagnostics_;
    size_t position_ = 0;
    size_t blanks_begin_ = 0, blanks_end_ = 0;  ///< the blanks skipped last
    int errors_ = 0;
};

}  // namespace kiln::text
