// TeamFit: how many members of a team a piece of work that is done again and again, a training step, is fastest on.
//
// Members give each other data through the caches of their processors. In a step of some microseconds this can take longer than what
// each of them saves, the longer the further the processors are apart, and it changes when a hypervisor moves them. So short work is
// now and then done by half and by twice as many members, and goes on with what took less time. What is computed does not depend on it.
#pragma once

#include "threads/team.h"

#include <chrono>
#include <cstdint>

namespace kiln::runtime {

class TeamFit {
public:
    /// Begins with all of `most` members.
    explicit TeamFit(int most) : most_(most), settled_(most), size_(most) {}

    /// Members for the next run.
    int size() const { return size_; }
    /// How long the run took that they did.
    void took(double seconds);

    /// Does the work on so many members of this thread's team, if it has one.
    template <typename Work> auto run(Work work) {
        ThreadTeam *team = ThreadTeam::current();
        if (!team) return work();
        const auto begin = std::chrono::steady_clock::now();
        team->use(size_);
        auto result = work();
        team->use(team->size());
        took(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
        return result;
    }

private:
    void go_on_with(int size);
    void try_another();

    int most_, settled_, size_;
    int64_t runs_ = 0;             ///< with this size, in this window
    double least_ = 0, before_ = 0;  ///< seconds: of the window's runs, of the runs of the settled size before
    int64_t settled_runs_ = 0, wait_ = 64;  ///< since the last trial, and until the next
    bool more_next_ = false;
};

}  // namespace kiln::runtime
