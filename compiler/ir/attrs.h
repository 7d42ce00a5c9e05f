// Attributes of ops: what is fixed at compile time and is not a shape. `fields()` names the members once, for the
// printer, the parser, hashing and equality.
#pragma once

#include "compiler/ir/comprehension.h"
#include "compiler/ir/types.h"

#include <array>
#include <string>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

namespace kiln {

#define KILN_FIELDS(...)                                                                                   \
    template <typename Visitor> void visit(Visitor &&v) { visit_members(v, #__VA_ARGS__, __VA_ARGS__); } \
    template <typename Visitor> void visit(Visitor &&v) const { visit_members(v, #__VA_ARGS__, __VA_ARGS__); }

/// Calls v(name, member) for every member; `names` is the stringized list "a, b, c".
template <typename Visitor, typename... Members>
void visit_members(Visitor &&v, std::string_view names, Members &...members) {
    auto next = [&names]() {
        size_t comma = names.find(',');
        std::string_view name = names.substr(0, comma);
        names = comma == std::string_view::npos ? "" : names.substr(comma + 1);
        while (!name.empty() && name.front() == ' ') name.remove_prefix(1);
        return name;
    };
    (v(next(), members), ...);
}

using Ints = std::vector<int64_t>;

/// What a graph reads.
enum class InputKind : uint8_t {
    data,      ///< a column of the current batch, by name: [batch, ..]
    storage,   ///< a tensor that outlives the step, by path: parameter, buffer or optimizer state
    arena,     ///< a whole storage arena as one vector ("param", "gradient", "state.m", ...): see module.h
    scalar,    ///< a rank-0 value: a hyper, `seed`, `step`, `epoch`, `rate`, a global, ...: see module.h
    argument,  ///< an operand of a kernel body or of a test graph, by position
};

struct NoAttrs { template <typename V> void visit(V &&) const {} template <typename V> void visit(V &&) {} };
struct InputAttrs { InputKind kind = InputKind::argument; std::string name; KILN_FIELDS(kind, name) };
struct ConstantAttrs { std::vector<double> values; KILN_FIELDS(values) };  ///< one value: splat; else row-major
struct AxisAttrs { int64_t axis = 0; KILN_FIELDS(axis) };
struct AxesAttrs { Ints axes; KILN_FIELDS(axes) };                         ///< reductions: ascending
struct ShapeAttrs { Ints shape; KILN_FIELDS(shape) };
struct BroadcastAttrs { Ints shape; Ints dims; KILN_FIELDS(shape, dims) };  ///< dims ascending; extent equal or 1
struct CastAttrs { DType to = DType::f32; KILN_FIELDS(to) };
/// Philox4x32-10, key = seed, counter = (block, stream, counter low, counter high). f32: 16 blocks make 64 elements; element i has the top
/// 24 bits of word i / 16 % 4 of block i / 64 * 16 + i % 16, so that all four words of 16 neighbouring blocks are vectors of neighbouring
/// elements. f64: element i has the top 53 bits of words 0 (high) and 1 (low) of block i.
struct RandomAttrs { int64_t stream = 0; DType to = DType::f32; Ints shape; KILN_FIELDS(stream, to, shape) };
struct SliceAttrs { Ints begin, end, step; KILN_FIELDS(begin, end, step) };
struct PadAttrs { Ints low, high, interior; KILN_FIELDS(low, high, interior) };
struct MatmulAttrs { bool transpose_a = false, transpose_b = false; KILN_FIELDS(transpose_a, transpose_b) };
/// Pairs are (H, W); padding is (top, bottom, left, right) and may not be negative.
struct ConvAttrs {
    Ints stride{1, 1}, padding{0, 0, 0, 0}, dilation{1, 1};
    KILN_FIELDS(stride, padding, dilation)
};
/// `extents`: the (H, W) of the input for an input gradient, the (R, S) of the kernel for a weight gradient.
struct ConvGradAttrs {
    Ints stride{1, 1}, padding{0, 0, 0, 0}, dilation{1, 1}, extents{0, 0};
    KILN_FIELDS(stride, padding, dilation, extents)
};
struct WindowAttrs { Ints window{1, 1}, stride{1, 1}, padding{0, 0, 0, 0}; KILN_FIELDS(window, stride, padding) };
struct WindowGradAttrs {
    Ints window{1, 1}, stride{1, 1}, padding{0, 0, 0, 0}, extents{0, 0};
    KILN_FIELDS(window, stride, padding, extents)
};
/// What `warp` reads outside the image: the nearest pixel, a constant, or the image mirrored at its edge (edge pixels repeated).
enum class Fill : uint8_t { nearest, constant, reflect };
struct WarpAttrs { Fill fill = Fill::nearest; double value = 0; KILN_FIELDS(fill, value) };  ///< value: the constant
struct RowsAttrs { int64_t rows = 0; KILN_FIELDS(rows) };
/// `in_parts`: an optimizer changes the whole table in each step, in parts of neighbouring rows that belong to a thread each; rows of a
/// part are looked up by that thread.
struct GatherAttrs { bool in_parts = false; KILN_FIELDS(in_parts) };

#undef KILN_FIELDS

using Attrs = std::variant<NoAttrs, InputAttrs, ConstantAttrs, AxisAttrs, AxesAttrs, ShapeAttrs, BroadcastAttrs, CastAttrs,
                           RandomAttrs, SliceAttrs, PadAttrs, MatmulAttrs, ConvAttrs, ConvGradAttrs, WindowAttrs,
                           WindowGradAttrs, WarpAttrs, RowsAttrs, GatherAttrs, ComprehensionAttrs>;

}  // namespace kiln
