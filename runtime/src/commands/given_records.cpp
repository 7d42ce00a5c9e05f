#include "commands/given_records.h"

#include "support/failure.h"
#include "support/text.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>

namespace kiln::runtime {
namespace {

// Flags of the commands that take inputs, which an input of the same name must not hide.
constexpr const char *kFlags[] = {"data", "run", "checkpoint", "split", "output", "csv", "clip", "index", "art", "invert", "threads", "help", "top", "all", "embedding"};

void store_number(const Column &column, const std::string &text, uint8_t *to) {
    double value = 0;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value))
        fail(ExitCode::usage, "%s: `%s` is not a number", input_flag(column).c_str(), text.c_str());
    bool whole = column.dtype == DType::f32 || column.dtype == DType::f64 || value == std::floor(value);
    bool is_class = column.classes == 0 || (value >= 0 && value < double(column.classes));
    if (!whole || !is_class)
        fail(ExitCode::usage, "%s: `%s` should be a whole number%s", input_flag(column).c_str(), text.c_str(),
             column.classes ? format(" from 0 to %lld", (long long)column.classes - 1).c_str() : "");
    convert_elements(DType::f64, reinterpret_cast<const uint8_t *>(&value), column.dtype, to, 1);
}

/// A value or a name of a vocabulary, or words of it.
void store_text(const Column &column, const Vocabulary &vocabulary, const std::string &text, uint8_t *to) {
    const std::string flag = input_flag(column);
    std::vector<int32_t> rows = rows_of(vocabulary, column, text);
    if (column.is_one_class()) rows[0] = int32_t(vocabulary.find(text, flag));
    const std::vector<std::string_view> words = words_of(text);
    for (size_t i = 0; i < rows.size(); ++i)
        if (rows[i] < 0) rows[i] = int32_t(vocabulary.find(std::string(words[i]), flag));
    std::memcpy(to, rows.data(), size_t(column.bytes()));
}

}  // namespace

bool has_flag(const Column &column) { return column.predicts && column.fields() == 1; }

std::string input_flag(const Column &column) {
    std::string name = column.name;
    std::replace(name.begin(), name.end(), '_', '-');
    bool taken = std::find(std::begin(kFlags), std::end(kFlags), name) != std::end(kFlags);
    return (taken ? "--input-" : "--") + name;
}

GivenRecords::GivenRecords(ProgramState &state, const std::string &data_folder) : state_(state) {
    const Metadata &metadata = state.metadata;
    std::vector<const void *> columns;
    for (const Column &column : metadata.columns) {
        memory_.emplace_back(size_t(metadata.batch * column.bytes()));
        columns.push_back(memory_.back().data());
        scratch_.emplace_back(size_t(column.bytes()));
    }
    state.set_columns(columns);
    if (const Split *train = metadata.find_split("train")) add_tables(data_folder, *train);
}

void GivenRecords::add_tables(const std::string &data_folder, const Split &call) {
    if (call.reader == "join") {
        std::string on;
        for (const auto &[name, value] : call.arguments)
            if (name == "on") on = value.text;
        tables_.push_back({on, std::make_unique<JoinTable>(ReaderRequest{data_folder, call, state_.metadata.columns})});
    }
    for (const auto &[name, value] : call.arguments)
        if (name == "source" && value.kind == Value::Kind::call) add_tables(data_folder, {call.name, value.text, value.arguments});
}

bool GivenRecords::comes_from_table(size_t c) const {
    return std::any_of(tables_.begin(), tables_.end(), [&](const Table &t) { return t.table->data().fills.empty() || t.table->data().fills[c]; });
}

GivenRecords::Values GivenRecords::resolved(Values given) const {
    for (const Column &column : state_.metadata.columns) {
        auto value = given.find(column.name);
        auto vocabulary = state_.vocabularies.find(column.name);
        if (value == given.end() || vocabulary == state_.vocabularies.end()) continue;
        if (!column.is_one_class()) {
            if (const size_t words = words_of(value->second).size(); words > size_t(column.elements()))
                std::fprintf(stderr, "note: %s has %zu words: the first %lld are read\n", input_flag(column).c_str(), words, (long long)column.elements());
            continue;
        }
        int64_t row = vocabulary->second.find(value->second, input_flag(column));
        if (row < int64_t(vocabulary->second.values().size())) value->second = vocabulary->second.values()[size_t(row)];
    }
    return given;
}

void GivenRecords::fill_from_tables(const Values &given, size_t c, uint8_t *row) {
    const Column &column = state_.metadata.columns[c];
    for (const Table &t : tables_) {
        const Dataset &data = t.table->data();
        auto key = given.find(t.on);
        if (key == given.end() || !(data.fills.empty() || data.fills[c])) continue;
        int64_t record = t.table->find(key->second);
        if (record < 0)
            fail(ExitCode::data, "%s does not have the `%s` `%s`, which gives `%s`", data.description.c_str(), t.on.c_str(), key->second.c_str(), column.name.c_str());
        auto text = std::find_if(data.texts.begin(), data.texts.end(), [&](const TextColumn &each) { return each.name == column.name; });
        if (text != data.texts.end()) {
            const std::string &value = text->values[size_t(text->records[size_t(record)])];
            const std::vector<int32_t> numbers = rows_of(state_.vocabularies.at(column.name), column, value);
            if (std::find(numbers.begin(), numbers.end(), -1) != numbers.end())
                fail(ExitCode::data, "%s: `%s` is `%s`, which the training split does not have", record_name(data, record).c_str(), column.name.c_str(), value.c_str());
            std::memcpy(row, numbers.data(), size_t(column.bytes()));
            return;
        }
        std::vector<uint8_t *> rows;
        for (std::vector<uint8_t> &scratch : scratch_) rows.push_back(scratch.data());
        data.read(record, rows.data());
        std::memcpy(row, rows[c], size_t(column.bytes()));
        return;
    }
    fail(ExitCode::usage, "%s is missing", has_flag(column) ? input_flag(column).c_str() : ("the input `" + column.name + "`").c_str());
}

void GivenRecords::fill(const Values &given, int64_t row) {
    for (size_t c = 0; c < memory_.size(); ++c)
        if (state_.metadata.columns[c].predicts) fill(given, c, row);
}

void GivenRecords::fill(const Values &given, size_t c, int64_t row_number) {
    const Column &column = state_.metadata.columns[c];
    uint8_t *to = row(c, row_number);
    auto value = given.find(column.name);
    if (value == given.end()) {
        fill_from_tables(given, c, to);
    } else if (auto vocabulary = state_.vocabularies.find(column.name); vocabulary != state_.vocabularies.end()) {
        store_text(column, vocabulary->second, value->second, to);
    } else {
        store_number(column, value->second, to);
    }
}

void GivenRecords::predict() { state_.program.predict_step(state_.context()); }

std::string describe(const GivenRecords::Values &given, const ProgramState &state) {
    std::vector<std::string> parts;
    for (const Column &column : state.metadata.columns) {
        auto value = given.find(column.name);
        if (value == given.end()) continue;
        auto vocabulary = state.vocabularies.find(column.name);
        bool named = vocabulary != state.vocabularies.end() && column.is_one_class();
        parts.push_back(column.name + " " + (named ? vocabulary->second.name(vocabulary->second.find(value->second, column.name)) : value->second));
    }
    return join(parts, ", ");
}

}  // namespace kiln::runtime
