#include "compiler/passes/pipeline.h"

#include "compiler/passes/passes.h"

#include <algorithm>

namespace kiln {

const std::vector<Pass> &all_passes() {
    // Comprehensions that are other ops come first, so that the rest sees those. Folding then makes constants visible to the algebra; the algebra exposes equal computations and drops uses, which cse and dce
    // clean up. Fusion is last: it copies cheap nodes into their kernels, which cse would undo.
    static const std::vector<Pass> passes{
        {"specialize", "index notation that is a product, a convolution, a reduction or elementwise becomes that", specialize},
        {"fold", "compute what depends on constants alone", fold},
        {"simplify", "algebra that keeps the bits", simplify},
        {"join", "sums of tensors that are padded side by side become one that is joined", join},
        {"gradient-sums", "sums of a convolution's input gradient from its weight gradient", gradient_sums},
        {"few-filters", "convolutions to few filters run along their channels", few_filters},
        {"factor", "take out of sums what is the same for all terms", [](const Graph &graph) { return factor(graph); }},
        {"row-moments", "mean and variance of a convolution's results from sums over their rows", [](const Graph &graph) { return row_moments(graph); }},
        {"moments", "mean and variance of large tensors from one reading", [](const Graph &graph) { return moments(graph); }},
        {"pooled-sums", "sums over the gradient of a large pooling from the pooled side", [](const Graph &graph) { return pooled_sums(graph); }},
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

Graph before_gradients(const Graph &graph, int level) { return level <= 0 ? graph : dce(specialize(graph)); }

Graph optimize(const Graph &graph, int level) {
    if (level <= 0) return dce(graph);
    Graph result = graph;
    // Twice, and once more without `factor`: a simplification can make a constant or a factor, a sum become zero, and equal computations
    // can make operands the same.
    auto clean = [](const Graph &g) { return dce(cse(g)); };
    for (int round = 0; round < 2; ++round) result = clean(factor(gradient_sums(join(simplify(fold(specialize(result)))))));
    result = clean(pooled_sums(moments(row_moments(simplify(fold(few_filters(result)))))));
    return fuse(result);
}

}  // namespace kiln
