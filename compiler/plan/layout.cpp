#include "compiler/plan/layout.h"

#include "compiler/support/check.h"

#include <algorithm>
#include <numeric>

namespace kiln {

int64_t arena_element_bytes(const Module &module, std::string_view arena) {
    std::string_view layout = arena == "gradient" ? "param" : arena;
    int64_t bytes = 0;
    for (const Storage &storage : module.storages)
        if (storage.arena == layout) bytes = std::max(bytes, size_of(storage.type.dtype));
    return bytes;
}

ByteRange storage_range(const Module &module, const std::string &name, const Type &type) {
    constexpr std::string_view kGradient = "gradient:";
    const bool is_gradient = name.starts_with(kGradient);
    if (const Storage *storage = module.find_storage(is_gradient ? name.substr(kGradient.size()) : name)) {
        std::string arena = is_gradient ? "gradient" : storage->arena;
        int64_t begin = storage->offset * arena_element_bytes(module, arena);
        return {arena, begin, begin + type.bytes()};
    }
    const std::optional<ArenaRange> range = module.arena_range(name);
    const int64_t size = range ? arena_element_bytes(module, range->arena) : 0;
    KILN_CHECK(range && size == size_of(type.dtype) && range->end - range->begin == type.elements(), "there is no storage or range of an arena `{}` of {}", name, to_string(type));
    return {range->arena, range->begin * size, range->end * size};
}

int64_t assign_offsets(std::vector<Allocation> &allocations) {
    std::vector<size_t> order(allocations.size());
    std::iota(order.begin(), order.end(), size_t(0));
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return allocations[a].bytes > allocations[b].bytes; });
    std::vector<Allocation> placed;  // by offset, ascending
    int64_t total = 0;
    for (size_t index : order) {
        Allocation &allocation = allocations[index];
        const int64_t bytes = round_up_64(allocation.bytes);
        int64_t best = -1, best_gap = 0, end = 0;
        for (const Allocation &other : placed) {
            if (other.first_use > allocation.last_use || allocation.first_use > other.last_use) continue;
            const int64_t gap = other.offset - end;
            if (gap >= bytes && (best < 0 || gap < best_gap)) {
                best = end;
                best_gap = gap;
            }
            end = std::max(end, other.offset + round_up_64(other.bytes));
        }
        allocation.offset = best >= 0 ? best : end;
        total = std::max(total, allocation.offset + bytes);
        const auto is_before = [](const Allocation &a, const Allocation &b) { return a.offset < b.offset; };
        placed.insert(std::upper_bound(placed.begin(), placed.end(), allocation, is_before), allocation);
    }
    return total;
}

}  // namespace kiln
