#include "compiler/ir/types.h"

#include "compiler/support/check.h"

#include <fmt/ranges.h>

#include <limits>

namespace kiln {

int64_t size_of(DType dtype) {
    switch (dtype) {
    case DType::f32: return 4;
    case DType::f64: return 8;
    case DType::i32: return 4;
    case DType::i64: return 8;
    case DType::u8: return 1;
    case DType::boolean: return 1;
    }
    KILN_UNREACHABLE("dtype {}", int(dtype));
}

const char *name_of(DType dtype) {
    switch (dtype) {
    case DType::f32: return "f32";
    case DType::f64: return "f64";
    case DType::i32: return "i32";
    case DType::i64: return "i64";
    case DType::u8: return "u8";
    case DType::boolean: return "bool";
    }
    KILN_UNREACHABLE("dtype {}", int(dtype));
}

std::optional<DType> dtype_from_name(std::string_view name) {
    for (DType dtype : {DType::f32, DType::f64, DType::i32, DType::i64, DType::u8, DType::boolean})
        if (name == name_of(dtype)) return dtype;
    return std::nullopt;
}

int64_t element_count(const Shape &shape) {
    int64_t count = 1;
    for (int64_t extent : shape)
        if (__builtin_mul_overflow(count, extent, &count)) return std::numeric_limits<int64_t>::max();
    return count;
}

std::string to_string(const Shape &shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

std::string to_string(const Type &type) { return name_of(type.dtype) + to_string(type.shape); }

}  // namespace kiln
