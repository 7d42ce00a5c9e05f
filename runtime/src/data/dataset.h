// Dataset: the records of a split, read one at a time into rows of the model's columns; and the readers that open one.
//
// A reader is one file data/readers/<name>.cpp that defines `Dataset open_<name>(const ReaderRequest &)`; the build makes the
// table of readers from the names of these files. Readers give raw values: u8 pixels arrive as 0 to 255 in the column's element
// type, and scaling is the model's business (BatchNorm at its input does it).
#pragma once

#include "program/metadata.h"

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace kiln::runtime {

struct Dataset {
    int64_t records = 0;
    std::string description;  ///< the files, for messages
    /// Writes one record: rows[c] receives column c, dense. One call at a time, from any thread. Throws Failure (data).
    std::function<void(int64_t record, uint8_t *const *rows)> read;
};

struct ReaderRequest {
    std::string data_folder;
    const Split &split;
    const std::vector<Column> &columns;

    /// The argument of this name, null if it was not given.
    const Value *argument(std::string_view name) const;
    /// A path relative to the data folder.
    std::string path(const Value &value) const;
};

struct ReaderEntry {
    const char *name;
    Dataset (*open)(const ReaderRequest &);
};
/// Every reader; made by the build.
extern const std::vector<ReaderEntry> kReaders;

/// Opens and validates a split; throws Failure (data) naming the file and record.
Dataset open_split(const std::string &data_folder, const Split &split, const std::vector<Column> &columns);

/// The split of this name, or a Failure (data) that lists those there are.
const Split &split_named(const Metadata &metadata, const std::string &name);

/// Throws unless values of shape `found` can fill the column: the shapes agree but for extents of 1, or the column is flat
/// ([784] for 28x28).
void check_shape(const Column &column, const std::vector<int64_t> &found, const std::string &path);

/// Row-major conversion of `count` elements; integers and floats convert by value.
void convert_elements(DType from, const uint8_t *source, DType to, uint8_t *target, int64_t count);

}  // namespace kiln::runtime
