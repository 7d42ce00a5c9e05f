// Mixture: the batches of a phase with `mix = 3/4 labelled + 1/4 pseudo(unlabelled)`, as one dataset and an order of its records.
//
// Every batch has exactly the rows of each part, part by part in the order of the terms. An epoch is one pass over the first labelled part
// (what does not fill a batch is left for other epochs, as always); the other parts give as many records as that needs: a permutation of theirs, and
// another when it is used up. Where the label is soft, batches have shares of the classes in its place.
#pragma once

#include "data/dataset.h"
#include "program/state.h"

#include <map>
#include <string>
#include <vector>

namespace kiln::runtime {

/// Datasets by split; they must outlive what is made of them.
using DatasetsByName = std::map<std::string, const Dataset *>;

class Mixture {
public:
    /// Of a phase, whose `mix` may be empty. Pseudo-labels are those of the state, as they are now.
    Mixture(const ProgramState &state, const Phase &phase, const DatasetsByName &splits);

    const Dataset &dataset() const { return dataset_; }
    /// The model's, but for a soft label.
    const std::vector<Column> &columns() const { return columns_; }
    /// The records of so many batches: a function of seed and epoch.
    std::vector<int64_t> order(uint64_t seed, int64_t epoch, int64_t batches) const;

private:
    struct Part {
        const Dataset *dataset = nullptr;
        int64_t rows = 0, first = 0;    ///< of a batch; the number of its first record in dataset_
        std::vector<int64_t> eligible;  ///< what may be drawn, if not everything
        bool pseudo = false;
    };
    std::vector<Part> parts_;
    bool shuffle_;
    size_t lead_ = 0;  ///< the part that an epoch is a pass over
    std::vector<Column> columns_;
    Dataset dataset_;
};

/// A label as shares of the classes: 1 for its own.
void write_shares(int32_t label, int64_t classes, float *shares);

/// The phase with the rows of its first labelled part only, for what looks at batches without training on pseudo-labels.
Phase labelled_only(const Phase &phase, int64_t batch);

}  // namespace kiln::runtime
