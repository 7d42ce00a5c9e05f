#include "compiler/codegen/layer_table.h"

#include <algorithm>

namespace kiln {

std::vector<LayerRow> layer_table(const Module &module) {
    std::vector<LayerRow> rows;
    auto row_of = [&](const std::string &path) -> LayerRow & {
        auto row = std::find_if(rows.begin(), rows.end(), [&](const LayerRow &r) { return r.path == path; });
        if (row != rows.end()) return *row;
        rows.push_back({path, {}, 0});
        return rows.back();
    };
    auto graph = module.graphs.find("predict");
    if (graph == module.graphs.end()) graph = module.graphs.find("evaluate");
    if (graph != module.graphs.end())
        for (const Node &node : graph->second.nodes)
            // A scope without a slash is the model itself.
            if (node.scope.find('/') != std::string::npos && node.op != Op::input && node.op != Op::constant) row_of(node.scope).output = node.type;
    for (const Storage &storage : module.storages) {
        if (storage.kind != StorageKind::param) continue;
        std::string path = storage.path.substr(0, storage.path.rfind('/'));
        if (path.find('/') != std::string::npos) row_of(path).parameters += storage.type.elements();
    }
    return rows;
}

int64_t parameter_count(const Module &module) {
    int64_t count = 0;
    for (const Storage &storage : module.storages)
        if (storage.kind == StorageKind::param) count += storage.type.elements();
    return count;
}

}  // namespace kiln
