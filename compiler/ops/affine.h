// Arithmetic of affine indices over a box of axes: sums, substitution, bounds. All of it saturates at +-2^62, so that hostile
// coefficients are large, not undefined.
#pragma once

#include "compiler/ir/comprehension.h"

#include <cstdint>
#include <vector>

namespace kiln {

inline constexpr int64_t kHugeIndex = int64_t(1) << 62;

struct Interval {
    int64_t low = 0, high = 0;  ///< both included; low > high: empty
    bool inside(int64_t extent) const { return low >= 0 && high < extent; }
};

inline AffineIndex constant_index(size_t axes, int64_t value) { return {std::vector<int64_t>(axes, 0), value, -1}; }
inline AffineIndex axis_index(size_t axes, size_t axis, int64_t factor = 1) {
    AffineIndex index = constant_index(axes, 0);
    index.coefficients[axis] = factor;
    return index;
}

int64_t saturated(__int128 value);
/// a + factor * b, without gathered parts of b.
AffineIndex combine(const AffineIndex &a, const AffineIndex &b, int64_t factor);
/// The index with each axis replaced by an index over other axes; a gathered part stays.
AffineIndex substitute(const AffineIndex &index, const std::vector<AffineIndex> &axes, size_t new_axes);

/// Axes that the index moves along.
bool is_constant(const AffineIndex &index);
/// The one axis whose position the index is, or -1.
int64_t plain_axis(const AffineIndex &index);

/// Where the index (without its gathered part) runs while the guards hold: bounds, not always the tightest.
Interval bounds(const AffineIndex &index, const std::vector<int64_t> &space, const std::vector<AffineIndex> &guards = {});

}  // namespace kiln
