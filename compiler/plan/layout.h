// Where things lie: storages in their arenas, and buffers of a program in the work arena.
#pragma once

#include "compiler/plan/plan.h"

#include <string>
#include <vector>

namespace kiln {

struct ByteRange {
    std::string arena;
    int64_t begin = 0, end = 0;
    bool overlaps(const ByteRange &other) const { return arena == other.arena && begin < other.end && other.begin < end; }
    bool operator==(const ByteRange &) const = default;
};

/// The bytes behind a storage or arena name as an input or a store gives it: "Digits/dense/W", "gradient:Digits/dense/W",
/// "param", "state.m[0:2048]".
ByteRange storage_range(const Module &module, const std::string &name, const Type &type);

/// Assigns offsets to allocations so that those whose lifetimes meet do not overlap; returns the bytes needed. Largest
/// first, each at the lowest offset of the tightest gap that holds it, 64-byte aligned.
struct Allocation {
    int64_t bytes = 0;
    int first_use = 0, last_use = 0;  ///< both included
    int64_t offset = 0;
};
int64_t assign_offsets(std::vector<Allocation> &allocations);

inline int64_t round_up_64(int64_t bytes) { return (bytes + 63) / 64 * 64; }

}  // namespace kiln
