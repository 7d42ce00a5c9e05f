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

/// Runs the pipeline up to `last`. A file whose name ends in ".graph" is a Module in text form, as elaborate() would give it: the
/// pipeline then begins there.
Compilation compile(const SourceFile &file, SourceMap &sources, const ElaborateOptions &options, int level, Stage last,
                    Diagnostics &diagnostics);

}  // namespace kiln
