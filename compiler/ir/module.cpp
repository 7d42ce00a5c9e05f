#include "compiler/ir/module.h"

#include <algorithm>
#include <charconv>

namespace kiln {

const Storage *Module::find_storage(std::string_view path) const {
    auto found = std::find_if(storages.begin(), storages.end(), [&](const Storage &s) { return s.path == path; });
    return found == storages.end() ? nullptr : &*found;
}

std::string mean_of_metric(const std::string &metric, size_t index) { return index == 0 ? metric : metric + "." + std::to_string(index + 1); }

std::vector<std::string> means_read_by(const Graph &report) {
    std::vector<std::string> means;
    for (const Node &node : report.nodes)
        if (node.op == Op::input && attrs<InputAttrs>(node).name.starts_with(kMeanOf)) means.push_back(attrs<InputAttrs>(node).name.substr(kMeanOf.size()));
    return means;
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
    // Gradients, and which rows were looked up, are laid out as the parameters.
    std::string_view layout = arena == "gradient" || arena == "touched" ? "param" : arena;
    int64_t end = 0;
    for (const Storage &storage : storages)
        if (storage.arena == layout) end = std::max(end, storage.offset + storage.type.elements());
    return aligned_in_arena(end);
}

bool reads(const Graph &graph, InputKind kind, std::string_view name) {
    return std::any_of(graph.nodes.begin(), graph.nodes.end(), [&](const Node &node) {
        return node.op == Op::input && attrs<InputAttrs>(node).kind == kind && attrs<InputAttrs>(node).name == name;
    });
}

bool Module::only_generates(const Hyper &hyper) const {
    bool generates = false;
    for (const auto &[name, graph] : graphs) {
        if (name == "rules.require" || !reads(graph, InputKind::scalar, hyper.name)) continue;
        if (name != "generate") return false;
        generates = true;
    }
    for (const Phase &phase : phases)
        for (const MixPart &part : phase.mix)
            if (part.above_hyper == hyper.name) return false;
    return generates;
}

/// "param[0:2048]", taken apart.
static std::optional<ArenaRange> parse_range(std::string_view name) {
    const size_t bracket = name.find('[');
    if (bracket == std::string_view::npos) return std::nullopt;
    ArenaRange range{std::string(name.substr(0, bracket))};
    const char *end = name.data() + name.size();
    const auto first = std::from_chars(name.data() + bracket + 1, end, range.begin);
    if (first.ec != std::errc() || first.ptr == end || *first.ptr != ':') return std::nullopt;
    const auto last = std::from_chars(first.ptr + 1, end, range.end);
    if (last.ec != std::errc() || last.ptr + 1 != end || *last.ptr != ']') return std::nullopt;
    return range.begin >= 0 && range.begin < range.end ? std::optional(range) : std::nullopt;
}

std::optional<ArenaRange> Module::arena_range(std::string_view name) const {
    std::optional<ArenaRange> range = parse_range(name);
    return range && range->end <= arena_elements(range->arena) ? range : std::nullopt;
}

std::optional<ColumnRange> Module::column_range(std::string_view name) const {
    const std::optional<ArenaRange> range = parse_range(name);
    for (size_t i = 0; range && i < columns.size(); ++i)
        if (columns[i].name == range->arena && columns[i].type.rank() == 1 && range->end <= columns[i].type.shape[0]) return ColumnRange{i, range->begin, range->end};
    return std::nullopt;
}

const std::vector<std::string> &builtin_scalars() {
    static const std::vector<std::string> names = {"seed", "step", "epoch", "progress", "steps_per_epoch", "phase_step", "phase_steps", "phase", "rate", "loss", "record"};
    return names;
}

}  // namespace kiln
