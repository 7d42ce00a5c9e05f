// Labels for the splits without labels that a phase mixes in (`pseudo(..)`), by the inference program: nothing is augmented, nothing dropped.
#pragma once

#include "data/dataset.h"
#include "program/state.h"
#include "train/mixture.h"

#include <functional>
#include <string>
#include <vector>

namespace kiln::runtime {

/// The smallest confidence of records that are drawn.
double threshold(const ProgramState &state, const MixPart &part);

/// Opens every split that phases take pseudo-labels of, by name. Throws Failure (data) for a split that has labels, and for one whose records are
/// also in a split that is measured on, as far as readers can tell (check_not_measured).
std::map<std::string, Dataset> open_unlabelled_sets(const std::string &data_folder, const Metadata &metadata, const Vocabularies &vocabularies);

/// Throws Failure (data) if records of the split `pseudo` are in `measured`: files of the same name and content, or the same records of the same file.
void check_not_measured(const Dataset &pseudo, const std::string &pseudo_split, const Dataset &measured, const std::string &measured_split);

/// Throws Failure (data) unless the model's first output has probabilities: tried on the first batch.
void check_probabilities(ProgramState &state, const std::string &split, const Dataset &dataset);

/// Labels of all splits that the phase needs, in place of those in the state, whose classes the new ones are compared with. After the `first` epoch
/// of a phase only those that are made anew every epoch; Failure (checkpoint) if the others are not there. Leaves weights, sums and position alone. False, and nothing changed, once `stop` says yes; it is asked after each batch.
bool label_unlabelled(ProgramState &state, int64_t phase, bool first, const DatasetsByName &splits, const std::function<bool()> &stop);

/// What is known of the labels of one part of the mix.
struct PseudoReport {
    std::string split;
    double share = 0;  ///< of every batch
    int64_t rows = 0, records = 0, confident = 0;
    double above = 0;
    std::optional<double> agreement;
    std::vector<int64_t> classes;  ///< confident records by class
};

std::vector<PseudoReport> pseudo_reports(const ProgramState &state, const Phase &phase);

/// "pseudo-labels of unlabelled: .." and a line of classes by their names.
std::string describe(const PseudoReport &report, const ProgramState &state);

/// Throws Failure (data) if no record is confident enough; a warning if an epoch of so many batches repeats some.
void check_confident(const PseudoReport &report, const PseudoLabels &labels, int64_t batches);

}  // namespace kiln::runtime
