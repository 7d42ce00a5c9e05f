// What graphs read and store against what the module declares.
#include "compiler/ir/verify.h"

#include "compiler/ir/text_names.h"
#include "compiler/support/diagnostic_codes.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <set>
#include <tuple>

namespace kiln {

namespace {

constexpr const char *kGraphs[] = {"init", "augment", "train", "update", "evaluate", "predict", "trace", "generate", "rules.step", "rules.epoch", "rules.require", "rules.report"};

class ModuleVerifier {
public:
    ModuleVerifier(const Module &module, Diagnostics &diagnostics) : module_(module), diagnostics_(diagnostics) {}

    /// Each part supposes that those before it are right, so that a fault is reported once.
    void run() {
        const int errors = diagnostics_.error_count();
        verify_numbers();
        verify_names();
        verify_storages();
        if (diagnostics_.error_count() > errors) return;
        for (const auto &[name, graph] : module_.graphs)
            for (int i = 0; i < graph.size(); ++i) {
                const Node &node = graph.nodes[size_t(i)];
                if (node.op == Op::input) verify_input(graph, i);
                if (name.starts_with("rules.") && node.type.rank() > 0) out_of_range(fmt::format("graph `{}`, %{}", name, i), to_string(node.type), "a scalar", node.loc);
            }
        if (diagnostics_.error_count() > errors) return;
        for (const auto &[name, graph] : module_.graphs) verify_results(graph);
    }

private:
    // ---- the header by itself ----
    void verify_numbers() {
        between("batch", module_.batch, 1, kMaxBatch);
        for (const Column &column : module_.columns) {
            between(fmt::format("`classes` of the column `{}`", column.name), column.classes, 0, kMaxTensorElements, column.loc);
            if (column.classes > 0 && column.type.dtype != DType::i32)
                differs(fmt::format("the column `{}`", column.name), to_string(column.type), fmt::format("`classes {}`", column.classes), to_string(Type{DType::i32, column.type.shape}), column.loc);
        }
        for (const Phase &phase : module_.phases) {
            between(fmt::format("`epochs` of the phase `{}`", phase.name), phase.epochs, 1, kMaxTensorElements);
            between(fmt::format("`patience` of the phase `{}`", phase.name), phase.patience, 0, kMaxTensorElements);
            int64_t rows = 0;
            for (const MixPart &part : phase.mix) {
                between(fmt::format("the part of `{}` in the mix of the phase `{}`", part.split, phase.name), part.rows, 1, module_.batch);
                rows += std::clamp<int64_t>(part.rows, 0, kMaxBatch);
            }
            if (!phase.mix.empty() && rows != module_.batch)
                differs(fmt::format("the mix of the phase `{}`", phase.name), fmt::format("{} records", rows), fmt::format("`batch {}`", module_.batch), std::to_string(module_.batch));
        }
        if (!module_.scan) return;
        between("`seeds` of the scan", module_.scan->seeds, 1, kMaxTensorElements);
        between("`epochs` of the scan", module_.scan->epochs, 0, kMaxTensorElements);
    }

    void verify_names() {
        const auto columns = unique("column", module_.columns, &Column::name), splits = unique("split", module_.splits, &Split::name);
        const auto hypers = unique("hyper", module_.hypers, &Hyper::name), globals = unique("global", module_.globals, &Global::name);
        auto metrics = unique("metric", module_.metrics, &Metric::name);
        metrics.insert("loss");
        scalars_.insert(hypers.begin(), hypers.end());
        scalars_.insert(globals.begin(), globals.end());
        scalars_.insert(builtin_scalars().begin(), builtin_scalars().end());
        for (const auto &[name, graph] : module_.graphs)
            for (const Result &result : graph.results) {
                if (result.kind == ResultKind::scalar) scalars_.insert(result.name);
                if (result.kind == ResultKind::sample && name == "evaluate") scalars_.insert(std::string(kMeanOf) + result.name);
            }
        for (const std::string &metric : metrics) samples_.insert(metric), scalars_.insert(std::string(kMeanOf) + metric);

        auto must_have = [&](const std::string &who, const char *what, const std::string &name, const std::set<std::string> &names) {
            if (!names.count(name)) undeclared(who, what, name);
        };
        if (!module_.best_metric.empty()) must_have("`best`", "metric", module_.best_metric, metrics);
        if (!module_.pseudo_label.empty()) must_have("`pseudo_label`", "column", module_.pseudo_label, columns);
        for (const Phase &phase : module_.phases) {
            const std::string who = fmt::format("the phase `{}`", phase.name);
            must_have(who, "split", phase.split, splits);
            for (const MixPart &part : phase.mix) {
                must_have(who, "split", part.split, splits);
                if (!part.above_hyper.empty()) must_have(who, "hyper", part.above_hyper, hypers);
            }
            for (const std::string &path : phase.frozen)
                if (const Storage *storage = module_.find_storage(path); !storage || storage->kind != StorageKind::param) undeclared(who, "parameter", path);
        }
        for (const auto &[name, graph] : module_.graphs)
            if (std::none_of(std::begin(kGraphs), std::end(kGraphs), [&](const char *known) { return is_graph_of(name, known); }))
                out_of_range("the name of a graph", name, fmt::format("{}", fmt::join(kGraphs, ", ")));
        if (!module_.graphs.count("predict")) undeclared("every program", "graph", "predict");
        if (!module_.scan) return;
        must_have("the scan", "split", module_.scan->on, splits);
        must_have("the scan", "metric", module_.scan->metric, metrics);
        for (const Scan::Setting &setting : module_.scan->settings)
            if (!setting.constant) must_have("the scan", "hyper", setting.name, hypers);
    }

    void verify_storages() {
        unique("storage", module_.storages, &Storage::path);
        std::vector<const Storage *> storages;
        for (const Storage &storage : module_.storages) {
            const std::string what = fmt::format("the storage `{}`", storage.path);
            const bool fits = storage.kind == StorageKind::state ? storage.arena.starts_with("state.") : storage.arena == text::name_of_enumerator(storage.kind);
            if (!fits) differs(fmt::format("the arena of {}", what), storage.arena, "its kind", storage.kind == StorageKind::state ? "state.NAME" : text::name_of_enumerator(storage.kind), storage.loc);
            if (storage.type.dtype != module_.float_type)
                differs(what, to_string(storage.type), fmt::format("`float {}`", name_of(module_.float_type)), to_string(Type{module_.float_type, storage.type.shape}), storage.loc);
            const int64_t most = kMaxTensorElements - storage.type.elements();
            if (storage.offset < 0 || storage.offset > most || storage.offset % 16 != 0)
                out_of_range(fmt::format("the offset of {}", what), std::to_string(storage.offset), fmt::format("a multiple of 16 between 0 and {}", most), storage.loc);
            else storages.push_back(&storage);
            if (storage.kind == StorageKind::state) verify_state(storage);
        }
        std::sort(storages.begin(), storages.end(), [](const Storage *a, const Storage *b) { return std::tie(a->arena, a->offset) < std::tie(b->arena, b->offset); });
        for (size_t i = 1; i < storages.size(); ++i) {
            const Storage &a = *storages[i - 1], &b = *storages[i];
            if (a.arena == b.arena && b.offset < a.offset + a.type.elements() && a.path != b.path)
                diagnostics_.report(DiagnosticCode::ir_overlap, b.loc, {fmt::format("the storages `{}`", a.path), fmt::format("`{}`", b.path), a.arena});
        }
    }

    /// A state lies in its arena as its parameter does in that of the parameters.
    void verify_state(const Storage &state) {
        auto is_its_parameter = [&](const Storage &s) { return s.kind == StorageKind::param && state.path.starts_with(s.path + "."); };
        auto param = std::find_if(module_.storages.begin(), module_.storages.end(), is_its_parameter);
        const std::string what = fmt::format("the state `{}`", state.path);
        if (param == module_.storages.end()) return undeclared(what, "parameter", state.path.substr(0, state.path.rfind('.')), state.loc);
        const std::string parameter = fmt::format("the parameter `{}`", param->path);
        if (state.offset != param->offset) differs("the offset of " + what, std::to_string(state.offset), parameter, std::to_string(param->offset), state.loc);
        if (state.type != param->type) differs(what, to_string(state.type), parameter, to_string(param->type), state.loc);
    }

    // ---- graphs against the header ----
    void verify_input(const Graph &graph, int index) {
        const Node &node = graph.nodes[size_t(index)];
        const InputAttrs &input = attrs<InputAttrs>(node);
        const std::string who = fmt::format("graph `{}`, %{} (input)", graph.name, index);
        switch (input.kind) {
            case InputKind::data: return verify_column(graph, who, input.name, node);
            case InputKind::storage:
            case InputKind::arena: return void(verify_place(who, input.name, node));
            case InputKind::scalar:
                if (!scalars_.count(input.name)) undeclared_once(who, "scalar", input.name, node.loc);
                return;
            case InputKind::argument: return undeclared_once(who, "argument", input.name, node.loc);
        }
    }

    /// `value` is a column of a batch: as it was read, or a label as the shares of its classes.
    void verify_column(const Graph &graph, const std::string &who, const std::string &name, const Node &value) {
        auto column = std::find_if(module_.columns.begin(), module_.columns.end(), [&](const Column &c) { return c.name == name; });
        if (column == module_.columns.end()) return undeclared_once(who, "column", name, value.loc);
        const int64_t batch = graph.name == "trace" || graph.name == "generate" ? 1 : module_.batch;
        Type hard{column->type.dtype, {batch}};
        hard.shape.insert(hard.shape.end(), column->type.shape.begin(), column->type.shape.end());
        const bool can_be_soft = column->classes > 0 && (is_graph_of(graph.name, "train") || is_graph_of(graph.name, "augment"));
        Type soft{DType::f32, hard.shape};
        soft.shape.push_back(column->classes);
        if (value.type == hard || (can_be_soft && value.type == soft)) return;
        // If it is the batch that differs, it does so in all columns.
        Type rebatched = hard;
        if (value.type.rank() > 0) rebatched.shape[0] = value.type.shape[0];
        const bool is_batch = value.type == rebatched && batch == module_.batch;
        if (is_batch ? is_news("batch", std::to_string(value.type.shape[0])) : is_news(name, to_string(value.type)))
            differs(fmt::format("{}: `{}`", who, name), to_string(value.type), fmt::format("the column in batches of {}", batch), to_string(hard), value.loc);
    }

    /// A storage or a range of an arena, by the name that inputs and stores use; where it lies.
    std::optional<ArenaRange> verify_place(const std::string &who, const std::string &name, const Node &value) {
        const std::string prefix = name.substr(0, name.find(':'));
        const bool of_parameter = (prefix == "gradient" || prefix == "touched") && prefix.size() < name.size();
        const std::string path = of_parameter ? name.substr(prefix.size() + 1) : name;
        Type type{module_.float_type, {}};
        ArenaRange place;
        if (const Storage *storage = module_.find_storage(path); storage && (!of_parameter || storage->kind == StorageKind::param)) {
            place = {of_parameter ? prefix : storage->arena, storage->offset, storage->offset + storage->type.elements()};
            type = storage->type;
            // Of a table whose rows are looked up the gradient may be those rows.
            const bool is_table = place.arena == "gradient" && type.rank() > 0 && value.type.rank() == type.rank();
            if (is_table && value.type.shape[0] < type.shape[0]) type.shape[0] = value.type.shape[0];
        } else if (std::optional<ArenaRange> range = module_.arena_range(name); range && !of_parameter) {
            place = *range;
            type.shape = {range->end - range->begin};
        } else {
            undeclared_once(who, "storage or range of an arena", name, value.loc);
            return std::nullopt;
        }
        if (place.arena == "gradient" && !module_.graphs.count("train")) undeclared_once(who, "graph", "train", value.loc);
        if (place.arena == "touched") type.dtype = DType::boolean;
        if (value.type != type && is_news(name, to_string(value.type))) differs(fmt::format("{}: `{}`", who, name), to_string(value.type), "what the module stores there", to_string(type), value.loc);
        return place;
    }

    void verify_results(const Graph &graph) {
        std::vector<std::pair<ArenaRange, std::string>> stored;
        for (const Result &result : graph.results) {
            const Node &value = graph[result.value];
            const std::string who = fmt::format("graph `{}`, result {}", graph.name, text::name_of_enumerator(result.kind));
            if (result.kind == ResultKind::store) {
                if (std::optional<ArenaRange> place = verify_place(who, result.name, value)) stored.push_back({*place, result.name});
            } else if (result.kind == ResultKind::output && is_graph_of(graph.name, "augment")) {
                verify_column(graph, who, result.name, value);
            } else if (result.kind == ResultKind::sample) {
                if (!samples_.count(result.name.substr(0, result.name.find('.')))) undeclared_once(who, "metric", result.name, value.loc);
                verify_samples(who, result.name, value, {module_.batch});
            } else if (result.kind == ResultKind::output && graph.name == "predict") {
                Shape expected = value.type.shape;
                if (expected.empty()) expected.push_back(module_.batch);
                expected[0] = module_.batch;
                verify_samples(who, result.name, value, expected);
            } else if (result.kind == ResultKind::output && graph.name == "generate") {
                const std::optional<ColumnRange> range = module_.column_range(result.name);
                if (!range) undeclared_once(who, "part of a column", result.name, value.loc);
                else if (const int64_t count = range->end - range->begin; value.type.elements() != count || !is_integer(value.type.dtype))
                    differs(fmt::format("{}: `{}`", who, result.name), to_string(value.type), "what it gives", to_string(Type{DType::i32, {1, count}}), value.loc);
            }
        }
        std::sort(stored.begin(), stored.end(), [](const auto &a, const auto &b) { return std::tie(a.first.arena, a.first.begin) < std::tie(b.first.arena, b.first.begin); });
        for (size_t i = 1; i < stored.size(); ++i) {
            const auto &[a, first] = stored[i - 1];
            const auto &[b, second] = stored[i];
            if (a.arena == b.arena && b.begin < a.end)
                diagnostics_.report(DiagnosticCode::ir_overlap, Loc{}, {fmt::format("graph `{}`: the stores `{}`", graph.name, first), fmt::format("`{}`", second), a.arena});
        }
    }

    void verify_samples(const std::string &who, const std::string &name, const Node &value, const Shape &shape) {
        if (value.type.shape != shape)
            differs(fmt::format("{}: `{}`", who, name), to_string(value.type), fmt::format("`batch {}`", module_.batch), to_string(Type{value.type.dtype, shape}), value.loc);
    }

    // ---- reports ----
    template <typename T> std::set<std::string> unique(const char *what, const std::vector<T> &declared, std::string T::*name) {
        std::set<std::string> names;
        for (const T &one : declared)
            if (!names.insert(one.*name).second) diagnostics_.report(DiagnosticCode::ir_duplicate, Loc{}, {what, one.*name});
        return names;
    }

    void between(const std::string &what, int64_t value, int64_t least, int64_t most, const Loc &loc = {}) {
        if (value < least || value > most) out_of_range(what, std::to_string(value), fmt::format("between {} and {}", least, most), loc);
    }

    void out_of_range(const std::string &what, const std::string &is, const std::string &expected, const Loc &loc = {}) {
        diagnostics_.report(DiagnosticCode::ir_out_of_range, loc, {what, is, expected});
    }

    void differs(const std::string &what, const std::string &is, const std::string &other, const std::string &expected, const Loc &loc = {}) {
        diagnostics_.report(DiagnosticCode::ir_differs, loc, {what, is, other, expected});
    }

    void undeclared(const std::string &who, const char *what, const std::string &name, const Loc &loc = {}) {
        diagnostics_.report(DiagnosticCode::ir_undeclared, loc, {who, what, name});
    }

    /// What is wrong with a name shows in every graph that uses it: once is enough.
    bool is_news(const std::string &name, const std::string &found) { return told_.insert({name, found}).second; }

    void undeclared_once(const std::string &who, const char *what, const std::string &name, const Loc &loc) {
        if (is_news(name, what)) undeclared(who, what, name, loc);
    }

    const Module &module_;
    Diagnostics &diagnostics_;
    std::set<std::string> scalars_, samples_;                ///< what a graph may read, and measure
    std::set<std::pair<std::string, std::string>> told_;     ///< names, and what was found of them
};

}  // namespace

bool verify_declarations(const Module &module, Diagnostics &diagnostics) {
    const int errors = diagnostics.error_count();
    ModuleVerifier(module, diagnostics).run();
    return diagnostics.error_count() == errors;
}

}  // namespace kiln
