// The filter between lexer and parser: settles where statements end and which words are keywords. Internal to syntax/.
//
// A line break ends a statement unless it stands inside ( or [, or what comes before cannot end a statement (an operator,
// `=`, `,`, an opening brace), or what comes after cannot begin one (an operator, `then`, `.`, `)`, `{`, `else` after `}`).
// `;` always ends one. Either becomes SEP; every statement and declaration then ends with exactly one SEP, also the last.
//
// Keywords that a user may want as names are keywords only where a name could not stand: `layer` before a name at the
// start of a statement, `loss` before an operand at the start of a statement, `then` after an operand, and so on.
#pragma once

#include "compiler/syntax/lex.h"

namespace kiln::syntax {

/// `tokens` are balanced. The result has no NEWLINE and no SEMICOLON outside of brackets.
std::vector<Token> arrange(const SourceFile &file, const std::vector<Token> &tokens);

}  // namespace kiln::syntax
