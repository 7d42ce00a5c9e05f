// Graph and Module <-> text. What is printed parses back to the same value; see graph.h for the form.
#pragma once

#include "compiler/ir/module.h"
#include "compiler/support/diagnostics.h"

#include <string>

namespace kiln {

struct PrintOptions {
    bool locations = true;  ///< `@ file:line:col`
    bool scopes = true;     ///< `in "Digits/conv_1"`
};

std::string print(const Graph &graph, const PrintOptions &options = {});
/// `module "Digits" { hyper ..., storage ..., split ... }` followed by its graphs.
std::string print(const Module &module, const PrintOptions &options = {});

/// A file holds one module (with graphs) or only graphs; graphs alone give a Module without a name.
Module parse_module(const SourceFile &file, Diagnostics &diagnostics);

}  // namespace kiln
