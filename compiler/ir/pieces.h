// Views that are a piece of memory, or are made of such: they need no kernel.
#pragma once

#include "compiler/ir/graph.h"

#include <optional>
#include <vector>

namespace kiln {

/// Where kernels may begin to read or write: buffers start at such addresses.
inline constexpr int64_t kPieceAlignment = 64;

/// Of a slice that is one piece of its operand, a computed one: bytes from the operand's beginning, a multiple of kPieceAlignment. None of other nodes.
std::optional<int64_t> piece_offset(const Graph &graph, NodeId slice);

/// Of a concatenation whose operands lie in it one after the other, each from a multiple of kPieceAlignment on: where, in bytes. Empty for other nodes.
std::vector<int64_t> piece_offsets(const Graph &graph, NodeId concatenation);

}  // namespace kiln
