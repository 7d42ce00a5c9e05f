// Training as a user sees it: output, metrics, determinism, resumption.
#include "harness.h"

#include <gtest/gtest.h>
#include <unistd.h>
#include <csignal>

namespace kiln::runtime::testing {
namespace {

struct Train : ::testing::Test {
    TemporaryFolder folder;
    void SetUp() override { write_data(folder.path()); }
    std::vector<std::string> arguments(const std::string &name, std::vector<std::string> more = {}) {
        std::vector<std::string> all{"train", "--data", folder.path(), "--run", folder / name};
        all.insert(all.end(), more.begin(), more.end());
        return all;
    }
    std::string weights(const std::string &name) { return read_text(folder / name + "/last/weights.safetensors"); }
};

// Column `name` of row `row` of metrics.csv.
std::string csv_field(const std::string &csv, size_t row, const std::string &name) {
    std::vector<std::vector<std::string>> rows(1, std::vector<std::string>(1));
    for (char c : csv) {
        if (c == '\n')
            rows.emplace_back(1);
        else if (c == ',')
            rows.back().emplace_back();
        else
            rows.back().back() += c;
    }
    for (size_t i = 0; i < rows[0].size(); ++i)
        if (rows[0][i] == name) return rows.at(row).at(i);
    return "no column " + name;
}

TEST_F(Train, learns_and_writes_what_it_promises) {
    Outcome outcome = run(arguments("a"));
    EXPECT_EQ(outcome.code, 0) << outcome.error;
    EXPECT_EQ(names_in(folder / "a"), (std::vector<std::string>{"best", "last", "metrics.csv", "metrics.jsonl"}));
    EXPECT_EQ(names_in(folder / "a/last"),
              (std::vector<std::string>{"manifest.json", "state.safetensors", "weights.safetensors"}));
    std::string csv = read_text(folder / "a/metrics.csv");
    EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 4);
    EXPECT_TRUE(csv.starts_with(
        "epoch,phase,step,rate,train_loss,train_accuracy,validation_loss,validation_accuracy,samples_per_second,seconds\n"))
        << csv;
    EXPECT_EQ(csv_field(csv, 3, "epoch"), "3");
    EXPECT_EQ(csv_field(csv, 3, "step"), "36");  // 100 / 8 = 12 whole batches, 3 times
    EXPECT_GT(std::stod(csv_field(csv, 3, "validation_accuracy")), 0.9);
    std::string jsonl = read_text(folder / "a/metrics.jsonl");
    EXPECT_NE(jsonl.find("{\"epoch\":3,\"phase\":\"main\",\"step\":36,"), std::string::npos) << jsonl;
    EXPECT_EQ(std::count(outcome.out.begin(), outcome.out.end(), '\n'), 3) << outcome.out;
    EXPECT_NE(outcome.out.find("epoch 3/3  loss "), std::string::npos) << outcome.out;
}

TEST_F(Train, same_weights_for_any_number_of_threads_and_on_repeat) {
    for (const char *threads : {"1", "2", "3", "8"}) ASSERT_EQ(run(arguments(threads, {"--threads", threads})).code, 0);
    ASSERT_EQ(run(arguments("again")).code, 0);
    for (const char *other : {"2", "3", "8", "again"}) EXPECT_EQ(weights("1"), weights(other)) << other;
    ASSERT_EQ(run(arguments("seed", {"--seed", "5"})).code, 0);
    EXPECT_NE(weights("1"), weights("seed"));
}

TEST_F(Train, kill_at_random_moments_and_resume_give_the_same_run) {
    ASSERT_EQ(run(arguments("whole", {"--delay-us", "500"})).code, 0);
    unsigned random = unsigned(::getpid());
    for (int attempt = 0; attempt < 4; ++attempt) {
        std::string name = "killed" + std::to_string(attempt), every = attempt % 2 ? "1" : "5";
        int kills = 0, code = -1;
        for (; kills < 200 && code != 0; ++kills) {
            Process process(arguments(name, {"--delay-us", "500", "--resume", "--save-every", every}));
            random = random * 1664525 + 1013904223;
            // Longer and longer, so that a slow machine gets to the end too.
            ::usleep(2000 + (random >> 8) % unsigned(20000 + 4000 * kills));
            process.kill(SIGKILL);
            code = process.wait().code;
            ASSERT_TRUE(code == 0 || code == -SIGKILL) << code;
        }
        ASSERT_EQ(code, 0);
        EXPECT_EQ(weights("whole"), weights(name)) << "after " << kills - 1 << " kills";
        EXPECT_EQ(read_text(folder / "whole/last/state.safetensors"), read_text(folder / name + "/last/state.safetensors"));
        EXPECT_EQ(read_text(folder / "whole/best/weights.safetensors"), read_text(folder / name + "/best/weights.safetensors"));
        std::string a = read_text(folder / "whole/metrics.csv"), b = read_text(folder / name + "/metrics.csv");
        EXPECT_EQ(std::count(b.begin(), b.end(), '\n'), 4) << b;
        for (size_t row = 1; row <= 3; ++row)
            for (const char *column :
                 {"epoch", "step", "rate", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy"})
                EXPECT_EQ(csv_field(a, row, column), csv_field(b, row, column)) << column;
    }
}

TEST_F(Train, signals_save_and_exit_with_their_codes) {
    ASSERT_EQ(run(arguments("whole")).code, 0);
    for (int signal : {SIGINT, SIGTERM, SIGHUP}) {
        std::string name = "signal" + std::to_string(signal);
        Process process(arguments(name, {"--delay-us", "2000"}));
        ::usleep(30000);
        process.kill(signal);
        Outcome outcome = process.wait();
        EXPECT_EQ(outcome.code, 128 + signal) << outcome.error;
        EXPECT_NE(outcome.out.find("saved in"), std::string::npos) << outcome.out;
        EXPECT_NE(weights(name), "");
        Outcome resumed = run(arguments(name, {"--resume"}));
        EXPECT_EQ(resumed.code, 0) << resumed.error;
        EXPECT_NE(resumed.out.find("resuming at step "), std::string::npos);
        EXPECT_EQ(weights("whole"), weights(name));
    }
}

TEST_F(Train, rows_after_the_checkpoint_and_cut_lines_are_dropped_on_resume) {
    ASSERT_EQ(run(arguments("a", {"--epochs", "2"})).code, 0);
    std::string csv = read_text(folder / "a/metrics.csv"), jsonl = read_text(folder / "a/metrics.jsonl");
    write_text(folder / "a/metrics.csv", csv + "3,main,36,0.1,9,9,9,9,1,1\n4,ma");
    write_text(folder / "a/metrics.jsonl", jsonl + "{\"epoch\":3,\"phase\":\"main\"}\n{\"epo");
    ASSERT_EQ(run(arguments("a", {"--resume", "--epochs", "3"})).code, 0);
    std::string after = read_text(folder / "a/metrics.csv");
    EXPECT_TRUE(after.starts_with(csv)) << after;
    EXPECT_EQ(std::count(after.begin(), after.end(), '\n'), 4) << after;
    EXPECT_NE(csv_field(after, 3, "train_loss"), "9");
    after = read_text(folder / "a/metrics.jsonl");
    EXPECT_TRUE(after.starts_with(jsonl)) << after;
    EXPECT_EQ(std::count(after.begin(), after.end(), '\n'), 3) << after;
}

TEST_F(Train, a_line_of_metrics_that_is_no_row_is_not_dropped) {
    ASSERT_EQ(run(arguments("a", {"--epochs", "1"})).code, 0);
    for (const char *name : {"a/metrics.jsonl", "a/metrics.csv"}) {
        const std::string before = read_text(folder / name), noted = before + "# a note\n";
        write_text(folder / name, noted);
        const Outcome outcome = run(arguments("a", {"--resume", "--epochs", "2"}));
        EXPECT_EQ(outcome.code, 4);
        EXPECT_NE(outcome.error.find(folder / name + " has a line that this program does not write: # a note"), std::string::npos) << outcome.error;
        EXPECT_EQ(read_text(folder / name), noted);
        write_text(folder / name, before);
    }
    EXPECT_EQ(run(arguments("a", {"--resume", "--epochs", "2"})).code, 0);
}

TEST_F(Train, no_epochs_save_the_initial_weights) {
    ASSERT_EQ(run(arguments("a", {"--epochs", "0"})).code, 0);
    EXPECT_EQ(run({"eval", "--run", folder / "a"}).code, 0);
    ASSERT_EQ(run(arguments("a", {"--resume", "--epochs", "3"})).code, 0);
    ASSERT_EQ(run(arguments("whole")).code, 0);
    EXPECT_EQ(weights("a"), weights("whole"));
}

}  // namespace
}  // namespace kiln::runtime::testing
