// report: a run and what its model makes of a split, as one HTML file. What is here is its data; report/page.js shows them.
#include "checkpoint/checkpoint.h"
#include "commands/commands.h"
#include "commands/record_reader.h"
#include "data/picture_set.h"
#include "image/contact_sheet.h"
#include "report/measure.h"
#include "report/page.h"
#include "support/failure.h"
#include "support/file.h"
#include "support/text.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <sstream>

namespace kiln::runtime {
namespace {

using Json = nlohmann::ordered_json;

Json json_of(std::optional<double> value) { return value && std::isfinite(*value) ? Json(*value) : Json(); }

std::string value_text(const Value &value);

/// Much as the model has it: `images(folder = "train", keep = true) |> sample(share = 0.1)`; files come first.
std::string call_text(const std::string &reader, const std::vector<std::pair<std::string, Value>> &arguments) {
    std::string source;
    std::vector<std::string> files, others;
    for (const auto &[name, value] : arguments) {
        if (name == "source" && value.kind == Value::Kind::call) source = value_text(value) + " |> ";
        else (value.kind == Value::Kind::path ? files : others).push_back(name + " = " + value_text(value));
    }
    files.insert(files.end(), others.begin(), others.end());
    return source + reader + "(" + join(files, ", ") + ")";
}

std::string value_text(const Value &value) {
    switch (value.kind) {
        case Value::Kind::number: return number_text(value.number);
        case Value::Kind::boolean: return value.boolean ? "true" : "false";
        case Value::Kind::string:
        case Value::Kind::path: return "\"" + value.text + "\"";
        case Value::Kind::list: {
            std::vector<std::string> texts;
            for (const Value &item : value.list) texts.push_back(value_text(item));
            return "[" + join(texts, ", ") + "]";
        }
        case Value::Kind::call: return call_text(value.text, value.arguments);
    }
    return "";
}

/// A few numbers may have the shape of a picture without being one.
bool is_picture(const Column &column) {
    constexpr int64_t kLeastSide = 8;
    std::optional<Frame> frame = column.classes == 0 ? picture_frame(column) : std::nullopt;
    return frame && frame->height >= kLeastSide && frame->width >= kLeastSide;
}

std::string hyper_text(const Hyper &hyper, double value) {
    if (hyper.kind == HyperKind::boolean) return value != 0 ? "true" : "false";
    return number_text(value);
}

class Reporter {
public:
    Reporter(ProgramState &state, const ReportOptions &options)
        : state_(state),
          metadata_(state.metadata),
          options_(options),
          manifest_(load_checkpoint(options.run, options.checkpoint, state, false)),
          split_(options.split.empty() ? measured_split(metadata_) : options.split),
          data_(options.data.empty() ? manifest_.data : options.data),
          dataset_(open_split(data_, metadata_, split_, state.vocabularies)),
          task_(task_of(metadata_)) {
        require_labels(dataset_, split_);
        for (size_t c = 0; c < metadata_.columns.size() && !picture_; ++c)
            if (is_picture(metadata_.columns[c])) picture_ = c;
    }

    void run() {
        measured_ = measure(state_, dataset_, task_);
        Json json = heading();
        json["curves"] = curves();
        json["settings"] = settings();
        json["hypers"] = hypers();
        json["splits"] = Json::array();
        for (const Split &split : metadata_.splits) json["splits"].push_back({{"name", split.name}, {"call", call_text(split.reader, split.arguments)}});
        json["layers"] = Json::array();
        for (const Layer &layer : metadata_.layers) json["layers"].push_back({{"path", layer.path}, {"output", layer.output}, {"parameters", layer.parameters}});
        if (task_.comparison == Comparison::classes) json["classes"] = classes();
        if (task_.comparison == Comparison::values) json["values"] = values();
        json["worst"] = worst();
        std::string page = report_page(json.dump(-1, ' ', false, Json::error_handler_t::replace));
        replace_file(options_.out, page);
        std::printf("%s: %s records of split %s, %s\n", options_.out.c_str(), grouped(dataset_.records).c_str(), split_.c_str(), bytes_text(double(page.size())).c_str());
    }

private:
    Json heading() const {
        Json json{{"model", metadata_.model}, {"doc", metadata_.doc}, {"run", options_.run}, {"checkpoint", options_.checkpoint}, {"split", split_},
                  {"records", dataset_.records}, {"epoch", manifest_.position.epoch}, {"step", manifest_.position.step}, {"parameters", metadata_.parameters},
                  {"seconds", duration_text(manifest_.seconds)}, {"metrics", Json::array()}};
        for (size_t i = 0; i < measured_.metrics.size(); ++i) json["metrics"].push_back({{"name", metadata_.samples[i]}, {"value", json_of(measured_.metrics[i])}});
        if (manifest_.best) json["best"] = {{"metric", manifest_.best->metric}, {"value", json_of(manifest_.best->value)}, {"epoch", manifest_.best->epoch}};
        return json;
    }

    /// metrics.jsonl as it is, up to a line that a kill cut short, and where its phases begin and end.
    Json curves() const {
        Json json{{"samples", metadata_.samples}, {"rows", Json::array()}, {"phases", Json::array()}};
        const std::string path = options_.run + "/metrics.jsonl";
        if (!exists(path)) return json;
        std::istringstream lines(read_file(path, ExitCode::checkpoint));
        for (std::string line; std::getline(lines, line);) {
            Json row = Json::parse(line, nullptr, false);
            if (row.is_discarded() || !row.is_object() || !row.contains("epoch") || !row.contains("phase")) break;
            Json &phases = json["phases"];
            if (phases.empty() || phases.back()["name"] != row["phase"]) phases.push_back({{"name", row["phase"]}, {"first", row["epoch"]}});
            phases.back()["last"] = row["epoch"];
            json["rows"].push_back(std::move(row));
        }
        return json;
    }

    Json settings() const {
        std::vector<std::string> epochs;
        for (size_t i = 0; i < metadata_.phases.size(); ++i)
            epochs.push_back((metadata_.phases.size() > 1 ? metadata_.phases[i].name + " " : "") + std::to_string(manifest_.epochs.at(i)));
        Json rows = Json::array();
        auto add = [&](const char *name, const std::string &value) { rows.push_back({name, value}); };
        add("model", metadata_.source);
        add("data", manifest_.data);
        add("training records", grouped(manifest_.records));
        add("seed", std::to_string(manifest_.seed));
        add("batch", std::to_string(manifest_.batch));
        add("epochs", join(epochs, ", "));
        add("numbers", metadata_.float_type);
        add("trained by", manifest_.program);
        add("fingerprint", manifest_.fingerprint);
        return rows;
    }

    Json hypers() const {
        Json rows = Json::array();
        for (const Hyper &hyper : metadata_.hypers) {
            auto found = manifest_.hypers.find(hyper.name);
            const double value = found == manifest_.hypers.end() ? hyper.default_value : found->second;
            rows.push_back({{"name", hyper.name}, {"value", hyper_text(hyper, value)}, {"default", hyper_text(hyper, hyper.default_value)}, {"doc", hyper.doc},
                            {"given", value != hyper.default_value}});
        }
        return rows;
    }

    std::string class_text(double row) const { return class_name(state_.vocabularies, metadata_.columns[task_.target], int64_t(row)); }

    Json classes() const {
        const int64_t count = metadata_.columns[task_.target].classes;
        Json json{{"names", Json::array()}, {"pairs", Json::array()}, {"table", Json::array()}};
        std::vector<ClassRow> rows = class_rows(measured_, count);
        for (int64_t k = 0; k < count; ++k) {
            const ClassRow &row = rows[size_t(k)];
            json["names"].push_back(class_text(double(k)));
            json["table"].push_back({{"name", class_text(double(k))}, {"count", row.count}, {"precision", json_of(row.precision())}, {"recall", json_of(row.recall())}, {"f1", json_of(row.f1())}});
        }
        std::map<std::pair<int64_t, int64_t>, int64_t> pairs;
        for (const Measured::Record &record : measured_.records) ++pairs[{int64_t(record.target), int64_t(record.value)}];
        for (const auto &[pair, times] : pairs) json["pairs"].push_back({pair.first, pair.second, times});
        return json;
    }

    Json values() const {
        constexpr size_t kBins = 30, kMostPoints = 1000;
        std::vector<double> residuals;
        for (const Measured::Record &record : measured_.records)
            if (double residual = record.value - record.target; std::isfinite(residual)) residuals.push_back(residual);
        std::sort(residuals.begin(), residuals.end());
        const auto count = double(residuals.size());
        double sum = 0, magnitudes = 0, squares = 0;
        for (double residual : residuals) sum += residual, magnitudes += std::abs(residual), squares += residual * residual;
        const double mean = sum / count;
        Json json{{"target", metadata_.columns[task_.target].name}, {"output", task_.output->name}, {"summary", Json::array()}, {"histogram", Json::array()}, {"points", Json::array()}};
        auto add = [&](const char *name, double value) { json["summary"].push_back({name, json_of(value)}); };
        add("mean", mean);
        add("standard deviation", std::sqrt(std::max(0.0, squares / count - mean * mean)));
        add("mean magnitude", magnitudes / count);
        add("root of the mean square", std::sqrt(squares / count));
        for (auto [name, share] : {std::pair{"least", 0.0}, {"5 % are below", 0.05}, {"25 % are below", 0.25}, {"median", 0.5}, {"75 % are below", 0.75}, {"95 % are below", 0.95}, {"greatest", 1.0}})
            add(name, quantile(residuals, share));
        if (size_t bad = measured_.records.size() - residuals.size(); bad > 0) add("not finite", double(bad));
        if (!residuals.empty()) {
            const double least = residuals.front(), width = residuals.back() > least ? (residuals.back() - least) / double(kBins) : 1;
            std::vector<int64_t> bins(residuals.back() > least ? kBins : 1);
            for (double residual : residuals) ++bins[std::min(bins.size() - 1, size_t((residual - least) / width))];
            for (size_t i = 0; i < bins.size(); ++i) json["histogram"].push_back({{"from", least + width * double(i)}, {"to", least + width * double(i + 1)}, {"count", bins[i]}});
        }
        const size_t shown = std::min(kMostPoints, measured_.records.size());
        for (size_t i = 0; i < shown; ++i) {
            const Measured::Record &record = measured_.records[i * measured_.records.size() / shown];
            json["points"].push_back({json_of(record.target), json_of(record.value)});
        }
        return json;
    }

    /// The records that come first by `badness`; what is no number is worst of all.
    template <typename Chosen, typename Badness>
    Json list(Chosen chosen, Badness badness) {
        std::vector<int64_t> order;
        for (int64_t i = 0; i < int64_t(measured_.records.size()); ++i)
            if (chosen(measured_.records[size_t(i)])) order.push_back(i);
        auto key = [&](int64_t i) {
            double value = badness(measured_.records[size_t(i)]);
            return std::isnan(value) ? HUGE_VAL : value;
        };
        const size_t shown = std::min(order.size(), size_t(options_.worst));
        std::partial_sort(order.begin(), order.begin() + int64_t(shown), order.end(), [&](int64_t a, int64_t b) { return key(a) != key(b) ? key(a) > key(b) : a < b; });
        Json records = Json::array();
        for (size_t i = 0; i < shown; ++i) records.push_back(record(order[i]));
        return records;
    }

    Json worst() {
        Json lists = Json::array();
        auto any = [](const Measured::Record &) { return true; };
        auto wrong = [](const Measured::Record &record) { return record.target != record.value; };
        auto loss = [](const Measured::Record &record) { return record.loss; };
        auto add = [&](const char *title, const char *text, Json records) { lists.push_back({{"title", title}, {"text", text}, {"records", std::move(records)}}); };
        if (task_.comparison == Comparison::classes)
            add("Most confident mistakes", "What each was taken for and with which probability, what it is and the probability for that.",
                list(wrong, [](const Measured::Record &record) { return record.confidence; }));
        if (task_.comparison == Comparison::values)
            add("Worst predictions", "The largest residuals.", list(any, [](const Measured::Record &record) { return std::abs(record.value - record.target); }));
        else if (measured_.has_loss)
            add("Highest loss", "", list(any, loss));
        return lists;
    }

    Json record(int64_t index) {
        constexpr size_t kMostInputs = 8;
        const Measured::Record &record = measured_.records.at(size_t(index));
        const auto &values = reader_.read(dataset_, index);
        std::string name = dataset_.name ? dataset_.name(index) : "record " + std::to_string(index);
        if (const std::string folder = data_ + "/"; name.starts_with(folder)) name.erase(0, folder.size());
        Json json{{"name", name}, {"inputs", Json::array()}};
        for (size_t c = 0; c < metadata_.columns.size(); ++c) {
            const Column &column = metadata_.columns[c];
            if (c == task_.target && task_.comparison != Comparison::none) continue;
            if (json["inputs"].size() + values[c].size() > kMostInputs) continue;
            for (size_t i = 0; i < values[c].size(); ++i)
                json["inputs"].push_back({column.name + (values[c].size() > 1 ? format("[%zu]", i) : ""),
                                          column.classes > 0 ? Json(class_name(state_.vocabularies, column, int64_t(values[c][i]))) : json_of(values[c][i])});
        }
        if (picture_) json["picture"] = thumbnail(values[*picture_]);
        if (measured_.has_loss) json["loss"] = json_of(record.loss);
        if (task_.comparison == Comparison::classes) {
            json["truth"] = class_text(record.target);
            json["prediction"] = class_text(record.value);
            json["confidence"] = json_of(record.confidence);
            json["probability"] = json_of(record.probability);
        } else if (task_.comparison == Comparison::values) {
            json["target"] = json_of(record.target);
            json["value"] = json_of(record.value);
        }
        return json;
    }

    std::string thumbnail(const std::vector<double> &values) const {
        constexpr int64_t kMostPixels = 192;  // on the longer side
        Frame frame = *picture_frame(metadata_.columns[*picture_]);
        const Shades shades(measured_.least[*picture_], measured_.greatest[*picture_]);
        Image image{frame.height, frame.width, frame.channels, {}};
        for (double value : values) image.values.push_back(shades(value));
        if (const int64_t longer = std::max(frame.height, frame.width); longer > kMostPixels) {
            frame.height = std::max<int64_t>(1, frame.height * kMostPixels / longer);
            frame.width = std::max<int64_t>(1, frame.width * kMostPixels / longer);
            image = fit_image(std::move(image), frame);
        }
        return data_address("image/png", encode_png(image));
    }

    ProgramState &state_;
    const Metadata &metadata_;
    const ReportOptions &options_;
    Manifest manifest_;
    std::string split_, data_;
    Dataset dataset_;
    Task task_;
    std::optional<size_t> picture_;  ///< the first input that is one
    Measured measured_;
    RecordReader reader_{metadata_.columns};
};

}  // namespace

void report_command(ProgramState &state, const ReportOptions &options) {
    if (state.metadata.splits.empty()) fail(ExitCode::usage, "%s has no data to report on", state.metadata.source.c_str());
    Reporter(state, options).run();
}

}  // namespace kiln::runtime
