// XXH64 (Y. Collet, the XXH64 specification): the checksum of checkpoint files. Detects corruption, not malice.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace kiln::runtime {

uint64_t xxh64(const void *bytes, size_t count, uint64_t seed = 0);

/// 16 hexadecimal digits.
std::string hash_text(uint64_t hash);

}  // namespace kiln::runtime
