// Resuming: what a kill or a hand leaves in a run folder, and what a run makes of it.
#include "harness.h"

#include "checkpoint/manifest.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace kiln::runtime::testing
