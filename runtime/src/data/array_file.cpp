#include "data/array_file.h"

#include "support/failure.h"
#include "support/text.h"

#include <algorithm>
#include <memory>

namespace kiln::runtime {
namespace {

// Every label is looked at before training starts: the file is small, and an error in the middle of an epoch costs time.
void check_labels(const ArrayFile &file, const Column &column) {
    if (!file.is_integer())
        fail(ExitCode::data, "%s holds floating-point numbers, but `%s` is a label of class[%lld]", file.path.c_str(),
             column.name.c_str(), (long long)column.classes);
    std::vector<int64_t> labels(size_t(element_count(file.record_shape)));
    for (int64_t record = 0; record < file.records; ++record) {
        file.read(record, DType::i64, reinterpret_cast<uint8_t *>(labels.data()));
        for (int64_t label : labels)
            if (label < 0 || label >= column.classes)
                fail(ExitCode::data, "%s: record %lld (counted from 0) has label %lld, but `%s` is class[%lld]: 0 to %lld",
                     file.path.c_str(), (long long)record, (long long)label, column.name.c_str(), (long long)column.classes,
                     (long long)(column.classes - 1));
    }
}

/// A record in the file's own type. Throws Failure (data) if it has a number that the input cannot hold.
const uint8_t *checked_record(const ArrayFile &file, int64_t record, const Column &column) {
    thread_local std::vector<uint8_t> values;
    const int64_t count = element_count(file.record_shape);
    values.resize(size_t(count * size_of(file.type)));
    file.read(record, file.type, values.data());
    if (const int64_t wrong = first_without_place(file.type, values.data(), column.dtype, count); wrong >= 0)
        fail(ExitCode::data, "%s: record %lld (counted from 0) has the value %s, which is no number of %s, as the input `%s` needs", file.path.c_str(),
             (long long)record, element_text(file.type, values.data(), wrong).c_str(), name_of(column.dtype), column.name.c_str());
    return values.data();
}

/// Numbers that the input cannot hold would end training with a loss that is NaN, and validation with none. They are looked for before anything
/// starts; those of a file that stays on the disk only as they are read, since it may be larger than memory.
void refuse_others(ArrayFile &file, const Column &column) {
    if (file.is_integer() && (file.type == column.dtype || column.dtype == DType::f32 || column.dtype == DType::f64)) return;
    if (file.in_memory)
        for (int64_t record = 0; record < file.records; ++record) checked_record(file, record, column);
    else
        file.read = [file, column](int64_t record, DType dtype, uint8_t *to) {
            convert_elements(file.type, checked_record(file, record, column), dtype, to, element_count(file.record_shape));
        };
}

/// What a vocabulary numbers: whole numbers as they are written.
TextColumn values_as_text(const ArrayFile &file, const Column &column) {
    if (!file.is_integer() || column.elements() != 1)
        fail(ExitCode::data, "%s: the vocabulary of `%s` needs one whole number a record", file.path.c_str(), column.name.c_str());
    TextBuilder text(column.name);
    for (int64_t record = 0; record < file.records; ++record) {
        int64_t value = 0;
        file.read(record, DType::i64, reinterpret_cast<uint8_t *>(&value));
        text.add(std::to_string(value));
    }
    return text.finish();
}

}  // namespace

int64_t name_for(const ReaderRequest &request, const Column &column, const std::vector<std::string> &names, const std::string &place) {
    const std::string plural = column.name + "s";
    const bool is_taken = std::any_of(request.columns.begin(), request.columns.end(), [&](const Column &other) { return other.name == plural; });
    const auto one = std::find(names.begin(), names.end(), column.name), several = is_taken ? names.end() : std::find(names.begin(), names.end(), plural);
    if (one != names.end() && several != names.end())
        fail(ExitCode::data, "%s has both `%s` and `%s` for the model's input `%s`: leave one out, or give it another name", place.c_str(),
             column.name.c_str(), plural.c_str(), column.name.c_str());
    if (one != names.end()) return one - names.begin();
    return several != names.end() ? several - names.begin() : -1;
}

Dataset open_arrays(const ReaderRequest &request, const std::function<ArrayFile(const std::string &path)> &open) {
    std::vector<ArrayFile> files;
    std::vector<std::string> given;
    for (const auto &[name, unused] : request.split.arguments) given.push_back(name);
    const std::string place = format("split %s: %s", request.split.name.c_str(), request.split.reader.c_str());
    for (size_t c = 0; c < request.columns.size(); ++c) {
        const Column &column = request.columns[c];
        const int64_t found = request.wants(c) ? name_for(request, column, given, place) : -1;
        if (!request.wants(c) || (found < 0 && request.may_lack(c))) {
            files.emplace_back();
            continue;
        }
        if (found < 0)
            fail(ExitCode::data, "split %s: no file for the model's input `%s`: %s was given %s", request.split.name.c_str(),
                 column.name.c_str(), request.split.reader.c_str(), join(given, ", ").c_str());
        const Value &value = request.split.arguments[size_t(found)].second;
        if (value.kind != Value::Kind::path && value.kind != Value::Kind::string)
            fail(ExitCode::data, "split %s: the file for `%s` is not a path", request.split.name.c_str(), column.name.c_str());
        files.push_back(open(request.path(value)));
    }
    return arrays_as_split(request, std::move(files));
}

Dataset arrays_as_split(const ReaderRequest &request, std::vector<ArrayFile> arrays) {
    if (arrays.empty()) fail(ExitCode::data, "split %s: the model has no inputs", request.split.name.c_str());
    auto first = std::find_if(arrays.begin(), arrays.end(), [](const ArrayFile &file) { return bool(file.read); });
    if (first == arrays.end()) {
        std::vector<std::string> wanted;
        for (size_t c = 0; c < request.columns.size(); ++c)
            if (request.wants(c)) wanted.push_back(request.columns[c].name);
        fail(ExitCode::data, "split %s: %s has nothing for any input of the model that is wanted of it (%s), and without one it is not known how many records there are",
             request.split.name.c_str(), request.split.reader.c_str(), quoted_list(wanted).c_str());
    }
    Dataset data;
    std::vector<std::string> paths;
    std::vector<DType> dtypes;
    for (size_t c = 0; c < arrays.size(); ++c) {
        const Column &column = request.columns[c];
        ArrayFile &file = arrays[c];
        dtypes.push_back(column.dtype);
        data.fills.push_back(bool(file.read));
        if (!file.read) continue;
        check_shape(column, file.record_shape, file.path);
        if (file.records != first->records)
            fail(ExitCode::data, "%s holds %lld records, but %s holds %lld", first->path.c_str(), (long long)first->records,
                 file.path.c_str(), (long long)file.records);
        paths.push_back(file.path);
        if (!file.in_memory) data.cost = Cost::disk;
        if (column.vocabulary) {
            data.texts.push_back(values_as_text(file, column));
            file.read = nullptr;
        } else if (column.classes > 0) {
            check_labels(file, column);
        } else {
            refuse_others(file, column);
        }
    }
    data.records = first->records;
    data.description = join(paths, ", ");
    auto files = std::make_shared<std::vector<ArrayFile>>(std::move(arrays));
    data.read = [files, dtypes](int64_t record, uint8_t *const *rows) {
        for (size_t c = 0; c < dtypes.size(); ++c)
            if ((*files)[c].read) (*files)[c].read(record, dtypes[c], rows[c]);
    };
    return data;
}

}  // namespace kiln::runtime
