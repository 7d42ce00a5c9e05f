#include "data/dataset.h"

#include "data/select.h"
#include "support/failure.h"
#include "support/hash.h"
#include "support/text.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <type_traits>
#include <unordered_map>
#include <unordered_set>
#include <utility>

namespace kiln::runtime {

namespace {

std::vector<int64_t> without_ones(std::vector<int64_t> shape) {
    std::erase(shape, 1);
    return shape;
}

template <typename From, typename To>
void convert(const uint8_t *source, uint8_t *target, int64_t count) {
    auto *from = reinterpret_cast<const From *>(source);
    auto *to = reinterpret_cast<To *>(target);
    for (int64_t i = 0; i < count; ++i) to[i] = static_cast<To>(from[i]);
}

template <typename From>
void convert_from(const uint8_t *source, DType to, uint8_t *target, int64_t count) {
    switch (to) {
        case DType::f32: return convert<From, float>(source, target, count);
        case DType::f64: return convert<From, double>(source, target, count);
        case DType::i32: return convert<From, int32_t>(source, target, count);
        case DType::i64: return convert<From, int64_t>(source, target, count);
        case DType::u8: return convert<From, uint8_t>(source, target, count);
        case DType::boolean:
            for (int64_t i = 0; i < count; ++i) target[i] = reinterpret_cast<const From *>(source)[i] != 0;
            return;
    }
}

/// Whether To has this number; floats are rounded.
template <typename To, typename From>
bool has_place(From value) {
    if constexpr (std::is_floating_point_v<To>) return std::isfinite(static_cast<To>(value));
    else if constexpr (std::is_integral_v<From>) return std::in_range<To>(value);
    // 2^n, the first number above the range, is exact as a float; NaN fails the comparisons.
    else return value >= From(std::numeric_limits<To>::min()) && value < std::ldexp(From(1), std::numeric_limits<To>::digits) && value == std::trunc(value);
}

template <typename To, typename From>
int64_t first_without_place_in(const From *values, int64_t count) {
    bool all = true;  // without a way out the loop is one of vectors
    for (int64_t i = 0; i < count; ++i) all &= has_place<To>(values[i]);
    return all ? -1 : std::find_if_not(values, values + count, has_place<To, From>) - values;
}

/// Calls `use` with the elements as what they are.
template <typename Use>
auto with_elements(DType type, const uint8_t *elements, Use use) {
    switch (type) {
        case DType::f32: return use(reinterpret_cast<const float *>(elements));
        case DType::f64: return use(reinterpret_cast<const double *>(elements));
        case DType::i32: return use(reinterpret_cast<const int32_t *>(elements));
        case DType::i64: return use(reinterpret_cast<const int64_t *>(elements));
        case DType::u8:
        case DType::boolean: break;
    }
    return use(elements);
}

/// The keys that any reader has: its labels, the numbers of its records, and the paths of those that are files.
void complete_keys(const ReaderRequest &request, Dataset &data) {
    auto has = [&](const std::string &name) {
        return std::any_of(data.keys.begin(), data.keys.end(), [&](const TextColumn &column) { return column.name == name; });
    };
    auto add = [&](const std::string &name, const std::function<std::string(int64_t)> &value) {
        if (std::find(data.offers.begin(), data.offers.end(), name) == data.offers.end()) data.offers.push_back(name);
        if (has(name) || std::find(request.keys.begin(), request.keys.end(), name) == request.keys.end()) return;
        TextBuilder text(name);
        for (int64_t i = 0; i < data.records; ++i) text.add(value(i));
        data.keys.push_back(text.finish());
    };
    for (const TextColumn &text : data.texts) add(text.name, [&](int64_t i) { return text.values[size_t(text.records[size_t(i)])]; });
    std::vector<std::vector<uint8_t>> rows;
    std::vector<uint8_t *> targets;
    for (const Column &column : request.columns) targets.push_back(rows.emplace_back(size_t(column.bytes())).data());
    for (size_t c = 0; c < request.columns.size(); ++c) {
        const Column &column = request.columns[c];
        bool is_text = std::any_of(data.texts.begin(), data.texts.end(), [&](const TextColumn &text) { return text.name == column.name; });
        if (!data.no_labels.empty() || column.classes == 0 || column.elements() != 1 || is_text || !data.gives(c)) continue;
        add(column.name, [&](int64_t i) {
            data.read(i, targets.data());
            return std::to_string(*reinterpret_cast<const int32_t *>(targets[c]));
        });
    }
    add("record", [](int64_t i) { return std::to_string(i); });
    if (!data.name || !data.fingerprint) return;
    add("path", [&](int64_t i) { return data.name(i); });
    add("file", [&](int64_t i) {
        std::string path = data.name(i);
        return path.substr(path.rfind('/') + 1);
    });
}

}  // namespace

void TextBuilder::add(std::string value) {
    auto [found, is_new] = index_.try_emplace(value, int32_t(column_.values.size()));
    if (is_new) column_.values.push_back(std::move(value));
    column_.records.push_back(found->second);
}

std::string record_name(const Dataset &dataset, int64_t record) {
    return dataset.name ? dataset.name(record) : format("record %lld of %s", (long long)record, dataset.description.c_str());
}

const Value *ReaderRequest::argument(std::string_view name) const {
    for (const auto &[key, value] : split.arguments)
        if (key == name) return &value;
    return nullptr;
}

std::string ReaderRequest::path(const Value &value) const {
    if (value.text.starts_with('/') || data_folder.empty()) return value.text;
    return data_folder + (data_folder.ends_with('/') ? "" : "/") + value.text;
}

std::string ReaderRequest::path_argument(std::string_view name) const {
    const Value *value = argument(name);
    if (!value || (value->kind != Value::Kind::path && value->kind != Value::Kind::string))
        fail(ExitCode::data, "split %s: the `%s` of %s is not a path", split.name.c_str(), std::string(name).c_str(), split.reader.c_str());
    return path(*value);
}

Dataset ReaderRequest::open_source(std::string_view name, const std::vector<std::string> &further_keys) const {
    const Value *call = argument(name);
    if (!call || call->kind != Value::Kind::call)
        fail(ExitCode::data, "split %s: the `%s` of %s is no call of a reader", split.name.c_str(), std::string(name).c_str(), split.reader.c_str());
    const Split inner{split.name, call->text, call->arguments};
    ReaderRequest request{data_folder, inner, columns, keys, wanted, partial, needed};
    for (const std::string &key : further_keys)
        if (std::find(keys.begin(), keys.end(), key) == keys.end()) request.keys.push_back(key);
    return open_reader(request);
}

Dataset open_reader(const ReaderRequest &request) {
    if (request.data_folder.empty())
        for (const auto &[name, value] : request.split.arguments)
            if (value.kind == Value::Kind::path && !value.text.starts_with('/'))
                fail(ExitCode::usage, "where are the data? Give --data DIR (split %s reads %s)", request.split.name.c_str(), value.text.c_str());
    std::vector<std::string> names;
    for (const ReaderEntry &reader : kReaders) {
        if (request.split.reader == reader.name) {
            Dataset data = reader.open(request);
            complete_keys(request, data);
            return data;
        }
        names.push_back(reader.name);
    }
    fail(ExitCode::data, "split %s: there is no reader %s; readers: %s", request.split.name.c_str(), request.split.reader.c_str(),
         join(names, ", ").c_str());
}

Dataset open_split(const std::string &data_folder, const Split &split, const std::vector<Column> &columns) {
    return prepared(open_reader({data_folder, split, columns}));
}

const Split &split_named(const Metadata &metadata, const std::string &name) {
    if (const Split *split = metadata.find_split(name)) return *split;
    std::vector<std::string> names;
    for (const Split &split : metadata.splits) names.push_back(split.name);
    fail(ExitCode::data, "%s declares no split `%s`; it has: %s", metadata.source.c_str(), name.c_str(),
         names.empty() ? "none" : join(names, ", ").c_str());
}

std::string measured_split(const Metadata &metadata) {
    for (const char *name : {"test", "validation"})
        if (metadata.find_split(name)) return name;
    return "train";
}

void require_labels(const Dataset &dataset, const std::string &split) {
    if (!dataset.no_labels.empty())
        fail(ExitCode::data, "split %s has no labels to train or measure on: %s", split.c_str(), dataset.no_labels.c_str());
}

void check_overlap(const Dataset &training, const Dataset &other, const std::string &other_split) {
    if (!training.name || !other.name || !training.fingerprint || !other.fingerprint) return;
    constexpr size_t kShown = 5;
    auto base = [](const std::string &name) { return name.substr(name.rfind('/') + 1); };
    std::unordered_multimap<std::string, int64_t> trained;
    std::unordered_set<std::string> names;
    for (int64_t i = 0; i < other.records; ++i) names.insert(base(other.name(i)));
    for (int64_t i = 0; i < training.records; ++i)
        if (std::string name = base(training.name(i)); names.count(name)) trained.emplace(name, i);
    std::unordered_map<int64_t, uint64_t> prints;  // of training records, read once
    std::vector<std::string> same, different;
    size_t same_count = 0, different_count = 0;
    for (int64_t i = 0; i < other.records; ++i) {
        auto [first, last] = trained.equal_range(base(other.name(i)));
        if (first == last) continue;
        uint64_t print = other.fingerprint(i);
        auto found = std::find_if(first, last, [&](const auto &entry) {
            auto [at, fresh] = prints.try_emplace(entry.second, 0);
            if (fresh) at->second = training.fingerprint(entry.second);
            return at->second == print;
        });
        auto &shown = found != last ? same : different;
        ++(found != last ? same_count : different_count);
        if (shown.size() < kShown) shown.push_back(training.name((found != last ? found : first)->second) + " and " + other.name(i));
    }
    auto list = [&](const std::vector<std::string> &shown, size_t count) {
        return ":\n  " + join(shown, "\n  ") + (count > shown.size() ? format("\n  and %zu more", count - shown.size()) : "");
    };
    auto counted = [&](size_t count) {
        return format("%zu of %lld records of split %s %s", count, (long long)other.records, other_split.c_str(), count == 1 ? "is" : "are");
    };
    if (same_count > 0)
        fail(ExitCode::data, "%s also in split train, so that what was trained on would be measured%s", counted(same_count).c_str(),
             list(same, same_count).c_str());
    if (different_count > 0)
        std::fprintf(stderr, "warning: %s named like records of split train, with another content%s\n", counted(different_count).c_str(),
                     list(different, different_count).c_str());
}

uint64_t sample_checksum(const Dataset &dataset, const std::vector<Column> &columns) {
    std::vector<std::vector<uint8_t>> rows;
    std::vector<uint8_t *> targets;
    int64_t bytes = 1;
    for (const Column &column : columns) {
        targets.push_back(rows.emplace_back(size_t(column.bytes())).data());
        bytes += column.bytes();
    }
    const int64_t wanted = std::max<int64_t>(64, dataset.cost == Cost::memory ? (16 << 20) / bytes : 0), count = std::min(wanted, dataset.records);
    Xxh64 sum;
    sum.update(&dataset.records, sizeof dataset.records);
    for (int64_t i = 0; i < count; ++i) {
        dataset.read(count > 1 ? i * (dataset.records - 1) / (count - 1) : 0, targets.data());
        for (const std::vector<uint8_t> &row : rows) sum.update(row.data(), row.size());
    }
    return sum.digest();
}

void check_shape(const Column &column, const std::vector<int64_t> &found, const std::string &path) {
    if (without_ones(column.shape) == without_ones(found)) return;
    if (column.shape.size() == 1 && element_count(found) == column.shape[0]) return;
    fail(ExitCode::data, "%s: a record has shape %s, but the model's input `%s` is %s", path.c_str(), shape_text(found).c_str(),
         column.name.c_str(), type_text(column).c_str());
}

float from_half(uint16_t bits) {
    int exponent = bits >> 10 & 31, fraction = bits & 1023;
    float value = exponent == 31  ? (fraction ? NAN : INFINITY)
                  : exponent == 0 ? std::ldexp(float(fraction), -24)
                                  : std::ldexp(float(1024 + fraction), exponent - 25);
    return bits & 0x8000 ? -value : value;
}

void convert_elements(DType from, const uint8_t *source, DType to, uint8_t *target, int64_t count) {
    if (from == to) {
        std::memcpy(target, source, size_t(count * size_of(from)));
        return;
    }
    with_elements(from, source, [&](const auto *values) { convert_from<std::decay_t<decltype(*values)>>(source, to, target, count); });
}

int64_t first_without_place(DType from, const uint8_t *source, DType to, int64_t count) {
    return with_elements(from, source, [&](const auto *values) -> int64_t {
        switch (to) {
            case DType::f32: return first_without_place_in<float>(values, count);
            case DType::f64:
            case DType::boolean: return first_without_place_in<double>(values, count);
            case DType::i32: return first_without_place_in<int32_t>(values, count);
            case DType::i64: return first_without_place_in<int64_t>(values, count);
            case DType::u8: return first_without_place_in<uint8_t>(values, count);
        }
        return -1;
    });
}

std::string element_text(DType type, const uint8_t *elements, int64_t index) {
    return with_elements(type, elements, [&](const auto *values) {
        if constexpr (std::is_floating_point_v<std::decay_t<decltype(*values)>>) return number_text(values[index]);
        else return std::to_string(values[index]);
    });
}

}  // namespace kiln::runtime
