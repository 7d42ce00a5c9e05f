#include "data/dataset.h"

#include "support/failure.h"
#include "support/text.h"

#include <algorithm>
#include <cstring>

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

}  // namespace

const Value *ReaderRequest::argument(std::string_view name) const {
    for (const auto &[key, value] : split.arguments)
        if (key == name) return &value;
    return nullptr;
}

std::string ReaderRequest::path(const Value &value) const {
    if (value.text.starts_with('/') || data_folder.empty()) return value.text;
    return data_folder + (data_folder.ends_with('/') ? "" : "/") + value.text;
}

Dataset open_split(const std::string &data_folder, const Split &split, const std::vector<Column> &columns) {
    if (data_folder.empty())
        for (const auto &[name, value] : split.arguments)
            if (value.kind == Value::Kind::path && !value.text.starts_with('/'))
                fail(ExitCode::usage, "where are the data? Give --data DIR (split %s reads %s)", split.name.c_str(),
                     value.text.c_str());
    std::vector<std::string> names;
    for (const ReaderEntry &reader : kReaders) {
        if (split.reader == reader.name) return reader.open({data_folder, split, columns});
        names.push_back(reader.name);
    }
    fail(ExitCode::data, "split %s: there is no reader %s; readers: %s", split.name.c_str(), split.reader.c_str(),
         join(names, ", ").c_str());
}

const Split &split_named(const Metadata &metadata, const std::string &name) {
    if (const Split *split = metadata.find_split(name)) return *split;
    std::vector<std::string> names;
    for (const Split &split : metadata.splits) names.push_back(split.name);
    fail(ExitCode::data, "%s declares no split `%s`; it has: %s", metadata.source.c_str(), name.c_str(),
         names.empty() ? "none" : join(names, ", ").c_str());
}

void check_shape(const Column &column, const std::vector<int64_t> &found, const std::string &path) {
    if (without_ones(column.shape) == without_ones(found)) return;
    if (column.shape.size() == 1 && element_count(found) == column.shape[0]) return;
    fail(ExitCode::data, "%s: a record has shape %s, but the model's input `%s` is %s", path.c_str(), shape_text(found).c_str(),
         column.name.c_str(), type_text(column.dtype, column.shape).c_str());
}

void convert_elements(DType from, const uint8_t *source, DType to, uint8_t *target, int64_t count) {
    if (from == to) {
        std::memcpy(target, source, size_t(count * size_of(from)));
        return;
    }
    switch (from) {
        case DType::f32: return convert_from<float>(source, to, target, count);
        case DType::f64: return convert_from<double>(source, to, target, count);
        case DType::i32: return convert_from<int32_t>(source, to, target, count);
        case DType::i64: return convert_from<int64_t>(source, to, target, count);
        case DType::u8:
        case DType::boolean: return convert_from<uint8_t>(source, to, target, count);
    }
}

}  // namespace kiln::runtime
