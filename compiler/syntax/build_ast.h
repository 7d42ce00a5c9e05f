// ANTLR's parse tree -> ast::Module. Internal to syntax/.
#pragma once

#include "KilnParser.h"
#include "compiler/syntax/ast.h"
#include "compiler/syntax/lex.h"

namespace kiln::syntax {

/// What the tree was parsed from.
struct TreeSource {
    const SourceFile &file;
    const std::vector<Token> &tokens;    ///< token i of the tree
    const std::vector<Token> &comments;  ///< in order
    const std::vector<Damage> &damages;  ///< places whose errors are reported already
};

/// Statements and declarations with a syntax error in them are left out; the rest is checked for what the grammar admits
/// but the language does not.
ast::Module build_ast(kiln_grammar::KilnParser::FileContext *tree, const TreeSource &source, Diagnostics &diagnostics);

}  // namespace kiln::syntax
