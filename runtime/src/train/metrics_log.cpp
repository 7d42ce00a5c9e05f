#include "train/metrics_log.h"

#include "support/text.h"

#include <algorithm>
#include <cstdlib>

namespace kiln::runtime {
namespace {

// The complete lines of a file's `text` whose epoch, read behind `prefix`, is at most `epochs`. Anything but rows is not this program's to drop.
std::string kept_lines(const std::string &path, const std::string &text, std::string_view prefix, int64_t epochs) {
    std::string kept;
    size_t begin = 0;
    for (size_t end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
        std::string line = text.substr(begin, end - begin + 1);
        char *after = nullptr;
        const long long epoch = line.starts_with(prefix) ? std::strtoll(line.c_str() + prefix.size(), &after, 10) : 0;
        if (after == nullptr || after == line.c_str() + prefix.size())
            fail(ExitCode::checkpoint, "%s has a line that this program does not write: %.60s", path.c_str(), line.substr(0, line.size() - 1).c_str());
        if (epoch <= epochs) kept += line;
    }
    return kept;
}

std::string content_of(const std::string &path) { return exists(path) ? read_file(path, ExitCode::disk) : ""; }

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
    std::string header = csv_header(metadata, with_validation), csv = content_of(csv_path_), rows, json_rows;
    if (epochs > 0 && !csv.empty()) {
        if (!csv.starts_with(header))
            fail(ExitCode::checkpoint, "%s has other columns than this program writes", csv_path_.c_str());
        rows = kept_lines(csv_path_, csv.substr(header.size()), "", epochs);
    }
    if (epochs > 0) json_rows = kept_lines(jsonl_path_, content_of(jsonl_path_), "{\"epoch\":", epochs);
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
