#include "support/hash.h"

#include "support/text.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace kiln::runtime {
namespace {

constexpr uint64_t kPrime1 = 0x9E3779B185EBCA87, kPrime2 = 0xC2B2AE3D27D4EB4F, kPrime3 = 0x165667B19E3779F9,
                   kPrime4 = 0x85EBCA77C2B2AE63, kPrime5 = 0x27D4EB2F165667C5;

template <typename T>
T load(const uint8_t *at) {
    T value;
    std::memcpy(&value, at, sizeof value);
    return value;
}

uint64_t round(uint64_t lane, uint64_t input) { return std::rotl(lane + input * kPrime2, 31) * kPrime1; }
uint64_t merge(uint64_t hash, uint64_t lane) { return (hash ^ round(0, lane)) * kPrime1 + kPrime4; }

}  // namespace

Xxh64::Xxh64(uint64_t seed) : seed_(seed), lanes_{seed + kPrime1 + kPrime2, seed + kPrime2, seed, seed - kPrime1} {}

void Xxh64::update(const void *bytes, size_t count) {
    auto *at = static_cast<const uint8_t *>(bytes);
    const uint8_t *end = at + count;
    auto block = [&](const uint8_t *from) {
        for (size_t i = 0; i < 4; ++i) lanes_[i] = round(lanes_[i], load<uint64_t>(from + 8 * i));
    };
    size_t held = total_ % 32;
    total_ += count;
    if (held > 0) {
        size_t taken = std::min(count, 32 - held);
        std::copy_n(at, taken, rest_.begin() + held);
        at += taken;
        if (held + taken < 32) return;
        block(rest_.data());
    }
    for (; end - at >= 32; at += 32) block(at);
    std::copy(at, end, rest_.begin());
}

uint64_t Xxh64::digest() const {
    uint64_t hash = seed_ + kPrime5;
    if (total_ >= 32) {
        hash = std::rotl(lanes_[0], 1) + std::rotl(lanes_[1], 7) + std::rotl(lanes_[2], 12) + std::rotl(lanes_[3], 18);
        for (uint64_t lane : lanes_) hash = merge(hash, lane);
    }
    hash += total_;
    const uint8_t *at = rest_.data(), *end = at + total_ % 32;
    for (; end - at >= 8; at += 8) hash = std::rotl(hash ^ round(0, load<uint64_t>(at)), 27) * kPrime1 + kPrime4;
    if (end - at >= 4) {
        hash = std::rotl(hash ^ (load<uint32_t>(at) * kPrime1), 23) * kPrime2 + kPrime3;
        at += 4;
    }
    for (; at < end; ++at) hash = std::rotl(hash ^ (*at * kPrime5), 11) * kPrime1;
    hash = (hash ^ (hash >> 33)) * kPrime2;
    hash = (hash ^ (hash >> 29)) * kPrime3;
    return hash ^ (hash >> 32);
}

uint64_t xxh64(const void *bytes, size_t count, uint64_t seed) {
    Xxh64 hash(seed);
    hash.update(bytes, count);
    return hash.digest();
}

std::string hash_text(uint64_t hash) { return format("%016llx", static_cast<unsigned long long>(hash)); }

}  // namespace kiln::runtime
