#include "data/shuffle.h"

#include <numeric>
#include <utility>

namespace kiln::runtime {

std::array<uint32_t, 4> philox(std::array<uint32_t, 4> c, std::array<uint32_t, 2> k) {
    for (int round = 0; round < 10; ++round) {
        uint64_t a = uint64_t(0xD2511F53) * c[0], b = uint64_t(0xCD9E8D57) * c[2];
        c = {uint32_t(b >> 32) ^ c[1] ^ k[0], uint32_t(b), uint32_t(a >> 32) ^ c[3] ^ k[1], uint32_t(a)};
        k = {k[0] + 0x9E3779B9, k[1] + 0xBB67AE85};
    }
    return c;
}

std::vector<int64_t> shuffled_order(int64_t records, uint64_t seed, uint64_t epoch) {
    std::vector<int64_t> order(static_cast<std::size_t>(records));
    std::iota(order.begin(), order.end(), 0);
    for (uint64_t i = uint64_t(records); i-- > 1;) {
        auto random = philox({uint32_t(i), uint32_t(i >> 32), uint32_t(epoch), uint32_t(epoch >> 32)},
                             {uint32_t(seed), uint32_t(seed >> 32)});
        uint64_t bits = uint64_t(random[1]) << 32 | random[0];
        // The high word of a 64x64-bit product: uniform over 0..i up to a bias of i / 2^64.
        auto j = uint64_t((unsigned __int128)bits * (i + 1) >> 64);
        std::swap(order[i], order[j]);
    }
    return order;
}

}  // namespace kiln::runtime
