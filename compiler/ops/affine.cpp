#include "compiler/ops/affine.h"

#include <algorithm>

namespace kiln {
namespace {

using Box = std::vector<Interval>;

int64_t floor_divide(int64_t a, int64_t b) { return a / b - ((a % b != 0 && (a < 0) != (b < 0)) ? 1 : 0); }

Interval over_box(const AffineIndex &index, const Box &box, int64_t without = -1) {
    __int128 low = index.offset, high = index.offset;
    for (size_t axis = 0; axis < index.coefficients.size(); ++axis) {
        const __int128 c = index.coefficients[axis];
        if (c == 0 || int64_t(axis) == without) continue;
        low += std::min(c * box[axis].low, c * box[axis].high);
        high += std::max(c * box[axis].low, c * box[axis].high);
    }
    return {saturated(low), saturated(high)};
}

/// The axes' ranges as far as single guards narrow them.
Box narrowed(const std::vector<int64_t> &space, const std::vector<AffineIndex> &guards) {
    Box box;
    for (int64_t extent : space) box.push_back({0, extent - 1});
    for (int round = 0; round < 3; ++round)
        for (const AffineIndex &guard : guards)
            for (size_t axis = 0; axis < box.size(); ++axis) {
                const int64_t c = guard.coefficients[axis];
                if (c == 0 || c < -kHugeIndex) continue;
                // c * position >= -rest
                const int64_t rest = over_box(guard, box, int64_t(axis)).high;
                if (c > 0) box[axis].low = std::max(box[axis].low, -floor_divide(rest, c));
                else box[axis].high = std::min(box[axis].high, floor_divide(rest, -c));
            }
    return box;
}

}  // namespace

int64_t saturated(__int128 value) { return int64_t(std::clamp<__int128>(value, -__int128(kHugeIndex), __int128(kHugeIndex))); }

AffineIndex combine(const AffineIndex &a, const AffineIndex &b, int64_t factor) {
    AffineIndex result = a;
    for (size_t axis = 0; axis < result.coefficients.size(); ++axis)
        result.coefficients[axis] = saturated(__int128(a.coefficients[axis]) + __int128(factor) * b.coefficients[axis]);
    result.offset = saturated(__int128(a.offset) + __int128(factor) * b.offset);
    return result;
}

AffineIndex substitute(const AffineIndex &index, const std::vector<AffineIndex> &axes, size_t new_axes) {
    AffineIndex result = constant_index(new_axes, index.offset);
    result.gather = index.gather;
    for (size_t axis = 0; axis < index.coefficients.size(); ++axis)
        if (index.coefficients[axis] != 0) result = combine(result, axes[axis], index.coefficients[axis]);
    return result;
}

bool is_constant(const AffineIndex &index) {
    return index.gather < 0 && std::all_of(index.coefficients.begin(), index.coefficients.end(), [](int64_t c) { return c == 0; });
}

int64_t plain_axis(const AffineIndex &index) {
    if (index.gather >= 0 || index.offset != 0) return -1;
    int64_t found = -1;
    for (size_t axis = 0; axis < index.coefficients.size(); ++axis) {
        if (index.coefficients[axis] == 0) continue;
        if (found >= 0 || index.coefficients[axis] != 1) return -1;
        found = int64_t(axis);
    }
    return found;
}

namespace {

/// Bounds over a box, narrowed by up to `depth` guards together.
Interval bounds_over(const AffineIndex &index, const Box &box, const std::vector<AffineIndex> &guards, int depth) {
    Interval result = over_box(index, box);
    if (depth == 0) return result;
    // index = factor * guard + rest, and the guard is 0 or more. A factor that takes an axis away leaves the least to chance.
    for (const AffineIndex &guard : guards)
        for (size_t axis = 0; axis < box.size(); ++axis) {
            const int64_t a = index.coefficients[axis], g = guard.coefficients[axis];
            if (a == 0 || g == 0 || a % g != 0) continue;
            const int64_t factor = a / g;
            const Interval rest = bounds_over(combine(index, guard, saturated(-__int128(factor))), box, guards, depth - 1);
            if (factor > 0) result.low = std::max(result.low, rest.low);
            else result.high = std::min(result.high, rest.high);
        }
    return result;
}

}  // namespace

Interval bounds(const AffineIndex &index, const std::vector<int64_t> &space, const std::vector<AffineIndex> &guards) {
    const Box box = narrowed(space, guards);
    for (const Interval &range : box)
        if (range.low > range.high) return {0, -1};
    return bounds_over(index, box, guards, 2);
}

}  // namespace kiln
