#include "train/label_unlabelled.h"

#include "data/batch_stream.h"
#include "program/output.h"
#include "support/failure.h"
#include "support/text.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numeric>
#include <unordered_map>

namespace kiln::runtime {
namespace {

constexpr double kSumTolerance = 1e-3;  // of probabilities, which are f32
constexpr size_t kShown = 5, kMostNamed = 20;

[[noreturn]] void no_probabilities(const Output &output, const std::string &record, const std::vector<double> &row) {
    double sum = std::accumulate(row.begin(), row.end(), 0.0);
    auto [least, most] = std::minmax_element(row.begin(), row.end());
    fail(ExitCode::data,
         "pseudo-labels need probabilities, and the output `%s` of %s has entries from %s to %s that add up to %s: let `output probabilities = softmax(..)` be the model's first output",
         output.name.c_str(), record.c_str(), short_number(*least).c_str(), short_number(*most).c_str(), short_number(sum).c_str());
}

void check_row(const Output &output, const Dataset &dataset, int64_t record, const std::vector<double> &row) {
    double sum = 0;
    bool sound = true;
    for (double p : row) {
        sound &= p >= 0 && p <= 1 + kSumTolerance;  // also false for NaN
        sum += p;
    }
    if (!sound || !(std::abs(sum - 1) <= kSumTolerance)) no_probabilities(output, record_name(dataset, record), row);
}

/// Runs the inference program over a split. False once `stop` says yes.
bool predict(ProgramState &state, const Dataset &dataset, int64_t batches, const std::function<void(int64_t record, const std::vector<double> &)> &take,
             const std::function<bool()> &stop) {
    const Output &output = predicted_output(state);
    BatchStream stream(dataset, state.metadata.columns, state.metadata.batch, {}, {0, batches});
    int64_t record = 0;
    while (const Batch *batch = stream.next()) {
        state.set_columns(batch->columns, record);
        state.program.predict_step(state.context());
        for (int64_t row = 0; row < batch->valid; ++row, ++record) {
            std::vector<double> entries = output_row(state, output, row);
            check_row(output, dataset, record, entries);
            take(record, entries);
        }
        if (stop()) return false;
    }
    return true;
}

}  // namespace

double threshold(const ProgramState &state, const MixPart &part) { return part.above_hyper.empty() ? part.above : state.get(part.above_hyper, 0); }

void check_not_measured(const Dataset &pseudo, const std::string &pseudo_split, const Dataset &measured, const std::string &measured_split) {
    const bool files = pseudo.fingerprint && measured.fingerprint && pseudo.name && measured.name;
    auto base = [&](const std::string &name) { return files ? name.substr(name.rfind('/') + 1) : name; };
    std::unordered_multimap<std::string, int64_t> records;
    for (int64_t i = 0; i < measured.records; ++i) records.emplace(base(record_name(measured, i)), i);
    std::vector<std::string> shown;
    size_t count = 0;
    for (int64_t i = 0; i < pseudo.records; ++i) {
        auto [first, last] = records.equal_range(base(record_name(pseudo, i)));
        if (first == last) continue;
        auto same = files ? std::find_if(first, last, [&, print = pseudo.fingerprint(i)](const auto &entry) { return measured.fingerprint(entry.second) == print; }) : first;
        if (same == last || ++count > kShown) continue;
        shown.push_back(record_name(pseudo, i));
    }
    if (count > 0)
        fail(ExitCode::data, "%zu of %lld records of split %s, which gets pseudo-labels, are also in split %s, which is measured on:\n  %s%s", count, (long long)pseudo.records,
             pseudo_split.c_str(), measured_split.c_str(), join(shown, "\n  ").c_str(), count > kShown ? format("\n  and %zu more", count - kShown).c_str() : "");
}

std::map<std::string, Dataset> open_unlabelled_sets(const std::string &data_folder, const Metadata &metadata, const Vocabularies &vocabularies) {
    std::map<std::string, Dataset> sets;
    for (const Phase &phase : metadata.phases)
        for (const MixPart &part : phase.mix) {
            if (!part.pseudo || sets.count(part.split)) continue;
            Dataset dataset = open_split(data_folder, metadata, part.split, vocabularies);
            if (dataset.records == 0) fail(ExitCode::data, "split %s has no records to make pseudo-labels for: %s", part.split.c_str(), dataset.description.c_str());
            if (dataset.no_labels.empty())
                fail(ExitCode::data, "split %s has labels, which pseudo-labels would silently replace: train on it as it is, or leave them out by `|> without_labels()`",
                     part.split.c_str());
            sets.emplace(part.split, std::move(dataset));
        }
    if (sets.empty()) return sets;
    for (const char *measured : {"validation", "test"}) {
        if (!metadata.find_split(measured)) continue;
        Dataset other = open_split(data_folder, metadata, measured, vocabularies);
        for (const auto &[name, set] : sets) check_not_measured(set, name, other, measured);
    }
    return sets;
}

void check_probabilities(ProgramState &state, const std::string &split, const Dataset &dataset) {
    if (dataset.records == 0) fail(ExitCode::data, "split %s has no records", split.c_str());
    predict(state, dataset, 1, [](int64_t, const std::vector<double> &) {}, [] { return false; });
}

bool label_unlabelled(ProgramState &state, int64_t phase, bool first, const DatasetsByName &splits, const std::function<bool()> &stop) {
    PseudoLabelSets made{phase, {}};
    const int64_t batch = state.metadata.batch;
    for (const MixPart &part : state.metadata.phases[size_t(phase)].mix) {
        if (!part.pseudo) continue;
        const PseudoLabels *before = !first && state.pseudo_labels.phase == phase ? state.pseudo_labels.find(part.split) : nullptr;
        if (!first && !part.every_epoch) {
            if (!before)
                fail(ExitCode::checkpoint, "the checkpoint stands in phase %s and lacks its pseudo-labels of split %s, which were made when it began",
                     state.metadata.phases[size_t(phase)].name.c_str(), part.split.c_str());
            made.sets.push_back(*before);
            made.sets.back().agreement.reset();
            continue;
        }
        const Dataset &dataset = *splits.at(part.split);
        PseudoLabels labels{part.split, {}, {}, {}, {}};
        auto take = [&](int64_t, const std::vector<double> &row) {
            auto best = std::max_element(row.begin(), row.end());
            labels.classes.push_back(int32_t(best - row.begin()));
            labels.confidence.push_back(float(*best));
            if (part.soft) labels.targets.insert(labels.targets.end(), row.begin(), row.end());
        };
        if (!predict(state, dataset, (dataset.records + batch - 1) / batch, take, stop)) return false;
        if (before && before->classes.size() == labels.classes.size()) {
            int64_t same = 0;
            for (size_t i = 0; i < labels.classes.size(); ++i) same += labels.classes[i] == before->classes[i];
            labels.agreement = double(same) / double(labels.classes.size());
        }
        made.sets.push_back(std::move(labels));
    }
    state.pseudo_labels = std::move(made);
    return true;
}

std::vector<PseudoReport> pseudo_reports(const ProgramState &state, const Phase &phase) {
    std::vector<PseudoReport> reports;
    for (const MixPart &part : phase.mix) {
        const PseudoLabels *labels = part.pseudo ? state.pseudo_labels.find(part.split) : nullptr;
        if (!labels) continue;
        const double above = threshold(state, part);
        const std::vector<int64_t> confident = confident_records(*labels, above);
        const int64_t classes = state.metadata.columns[*state.metadata.pseudo_label].classes;
        reports.push_back({part.split, double(part.rows) / double(state.metadata.batch), part.rows, int64_t(labels->classes.size()), int64_t(confident.size()), above, labels->agreement,
                           class_counts(*labels, confident, classes)});
    }
    return reports;
}

std::string describe(const PseudoReport &r, const ProgramState &state) {
    const Metadata &metadata = state.metadata;
    std::string text = format("pseudo-labels of %s: %lld of %lld in each batch (%s %%), ", r.split.c_str(), (long long)r.rows, (long long)metadata.batch, short_number(100 * r.share).c_str());
    if (r.above > 0) text += format("%s of %s records are sure to %s or more (%s %%)", grouped(r.confident).c_str(), grouped(r.records).c_str(), number_text(r.above).c_str(),
                                    short_number(100 * double(r.confident) / double(r.records)).c_str());
    else text += format("%s records", grouped(r.records).c_str());
    if (r.agreement) text += format(", %s %% of the classes are those of the labels before", short_number(100 * *r.agreement).c_str());
    const Column &label = metadata.columns[*metadata.pseudo_label];
    auto named = [&](size_t c) { return class_name(state.vocabularies, label, int64_t(c)) + " " + grouped(r.classes[c]); };
    std::vector<std::string> parts;
    if (r.classes.size() <= kMostNamed) {
        for (size_t c = 0; c < r.classes.size(); ++c) parts.push_back(named(c));
        return text + "\n  by class: " + join(parts, ", ");
    }
    auto [least, most] = std::minmax_element(r.classes.begin(), r.classes.end());
    return text + format("\n  by class: from %s to %s; %lld of %zu classes have none", named(size_t(least - r.classes.begin())).c_str(), named(size_t(most - r.classes.begin())).c_str(),
                         (long long)std::count(r.classes.begin(), r.classes.end(), 0), r.classes.size());
}

void check_confident(const PseudoReport &r, const PseudoLabels &labels, int64_t batches) {
    if (r.confident == 0)
        fail(ExitCode::data, "no pseudo-label of split %s is sure to %s: of %lld records the surest has %s; train longer before this phase, or lower `above`", r.split.c_str(),
             number_text(r.above).c_str(), (long long)r.records, short_number(double(*std::max_element(labels.confidence.begin(), labels.confidence.end()))).c_str());
    if (const int64_t drawn = r.rows * batches; r.confident < drawn)
        std::fprintf(stderr, "warning: an epoch draws %lld pseudo-labels of split %s, and %lld are there to draw: each comes %s times on average\n", (long long)drawn, r.split.c_str(),
                     (long long)r.confident, short_number(double(drawn) / double(r.confident)).c_str());
}

}  // namespace kiln::runtime
