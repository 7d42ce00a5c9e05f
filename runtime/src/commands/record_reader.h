// RecordReader: the records of a split as numbers, for what is shown of them.
#pragma once

#include "data/dataset.h"

namespace kiln::runtime {

/// One record at a time, all columns as doubles.
class RecordReader {
public:
    explicit RecordReader(const std::vector<Column> &columns) : columns_(columns) {
        for (const Column &column : columns) {
            raw_.emplace_back(size_t(column.bytes()));
            rows_.push_back(raw_.back().data());
            values_.emplace_back(size_t(column.elements()));
        }
    }
    const std::vector<std::vector<double>> &read(const Dataset &dataset, int64_t record) {
        dataset.read(record, rows_.data());
        for (size_t c = 0; c < columns_.size(); ++c)
            convert_elements(columns_[c].dtype, raw_[c].data(), DType::f64, reinterpret_cast<uint8_t *>(values_[c].data()),
                             columns_[c].elements());
        return values_;
    }

private:
    const std::vector<Column> &columns_;
    std::vector<std::vector<uint8_t>> raw_;
    std::vector<uint8_t *> rows_;
    std::vector<std::vector<double>> values_;
};

}  // namespace kiln::runtime
