// Classes of tokens that the phases between lexer and parser share. Internal to syntax/.
#pragma once

#include <cstddef>
#include <string_view>

namespace kiln::syntax {

/// A name or any keyword.
bool is_word(size_t type);
/// `hyper` ... `train`, `import`: what a declaration begins with.
bool is_declaration_keyword(size_t type);
/// A keyword that is never a name: if else for return not true false.
bool is_reserved(size_t type);
/// A name that index notation reduces by: sum max min prod mean.
bool is_reducer(std::string_view name);
/// An infix operator, after contextual words have been settled (`then and or div where` included).
bool is_operator(size_t type);
/// The last token of an operand, after contextual words have been settled: a name, a literal, a closing bracket.
bool ends_operand(size_t type);

}  // namespace kiln::syntax
