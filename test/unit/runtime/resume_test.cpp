// Resuming: what a kill or a hand leaves in a run folder, and what a run makes of it.
#include "harness.h"

#include "checkpoint/manifest.h"

#include <gtest/gtest.h>
#include <unistd.h>
#include <csignal>
#include <sstream>

namespace kiln::runtime::testing {
namespace {

namespace fs = std::filesystem;

struct Resume : ::testing::Test {
    TemporaryFolder folder;
    FakeOptions restoring;  ///< the phase main ends with its best epoch
    void SetUp() override {
        write_data(folder.path());
        restoring.restore_best = true;
    }
    Outcome train(const std::string &name, std::vector<std::string> more = {}, const FakeOptions &options = {}) {
        std::vector<std::string> all{"train", "--data", folder.path(), "--run", folder / name, "--threads", "1"};
        all.insert(all.end(), more.begin(), more.end());
        return run(all, options);
    }
    std::string path(const std::string &name) { return folder / name; }
    std::string text(const std::string &name) { return read_text(path(name)); }
    std::string weights(const std::string &name) { return text(name + "/last/weights.safetensors"); }
    Manifest manifest(const std::string &name) { return parse_manifest(text(name + "/manifest.json"), name); }
    /// The columns of metrics.csv that are a function of the run.
    std::string rows(const std::string &name) {
        std::istringstream lines(text(name + "/metrics.csv"));
        std::string kept;
        for (std::string line; std::getline(lines, line); kept += line + "\n")
            for (int timing = 0; timing < 2; ++timing) line.resize(line.rfind(','));
        return kept;
    }
    void copy(const std::string &from, const std::string &to) { fs::copy(path(from), path(to), fs::copy_options::recursive); }
    void expect_same(const std::string &a, const std::string &b) {
        for (const char *file : {"/last/weights.safetensors", "/last/state.safetensors", "/best/weights.safetensors", "/best/state.safetensors"})
            EXPECT_EQ(text(a + file), text(b + file)) << file;
        EXPECT_EQ(rows(a), rows(b));
    }
    void change(const std::string &name, const std::function<void(Manifest &)> &edit) {
        Manifest changed = manifest(name);
        edit(changed);
        write_text(path(name + "/manifest.json"), print(changed));
    }
};

// At this rate epoch 1 is the best one, so that the phase has something to restore.
TEST_F(Resume, a_phase_that_is_given_no_more_epochs_ends_as_any_other) {
    ASSERT_EQ(train("undisturbed", {"--lr", "0.03", "--epochs", "2"}, restoring).code, 0);
    ASSERT_EQ(train("a", {"--lr", "0.03", "--epochs", "2"}).code, 0);
    ASSERT_NE(weights("a"), weights("undisturbed"));
    change("a/last", [](Manifest &m) {  // as it is after two epochs of three
        m.position.phase = 0;
        m.position.epoch_in_phase = 2;
        m.trained.clear();
        m.epochs = {3};
    });
    const Outcome outcome = train("a", {"--resume", "--epochs", "2"}, restoring);
    EXPECT_EQ(outcome.code, 0) << outcome.error;
    EXPECT_CONTAINS(outcome.out, "back to the best epoch, 1");
    EXPECT_EQ(weights("a"), weights("undisturbed"));
    EXPECT_EQ(text("a/last/state.safetensors"), text("undisturbed/last/state.safetensors"));
    EXPECT_CONTAINS(train("a", {"--resume"}, restoring).out, "is complete: 2 epochs, 24 steps");
}

// At this rate epoch 2 is the best one of three.
TEST_F(Resume, best_alone_is_gone_on_from) {
    ASSERT_EQ(train("undisturbed", {"--lr", "0.003"}).code, 0);
    copy("undisturbed", "a");
    fs::remove_all(path("a/last"));
    const Outcome outcome = train("a", {"--resume"});
    EXPECT_EQ(outcome.code, 0) << outcome.error;
    EXPECT_CONTAINS(outcome.out, "resuming at step 25 (epoch 3,");
    expect_same("a", "undisturbed");
}

TEST_F(Resume, best_alone_of_a_run_that_is_complete_becomes_last) {
    ASSERT_EQ(train("undisturbed", {"--epochs", "1"}, restoring).code, 0);
    copy("undisturbed", "a");
    fs::remove_all(path("a/last"));
    EXPECT_EQ(train("a", {"--resume"}, restoring).code, 0);
    expect_same("a", "undisturbed");
    EXPECT_CONTAINS(train("a", {"--resume"}, restoring).out, "is complete");
}

TEST_F(Resume, a_kill_between_best_and_last_is_gone_on_from_best) {
    const std::vector<std::string> flags{"--lr", "0.003", "--delay-us", "5000"};
    ASSERT_EQ(train("undisturbed", flags, restoring).code, 0);
    std::vector<std::string> all{"train", "--data", folder.path(), "--run", path("a")};
    all.insert(all.end(), flags.begin(), flags.end());
    Process process(all, restoring);
    for (int wait = 0; wait < 10000 && text("a/metrics.csv").find("\n1,") == std::string::npos; ++wait) ::usleep(1000);
    process.kill(SIGTERM);
    ASSERT_EQ(process.wait().code, 143);
    ASSERT_EQ(manifest("a/last").position.epoch, 1);
    for (const char *entry : {"best", "metrics.csv", "metrics.jsonl"}) {
        fs::remove_all(path("a") + "/" + entry);
        copy(std::string("undisturbed/") + entry, std::string("a/") + entry);
    }
    for (const char *epochs : {"3", "2", "4"}) {
        const std::string name = std::string("b") + epochs;
        copy("a", name);
        const Outcome outcome = train(name, {"--resume", "--epochs", epochs}, restoring);
        EXPECT_EQ(outcome.code, 0) << outcome.error;
        EXPECT_CONTAINS(outcome.out, "resuming at step 25 (epoch 3,");
    }
    expect_same("b3", "undisturbed");
    EXPECT_EQ(weights("b2"), text("undisturbed/best/weights.safetensors"));
    EXPECT_CONTAINS(train("a", {"--resume", "--epochs", "1"}, restoring).error, "phase main has already had more");
}

TEST_F(Resume, a_best_that_is_not_what_the_run_knows_as_its_best_is_not_restored) {
    ASSERT_EQ(train("a", {"--lr", "0.03", "--epochs", "2"}, restoring).code, 0);
    ASSERT_EQ(train("seed", {"--lr", "0.03", "--epochs", "2", "--seed", "5"}, restoring).code, 0);
    ASSERT_EQ(train("rate", {"--lr", "0.1", "--epochs", "2"}, restoring).code, 0);
    copy("a/best", "another_epoch");
    change("another_epoch", [](Manifest &m) { m.best->epoch = m.position.epoch = 2; });
    copy("a/best", "another_value");
    change("another_value", [](Manifest &m) { m.best->value = 0.75; });
    const std::string metrics = text("a/metrics.csv");
    auto expect_refused = [&](const char *message) {
        const Outcome outcome = train("a", {"--resume", "--epochs", "3"}, restoring);
        EXPECT_EQ(outcome.code, 4);
        EXPECT_CONTAINS(outcome.error, path("a/best") + message);
        EXPECT_CONTAINS(outcome.error, "that of epoch 1, accuracy 1: put back the best/ of this run, or start a new run");
        EXPECT_EQ(text("a/metrics.csv"), metrics) << "it is found before anything is trained";
    };
    fs::rename(path("a/best"), path("kept"));
    expect_refused(" is not there, but a phase is to end with the best state");
    for (const auto &[other, message] : std::vector<std::pair<std::string, const char *>>{{"seed/best", " is a checkpoint of another run (seed 5, not 0)"},
                                                                                        {"rate/best", " is a checkpoint of another run (lr 0.1, not 0.03)"},
                                                                                        {"another_epoch", " is the state after epoch 2 (the best so far is there epoch 2, accuracy 1)"},
                                                                                        {"another_value", " is the state after epoch 1 (the best so far is there epoch 1, accuracy 0.75)"}}) {
        copy(other, "a/best");
        expect_refused(message);
        fs::remove_all(path("a/best"));
    }
    EXPECT_EQ(train("a", {"--resume"}, restoring).code, 0) << "a run that is complete restores nothing";
    EXPECT_EQ(train("a", {"--resume", "--epochs", "3"}).code, 0) << "nor does a program that does not ask for it";
    fs::rename(path("kept"), path("a/best"));
    EXPECT_EQ(train("a", {"--resume", "--epochs", "4"}, restoring).code, 0);
}

TEST_F(Resume, a_best_that_is_replaced_while_the_run_trains_is_not_restored) {
    ASSERT_EQ(train("seed", {"--lr", "0.03", "--epochs", "1", "--seed", "5"}).code, 0);
    Process process({"train", "--data", folder.path(), "--run", path("a"), "--lr", "0.03", "--delay-us", "5000"}, restoring);
    for (int wait = 0; wait < 10000 && !fs::exists(path("a/last/manifest.json")); ++wait) ::usleep(1000);
    fs::rename(path("a/best"), path("kept"));
    fs::rename(path("seed/best"), path("a/best"));
    const Outcome outcome = process.wait();
    EXPECT_EQ(outcome.code, 4) << outcome.out;
    EXPECT_CONTAINS(outcome.error, "is a checkpoint of another run (seed 5, not 0)");
}

// Which epoch is the best, and when patience is over, would be decided by values of different records.
TEST_F(Resume, other_validation_data_are_refused) {
    ASSERT_EQ(train("a", {"--epochs", "1"}).code, 0);
    const std::string labels = text("validation-labels");
    std::string changed = labels;
    changed[20] = char((changed[20] + 1) % 3);
    write_text(path("validation-labels"), changed);
    const Outcome outcome = train("a", {"--resume", "--epochs", "2"});
    EXPECT_EQ(outcome.code, 3);
    EXPECT_CONTAINS(outcome.error, "the validation data in " + folder.path() + " differ from those that the checkpoint was made with, in " + folder.path());
    change("a/last", [](Manifest &m) { m.validation_checksum = ""; });
    EXPECT_EQ(train("a", {"--resume", "--epochs", "2"}).code, 0) << "a checkpoint of before there was this checksum";
    EXPECT_NE(manifest("a/last").validation_checksum, "");
    write_text(path("validation-labels"), labels);
    EXPECT_EQ(train("a", {"--resume", "--epochs", "3"}).code, 3);
}

TEST_F(Resume, starts_with_all_flags_where_there_is_no_checkpoint) {
    ASSERT_EQ(train("pretrained", {"--epochs", "1", "--seed", "5"}).code, 0);
    const std::vector<std::string> flags{"--init", path("pretrained/last/weights.safetensors"), "--epochs", "2", "--seed", "3", "--lr", "0.03"};
    ASSERT_EQ(train("undisturbed", flags).code, 0);
    std::vector<std::string> again = flags;
    again.push_back("--resume");
    fs::create_directory(path("killed"));  // before its first checkpoint
    write_text(path("killed/metrics.csv"), text("undisturbed/metrics.csv").substr(0, 120));
    for (const std::string name : {"killed", "nowhere"}) {
        const Outcome outcome = train(name, again);
        EXPECT_EQ(outcome.code, 0) << outcome.error;
        EXPECT_TRUE(outcome.out.starts_with("there is nothing to resume in " + path(name) + ": training starts\n")) << outcome.out;
        expect_same(name, "undisturbed");
    }
    const Outcome outcome = train("killed", again);
    EXPECT_EQ(outcome.code, 2);
    EXPECT_CONTAINS(outcome.error, "a run goes on with its own weights, those of " + path("killed/last") + "; leave --init out");
    again.push_back("--quiet");
    EXPECT_EQ(train("quiet", again).out, "");
}

TEST_F(Resume, no_run_lives_in_a_checkpoint) {
    ASSERT_EQ(train("a", {"--epochs", "1"}).code, 0);
    fs::create_directory_symlink(path("a/best"), path("link"));
    for (const char *name : {"a/last", "a/best", "a/last/", "a/last/deeper/still", "link", "link/deeper"})
        for (const char *flag : {"--resume", "--overwrite"}) {
            const Outcome outcome = train(name, {flag});
            EXPECT_EQ(outcome.code, 4) << name;
            EXPECT_CONTAINS(outcome.error, "--run " + path(name) + " is in the checkpoint " + path("a/"));
        }
    EXPECT_EQ(names_in(path("a/last")), (std::vector<std::string>{"manifest.json", "state.safetensors", "weights.safetensors"}));
    EXPECT_EQ(train("a/another").code, 0) << "beside the checkpoints nothing is replaced";
}

TEST_F(Resume, rows_of_epochs_that_are_done_must_be_there_and_whole) {
    ASSERT_EQ(train("a", {"--epochs", "2"}).code, 0);
    const std::string csv = text("a/metrics.csv"), json = text("a/metrics.jsonl");
    auto line = [](const std::string &content, int number) {
        std::istringstream lines(content);
        std::string found;
        for (int i = 0; i < number; ++i) std::getline(lines, found);
        return found + "\n";
    };
    const std::string header = line(csv, 1), first = line(csv, 2), second = line(csv, 3), first_json = line(json, 1), second_json = line(json, 2);
    auto expect_refused = [&](const std::string &file, const std::string &content, const std::string &message) {
        write_text(path(file), content);
        const Outcome outcome = train("a", {"--resume", "--epochs", "3"});
        EXPECT_EQ(outcome.code, 4) << message;
        EXPECT_CONTAINS(outcome.error, path(file) + message);
        EXPECT_EQ(text(file), content) << "it is left as it was found";
        write_text(path("a/metrics.csv"), csv);
        write_text(path("a/metrics.jsonl"), json);
    };
    const std::string cut = second.substr(0, second.size() - 9), inner = second.substr(0, second.rfind(',')) + "\n";
    expect_refused("a/metrics.csv", "", " lacks the row of epoch 1, as a whole line 2");
    expect_refused("a/metrics.csv", header + first, " lacks the row of epoch 2, as a whole line 3, though the run has had 2 epochs");
    expect_refused("a/metrics.csv", header + second, ", line 2: " + second.substr(0, 60) + " is not the row of epoch 1; put the file back as it was");
    expect_refused("a/metrics.csv", header + first + first + second, ", line 3: 1,main,12,");
    expect_refused("a/metrics.csv", csv + second, ", line 4: 2,main,24,");
    expect_refused("a/metrics.csv", header + first + cut, " lacks the row of epoch 2, as a whole line 3");
    expect_refused("a/metrics.csv", header + first + inner, ", line 3: 2,main,24,");
    expect_refused("a/metrics.csv", header + "1zzz;DROP" + first.substr(1) + second, " has a line that this program does not write: 1zzz;DROP");
    expect_refused("a/metrics.csv", header + "-" + first + second, ", line 2: -1,main,12,");
    expect_refused("a/metrics.csv", header + "1,other" + first.substr(6) + second, ", line 2: 1,other,12,");
    expect_refused("a/metrics.csv", header + "1,main,x" + first.substr(6) + second, ", line 2: 1,main,x,12,");
    expect_refused("a/metrics.jsonl", "", " lacks the row of epoch 1, as a whole line 1");
    expect_refused("a/metrics.jsonl", first_json + first_json + second_json, ", line 2: {\"epoch\":1,");
    expect_refused("a/metrics.jsonl", first_json + second_json.substr(0, 60) + "\n", ", line 2: {\"epoch\":2,");
    expect_refused("a/metrics.jsonl", first_json + "{\"epoch\":2,\"phase\":\"main\"}\n", ", line 2: {\"epoch\":2,");
    EXPECT_EQ(train("a", {"--resume", "--epochs", "3"}).code, 0);
}

TEST_F(Resume, a_checkpoint_that_was_copied_alone_says_what_it_lacks) {
    ASSERT_EQ(train("a", {"--epochs", "2"}).code, 0);
    fs::create_directory(path("b"));
    copy("a/last", "b/last");
    auto expect_refused = [&](const std::string &file) {
        const Outcome outcome = train("b", {"--resume", "--epochs", "3"});
        EXPECT_EQ(outcome.code, 4);
        EXPECT_CONTAINS(outcome.error, path(file) + " is not there, though the run has had 2 epochs: copy metrics.csv and metrics.jsonl from the folder that its checkpoint was in, "
                                       "or start a new run in another --run, from the weights of this one, by --init " + path("b/last/weights.safetensors"));
    };
    expect_refused("b/metrics.csv");
    EXPECT_EQ(names_in(path("b")), std::vector<std::string>{"last"});
    EXPECT_EQ(train("c", {"--init", path("b/last/weights.safetensors"), "--epochs", "1"}).code, 0) << "as it says";
    copy("a/metrics.csv", "b/metrics.csv");
    expect_refused("b/metrics.jsonl");
    copy("a/metrics.jsonl", "b/metrics.jsonl");
    EXPECT_EQ(train("b", {"--resume", "--epochs", "3"}).code, 0) << "as it says";
}

TEST_F(Resume, files_that_a_kill_left_unfinished_are_removed) {
    ASSERT_EQ(train("a", {"--epochs", "1"}).code, 0);
    const std::vector<std::string> names = names_in(path("a"));
    for (const char *file : {"metrics.csv.0.new", "metrics.csv.1.new", "metrics.jsonl.0.new"}) write_text(path("a/") + file, "epo");
    EXPECT_EQ(train("a", {"--resume"}).code, 0);
    EXPECT_EQ(names_in(path("a")), names);
}

}  // namespace
}  // namespace kiln::runtime::testing
