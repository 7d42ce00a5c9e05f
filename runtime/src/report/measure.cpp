#include "report/measure.h"

#include "data/batch_stream.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace kiln::runtime {
namespace {

double element(DType dtype, const void *values, int64_t index) {
    double value = 0;
    convert_elements(dtype, static_cast<const uint8_t *>(values) + index * size_of(dtype), DType::f64, reinterpret_cast<uint8_t *>(&value), 1);
    return value;
}

std::optional<double> share(double part, double whole) {
    if (whole == 0) return std::nullopt;
    return part / whole;
}

void compare(Measured::Record &record, const Task &task, const std::vector<double> &entries, double target) {
    record.target = target;
    if (task.comparison == Comparison::values) {
        record.value = entries[0];
    } else if (entries.size() == 1) {  // of two classes, the probability of the second
        record.value = entries[0] >= 0.5;
        record.confidence = record.value != 0 ? entries[0] : 1 - entries[0];
        record.probability = target != 0 ? entries[0] : 1 - entries[0];
    } else {
        record.value = double(std::max_element(entries.begin(), entries.end()) - entries.begin());
        record.confidence = entries[size_t(record.value)];
        record.probability = entries[size_t(target)];
    }
}

}  // namespace

Task task_of(const Metadata &metadata) {
    Task task;
    if (metadata.outputs.empty()) return task;
    const Output &output = metadata.outputs.front();
    if (output.shape.empty() || output.shape[0] != metadata.batch) return task;
    task.output = &output;
    const int64_t width = element_count(output.shape) / output.shape[0];
    std::vector<size_t> labels, numbers;
    for (size_t c = 0; c < metadata.columns.size(); ++c) {
        const Column &column = metadata.columns[c];
        if (column.predicts || column.elements() != 1) continue;
        const bool fits = width > 1 ? column.classes == width : column.classes == 2;
        if (fits) labels.push_back(c);
        else if (column.classes == 0 && width == 1) numbers.push_back(c);
    }
    if (labels.size() == 1 && numbers.empty()) task.comparison = Comparison::classes, task.target = labels[0];
    else if (labels.empty() && numbers.size() == 1) task.comparison = Comparison::values, task.target = numbers[0];
    return task;
}

Measured measure(ProgramState &state, const Dataset &dataset, const Task &task) {
    const Metadata &metadata = state.metadata;
    Measured measured;
    measured.records.resize(size_t(dataset.records));
    measured.least.assign(metadata.columns.size(), std::numeric_limits<double>::infinity());
    measured.greatest.assign(metadata.columns.size(), -std::numeric_limits<double>::infinity());
    const Output *loss = nullptr;
    for (const Output &values : metadata.sample_values)
        if (values.name == "loss" && state.program.eval_step) loss = &values;
    measured.has_loss = loss != nullptr;
    const bool predicts = task.output && state.program.predict_step;
    std::fill(state.sums().begin(), state.sums().end(), 0.0);
    const int64_t batch = metadata.batch;
    std::vector<double> entries(predicts ? size_t(element_count(task.output->shape) / batch) : 0), values;
    int64_t first = 0;
    BatchStream stream(dataset, metadata.columns, batch, {}, {0, (dataset.records + batch - 1) / batch});
    while (const Batch *next = stream.next()) {
        state.set_columns(next->columns, first);
        Measured::Record *records = measured.records.data() + first;
        for (size_t c = 0; c < metadata.columns.size(); ++c) {
            const Column &column = metadata.columns[c];
            values.resize(size_t(next->valid * column.elements()));
            convert_elements(column.dtype, static_cast<const uint8_t *>(next->columns[c]), DType::f64, reinterpret_cast<uint8_t *>(values.data()), int64_t(values.size()));
            auto [least, greatest] = std::minmax_element(values.begin(), values.end());
            measured.least[c] = std::min(measured.least[c], *least);
            measured.greatest[c] = std::max(measured.greatest[c], *greatest);
        }
        if (state.program.eval_step) state.program.eval_step(state.context(), next->valid);
        // Before prediction, which works in the same memory.
        for (int64_t row = 0; loss && row < next->valid; ++row) records[row].loss = element(loss->dtype, state.output(*loss), loss->shape.empty() ? 0 : row);
        if (predicts) state.program.predict_step(state.context());
        for (int64_t row = 0; predicts && task.comparison != Comparison::none && row < next->valid; ++row) {
            const auto width = int64_t(entries.size());
            for (int64_t k = 0; k < width; ++k) entries[size_t(k)] = element(task.output->dtype, state.output(*task.output), row * width + k);
            compare(records[row], task, entries, element(metadata.columns[task.target].dtype, next->columns[task.target], row));
        }
        first += next->valid;
    }
    if (state.program.eval_step) measured.metrics = reported(state, state.sums(), double(dataset.records));
    return measured;
}

std::optional<double> ClassRow::precision() const { return share(double(right), double(taken)); }
std::optional<double> ClassRow::recall() const { return share(double(right), double(count)); }
std::optional<double> ClassRow::f1() const { return share(2 * double(right), double(count + taken)); }

std::vector<ClassRow> class_rows(const Measured &measured, int64_t classes) {
    std::vector<ClassRow> rows(static_cast<size_t>(classes));
    for (const Measured::Record &record : measured.records) {
        rows[size_t(record.target)].count += 1;
        rows[size_t(record.value)].taken += 1;
        rows[size_t(record.target)].right += record.target == record.value;
    }
    return rows;
}

double quantile(const std::vector<double> &sorted, double share) {
    if (sorted.empty()) return std::nan("");
    double place = share * double(sorted.size() - 1);
    auto below = size_t(place);
    size_t above = std::min(below + 1, sorted.size() - 1);
    return sorted[below] + (sorted[above] - sorted[below]) * (place - double(below));
}

}  // namespace kiln::runtime
