// Structural invariants of a graph: arity, attribute kind, operand order, and that each node's type is what the op's
// shape rule infers. Passes are checked with it in tests and debug builds. And of a module: that its graphs read and store
// what it declares.
#pragma once

#include "compiler/ir/module.h"
#include "compiler/support/diagnostics.h"

namespace kiln {

/// Reports every violation; true if there is none. (Shape rules are reached through ops/rules.h, so the full
/// verifier lives in ops/; this one checks what needs no rule.)
bool verify_structure(const Graph &graph, Diagnostics &diagnostics);

/// Reports what contradicts itself in a module: declarations that cannot be, and graphs whose inputs and results are not what is
/// declared, be it by name, type or place in an arena. For graphs without violations.
bool verify_declarations(const Module &module, Diagnostics &diagnostics);

}  // namespace kiln
