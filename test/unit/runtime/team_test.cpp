// The thread team and the scratch pool.
#include "threads/team.h"
#include "kiln/program.h"
#include "support/background.h"
#include "threads/pool.h"
#include "threads/team_fit.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <algorithm>
#include <atomic>
#include <cstring>
#include <numeric>
#include <thread>

namespace kiln::runtime {
namespace {

int add_one(void *, int i, uint8_t *counts) {
    reinterpret_cast<int *>(counts)[i] += 1;
    return 0;
}

TEST(ThreadTeam, runs_every_iteration_once) {
    for (int threads : {1, 2, 3, 8}) {
        ThreadTeam team(threads);
        EXPECT_EQ(team.size(), threads);
        for (int count : {0, 1, 2, 3, 7, 8, 9, 100}) {
            std::vector<int> counts(size_t(count) + 5);
            EXPECT_EQ(halide_do_par_for(nullptr, add_one, 5, count, reinterpret_cast<uint8_t *>(counts.data())), 0);
            for (int i = 0; i < count + 5; ++i) EXPECT_EQ(counts[size_t(i)], i >= 5);
        }
    }
}

TEST(ThreadTeam, many_small_loops_neither_hang_nor_skip) {
    for (int threads : {2, 3, 8}) {
        ThreadTeam team(threads);
        std::vector<int> counts(16);
        for (int round = 0; round < 5000; ++round) {
            halide_do_par_for(nullptr, add_one, 0, 1 + round % 16, reinterpret_cast<uint8_t *>(counts.data()));
            if (round % 1000 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));  // the members fall asleep
        }
        EXPECT_EQ(std::accumulate(counts.begin(), counts.end(), 0), 5000 / 16 * 136 + 36);
    }
}

TEST(ThreadTeam, the_first_failing_piece_gives_the_result) {
    ThreadTeam team(4);
    auto body = [](void *, int i, uint8_t *) { return i >= 10 ? i : 0; };
    EXPECT_EQ(team.run(nullptr, body, 0, 9, nullptr), 0);
    EXPECT_EQ(team.run(nullptr, body, 0, 16, nullptr), 10);
}

int nested(void *, int i, uint8_t *counts) {
    EXPECT_EQ(ThreadTeam::current(), nullptr);
    return halide_do_par_for(nullptr, add_one, 10 * i, 10, counts);
}

TEST(ThreadTeam, nested_loops_and_foreign_threads_run_serially) {
    ThreadTeam team(3);
    std::vector<int> counts(50);
    EXPECT_EQ(halide_do_par_for(nullptr, nested, 0, 5, reinterpret_cast<uint8_t *>(counts.data())), 0);
    EXPECT_EQ(counts, std::vector<int>(50, 1));
    EXPECT_EQ(ThreadTeam::current(), &team);
    std::thread([&] {
        EXPECT_EQ(halide_do_par_for(nullptr, nested, 0, 5, reinterpret_cast<uint8_t *>(counts.data())), 0);
    }).join();
    EXPECT_EQ(counts, std::vector<int>(50, 2));
}

TEST(ThreadTeam, is_gone_after_its_life) {
    { ThreadTeam team(2); }
    EXPECT_EQ(ThreadTeam::current(), nullptr);
}

TEST(ThreadTeam, threads_beside_a_bound_team_may_run_anywhere) {
    const int all = available_processors();
    auto processors = [] {
        cpu_set_t set;
        sched_getaffinity(0, sizeof set, &set);
        return CPU_COUNT(&set);
    };
    {
        ThreadTeam team(all);
        EXPECT_EQ(processors(), 1);
        EXPECT_EQ(available_processors(), all);
        int found = 0;
        background_thread([&] { found = processors(); }).join();
        EXPECT_EQ(found, all);
    }
    EXPECT_EQ(processors(), all);
}

TEST(Pool, memory_is_aligned_distinct_and_reused) {
    for (size_t bytes : {size_t(0), size_t(1), size_t(4096), size_t(4097), size_t(100000), size_t(5) << 20}) {
        void *a = halide_malloc(nullptr, bytes), *b = halide_malloc(nullptr, bytes);
        EXPECT_EQ(reinterpret_cast<uintptr_t>(a) % 128, 0u);
        std::memset(a, 1, bytes);
        std::memset(b, 2, bytes);
        if (bytes) {
            EXPECT_EQ(static_cast<char *>(a)[bytes - 1], 1);
        }
        halide_free(nullptr, b);
        EXPECT_EQ(halide_malloc(nullptr, bytes), b);
        halide_free(nullptr, a);
        halide_free(nullptr, b);
    }
    halide_free(nullptr, nullptr);
    EXPECT_EQ(acquire_scratch(size_t(1) << 62), nullptr);
}

TEST(Pool, exhaustion_ends_the_process_with_its_exit_code) {
    EXPECT_EXIT(halide_malloc(nullptr, size_t(1) << 62), ::testing::ExitedWithCode(7), "out of memory: a kernel asked for");
}

TEST(Pool, may_be_released_on_another_thread) {
    void *a = acquire_scratch(50000);
    std::thread([&] { release_scratch(a); }).join();
    void *b = acquire_scratch(50000);
    std::memset(b, 0, 50000);
    release_scratch(b);
}

TEST(ThreadTeam, loops_are_cut_for_the_members_in_use) {
    ThreadTeam team(3);
    auto own = [&](TeamShape shape, int count) {
        team.use(shape);
        std::atomic<int> all = 0, own = 0;
        team.for_each(count, [&, caller = std::this_thread::get_id()](int i) { all += 1 << i % 8, own += std::this_thread::get_id() == caller; });
        int expected = 0;
        for (int i = 0; i < count; ++i) expected += 1 << i % 8;
        EXPECT_EQ(all, expected);
        return own.load();
    };
    EXPECT_EQ(own({1}, 30), 30);
    EXPECT_EQ(own({2}, 30), 15);
    EXPECT_EQ(own({3}, 30), 10);
    EXPECT_EQ(own({1, true}, 30), 30);
    EXPECT_EQ(own({2, true}, 16), 10);
    EXPECT_EQ(own({3, true}, 24), 10);
    EXPECT_EQ(own({3, true}, 2), 1);
    EXPECT_EQ(own({2, true}, 1), 1);
}

/// How work is done after so many runs, and the seconds that these took; each takes seconds(shape, run).
struct Fitted {
    int members = 0;
    bool leads = false;
    double seconds = 0;
};
template <typename Seconds> Fitted fitted(int most, int runs, Seconds seconds) {
    TeamFit fit(most);
    Fitted result;
    std::vector<int> of(2 * size_t(most) + 2);
    for (int run = 0; run < runs; ++run) {
        const double took = seconds(fit.shape(), run);
        if (run >= runs - 200) ++of[size_t(2 * fit.shape().members + fit.shape().leads)];  // some may be a trial, which is short
        fit.took(took);
        result.seconds += took;
    }
    const int most_often = int(std::max_element(of.begin(), of.end()) - of.begin());
    result.members = most_often / 2, result.leads = most_often % 2;
    return result;
}

TEST(TeamFit, short_work_goes_on_with_what_is_fastest) {
    auto alone = [](TeamShape shape, int run) { return 30e-6 * shape.members + 1e-6 * (run % 5) + (run % 100 == 0 ? 1e-3 : 0); };
    auto together = [](TeamShape shape, int run) { return 100e-6 / shape.members + 1e-6 * (run % 5); };
    auto some = [](TeamShape shape, int) { return 100e-6 / shape.members + 20e-6 * shape.members; };
    EXPECT_EQ(fitted(8, 3000, alone).members, 1);
    EXPECT_EQ(fitted(8, 3000, together).members, 8);
    EXPECT_EQ(fitted(8, 3000, some).members, 2);
    auto led = [](TeamShape shape, int) { return 100e-6 / shape.members - (shape.leads ? 10e-6 : 0); };
    EXPECT_TRUE(fitted(2, 3000, led).leads);
    EXPECT_EQ(fitted(2, 3000, led).members, 2);
    EXPECT_FALSE(fitted(8, 3000, together).leads);
    EXPECT_EQ(fitted(1, 3000, alone).members, 1);
    EXPECT_EQ(fitted(3, 3000, alone).members, 1);
    EXPECT_EQ(fitted(3, 3000, together).members, 3);
}

TEST(TeamFit, trials_cost_little) {
    auto together = [](TeamShape shape, int) { return 100e-6 / shape.members; };
    EXPECT_LT(fitted(2, 1000, together).seconds, 1.06 * 1000 * 50e-6);
    EXPECT_LT(fitted(2, 100000, together).seconds, 1.005 * 100000 * 50e-6);
}

TEST(TeamFit, what_changes_is_tried_again_soon) {
    // From run 40,000 on, long after the last trial, the members are far apart; from 80,000 on they are near again.
    auto moved = [](TeamShape shape, int run) { return 40e-6 + (shape.members == 1 ? 0 : run < 40000 || run >= 80000 ? -10e-6 : 40e-6); };
    EXPECT_EQ(fitted(2, 40000, moved).members, 2);
    EXPECT_EQ(fitted(2, 40400, moved).members, 1);
    EXPECT_EQ(fitted(2, 120000, moved).members, 2);
}

TEST(TeamFit, long_work_is_left_to_all) {
    int tried = 0;
    auto slow = [&](TeamShape shape, int) {
        tried += shape != TeamShape{4};
        return 1e-3 * shape.members;
    };
    EXPECT_EQ(fitted(4, 10000, slow).members, 4);
    EXPECT_EQ(tried, 0);
}

}  // namespace
}  // namespace kiln::runtime
