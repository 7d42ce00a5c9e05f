// Element types, shapes and tensor types. Every extent is a constant: a Graph is built for one batch size.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kiln {

enum class DType : uint8_t { f32, f64, i32, i64, u8, boolean };  ///< boolean is stored as one byte, 0 or 1

int64_t size_of(DType dtype);          ///< bytes an element
const char *name_of(DType dtype);      ///< "f32", "f64", "i32", "i64", "u8", "bool"
std::optional<DType> dtype_from_name(std::string_view name);
inline bool is_float(DType d) { return d == DType::f32 || d == DType::f64; }
inline bool is_integer(DType d) { return d == DType::i32 || d == DType::i64 || d == DType::u8; }

using Shape = std::vector<int64_t>;    ///< extents, outermost first; empty: a scalar. Row-major, dense.

/// The most elements a tensor or an arena may have: kernels index with 32 bits.
inline constexpr int64_t kMaxTensorElements = (int64_t(1) << 31) - 1;
/// Most records of a batch.
inline constexpr int64_t kMaxBatch = 1 << 20;

int64_t element_count(const Shape &shape);  ///< the largest int64_t if it has no room; shape rules refuse such types
std::string to_string(const Shape &shape);  ///< "[64, 10]"

struct Type {
    DType dtype = DType::f32;
    Shape shape;
    int rank() const { return int(shape.size()); }
    int64_t elements() const { return element_count(shape); }
    int64_t bytes() const { return elements() * size_of(dtype); }
    bool operator==(const Type &) const = default;
};

std::string to_string(const Type &type);    ///< "f32[64, 10]", a scalar is "f64[]"

}  // namespace kiln
