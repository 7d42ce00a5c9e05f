// TrainingData: every split that a training reads, and the checksums by which they are known again.
#pragma once

#include "data/vocabulary.h"
#include "train/mixture.h"

#include <map>
#include <optional>
#include <string>

namespace kiln::runtime {

struct TrainingData {
    /// Opens the splits; the vocabularies are built from them, or must be those of a checkpoint. `validation` is opened if `validates`. Throws
    /// Failure (data).
    TrainingData(const std::string &folder, const Metadata &metadata, Vocabularies &vocabularies, bool validates);
    TrainingData(const TrainingData &) = delete;

    int64_t records() const;  ///< of what is trained on with labels
    /// Of what is trained on, and of what decides which epoch is the best; "" if nothing does.
    std::string checksum() const;
    std::string validation_checksum() const;

    std::map<std::string, Dataset> training;    ///< by split
    std::map<std::string, Dataset> unlabelled;  ///< by split: those that pseudo-labels are made for
    DatasetsByName splits;                      ///< all of these
    std::optional<Dataset> validation;

private:
    const std::vector<Column> &columns_;
};

}  // namespace kiln::runtime
