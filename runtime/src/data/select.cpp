#include "data/select.h"

#include "data/shuffle.h"
#include "data/vocabulary.h"
#include "support/failure.h"
#include "support/text.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>

namespace kiln::runtime {
namespace {

constexpr uint64_t kTransforms = uint64_t(1) << 40;  // apart from the epochs, which shuffle by the same function
constexpr double kLargestInteger = 9007199254740992;  // 2^53: exact as a double

[[noreturn]] void bad_argument(const ReaderRequest &request, std::string_view name, const std::string &value, const char *expected) {
    fail(ExitCode::data, "split %s: `%s` of %s is %s; it should be %s", request.split.name.c_str(), std::string(name).c_str(),
         request.split.reader.c_str(), value.c_str(), expected);
}

}  // namespace

std::string label_of(const std::vector<Column> &columns) {
    std::string label;
    for (const Column &column : columns) {
        if (!column.is_one_class() || column.predicts) continue;
        if (!label.empty()) return "";
        label = column.name;
    }
    return label;
}

Dataset select_records(Dataset dataset, std::vector<int64_t> records) {
    auto chosen = std::make_shared<const std::vector<int64_t>>(std::move(records));
    for (std::vector<TextColumn> *columns : {&dataset.texts, &dataset.keys})
        for (TextColumn &column : *columns) {
            std::vector<int32_t> values;
            values.reserve(chosen->size());
            for (int64_t record : *chosen) values.push_back(column.records[size_t(record)]);
            column.records = std::move(values);
        }
    dataset.name = [whole = dataset, chosen](int64_t record) { return record_name(whole, (*chosen)[size_t(record)]); };
    if (dataset.fingerprint) dataset.fingerprint = [whole = dataset.fingerprint, chosen](int64_t record) { return whole((*chosen)[size_t(record)]); };
    dataset.read = [whole = std::move(dataset.read), chosen](int64_t record, uint8_t *const *rows) { whole((*chosen)[size_t(record)], rows); };
    if (dataset.prepare)
        dataset.prepare = [whole = std::move(dataset.prepare), chosen](const std::vector<int64_t> &records) {
            std::vector<int64_t> inner, good;
            for (int64_t record : records) inner.push_back((*chosen)[size_t(record)]);
            Prepared prepared = whole(inner);
            size_t next = 0;
            for (size_t i = 0; i < inner.size() && next < prepared.records.size(); ++i)
                if (inner[i] == prepared.records[next]) good.push_back(records[i]), ++next;
            prepared.records = std::move(good);
            return prepared;
        };
    dataset.records = int64_t(chosen->size());
    return dataset;
}

Dataset prepared(Dataset dataset) {
    if (!dataset.prepare) return dataset;
    std::vector<int64_t> all(size_t(dataset.records));
    std::iota(all.begin(), all.end(), int64_t(0));
    Prepared prepared = dataset.prepare(all);
    dataset.prepare = nullptr;
    dataset.cost = prepared.cost;
    if (prepared.records.size() < all.size()) return select_records(std::move(dataset), std::move(prepared.records));
    return dataset;
}

Dataset select_part(const ReaderRequest &request, Dataset dataset, const std::vector<bool> &chosen) {
    const bool rest = flag_argument(request, "rest");
    std::vector<int64_t> records;
    for (size_t i = 0; i < chosen.size(); ++i)
        if (chosen[i] != rest) records.push_back(int64_t(i));
    if (records.empty())
        fail(ExitCode::data, "split %s: %s leaves none of the %lld records of %s", request.split.name.c_str(), request.split.reader.c_str(),
             (long long)dataset.records, dataset.description.c_str());
    return select_records(std::move(dataset), std::move(records));
}

const TextColumn &key_of(const ReaderRequest &request, const Dataset &dataset, const std::string &name) {
    for (const TextColumn &column : dataset.keys)
        if (column.name == name) return column;
    fail(ExitCode::data, "split %s: %s needs a column `%s`, which %s does not have; it has %s", request.split.name.c_str(),
         request.split.reader.c_str(), name.c_str(), dataset.description.c_str(), quoted_list(dataset.offers).c_str());
}

std::vector<std::vector<int64_t>> records_by_value(const TextColumn &column) {
    std::vector<std::vector<int64_t>> of_value(column.values.size());
    for (size_t i = 0; i < column.records.size(); ++i) of_value[size_t(column.records[i])].push_back(int64_t(i));
    std::vector<size_t> order(column.values.size());
    std::iota(order.begin(), order.end(), size_t(0));
    std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return value_before(column.values[a], column.values[b]); });
    std::vector<std::vector<int64_t>> groups;
    for (size_t value : order)
        if (!of_value[value].empty()) groups.push_back(std::move(of_value[value]));
    return groups;
}

std::string class_argument(const ReaderRequest &request) {
    const std::string by = text_argument(request, "by");
    if (!by.empty()) return by;
    const std::string label = label_of(request.columns);
    if (label.empty())
        fail(ExitCode::data, "split %s: %s needs the column of the classes, `by`: the model has no `class[n]` that is the only one no output depends on",
             request.split.name.c_str(), request.split.reader.c_str());
    return label;
}

std::vector<std::vector<int64_t>> records_by_class(const ReaderRequest &request, const Dataset &source, const std::string &by) {
    if (!source.no_labels.empty())
        fail(ExitCode::data, "split %s: %s needs labels: %s", request.split.name.c_str(), request.split.reader.c_str(), source.no_labels.c_str());
    return records_by_value(key_of(request, source, by));
}

std::vector<int64_t> random_order(int64_t count, uint64_t seed, uint64_t stream) { return shuffled_order(count, seed, kTransforms + stream); }

std::vector<bool> random_choice(int64_t count, int64_t of, uint64_t seed, uint64_t stream) {
    std::vector<int64_t> order = random_order(of, seed, stream);
    std::vector<bool> chosen(size_t(of), false);
    for (int64_t i = 0; i < count; ++i) chosen[size_t(order[size_t(i)])] = true;
    return chosen;
}

double share_argument(const ReaderRequest &request, std::string_view name, bool may_be_whole) {
    const Value *value = request.argument(name);
    bool fits = value && value->kind == Value::Kind::number && value->number > 0 && (value->number < 1 || (may_be_whole && value->number == 1));
    if (!fits) bad_argument(request, name, value ? number_text(value->number) : "missing", may_be_whole ? "above 0 and at most 1" : "above 0 and below 1");
    return value->number;
}

uint64_t seed_argument(const ReaderRequest &request) {
    const Value *value = request.argument("seed");
    if (!value) return 0;
    if (value->number < 0 || value->number > kLargestInteger || value->number != std::floor(value->number))
        bad_argument(request, "seed", number_text(value->number), "a whole number from 0 to 2^53");
    return uint64_t(value->number);
}

bool flag_argument(const ReaderRequest &request, std::string_view name) {
    const Value *value = request.argument(name);
    return value && value->boolean;
}

std::string text_argument(const ReaderRequest &request, std::string_view name) {
    const Value *value = request.argument(name);
    return value ? value->text : "";
}

}  // namespace kiln::runtime
