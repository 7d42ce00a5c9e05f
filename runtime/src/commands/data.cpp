// data: what the splits hold, in numbers and as contact sheets.
#include "commands/commands.h"
#include "commands/record_reader.h"
#include "data/batch_stream.h"
#include "data/dataset.h"
#include "data/picture_set.h"
#include "data/shuffle.h"
#include "image/contact_sheet.h"
#include "support/failure.h"
#include "support/file.h"
#include "support/text.h"
#include "train/augmenter.h"
#include "train/mixture.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>

namespace kiln::runtime {
namespace {

/// Sums over the records of an input that is no label. The last extent of a picture is its channels; other inputs are taken as a
/// whole.
struct Statistics {
    int64_t channels = 1;
    std::vector<double> sums, squares;
    double count = 0;  ///< values of a channel
    double least = std::numeric_limits<double>::infinity(), greatest = -least;

    explicit Statistics(const Column &column)
        : channels(column.shape.size() == 3 && column.shape[2] <= 4 ? column.shape[2] : 1),
          sums(size_t(channels)),
          squares(size_t(channels)) {}

    void add(const std::vector<double> &values) {
        for (size_t i = 0; i < values.size(); ++i) {
            size_t channel = i % size_t(channels);
            sums[channel] += values[i];
            squares[channel] += values[i] * values[i];
            least = std::min(least, values[i]);
            greatest = std::max(greatest, values[i]);
        }
        count += double(values.size()) / double(channels);
    }
    std::string means() const {
        std::vector<std::string> texts;
        for (double sum : sums) texts.push_back(short_number(sum / count));
        return join(texts, ", ");
    }
    std::string deviations() const {
        std::vector<std::string> texts;
        for (size_t c = 0; c < sums.size(); ++c) {
            double mean = sums[c] / count;
            texts.push_back(short_number(std::sqrt(std::max(0.0, squares[c] / count - mean * mean))));
        }
        return join(texts, ", ");
    }
};

struct SplitReport {
    std::string name;
    Dataset dataset;
    std::vector<Statistics> statistics;         ///< by column
    std::vector<std::vector<int64_t>> counts;   ///< by column: records of each class
    std::vector<std::vector<int64_t>> classes;  ///< by column: the class of each record

    /// Whether the records have values of an input. What labels they do not have no output depends on.
    bool has(const std::vector<Column> &columns, size_t c) const {
        const bool is_label = columns[c].is_one_class() && !columns[c].predicts;
        return dataset.gives(c) && !(is_label && !dataset.no_labels.empty());
    }
};

SplitReport examine(const std::string &name, Dataset dataset, const std::vector<Column> &columns) {
    SplitReport report{name, std::move(dataset), {}, {}, {}};
    for (const Column &column : columns) {
        report.statistics.emplace_back(column);
        report.counts.emplace_back(size_t(std::max<int64_t>(column.classes, 0)));
        report.classes.emplace_back();
    }
    RecordReader reader(columns);
    for (int64_t record = 0; record < report.dataset.records; ++record) {
        const auto &values = reader.read(report.dataset, record);
        for (size_t c = 0; c < columns.size(); ++c) {
            if (!report.has(columns, c)) continue;
            if (columns[c].classes == 0) {
                report.statistics[c].add(values[c]);
            } else {
                for (double value : values[c]) report.counts[c][size_t(value)] += 1;
                if (columns[c].is_one_class()) report.classes[c].push_back(int64_t(values[c][0]));
            }
        }
    }
    return report;
}

void print_numbers(const std::vector<SplitReport> &reports, const std::vector<Column> &columns) {
    std::vector<std::vector<std::string>> rows{{"split", "records", "input", "type", "mean", "deviation", "least", "greatest"}};
    for (const SplitReport &report : reports)
        for (size_t c = 0; c < columns.size(); ++c) {
            const Column &column = columns[c];
            std::vector<std::string> row{c == 0 ? report.name : "", c == 0 ? grouped(report.dataset.records) : "", column.name};
            row.push_back(type_text(column));
            if (!report.has(columns, c)) {
                row.push_back("none");
            } else if (column.classes == 0) {
                const Statistics &s = report.statistics[c];
                for (std::string text : {s.means(), s.deviations(), short_number(s.least), short_number(s.greatest)}) row.push_back(std::move(text));
            }
            row.resize(rows[0].size());
            rows.push_back(std::move(row));
        }
    std::printf("%s", table(rows, {1, 6, 7}).c_str());
}

// A line for each class, a column for each split; of many classes those with the fewest and the most records of the first split.
void print_classes(const std::vector<SplitReport> &reports, const std::vector<Column> &columns, size_t c,
                   const Vocabularies &vocabularies) {
    constexpr size_t kMostLines = 40;
    std::vector<std::vector<std::string>> rows{{columns[c].name}};
    std::vector<size_t> right;
    for (const SplitReport &report : reports) {
        if (!report.has(columns, c)) continue;
        rows[0].push_back(report.name);
        right.push_back(right.size() + 1);
    }
    if (right.empty()) return;
    auto classes = size_t(columns[c].classes);
    for (size_t k = 0; k < std::min(classes, kMostLines); ++k) {
        rows.push_back({class_name(vocabularies, columns[c], int64_t(k))});
        for (const SplitReport &report : reports)
            if (report.has(columns, c)) rows.back().push_back(grouped(report.counts[c][k]));
    }
    if (classes > kMostLines) rows.push_back({format(".. %zu more", classes - kMostLines)});
    std::printf("\n%s", table(rows, right).c_str());
}

/// The records a sheet shows: `across` of each class, evenly over the split, a row a class; or of all, in rows.
std::vector<std::vector<int64_t>> sheet_rows(const SplitReport &report, const Column *label, size_t label_column, size_t across) {
    constexpr size_t kMostRows = 40;
    std::vector<std::vector<int64_t>> groups;
    if (label && !report.classes[label_column].empty()) {
        groups.resize(std::min(size_t(label->classes), kMostRows));
        for (size_t i = 0; i < report.classes[label_column].size(); ++i)
            if (auto k = size_t(report.classes[label_column][i]); k < groups.size()) groups[k].push_back(int64_t(i));
        for (auto &group : groups) {
            std::vector<int64_t> some;
            for (size_t i = 0; i < std::min(across, group.size()); ++i)
                some.push_back(group[i * group.size() / std::min(across, group.size())]);
            group = std::move(some);
        }
        return groups;
    }
    constexpr size_t kRows = 10;
    auto records = size_t(report.dataset.records), shown = std::min(kRows * across, records);
    for (size_t i = 0; i < shown; ++i) {
        if (i % across == 0) groups.emplace_back();
        groups.back().push_back(int64_t(i * records / shown));
    }
    return groups;
}

/// A PNG file of training pictures, a row for each: the picture, then what the augmentation of a phase makes of it in one epoch
/// after the other.
std::string augmented_sheet(ProgramState &state, const DataOptions &options, const SplitReport &training, size_t picture,
                            size_t phase) {
    constexpr size_t kMostRows = 10;
    const Metadata &metadata = state.metadata;
    Augmenter augmenter(state, int64_t(phase));
    if (training.dataset.records < metadata.batch)
        fail(ExitCode::data, "a batch of %lld is larger than the training data: %s has %lld records", (long long)metadata.batch,
             training.dataset.description.c_str(), (long long)training.dataset.records);
    Phase labelled = labelled_only(metadata.phases[phase], metadata.batch);
    labelled.split = "train";
    for (MixPart &part : labelled.mix) part.split = "train";
    const Mixture mixture(state, labelled, {{"train", &training.dataset}});
    BatchStream stream(mixture.dataset(), mixture.columns(), metadata.batch, shuffled_order(training.dataset.records, options.seed, 0), {0, 1});
    const Batch &batch = *stream.next();
    std::vector<Memory> memory;
    std::vector<void *> made(metadata.columns.size());
    for (size_t column : augmenter.columns()) {
        memory.emplace_back(size_t(augmenter.bytes(column)));
        made[column] = memory.back().data();
    }
    size_t rows = std::min(kMostRows, size_t(metadata.batch)), across = std::max<size_t>(2, size_t(options.across));
    const Statistics &range = training.statistics[picture];
    const Column &column = metadata.columns[picture];
    ContactSheet sheet(*picture_frame(column), rows, across, range.least, range.greatest);
    auto put = [&](size_t place, DType dtype, const void *values) {
        std::vector<double> pixels(size_t(column.elements()));
        for (size_t row = 0; row < rows; ++row) {
            auto *from = static_cast<const uint8_t *>(values) + int64_t(row) * column.elements() * size_of(dtype);
            convert_elements(dtype, from, DType::f64, reinterpret_cast<uint8_t *>(pixels.data()), column.elements());
            sheet.put(row, place, pixels);
        }
    };
    put(0, column.dtype, batch.columns[picture]);
    int64_t steps = std::max<int64_t>(1, training.dataset.records / metadata.batch);
    for (size_t epoch = 0; epoch + 1 < across; ++epoch) {
        int64_t done = int64_t(epoch) * steps;
        augmenter.run({int64_t(options.seed), done + 1, int64_t(epoch), int64_t(phase), steps, done,
                       std::max(metadata.phases[phase].epochs * steps, done + 1)},
                      batch.columns, made);
        put(epoch + 1, metadata.augmented[picture]->dtype, made[picture]);
    }
    return encode_png(sheet.image());
}

}  // namespace

void data_command(ProgramState &state, const DataOptions &options) {
    const Metadata &metadata = state.metadata;
    const std::vector<Column> &columns = metadata.columns;
    state.set_hypers(options.hypers);
    if (!options.split.empty()) split_named(metadata, options.split);  // throws if there is none
    std::vector<SplitReport> reports;
    Dataset training = open_training_split(options.data, metadata, state.vocabularies);
    for (const Split &split : metadata.splits) {
        if (!options.split.empty() && split.name != options.split) continue;
        // A split that nothing trains on or measures is there for predictions.
        const bool measured = split.name == "validation" || split.name == "test" ||
                              std::any_of(metadata.phases.begin(), metadata.phases.end(), [&](const Phase &phase) { return phase.split == split.name; });
        Dataset dataset = split.name == "train" ? training
                          : measured            ? open_split(options.data, metadata, split.name, state.vocabularies)
                                                : open_split_to_predict(options.data, metadata, split.name, state.vocabularies);
        reports.push_back(examine(split.name, std::move(dataset), columns));
    }
    print_numbers(reports, columns);
    const Column *picture = nullptr, *label = nullptr;
    size_t picture_column = 0, label_column = 0;
    for (size_t c = 0; c < columns.size(); ++c) {
        if (columns[c].classes > 0) {
            print_classes(reports, columns, c, state.vocabularies);
            if (columns[c].is_one_class() && !label) label = &columns[c], label_column = c;
        } else if (!picture && picture_frame(columns[c])) {
            picture = &columns[c], picture_column = c;
        }
    }
    if (!picture && options.augmented) fail(ExitCode::usage, "%s takes no pictures to show", metadata.model.c_str());
    if (!picture) return;
    make_folders(options.sheets);
    RecordReader reader(columns);
    std::printf("\n");
    for (const SplitReport &report : reports) {
        auto rows = sheet_rows(report, label, label_column, size_t(options.across));
        const Statistics &range = report.statistics[picture_column];
        ContactSheet sheet(*picture_frame(*picture), rows.size(), size_t(options.across), range.least, range.greatest);
        for (size_t y = 0; y < rows.size(); ++y)
            for (size_t x = 0; x < rows[y].size(); ++x) sheet.put(y, x, reader.read(report.dataset, rows[y][x])[picture_column]);
        std::string path = options.sheets + "/" + report.name + ".png";
        replace_file(path, encode_png(sheet.image()));
        std::printf("%s: %zu rows%s\n", path.c_str(), rows.size(),
                    label && !report.classes[label_column].empty() ? ", one for each class in this order" : "");
    }
    if (!options.augmented) return;
    auto training_report =
        std::find_if(reports.begin(), reports.end(), [](const SplitReport &report) { return report.name == "train"; });
    if (training_report == reports.end())
        fail(ExitCode::usage, "--augmented shows pictures of the split train, which --split leaves out");
    std::vector<std::string> sheets;  // phases that augment alike have one
    for (size_t phase = 0; phase < metadata.phases.size(); ++phase) {
        const auto &augmented = metadata.phases[phase].augmented;
        if (!state.program.augment || std::find(augmented.begin(), augmented.end(), picture_column) == augmented.end()) continue;
        std::string sheet = augmented_sheet(state, options, *training_report, picture_column, phase);
        if (std::find(sheets.begin(), sheets.end(), sheet) != sheets.end()) continue;
        std::string path =
            options.sheets + "/train-augmented" + (sheets.empty() ? "" : "-" + metadata.phases[phase].name) + ".png";
        replace_file(path, sheet);
        std::printf("%s: each row a picture, then augmentations of it\n", path.c_str());
        sheets.push_back(std::move(sheet));
    }
    if (sheets.empty()) fail(ExitCode::usage, "%s augments no pictures", metadata.source.c_str());
}

}  // namespace kiln::runtime
