// Arithmetic that knows zeros: what remains of a computation when one of its inputs is zero everywhere. Unlike `simplify` it takes
// every number to be finite, so that 0 times anything is 0.
#pragma once

#include "compiler/ops/builder.h"

namespace kiln {

class ZeroAlgebra {
public:
    explicit ZeroAlgebra(Builder &builder) : builder_(builder) {}

    /// The elementwise op on these operands (of one shape) in its simplest form: a constant, an operand, or a new node.
    NodeId simplest(Op op, const std::vector<NodeId> &operands, const Attrs &attributes);

private:
    bool is_zero(NodeId id) const;
    /// Proven for every value of the inputs, whatever rounding does to the sum of a positive and a not negative number.
    bool is_positive(NodeId id) const;
    bool is_not_negative(NodeId id) const;
    const Node &at(NodeId id) const { return builder_.graph()[id]; }

    Builder &builder_;
};

}  // namespace kiln
