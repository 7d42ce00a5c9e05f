// Pseudo-labels: the classes that the model's first output gives the records of a split without labels, to train on (Lee 2013). They are
// computed by the inference program from the weights at one moment (train/label_unlabelled.h), and are part of every checkpoint,
// pseudo_labels.safetensors, so that a resumed run goes on with the same ones.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace kiln::runtime {

/// Those of one split.
struct PseudoLabels {
    std::string split;
    std::vector<int32_t> classes;     ///< by record: the likeliest class
    std::vector<float> confidence;    ///< by record: its probability
    std::vector<float> targets;       ///< [records, classes]: all probabilities; empty if the targets are hard
    std::optional<double> agreement;  ///< share of the records whose class is what it was before the last refresh; none: the first labels
};

/// Those in use.
struct PseudoLabelSets {
    int64_t phase = -1;  ///< the phase they were made in; -1: there are none
    std::vector<PseudoLabels> sets;

    const PseudoLabels *find(const std::string &split) const;
};

/// The records that may be drawn, in their order: at least as confident as `above`.
std::vector<int64_t> confident_records(const PseudoLabels &labels, double above);
/// How many of `records` have each class.
std::vector<int64_t> class_counts(const PseudoLabels &labels, const std::vector<int64_t> &records, int64_t classes);

}  // namespace kiln::runtime
