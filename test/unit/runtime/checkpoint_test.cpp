// Checkpoints: the files' formats, and everything that can be wrong with a run folder.
#include "harness.h"

#include "checkpoint/checkpoint.h"
#include "checkpoint/manifest.h"
#include "support/failure.h"
#include "support/hash.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>
#include <cerrno>
#include <cmath>
#include <csignal>
#include <cstring>
#include <limits>

namespace kiln::runtime::testing {
namespace {

TEST(Hash, known_answers) {
    EXPECT_EQ(hash_text(xxh64("", 0)), "ef46db3751d8e999");
    EXPECT_EQ(hash_text(xxh64("abc", 3)), "44bc2cf5ad770999");
    std::string long_text = "Nobody inspects the spammish repetition";
    EXPECT_EQ(hash_text(xxh64(long_text.data(), long_text.size())), "fbcea83c8a378bf1");
}

TEST(Hash, does_not_depend_on_the_pieces) {
    std::string text;
    for (int i = 0; i < 200; ++i) text += char(i * 37);
    for (size_t piece : {1, 3, 8, 31, 32, 33, 64, 199}) {
        Xxh64 hash;
        for (size_t at = 0; at < text.size(); at += piece) hash.update(text.data() + at, std::min(piece, text.size() - at));
        EXPECT_EQ(hash.digest(), xxh64(text.data(), text.size())) << piece;
    }
}

TEST(Manifest, round_trip_is_exact) {
    Manifest m;
    m.model = "M \xff";  // not UTF-8: a data folder's name may be so
    m.fingerprint = "f";
    m.seed = (uint64_t(1) << 53) - 1;
    m.position = {7, 1, 2, 0, 3};
    m.epochs = {2, 1};
    m.scalars = {{"a", 0.1 + 0.2}, {"b", std::numeric_limits<double>::infinity()}, {"c", -0.0}, {"d", std::nan("")},
                 {"e", 5e-324},    {"f", -std::numeric_limits<double>::infinity()}};
    m.best = BestSoFar{"loss", 0.3, 2};
    Manifest r = parse_manifest(print(m), "x");
    EXPECT_EQ(r.position, m.position);
    EXPECT_EQ(r.seed, m.seed);
    EXPECT_EQ(r.epochs, m.epochs);
    EXPECT_EQ(r.scalars.at("a"), 0.1 + 0.2);
    EXPECT_EQ(r.scalars.at("b"), m.scalars.at("b"));
    EXPECT_TRUE(std::signbit(r.scalars.at("c")));
    EXPECT_TRUE(std::isnan(r.scalars.at("d")));
    EXPECT_EQ(r.scalars.at("e"), 5e-324);
    EXPECT_EQ(r.scalars.at("f"), m.scalars.at("f"));
    EXPECT_EQ(r.best->value, 0.3);
}

struct RunFolder : ::testing::Test {
    TemporaryFolder folder;
    void SetUp() override { write_data(folder.path()); }
    Outcome train(std::vector<std::string> more = {}, const FakeOptions &options = {}, const std::string &name = "run") {
        std::vector<std::string> all{"train", "--data", folder.path(), "--run", folder / name, "--threads", "1"};
        all.insert(all.end(), more.begin(), more.end());
        return run(all, options);
    }
    Outcome eval(const FakeOptions &options = {}) { return run({"eval", "--run", folder / "run", "--json"}, options); }
    std::string last(const std::string &file) { return folder / ("run/last/" + file); }
};

TEST_F(RunFolder, every_changed_byte_of_a_checkpoint_is_noticed) {
    ASSERT_EQ(train().code, 0);
    for (const char *file : {"weights.safetensors", "state.safetensors", "manifest.json"}) {
        std::string good = read_text(last(file));
        std::string metadata = fake_metadata();
        KilnProgram program = fake_program(metadata);
        Metadata parsed = parse_metadata(metadata.c_str());
        ProgramState state(program, parsed);
        std::vector<size_t> places{0, 8, good.size() - 1};
        for (size_t at = 5; at < good.size(); at += 13) places.push_back(at);
        for (size_t at : places) {
            std::string bad = good;
            bad[at] = char(bad[at] ^ 1);
            write_text(last(file), bad);
            try {
                load_checkpoint(folder / "run", "last", state, true);
                ADD_FAILURE() << file << " byte " << at;
            } catch (const Failure &failure) {
                EXPECT_EQ(failure.code, ExitCode::checkpoint) << failure.what();
                EXPECT_CONTAINS(std::string(failure.what()), file);
            }
        }
        for (size_t keep : {size_t(0), size_t(1), good.size() / 2, good.size() - 2}) {
            write_text(last(file), good.substr(0, keep));
            EXPECT_THROW(load_checkpoint(folder / "run", "last", state, true), Failure) << file << " cut to " << keep;
        }
        for (double scalar : state.scalars())
            EXPECT_TRUE(scalar == 0 || scalar == 0.05 || scalar == 3) << "a refused checkpoint changed the state";
        write_text(last(file), good);
    }
    EXPECT_EQ(eval().code, 0);
}

TEST_F(RunFolder, a_corrupted_checkpoint_ends_with_its_exit_code_and_is_left_alone) {
    ASSERT_EQ(train({"--epochs", "1"}).code, 0);
    std::string good = read_text(last("weights.safetensors")), bad = good;
    bad[bad.size() - 5] = char(bad[bad.size() - 5] ^ 4);
    write_text(last("weights.safetensors"), bad);
    for (const Outcome &outcome : {train({"--resume", "--epochs", "2"}), eval()}) {
        EXPECT_EQ(outcome.code, 4);
        EXPECT_CONTAINS(outcome.error, "weights.safetensors is corrupted: its checksum does not match");
    }
    EXPECT_EQ(read_text(last("weights.safetensors")), bad);
    std::filesystem::remove(last("state.safetensors"));
    EXPECT_EQ(train({"--resume"}).code, 4);
}

TEST_F(RunFolder, checkpoints_of_other_models_are_refused) {
    ASSERT_EQ(train({"--epochs", "1"}).code, 0);
    FakeOptions wider;
    wider.classes = 4;
    for (const Outcome &outcome : {train({"--resume"}, wider), eval(wider)}) {
        EXPECT_EQ(outcome.code, 4);
        EXPECT_CONTAINS(outcome.error, "is of another model: Fake/W is f32[16, 3] there and f32[16, 4] in this program");
    }
    FakeOptions renamed;
    renamed.model = "Other";
    EXPECT_CONTAINS(eval(renamed).error, "is a checkpoint of model Fake; this program is model Other");
    FakeOptions scheduled;
    scheduled.extra_scalar = "patience";
    Outcome outcome = train({"--resume"}, scheduled);
    EXPECT_EQ(outcome.code, 4);
    EXPECT_CONTAINS(outcome.error, "another version of model Fake");
    EXPECT_EQ(eval(scheduled).code, 0) << "evaluation needs the weights only";
}

TEST_F(RunFolder, missing_checkpoint) {
    Outcome outcome = eval();
    EXPECT_EQ(outcome.code, 4);
    EXPECT_CONTAINS(outcome.error, "there is no checkpoint " + (folder / "run/last"));
}

TEST_F(RunFolder, is_not_overwritten_unasked) {
    ASSERT_EQ(train({"--epochs", "1"}).code, 0);
    std::string before = read_text(last("manifest.json"));
    Outcome outcome = train();
    EXPECT_EQ(outcome.code, 4);
    EXPECT_CONTAINS(outcome.error, "already holds a run");
    EXPECT_EQ(read_text(last("manifest.json")), before);
    EXPECT_EQ(train({"--overwrite", "--epochs", "2"}).code, 0);
    EXPECT_NE(read_text(last("manifest.json")), before);
    EXPECT_EQ(train({"--overwrite", "--resume"}).code, 2);
}

TEST_F(RunFolder, a_run_that_is_to_be_replaced_stays_until_there_is_another) {
    ASSERT_EQ(train({"--epochs", "1"}).code, 0);
    std::string before = read_text(last("weights.safetensors")), metrics = read_text(folder / "run/metrics.csv");
    std::vector<std::string> names = names_in(folder / "run");
    for (const auto &[code, more] : std::vector<std::pair<int, std::vector<std::string>>>{
             {3, {"--data", folder / "nowhere"}}, {4, {"--init", folder / "nowhere"}}, {2, {"--epochs", "1,2"}}, {5, {"--explode_at", "5"}}}) {
        std::vector<std::string> all{"train", "--run", folder / "run", "--overwrite"};
        if (more[0] != "--data") all.insert(all.end(), {"--data", folder.path()});
        all.insert(all.end(), more.begin(), more.end());
        EXPECT_EQ(run(all).code, code) << more[0];
        EXPECT_EQ(read_text(last("weights.safetensors")), before) << more[0];
        EXPECT_EQ(read_text(folder / "run/metrics.csv"), metrics) << more[0];
        EXPECT_EQ(names_in(folder / "run"), names) << more[0];
    }
    EXPECT_EQ(train({"--overwrite", "--epochs", "0", "--init", last("weights.safetensors")}).code, 0) << "the weights are read before they are replaced";
    EXPECT_EQ(read_text(last("weights.safetensors")), before);
    EXPECT_EQ(names_in(folder / "run"), (std::vector<std::string>{"last", "metrics.csv", "metrics.jsonl"}));
}

TEST_F(RunFolder, a_kill_while_a_run_is_replaced_leaves_the_old_one) {
    ASSERT_EQ(train({"--epochs", "1"}).code, 0);
    std::string before = read_text(last("weights.safetensors"));
    std::vector<std::string> names = names_in(folder / "run");
    const std::string entries[] = {"last", "best", "metrics.csv", "metrics.jsonl"};
    for (size_t moved = 0; moved <= std::size(entries); ++moved) {  // while it is moved aside
        std::filesystem::create_directory(folder / "run/.replaced.moving");
        for (size_t i = 0; i < moved; ++i) std::filesystem::rename(folder / ("run/" + entries[i]), folder / ("run/.replaced.moving/" + entries[i]));
        EXPECT_EQ(eval().code, 0) << "reading needs no recovery";
        EXPECT_EQ(train({"--resume", "--epochs", "1"}).code, 0);
        EXPECT_EQ(names_in(folder / "run"), names) << moved;
    }
    std::filesystem::create_directory(folder / "run/.replaced");  // after that, with a part of the new one
    for (const std::string &entry : entries) std::filesystem::rename(folder / ("run/" + entry), folder / ("run/.replaced/" + entry));
    std::filesystem::create_directory(folder / "run/best");
    EXPECT_EQ(eval().code, 0) << "reading needs no recovery";
    EXPECT_EQ(train({"--resume", "--epochs", "1"}).code, 0);
    EXPECT_EQ(names_in(folder / "run"), names);
    EXPECT_EQ(read_text(last("weights.safetensors")), before);
    EXPECT_EQ(run({"eval", "--run", folder / "run", "--checkpoint", "best"}).code, 0);
}

TEST_F(RunFolder, resume_does_not_take_initial_weights) {
    ASSERT_EQ(train({"--epochs", "1"}).code, 0);
    Outcome outcome = train({"--resume", "--init", folder / "nowhere"});
    EXPECT_EQ(outcome.code, 2);
    EXPECT_CONTAINS(outcome.error, "--resume and --init exclude each other");
}

TEST_F(RunFolder, resume_refuses_other_seeds_hypers_and_data) {
    ASSERT_EQ(train({"--epochs", "1", "--lr", "0.02"}).code, 0);
    Outcome outcome = train({"--resume", "--seed", "7"});
    EXPECT_EQ(outcome.code, 2);
    EXPECT_CONTAINS(outcome.error, "--seed 7 differs from the checkpoint's 0");
    outcome = train({"--resume", "--lr", "0.1"});
    EXPECT_EQ(outcome.code, 2);
    EXPECT_CONTAINS(outcome.error, "--lr 0.1 differs from the checkpoint's 0.02");
    EXPECT_EQ(train({"--resume", "--lr", "0.02", "--seed", "0"}).code, 0);
    write_data(folder.path(), 120);
    outcome = train({"--resume", "--epochs", "2"});
    EXPECT_EQ(outcome.code, 3);
    EXPECT_CONTAINS(outcome.error, "have 120 records, 100 in those");
}

TEST_F(RunFolder, resume_knows_its_data_again_wherever_they_lie) {
    ASSERT_EQ(train({"--epochs", "1"}).code, 0);
    auto train_on = [&](const std::string &data, const char *epochs) { return run({"train", "--data", data, "--run", folder / "run", "--resume", "--epochs", epochs}); };
    const std::string moved = folder / "moved", other = folder / "other";
    for (const std::string &copy : {moved, other}) {
        std::filesystem::create_directory(copy);
        for (const auto &entry : std::filesystem::directory_iterator(folder.path()))
            if (entry.is_regular_file()) std::filesystem::copy(entry, copy);
    }
    EXPECT_EQ(train_on(moved, "2").code, 0);
    for (const auto &entry : std::filesystem::directory_iterator(other)) {
        std::string bytes = read_text(entry.path());
        bytes.back() ^= 1;
        write_text(entry.path(), bytes);
    }
    const Outcome outcome = train_on(other, "3");
    EXPECT_EQ(outcome.code, 3);
    EXPECT_CONTAINS(outcome.error, "the training data in " + other + " differ from those that the checkpoint was made with, in " + moved);
}

TEST_F(RunFolder, resume_trains_longer_and_knows_when_it_is_complete) {
    FakeOptions two;
    two.second_phase = "fine";
    ASSERT_EQ(train({"--epochs", "2,1"}, two).code, 0);
    Outcome outcome = train({"--resume"}, two);
    EXPECT_EQ(outcome.code, 0);
    EXPECT_CONTAINS(outcome.out, "is complete: 3 epochs, 36 steps");
    EXPECT_EQ(train({"--resume", "--epochs", "1,1"}, two).code, 2);
    EXPECT_EQ(train({"--resume", "--epochs", "2,2"}, two).code, 0);
    std::string csv = read_text(folder / "run/metrics.csv");
    EXPECT_CONTAINS(csv, "\n3,fine,36,");
    EXPECT_CONTAINS(csv, "\n4,fine,48,");
    EXPECT_EQ(train({"--resume", "--epochs", "2"}, two).code, 2);
}

TEST_F(RunFolder, leftovers_of_a_killed_save_are_recovered) {
    ASSERT_EQ(train({"--epochs", "1"}).code, 0);
    std::string before = read_text(last("weights.safetensors"));
    std::filesystem::rename(folder / "run/last", folder / "run/.last.old");
    std::filesystem::create_directory(folder / "run/.last.new");
    write_text(folder / "run/.last.new/weights.safetensors", "half");
    EXPECT_EQ(eval().code, 0) << "reading needs no recovery";
    EXPECT_EQ(train({"--resume", "--epochs", "1"}).code, 0);
    EXPECT_EQ(read_text(last("weights.safetensors")), before);
    EXPECT_EQ(names_in(folder / "run"), (std::vector<std::string>{"best", "last", "metrics.csv", "metrics.jsonl"}));
}

TEST_F(RunFolder, a_second_training_is_kept_out) {
    Process first({"train", "--data", folder.path(), "--run", folder / "run", "--delay-us", "20000"});
    Outcome outcome;
    for (int attempt = 0; attempt < 100; ++attempt) {
        ::usleep(10000);
        if (!std::filesystem::exists(folder / "run/metrics.csv")) continue;
        outcome = train({"--resume"});
        break;
    }
    EXPECT_EQ(outcome.code, 4);
    EXPECT_CONTAINS(outcome.error, "another training is writing to");
}

TEST_F(RunFolder, a_foreign_metrics_file_is_refused) {
    ASSERT_EQ(train({"--epochs", "1"}).code, 0);
    write_text(folder / "run/metrics.csv", "a,b\n1,2\n");
    Outcome outcome = train({"--resume", "--epochs", "2"});
    EXPECT_EQ(outcome.code, 4);
    EXPECT_CONTAINS(outcome.error, "metrics.csv has other columns");
    EXPECT_EQ(read_text(folder / "run/metrics.csv"), "a,b\n1,2\n");
}

TEST_F(RunFolder, places_that_cannot_be_written) {
    for (const char *place : {"/proc/kiln-run", "/dev/full", "/dev/full/run"}) {
        Outcome outcome = run({"train", "--data", folder.path(), "--run", place});
        EXPECT_EQ(outcome.code, 6) << place << ": " << outcome.error;
        EXPECT_CONTAINS(outcome.error, place);
    }
}

TEST_F(RunFolder, output_that_cannot_be_written) {
    ASSERT_EQ(train({"--epochs", "1"}).code, 0);
    Outcome outcome = Process({"eval", "--run", folder / "run", "--json"}, {}, "/dev/full").wait();
    EXPECT_EQ(outcome.code, 6);
    EXPECT_CONTAINS(outcome.error, "cannot write to the standard output: No space left on device");
    outcome = Process({"train", "--data", folder.path(), "--run", folder / "other", "--epochs", "1"}, {}, "/dev/full").wait();
    EXPECT_EQ(outcome.code, 6);
    EXPECT_TRUE(outcome.error.ends_with("cannot write to the standard output\n")) << outcome.error;
}

// A limit on the size of files: writing the checkpoint fails half-way.
TEST_F(RunFolder, a_failed_save_leaves_the_earlier_checkpoint) {
    ASSERT_EQ(train({"--epochs", "1"}).code, 0);
    std::string weights = read_text(last("weights.safetensors")), manifest = read_text(last("manifest.json"));
    rlimit before{};
    ::getrlimit(RLIMIT_FSIZE, &before);
    rlimit small{600, before.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
    Process process({"train", "--data", folder.path(), "--run", folder / "run", "--resume", "--epochs", "2"});
    ::setrlimit(RLIMIT_FSIZE, &before);
    Outcome outcome = process.wait();
    EXPECT_EQ(outcome.code, 6);
    EXPECT_CONTAINS(outcome.error, "File too large; the checkpoint saved before is intact in ");
    EXPECT_EQ(read_text(last("weights.safetensors")), weights);
    EXPECT_EQ(read_text(last("manifest.json")), manifest);
    EXPECT_EQ(names_in(folder / "run"), (std::vector<std::string>{"best", "last", "metrics.csv", "metrics.jsonl"}));
    EXPECT_EQ(train({"--resume"}).code, 0);
    ASSERT_EQ(train({"--epochs", "1"}, {}, "whole").code, 0);
}

// The real thing, where mounting is allowed.
TEST_F(RunFolder, a_full_disk_and_a_read_only_one) {
    std::string disk = folder / "disk";
    std::filesystem::create_directory(disk);
    if (::mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=128k") != 0)
        GTEST_SKIP() << "mounting is not permitted: " << std::strerror(errno);
    struct Unmount {
        std::string path;
        ~Unmount() { ::umount2(path.c_str(), MNT_DETACH); }
    } unmount{disk};
    std::string run_folder = disk + "/run";
    auto train_there = [&](std::vector<std::string> more) {
        std::vector<std::string> all{"train", "--data", folder.path(), "--run", run_folder};
        all.insert(all.end(), more.begin(), more.end());
        return run(all);
    };
    EXPECT_EQ(train_there({"--epochs", "1"}).code, 0);
    std::string weights = read_text(run_folder + "/last/weights.safetensors");
    int filler = ::open((disk + "/filler").c_str(), O_WRONLY | O_CREAT, 0600);
    std::string block(512, 'x');
    while (::write(filler, block.data(), block.size()) > 0) continue;
    ::close(filler);
    Outcome outcome = train_there({"--resume", "--epochs", "3"});
    EXPECT_EQ(outcome.code, 6) << outcome.error;
    EXPECT_CONTAINS(outcome.error, "No space left on device");
    EXPECT_EQ(read_text(run_folder + "/last/weights.safetensors"), weights);
    EXPECT_EQ(run({"eval", "--run", run_folder}).code, 0);

    std::filesystem::remove(disk + "/filler");
    ASSERT_EQ(::mount("", disk.c_str(), "", MS_REMOUNT | MS_RDONLY, ""), 0);
    outcome = train_there({"--resume", "--epochs", "3"});
    EXPECT_EQ(outcome.code, 6) << outcome.error;
    EXPECT_CONTAINS(outcome.error, "Read-only file system");
    EXPECT_EQ(run({"eval", "--run", run_folder}).code, 0) << "evaluation writes nothing";

    ASSERT_EQ(::mount("", disk.c_str(), "", MS_REMOUNT, ""), 0);
    EXPECT_EQ(train_there({"--resume", "--epochs", "3"}).code, 0);
    std::string resumed = read_text(run_folder + "/last/weights.safetensors");
    ASSERT_EQ(train({"--epochs", "1"}).code, 0);
    ASSERT_EQ(train({"--epochs", "3", "--resume"}).code, 0);
    EXPECT_EQ(resumed, read_text(last("weights.safetensors")));
}

TEST_F(RunFolder, a_loss_that_is_not_finite_stops_before_the_weights_are_touched) {
    Outcome outcome = train({"--explode-at", "20", "--save-every", "1"});
    EXPECT_EQ(outcome.code, 5);
    EXPECT_CONTAINS(outcome.error, "the loss is nan in step 20 (phase main, epoch 2, batch 8 of 12)");
    EXPECT_CONTAINS(outcome.error, "the last checkpoint is in ");
    EXPECT_CONTAINS(read_text(last("manifest.json")), "\"step\": 19");
    EXPECT_EQ(eval().code, 0);
}

}  // namespace
}  // namespace kiln::runtime::testing
