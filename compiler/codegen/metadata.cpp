#include "compiler/codegen/emit_program.h"
#include "compiler/codegen/layer_table.h"
#include "compiler/codegen/program_layout.h"
#include "compiler/support/check.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <map>
#include <limits>
#include <set>

namespace kiln {

namespace {

using Json = nlohmann::ordered_json;

const char *name_of(ScalarKind kind) {
    switch (kind) {
    case ScalarKind::real: return "real";
    case ScalarKind::integer: return "integer";
    case ScalarKind::boolean: return "boolean";
    }
    KILN_UNREACHABLE("scalar kind {}", int(kind));
}

const char *name_of(StorageKind kind) {
    switch (kind) {
    case StorageKind::param: return "param";
    case StorageKind::buffer: return "buffer";
    case StorageKind::state: return "state";
    }
    KILN_UNREACHABLE("storage kind {}", int(kind));
}

/// JSON has no infinities: they are the largest numbers.
double finite(double value) {
    if (std::isinf(value)) return std::copysign(std::numeric_limits<double>::max(), value);
    return value;
}

Json json_of(ScalarKind kind, double value) {
    if (kind == ScalarKind::integer) return int64_t(value);
    if (kind == ScalarKind::boolean) return value != 0;
    return finite(value);
}

Json json_of(const ReaderValue &value);

Json json_of(const std::vector<std::pair<std::string, ReaderValue>> &arguments) {
    Json json = Json::object();
    for (const auto &[name, value] : arguments) json[name] = json_of(value);
    return json;
}

Json json_of(const ReaderValue &value) {
    switch (value.kind) {
    case ReaderValue::Kind::number:
        if (value.number == std::floor(value.number) && std::abs(value.number) < 9e15) return int64_t(value.number);
        return finite(value.number);
    case ReaderValue::Kind::boolean: return value.boolean;
    case ReaderValue::Kind::string: return value.text;
    case ReaderValue::Kind::path: return Json{{"path", value.text}};
    case ReaderValue::Kind::list: {
        Json list = Json::array();
        for (const ReaderValue &element : value.list) list.push_back(json_of(element));
        return list;
    }
    case ReaderValue::Kind::call: return Json{{"reader", value.text}, {"arguments", json_of(value.arguments)}};
    }
    KILN_UNREACHABLE("reader value {}", int(value.kind));
}

/// The scalars that a node is computed from.
void collect_scalars(const Graph &graph, NodeId node, std::set<std::string> &names) {
    if (graph[node].op == Op::input) names.insert(attrs<InputAttrs>(graph[node]).name);
    for (NodeId operand : graph[node].operands) collect_scalars(graph, operand, names);
}

Json json_of(const Plan &plan, const ProgramLayout &layout, const std::string &name, BufferId id) {
    const Buffer &buffer = plan[id];
    return {{"name", name}, {"dtype", kiln::name_of(buffer.type.dtype)}, {"shape", buffer.type.shape}, {"arena", layout.arena(buffer.arena)}, {"offset", buffer.offset}};
}

bool graph_reads(const Module &module, const std::string &graph, const Column &column) {
    auto found = module.graphs.find(graph);
    return found != module.graphs.end() && reads(found->second, InputKind::data, column.name);
}

/// What is generated, one sample at a time.
Json generation_of(const Module &module, const Plan &plan, const ProgramLayout &layout) {
    const Program *program = program_of_phase(plan, "generate", 0);
    const Result &result = module.graphs.at("generate").results.at(0);
    const std::optional<ColumnRange> range = module.column_range(result.name);
    KILN_CHECK(range, "`{}` is generated", result.name);
    Json inputs = Json::array();
    for (size_t i = 0; i < module.columns.size(); ++i)
        if (i != range->column && graph_reads(module, "generate", module.columns[i])) inputs.push_back(module.columns[i].name);
    return {{"column", module.columns[range->column].name}, {"begin", range->begin}, {"end", range->end}, {"inputs", inputs},
            {"drawn", json_of(plan, layout, result.name, program->outputs.at(result.name))}};
}

/// The input or storage whose elements a value has, perhaps in another shape or type; "" if it is none of this kind.
std::string origin_of(const Graph &graph, NodeId id, InputKind kind) {
    const Node *node = &graph[id];
    while (node->op == Op::reshape || node->op == Op::broadcast || node->op == Op::transpose || node->op == Op::slice || node->op == Op::cast || node->op == Op::stop_gradient)
        node = &graph[node->operands[0]];
    return node->op == Op::input && attrs<InputAttrs>(*node).kind == kind ? attrs<InputAttrs>(*node).name : "";
}

/// The same of a table, whose rows have to stay rows.
std::string table_of(const Graph &graph, NodeId id) {
    const Node *node = &graph[id];
    const auto rows = [](const Node &value) { return value.type.shape.empty() ? 0 : value.type.shape[0]; };
    while ((node->op == Op::cast || node->op == Op::stop_gradient || node->op == Op::reshape) && rows(*node) == rows(graph[node->operands[0]]))
        node = &graph[node->operands[0]];
    return node->op == Op::input && attrs<InputAttrs>(*node).kind == InputKind::storage ? attrs<InputAttrs>(*node).name : "";
}

using Lookup = std::pair<NodeId, NodeId>;  // table and index

/// Of index notation: the operands that are read at a row which is an element of another one.
std::vector<Lookup> lookups_of(const Node &node) {
    if (node.op == Op::gather_rows) return {{node.operands[0], node.operands[1]}};
    if (node.op != Op::comprehension) return {};
    std::vector<Lookup> lookups;
    const std::vector<BodyValue> &body = attrs<ComprehensionAttrs>(node).body;
    for (const BodyValue &value : body) {
        if (value.kind != BodyValue::Kind::read || value.at.empty() || value.at[0].gather < 0) continue;
        const AffineIndex &row = value.at[0];
        if (row.offset != 0 || std::any_of(row.coefficients.begin(), row.coefficients.end(), [](int64_t c) { return c != 0; })) continue;
        const BodyValue *index = &body[size_t(row.gather)];
        while (index->kind == BodyValue::Kind::apply && index->op == Op::cast) index = &body[size_t(index->operands[0])];
        if (index->kind == BodyValue::Kind::read) lookups.emplace_back(node.operands[size_t(value.operand)], node.operands[size_t(index->operand)]);
    }
    return lookups;
}

/// The tables that are read by the values of an input, in prediction or in training alone.
Json embeddings_of(const Module &module) {
    std::set<std::pair<size_t, std::string>> known;
    for (const auto &[name, graph] : module.graphs)
        for (const Node &node : graph.nodes)
            for (const auto &[rows, index] : lookups_of(node)) {
                const std::string table = table_of(graph, rows), input = origin_of(graph, index, InputKind::data);
                if (table.empty() || input.empty()) continue;
                for (size_t i = 0; i < module.storages.size(); ++i)
                    if (module.storages[i].path == table && module.storages[i].kind != StorageKind::state) known.emplace(i, input);
            }
    Json embeddings = Json::array();
    for (const auto &[storage, input] : known) embeddings.push_back({{"input", input}, {"storage", storage}});
    return embeddings;
}

Json calls_of(const Plan &plan, const std::vector<const Program *> &programs) {
    Json calls = Json::array();
    for (const Program *program : programs)
        for (const Call &call : program->calls) {
            const Kernel &kernel = plan[call.kernel];
            calls.push_back({{"kernel", kernel.family}, {"at", call.loc.valid() ? to_string(call.loc) : ""}, {"in", call.scope}, {"flops", kernel.flops},
                             {"bytes", kernel.bytes}, {"type", call.outputs.empty() ? "" : to_string(plan[call.outputs[0]].type)}});
        }
    return calls;
}

/// The kernels that each function of the program runs, in order; phases that run the same share an entry.
Json profiles_of(const Module &module, const Plan &plan) {
    Json profiles = Json::array();
    std::map<std::vector<const Program *>, size_t> known;
    auto add = [&](const char *name, int phase, std::initializer_list<const char *> parts) {
        std::vector<const Program *> programs;
        for (const char *part : parts)
            if (const Program *program = program_of_phase(plan, part, phase)) programs.push_back(program);
        if (programs.empty()) return;
        auto [entry, is_new] = known.try_emplace(programs, profiles.size());
        if (is_new) profiles.push_back({{"program", name}, {"phases", Json::array()}, {"calls", calls_of(plan, programs)}});
        profiles[entry->second]["phases"].push_back(phase);
    };
    for (int phase = 0; phase < int(module.phases.size()); ++phase) {
        add("train", phase, {"train", "update"});
        add("augment", phase, {"augment"});
    }
    add("evaluate", 0, {"evaluate"});
    add("predict", 0, {"predict"});
    add("generate", 0, {"generate"});
    return profiles;
}

Json json_of(const Column &column, bool predicts) {
    Json json{{"name", column.name}, {"dtype", kiln::name_of(column.type.dtype)}, {"shape", column.type.shape}, {"classes", column.classes}};
    if (!column.capacity.empty()) json["capacity"] = column.capacity;
    if (column.vocabulary) json["vocabulary"] = json_of(column.vocabulary->arguments);
    if (predicts) json["predicts"] = true;
    return json;
}

}  // namespace

std::string program_metadata(const Module &module, const Plan &plan, const ProgramOptions &options) {
    ProgramLayout layout = layout_of(module, plan);
    Json json;
    json["model"] = module.name;
    json["doc"] = module.doc;
    json["source"] = module.source_name;
    json["version"] = "kiln " KILN_VERSION;
    json["float"] = kiln::name_of(module.float_type);
    json["batch"] = module.batch;
    json["shuffle"] = module.shuffle;
    json["scalars"] = layout.scalars;

    Json &hypers = json["hypers"] = Json::array();
    for (const Hyper &hyper : module.hypers)
        hypers.push_back({{"name", hyper.name}, {"kind", name_of(hyper.kind)}, {"default", json_of(hyper.kind, hyper.default_value)},
                          {"doc", hyper.doc}, {"scalar", layout.scalar(hyper.name)}, {"generates", module.only_generates(hyper)}});
    Json &globals = json["globals"] = Json::array();
    for (const Global &global : module.globals)
        globals.push_back({{"name", global.name}, {"initial", finite(global.initial_value)}, {"scalar", layout.scalar(global.name)}});
    Json &columns = json["columns"] = Json::array();
    for (const Column &column : module.columns) columns.push_back(json_of(column, graph_reads(module, "predict", column)));

    Json &arenas = json["arenas"] = Json::array();
    for (const Arena &arena : plan.arenas) arenas.push_back({{"name", arena.name}, {"bytes", arena.bytes}});
    Json &storages = json["storages"] = Json::array();
    for (const Storage &storage : module.storages)
        storages.push_back({{"path", storage.path}, {"kind", name_of(storage.kind)}, {"dtype", kiln::name_of(storage.type.dtype)},
                            {"shape", storage.type.shape}, {"arena", layout.arena(storage.arena)},
                            {"offset", storage.offset * arena_element_bytes(module, storage.arena)}});

    Json &splits = json["splits"] = Json::array();
    for (const Split &split : module.splits) splits.push_back({{"name", split.name}, {"reader", split.reader}, {"arguments", json_of(split.arguments)}});
    Json &phases = json["phases"] = Json::array();
    std::map<std::string, const Buffer *> augmented;  // by column; the phases that change one agree on its type
    for (size_t i = 0; i < module.phases.size(); ++i) {
        Json names = Json::array();
        if (const Program *program = program_of_phase(plan, "augment", int(i)))
            for (const auto &[name, id] : program->outputs) {
                names.push_back(name);
                augmented[name] = &plan[id];
            }
        const Phase &phase = module.phases[i];
        Json mix = Json::array();
        for (const MixPart &part : phase.mix) {
            mix.push_back({{"split", part.split}, {"rows", part.rows}});
            if (!part.pseudo) continue;
            mix.back().update(Json{{"pseudo", true}, {"soft", part.soft}, {"every_epoch", part.every_epoch}});
            if (part.above_hyper.empty()) mix.back()["above"] = part.above;
            else mix.back()["above_hyper"] = part.above_hyper;
        }
        phases.push_back({{"name", phase.name}, {"epochs", phase.epochs}, {"patience", phase.patience}, {"restore_best", phase.restore_best}, {"split", phase.split}, {"augmented", names}, {"mix", mix}});
    }
    Json &augmented_columns = json["augmented"] = Json::array();
    for (const auto &[name, buffer] : augmented)
        augmented_columns.push_back({{"column", name}, {"dtype", kiln::name_of(buffer->type.dtype)}, {"shape", buffer->type.shape}});
    if (module.scan) {
        const Scan &scan = *module.scan;
        Json settings = Json::array();
        for (const Scan::Setting &setting : scan.settings) {
            Json values = Json::array();
            for (const Scan::Value &value : setting.values)
                values.push_back(setting.constant ? Json{{"define", value.define}, {"text", value.text}} : Json{{"number", finite(value.number)}, {"text", value.text}});
            settings.push_back({{setting.constant ? "const" : "hyper", setting.name}, {"built", setting.built}, {"values", values}, {"begin", setting.begin}, {"end", setting.end}, {"regularizes", setting.regularizes}});
        }
        json["scan"] = {{"training", {{"reader", scan.training.reader}, {"arguments", json_of(scan.training.arguments)}}}, {"settings", settings}, {"on", scan.on},
                        {"metric", scan.metric}, {"higher_is_better", scan.higher_is_better}, {"seeds", scan.seeds}, {"epochs", scan.epochs}, {"source", scan.source},
                        {"build", Json::array({"-O" + std::to_string(options.level), "--target", options.target})}};
    }
    if (!module.pseudo_label.empty()) json["pseudo_label"] = module.pseudo_label;
    json["samples"] = layout.samples;
    json["means"] = layout.means;
    Json &sample_values = json["sample_values"] = Json::array();
    if (const Program *evaluate = program_of_phase(plan, "evaluate", 0))
        for (const auto &[name, id] : evaluate->samples)
            if (layout.sample(name) >= 0 && !is_batch_arena(plan[id].arena)) sample_values.push_back(json_of(plan, layout, name, id));
    Json &train_samples = json["train_samples"] = Json::array();
    if (const Program *train = program_of_phase(plan, "train", 0))
        for (const std::string &name : layout.samples)
            if (name == "loss" || train->samples.contains(name)) train_samples.push_back(name);
    Json &metrics = json["metrics"] = Json::array();
    for (const Metric &metric : module.metrics) metrics.push_back({{"name", metric.name}, {"higher_is_better", metric.higher_is_better}});
    json["best_metric"] = module.best_metric.empty() ? "loss" : module.best_metric;

    Json &outputs = json["outputs"] = Json::array();
    if (const Program *predict = program_of_phase(plan, "predict", 0))
        for (const Result &result : module.graphs.at("predict").results)  // the first one that was declared is what predict shows
            if (result.kind == ResultKind::output) outputs.push_back(json_of(plan, layout, result.name, predict->outputs.at(result.name)));
    Json &requirements = json["requirements"] = Json::array();
    if (const Graph *conditions = rule_of_phase(plan, "rules.require", 0))
        for (const Result &result : conditions->results) {
            std::set<std::string> names;
            collect_scalars(*conditions, result.value, names);
            requirements.push_back({{"message", result.name.substr(result.name.find(':') + 1)}, {"phase", std::stoi(result.name)}, {"scalars", names}});
        }
    Json &traces = json["traces"] = Json::array();
    if (const Program *trace = program_of_phase(plan, "trace", 0))
        for (const Result &result : module.graphs.at("trace").results) traces.push_back(json_of(plan, layout, result.name, trace->outputs.at(result.name)));
    if (program_of_phase(plan, "generate", 0)) json["generates"] = generation_of(module, plan, layout);
    json["profiles"] = profiles_of(module, plan);
    json["embeddings"] = embeddings_of(module);
    Json &layers = json["layers"] = Json::array();
    for (const LayerRow &row : layer_table(module))
        layers.push_back({{"path", row.path}, {"output", to_string(row.output)}, {"parameters", row.parameters}});
    json["parameters"] = parameter_count(module);
    json["flops_per_sample"] = plan.flops_per_sample;
    json["forward_flops_per_sample"] = plan.forward_flops_per_sample;
    json["peak_bytes"] = plan.peak_bytes;
    return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace kiln
