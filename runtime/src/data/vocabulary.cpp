#include "data/vocabulary.h"

#include "data/select.h"
#include "support/failure.h"
#include "support/text.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>

namespace kiln::runtime {
namespace {

using Json = nlohmann::json;

constexpr const char *kFormat = "kiln vocabularies";
constexpr int kVersion = 1;
constexpr size_t kShown = 5;  // records that a message names one by one

/// The digits of a whole number without leading zeros; nothing if the text is none.
std::optional<std::string_view> digits_of(std::string_view text) {
    if (text.empty() || text.find_first_not_of("0123456789") != text.npos) return {};
    size_t first = text.find_first_not_of('0');
    return first == text.npos ? text.substr(text.size() - 1) : text.substr(first);
}

std::string lower_case(std::string text) {
    for (char &c : text)
        if (c >= 'A' && c <= 'Z') c = char(c - 'A' + 'a');
    return text;
}

const TextColumn *find_text(const Dataset &data, const std::string &name) {
    for (const TextColumn &text : data.texts)
        if (text.name == name) return &text;
    return nullptr;
}

std::string build_with(const Column &column, int64_t rows) {
    if (column.capacity.empty()) return format("it should be class[%lld]", (long long)rows);
    return format("build with -D %s=%lld", column.capacity.c_str(), (long long)rows);
}

/// What a text has rows for.
std::vector<std::string_view> parts_of(const Column &column, std::string_view text) {
    return column.is_one_class() ? std::vector{text} : words_of(text);
}

/// The rows of what parts_of found.
std::vector<int32_t> rows_of_parts(const Vocabulary &vocabulary, const Column &column, const std::vector<std::string_view> &parts) {
    std::vector<int32_t> rows(size_t(column.elements()), 0);
    for (size_t i = 0; i < std::min(rows.size(), parts.size()); ++i) rows[i] = int32_t(vocabulary.row(std::string(parts[i])));
    return rows;
}

/// Bytes of the white space that begins here, 0 if there is none: what has the property White_Space in Unicode, and the byte order mark, which is none
/// of a word.
size_t space_at(std::string_view text, size_t at) {
    const auto byte = [&](size_t i) { return at + i < text.size() ? uint8_t(text[at + i]) : 0; };
    switch (byte(0)) {
        case ' ': case '\t': case '\n': case '\v': case '\f': case '\r': return 1;
        case 0xC2: return byte(1) == 0x85 || byte(1) == 0xA0 ? 2 : 0;                             // U+0085, U+00A0
        case 0xE1: return byte(1) == 0x9A && byte(2) == 0x80 ? 3 : 0;                             // U+1680
        case 0xE2:  // U+205F; U+2000 .. 200A, 2028, 2029, 202F
            if (byte(1) == 0x81) return byte(2) == 0x9F ? 3 : 0;
            if (byte(1) != 0x80) return 0;
            return (byte(2) >= 0x80 && byte(2) <= 0x8A) || byte(2) == 0xA8 || byte(2) == 0xA9 || byte(2) == 0xAF ? 3 : 0;
        case 0xE3: return byte(1) == 0x80 && byte(2) == 0x80 ? 3 : 0;                             // U+3000
        case 0xEF: return byte(1) == 0xBB && byte(2) == 0xBF ? 3 : 0;                             // U+FEFF
        default: return 0;
    }
}

/// An input whose values are text.
struct TextInput {
    const Column *column;
    const TextColumn *text;
};

const VocabularyDeclaration &declaration_of(const Column &column) {
    static const VocabularyDeclaration undeclared;
    return column.vocabulary ? *column.vocabulary : undeclared;
}

/// Inputs that are looked up in one table have one vocabulary.
Vocabulary build(const std::vector<TextInput> &inputs, const std::string &place) {
    const Column &column = *inputs[0].column;
    const VocabularyDeclaration &declared = declaration_of(column);
    std::unordered_map<std::string_view, int64_t> counts;
    bool has_words = false;
    for (const TextInput &input : inputs) {
        const VocabularyDeclaration &other = declaration_of(*input.column);
        if (other.unknown != declared.unknown || other.at_least != declared.at_least)
            fail(ExitCode::data, "the inputs `%s` and `%s` are looked up in one table, so they have one vocabulary: `unknown` and `at_least` are the same for both",
                 column.name.c_str(), input.column->name.c_str());
        has_words |= !input.column->is_one_class();
        std::vector<int64_t> records(input.text->values.size());
        for (int32_t value : input.text->records) ++records[size_t(value)];
        for (size_t i = 0; i < records.size(); ++i)
            for (std::string_view part : parts_of(*input.column, input.text->values[i])) counts[part] += records[i];
    }
    std::vector<std::string> values;
    int64_t most = 0;
    for (const auto &[value, count] : counts) {
        most = std::max(most, count);
        if (count > 0 && count >= declared.at_least && value != declared.unknown) values.emplace_back(value);
    }
    if (values.empty())
        fail(ExitCode::data, "%s: no value of `%s` occurs %lld times (at_least); the most frequent one occurs %lld times", place.c_str(),
             column.name.c_str(), (long long)declared.at_least, (long long)most);
    if (has_words) values.emplace_back();  // the padding
    std::sort(values.begin(), values.end(), value_before);
    return Vocabulary(std::move(values), declared.unknown);
}

/// What the values are called, from the table that the `data` block names; a value that it lacks is called by itself.
std::vector<std::string> names_of(const Vocabulary &vocabulary, const Column &column, const ReaderRequest &training) {
    const VocabularyDeclaration &declared = *column.vocabulary;
    const Split call{"train", "vocabulary", {{"names", *declared.names}}};
    ReaderRequest request{training.data_folder, call, training.columns, {}, std::vector<bool>(training.columns.size(), false), true};
    Dataset table = request.open_source("names", {declared.key, declared.name});
    const TextColumn &keys = key_of(request, table, declared.key), &names = key_of(request, table, declared.name);
    std::unordered_map<std::string, int64_t> records;
    for (int64_t record = 0; record < table.records; ++record) {
        const std::string &key = keys.values[size_t(keys.records[size_t(record)])];
        auto [first, is_new] = records.emplace(key, record);
        if (!is_new)
            fail(ExitCode::data, "%s: `%s` has a name already, in %s", record_name(table, record).c_str(), key.c_str(), record_name(table, first->second).c_str());
    }
    std::vector<std::string> result;
    for (const std::string &value : vocabulary.values()) {
        auto found = records.find(value);
        result.push_back(found == records.end() ? value : names.values[size_t(names.records[size_t(found->second)])]);
    }
    return result;
}

/// The inputs whose values are text, those together that are looked up in the same tables.
std::vector<std::vector<TextInput>> inputs_by_table(const Dataset &data, const Metadata &metadata) {
    std::vector<std::vector<TextInput>> groups;
    for (const Column &column : metadata.columns)
        if (const TextColumn *text = find_text(data, column.name)) groups.push_back({{&column, text}});
    auto reads = [](const std::vector<TextInput> &group, const Embedding &embedding) {
        return std::any_of(group.begin(), group.end(), [&](const TextInput &input) { return input.column->name == embedding.input; });
    };
    for (size_t storage = 0; storage < metadata.storages.size(); ++storage) {
        std::vector<TextInput> together;
        std::vector<std::vector<TextInput>> others;
        for (std::vector<TextInput> &group : groups) {
            const bool is_read = std::any_of(metadata.embeddings.begin(), metadata.embeddings.end(), [&](const Embedding &e) { return e.storage == storage && reads(group, e); });
            if (is_read) together.insert(together.end(), group.begin(), group.end());
            else others.push_back(std::move(group));
        }
        if (!together.empty()) others.push_back(std::move(together));
        groups = std::move(others);
    }
    return groups;
}

void check_capacity(const Vocabulary &vocabulary, const Column &column, const std::string &place) {
    if (vocabulary.rows() <= column.classes) return;
    fail(ExitCode::data, "%s: `%s` has %lld different values%s%s, but it is class[%lld]: %s", place.c_str(), column.name.c_str(),
         (long long)vocabulary.rows(), column.is_one_class() ? "" : " with the padding", vocabulary.unknown() ? (column.is_one_class() ? " with the unknown one" : " and the unknown word") : "", (long long)column.classes,
         build_with(column, vocabulary.rows()).c_str());
}

void check_same(const Vocabulary &saved, const Vocabulary &found, const Column &column, const std::string &place) {
    if (saved.values() == found.values()) return;
    auto lacks = [](const Vocabulary &a, const Vocabulary &b) -> const std::string * {
        for (const std::string &value : a.values())
            if (!std::binary_search(b.values().begin(), b.values().end(), value, value_before)) return &value;
        return nullptr;
    };
    const std::string *gone = lacks(saved, found), *added = lacks(found, saved);
    fail(ExitCode::checkpoint, "%s: the vocabulary of `%s` is not the checkpoint's: %s%s%s; a run resumes only on its own data", place.c_str(),
         column.name.c_str(), gone ? ("`" + *gone + "` is gone").c_str() : "", gone && added ? ", " : "",
         added ? ("`" + *added + "` is new").c_str() : "");
}

/// The rows of every text of a column, one after the other.
std::vector<int32_t> all_rows(const Dataset &data, const TextColumn &text, const Column &column, const Vocabulary &vocabulary) {
    std::vector<int32_t> rows;
    std::vector<std::string_view> lacking(text.values.size());  // the first of each text
    std::vector<bool> is_longer(text.values.size());
    for (size_t i = 0; i < text.values.size(); ++i) {
        const std::vector<std::string_view> parts = parts_of(column, text.values[i]);
        const std::vector<int32_t> own = rows_of_parts(vocabulary, column, parts);
        rows.insert(rows.end(), own.begin(), own.end());
        is_longer[i] = parts.size() > own.size();
        const size_t first = size_t(std::find(own.begin(), own.end(), -1) - own.begin());
        if (first < own.size()) lacking[i] = parts[first].empty() ? " " : parts[first];
    }
    // Every record that has none is looked for before the message is made.
    std::vector<std::string> shown;
    int64_t bad = 0, longer = 0;
    for (size_t record = 0; record < text.records.size(); ++record) {
        const auto value = size_t(text.records[record]);
        longer += is_longer[value];
        if (lacking[value].empty() || ++bad > int64_t(kShown)) continue;
        shown.push_back(format("%s: `%.60s`", record_name(data, int64_t(record)).c_str(), std::string(lacking[value]).c_str()));
    }
    const char *name = text.name.c_str();
    if (bad > 0)
        fail(ExitCode::data, "%lld of %zu records have a %s`%s` that the split train does not have%s (`unknown` of vocabulary gives such values a row):\n  %s%s",
             (long long)bad, text.records.size(), column.is_one_class() ? "" : "word in ", name,
             declaration_of(column).at_least > 1 ? format(" %lld times (at_least)", (long long)declaration_of(column).at_least).c_str() : "", join(shown, "\n  ").c_str(),
             bad > int64_t(kShown) ? format("\n  and %lld more", (long long)bad - (long long)kShown).c_str() : "");
    if (longer > 0)
        std::fprintf(stderr, "note: %s: %lld of %zu texts of `%s` have more than %lld words: their first %lld are read\n", data.description.c_str(), (long long)longer,
                     text.records.size(), name, (long long)column.elements(), (long long)column.elements());
    return rows;
}

/// The records with the rows of the vocabularies in place of text.
Dataset numbered(Dataset data, const std::vector<Column> &columns, const Vocabularies &vocabularies) {
    struct Numbers {
        size_t column;
        size_t length;              ///< of a record
        std::vector<int32_t> rows;  ///< by text
        std::vector<int32_t> texts; ///< by record
    };
    auto numbers = std::make_shared<std::vector<Numbers>>();
    for (size_t c = 0; c < columns.size(); ++c)
        if (const TextColumn *text = find_text(data, columns[c].name))
            numbers->push_back({c, size_t(columns[c].elements()), all_rows(data, *text, columns[c], vocabularies.at(columns[c].name)), text->records});
    if (numbers->empty()) return data;
    data.read = [read = data.read, numbers](int64_t record, uint8_t *const *rows) {
        read(record, rows);
        for (const Numbers &n : *numbers) std::memcpy(rows[n.column], &n.rows[size_t(n.texts[size_t(record)]) * n.length], n.length * sizeof(int32_t));
    };
    return data;
}

std::string checkpoint_lacks(const Column &column) {
    return format("it has no vocabulary for `%s`, which this program reads as text", column.name.c_str());
}

}  // namespace

Vocabulary::Vocabulary(std::vector<std::string> values, std::optional<std::string> unknown)
    : values_(std::move(values)), unknown_(std::move(unknown)) {
    for (size_t i = 0; i < values_.size(); ++i) rows_.emplace(values_[i], int64_t(i));
}

int64_t Vocabulary::row(const std::string &value) const {
    if (auto found = rows_.find(value); found != rows_.end()) return found->second;
    return unknown_ ? int64_t(values_.size()) : -1;
}

const std::string &Vocabulary::name(int64_t row) const {
    static const std::string padding = "(padding)";
    if (size_t(row) >= values_.size()) return *unknown_;
    if (values_[size_t(row)].empty()) return padding;
    return names_.empty() ? values_[size_t(row)] : names_[size_t(row)];
}

int64_t Vocabulary::find(const std::string &text, const std::string &what) const {
    if (auto found = rows_.find(text); found != rows_.end()) return found->second;
    std::vector<size_t> named;
    std::vector<std::string> like, values;
    const std::string wanted = lower_case(text);
    for (size_t i = 0; i < names_.size(); ++i) {
        if (names_[i] == text) named.push_back(i);
        if (like.size() < kShown && !wanted.empty() && lower_case(names_[i]).find(wanted) != std::string::npos) like.push_back("`" + names_[i] + "`");
    }
    if (named.size() == 1) return int64_t(named[0]);
    for (size_t i : named) values.push_back(values_[i]);
    if (named.size() > 1)
        fail(ExitCode::usage, "%s `%s` is the name of %s: give one of these", what.c_str(), text.c_str(), join(values, ", ").c_str());
    if (unknown_ && text == *unknown_) return int64_t(values_.size());
    fail(ExitCode::usage, "%s: the training split has no `%s`%s%s", what.c_str(), text.c_str(), like.empty() ? "" : "; it has ", join(like, ", ").c_str());
}

std::vector<std::string_view> words_of(std::string_view text) {
    std::vector<std::string_view> words;
    size_t begin = 0;
    for (size_t at = 0; at < text.size();) {
        const size_t space = space_at(text, at);
        if (space == 0) {
            ++at;
            continue;
        }
        if (at > begin) words.push_back(text.substr(begin, at - begin));
        begin = at += space;
    }
    if (begin < text.size()) words.push_back(text.substr(begin));
    return words;
}

std::vector<int32_t> rows_of(const Vocabulary &vocabulary, const Column &column, const std::string &text) {
    return rows_of_parts(vocabulary, column, parts_of(column, text));
}

std::string class_name(const Vocabularies &vocabularies, const Column &column, int64_t row) {
    auto found = vocabularies.find(column.name);
    if (found == vocabularies.end()) return std::to_string(row);
    return row < found->second.rows() ? found->second.name(row) : "-";
}

bool value_before(const std::string &a, const std::string &b) {
    if (a.empty() || b.empty()) return a.empty() && !b.empty();
    auto x = digits_of(a), y = digits_of(b);
    if (x.has_value() != y.has_value()) return x.has_value();
    if (x && x->size() != y->size()) return x->size() < y->size();
    if (x && *x != *y) return *x < *y;
    return x && a.size() != b.size() ? a.size() < b.size() : a < b;
}

Dataset open_training_split(const std::string &data_folder, const Metadata &metadata, Vocabularies &vocabularies) {
    const Split &split = split_named(metadata, "train");
    Dataset data = open_split(data_folder, split, metadata.columns);
    Vocabularies built;
    for (const std::vector<TextInput> &inputs : inputs_by_table(data, metadata)) {
        const Vocabulary vocabulary = build(inputs, data.description);
        for (const TextInput &input : inputs) built[input.column->name] = vocabulary;
    }
    if (!vocabularies.empty())
        for (const Column &column : metadata.columns) {
            auto saved = vocabularies.find(column.name), found = built.find(column.name);
            if (found == built.end() && saved == vocabularies.end()) continue;
            if (found == built.end())
                fail(ExitCode::checkpoint, "%s: `%s` comes as numbers, but the checkpoint has a vocabulary for it", data.description.c_str(), column.name.c_str());
            if (saved == vocabularies.end()) fail(ExitCode::checkpoint, "the checkpoint is of another program: %s", checkpoint_lacks(column).c_str());
            check_same(saved->second, found->second, column, data.description);
        }
    for (const Column &column : metadata.columns)
        if (auto found = built.find(column.name); found != built.end()) check_capacity(found->second, column, data.description);
    for (const Column &column : metadata.columns)
        if (auto found = built.find(column.name); found != built.end() && column.vocabulary && column.vocabulary->names)
            found->second.set_names(names_of(found->second, column, {data_folder, split, metadata.columns}));
    vocabularies = std::move(built);
    return numbered(std::move(data), metadata.columns, vocabularies);
}

namespace {

Dataset with_vocabularies(Dataset data, const Metadata &metadata, const Vocabularies &vocabularies) {
    for (const Column &column : metadata.columns)
        if (find_text(data, column.name) && !vocabularies.contains(column.name))
            fail(ExitCode::checkpoint, "the checkpoint is of another program: %s", checkpoint_lacks(column).c_str());
    return numbered(std::move(data), metadata.columns, vocabularies);
}

}  // namespace

Dataset open_split(const std::string &data_folder, const Metadata &metadata, const std::string &name, const Vocabularies &vocabularies) {
    return with_vocabularies(open_split(data_folder, split_named(metadata, name), metadata.columns), metadata, vocabularies);
}

Dataset open_split_to_predict(const std::string &data_folder, const Metadata &metadata, const std::string &name, const Vocabularies &vocabularies) {
    ReaderRequest request{data_folder, split_named(metadata, name), metadata.columns};
    // Where no output reads an input, as of a generator from noise, those that the split has say how many records there are.
    const bool reads_none = std::ranges::none_of(metadata.columns, &Column::predicts);
    for (const Column &column : metadata.columns) {
        request.needed.push_back(column.predicts);
        request.wanted.push_back(reads_none || column.predicts || column.classes > 0);
    }
    return with_vocabularies(prepared(open_reader(request)), metadata, vocabularies);
}

void check_vocabularies(const Vocabularies &vocabularies, const Metadata &metadata, const std::string &place) {
    auto other = [&](const std::string &why) { fail(ExitCode::checkpoint, "%s is of another program: %s", place.c_str(), why.c_str()); };
    for (const auto &[name, vocabulary] : vocabularies)
        if (std::none_of(metadata.columns.begin(), metadata.columns.end(), [&](const Column &c) { return c.name == name && c.classes > 0; }))
            other(format("it has a vocabulary for `%s`, and this program has no such input of class[n]", name.c_str()));
    for (const Column &column : metadata.columns) {
        auto found = vocabularies.find(column.name);
        if (found == vocabularies.end()) {
            if (column.vocabulary) other(checkpoint_lacks(column));
            continue;
        }
        const Vocabulary &vocabulary = found->second;
        if (vocabulary.rows() > column.classes)
            other(format("its vocabulary of `%s` has %lld rows, but this program's `%s` is class[%lld]: %s", column.name.c_str(), (long long)vocabulary.rows(),
                         column.name.c_str(), (long long)column.classes, build_with(column, vocabulary.rows()).c_str()));
        if (!column.is_one_class() && (vocabulary.values().empty() || !vocabulary.values()[0].empty())) other(format("its vocabulary of `%s` has no padding", column.name.c_str()));
        auto declared = column.vocabulary ? column.vocabulary->unknown : std::nullopt;
        auto shown = [](const std::optional<std::string> &unknown) { return unknown ? "one called `" + *unknown + "`" : std::string("none"); };
        if (vocabulary.unknown() != declared)
            other(format("the unknown row of `%s` is %s there and %s in this program", column.name.c_str(), shown(vocabulary.unknown()).c_str(), shown(declared).c_str()));
    }
}

std::string print(const Vocabularies &vocabularies) {
    Json inputs = Json::object();
    for (const auto &[name, vocabulary] : vocabularies) {
        Json &input = inputs[name] = {{"values", vocabulary.values()}};
        if (!vocabulary.names().empty()) input["names"] = vocabulary.names();
        if (vocabulary.unknown()) input["unknown"] = *vocabulary.unknown();
    }
    try {
        return Json{{"format", kFormat}, {"version", kVersion}, {"inputs", inputs}}.dump(1) + "\n";
    } catch (const Json::exception &) {
        fail(ExitCode::data, "a value of a vocabulary is not UTF-8, and cannot be saved");
    }
}

Vocabularies parse_vocabularies(const std::string &text, const std::string &path) {
    Vocabularies vocabularies;
    try {
        Json json = Json::parse(text);
        if (json.at("format") != kFormat || json.at("version") != kVersion)
            fail(ExitCode::checkpoint, "%s is not the file of vocabularies that this program reads", path.c_str());
        for (const auto &[name, input] : json.at("inputs").items()) {
            auto unknown = input.find("unknown");
            auto values = input.at("values").get<std::vector<std::string>>();
            if (!std::is_sorted(values.begin(), values.end(), value_before))
                fail(ExitCode::checkpoint, "%s: the values of `%s` are not in the order of a vocabulary", path.c_str(), name.c_str());
            auto names = input.value("names", std::vector<std::string>{});
            if (!names.empty() && names.size() != values.size())
                fail(ExitCode::checkpoint, "%s: `%s` has %zu values and %zu names", path.c_str(), name.c_str(), values.size(), names.size());
            vocabularies[name] = Vocabulary(std::move(values), unknown == input.end() ? std::nullopt : std::optional(unknown->get<std::string>()));
            vocabularies[name].set_names(std::move(names));
        }
    } catch (const Json::exception &error) {
        fail(ExitCode::checkpoint, "%s is corrupted: %s", path.c_str(), error.what());
    }
    return vocabularies;
}

std::map<std::string, Dataset> open_training_sets(const std::string &data_folder, const Metadata &metadata, Vocabularies &vocabularies) {
    std::map<std::string, Dataset> sets;
    // First, since it makes the vocabularies.
    sets.emplace("train", open_training_split(data_folder, metadata, vocabularies));
    std::map<std::string, int64_t> rows{{"train", 1}};  // of a batch
    auto open = [&](const std::string &split, int64_t rows_needed) {
        if (!sets.count(split)) sets.emplace(split, open_split(data_folder, metadata, split, vocabularies));
        rows[split] = std::max(rows[split], rows_needed);
    };
    for (const Phase &phase : metadata.phases) {
        open(phase.split, phase.labelled_rows(metadata.batch));
        for (const MixPart &part : phase.mix)
            if (!part.pseudo) open(part.split, 1);
    }
    for (const auto &[name, set] : sets) {
        require_labels(set, name);
        if (set.records < rows.at(name))
            fail(ExitCode::data, "a batch of %lld is larger than the training data: %s has %lld records", (long long)rows.at(name),
                 set.description.c_str(), (long long)set.records);
    }
    return sets;
}

std::vector<int64_t> steps_per_epoch(const std::map<std::string, Dataset> &training_sets, const Metadata &metadata) {
    std::vector<int64_t> steps;
    for (const Phase &phase : metadata.phases) steps.push_back(training_sets.at(phase.split).records / phase.labelled_rows(metadata.batch));
    return steps;
}

}  // namespace kiln::runtime
