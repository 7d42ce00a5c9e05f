// Philox4x32-10: the counter-based generator of Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3"
// (SC 2011). A pure function of 128 bits of counter and 64 bits of key.
#pragma once

#include <array>
#include <cstdint>

namespace kiln {

inline std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
    for (int round = 0; round < 10; ++round) {
        const uint64_t product0 = uint64_t(0xD2511F53) * counter[0];
        const uint64_t product1 = uint64_t(0xCD9E8D57) * counter[2];
        counter = {uint32_t(product1 >> 32) ^ counter[1] ^ key[0], uint32_t(product1),
                   uint32_t(product0 >> 32) ^ counter[3] ^ key[1], uint32_t(product0)};
        key[0] += 0x9E3779B9;
        key[1] += 0xBB67AE85;
    }
    return counter;
}

/// The element of `random_uniform` (see RandomAttrs) in [0, 1) with 24 bits.
inline double uniform_f32(uint64_t seed, uint64_t counter, uint32_t stream, uint32_t element) {
    const uint32_t block = element / 64 * 16 + element % 16;
    auto words = philox4x32({block, stream, uint32_t(counter), uint32_t(counter >> 32)}, {uint32_t(seed), uint32_t(seed >> 32)});
    return double(words[element / 16 % 4] >> 8) * 0x1p-24;
}

/// The same with 53 bits.
inline double uniform_f64(uint64_t seed, uint64_t counter, uint32_t stream, uint32_t element) {
    auto words = philox4x32({element, stream, uint32_t(counter), uint32_t(counter >> 32)}, {uint32_t(seed), uint32_t(seed >> 32)});
    return double((uint64_t(words[0]) << 32 | words[1]) >> 11) * 0x1p-53;
}

}  // namespace kiln
