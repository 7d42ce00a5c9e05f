#include "support/memory.h"

#include "support/failure.h"

#include <sys/mman.h>

namespace kiln::runtime {

constexpr size_t kHugePage = size_t(2) << 20;

Memory::Memory(size_t bytes) {
    const bool large = bytes >= kLargeMemory;
    if (large) bytes = round_up(bytes, kHugePage);  // a part of one would get small pages
    mapped_ = bytes + (large ? kHugePage : 64);
    mapping_ = ::mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapping_ == MAP_FAILED) {
        mapping_ = nullptr;
        fail(ExitCode::memory, "cannot allocate %zu bytes", bytes);
    }
    auto address = reinterpret_cast<uintptr_t>(mapping_);
    if (large) address = round_up(address, kHugePage);
    data_ = reinterpret_cast<uint8_t *>(address);
    if (large) ::madvise(data_, bytes, MADV_HUGEPAGE);
}

Memory::Memory(Memory &&other) noexcept : data_(other.data_), mapped_(other.mapped_), mapping_(other.mapping_) {
    other.mapping_ = nullptr;
}

Memory::~Memory() {
    if (mapping_) ::munmap(mapping_, mapped_);
}

}  // namespace kiln::runtime
