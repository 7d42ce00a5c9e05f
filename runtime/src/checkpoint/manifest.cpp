#include "checkpoint/manifest.h"

#include "support/failure.h"
#include "support/hash.h"
#include "support/text.h"

#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>

namespace kiln::runtime {
namespace {

using Json = nlohmann::json;

constexpr const char *kFormat = "kiln checkpoint";
constexpr int kVersion = 1;

Json json_from(double value) {
    if (std::isfinite(value)) return value;
    return number_text(value);
}

double double_from(const Json &json) {
    return json.is_string() ? std::strtod(json.get<std::string>().c_str(), nullptr) : json.get<double>();
}

Json json_from(const std::map<std::string, double> &values) {
    Json json = Json::object();
    for (const auto &[name, value] : values) json[name] = json_from(value);
    return json;
}

std::map<std::string, double> values_from(const Json &json) {
    std::map<std::string, double> values;
    for (const auto &[name, value] : json.items()) values[name] = double_from(value);
    return values;
}

// Objects print with sorted keys, so the text is a function of the content.
std::string checksum(const Json &json) {
    std::string text = json.dump(-1, ' ', false, Json::error_handler_t::replace);
    return hash_text(xxh64(text.data(), text.size()));
}

Manifest read(Json json, const std::string &path) {
    const char *name = path.c_str();
    if (!json.is_object() || json.value("format", "") != kFormat)
        fail(ExitCode::checkpoint, "%s is not the manifest of a checkpoint", name);
    if (int version = json.at("version"); version != kVersion)
        fail(ExitCode::checkpoint, "%s has format version %d; this program reads version %d", name, version, kVersion);
    std::string expected = json.at("checksum");
    json.erase("checksum");
    if (checksum(json) != expected) fail(ExitCode::checkpoint, "%s is corrupted: its checksum does not match", name);
    Manifest m;
    m.model = json.at("model");
    m.fingerprint = json.at("fingerprint");
    m.program = json.at("program");
    m.batch = json.at("batch");
    m.seed = json.at("seed");
    const Json &p = json.at("position");
    m.position = {p.at("step"), p.at("phase"), p.at("epoch"), p.at("epoch_in_phase"), p.at("batch")};
    m.epochs = json.at("epochs").get<std::vector<int64_t>>();
    m.trained = json.at("trained").get<std::vector<int64_t>>();
    m.hypers = values_from(json.at("hypers"));
    m.scalars = values_from(json.at("scalars"));
    m.sums = values_from(json.at("sums"));
    if (const Json &b = json.at("best"); !b.is_null())
        m.best = BestSoFar{b.at("metric"), double_from(b.at("value")), b.at("epoch")};
    m.data = json.at("data");
    m.records = json.at("records");
    m.data_checksum = json.value("data_checksum", "");
    m.validation_checksum = json.value("validation_checksum", "");
    m.seconds = double_from(json.at("seconds"));
    for (const auto &[file, record] : json.at("files").items()) m.files[file] = {record.at("bytes"), record.at("xxh64")};
    return m;
}

}  // namespace

std::string print(const Manifest &m) {
    Json json = {{"format", kFormat},
                 {"version", kVersion},
                 {"model", m.model},
                 {"fingerprint", m.fingerprint},
                 {"program", m.program},
                 {"batch", m.batch},
                 {"seed", m.seed},
                 {"epochs", m.epochs},
                 {"trained", m.trained},
                 {"hypers", json_from(m.hypers)},
                 {"scalars", json_from(m.scalars)},
                 {"sums", json_from(m.sums)},
                 {"best", nullptr},
                 {"data", m.data},
                 {"records", m.records},
                 {"data_checksum", m.data_checksum},
                 {"validation_checksum", m.validation_checksum},
                 {"seconds", json_from(m.seconds)}};
    json["position"] = {{"step", m.position.step},
                        {"phase", m.position.phase},
                        {"epoch", m.position.epoch},
                        {"epoch_in_phase", m.position.epoch_in_phase},
                        {"batch", m.position.batch}};
    if (m.best) json["best"] = {{"metric", m.best->metric}, {"value", json_from(m.best->value)}, {"epoch", m.best->epoch}};
    json["files"] = Json::object();
    for (const auto &[file, record] : m.files) json["files"][file] = {{"bytes", record.bytes}, {"xxh64", record.hash}};
    json["checksum"] = checksum(json);
    return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

Manifest parse_manifest(const std::string &text, const std::string &path) {
    try {
        return read(Json::parse(text), path);
    } catch (const Json::exception &error) {
        fail(ExitCode::checkpoint, "%s is corrupted: %s", path.c_str(), error.what());
    }
}

}  // namespace kiln::runtime
