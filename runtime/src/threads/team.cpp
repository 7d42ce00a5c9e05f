#include "threads/team.h"

#include "support/background.h"

#include <immintrin.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <algorithm>
#include <chrono>

namespace kiln::runtime {
namespace {

constexpr auto kSpin = std::chrono::microseconds(100);

thread_local ThreadTeam *team_of_this_thread = nullptr;

void sleep_while(std::atomic<uint32_t> &word, uint32_t value) {
    ::syscall(SYS_futex, reinterpret_cast<uint32_t *>(&word), FUTEX_WAIT_PRIVATE, value, nullptr, nullptr, 0);
}

void wake(std::atomic<uint32_t> &word) {
    ::syscall(SYS_futex, reinterpret_cast<uint32_t *>(&word), FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
}

template <typename Condition>
bool spin_until(bool spin, Condition condition) {
    if (condition()) return true;
    if (!spin) return false;
    auto end = std::chrono::steady_clock::now() + kSpin;
    do {
        for (int i = 0; i < 32; ++i) {
            _mm_pause();
            if (condition()) return true;
        }
    } while (std::chrono::steady_clock::now() < end);
    return false;
}

}  // namespace

ThreadTeam::ThreadTeam(int threads) : shape_{threads}, spin_(threads <= available_processors()), bound_(threads > 1 && threads == available_processors()) {
    flush_denormals();
    if (bound_) bind_to_processor(0);
    for (int member = 1; member < threads; ++member) {
        workers_.push_back(std::make_unique<Worker>());
        Worker &worker = *workers_.back();
        worker.thread = background_thread([this, &worker, member] { work(worker, member); });
    }
    team_of_this_thread = this;
}

ThreadTeam::~ThreadTeam() {
    team_of_this_thread = nullptr;
    stopping_ = true;
    for (auto &worker : workers_) {
        worker->ticket.fetch_add(1);
        wake(worker->ticket);
        worker->thread.join();
    }
    if (bound_) release_from_processor();
}

ThreadTeam *ThreadTeam::current() { return team_of_this_thread; }

int ThreadTeam::run_piece(int piece) const {
    const int64_t rest = loop_.count - loop_.lead, others = std::max(loop_.pieces - 1, 1);
    const int64_t begin = piece == 0 ? 0 : loop_.lead + rest * (piece - 1) / others, end = piece == 0 ? loop_.lead : loop_.lead + rest * piece / others;
    for (int64_t i = begin; i < end; ++i)
        if (int result = loop_.body(loop_.user_context, int(loop_.first + i), loop_.closure)) return result;
    return 0;
}

int ThreadTeam::run(void *user_context, LoopBody body, int first, int count, uint8_t *closure) {
    if (count <= 0) return 0;
    const int pieces = std::min(shape_.members, count);
    const int share = int((int64_t(count) * (shape_.leads ? 5 : 4) + 2 * pieces) / (4 * pieces)), lead = std::min(std::max(share, 1), count - pieces + 1);
    loop_ = {user_context, body, first, count, pieces, lead, closure};
    team_of_this_thread = nullptr;
    pending_.store(uint32_t(pieces - 1), std::memory_order_relaxed);
    for (int member = 1; member < pieces; ++member) {
        Worker &worker = *workers_[size_t(member - 1)];
        // Sequentially consistent against the worker's store to `sleeping` and load of `ticket`: one of the two sees the other.
        worker.ticket.fetch_add(1);
        if (worker.sleeping.load()) wake(worker.ticket);
    }
    int result = run_piece(0);
    if (pieces > 1) {
        auto done = [&] { return pending_.load(std::memory_order_acquire) == 0; };
        while (!spin_until(spin_, done)) {
            owner_sleeping_ = 1;
            if (uint32_t left = pending_.load()) sleep_while(pending_, left);
            owner_sleeping_ = 0;
        }
        for (int member = 1; member < pieces && result == 0; ++member) result = workers_[size_t(member - 1)]->result;
    }
    team_of_this_thread = this;
    return result;
}

void ThreadTeam::work(Worker &worker, int member) {
    flush_denormals();
    if (bound_) bind_to_processor(member);
    uint32_t seen = 0;
    for (;;) {
        auto called = [&] { return worker.ticket.load(std::memory_order_acquire) != seen; };
        while (!spin_until(spin_, called)) {
            worker.sleeping = 1;
            if (worker.ticket.load() == seen) sleep_while(worker.ticket, seen);
            worker.sleeping = 0;
        }
        ++seen;
        if (stopping_) return;
        worker.result = run_piece(member);
        if (pending_.fetch_sub(1) == 1 && owner_sleeping_.load()) wake(pending_);
    }
}

int team_size() {
    ThreadTeam *team = ThreadTeam::current();
    return team ? team->size() : available_processors();
}

void flush_denormals() { _mm_setcsr(_mm_getcsr() | 0x8040); }

}  // namespace kiln::runtime
