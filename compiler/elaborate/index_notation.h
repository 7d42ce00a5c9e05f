// Index notation under elaboration. A statement is a nest of reductions; each has a body, a graph of rank-0 nodes whose inputs are
// elements of tensors, indices, or the values of inner reductions. When all of a statement is read, the ranges of its indices are
// found (index_ranges.cpp) and each nest becomes a `comprehension` of the graph around the op (index_emit.cpp).
#pragma once

#include "compiler/elaborate/value.h"

#include <memory>
#include <set>

namespace kiln {

/// An index of the statement, `i`; the dimensions of `..` are indices without a place of their own.
struct IndexVar {
    std::string name;
    SourceRange range;
    std::optional<int64_t> extent;
    SourceRange extent_place;      ///< what fixed it
};

struct Nest;

/// One input of a body that is an element of a tensor.
struct IndexedAccess {
    TensorValue tensor;
    const Nest *inner = nullptr;           ///< instead of the tensor: the value of a reduction
    size_t ellipsis = 0;                   ///< leading dimensions that `..` stands for
    std::vector<IndexValue> at;            ///< the other dimensions
    std::vector<NodeId> gather;            ///< per entry of `at`: an integer value of the body to be added, or invalid
    std::vector<SourceRange> places;       ///< per entry of `at`
    SourceRange range;
};

struct IndexGuard {
    IndexValue value;                      ///< 0 or more
    SourceRange range;
};

struct Nest {
    GraphContext body{"body"};
    std::string reducer;                   ///< "" for the statement itself
    SourceRange range;
    std::vector<int> indices;              ///< of the reduction
    std::map<int32_t, IndexedAccess> reads;     ///< by input node
    std::map<int32_t, IndexValue> positions;    ///< by input node
    std::vector<IndexGuard> guards;
    std::optional<NodeId> condition;
    std::vector<std::unique_ptr<Nest>> inner;
    NodeId value;

    /// Calls f(const Nest &) for this nest and all within.
    template <typename F> void each(F &&f) const {
        f(*this);
        for (const auto &nest : inner) nest->each(f);
    }
    /// Indices that the nest depends on, its own included, and whether it has the dimensions of `..`.
    std::set<int> mentioned() const;
    bool has_ellipsis() const;
};

/// One statement that defines a tensor, or a part of it.
struct IndexedStatement {
    std::string name;
    SourceRange range, name_range;
    std::vector<int> axes;                 ///< index of each dimension after `..`
    std::vector<std::optional<int64_t>> fixed;  ///< the dimension is this position only
    bool has_ellipsis = false;
    std::vector<IndexVar> vars;
    std::vector<int> ellipsis;             ///< the indices that `..` stands for
    Nest root;
};

/// A call of an op under way.
struct OpFrame {
    GraphContext *main = nullptr;
    std::shared_ptr<Scope> scope;
    std::map<std::string, const ast::TypeExpr *> declared;  ///< tensors that are results, with their type
    std::optional<Shape> leading;          ///< what `..` stands for in the first argument that has it
    IndexedStatement *statement = nullptr;
    Nest *nest = nullptr;                  ///< whose body is being evaluated

    /// What is defined of a tensor so far.
    struct Part {
        std::vector<IndexGuard> guards;    ///< over numbers of dimensions, after `..`
    };
    struct Definition {
        TensorValue value;
        SourceRange range;
        size_t leading = 0;                ///< dimensions that `..` stood for
        std::vector<Part> parts;
        bool complete = false;
    };
    std::map<std::string, Definition> definitions;
    std::vector<std::string> order;
};

IndexValue add(const IndexValue &a, const IndexValue &b, int64_t factor = 1);

}  // namespace kiln
