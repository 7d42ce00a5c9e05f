#include "compiler/codegen/layer_table.h"

#include <algorithm>
#include <set>

namespace kiln {

static std::string layer_of(const Storage &storage) { return storage.path.substr(0, storage.path.rfind('/')); }

std::vector<LayerRow> layer_table(const Module &module) {
    std::vector<LayerRow> rows;
    auto row_of = [&](const std::string &path) { return std::find_if(rows.begin(), rows.end(), [&](const LayerRow &r) { return r.path == path; }); };
    auto has_parameters = [&](const std::string &path) {
        return std::any_of(module.storages.begin(), module.storages.end(), [&](const Storage &s) { return s.kind == StorageKind::param && layer_of(s) == path; });
    };
    // What no output depends on, such as a layer of a loss alone, is found in the graphs after, and stands behind what is before it there.
    for (const char *name : {"predict", "evaluate", "train"}) {
        auto graph = module.graphs.find(name);
        if (graph == module.graphs.end()) continue;
        std::set<std::string> known;
        for (const LayerRow &row : rows) known.insert(row.path);
        int32_t last = graph->second.size() - 1;  // what follows the loss are its gradients
        for (const Result &result : graph->second.results)
            if (result.kind == ResultKind::loss) last = result.value.index;
        size_t next = 0;
        for (int32_t i = 0; i <= last; ++i) {
            const Node &node = graph->second[NodeId{i}];
            // A scope without a slash is the model itself.
            if (node.scope.find('/') == std::string::npos || node.op == Op::input || node.op == Op::constant) continue;
            auto row = row_of(node.scope);
            if (row == rows.end() && name == std::string("train") && !has_parameters(node.scope)) continue;
            if (row == rows.end()) row = rows.insert(rows.begin() + std::ptrdiff_t(known.empty() ? rows.size() : next), {node.scope, {}, 0});
            if (!known.count(node.scope)) row->output = node.type;
            next = size_t(row - rows.begin()) + 1;
        }
    }
    for (const Storage &storage : module.storages) {
        if (storage.kind != StorageKind::param) continue;
        const std::string path = layer_of(storage);
        if (path.find('/') == std::string::npos) continue;
        auto row = row_of(path);
        if (row == rows.end()) row = rows.insert(rows.end(), {path, {}, 0});
        row->parameters += storage.type.elements();
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
