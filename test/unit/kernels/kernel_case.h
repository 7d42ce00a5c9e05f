// Bodies of kernels for tests.
#pragma once

#include "compiler/ops/builder.h"

namespace kiln {

/// A body under construction, with short names for what the cases need.
struct Case {
    Graph graph;
    Builder b{graph};
    DType type;
    explicit Case(DType t) : type(t) { graph.name = "kernel"; }
    NodeId in(Shape shape, std::string name = "x") { return b.input(InputKind::argument, name, {type, std::move(shape)}); }
    NodeId in(DType dtype, Shape shape, std::string name = "x") { return b.input(InputKind::argument, name, {dtype, std::move(shape)}); }
    NodeId relu(NodeId x) { return b.append(Op::maximum, {x, b.constant(0, b.type(x))}); }
    void result(NodeId x) { graph.results.push_back({ResultKind::value, "", x}); }
};

}  // namespace kiln
