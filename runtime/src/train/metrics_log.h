// metrics.csv and metrics.jsonl of a run folder: one row an epoch, on the disk before the epoch's checkpoint is.
//
// On resume, rows after the checkpoint's epoch (and a last line cut short by a kill) are dropped, since they will come again. The others must be there.
#pragma once

#include "program/metadata.h"
#include "train/label_unlabelled.h"
#include "support/file.h"

#include <string>
#include <vector>

namespace kiln::runtime {

struct EpochRow {
    int64_t epoch = 0;  ///< 1-based
    std::string phase;
    int64_t step = 0;
    double rate = 0;
    std::vector<double> train, validation;  ///< reported values by index in metadata.samples; validation may be empty
    double samples_per_second = 0, seconds = 0;
    std::vector<PseudoReport> pseudo{};  ///< of the phase's pseudo-labels, if it has any
};

class MetricsLog {
public:
    /// Opens or creates both files, keeping rows of the first `epochs` epochs. Throws Failure (disk; checkpoint if metrics.csv
    /// there has other columns, or a file has not one whole row of each of these epochs).
    MetricsLog(const std::string &run, const Metadata &metadata, bool with_validation, int64_t epochs);
    void append(const EpochRow &row);

private:
    const Metadata &metadata_;
    bool with_validation_;
    std::string csv_path_, jsonl_path_;
    FileDescriptor csv_, jsonl_;
};

/// "epoch,phase,step,rate,train_loss,...". For each split that a phase takes pseudo-labels of: its share of the batches, records, how many are
/// sure enough, agreement with the labels before, and how many of the sure have each class; empty fields in epochs without.
std::string csv_header(const Metadata &metadata, bool with_validation);

}  // namespace kiln::runtime
