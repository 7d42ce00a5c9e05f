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
    std::vector<size_t> placed;
    int64_t total = 0;
    for (size_t index : order) {
        Allocation &allocation = allocations[index];
        const int64_t bytes = round_up_64(allocation.bytes);
        std::vector<std::pair<int64_t, int64_t>> taken;
        for (size_t other : placed) {
            const Allocation &a = allocations[other];
            if (a.first_use <= allocation.last_use && allocation.first_use <= a.last_use)
                taken.push_back({a.offset, a.offset + round_up_64(a.bytes)});
        }
        std::sort(taken.begin(), taken.end());
        int64_t best = -1, best_gap = 0, end = 0;
        for (auto [from, to] : taken) {
            const int64_t gap = from - end;
            if (gap >= bytes && (best < 0 || gap < best_gap)) {
                best = end;
                best_gap = gap;
            }
            end = std::max(end, to);
        }
        allocation.offset = best >= 0 ? best : end;
        total = std::max(total, allocation.offset + bytes);
        placed.push_back(index);
    }
    return total;
}

}  // namespace kiln
