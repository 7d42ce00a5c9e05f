#include "threads/pool.h"

#include <array>
#include <bit>
#include <cstdint>
#include <cstdlib>
#include <utility>

namespace kiln::runtime {
namespace {

constexpr size_t kAlignment = 128;
constexpr int kSmallest = 12;  // log2 bytes
constexpr int kClasses = 48;

// Lies in the kAlignment bytes before the pointer handed out.
struct Block {
    Block *next;
    int size_class;
};

struct Pool {
    std::array<Block *, kClasses> free{};
    ~Pool() {
        for (Block *block : free)
            while (block) std::free(std::exchange(block, block->next));
    }
};

thread_local Pool pool;

}  // namespace

void *acquire_scratch(size_t bytes) {
    int log = bytes <= (size_t(1) << kSmallest) ? kSmallest : int(std::bit_width(bytes - 1));
    int size_class = log - kSmallest;
    if (size_class >= kClasses) return nullptr;
    Block *block = pool.free[size_t(size_class)];
    if (block) {
        pool.free[size_t(size_class)] = block->next;
    } else {
        block = static_cast<Block *>(std::aligned_alloc(kAlignment, (size_t(1) << log) + kAlignment));
        if (!block) return nullptr;
        block->size_class = size_class;
    }
    return reinterpret_cast<uint8_t *>(block) + kAlignment;
}

void release_scratch(void *pointer) {
    if (!pointer) return;
    auto *block = reinterpret_cast<Block *>(static_cast<uint8_t *>(pointer) - kAlignment);
    block->next = pool.free[size_t(block->size_class)];
    pool.free[size_t(block->size_class)] = block;
}

}  // namespace kiln::runtime
