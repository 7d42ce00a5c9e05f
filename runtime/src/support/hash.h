// XXH64 (Y. Collet, the XXH64 specification): the checksum of checkpoint files. Detects corruption, not malice.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

namespace kiln::runtime {

/// Fed piece by piece; the digest is that of the pieces put together.
class Xxh64 {
public:
    explicit Xxh64(uint64_t seed = 0);
    void update(const void *bytes, size_t count);
    uint64_t digest() const;

private:
    uint64_t seed_;
    std::array<uint64_t, 4> lanes_;
    std::array<uint8_t, 32> rest_{};  ///< what does not fill a block yet: total_ % 32 bytes
    uint64_t total_ = 0;
};

uint64_t xxh64(const void *bytes, size_t count, uint64_t seed = 0);

/// 16 hexadecimal digits.
std::string hash_text(uint64_t hash);

}  // namespace kiln::runtime
