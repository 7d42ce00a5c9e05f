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
#include <unordered_map>
#include <vector>

namespace kiln::runtime {

/// A column of text: each distinct value once, and which one every record has.
struct TextColumn {
    std::string name;
    std::vector<std::string> values;  ///< UTF-8
    std::vector<int32_t> records;     ///< by record: index in values
};

/// Makes a TextColumn of the values of one record after the other.
class TextBuilder {
public:
    explicit TextBuilder(std::string name) { column_.name = std::move(name); }
    void add(std::string value);
    TextColumn finish() { return std::move(column_); }

private:
    TextColumn column_;
    std::unordered_map<std::string, int32_t> index_;
};

/// What reading a record takes: a copy in memory, the patience of a disk, or work on all processors. It decides who makes batches, and when.
enum class Cost { memory, disk, decoding };

struct Prepared {
    std::vector<int64_t> records;
    Cost cost = Cost::memory;  ///< from now on
};

struct Dataset {
    int64_t records = 0;
    std::string description;  ///< the files, for messages
    /// Writes one record: rows[c] receives column c, dense. From any thread, several at once. Throws Failure (data).
    std::function<void(int64_t record, uint8_t *const *rows)> read;
    /// What a record is called, such as a file's name below the split's folder, or a file and a line. Null: records have numbers only.
    std::function<std::string(int64_t record)> name{};
    /// XXH64 of what a record was read from, to tell whether it is also in another split; throws Failure (data). Null: not known.
    std::function<uint64_t(int64_t record)> fingerprint{};
    /// Reads ahead what these records need (pictures are decoded) once transforms have chosen them, and returns the good ones among them, in
    /// order. Throws Failure (data), naming them, if more are bad than may be. Null: there is nothing to do. Called by prepared().
    std::function<Prepared(const std::vector<int64_t> &records)> prepare{};
    Cost cost = Cost::memory;
    std::string no_labels{};  ///< why labels are not there and read as 0; "" if they are
    /// Inputs of `class[n]` whose values are text, by name: `read` leaves their rows alone, and data/vocabulary.h numbers them.
    std::vector<TextColumn> texts{};
    /// The columns that ReaderRequest::keys asked for, those of them that there are.
    std::vector<TextColumn> keys{};
    std::vector<std::string> offers{};  ///< columns that can be keys, for messages
    std::vector<bool> fills{};          ///< by column: the inputs that `read` writes or `texts` has; empty: all
    bool gives(size_t column) const { return fills.empty() || fills[column]; }
};

/// A record's name, or "record 7 of FILES" (counted from 0).
std::string record_name(const Dataset &dataset, int64_t record);

/// A call of a reader. A transform is a reader too: one that opens another call, its argument `source`, and changes what that gives.
struct ReaderRequest {
    std::string data_folder;
    const Split &split;  ///< the split that messages name, and the reader and arguments of this call
    const std::vector<Column> &columns;
    std::vector<std::string> keys{};  ///< columns that transforms need as text, inputs of the model or not; a reader gives those it has
    std::vector<bool> wanted{};       ///< by column: the inputs that are to be filled; empty: all
    bool partial = false;             ///< an input that is wanted and not there comes from elsewhere, and is no error
    std::vector<bool> needed{};       ///< by column: those whose absence is an error; empty: all

    bool may_lack(size_t column) const { return partial || !(needed.empty() || needed[column]); }
    bool wants(size_t column) const { return wanted.empty() || wanted[column]; }
    /// Opens the call of a reader that is an argument of this one, with further keys.
    Dataset open_source(std::string_view argument, const std::vector<std::string> &further_keys) const;
    /// The argument of this name, null if it was not given.
    const Value *argument(std::string_view name) const;
    /// A path relative to the data folder.
    std::string path(const Value &value) const;
    /// The path that an argument is. Throws Failure (data) if it is none, or was not given.
    std::string path_argument(std::string_view name) const;
};

struct ReaderEntry {
    const char *name;
    Dataset (*open)(const ReaderRequest &);
};
/// Every reader; made by the build.
extern const std::vector<ReaderEntry> kReaders;

/// Runs the reader that a request names. Throws Failure (data). What it gives is not prepared: transforms come first.
Dataset open_reader(const ReaderRequest &request);

/// Opens and validates a split; throws Failure (data) naming the file and record. Its texts are not numbered yet: see data/vocabulary.h.
Dataset open_split(const std::string &data_folder, const Split &split, const std::vector<Column> &columns);

/// The split of this name, or a Failure (data) that lists those there are.
const Split &split_named(const Metadata &metadata, const std::string &name);

/// The split that is measured unless another is named: test, else validation, else train.
std::string measured_split(const Metadata &metadata);

/// Throws Failure (data) for a split without labels: nothing can be trained or measured on it.
void require_labels(const Dataset &dataset, const std::string &split);

/// Throws Failure (data), naming them, if records of the same name and content are in both splits; records of the same name and
/// other content are a warning.
void check_overlap(const Dataset &training, const Dataset &other, const std::string &other_split);

/// A checksum by which training data are known again wherever they lie: over what is read of 64 records from the first to the last, of as many as have
/// 16 MiB where they lie in memory, and over how many there are.
uint64_t sample_checksum(const Dataset &dataset, const std::vector<Column> &columns);

/// Throws unless values of shape `found` can fill the column: the shapes agree but for extents of 1, or the column is flat
/// ([784] for 28x28).
void check_shape(const Column &column, const std::vector<int64_t> &found, const std::string &path);

/// The value of an IEEE half.
float from_half(uint16_t bits);

/// Row-major conversion of `count` elements; integers and floats convert by value.
void convert_elements(DType from, const uint8_t *source, DType to, uint8_t *target, int64_t count);

/// The first of `count` elements that `to` has no number for, -1 if there is none: what is NaN, infinite or beyond its range, for integers also what is
/// not whole. (Truth values are made of every number.)
int64_t first_without_place(DType from, const uint8_t *source, DType to, int64_t count);
/// An element, for messages.
std::string element_text(DType type, const uint8_t *elements, int64_t index);

}  // namespace kiln::runtime
