#include "compiler/syntax/lex.h"

#include "KilnLexer.h"
#include "compiler/support/diagnostic_codes.h"
#include "compiler/support/check.h"

#include <fmt/format.h>

namespace kiln::syntax {
namespace {

using kiln_grammar::KilnLexer;

/// More reports of bad characters than this say nothing new.
constexpr int kMaxReports = 10;

/// The bytes of a file as ANTLR characters, so that its positions are byte offsets. Bytes of non-ASCII characters become
/// U+007F: the lexer's tables cover ASCII only, and beyond them it falls back to a simulation a hundred times slower.
class ByteStream : public antlr4::CharStream {
public:
    explicit ByteStream(const SourceFile &file) : file_(file) {}

    void consume() override {
        KILN_CHECK(position_ < file_.text.size(), "the lexer reads past the end");
        ++position_;
    }
    size_t LA(ssize_t offset) override {
        if (offset == 0) return 0;
        size_t at = position_ + offset - (offset > 0 ? 1 : 0);
        if (at >= file_.text.size()) return EOF;  // also before the start, by wrapping around
        return std::min<unsigned char>(file_.text[at], 0x7F);
    }
    ssize_t mark() override { return -1; }
    void release(ssize_t) override {}
    size_t index() override { return position_; }
    void seek(size_t index) override { position_ = std::min(index, file_.text.size()); }
    size_t size() override { return file_.text.size(); }
    std::string getSourceName() const override { return file_.name; }
    std::string getText(const antlr4::misc::Interval &interval) override {
        return file_.text.substr(interval.a, interval.b - interval.a + 1);
    }
    std::string toString() const override { return file_.text; }

private:
    const SourceFile &file_;
    size_t position_ = 0;
};

/// Number of bytes of the UTF-8 character at `i`, 0 if it is malformed (also: overlong, surrogate, past U+10FFFF).
size_t utf8_size(const std::string &text, size_t i) {
    auto byte = [&](size_t at) -> unsigned char { return at < text.size() ? text[at] : 0; };
    unsigned char lead = byte(i), second = byte(i + 1);
    auto continues = [&](size_t count) {
        for (size_t k = 1; k <= count; ++k) {
            if ((byte(i + k) & 0xC0) != 0x80) return false;
        }
        return true;
    };
    if (lead < 0x80) return 1;
    if (lead >= 0xC2 && lead < 0xE0) return continues(1) ? 2 : 0;
    if (lead >= 0xE0 && lead < 0xF0) {
        if ((lead == 0xE0 && second < 0xA0) || (lead == 0xED && second >= 0xA0)) return 0;
        return continues(2) ? 3 : 0;
    }
    if (lead >= 0xF0 && lead < 0xF5) {
        if ((lead == 0xF0 && second < 0x90) || (lead == 0xF4 && second >= 0x90)) return 0;
        return continues(3) ? 4 : 0;
    }
    return 0;
}

/// The invalid bytes, at most kMaxReports of them reported. Returns whether all is valid.
bool check_utf8(const SourceFile &file, Diagnostics &diagnostics) {
    int reports = 0;
    for (size_t i = 0; i < file.text.size();) {
        size_t size = utf8_size(file.text, i);
        if (size == 0) {
            auto at = static_cast<uint32_t>(i);
            diagnostics.report(DiagnosticCode::invalid_utf8, SourceRange{&file, at, at + 1},
                               {fmt::format("0x{:02X}", static_cast<unsigned char>(file.text[i]))});
            if (++reports == kMaxReports) return false;
            // One report for a run of bad bytes.
            while (i < file.text.size() && utf8_size(file.text, i) == 0) ++i;
        } else {
            i += size;
        }
    }
    return reports == 0;
}

/// The ASCII spelling of a character that editors and word processors put in its place, else null.
const char *ascii_spelling(std::string_view text) {
    static constexpr std::pair<const char *, const char *> kSpellings[] = {
        {"\xE2\x80\x9C", "\""}, {"\xE2\x80\x9D", "\""}, {"\xE2\x80\x98", "\""}, {"\xE2\x80\x99", "\""},  // quotation marks
        {"\xE2\x88\x92", "-"},  {"\xE2\x80\x93", "-"},  {"\xE2\x80\x94", "-"},                           // minus, dashes
        {"\xC3\x97", "*"},      {"\xC2\xB7", "*"},      {"\xE2\x89\xA4", "<="}, {"\xE2\x89\xA5", ">="},
        {"\xE2\x89\xA0", "!="}, {"\xE2\x86\x92", "->"}, {"\xE2\x86\x90", "<-"}, {"\xE2\x80\xA6", ".."},
        {"\xC2\xA0", "a space"},
    };
    for (auto [character, spelling] : kSpellings) {
        if (text == character) return spelling;
    }
    if (text == "'") return "\"";
    if (text == "&") return "and";
    if (text == "|") return "|>` or `or";
    if (text == "!") return "not";
    if (text == "#") return "//";
    return nullptr;
}

class Cleaner {
public:
    Cleaner(const SourceFile &file, Diagnostics &diagnostics, bool valid_utf8)
        : file_(file), diagnostics_(diagnostics), valid_utf8_(valid_utf8) {}

    /// Reports and repairs a malformed token; false drops it.
    bool keep(Token &token) {
        SourceRange range{&file_, token.begin, token.end};
        switch (token.type) {
            case KilnLexer::STRAY: stray(token); return false;
            case KilnLexer::BAD_STRING: {
                token.type = KilnLexer::STRING;
                diagnostics_.report(DiagnosticCode::unterminated_string, range);
                return true;
            }
            case KilnLexer::BAD_NUMBER: {
                std::string text(text_of(file_, token));
                size_t letter = text.find_first_not_of("0123456789.");
                std::string what = std::isdigit(static_cast<unsigned char>(text.back())) && text.find('.') == std::string::npos
                                       ? "a name cannot begin with a digit"
                                       : fmt::format("the only unit is `deg`, not `{}`", text.substr(letter));
                if (text.substr(letter) == "e" || text.substr(letter) == "E") what = "the exponent has no digits";
                if (text.starts_with("0x") || text.starts_with("0b")) what = "numbers are decimal";
                if (text.find('_') != std::string::npos) what = "digits cannot be grouped with `_`";
                diagnostics_.report(DiagnosticCode::bad_number, range, {text, what});
                token.type = KilnLexer::INT;
                token.end = token.begin + static_cast<uint32_t>(text.find_first_not_of("0123456789"));
                return true;
            }
            default: return true;
        }
    }

private:
    void stray(const Token &token) {
        bool ascii = static_cast<unsigned char>(file_.text[token.begin]) < 0x7F;
        if (!ascii && !valid_utf8_) return;  // reported as invalid UTF-8
        if (reports_ == kMaxReports) return;
        ++reports_;
        std::string text(text_of(file_, token));
        if (!ascii) text = text.substr(0, std::max<size_t>(1, utf8_size(text, 0)));
        unsigned char byte = text[0];
        std::string shown = byte < 0x20 || byte == 0x7F ? fmt::format("0x{:02X}", byte) : fmt::format("`{}`", text);
        SourceRange range{&file_, token.begin, token.begin + static_cast<uint32_t>(text.size())};
        Diagnostic &diagnostic = diagnostics_.report(DiagnosticCode::stray_character, range, {shown});
        if (const char *spelling = ascii_spelling(text)) diagnostic.notes.push_back(fmt::format("did you mean `{}`?", spelling));
    }

    const SourceFile &file_;
    Diagnostics &diagnostics_;
    bool valid_utf8_;
    int reports_ = 0;
};

}  // namespace

Lexed lex(const SourceFile &file, Diagnostics &diagnostics) {
    Lexed lexed;
    lexed.usable = false;
    if (file.text.size() > kMaxFileBytes) {
        diagnostics.report(DiagnosticCode::file_too_long, SourceRange{&file, 0, 0}, {fmt::format("{} MB", kMaxFileBytes >> 20)});
        return lexed;
    }
    if (size_t nul = file.text.find('\0'); nul != std::string::npos) {
        auto at = static_cast<uint32_t>(nul);
        diagnostics.report(DiagnosticCode::not_text, SourceRange{&file, at, at + 1}, {file.name});
        return lexed;
    }
    bool valid_utf8 = check_utf8(file, diagnostics);
    auto damage = [&](uint32_t begin) {
        if (!lexed.damages.empty() && lexed.damages.back().contains(begin)) return;
        size_t end = std::min(file.text.find('\n', begin), file.text.size());
        lexed.damages.push_back({begin, static_cast<uint32_t>(end)});
    };

    ByteStream stream(file);
    if (file.text.starts_with("\xEF\xBB\xBF")) stream.seek(3);  // the byte order mark some editors write
    KilnLexer lexer(&stream);
    lexer.removeErrorListeners();
    Cleaner cleaner(file, diagnostics, valid_utf8);
    while (true) {
        std::unique_ptr<antlr4::Token> next = lexer.nextToken();
        size_t type = next->getType();
        if (type == KilnLexer::EOF) break;
        Token token{type, static_cast<uint32_t>(next->getStartIndex()), static_cast<uint32_t>(next->getStopIndex() + 1)};
        if (type == KilnLexer::COMMENT) {
            lexed.comments.push_back(token);
            continue;
        }
        if (type == KilnLexer::STRAY || type == KilnLexer::BAD_STRING || type == KilnLexer::BAD_NUMBER) damage(token.begin);
        if (cleaner.keep(token)) {
            if (lexed.tokens.size() == kMaxTokens) {
                diagnostics.report(DiagnosticCode::file_too_long, SourceRange{&file, token.begin, token.end},
                                   {fmt::format("{} words and symbols", kMaxTokens)});
                return lexed;
            }
            lexed.tokens.push_back(token);
        }
    }
    auto size = static_cast<uint32_t>(file.text.size());
    lexed.tokens.push_back({KilnLexer::EOF, size, size});
    lexed.usable = true;
    return lexed;
}

}  // namespace kiln::syntax
