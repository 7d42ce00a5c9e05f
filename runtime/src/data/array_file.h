// ArrayFile: an array whose first extent counts records, such as an IDX or a NumPy file; and the split made of one for each input
// of the model.
#pragma once

#include "data/dataset.h"

#include <functional>
#include <string>
#include <vector>

namespace kiln::runtime {

struct ArrayFile {
    std::string path;
    int64_t records = 0;
    std::vector<int64_t> record_shape;
    DType type = DType::f32;  ///< what its elements are
    bool in_memory = false;
    /// Elements of one record converted to a type. From any thread, several at once.
    std::function<void(int64_t record, DType dtype, uint8_t *to)> read;

    bool is_integer() const { return type != DType::f32 && type != DType::f64; }
};

/// Which of the names given is for an input: its own, with or without a final s (unless that is another input's). -1: none is. Two are an error:
/// Failure (data), which says that it is `place` that has both.
int64_t name_for(const ReaderRequest &request, const Column &column, const std::vector<std::string> &names, const std::string &place);

/// Opens the file of each input with `open` and checks them: shapes, equal counts, every label against its input's classes, and that the input
/// can hold every number: at once in memory, as it is read from a disk. Throws Failure (data) that names the file and the record.
Dataset open_arrays(const ReaderRequest &request, const std::function<ArrayFile(const std::string &path)> &open);
/// The same with files that are open, one for each input; without `read` where another source gives the input.
Dataset arrays_as_split(const ReaderRequest &request, std::vector<ArrayFile> files);

}  // namespace kiln::runtime
