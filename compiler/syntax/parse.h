// Text -> syntax tree.
#pragma once

#include "compiler/support/diagnostics.h"
#include "compiler/syntax/ast.h"

namespace kiln {

/// Deepest nesting of brackets that is parsed; deeper text is an error (ANTLR recurses without a limit).
inline constexpr int kMaxNesting = 200;
/// Deepest nesting of brackets and operators together: `a + b + c` is two deep. It bounds the depth of the tree, and so the
/// recursion of everything that walks it.
inline constexpr int kMaxTreeDepth = 1000;

/// Parses a file. Reports every syntax error it can find; the tree then holds what could be understood.
ast::Module parse(const SourceFile &file, Diagnostics &diagnostics);

}  // namespace kiln
