// The order of a split's records in an epoch: a function of (seed, epoch) alone.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace kiln::runtime {

/// Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3").
std::array<uint32_t, 4> philox(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

/// A permutation of 0..records-1: Fisher-Yates, swap i drawing from Philox with key `seed` and counter (i, epoch).
std::vector<int64_t> shuffled_order(int64_t records, uint64_t seed, uint64_t epoch);

}  // namespace kiln::runtime
