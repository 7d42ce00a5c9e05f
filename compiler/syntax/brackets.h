// Brackets are matched before parsing, where the whole file is in view: a missing one is reported with the place that
// opened it, and put where it was probably meant, so that the parser sees only balanced text. Internal to syntax/.
#pragma once

#include "compiler/syntax/lex.h"

namespace kiln::syntax {

bool is_opener(size_t type);
bool is_closer(size_t type);

/// Balances the brackets of `lexed.tokens`, reporting what is missing or too much, and adds to `lexed.damages`.
void balance_brackets(const SourceFile &file, Lexed &lexed, Diagnostics &diagnostics);

/// Whether brackets and operators nest little enough for recursive functions over the tree (kMaxNesting, kMaxTreeDepth);
/// reports the place if not. `tokens` are balanced.
bool check_nesting(const SourceFile &file, const std::vector<Token> &tokens, Diagnostics &diagnostics);

/// The same for brackets alone, before they are balanced.
bool check_bracket_depth(const SourceFile &file, const std::vector<Token> &tokens, Diagnostics &diagnostics);

}  // namespace kiln::syntax
