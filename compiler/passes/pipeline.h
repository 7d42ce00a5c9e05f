// Graph -> Graph. Each pass is a pure function in a file of its own; the order, with its reasons, is the table in pipeline.cpp.
#pragma once

#include "compiler/ir/module.h"

#include <string>
#include <string_view>
#include <vector>

namespace kiln {

struct Pass {
    const char *name;     ///< for `kiln opt --pass=`
    const char *summary;  ///< one line for `kiln help opt`
    Graph (*run)(const Graph &);
};

/// Every pass, in pipeline order.
const std::vector<Pass> &all_passes();
const Pass *find_pass(std::string_view name);

/// What is done before differentiation: the gradient of an op is better than that of the index notation it was written in.
Graph before_gradients(const Graph &graph, int level);

/// The pipeline at -O0 .. -O3 over one graph. -O0: fusion of nothing, every op its own kernel. -O1 and up: everything.
Graph optimize(const Graph &graph, int level);

}  // namespace kiln
