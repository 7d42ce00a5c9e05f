// Documentation comments and signatures as text for a terminal, or for a pipe, where lines are not broken: `columns` is 0 then.
#pragma once

#include "compiler/syntax/ast.h"

#include <string>

namespace kiln {

/// The characters of a text, each of which takes a column.
size_t width_of(std::string_view text);

/// A text broken at spaces into lines that begin with `indent` spaces, all after the first with `hang` more. Ends with a newline.
std::string wrapped(const std::string &text, size_t columns, size_t indent, size_t hang = 0);

/// The first sentence, on one line. It ends where a line of shapes or an empty one begins, too.
std::string first_sentence(const std::string &doc);

/// A sentence up to its colon, behind which a formula or the details stand; all of it if there is none.
std::string without_explanation(const std::string &sentence);

/// All of a comment: its paragraphs filled anew for the width, lines that begin with two spaces (shapes) on their own, with four (examples) as they are.
std::string laid_out(const std::string &doc, size_t columns, size_t indent);

/// Whether a word, whatever its case, stands in a text.
bool mentions(const std::string &text, const std::string &word);

/// "layer", "fn", "const": the word that a declaration begins with.
std::string kind_word(const ast::Decl &decl);

/// "Dense(x, units, ..)": the parameters that must be given; "width: int = 32" of a value.
std::string short_signature(const ast::Decl &decl);

/// "layer Dense(x: float[.., in], units: int, .. ) -> float[.., units]", complete; broken between parameters. Ends with a newline.
std::string signature(const ast::Decl &decl, size_t columns, size_t indent);

/// The text of a declaration as it stands in its file. Ends with a newline.
std::string source_text(const ast::Decl &decl);

}  // namespace kiln
