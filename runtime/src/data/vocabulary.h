// Vocabulary: the values of an input `class[n]` that come as text (ids, names of classes or of folders), and the row each stands for.
//
// Any reader may give such text (Dataset::texts, under the input's name): csv does where the `data` block declares `vocabulary()` for
// the input, a reader of folders does of its own accord. The vocabulary is built from the split `train` after its transforms, is
// part of the checkpoint (vocabularies.json), and numbers the records of all other splits.
//
// An input `class[n][length]` is read from texts, too: a row for each of their words, which white space parts. Row 0 is then the padding after the last word
// of a text, which stands as "" in the vocabulary; of texts with more words the first are read.
//
// Rows: whole numbers first, by value (without leading zeros: 7 before 07), then everything else by its bytes; then the unknown row, if
// one is declared.
#pragma once

#include "data/dataset.h"

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace kiln::runtime {

/// The file of a checkpoint that has them.
inline constexpr const char *kVocabulariesFile = "vocabularies.json";

class Vocabulary {
public:
    Vocabulary() = default;
    /// `values` in their order, without repetition; `unknown` is what the row after them is called.
    Vocabulary(std::vector<std::string> values, std::optional<std::string> unknown);

    const std::vector<std::string> &values() const { return values_; }
    const std::optional<std::string> &unknown() const { return unknown_; }
    int64_t rows() const { return int64_t(values_.size()) + unknown_.has_value(); }
    /// The row of a value, -1 if it has none.
    int64_t row(const std::string &value) const;
    /// What people call a row: the name that set_names gave its value, else the value itself; the padding is "(padding)".
    const std::string &name(int64_t row) const;
    /// One name for each value.
    void set_names(std::vector<std::string> names) { names_ = std::move(names); }
    const std::vector<std::string> &names() const { return names_; }
    /// The row of what a person wrote: a value, or else a name. Throws Failure (usage) with `what` for text that is neither, with what is
    /// like it, and for a name that several values have, with these.
    int64_t find(const std::string &text, const std::string &what) const;

private:
    std::vector<std::string> values_, names_;
    std::optional<std::string> unknown_;
    std::unordered_map<std::string, int64_t> rows_;
};

/// The words of a text in UTF-8, parted by white space of Unicode and by byte order marks.
std::vector<std::string_view> words_of(std::string_view text);
/// What a text is in a column: the row of its value, or those of its words, as many as the column has elements, and of the padding after them. -1: what
/// the vocabulary lacks.
std::vector<int32_t> rows_of(const Vocabulary &vocabulary, const Column &column, const std::string &text);

/// By input.
using Vocabularies = std::map<std::string, Vocabulary>;

/// What a class of an input is called: the value of its row, or its number. "-" for a row that has no value.
std::string class_name(const Vocabularies &vocabularies, const Column &column, int64_t row);

/// Whether `a` comes before `b` in a vocabulary.
bool value_before(const std::string &a, const std::string &b);

/// Opens the split `train` and builds the vocabularies from it. Throws Failure (data) where one has more rows than its input allows,
/// naming the -D that helps. If `vocabularies` holds those of a checkpoint already, they must be the same: Failure (checkpoint).
Dataset open_training_split(const std::string &data_folder, const Metadata &metadata, Vocabularies &vocabularies);

/// The split `train` and those that phases train on instead, by name. Throws Failure (data) for one without labels or smaller than
/// a batch.
std::map<std::string, Dataset> open_training_sets(const std::string &data_folder, const Metadata &metadata, Vocabularies &vocabularies);
/// Whole batches of an epoch, by phase.
std::vector<int64_t> steps_per_epoch(const std::map<std::string, Dataset> &training_sets, const Metadata &metadata);

/// Opens any split with the vocabularies of the checkpoint. Throws Failure (data) that names values the vocabularies lack, by file and line.
Dataset open_split(const std::string &data_folder, const Metadata &metadata, const std::string &split, const Vocabularies &vocabularies);

/// The same for `predict`, which needs no input that only a loss or a metric reads. Of those only labels are read, if they are there: transforms go by them;
/// and all that are there if an output needs none at all, as those of a generator from noise: there is one prediction for each record.
Dataset open_split_to_predict(const std::string &data_folder, const Metadata &metadata, const std::string &split, const Vocabularies &vocabularies);

/// Throws Failure (checkpoint) unless these are vocabularies of this program; `place` is the checkpoint.
void check_vocabularies(const Vocabularies &vocabularies, const Metadata &metadata, const std::string &place);

/// As JSON, and back; parsing throws Failure (checkpoint).
std::string print(const Vocabularies &vocabularies);
Vocabularies parse_vocabularies(const std::string &text, const std::string &path);

}  // namespace kiln::runtime
