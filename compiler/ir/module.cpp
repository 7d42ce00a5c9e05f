#include "compiler/ir/module.h"

#include <algorithm>

namespace kiln {

const Storage *Module::find_storage(std::string_view path) const {
    auto found = std::find_if(storages.begin(), storages.end(), [&](const Storage &s) { return s.path == path; });
    return found == storages.end() ? nullptr : &*found;
}

int64_t Module::arena_elements(std::string_view arena) const {
    // Gradients are laid out as their parameters.
    std::string_view layout = arena == "gradient" ? "param" : arena;
    int64_t end = 0;
    for (const Storage &storage : storages)
        if (storage.arena == layout) end = std::max(end, storage.offset + storage.type.elements());
    return (end + 15) / 16 * 16;
}

}  // namespace kiln
