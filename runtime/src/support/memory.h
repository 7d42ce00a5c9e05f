// Memory in whole pages.
#pragma once

#include <cstddef>
#include <cstdint>

namespace kiln::runtime {

/// Zeroed memory, which takes none of the machine before it is touched, 64-byte aligned; from 1 MiB on whole pages of 2 MiB, where the system has them.
class Memory {
public:
    explicit Memory(size_t bytes);  ///< throws Failure (memory)
    Memory(Memory &&other) noexcept;
    Memory(const Memory &) = delete;
    ~Memory();
    uint8_t *data() const { return data_; }

private:
    uint8_t *data_ = nullptr;
    size_t mapped_ = 0;
    void *mapping_ = nullptr;
};

/// Whole pages of 2 MiB are worth it from so many bytes on.
inline constexpr size_t kLargeMemory = size_t(1) << 20;

constexpr size_t round_up(size_t value, size_t unit) { return (value + unit - 1) / unit * unit; }

}  // namespace kiln::runtime
