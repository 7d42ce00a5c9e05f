// BatchStream: the batches of one pass over a split.
//
// Where records come from a disk or are decoded, or a batch is transformed, a background thread works ahead. Records that lie in memory
// are copied by the team of threads when the batch is asked for: that takes microseconds, and one more thread on processors that a
// team keeps busy costs every step more than it saves (bench/README.md has figures).
//
// Batch b holds the records order[b * batch .. ); only the last may be partial: its remaining rows are copies of its first
// record, and `valid` says how many count. The order is fixed, so a thread changes when a batch is ready and
// never what is in it; several threads share a batch of records. An error in reading surfaces from
// next() of the batch concerned.
#pragma once

#include "data/dataset.h"
#include "program/state.h"

#include <condition_variable>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

namespace kiln::runtime {

struct Batch {
    std::vector<const void *> columns;  ///< [batch, ..] each, 64-byte aligned
    int64_t valid = 0;
};

/// What is done to a batch after reading it, on the background thread: some columns are made anew.
struct BatchTransform {
    std::vector<int64_t> bytes;  ///< by column: of a batch of the column it makes; 0: the column stays as it was read
    std::function<void(int64_t batch, const std::vector<const void *> &raw, const std::vector<void *> &made)> run;
};

class BatchStream {
public:
    struct Range {
        int64_t first = 0, end = 0;  ///< batches
    };
    /// `order` empty: file order. Refers to dataset and columns, which must outlive it. `transform.run` null: batches as they are read.
    BatchStream(const Dataset &dataset, const std::vector<Column> &columns, int64_t batch, std::vector<int64_t> order,
                Range range, BatchTransform transform = {});
    ~BatchStream();

    /// The next batch, null at the end. It stays valid until the following call.
    const Batch *next();

private:
    struct Slot {
        std::vector<Memory> memory;
        std::vector<uint8_t *> raw;  ///< by column: where it is read to
        std::vector<void *> made;    ///< by column: where the transform writes, or null
        Batch batch;
        std::exception_ptr error;
    };
    void produce();
    void fill(Slot &slot, int64_t number) const;

    const Dataset &dataset_;
    const std::vector<Column> &columns_;
    int64_t batch_;
    std::vector<int64_t> order_;
    Range range_;
    int threads_;  ///< that decode a batch
    BatchTransform transform_;
    bool ahead_;  ///< a background thread fills the slots; else next() fills the only one
    std::vector<Memory> untransformed_;  ///< what the transform reads and nobody else
    std::vector<Slot> slots_;
    std::mutex mutex_;
    std::condition_variable can_fill_, can_take_;
    int64_t filled_, taken_, released_;  ///< batch numbers: next to fill, to take, to release
    bool stopping_ = false;
    std::thread thread_;
};

}  // namespace kiln::runtime
