// source |> class_weights(): an input of the model that says how much a record counts, records / (classes * records of its class), so that every
// class counts as much as any other and the mean over the records is 1.
#include "data/select.h"
#include "support/failure.h"
#include "support/text.h"

#include <algorithm>
#include <cstring>
#include <memory>

namespace kiln::runtime {
Dataset open_class_weights(const ReaderRequest &request) {
    const std::string input = text_argument(request, "input"), by = class_argument(request);
    auto column = std::find_if(request.columns.begin(), request.columns.end(), [&](const Column &c) { return c.name == input; });
    const bool fits = column != request.columns.end() && column->classes == 0 && column->elements() == 1 && (column->dtype == DType::f32 || column->dtype == DType::f64);
    if (!fits)
        fail(ExitCode::data, "split %s: class_weights gives the input `%s`, and %s; declare `%s: f32`", request.split.name.c_str(), input.c_str(),
             column == request.columns.end() ? "the model has no such input" : "that of the model is no single number", input.c_str());
    const auto at = size_t(column - request.columns.begin());
    ReaderRequest of_source = request;
    of_source.partial = true;
    Dataset source = of_source.open_source("source", {by});
    const std::vector<std::vector<int64_t>> classes = records_by_class(request, source, by);
    auto weights = std::make_shared<std::vector<double>>(size_t(source.records));
    for (const std::vector<int64_t> &records : classes)
        for (int64_t record : records) (*weights)[size_t(record)] = double(source.records) / double(classes.size() * records.size());
    if (!source.fills.empty() && source.fills[at]) fail(ExitCode::data, "split %s: %s has an input `%s` of its own", request.split.name.c_str(), source.description.c_str(), input.c_str());
    if (source.fills.empty()) source.fills.assign(request.columns.size(), true);
    source.fills[at] = true;
    source.read = [read = std::move(source.read), weights, at, is_double = column->dtype == DType::f64](int64_t record, uint8_t *const *rows) {
        read(record, rows);
        const double weight = (*weights)[size_t(record)];
        const auto narrow = float(weight);
        if (is_double) std::memcpy(rows[at], &weight, sizeof weight);
        else std::memcpy(rows[at], &narrow, sizeof narrow);
    };
    return source;
}

}  // namespace kiln::runtime
