// The codes of the diagnostics, by name.
#pragma once

#include "compiler/support/diagnostics.h"

namespace kiln {

/// One enumerator per line of diagnostics.def.
enum class DiagnosticCode : int {
#define DIAGNOSTIC(code, name, severity, text) name,
#include "compiler/support/diagnostics.def"
#undef DIAGNOSTIC
};

}  // namespace kiln
