#include "compiler/passes/pipeline.h"

#include "compiler/passes/passes.h"

#include <algorithm>

namespace kiln {

const std::vector<Pass> &all_passes() {
    static const std::vector<Pass> passes{
        {"cse", "of equal computations keep the first", cse},
        {"dce", "drop what no result depends on", dce},
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
    for (const Pass &pass : all_passes()) result = pass.run(result);
    return result;
}

}  // namespace kiln
