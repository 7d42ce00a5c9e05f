#include "compiler/ir/module.h"

#include <algorithm>

namespace kiln {

const Storage *Module::find_storage(std::string_view path) const {
    auto found = std::find_if(storages.begin(), storages.end(), [&](const Storage &s) { return s.path == path; });
    return found == storages.end() ? nullptr : &*found;
}

std::string own_graph_of_phase(std::string_view name, size_t phase) { return std::string(name) + "." + std::to_string(phase); }

bool is_graph_of(std::string_view graph, std::string_view name) {
    return graph.starts_with(name) && (graph.size() == name.size() || graph[name.size()] == '.');
}

std::string Module::graph_of_phase(std::string_view name, size_t phase) const {
    std::string own = own_graph_of_phase(name, phase);
    return graphs.count(own) ? own : std::string(name);
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
