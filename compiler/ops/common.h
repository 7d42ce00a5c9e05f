// What the op families share: checks of shape rules, and walks over tensors for the reference evaluators.
#pragma once

#include "compiler/ops/rules.h"
#include "compiler/support/check.h"

#include <fmt/format.h>

namespace kiln {

template <typename... Args> ShapeError shape_error(fmt::format_string<Args...> format, Args &&...args) {
    return ShapeError{fmt::format(format, std::forward<Args>(args)...)};
}

/// Axes ascending, each once, within a tensor of this rank; otherwise what is wrong with them.
inline std::optional<ShapeError> check_axes(const Ints &axes, int rank) {
    for (size_t i = 0; i < axes.size(); ++i) {
        if (axes[i] < 0 || axes[i] >= rank) return shape_error("there is no axis {} in a tensor of rank {}", axes[i], rank);
        if (i > 0 && axes[i] == axes[i - 1]) return shape_error("axis {} is named twice", axes[i]);
        if (i > 0 && axes[i] < axes[i - 1]) return shape_error("axis {} stands after axis {}: axes must ascend", axes[i], axes[i - 1]);
    }
    return std::nullopt;
}

inline bool contains(const Ints &list, int64_t value) {
    for (int64_t item : list)
        if (item == value) return true;
    return false;
}

/// Elements between neighbours along each dimension of a dense row-major tensor.
inline Ints strides_of(const Shape &shape) {
    Ints strides(shape.size(), 1);
    for (size_t i = shape.size(); i-- > 1;) strides[i - 1] = strides[i] * shape[i];
    return strides;
}

/// Calls f(i, offset) for each element of `shape` in row-major order: i counts them, offset = base + sum of index[d] * strides[d].
template <typename F> void walk(const Shape &shape, int64_t base, const Ints &strides, F &&f) {
    Ints index(shape.size(), 0);
    int64_t offset = base;
    int64_t count = element_count(shape);
    for (int64_t i = 0; i < count; ++i) {
        f(i, offset);
        for (size_t d = shape.size(); d-- > 0;) {
            offset += strides[d];
            if (++index[d] < shape[d]) break;
            offset -= strides[d] * shape[d];
            index[d] = 0;
        }
    }
}

inline Tensor zeros(const Type &type) { return Tensor{type, std::vector<double>(size_t(type.elements()), 0.0)}; }

}  // namespace kiln
