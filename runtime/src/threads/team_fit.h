// TeamFit: how many members of a team a piece of work that is done again and again, a training step, is fastest on.
//
// Members give each other data through the caches of their processors. In a step of some microseconds this can take longer than what
// each of them saves, the longer the further the processors are apart, and it changes when a hypervisor moves them. So short work is
// now and then done by half and by twice as many members, or with a larger piece for the one that does all that is not a loop and has it
// in its caches; and it goes on with what took less time. What is computed does not depend on it.
#pragma once

#include "threads/team.h"

#include <chrono>
#include <cstdint>

namespace kiln::runtime {

class TeamFit {
public:
    /// Begins with all of `most` members.
    explicit TeamFit(int most) : most_(most), settled_{most}, shape_{most} {}

    /// For the next run.
    TeamShape shape() const { return shape_; }
    /// How long the run took that they did.
    void took(double seconds);

    /// Does the work on so many members of this thread's team, if it has one.
    template <typename Work> auto run(Work work) {
        ThreadTeam *team = ThreadTeam::current();
        if (!team) return work();
        const auto begin = std::chrono::steady_clock::now();
        team->use(shape_);
        auto result = work();
        team->use({team->size()});
        took(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
        return result;
    }

private:
    void go_on_with(TeamShape shape);
    void try_another();

    int most_;
    TeamShape settled_, shape_;
    int64_t runs_ = 0;             ///< in this shape, in this window
    double least_ = 0, before_ = 0;  ///< seconds: of the window's runs, of the runs in the settled shape before
    static constexpr int64_t kFirstWait = 64;
    int64_t settled_runs_ = 0, wait_ = kFirstWait;  ///< since the last trial, and until the next
    int next_ = 0;                 ///< what to try next: half as many members, twice as many, the other value of `leads`
};

}  // namespace kiln::runtime
