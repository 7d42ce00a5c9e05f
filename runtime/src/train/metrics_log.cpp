#include "train/metrics_log.h"

#include "support/text.h"

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>

namespace kiln::runtime {
namespace {

using Json = nlohmann::json;

/// What else to do where a file of metrics is not the run's.
std::string new_run_instead(const std::string &path) {
    const std::string run = path.substr(0, path.rfind('/')), checkpoint = run + (exists(run + "/last") ? "/last" : "/best");
    return "or start a new run in another --run, from the weights of this one, by --init " + checkpoint + "/weights.safetensors";
}
std::string repair_of(const std::string &path) { return "put the file back as it was, " + new_run_instead(path); }

// The rows of the first `epochs` epochs in a file of metrics, whose first line is line `number`. Lines behind them come again and are left out, like a last
// line that a kill cut short; but anything that is no row is not this program's to drop, and all rows of those epochs must be there.
template <typename IsRow>
std::string kept_rows(const std::string &path, const std::string &text, int64_t number, std::string_view prefix, int64_t epochs, const IsRow &is_row) {
    std::string kept;
    int64_t next = 1;  // epoch
    size_t begin = 0;
    for (size_t end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1, ++number) {
        const std::string line = text.substr(begin, end - begin);
        char *after = nullptr;
        const long long epoch = line.starts_with(prefix) ? std::strtoll(line.c_str() + prefix.size(), &after, 10) : 0;
        if (after == nullptr || *after != ',')
            fail(ExitCode::checkpoint, "%s has a line that this program does not write: %.60s (line %lld)", path.c_str(), line.c_str(), (long long)number);
        if (next > epochs) {
            if (epoch <= epochs)
                fail(ExitCode::checkpoint, "%s, line %lld: %.60s comes after the row of epoch %lld, the latest that the run has had; %s", path.c_str(), (long long)number, line.c_str(),
                     (long long)epochs, repair_of(path).c_str());
            continue;
        }
        if (!line.starts_with(std::string(prefix) + std::to_string(next) + ",") || !is_row(line))
            fail(ExitCode::checkpoint, "%s, line %lld: %.60s is not the row of epoch %lld; %s", path.c_str(), (long long)number, line.c_str(), (long long)next, repair_of(path).c_str());
        kept += line + "\n";
        ++next;
    }
    if (next <= epochs)
        fail(ExitCode::checkpoint, "%s lacks the row of epoch %lld, as a whole line %lld, though the run has had %lld epochs; %s", path.c_str(), (long long)next, (long long)number,
             (long long)epochs, repair_of(path).c_str());
    return kept;
}

std::vector<std::string> fields_of(const std::string &line) {
    std::vector<std::string> fields(1);
    for (char c : line)
        if (c == ',') fields.emplace_back();
        else fields.back() += c;
    return fields;
}

bool is_number(const std::string &text) {
    char *end = nullptr;
    std::strtod(text.c_str(), &end);
    return end != text.c_str() && *end == '\0';
}

// A field for each column: the name of a phase, a number, or nothing in an epoch without pseudo-labels.
bool is_csv_row(const std::string &line, size_t columns, const Metadata &metadata) {
    const std::vector<std::string> fields = fields_of(line);
    if (fields.size() != columns) return false;
    for (size_t i = 0; i < columns; ++i) {
        const bool named = i == 1 && std::any_of(metadata.phases.begin(), metadata.phases.end(), [&](const Phase &phase) { return phase.name == fields[i]; });
        const bool may_be_empty = metadata.pseudo_label && i > 3 && i + 2 < columns;
        if (!named && !is_number(fields[i]) && !(may_be_empty && fields[i].empty())) return false;
    }
    return true;
}

bool is_json_row(const std::string &line, bool with_validation) {
    const Json row = Json::parse(line, nullptr, false);
    std::vector<const char *> keys{"epoch", "phase", "step", "rate", "train", "samples_per_second", "seconds"};
    if (with_validation) keys.push_back("validation");
    return row.is_object() && std::all_of(keys.begin(), keys.end(), [&](const char *key) { return row.contains(key); });
}

/// What the run has written in so many epochs; where a checkpoint alone was copied to another folder it is not there.
std::string content_of(const std::string &path, int64_t epochs) {
    if (!exists(path))
        fail(ExitCode::checkpoint, "%s is not there, though the run has had %lld epochs: copy metrics.csv and metrics.jsonl from the folder that its checkpoint was in, %s",
             path.c_str(), (long long)epochs, new_run_instead(path).c_str());
    return read_file(path, ExitCode::disk);
}

/// The splits that phases take pseudo-labels of, and the classes these have.
std::vector<std::string> pseudo_splits(const Metadata &metadata) {
    std::vector<std::string> splits;
    for (const Phase &phase : metadata.phases)
        for (const MixPart &part : phase.mix)
            if (part.pseudo && std::find(splits.begin(), splits.end(), part.split) == splits.end()) splits.push_back(part.split);
    return splits;
}

int64_t pseudo_classes(const Metadata &metadata) { return metadata.pseudo_label ? metadata.columns[*metadata.pseudo_label].classes : 0; }

}  // namespace

std::string csv_header(const Metadata &metadata, bool with_validation) {
    std::string header = "epoch,phase,step,rate";
    for (size_t i = 0; i < metadata.samples.size(); ++i)
        if (metadata.in_training[i]) header += ",train_" + metadata.samples[i];
    if (with_validation)
        for (const std::string &sample : metadata.samples) header += ",validation_" + sample;
    for (const std::string &split : pseudo_splits(metadata)) {
        for (const char *what : {"share", "records", "sure", "agreement"}) header += "," + split + "_" + what;
        for (int64_t c = 0; c < pseudo_classes(metadata); ++c) header += "," + split + "_class_" + std::to_string(c);
    }
    return header + ",samples_per_second,seconds\n";
}

MetricsLog::MetricsLog(const std::string &run, const Metadata &metadata, bool with_validation, int64_t epochs)
    : metadata_(metadata),
      with_validation_(with_validation),
      csv_path_(run + "/metrics.csv"),
      jsonl_path_(run + "/metrics.jsonl") {
    std::string header = csv_header(metadata, with_validation), rows, json_rows;
    if (epochs > 0) {
        const std::string csv = content_of(csv_path_, epochs);
        if (!csv.empty() && !csv.starts_with(header))
            fail(ExitCode::checkpoint, "%s has other columns than this program writes", csv_path_.c_str());
        const size_t columns = fields_of(header).size();
        rows = kept_rows(csv_path_, csv.substr(std::min(header.size(), csv.size())), 2, "", epochs, [&](const std::string &line) { return is_csv_row(line, columns, metadata); });
        json_rows = kept_rows(jsonl_path_, content_of(jsonl_path_, epochs), 1, "{\"epoch\":", epochs, [&](const std::string &line) { return is_json_row(line, with_validation); });
    }
    replace_file(csv_path_, header + rows);
    replace_file(jsonl_path_, json_rows);
    flush_folder(run);
    csv_ = open_for_appending(csv_path_);
    jsonl_ = open_for_appending(jsonl_path_);
}

void MetricsLog::append(const EpochRow &row) {
    std::string csv = std::to_string(row.epoch) + "," + row.phase + "," + std::to_string(row.step) + "," + number_text(row.rate);
    std::string json = "{\"epoch\":" + std::to_string(row.epoch) + ",\"phase\":" + json_string(row.phase) +
                       ",\"step\":" + std::to_string(row.step) + ",\"rate\":" + json_number(row.rate);
    auto add = [&](const char *split, const std::vector<double> &values, bool training) {
        std::vector<std::string> fields;
        for (size_t i = 0; i < values.size(); ++i) {
            if (training && !metadata_.in_training[i]) continue;
            csv += "," + number_text(values[i]);
            fields.push_back(json_string(metadata_.samples[i]) + ":" + json_number(values[i]));
        }
        json += std::string(",\"") + split + "\":{" + join(fields, ",") + "}";
    };
    add("train", row.train, true);
    if (with_validation_) add("validation", row.validation, false);
    std::vector<std::string> sets;
    for (const std::string &split : pseudo_splits(metadata_)) {
        auto report = std::find_if(row.pseudo.begin(), row.pseudo.end(), [&](const PseudoReport &r) { return r.split == split; });
        if (report == row.pseudo.end()) {
            csv += std::string(size_t(4 + pseudo_classes(metadata_)), ',');
            continue;
        }
        std::vector<std::string> counts;
        for (int64_t count : report->classes) counts.push_back(std::to_string(count));
        csv += format(",%s,%lld,%lld,%s,", number_text(report->share).c_str(), (long long)report->records, (long long)report->confident,
                      report->agreement ? number_text(*report->agreement).c_str() : "") + join(counts, ",");
        sets.push_back(json_string(split) + format(":{\"share\":%s,\"records\":%lld,\"sure\":%lld,\"agreement\":%s,\"classes\":[", json_number(report->share).c_str(),
                                                   (long long)report->records, (long long)report->confident, report->agreement ? json_number(*report->agreement).c_str() : "null") +
                       join(counts, ",") + "]}");
    }
    if (!sets.empty()) json += ",\"pseudo\":{" + join(sets, ",") + "}";
    csv += format(",%.1f,%.3f\n", row.samples_per_second, row.seconds);
    json += format(",\"samples_per_second\":%.1f,\"seconds\":%.3f}\n", row.samples_per_second, row.seconds);
    write_all(csv_, csv_path_, csv.data(), csv.size());
    write_all(jsonl_, jsonl_path_, json.data(), json.size());
    flush_to_disk(csv_, csv_path_);
    flush_to_disk(jsonl_, jsonl_path_);
}

}  // namespace kiln::runtime
