// recommend --user 17: every value of the one vocabulary input that is not given, by the first output, largest first. similar --movie M:
// the values whose rows of a table of factors point the same way.
#include "checkpoint/checkpoint.h"
#include "commands/commands.h"
#include "commands/given_records.h"
#include "commands/prediction.h"
#include "support/failure.h"
#include "support/text.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <numeric>

namespace kiln::runtime {
namespace {

struct Ranked {
    int64_t row = 0;
    double score = 0;
};

void print_ranking(std::vector<Ranked> ranking, int64_t top, const Vocabulary &vocabulary, const std::string &input, const std::string &score) {
    // Equal scores stand in the order of the vocabulary.
    std::stable_sort(ranking.begin(), ranking.end(), [](const Ranked &a, const Ranked &b) { return a.score > b.score; });
    ranking.resize(std::min(ranking.size(), size_t(top)));
    std::vector<std::vector<std::string>> rows{{"", input, "name", score}};
    bool named = !vocabulary.names().empty();
    for (size_t i = 0; i < ranking.size(); ++i)
        rows.push_back({std::to_string(i + 1), vocabulary.values()[size_t(ranking[i].row)], vocabulary.name(ranking[i].row), format("%.4f", ranking[i].score)});
    if (!named)
        for (auto &row : rows) row.erase(row.begin() + 2);
    std::printf("%s", table(rows, {0, named ? size_t(3) : size_t(2)}).c_str());
}

/// The input whose values are ranked: a vocabulary's, neither given nor found in a table.
size_t ranked_input(const ProgramState &state, const GivenRecords &records, const GivenRecords::Values &given) {
    const std::vector<Column> &columns = state.metadata.columns;
    std::vector<std::string> open;
    size_t found = 0;
    for (size_t c = 0; c < columns.size(); ++c) {
        if (!columns[c].predicts || !columns[c].is_one_class() || !state.vocabularies.contains(columns[c].name) || given.contains(columns[c].name) || records.comes_from_table(c)) continue;
        open.push_back(input_flag(columns[c]));
        found = c;
    }
    for (const Column &column : columns)
        if (open.empty() && has_flag(column) && !column.is_one_class() && state.vocabularies.contains(column.name) && !given.contains(column.name))
            fail(ExitCode::usage, "%s is missing: it is a text, and has no values that could be ranked", input_flag(column).c_str());
    if (open.empty()) fail(ExitCode::usage, "every input is given: `predict` gives the output for them");
    if (open.size() > 1) fail(ExitCode::usage, "recommend ranks the values of one input: give all of %s but one", join(open, ", ").c_str());
    return found;
}

/// By row of the ranked input: whether a record of the split train has it together with what is given.
std::vector<bool> seen_in_training(const ProgramState &state, const std::string &data_folder, const GivenRecords::Values &given, size_t ranked) {
    const std::vector<Column> &columns = state.metadata.columns;
    Dataset train = open_split(data_folder, state.metadata, "train", state.vocabularies);
    std::vector<std::vector<uint8_t>> scratch;
    std::vector<uint8_t *> rows;
    for (const Column &column : columns) rows.push_back(scratch.emplace_back(size_t(column.bytes())).data());
    auto row_of = [&](size_t c) {
        int32_t row = 0;
        std::memcpy(&row, rows[c], sizeof row);
        return int64_t(row);
    };
    std::vector<std::pair<size_t, int64_t>> fixed;
    for (size_t c = 0; c < columns.size(); ++c)
        if (auto value = given.find(columns[c].name); value != given.end() && columns[c].is_one_class() && state.vocabularies.contains(columns[c].name))
            fixed.emplace_back(c, state.vocabularies.at(columns[c].name).row(value->second));
    std::vector<bool> seen(size_t(columns[ranked].classes), false);
    for (int64_t record = 0; record < train.records; ++record) {
        train.read(record, rows.data());
        bool same = std::all_of(fixed.begin(), fixed.end(), [&](const auto &each) { return row_of(each.first) == each.second; });
        if (same) seen[size_t(row_of(ranked))] = true;
    }
    return seen;
}

}  // namespace

void recommend_command(ProgramState &state, const RecommendOptions &options) {
    const Metadata &metadata = state.metadata;
    const Output &output = predicted_output(state);
    if (element_count(output.shape) != metadata.batch)
        fail(ExitCode::usage, "recommend ranks by output %s, which should be one number a record and is %s", output.name.c_str(),
             type_text(output.dtype, output.shape).c_str());
    Manifest manifest = load_checkpoint(options.run, options.checkpoint, state, false);
    const std::string data = options.data.empty() ? manifest.data : options.data;
    GivenRecords records(state, data);
    GivenRecords::Values given = records.resolved(options.given);
    if (given.empty()) fail(ExitCode::usage, "for whom? Give one of the inputs, as `predict --help` lists them");
    const size_t ranked = ranked_input(state, records, given);
    const std::string &input = metadata.columns[ranked].name;
    const Vocabulary &vocabulary = state.vocabularies.at(input);
    std::vector<bool> seen(size_t(metadata.columns[ranked].classes), false);
    if (!options.all) seen = seen_in_training(state, data, given, ranked);
    std::vector<Ranked> ranking;
    for (int64_t row = 0; row < int64_t(vocabulary.values().size()); ++row)
        if (!seen[size_t(row)]) ranking.push_back({row, 0});
    for (size_t first = 0; first < ranking.size(); first += size_t(metadata.batch)) {
        const size_t count = std::min(size_t(metadata.batch), ranking.size() - first);
        for (size_t i = 0; i < size_t(metadata.batch); ++i) {
            GivenRecords::Values values = given;
            values[input] = vocabulary.values()[size_t(ranking[first + (i < count ? i : 0)].row)];
            records.fill(values, int64_t(i));
        }
        records.predict();
        for (size_t i = 0; i < count; ++i) ranking[first + i].score = output_row(state, output, int64_t(i)).front();
    }
    std::printf("for %s:\n", describe(given, state).c_str());
    print_ranking(std::move(ranking), options.top, vocabulary, input, output.name);
}

void similar_command(ProgramState &state, const RecommendOptions &options) {
    const Metadata &metadata = state.metadata;
    load_checkpoint(options.run, options.checkpoint, state, false);
    if (options.given.size() != 1) fail(ExitCode::usage, "similar to what? Give one value of one input, such as --movie NAME");
    const auto &[input, text] = *options.given.begin();
    auto found = state.vocabularies.find(input);
    if (found == state.vocabularies.end()) fail(ExitCode::usage, "--%s has no vocabulary", input.c_str());
    const Vocabulary &vocabulary = found->second;
    const int64_t row = vocabulary.find(text, "--" + input);

    const Storage *table = nullptr;
    std::vector<std::string> paths;
    for (const Embedding &embedding : metadata.embeddings) {
        if (embedding.input != input) continue;
        const Storage &storage = metadata.storages[embedding.storage];
        paths.push_back(storage.path);
        bool wider = !table || element_count(storage.shape) > element_count(table->shape);
        if (options.embedding.empty() ? wider : options.embedding == storage.path) table = &storage;
    }
    if (!table) fail(ExitCode::usage, "%s has no table of factors %sfor `%s`; it has: %s", metadata.model.c_str(), options.embedding.empty() ? "" : (options.embedding + " ").c_str(),
                     input.c_str(), paths.empty() ? "none" : join(paths, ", ").c_str());
    const int64_t rows = table->shape[0], width = element_count(table->shape) / rows;
    std::vector<double> factors(size_t(rows * width));
    convert_elements(table->dtype, state.storage(*table), DType::f64, reinterpret_cast<uint8_t *>(factors.data()), rows * width);
    auto product = [&](int64_t a, int64_t b) {
        return std::inner_product(factors.begin() + a * width, factors.begin() + (a + 1) * width, factors.begin() + b * width, 0.0);
    };
    std::vector<Ranked> ranking;
    for (int64_t other = 0; other < int64_t(vocabulary.values().size()); ++other) {
        double length = std::sqrt(product(row, row) * product(other, other));
        if (other != row && !vocabulary.values()[size_t(other)].empty()) ranking.push_back({other, length > 0 ? product(row, other) / length : 0});
    }
    std::printf("like %s %s, by %s:\n", input.c_str(), vocabulary.name(row).c_str(), table->path.c_str());
    print_ranking(std::move(ranking), options.top, vocabulary, input, "cosine");
}

}  // namespace kiln::runtime
