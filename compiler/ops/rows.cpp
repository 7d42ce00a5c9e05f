// Rows of a table by index: gather_rows reads them, scatter_add_rows adds to them, in the order of the updates. Each is the
// gradient of the other. set_rows overwrites rows, and first_occurrence tells which of several positions with one index is the
// first: with it, updates of the same row are added up in a table of as many rows as there are updates. An index outside [0, V) is
// clamped into it.
#include "compiler/ops/common.h"

#include <algorithm>

namespace kiln {
namespace {

size_t clamped(double index, int64_t rows) { return size_t(std::clamp<int64_t>(int64_t(index), 0, rows - 1)); }

std::optional<ShapeError> check_index(const Type &index) {
    if (index.dtype != DType::i32) return shape_error("the index must be i32, not {}", to_string(index));
    return std::nullopt;
}

}  // namespace

// --- gather_rows: (table: [V, D..], index: i32[I..]) -> [I.., D..] -------------------------------------------------
ShapeResult shape_gather_rows(const std::vector<Type> &operands, const GatherAttrs &, const Type &) {
    const Type &table = operands[0], &index = operands[1];
    if (auto error = check_index(index)) return *error;
    if (table.rank() < 1) return shape_error("the table must be [V, D..], not {}", to_string(table));
    Type result{table.dtype, index.shape};
    result.shape.insert(result.shape.end(), table.shape.begin() + 1, table.shape.end());
    return result;
}
std::vector<NodeId> vjp_gather_rows(Builder &b, const Graph &g, NodeId node, NodeId dy) {
    const NodeId table = g[node].operands[0], index = g[node].operands[1];
    const int64_t rows = b.type(table).shape[0];
    return {b.append(Op::scatter_add_rows, {dy, index}, RowsAttrs{rows}), NodeId{}};
}
Tensor evaluate_gather_rows(const Node &node, const std::vector<const Tensor *> &operands) {
    const Tensor &table = *operands[0], &index = *operands[1];
    const int64_t rows = table.type.shape[0];
    const size_t width = table.values.size() / size_t(rows);
    Tensor result = zeros(node.type);
    for (size_t i = 0; i < index.values.size(); ++i)
        std::copy_n(table.values.begin() + int64_t(clamped(index.values[i], rows) * width), width, result.values.begin() + int64_t(i * width));
    return result;
}

// --- scatter_add_rows: (updates: [I.., D..], index: i32[I..]) -> [V, D..] ------------------------------------------
ShapeResult shape_scatter_add_rows(const std::vector<Type> &operands, const RowsAttrs &attrs, const Type &) {
    const Type &updates = operands[0], &index = operands[1];
    if (auto error = check_index(index)) return *error;
    if (updates.dtype == DType::boolean) return shape_error("takes numbers, not {}", to_string(updates));
    if (attrs.rows < 1) return shape_error("a table of {} rows", attrs.rows);
    if (updates.rank() < index.rank() || !std::equal(index.shape.begin(), index.shape.end(), updates.shape.begin()))
        return shape_error("the updates {} must begin with the extents of the index {}", to_string(updates), to_string(index));
    Type result{updates.dtype, {attrs.rows}};
    result.shape.insert(result.shape.end(), updates.shape.begin() + index.rank(), updates.shape.end());
    return result;
}
std::vector<NodeId> vjp_scatter_add_rows(Builder &b, const Graph &g, NodeId node, NodeId dy) {
    const NodeId index = g[node].operands[1];
    return {b.append(Op::gather_rows, {dy, index}, GatherAttrs{}), NodeId{}};
}
Tensor evaluate_scatter_add_rows(const Node &node, const std::vector<const Tensor *> &operands) {
    const Tensor &updates = *operands[0], &index = *operands[1];
    const int64_t rows = node.type.shape[0];
    Tensor result = zeros(node.type);
    const size_t width = result.values.size() / size_t(rows);
    for (size_t i = 0; i < index.values.size(); ++i) {
        const size_t row = clamped(index.values[i], rows);
        for (size_t j = 0; j < width; ++j) result.values[row * width + j] += updates.values[i * width + j];
    }
    return result;
}

// --- set_rows: (table: [V, D..], rows: [I.., D..], index: i32[I..]) -> [V, D..] ------------------------------------
ShapeResult shape_set_rows(const std::vector<Type> &operands, const NoAttrs &, const Type &) {
    const Type &table = operands[0], &rows = operands[1], &index = operands[2];
    if (auto error = check_index(index)) return *error;
    if (table.rank() < 1) return shape_error("the table must be [V, D..], not {}", to_string(table));
    Type expected{table.dtype, index.shape};
    expected.shape.insert(expected.shape.end(), table.shape.begin() + 1, table.shape.end());
    if (rows != expected) return shape_error("rows of {} for {} must be {}, not {}", to_string(table), to_string(index), to_string(expected), to_string(rows));
    return table;
}
std::vector<NodeId> vjp_set_rows(Builder &b, const Graph &g, NodeId node, NodeId dy) {
    const NodeId index = g[node].operands[2];
    const Type rows = b.type(g[node].operands[1]), table = b.type(dy), which = b.type(index);
    // Rows that were not stored, because an earlier one has their index, have no gradient.
    const int64_t count = which.elements();
    const NodeId first = b.append(Op::first_occurrence, {b.reshape(index, {count})}, RowsAttrs{table.shape[0]});
    const NodeId stored = b.append(Op::equal, {first, b.iota(0, {DType::i32, {count}})});
    Ints leading;
    for (int i = 0; i < which.rank(); ++i) leading.push_back(i);
    const NodeId mask = b.append(Op::broadcast, {b.reshape(stored, which.shape)}, BroadcastAttrs{rows.shape, leading});
    return {b.append(Op::set_rows, {dy, b.constant(0, rows), index}),
            b.append(Op::select, {mask, b.append(Op::gather_rows, {dy, index}, GatherAttrs{}), b.constant(0, rows)}), NodeId{}};
}
Tensor evaluate_set_rows(const Node &node, const std::vector<const Tensor *> &operands) {
    const Tensor &rows = *operands[1], &index = *operands[2];
    Tensor result = *operands[0];
    const int64_t count = node.type.shape[0];
    const size_t width = result.values.size() / size_t(count);
    for (size_t i = index.values.size(); i-- > 0;)
        std::copy_n(rows.values.begin() + int64_t(i * width), width, result.values.begin() + int64_t(clamped(index.values[i], count) * width));
    return result;
}

// --- first_occurrence: (index: i32[I]) -> i32[I] -------------------------------------------------------------------
ShapeResult shape_first_occurrence(const std::vector<Type> &operands, const RowsAttrs &attrs, const Type &) {
    if (auto error = check_index(operands[0])) return *error;
    if (operands[0].rank() != 1) return shape_error("the index must be a vector, not {}", to_string(operands[0]));
    if (attrs.rows < 1) return shape_error("a table of {} rows", attrs.rows);
    return operands[0];
}
std::vector<NodeId> vjp_first_occurrence(Builder &, const Graph &, NodeId, NodeId) { return {NodeId{}}; }
Tensor evaluate_first_occurrence(const Node &node, const std::vector<const Tensor *> &operands) {
    const Tensor &index = *operands[0];
    const int64_t rows = attrs<RowsAttrs>(node).rows;
    Tensor result = zeros(node.type);
    std::vector<size_t> first(size_t(rows), index.values.size());
    for (size_t i = 0; i < index.values.size(); ++i) {
        size_t &place = first[clamped(index.values[i], rows)];
        place = std::min(place, i);
        result.values[i] = double(place);
    }
    return result;
}

}  // namespace kiln
