#include "data/batch_stream.h"

#include "support/background.h"
#include "support/parallel.h"
#include "threads/team.h"

#include <algorithm>
#include <cstring>

namespace kiln::runtime {
namespace {

// Batches of fewer bytes are read by one thread.
constexpr int64_t kSharedBytes = 32 << 10;

int64_t record_bytes(const std::vector<Column> &columns) {
    int64_t bytes = 0;
    for (const Column &column : columns) bytes += column.bytes();
    return bytes;
}

// Small batches are queued deeper, so that the threads need to wake each other less often.
size_t slot_count(const std::vector<Column> &columns, int64_t batch) {
    return size_t(std::clamp<int64_t>((int64_t(2) << 20) / (batch * record_bytes(columns) + 1), 3, 64));
}

}  // namespace

BatchStream::BatchStream(const Dataset &dataset, const std::vector<Column> &columns, int64_t batch, std::vector<int64_t> order,
                         Range range, BatchTransform transform)
    : dataset_(dataset),
      columns_(columns),
      batch_(batch),
      order_(std::move(order)),
      range_(range),
      threads_(team_size()),
      transform_(std::move(transform)),
      ahead_(dataset.cost != Cost::memory || transform_.run),
      slots_(ahead_ ? slot_count(columns, batch) : 1),
      filled_(range.first),
      taken_(range.first),
      released_(range.first) {
    transform_.bytes.resize(columns.size());
    for (size_t c = 0; c < columns.size(); ++c)
        untransformed_.emplace_back(size_t(transform_.bytes[c] ? batch * columns[c].bytes() : 0));
    for (Slot &slot : slots_)
        for (size_t c = 0; c < columns.size(); ++c) {
            const int64_t made = transform_.bytes[c];
            slot.memory.emplace_back(size_t(made ? made : batch * columns[c].bytes()));
            uint8_t *memory = slot.memory.back().data();
            slot.batch.columns.push_back(memory);
            slot.raw.push_back(made ? untransformed_[c].data() : memory);
            slot.made.push_back(made ? memory : nullptr);
        }
    if (ahead_) thread_ = background_thread([this] { produce(); });
}

BatchStream::~BatchStream() {
    if (!ahead_) return;
    {
        std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    can_fill_.notify_one();
    thread_.join();
}

const Batch *BatchStream::next() {
    if (!ahead_) {
        if (taken_ >= range_.end) return nullptr;
        fill(slots_[0], taken_++);
        return &slots_[0].batch;
    }
    std::unique_lock lock(mutex_);
    bool had_one = taken_ > released_;
    released_ = taken_;
    // Woken when half of the slots are free: one wake-up for several batches.
    if (had_one && filled_ - released_ <= int64_t(slots_.size() / 2)) can_fill_.notify_one();
    if (taken_ >= range_.end) return nullptr;
    can_take_.wait(lock, [&] { return filled_ > taken_; });
    Slot &slot = slots_[size_t(taken_) % slots_.size()];
    if (slot.error) std::rethrow_exception(slot.error);
    ++taken_;
    return &slot.batch;
}

void BatchStream::produce() {
    flush_denormals();
    for (int64_t number = range_.first; number < range_.end; ++number) {
        {
            std::unique_lock lock(mutex_);
            can_fill_.wait(lock, [&] { return stopping_ || filled_ - released_ < int64_t(slots_.size()); });
            if (stopping_) return;
        }
        Slot &slot = slots_[size_t(number) % slots_.size()];
        try {
            fill(slot, number);
        } catch (...) {
            slot.error = std::current_exception();
        }
        {
            std::lock_guard lock(mutex_);
            ++filled_;
        }
        can_take_.notify_one();
        if (slot.error) return;
    }
}

void BatchStream::fill(Slot &slot, int64_t number) const {
    int64_t first = number * batch_;
    // An order may name records more often than once, or not at all.
    slot.batch.valid = std::min(batch_, (order_.empty() ? dataset_.records : int64_t(order_.size())) - first);
    auto read = [&](size_t row) {
        std::vector<uint8_t *> rows(columns_.size());
        for (size_t c = 0; c < columns_.size(); ++c) rows[c] = slot.raw[c] + int64_t(row) * columns_[c].bytes();
        int64_t record = first + int64_t(row);
        dataset_.read(order_.empty() ? record : order_[size_t(record)], rows.data());
    };
    if (dataset_.cost == Cost::decoding && threads_ > 1) {
        parallel_for(size_t(slot.batch.valid), threads_, read);
    } else if (ThreadTeam *team = ahead_ ? nullptr : ThreadTeam::current(); team && slot.batch.valid * record_bytes(columns_) >= kSharedBytes) {
        team->for_each(int(slot.batch.valid), [&](int row) { read(size_t(row)); });
    } else {
        for (size_t row = 0; row < size_t(slot.batch.valid); ++row) read(row);
    }
    for (int64_t row = slot.batch.valid; row < batch_; ++row)
        for (size_t c = 0; c < columns_.size(); ++c) {
            int64_t bytes = columns_[c].bytes();
            std::memcpy(slot.raw[c] + row * bytes, slot.raw[c], size_t(bytes));
        }
    if (transform_.run) transform_.run(number, {slot.raw.begin(), slot.raw.end()}, slot.made);
}

}  // namespace kiln::runtime
