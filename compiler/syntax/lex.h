// Text -> tokens: the ANTLR lexer, with its errors reported. Internal to syntax/.
#pragma once

#include "compiler/support/diagnostics.h"

#include <vector>

namespace kiln::syntax {

/// A token: its type is one of KilnLexer's, its text the bytes [begin, end) of the file. A repaired token stream also holds
/// tokens without text.
struct Token {
    size_t type;
    uint32_t begin, end;
};

/// More tokens than this are refused: the parse tree of a million tokens already takes most of a gigabyte.
inline constexpr size_t kMaxTokens = 1'000'000;

/// Text that was reported and repaired; errors that later phases find there are consequences and not reported.
struct Damage {
    uint32_t begin, end;
    bool contains(uint32_t offset) const { return begin <= offset && offset <= end; }
};

struct Lexed {
    std::vector<Token> tokens;    ///< with line breaks and `;`, ends with EOF
    std::vector<Token> comments;  ///< in order
    std::vector<Damage> damages;  ///< from a bad character, string or number to the end of its line
    bool usable = true;           ///< false: the file is not worth parsing (and was reported)
};

/// Reports stray characters, invalid UTF-8, unterminated strings and malformed numbers; the tokens are then repaired, so
/// that the parser need not report them again.
Lexed lex(const SourceFile &file, Diagnostics &diagnostics);

inline std::string_view text_of(const SourceFile &file, const Token &token) {
    return std::string_view(file.text).substr(token.begin, token.end - token.begin);
}

}  // namespace kiln::syntax
