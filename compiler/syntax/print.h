// Syntax tree -> text: the formatter of `kiln fmt`, and the dump of `kiln emit ast`.
#pragma once

#include "compiler/syntax/ast.h"

#include <string>

namespace kiln {

/// The file in canonical layout: four spaces for each block, one space around operators, neighbouring definitions aligned,
/// line breaks and comments kept where they stand. Formatting twice changes nothing; parsing the result gives the same
/// tree. `module` must come from a file without errors.
std::string format(const ast::Module &module);

/// The tree as indented text with locations, one node a line.
std::string dump(const ast::Module &module);

}  // namespace kiln
