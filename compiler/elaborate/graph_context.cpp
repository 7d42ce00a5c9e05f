#include "compiler/elaborate/graph_context.h"

#include <fmt/format.h>

namespace kiln {

namespace {
std::string key_of(InputKind kind, const std::string &name) { return fmt::format("{}:{}", int(kind), name); }
}  // namespace

NodeId GraphContext::input(InputKind kind, const std::string &name, const Type &type) {
    auto [entry, is_new] = inputs.try_emplace(key_of(kind, name));
    if (is_new) entry->second = builder.input(kind, name, type);
    return entry->second;
}

NodeId GraphContext::read(InputKind kind, const std::string &name, const Type &type) {
    auto written = current.find(key_of(kind, name));
    return written != current.end() ? written->second : input(kind, name, type);
}

void GraphContext::write(InputKind kind, const std::string &name, NodeId value) {
    std::string key = key_of(kind, name);
    if (written.insert(key).second)
        writes.push_back({kind == InputKind::scalar ? ResultKind::scalar : ResultKind::store, name, {}});
    current[key] = value;
}

Graph GraphContext::finish() {
    Graph complete = graph;
    for (Result result : writes) {
        InputKind kinds[] = {InputKind::storage, InputKind::arena, InputKind::scalar};
        for (InputKind kind : kinds) {
            auto entry = current.find(key_of(kind, result.name));
            if (entry != current.end()) result.value = entry->second;
        }
        complete.results.push_back(result);
    }
    return dce(complete);
}

}  // namespace kiln
