// Syntax tree -> Module: modules and the embedded stdlib, scopes, instantiation of layers, shape unification.
#pragma once

#include "compiler/ir/module.h"
#include "compiler/support/diagnostics.h"
#include "compiler/syntax/ast.h"

#include <map>
#include <string>

namespace kiln {

struct ElaborateOptions {
    std::map<std::string, std::string> defines;  ///< -D name=value, for `const` declarations
};

/// The whole experiment of a file, graphs init, train (undifferentiated: forward with `loss`), update, evaluate, predict and
/// the rules. Problems go to `diagnostics`; the module is complete only if there are no errors.
Module elaborate(const ast::Module &file, SourceMap &sources, const ElaborateOptions &options, Diagnostics &diagnostics);

/// The name of the file that an `import` of this path reads: relative to the importing file.
std::string imported_name(const std::string &path, const SourceFile &from);

/// The embedded standard library: file name under stdlib/ -> text (made by the build from stdlib/).
const std::map<std::string, std::string> &stdlib_sources();

}  // namespace kiln
