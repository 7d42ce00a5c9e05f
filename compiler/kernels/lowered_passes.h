// Passes over what Halide has lowered, for what it has no schedule for.
#pragma once

#include "compiler/ir/types.h"

#include <halide14/Halide.h>

#include <map>
#include <string>
#include <vector>

namespace kiln {

/// Gives rows that a task computes the memory of the result, of this shape, that they are a piece of, from element `first` on.
class RowsInResult : public Halide::Internal::IRMutator {
public:
    RowsInResult(std::string rows, std::string result, Halide::Expr first, Shape shape)
        : rows_(std::move(rows)), result_(std::move(result)), first_(std::move(first)), shape_(std::move(shape)) {}

private:
    using IRMutator::visit;
    Halide::Internal::Stmt visit(const Halide::Internal::Allocate *allocation) override;
    Halide::Internal::Stmt visit(const Halide::Internal::Free *free) override;

    const std::string rows_, result_;
    const Halide::Expr first_;
    const Shape shape_;
};

/// Loops over the parts of a table (TableParts in schedule.h), which Halide makes one after the other.
struct PartLoops {
    std::string making, setting;                 ///< names of loops: of the one that makes new rows, and of the last, that sets them
    std::string others;                          ///< begins the name of one that ends in ".task" and changes the other rows; "" if there is none
    int64_t parts = 1;
    std::map<std::string, std::string> results;  ///< buffers of arguments, and of the results that are stored over them
};

/// Makes them one loop: whoever has a part does all of it, and threads wait for each other once. Old rows are read from results, of which
/// a compiler knows that they are the memory that is stored to.
class OneLoopOfParts : public Halide::Internal::IRMutator {
public:
    explicit OneLoopOfParts(PartLoops loops) : loops_(std::move(loops)) {}

private:
    using IRMutator::visit;
    Halide::Internal::Stmt visit(const Halide::Internal::For *loop) override;

    const PartLoops loops_;
    std::vector<Halide::Internal::Stmt> bodies_;  ///< of the loops so far
};

}  // namespace kiln
