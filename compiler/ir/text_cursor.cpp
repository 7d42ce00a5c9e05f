#include "compiler/ir/text_cursor.h"

#include "compiler/ir/text_names.h"
#include "compiler/support/diagnostic_codes.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>

namespace kiln::text {

void TextCursor::skip_blanks() {
    const std::string &s = file_.text;
    size_t begin = position_;
    while (position_ < s.size()) {
        char c = s[position_];
        if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
            ++position_;
        } else if (c == '/' && position_ + 1 < s.size() && s[position_ + 1] == '/') {
            skip_line();
        } else {
            break;
        }
    }
    if (position_ != begin) {
        blanks_begin_ = begin;
        blanks_end_ = position_;
    }
}

size_t TextCursor::position() {
    skip_blanks();
    return position_;
}

void TextCursor::recover(size_t start) {
    if (position_ == blanks_end_ && blanks_begin_ > start) position_ = blanks_begin_;
    skip_line();
}

void TextCursor::skip_line() {
    size_t end = file_.text.find('\n', position_);
    position_ = end == std::string::npos ? file_.text.size() : end + 1;
}

bool TextCursor::at_end() {
    skip_blanks();
    return position_ >= file_.text.size();
}

char TextCursor::peek() { return at_end() ? '\0' : file_.text[position_]; }

bool TextCursor::accept(char c) {
    if (at_end() || file_.text[position_] != c) return false;
    ++position_;
    return true;
}

bool TextCursor::expect(char c) {
    if (accept(c)) return true;
    expected(fmt::format("`{}`", c));
    return false;
}

bool TextCursor::accept_word(std::string_view word) {
    skip_blanks();
    std::string_view text = rest();
    if (!text.starts_with(word) || (text.size() > word.size() && is_word_character(text[word.size()]))) return false;
    position_ += word.size();
    return true;
}

bool TextCursor::expect_word(std::string_view word) {
    if (accept_word(word)) return true;
    expected(fmt::format("`{}`", word));
    return false;
}

std::optional<std::string> TextCursor::word(SourceRange *word_range) {
    skip_blanks();
    size_t begin = position_;
    const std::string &s = file_.text;
    // A `//` begins a comment even right after a word.
    while (position_ < s.size() && is_word_character(s[position_]) && s.compare(position_, 2, "//") != 0) ++position_;
    if (position_ == begin) {
        expected("a name");
        return std::nullopt;
    }
    if (word_range) *word_range = range(begin);
    return s.substr(begin, position_ - begin);
}

std::optional<std::string> TextCursor::label(SourceRange *label_range) {
    size_t begin = position_;
    const std::string &s = file_.text;
    while (position_ < s.size() && (std::isalnum(static_cast<unsigned char>(s[position_])) || s[position_] == '_')) ++position_;
    *label_range = range(begin);
    if (position_ == begin) {
        expected("a number or name after `%`");
        return std::nullopt;
    }
    return s.substr(begin, position_ - begin);
}

std::optional<std::string> TextCursor::string() {
    if (peek() != '"') {
        expected("a string");
        return std::nullopt;
    }
    const std::string &s = file_.text;
    size_t begin = position_++;
    std::string out;
    while (position_ < s.size() && s[position_] != '"' && s[position_] != '\n') {
        char c = s[position_++];
        if (c != '\\') {
            out += c;
            continue;
        }
        char escape = position_ < s.size() ? s[position_++] : '\0';
        unsigned byte = 0;
        if (escape == '"' || escape == '\\') {
            out += escape;
        } else if (escape == 'n') {
            out += '\n';
        } else if (escape == 'x' && position_ + 2 <= s.size() &&
                   std::from_chars(s.data() + position_, s.data() + position_ + 2, byte, 16).ptr == s.data() + position_ + 2) {
            out += char(byte);
            position_ += 2;
        } else {
            error(DiagnosticCode::ir_expected, range(begin), {R"(an escape `\"`, `\\`, `\n` or `\xNN`)", "another"});
            return std::nullopt;
        }
    }
    if (position_ >= s.size() || s[position_] != '"') {
        error(DiagnosticCode::ir_expected, range(begin), {"`\"` at the end of the string", "the end of the line"});
        return std::nullopt;
    }
    ++position_;
    return out;
}

std::optional<std::string> TextCursor::word_or_string() { return peek() == '"' ? string() : word(); }

std::string_view TextCursor::number_text() {
    skip_blanks();
    size_t begin = position_;
    const std::string &s = file_.text;
    while (position_ < s.size() &&
           (std::isalnum(static_cast<unsigned char>(s[position_])) || s[position_] == '-' || s[position_] == '+' || s[position_] == '.'))
        ++position_;
    return std::string_view(s).substr(begin, position_ - begin);
}

std::optional<int64_t> TextCursor::integer() {
    skip_blanks();
    size_t begin = position_;
    std::string_view digits = number_text();
    int64_t value = 0;
    auto [end, status] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (digits.empty() || status != std::errc() || end != digits.data() + digits.size()) {
        position_ = begin;
        expected("an integer");
        return std::nullopt;
    }
    return value;
}

std::optional<double> TextCursor::real() {
    skip_blanks();
    size_t begin = position_;
    std::string_view digits = number_text();
    double value = 0;
    auto [end, status] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    bool whole = !digits.empty() && end == digits.data() + digits.size();
    // Out of range: too large or, harmlessly, too small; strtod gives the nearest.
    if (whole && status == std::errc::result_out_of_range) value = std::strtod(std::string(digits).c_str(), nullptr);
    if (!whole || (status != std::errc() && status != std::errc::result_out_of_range)) {
        position_ = begin;
        expected("a number");
        return std::nullopt;
    }
    return value;
}

Diagnostic &TextCursor::error(DiagnosticCode code, SourceRange range, std::vector<std::string> arguments) {
    if (++errors_ > kMaxErrors) return diagnostics_.report(DiagnosticCode::ir_too_many_errors, range, {std::to_string(kMaxErrors)});
    return diagnostics_.report(code, range, std::move(arguments));
}

Diagnostic &TextCursor::error_here(DiagnosticCode code, std::vector<std::string> arguments) {
    skip_blanks();
    SourceRange here{&file_, uint32_t(position_), uint32_t(std::min(position_ + 1, file_.text.size()))};
    return error(code, here, std::move(arguments));
}

void TextCursor::expected(std::string_view what) {
    char c = peek();
    std::string found = c == '\0' ? "the end of the file"
                        : std::isprint(static_cast<unsigned char>(c)) ? fmt::format("`{}`", c)
                                                                      : fmt::format("byte 0x{:02x}", static_cast<unsigned char>(c));
    error_here(DiagnosticCode::ir_expected, {std::string(what), found});
}

}  // namespace kiln::text
