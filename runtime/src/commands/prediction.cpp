#include "commands/prediction.h"

#include "checkpoint/checkpoint.h"
#include "data/batch_stream.h"
#include "support/failure.h"
#include "support/file.h"
#include "support/text.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numeric>

namespace kiln::runtime {

/// Entries of a row that a line shows; of probabilities the largest; of rows of classes.
constexpr size_t kShown = 8, kMostProbable = 5, kMostClasses = 256;
/// Smaller probabilities are 0 where they are shown.
constexpr double kLeastShown = 5e-5;
/// How far rounding takes a probability out of 0 to 1, or a sum of them from 1.
constexpr double kProbabilityTolerance = 1e-3;

namespace {

bool is_integer(DType dtype) { return dtype == DType::i32 || dtype == DType::i64; }

/// The input whose classes an output is about: a row of classes, or one that no output depends on; of rows of integers the one that is such a row itself.
const Column *classes_of(const Metadata &metadata, const Output &output) {
    std::vector<const Column *> found;
    for (const Column &column : metadata.columns) {
        const bool is_row = column.classes > 0 && column.shape.size() == 1;
        const bool can_be_told = is_row || (column.classes > 0 && !column.predicts);
        if (is_integer(output.dtype) ? is_row && output.shape.size() == 2 : can_be_told && output.shape.size() > 1 && column.classes == output.shape.back()) found.push_back(&column);
    }
    return found.size() == 1 ? found[0] : nullptr;
}

/// Whether each so many entries are probabilities that add up to 1.
bool are_distributions(const std::vector<double> &entries, size_t classes) {
    for (size_t row = 0; row < entries.size(); row += classes) {
        double sum = 0;
        for (size_t i = row; i < row + classes; ++i) {
            if (!(entries[i] >= 0)) return false;
            sum += entries[i];
        }
        if (!(std::abs(sum - 1) <= kProbabilityTolerance)) return false;
    }
    return true;
}

std::string describe_classes(const Elements &elements, std::vector<int64_t> classes) {
    const size_t count = classes.size();
    classes.resize(std::min(count, kMostClasses));
    return elements.describe(classes) + (count > kMostClasses ? format(" .. (%zu %s)", count, elements.plural()) : "");
}

std::string describe_most_probable(const Elements &elements, const std::vector<double> &probabilities) {
    std::vector<size_t> order(probabilities.size());
    std::iota(order.begin(), order.end(), size_t(0));
    const size_t shown = std::min(order.size(), kMostProbable);
    std::partial_sort(order.begin(), order.begin() + long(shown), order.end(), [&](size_t a, size_t b) {
        return probabilities[a] != probabilities[b] ? probabilities[a] > probabilities[b] : a < b;
    });
    std::vector<std::string> parts;
    for (size_t i = 0; i < shown && (i == 0 || probabilities[order[i]] >= kLeastShown); ++i) parts.push_back(elements.name(int64_t(order[i])) + format(" %.4f", probabilities[order[i]]));
    return join(parts, ", ");
}

}  // namespace

Entries entries_of(const ProgramState &state, const Output &output) {
    const int64_t width = element_count(output.shape) / output.shape[0];
    std::vector<const Column *> labels;
    for (const Column &column : state.metadata.columns)
        if (column.classes == width && output.shape.back() == width && !column.predicts) labels.push_back(&column);
    const auto found = labels.size() == 1 ? state.vocabularies.find(labels[0]->name) : state.vocabularies.end();
    Entries entries{!labels.empty(), found == state.vocabularies.end() ? nullptr : &found->second};
    if (const Column *column = classes_of(state.metadata, output)) entries.classes.emplace(state, *column);
    return entries;
}

std::string describe_row(const Output &output, const Entries &meaning, const std::vector<double> &entries) {
    if (entries.size() == 1 || !meaning.are_classes) {
        const size_t classes = size_t(output.shape.back());
        if (meaning.classes && is_integer(output.dtype) && meaning.classes->has(entries))
            return output.name + " " + describe_classes(*meaning.classes, {entries.begin(), entries.end()});
        if (meaning.classes && !is_integer(output.dtype) && classes > 1 && are_distributions(entries, classes)) {
            if (entries.size() == classes) return output.name + " " + describe_most_probable(*meaning.classes, entries);
            std::vector<int64_t> best;
            for (auto row = entries.begin(); row != entries.end(); row += long(classes)) best.push_back(std::max_element(row, row + long(classes)) - row);
            return output.name + " " + describe_classes(*meaning.classes, best);
        }
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
