#include "compiler/ir/pieces.h"

namespace kiln {

std::optional<int64_t> piece_offset(const Graph &graph, NodeId slice) {
    const Node &node = graph[slice];
    if (node.op != Op::slice) return {};
    NodeId from = node.operands[0];
    while (graph[from].op == Op::reshape || graph[from].op == Op::slice) from = graph[from].operands[0];
    if (graph[from].op == Op::input || graph[from].op == Op::constant) return {};
    const SliceAttrs &range = attrs<SliceAttrs>(node);
    const Shape &whole = graph[node.operands[0]].type.shape;
    // One position of the leading axes, a range of the next one, all of the others.
    bool is_inside = false;
    int64_t offset = 0;
    for (size_t axis = 0; axis < whole.size(); ++axis) {
        const int64_t extent = node.type.shape[axis];
        if (range.step[axis] != 1 || (is_inside && extent != whole[axis])) return {};
        is_inside = is_inside || extent > 1;
        offset = offset * whole[axis] + range.begin[axis];
    }
    offset *= size_of(node.type.dtype);
    return offset % kPieceAlignment == 0 ? std::optional(offset) : std::nullopt;
}

std::vector<int64_t> piece_offsets(const Graph &graph, NodeId concatenation) {
    const Node &node = graph[concatenation];
    if (node.op != Op::concat) return {};
    for (int64_t axis = 0; axis < attrs<AxisAttrs>(node).axis; ++axis)
        if (node.type.shape[size_t(axis)] != 1) return {};
    std::vector<int64_t> offsets;
    int64_t offset = 0;
    for (NodeId operand : node.operands) {
        if (offset % kPieceAlignment != 0) return {};
        offsets.push_back(offset);
        offset += graph[operand].type.bytes();
    }
    return offsets;
}

}  // namespace kiln
