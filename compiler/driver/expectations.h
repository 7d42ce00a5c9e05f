// --verify-diagnostics: a test file says in comments what is wrong with it.
//
//   y = relu(x, 3)      // expected-error {{unknown argument}}
//   // expected-error@+1 {{inner extents differ}}
//   // expected-warning@-2 {{unused}}        // expected-error@unknown {{..}}: no place in this file
#pragma once

#include "compiler/support/diagnostics.h"

#include <string>

namespace kiln {

/// Compares what was reported with what `file` expects: every diagnostic needs an expectation on its line whose text is part of
/// its message (or of a label or note), and every expectation a diagnostic. What does not agree, as text; "" if all does.
std::string compare_with_expectations(const SourceFile &file, const Diagnostics &diagnostics);

}  // namespace kiln
