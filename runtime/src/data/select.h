// Parts of a dataset: what the transforms of the `data` block are made of. A part is given by which of the records it has, in file
// order; two parts made from the same arguments, one with `rest`, are disjoint and together the whole.
#pragma once

#include "data/dataset.h"

#include <cstdint>
#include <string>
#include <vector>

namespace kiln::runtime {

/// The label: the model's one class[n] that no output depends on, "" if there is none or more than one.
std::string label_of(const std::vector<Column> &columns);

/// The dataset with the given records only, in the given order.
Dataset select_records(Dataset dataset, std::vector<int64_t> records);

/// The dataset with its records read ahead, without the bad ones that may be left out; see Dataset::prepare.
Dataset prepared(Dataset dataset);

/// The records with `chosen`, or, with `rest`, those without. Throws Failure (data) if there are none.
Dataset select_part(const ReaderRequest &request, Dataset dataset, const std::vector<bool> &chosen);

/// The column of text that `request` asked a source for; throws Failure (data), listing the columns there are, if it does not have it.
const TextColumn &key_of(const ReaderRequest &request, const Dataset &dataset, const std::string &name);

/// The records of each value of a column, values in the order of a vocabulary (so that the order of the records has no say in it).
std::vector<std::vector<int64_t>> records_by_value(const TextColumn &column);

/// The column of a transform's classes: its argument `by`, else the label. Throws Failure (data) if that leaves none.
std::string class_argument(const ReaderRequest &request);
/// The records of each class of that column. Throws Failure (data) if the source has no labels.
std::vector<std::vector<int64_t>> records_by_class(const ReaderRequest &request, const Dataset &source, const std::string &by);

/// The positions 0 .. count - 1 in an order drawn by `seed` and `stream`, which no epoch has.
std::vector<int64_t> random_order(int64_t count, uint64_t seed, uint64_t stream);
/// `count` of `of` positions, chosen by `seed` and `stream`.
std::vector<bool> random_choice(int64_t count, int64_t of, uint64_t seed, uint64_t stream);

/// Arguments of a transform; throw Failure (data) for values outside the range that the message names.
double share_argument(const ReaderRequest &request, std::string_view name, bool may_be_whole);
uint64_t seed_argument(const ReaderRequest &request);
bool flag_argument(const ReaderRequest &request, std::string_view name);
std::string text_argument(const ReaderRequest &request, std::string_view name);  ///< "" if it was not given

}  // namespace kiln::runtime
