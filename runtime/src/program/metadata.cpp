#include "program/metadata.h"

#include "support/failure.h"
#include "support/hash.h"
#include "support/text.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

namespace kiln::runtime {
namespace {

using Json = nlohmann::json;

constexpr const char *kDTypeNames[] = {"f32", "f64", "i32", "i64", "u8", "bool"};

DType dtype_from(const Json &json) {
    auto name = json.get<std::string>();
    for (size_t i = 0; i < std::size(kDTypeNames); ++i)
        if (name == kDTypeNames[i]) return DType(i);
    fail(ExitCode::internal, "metadata: unknown dtype %s", name.c_str());
}

HyperKind hyper_kind_from(const std::string &name) {
    if (name == "real") return HyperKind::real;
    if (name == "integer") return HyperKind::integer;
    if (name == "boolean") return HyperKind::boolean;
    fail(ExitCode::internal, "metadata: unknown kind of hyper %s", name.c_str());
}

StorageKind storage_kind_from(const std::string &name) {
    if (name == "param") return StorageKind::param;
    if (name == "buffer") return StorageKind::buffer;
    if (name == "state") return StorageKind::state;
    fail(ExitCode::internal, "metadata: unknown kind of storage %s", name.c_str());
}

// JSON has no infinities: they come as strings, or as null where a printer could not help it.
double number_from(const Json &json) {
    if (json.is_boolean()) return json.get<bool>() ? 1 : 0;
    if (json.is_string()) return std::strtod(json.get<std::string>().c_str(), nullptr);
    return json.get<double>();
}

Value value_from(const Json &json);

std::vector<std::pair<std::string, Value>> arguments_from(const Json &json) {
    std::vector<std::pair<std::string, Value>> arguments;
    for (const auto &[name, value] : json.items()) arguments.emplace_back(name, value_from(value));
    return arguments;
}

Value value_from(const Json &json) {
    Value value;
    if (json.is_boolean()) {
        value.kind = Value::Kind::boolean;
        value.boolean = json.get<bool>();
    } else if (json.is_number()) {
        value.number = json.get<double>();
    } else if (json.is_string()) {
        value.kind = Value::Kind::string;
        value.text = json.get<std::string>();
    } else if (json.is_array()) {
        value.kind = Value::Kind::list;
        for (const Json &item : json) value.list.push_back(value_from(item));
    } else if (json.contains("reader")) {
        value.kind = Value::Kind::call;
        value.text = json.at("reader").get<std::string>();
        value.arguments = arguments_from(json.at("arguments"));
    } else {
        value.kind = Value::Kind::path;
        value.text = json.at("path").get<std::string>();
    }
    return value;
}

size_t index_below(const Json &json, size_t limit, const char *what) {
    auto index = json.get<int64_t>();
    if (index < 0 || size_t(index) >= limit)
        fail(ExitCode::internal, "metadata: %s index %lld is out of range", what, (long long)index);
    return size_t(index);
}

void check_range(const Metadata &metadata, size_t arena, int64_t offset, int64_t bytes, const std::string &name) {
    if (offset < 0 || bytes < 0 || offset + bytes > metadata.arenas[arena].bytes)
        fail(ExitCode::internal, "metadata: %s lies outside arena %s", name.c_str(), metadata.arenas[arena].name.c_str());
}

template <typename Read>
void each(const Json &root, const char *key, Read read) {
    if (auto found = root.find(key); found != root.end())
        for (const Json &item : *found) read(item);
}

Metadata read(const Json &root) {
    Metadata m;
    m.model = root.at("model");
    m.doc = root.value("doc", "");
    m.source = root.value("source", "");
    m.version = root.value("version", "");
    m.float_type = root.value("float", "f32");
    m.batch = root.at("batch");
    if (m.batch < 1) fail(ExitCode::internal, "metadata: batch is %lld", (long long)m.batch);
    m.shuffle = root.value("shuffle", true);
    each(root, "scalars", [&](const Json &j) { m.scalars.push_back(j); });
    each(root, "hypers", [&](const Json &j) {
        m.hypers.push_back({j.at("name"), hyper_kind_from(j.value("kind", "real")), number_from(j.at("default")),
                            j.value("doc", ""), index_below(j.at("scalar"), m.scalars.size(), "scalar"), j.value("generates", false)});
    });
    each(root, "globals", [&](const Json &j) {
        m.globals.push_back(
            {j.at("name"), number_from(j.at("initial")), index_below(j.at("scalar"), m.scalars.size(), "scalar")});
    });
    each(root, "columns", [&](const Json &j) {
        Column column{j.at("name"), dtype_from(j.at("dtype")), j.at("shape"), j.value("classes", int64_t(0)), j.value("capacity", "")};
        if (auto declared = j.find("vocabulary"); declared != j.end()) {
            VocabularyDeclaration &vocabulary = column.vocabulary.emplace();
            vocabulary.at_least = declared->value("at_least", int64_t(1));
            if (declared->contains("unknown")) vocabulary.unknown = declared->at("unknown").get<std::string>();
            if (declared->contains("names")) vocabulary.names = value_from(declared->at("names"));
            vocabulary.key = declared->value("key", column.name);
            vocabulary.name = declared->value("name", "name");
        }
        column.predicts = j.value("predicts", false);
        m.columns.push_back(std::move(column));
    });
    each(root, "arenas", [&](const Json &j) { m.arenas.push_back({j.at("name"), j.at("bytes")}); });
    each(root, "storages", [&](const Json &j) {
        Storage s{j.at("path"),
                  storage_kind_from(j.at("kind")),
                  dtype_from(j.at("dtype")),
                  j.at("shape"),
                  index_below(j.at("arena"), m.arenas.size(), "arena"),
                  j.at("offset")};
        check_range(m, s.arena, s.offset, s.bytes(), s.path);
        m.storages.push_back(std::move(s));
    });
    each(root, "splits", [&](const Json &j) {
        Split split{j.at("name"), j.at("reader"), {}};
        if (auto arguments = j.find("arguments"); arguments != j.end())
            split.arguments = arguments_from(*arguments);
        m.splits.push_back(std::move(split));
    });
    auto column_named = [&](const std::string &name) {
        for (size_t i = 0; i < m.columns.size(); ++i)
            if (m.columns[i].name == name) return i;
        fail(ExitCode::internal, "metadata: there is no column %s", name.c_str());
    };
    m.augmented.resize(m.columns.size());
    each(root, "augmented", [&](const Json &j) {
        m.augmented[column_named(j.at("column"))] = Augmented{dtype_from(j.at("dtype")), j.at("shape")};
    });
    if (root.contains("pseudo_label")) m.pseudo_label = column_named(root.at("pseudo_label"));
    each(root, "phases", [&](const Json &j) {
        Phase phase{j.at("name"), j.at("epochs"), j.value("patience", int64_t(0)), j.value("restore_best", false), j.value("split", "train"), {}, {}};
        each(j, "augmented", [&](const Json &name) {
            phase.augmented.push_back(column_named(name));
            if (!m.augmented[phase.augmented.back()]) fail(ExitCode::internal, "metadata: an augmented column has no type");
        });
        int64_t rows = 0;
        bool pseudo = false;
        each(j, "mix", [&](const Json &p) {
            MixPart part{p.at("split"), p.at("rows"), p.value("pseudo", false), p.value("soft", false), p.value("every_epoch", false), p.value("above", 0.0), p.value("above_hyper", "")};
            rows += part.rows;
            pseudo |= part.pseudo;
            phase.mix.push_back(std::move(part));
        });
        if (!phase.mix.empty() && (rows != m.batch || (pseudo && !m.pseudo_label))) fail(ExitCode::internal, "metadata: the mix of phase %s has %lld rows", phase.name.c_str(), (long long)rows);
        m.phases.push_back(std::move(phase));
    });
    if (auto found = root.find("scan"); found != root.end()) {
        const Json &j = *found;
        Scan scan{{"train", j.at("training").at("reader"), {}}, {}, j.at("on"), j.at("metric"), j.at("higher_is_better"), j.at("seeds"), j.at("epochs"), j.at("source"), j.value("build", std::vector<std::string>{})};
        for (const auto &[name, value] : j.at("training").at("arguments").items()) scan.training.arguments.emplace_back(name, value_from(value));
        each(j, "settings", [&](const Json &s) {
            const bool constant = s.contains("const");
            Scan::Setting setting{s.at(constant ? "const" : "hyper"), constant, s.value("built", int64_t(-1)), {}, s.at("begin"), s.at("end"), s.at("regularizes")};
            if (setting.begin > setting.end || setting.end > scan.source.size()) fail(ExitCode::internal, "metadata: the value of a hyper lies outside the source");
            each(s, "values", [&](const Json &v) { setting.values.push_back({constant ? 0 : number_from(v.at("number")), v.at("text"), v.value("define", "")}); });
            if (setting.values.empty()) fail(ExitCode::internal, "metadata: a scan without values");
            scan.settings.push_back(std::move(setting));
        });
        m.scan = std::move(scan);
    }
    each(root, "samples", [&](const Json &j) { m.samples.push_back(j); });
    each(root, "means", [&](const Json &j) { m.means.push_back(j); });
    if (m.means.empty()) m.means = m.samples;
    if (m.means.size() < m.samples.size() || !std::equal(m.samples.begin(), m.samples.end(), m.means.begin()))
        fail(ExitCode::internal, "metadata: means does not begin with samples");
    m.in_training.assign(m.samples.size(), !root.contains("train_samples"));
    each(root, "train_samples", [&](const Json &j) {
        auto found = std::find(m.samples.begin(), m.samples.end(), j.get<std::string>());
        if (found == m.samples.end())
            fail(ExitCode::internal, "metadata: train_samples names %s, which samples lacks", j.get<std::string>().c_str());
        m.in_training[size_t(found - m.samples.begin())] = true;
    });
    each(root, "metrics", [&](const Json &j) { m.metrics.push_back({j.at("name"), j.value("higher_is_better", true)}); });
    m.best_metric = root.value("best_metric", "loss");
    auto output_from = [&](const Json &j) {
        Output o{j.at("name"), dtype_from(j.at("dtype")), j.at("shape"), index_below(j.at("arena"), m.arenas.size(), "arena"),
                 j.at("offset")};
        check_range(m, o.arena, o.offset, element_count(o.shape) * size_of(o.dtype), o.name);
        return o;
    };
    each(root, "sample_values", [&](const Json &j) { m.sample_values.push_back(output_from(j)); });
    each(root, "outputs", [&](const Json &j) { m.outputs.push_back(output_from(j)); });
    each(root, "requirements", [&](const Json &j) {
        m.requirements.push_back({j.at("message"), j.at("phase"), j.at("scalars").get<std::vector<std::string>>()});
    });
    each(root, "traces", [&](const Json &j) { m.traces.push_back(output_from(j)); });
    if (auto found = root.find("generates"); found != root.end()) {
        Generation generation{column_named(found->at("column")), found->at("begin"), found->at("end"), {}, output_from(found->at("drawn"))};
        each(*found, "inputs", [&](const Json &name) { generation.inputs.push_back(column_named(name)); });
        const Column &column = m.columns[generation.column];
        if (column.shape.size() != 1 || generation.begin < 0 || generation.begin >= generation.end || generation.end > column.elements() ||
            element_count(generation.drawn.shape) != generation.end - generation.begin)
            fail(ExitCode::internal, "metadata: %s has no elements %lld to %lld", column.name.c_str(), (long long)generation.begin, (long long)generation.end);
        m.generates = std::move(generation);
    }
    each(root, "embeddings", [&](const Json &j) { m.embeddings.push_back({j.at("input"), index_below(j.at("storage"), m.storages.size(), "storage")}); });
    each(root, "profiles", [&](const Json &j) {
        Profile profile{j.at("program"), {}, {}};
        each(j, "phases", [&](const Json &phase) { profile.phases.push_back(phase); });
        each(j, "calls", [&](const Json &c) {
            profile.calls.push_back({c.at("kernel"), c.value("at", ""), c.value("in", ""), c.value("type", ""), c.value("flops", int64_t(0)), c.value("bytes", int64_t(0))});
        });
        m.profiles.push_back(std::move(profile));
    });
    each(root, "layers", [&](const Json &j) {
        m.layers.push_back({j.at("path"), j.value("output", ""), j.value("parameters", int64_t(0))});
    });
    m.parameters = root.value("parameters", int64_t(0));
    m.peak_bytes = root.value("peak_bytes", int64_t(0));
    m.flops_per_sample = root.value("flops_per_sample", 0.0);
    return m;
}

}  // namespace

int64_t size_of(DType dtype) {
    switch (dtype) {
        case DType::f32:
        case DType::i32: return 4;
        case DType::f64:
        case DType::i64: return 8;
        case DType::u8:
        case DType::boolean: return 1;
    }
    return 0;
}

const char *name_of(DType dtype) { return kDTypeNames[size_t(dtype)]; }

bool Phase::soft() const {
    return std::any_of(mix.begin(), mix.end(), [](const MixPart &part) { return part.soft; });
}

const MixPart &Phase::first_labelled() const {
    return *std::find_if(mix.begin(), mix.end(), [](const MixPart &part) { return !part.pseudo; });
}

int64_t element_count(const std::vector<int64_t> &shape) {
    int64_t count = 1;
    for (int64_t extent : shape) count *= extent;
    return count;
}

std::string type_text(DType dtype, const std::vector<int64_t> &shape) { return name_of(dtype) + shape_text(shape); }

std::string type_text(const Column &column) {
    if (column.classes == 0) return type_text(column.dtype, column.shape);
    return format("class[%lld]", (long long)column.classes) + (column.shape.empty() ? "" : shape_text(column.shape));
}

int Metadata::scalar(std::string_view name) const {
    auto found = std::find(scalars.begin(), scalars.end(), name);
    return found == scalars.end() ? -1 : int(found - scalars.begin());
}

const Split *Metadata::find_split(std::string_view name) const {
    for (const Split &split : splits)
        if (split.name == name) return &split;
    return nullptr;
}

bool Metadata::higher_is_better(std::string_view metric) const {
    for (const Metric &m : metrics)
        if (m.name == metric) return m.higher_is_better;
    return false;
}

std::string Metadata::fingerprint() const {
    std::string text = model + "\n";
    for (const Storage &s : storages) text += s.path + " " + type_text(s.dtype, s.shape) + format(" %d\n", int(s.kind));
    for (const std::string &name : scalars)
        if (std::none_of(hypers.begin(), hypers.end(), [&](const Hyper &hyper) { return hyper.generates && hyper.name == name; })) text += name + "\n";
    return hash_text(xxh64(text.data(), text.size()));
}

Metadata parse_metadata(const char *json) {
    try {
        return read(Json::parse(json));
    } catch (const Json::exception &error) {
        fail(ExitCode::internal, "metadata: %s", error.what());
    }
}

}  // namespace kiln::runtime
