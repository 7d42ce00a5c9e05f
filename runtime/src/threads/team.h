// ThreadTeam: the threads that kernels run on.
//
// One team per process, owned by the main thread, which takes part as member 0. A loop of n iterations is cut into contiguous
// pieces by position alone, so which thread runs an iteration never changes what is computed. Waiting members spin
// for some microseconds (kernels follow each other closely), then sleep on a futex; they do not spin if the team is
// larger than the machine. A team as large as the machine has each member on a processor of its own: the scheduler was seen to leave
// members that wait for each other on one processor, and steps took twice as long. A loop started inside a loop, or on any other thread,
// runs serially where it is.
//
// Members flush denormals to zero: a decaying optimizer state would otherwise slow some processors down a hundredfold.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace kiln::runtime {

using LoopBody = int (*)(void *user_context, int iteration, uint8_t *closure);

/// How loops are cut: into at most so many pieces, 1 <= members <= size() of the team, of which member 0, that also does what is between
/// loops, has a quarter more than its share if it `leads`. Members without a piece sleep.
struct TeamShape {
    int members = 1;
    bool leads = false;
    bool operator==(const TeamShape &) const = default;
};

class ThreadTeam {
public:
    /// Makes this thread member 0 of a team of `threads` >= 1.
    explicit ThreadTeam(int threads);
    ~ThreadTeam();
    ThreadTeam(const ThreadTeam &) = delete;

    int size() const { return int(workers_.size()) + 1; }
    /// How loops are cut from now on.
    void use(TeamShape shape) { shape_ = shape; }

    /// Runs body for the iterations [first, first + count); 0, or the first nonzero result by iteration piece.
    int run(void *user_context, LoopBody body, int first, int count, uint8_t *closure);

    /// Calls body(i) once for each i below `count`, distributed like the iterations of run(). The first exception by i is thrown again.
    template <typename Body> void for_each(int count, Body body) {
        struct Closure {
            Body &body;
            std::mutex mutex;
            int failed;
            std::exception_ptr error;
        } closure{body, {}, count, nullptr};
        auto call = [](void *context, int i, uint8_t *) {
            Closure &of = *static_cast<Closure *>(context);
            try {
                of.body(i);
            } catch (...) {
                std::lock_guard lock(of.mutex);
                if (i < of.failed) of.failed = i, of.error = std::current_exception();
            }
            return 0;
        };
        run(&closure, call, 0, count, nullptr);
        if (closure.error) std::rethrow_exception(closure.error);
    }

    /// The team this thread may start loops on; null in members other than 0, inside a loop, and elsewhere.
    static ThreadTeam *current();

private:
    struct alignas(64) Worker {
        std::atomic<uint32_t> ticket{0};  ///< counts the loops given to this member
        std::atomic<uint32_t> sleeping{0};
        int result = 0;
        std::thread thread;
    };
    struct Loop {
        void *user_context;
        LoopBody body;
        int first, count, pieces, lead;  ///< lead: iterations of the first piece; the others share the rest
        uint8_t *closure;
    };

    void work(Worker &worker, int member);
    int run_piece(int piece) const;

    std::vector<std::unique_ptr<Worker>> workers_;
    Loop loop_{};
    alignas(64) std::atomic<uint32_t> pending_{0};  ///< members that have not finished their piece
    std::atomic<uint32_t> owner_sleeping_{0};
    alignas(64) std::atomic<bool> stopping_{false};
    TeamShape shape_;
    bool spin_;
    bool bound_;  ///< each member to a processor
};

/// Threads of the team this thread may start loops on, that is, as many as the user wants to have running; without a team, all processors.
int team_size();

/// Lets this thread round denormal numbers to zero.
void flush_denormals();

}  // namespace kiln::runtime
