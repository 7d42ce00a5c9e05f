// Manifest: manifest.json of a checkpoint folder, everything of a run that is not a tensor.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace kiln::runtime {

/// Where a run stands: the next thing to do is batch `batch` of epoch `epoch`. batch == batches per epoch: the epoch's
/// steps are done, but not yet its validation.
struct Position {
    int64_t step = 0;   ///< steps done, over the whole run
    int64_t phase = 0;  ///< phases.size(): the run is complete
    int64_t epoch = 0;  ///< epochs completed, over the whole run
    int64_t epoch_in_phase = 0;
    int64_t batch = 0;
    bool operator==(const Position &) const = default;
};

struct BestSoFar {
    std::string metric;
    double value = 0;
    int64_t epoch = 0;  ///< 1-based
};

struct FileRecord {
    int64_t bytes = 0;
    std::string hash;  ///< xxh64
};

struct Manifest {
    std::string model, fingerprint, program;
    int64_t batch = 0;
    uint64_t seed = 0;
    Position position;
    std::vector<int64_t> epochs;  ///< of each phase, as this run was told
    std::vector<int64_t> trained; ///< of each phase that is over, what it took
    std::map<std::string, double> hypers;
    std::map<std::string, double> scalars;  ///< all of them, globals included
    std::map<std::string, double> sums;     ///< of the running epoch, by name of the mean
    std::optional<BestSoFar> best;
    std::string data;     ///< the folder given as --data
    int64_t records = 0;  ///< of the training split
    std::string data_checksum;  ///< of what is trained on (sample_checksum); "" in checkpoints of before there was one
    std::string validation_checksum;  ///< of what tells which epoch is the best; "" if nothing does, and in checkpoints of before there was one
    double seconds = 0;   ///< spent training
    std::map<std::string, FileRecord> files;
};

/// JSON with a checksum over itself. Doubles round-trip exactly; infinities and NaN are strings.
std::string print(const Manifest &manifest);

/// Throws Failure (checkpoint) naming `path`.
Manifest parse_manifest(const std::string &text, const std::string &path);

}  // namespace kiln::runtime
