#include "compiler/passes/pipeline.h"

#include "compiler/passes/passes.h"

#include <algorithm>

namespace kiln {

const std::vector<Pass> &all_passes() {
    // Folding first makes constants visible to the algebra; the algebra exposes equal computations and drops uses, which cse and dce
    // clean up. Fusion is last: it copies cheap nodes into their kernels, which cse would undo.
    static const std::vector<Pass> passes{
        {"fold", "compute what depends on constants alone", fold},
        {"simplify", "algebra that keeps the bits", simplify},
        {"cse", "of equal computations keep the first", cse},
        {"dce", "drop what no result depends on", dce},
        {"fuse", "decide which nodes become one kernel", fuse},
    };
    return passes;
}

const Pass *find_pass(std::string_view name) {
    auto found = std::find_if(all_passes().begin(), all_passes().end(), [&](const Pass &pass) { return name == pass.name; });
    return found == all_passes().end() ? nullptr : &*found;
}

Graph optimize(const Graph &graph, int level) {
    if (level <= 0) return dce(graph);
    Graph result = graph;
    // Twice: a simplification can make a constant, and equal computations can make operands the same.
    for (int round = 0; round < 2; ++round) result = dce(cse(simplify(fold(result))));
    return fuse(result);
}

}  // namespace kiln
