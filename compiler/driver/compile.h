// The whole pipeline on one screen.
#pragma once

#include "compiler/elaborate/elaborate.h"
#include "compiler/plan/plan.h"

namespace kiln {

/// The stages of one compilation that the driver's commands look at. Later ones are empty if errors stopped it.
struct Compilation {
    ast::Module tree;
    Module graph;      ///< as elaborated
    Module grad;       ///< with gradients
    Module optimized;
    Plan plan;
};

enum class Stage { ast, graph, grad, optimized, plan };

/// A Module in text form, by its name.
inline bool is_graph_file(const std::string &name) { return name.ends_with(".graph"); }

/// Runs the pipeline up to `last`. It begins with a Module in text form where that was printed: one whose graphs store gradients
/// gets no others, and one whose nodes have groups is not optimized again, whatever the level.
Compilation compile(const SourceFile &file, SourceMap &sources, const ElaborateOptions &options, int level, Stage last,
                    Diagnostics &diagnostics);

}  // namespace kiln
