// Builder: appends nodes to a graph, inferring types. The only way graphs are made.
#pragma once

#include "compiler/ir/graph.h"

#include <exception>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace kiln {

/// Thrown by Builder when operands do not fit; the elaborator turns it into a diagnostic with both shapes. Where nobody does, it is
/// an internal error like any other exception.
struct BuildError : std::exception {
    explicit BuildError(std::string text) : message(std::move(text)) {}
    const char *what() const noexcept override { return message.c_str(); }
    std::string message;
};

class Builder {
public:
    explicit Builder(Graph &graph) : graph_(graph) {}

    Graph &graph() { return graph_; }
    const Type &type(NodeId id) const { return graph_[id].type; }

    /// Location and layer path given to the nodes appended from here on.
    void set_loc(Loc loc) { loc_ = std::move(loc); }
    void set_scope(std::string scope) { scope_ = std::move(scope); }

    /// Appends a node; throws BuildError. `declared` only for input, constant, iota.
    NodeId append(Op op, std::vector<NodeId> operands, Attrs attrs = NoAttrs{}, std::optional<Type> declared = {});

    NodeId input(InputKind kind, std::string name, Type type);
    NodeId constant(double value, Type type);                        ///< splat
    NodeId constant(std::vector<double> values, Type type);
    NodeId iota(int64_t axis, Type type);

    /// Elementwise with NumPy broadcasting and with a rank-0 operand adopting the other's element type: inserts
    /// `broadcast` and `cast`. Among scalars the wider type wins: bool, u8, i32, i64, f32, f64. Two non-scalar operands of
    /// different element types are a BuildError, and so is a real scalar with integer elements, unless it is a literal
    /// without a fraction.
    NodeId elementwise(Op op, std::vector<NodeId> operands);

    NodeId cast(NodeId x, DType to);                                 ///< x itself if it has that type
    NodeId broadcast_to(NodeId x, const Shape &shape);               ///< NumPy rules: dims aligned at the right
    NodeId reshape(NodeId x, Shape shape);
    NodeId transpose(NodeId x, Ints axes);
    NodeId reduce(Op op, NodeId x, Ints axes, bool keep = false);    ///< negative axes count from the end; x itself without axes
    /// Leading extents broadcast as in NumPy; many matrices times one are one product of their stacked rows.
    NodeId matmul(NodeId a, NodeId b, bool transpose_a = false, bool transpose_b = false);
    // Short forms of elementwise().
    NodeId add(NodeId a, NodeId b) { return elementwise(Op::add, {a, b}); }
    NodeId subtract(NodeId a, NodeId b) { return elementwise(Op::subtract, {a, b}); }
    NodeId multiply(NodeId a, NodeId b) { return elementwise(Op::multiply, {a, b}); }
    NodeId divide(NodeId a, NodeId b) { return elementwise(Op::divide, {a, b}); }

private:
    Graph &graph_;
    Loc loc_;
    std::string scope_;
};

}  // namespace kiln
