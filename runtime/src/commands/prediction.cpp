#include "commands/prediction.h"

#include "checkpoint/checkpoint.h"
#include "data/batch_stream.h"
#include "support/failure.h"
#include "support/file.h"
#include "support/text.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace kiln::runtime {

/// Entries of a row that a line shows.
constexpr size_t kShown = 8;
/// How far rounding takes a probability out of 0 to 1.
constexpr double kProbabilityTolerance = 1e-3;

Entries entries_of(const ProgramState &state, const Output &output) {
    const int64_t width = element_count(output.shape) / output.shape[0];
    std::vector<const Column *> labels;
    for (const Column &column : state.metadata.columns)
        if (column.classes == width && output.shape.back() == width && !column.predicts) labels.push_back(&column);
    const auto found = labels.size() == 1 ? state.vocabularies.find(labels[0]->name) : state.vocabularies.end();
    return {!labels.empty(), found == state.vocabularies.end() ? nullptr : &found->second};
}

std::string describe_row(const Output &output, const Entries &meaning, const std::vector<double> &entries) {
    if (entries.size() == 1 || !meaning.are_classes) {
        std::string text = output.name;
        for (size_t i = 0; i < std::min(entries.size(), kShown); ++i) text += " " + short_number(entries[i]);
        return entries.size() > kShown ? text + format(" .. (%zu numbers)", entries.size()) : text;
    }
    auto best = std::max_element(entries.begin(), entries.end());
    bool probabilities = output.name.find("probab") != std::string::npos;
    int64_t number = best - entries.begin();
    std::string name = meaning.names && number < meaning.names->rows() ? meaning.names->name(number) : std::to_string(number);
    return format("class %s, %s %.4f", name.c_str(), probabilities ? "probability" : output.name.c_str(), *best);
}

PredictionTable::PredictionTable(const Output &output, const Vocabulary *names, double clip)
    : output_(output.name), clip_(clip), digits_(output.dtype == DType::f64 ? 17 : 7) {
    int64_t width = element_count(output.shape) / output.shape[0];
    if (clip > 0 && width < 2)
        fail(ExitCode::usage, "--clip is for probabilities of classes; `%s` is one value a sample", output.name.c_str());
    text_ = "img";
    for (int64_t i = 0; i < width; ++i)
        text_ += "," + csv_field(width == 1 ? output.name : names && i < names->rows() ? names->name(i) : std::to_string(i));
    text_ += "\n";
}

void PredictionTable::add(const std::string &name, std::vector<double> entries) {
    text_ += csv_field(name);
    for (double entry : entries) {
        if (clip_ > 0 && (entry < -kProbabilityTolerance || entry > 1 + kProbabilityTolerance))
            fail(ExitCode::usage, "--clip is for probabilities of classes; `%s` of %s has the entry %s: leave --clip out, or name another output by --output", output_.c_str(), name.c_str(),
                 short_number(entry).c_str());
        if (clip_ > 0) entry = std::clamp(entry, clip_ / double(entries.size() - 1), 1 - clip_);
        text_ += std::isnan(entry) ? ",nan" : format(",%.*g", digits_, entry);
    }
    text_ += "\n";
}

void PredictionTable::write(const std::string &path) const { replace_file(path, text_); }

void predict_split(ProgramState &state, const PredictOptions &options) {
    const Metadata &metadata = state.metadata;
    const Output &output = predicted_output(state, options.output);
    Manifest manifest = load_checkpoint(options.run, options.checkpoint, state, false);
    Dataset dataset =
        open_split_to_predict(options.data.empty() ? manifest.data : options.data, metadata, options.split, state.vocabularies);
    const Entries meaning = entries_of(state, output);
    std::optional<PredictionTable> csv;
    if (!options.csv.empty()) csv.emplace(output, meaning.names, options.clip);
    int64_t batch = metadata.batch, record = 0;
    BatchStream stream(dataset, metadata.columns, batch, {}, {0, (dataset.records + batch - 1) / batch});
    while (const Batch *next = stream.next()) {
        state.set_columns(next->columns, record);
        state.program.predict_step(state.context());
        for (int64_t row = 0; row < next->valid; ++row, ++record) {
            std::string name = dataset.name ? dataset.name(record) : std::to_string(record);
            std::vector<double> entries = output_row(state, output, row);
            if (csv)
                csv->add(name, std::move(entries));
            else
                std::printf("%s: %s\n", name.c_str(), describe_row(output, meaning, entries).c_str());
        }
    }
    if (!csv) return;
    csv->write(options.csv);
    std::printf("%s: %s records of split %s\n", options.csv.c_str(), grouped(record).c_str(), options.split.c_str());
}

}  // namespace kiln::runtime
