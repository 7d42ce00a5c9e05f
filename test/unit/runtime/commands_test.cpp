// The command line and the commands besides train.
#include "harness.h"

#include "commands/command_line.h"
#include "image/image.h"
#include "support/failure.h"
#include "support/text.h"
#include "train/progress.h"

#include <gtest/gtest.h>
#include <png.h>
#include <cmath>

namespace kiln::runtime::testing {
namespace {

struct Commands : ::testing::Test {
    TemporaryFolder folder;
    void SetUp() override { write_data(folder.path()); }
    Outcome train(const FakeOptions &options = {}) {
        return run({"train", "--data", folder.path(), "--run", folder / "run", "--quiet"}, options);
    }
};

TEST(CommandLineTest, help_comes_from_the_model) {
    Outcome outcome = run({"--help"});
    EXPECT_EQ(outcome.code, 0);
    for (const char *part : {"Tell three kinds of squares apart.", "Fake(image: f32[4, 4, 1], label: class[3])", "--lr", "[0.05]",
                             "learning rate", "--delay-us", "Exit codes:", "130"})
        EXPECT_CONTAINS(outcome.out, part);
    outcome = run({"train", "--help"});
    EXPECT_EQ(outcome.code, 0);
    EXPECT_CONTAINS(outcome.out, "--lr REAL=0.05");
    EXPECT_CONTAINS(outcome.out, "--epochs N=3");
    EXPECT_EQ(run({"--version"}).out, "fake (fake.model), kiln test\n");
}

TEST(CommandLineTest, wrong_usage_says_what_is_wrong) {
    struct Case {
        std::vector<std::string> arguments;
        const char *message;
    };
    for (const Case &c : std::vector<Case>{{{"trian"}, "there is no command `trian`"},
                                           {{"train", "--lrr", "1"}, "--lrr"},
                                           {{"train", "--lr", "fast"}, "--lr: `fast` is not a number"},
                                           {{"train", "--lr", ""}, "--lr: the value is empty"},
                                           {{"train", "--epochs", ""}, "--epochs: the value is empty"},
                                           {{"train", "--epochs=", "--quiet"}, "--epochs: the value is empty"},
                                           {{"predict", "a.png", "--csv", ""}, "--csv: the value is empty"},
                                           {{"predict", "a.png", "--csv", "x", "--clip", "nan"}, "--clip: `nan` is not a number from 0 to 0.5"},
                                           {{"predict", "a.png", "--index", "-1"}, "--index: `-1` is not a whole number of at least 0"},
                                           {{"bench", "--seconds", "nan"}, "--seconds: `nan` is not a number from 0.01 to 3600"},
                                           {{"explain", "schedule", "--csv", ""}, "--csv: the value is empty"},
                                           {{"explain", "schedule", "--steps-per-epoch", "0"}, "--steps-per-epoch: `0` is not a whole number of at least 1"},
                                           {{"explain", "schedule", "--steps-per-epoch", "1000000000000"}, "the schedule has 3000000000000 steps; at most 100,000,000 are computed"},
                                           {{"explain", "schedule", "--steps-per-epoch", "9223372036854775807", "--epochs", "1000000000"}, "at most 100,000,000 are computed"},
                                           {{"train", "--lr", "inf"}, "--lr: `inf` is not a number"},
                                           {{"train", "--lr", "1e400"}, "--lr: `1e400` is not a number"},
                                           {{"train", "--lr", "-1e-400"}, "--lr: `-1e-400` is not 0, but nearer to it than any other number: write 0 if that is meant"},
                                           {{"train", "--rounds", "1e-999"}, "--rounds: `1e-999` is not 0"},
                                           {{"train", "--rounds", "2.5"}, "--rounds: `2.5` is not a whole number"},
                                           {{"train", "--nesterov", "maybe"}, "--nesterov: `maybe` is neither true nor false"},
                                           {{"train", "--epochs", "two"}, "--epochs: `two`"},
                                           {{"train", "--epochs", "1,2", "--data", "."}, "this run has 1 phases (main)"},
                                           {{"train", "--seed", "-1"}, "--seed"},
                                           {{"train", "--threads", "0"}, "--threads"},
                                           {{"train", "--save-every", "soon"}, "--save-every: `soon`"},
                                           {{"train"}, "where are the data? Give --data DIR"},
                                           {{"predict"}, "predict takes either FILEs or --split NAME"},
                                           {{"predict", "a.png", "--split", "train"}, "predict takes either FILEs or --split NAME"},
                                           {{"predict", "a.png", "--clip", "0.1"}, "--clip goes with --csv"},
                                           {{"predict", "a.png", "--csv", "x", "--clip", "0.6"}, "--clip"},
                                           {{"predict", "a.png", "--data", "."}, "--data of predict does not go with FILEs"},
                                           {{"trace"}, "trace takes either an IMAGE or --split NAME"},
                                           {{"trace", "a.png", "--split", "train"}, "trace takes either an IMAGE or --split NAME"},
                                           {{"trace", "a.png", "--data", "."}, "--data of trace goes with --split"},
                                           {{"trace", "--split", "train", "--invert"}, "--invert is about an IMAGE"},
                                           {{"trace", "--split", "train", "--init", "x"}, "--init"},
                                           {{"eval", "--checkpoint", "first"}, "first"},
                                           {{"explain"}, "subcommand"},
                                           {{"predict", "--split", "train", "--invert"}, "--index, --art and --invert are about FILEs"},
                                           {{"explain", "schedule"}, "--steps-per-epoch"},
                                           {{"explain", "schedule", "--every", "0"}, " explain schedule --help` lists the flags"}}) {
        Outcome outcome = run(c.arguments);
        EXPECT_EQ(outcome.code, 2) << join(c.arguments, " ");
        EXPECT_CONTAINS(outcome.error, c.message);
    }
    for (const char *command : {"scan", "factors", "similar"}) EXPECT_EQ(run({"trian"}).error.find(command), std::string::npos) << command << " is of no use to this model";
    EXPECT_FALSE(std::filesystem::exists("fake.run")) << "a run that could not begin left its folder";
}

TEST(CommandLineTest, hypers_never_hide_flags_of_train) {
    Metadata metadata = parse_metadata(fake_metadata().c_str());
    metadata.hypers[0].name = "seed";
    metadata.hypers[3].name = "warm_up";
    std::vector<std::string> words{"x", "train", "--seed", "4", "--hyper-seed", "0.25", "--warm-up", "7"};
    std::vector<char *> argv;
    for (std::string &word : words) argv.push_back(word.data());
    CommandLine line = parse_command_line(int(argv.size()), argv.data(), metadata);
    auto &options = std::get<TrainOptions>(line.command);
    EXPECT_EQ(options.seed, 4u);
    EXPECT_EQ(options.hypers, (std::map<std::string, double>{{"seed", 0.25}, {"warm_up", 7}}));
    EXPECT_EQ(options.run, "x.run");

    metadata.hypers[0].name = "steps";
    words = {"x", "lr-find", "--steps", "20", "--hyper-steps", "0.5"};
    argv.clear();
    for (std::string &word : words) argv.push_back(word.data());
    auto search = std::get<LrFindOptions>(parse_command_line(int(argv.size()), argv.data(), metadata).command);
    EXPECT_EQ(search.steps, 20);
    EXPECT_EQ(search.hypers, (std::map<std::string, double>{{"steps", 0.5}}));
}

TEST(CommandLineTest, save_every) {
    EXPECT_EQ(parse_save_every("30s").seconds, 30);
    EXPECT_EQ(parse_save_every("1.5m").seconds, 90);
    EXPECT_EQ(parse_save_every("500").steps, 500);
    EXPECT_EQ(parse_save_every("500").seconds, 0);
    EXPECT_THROW(parse_save_every("5 days"), Failure);
    EXPECT_THROW(parse_save_every("-1"), Failure);
    EXPECT_THROW(parse_save_every("0.5"), Failure);
}

TEST_F(Commands, train_is_the_default) {
    EXPECT_EQ(run({"--data", folder.path(), "--run", folder / "run", "--quiet"}).code, 0);
    EXPECT_TRUE(std::filesystem::exists(folder / "run/last"));
}

TEST_F(Commands, a_batch_larger_than_the_data) {
    write_data(folder.path(), 7);
    Outcome outcome = train();
    EXPECT_EQ(outcome.code, 3);
    EXPECT_CONTAINS(outcome.error, "a batch of 8 is larger than the training data");
    EXPECT_CONTAINS(outcome.error, "has 7 records");
}

// 27 records are three batches of 8 and one of 3: the padding must not count.
TEST_F(Commands, eval_counts_every_record_once) {
    ASSERT_EQ(train().code, 0);
    Outcome whole = run({"eval", "--run", folder / "run", "--json"});
    ASSERT_EQ(whole.code, 0) << whole.error;
    double loss = 0, right = 0;
    std::string images = idx_images(27, 2).substr(16), labels = idx_labels(27, 2).substr(8);
    for (size_t i = 0; i < 27; ++i) {
        write_text(folder / "validation-images",
                   std::string("\0\0\x8\x3\0\0\0\x1\0\0\0\x4\0\0\0\x4", 16) + images.substr(16 * i, 16));
        write_text(folder / "validation-labels", std::string("\0\0\x8\x1\0\0\0\x1", 8) + labels[i]);
        Outcome one = run({"eval", "--run", folder / "run", "--json"});
        ASSERT_EQ(one.code, 0);
        std::string json = one.out.substr(one.out.find("\n{") + 1);
        loss += std::stod(json.substr(json.find("\"loss\": ") + 8));
        right += std::stod(json.substr(json.find("\"accuracy\": ") + 12));
    }
    std::string json = whole.out.substr(whole.out.find("\n{") + 1);
    EXPECT_EQ(json.back(), '\n');
    EXPECT_EQ(std::count(json.begin(), json.end(), '\n'), 1);
    EXPECT_NEAR(std::stod(json.substr(json.find("\"loss\": ") + 8)), loss / 27, 1e-9);
    EXPECT_NEAR(std::stod(json.substr(json.find("\"accuracy\": ") + 12)), right / 27, 1e-12);
}

TEST_F(Commands, eval_of_other_splits_checkpoints_and_data) {
    ASSERT_EQ(train().code, 0);
    EXPECT_CONTAINS(run({"eval", "--run", folder / "run", "--split", "train"}).out, "100 records");
    EXPECT_EQ(run({"eval", "--run", folder / "run", "--checkpoint", "best"}).code, 0);
    Outcome outcome = run({"eval", "--run", folder / "run", "--split", "tset"});
    EXPECT_EQ(outcome.code, 3);
    EXPECT_CONTAINS(outcome.error, "fake.model declares no split `tset`; it has: train, validation");
    outcome = run({"eval", "--run", folder / "run", "--data", "/nowhere"});
    EXPECT_EQ(outcome.code, 3);
    EXPECT_CONTAINS(outcome.error, "/nowhere/validation-images");
}

TEST_F(Commands, training_without_a_validation_split) {
    FakeOptions options;
    options.with_validation = false;
    ASSERT_EQ(train(options).code, 0);
    EXPECT_TRUE(read_text(folder / "run/metrics.csv")
                    .starts_with("epoch,phase,step,rate,train_loss,train_accuracy,samples_per_second,seconds\n"));
    EXPECT_TRUE(std::filesystem::exists(folder / "run/best"));
    EXPECT_CONTAINS(run({"eval", "--run", folder / "run"}, options).out, "train of ");
}

TEST_F(Commands, predict_reads_png_pgm_and_idx) {
    ASSERT_EQ(train().code, 0);
    std::string record = idx_images(27, 2).substr(16 + 16 * 5, 16);
    int label = idx_labels(27, 2)[8 + 5];
    write_text(folder / "five.pgm", "P5 # a comment\n4 4\n255\n" + record);
    png_image png{};
    png.version = PNG_IMAGE_VERSION;
    png.width = png.height = 4;
    png.format = PNG_FORMAT_GRAY;
    ASSERT_TRUE(png_image_write_to_file(&png, (folder / "five.png").c_str(), 0, record.data(), 0, nullptr));
    Outcome outcome = run({"predict", "--run", folder / "run", folder / "five.pgm", folder / "five.png"});
    EXPECT_EQ(outcome.code, 0) << outcome.error;
    std::string answer = ": class " + std::to_string(label) + ", probability ";
    EXPECT_CONTAINS(outcome.out, "five.pgm" + answer);
    EXPECT_CONTAINS(outcome.out, "five.png" + answer);
    EXPECT_EQ(outcome.out.substr(outcome.out.find(answer), 28), outcome.out.substr(outcome.out.rfind(answer), 28));
    Outcome idx = run({"predict", "--run", folder / "run", folder / "validation-images", "--index", "5", "--art"});
    EXPECT_CONTAINS(idx.out, answer);
    EXPECT_EQ(std::count(idx.out.begin(), idx.out.end(), '\n'), 5);
    EXPECT_EQ(run({"predict", "--run", folder / "run", folder / "validation-images", "--index", "27"}).code, 3);

    // More pictures than a batch holds.
    std::vector<std::string> many{"predict", "--run", folder / "run"};
    for (int i = 0; i < 11; ++i) many.push_back(folder / "five.png");
    outcome = run(many);
    EXPECT_EQ(std::count(outcome.out.begin(), outcome.out.end(), '\n'), 11);
}

TEST_F(Commands, predict_refuses_what_is_no_picture) {
    ASSERT_EQ(train().code, 0);
    std::string png("\x89PNG\r\n\x1a\n broken", 15);
    for (const std::string &content :
         {std::string(), std::string("GIF89a"), png, std::string("P5 4 4 255\nabc"), std::string("P5 0 4 255\n"),
          std::string("P5 99999999999 4 255\n"), std::string("P2 2 1 255\n3")}) {
        write_text(folder / "picture", content);
        Outcome outcome = run({"predict", "--run", folder / "run", folder / "picture"});
        EXPECT_EQ(outcome.code, 3) << content;
        EXPECT_CONTAINS(outcome.error, folder / "picture");
    }
    EXPECT_EQ(run({"predict", "--run", folder / "run", folder / "nothing.png"}).code, 3);
}

TEST_F(Commands, summary_and_schedule) {
    Outcome outcome = run({"summary"});
    EXPECT_EQ(outcome.code, 0);
    for (const char *part : {"Fake/dense", "f32[8, 3]", "51", "896 B", "class[3]"}) EXPECT_CONTAINS(outcome.out, part);
    outcome = run({"explain", "schedule", "--data", folder.path(), "--epochs", "2", "--lr", "1", "--every", "1"});
    EXPECT_EQ(outcome.code, 0) << outcome.error;
    EXPECT_EQ(std::count(outcome.out.begin(), outcome.out.end(), '\n'), 1 + 24 + 1 + 15);
    EXPECT_CONTAINS(outcome.out, "main       2    13  0.75\n");
    EXPECT_CONTAINS(outcome.out, "\nlearning rate\n");
    FakeOptions two;
    two.second_phase = "fine";
    outcome = run({"explain", "schedule", "--steps-per-epoch", "4", "--lr", "1", "--csv", folder / "s.csv", "--picture", folder / "s.png"}, two);
    EXPECT_EQ(outcome.code, 0) << outcome.error;
    std::string csv = read_text(folder / "s.csv");
    EXPECT_TRUE(csv.starts_with("phase,epoch,step,rate\nmain,1,1,1\n")) << csv;
    EXPECT_CONTAINS(csv, "\nfine,4,13,0.5\n");
    EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 1 + 16);
    EXPECT_CONTAINS(outcome.out, "fine\n");  // the mark of the phase
    EXPECT_EQ(decode_png(read_text(folder / "s.png"), "s.png").width, 800);
}

TEST_F(Commands, lr_find_suggests_rates_and_touches_nothing) {
    ASSERT_EQ(run({"train", "--data", folder.path(), "--run", folder / "a"}).code, 0);
    auto content = [&] { return read_text(folder / "a/last/weights.safetensors") + read_text(folder / "a/last/manifest.json"); };
    std::string before = content();
    std::vector<std::string> search{"lr-find", "--data", folder.path(), "--from", "1e-4", "--to", "1e4", "--steps", "80", "--csv", folder / "lr.csv", "--picture", folder / "lr.png", "--run", folder / "a"};
    Outcome outcome = run(search);
    EXPECT_EQ(outcome.code, 0) << outcome.error;
    EXPECT_CONTAINS(outcome.out, "where the loss falls most");
    EXPECT_CONTAINS(outcome.out, "a tenth of the rate of the lowest loss");
    std::string csv = read_text(folder / "lr.csv");
    EXPECT_TRUE(csv.starts_with("step,rate,loss,smoothed_loss\n1,1e-04,")) << csv;
    EXPECT_EQ(decode_png(read_text(folder / "lr.png"), "lr.png").height, 420);
    EXPECT_EQ(run(search).out, outcome.out);
    search.insert(search.end(), {"--start", "last"});
    EXPECT_EQ(run(search).code, 0);
    EXPECT_NE(read_text(folder / "lr.csv"), csv);
    EXPECT_EQ(content(), before);
    EXPECT_EQ(names_in(folder / "a"), (std::vector<std::string>{"best", "last", "metrics.csv", "metrics.jsonl"}));

    std::vector<std::string> wide{"lr-find", "--data", folder.path(), "--from", "1e-200", "--to", "1e200", "--steps", "21", "--csv", folder / "wide.csv", "--picture", folder / "lr.png"};
    outcome = run(wide);
    csv = read_text(folder / "wide.csv");
    EXPECT_CONTAINS(csv, "\n1,1e-200,");
    ASSERT_NE(csv.find("\n11,"), std::string::npos) << csv;
    EXPECT_NEAR(std::stod(csv.substr(csv.find("\n11,") + 4)), 1, 1e-9);
    EXPECT_EQ(outcome.code, 0) << outcome.error;

    for (const auto &[flags, code, message] : std::vector<std::tuple<std::vector<std::string>, int, std::string>>{
             {{"--from", "0"}, 2, "--from 0 --to 1"},
             {{"--from", "20", "--to", "3"}, 2, "--from 20 --to 3"},
             {{"--phase", "late"}, 2, "there is no phase `late`; phases: main"},
             {{"--explode-at", "4"}, 5, "3 steps are too few"}}) {
        std::vector<std::string> wrong{"lr-find", "--data", folder.path(), "--csv", folder / "lr.csv", "--picture", folder / "lr.png"};
        wrong.insert(wrong.end(), flags.begin(), flags.end());
        Outcome failed = run(wrong);
        EXPECT_EQ(failed.code, code) << join(wrong, " ") << failed.error;
        EXPECT_CONTAINS(failed.error, message);
    }
}

TEST(ProgressLine, fits_the_terminal) {
    ProgressState s;
    s.epoch = 2, s.epochs = 4, s.batch = 469, s.batches = 938, s.seconds_left = 83, s.samples_per_second = 12345,
    s.names = {"loss", "accuracy"}, s.values = {0.12345, 0.9625};
    EXPECT_EQ(progress_line(s, 120),
              "epoch 2/4  [###############---------------]  469/938  ETA 1:23  loss 0.1235  accuracy 0.9625  12345 samples/s");
    for (int width = 1; width < 130; ++width) EXPECT_LT(int(progress_line(s, width).size()), std::max(width, 1)) << width;
    EXPECT_CONTAINS(progress_line(s, 60), "ETA 1:23");
}

TEST(Text, numbers) {
    EXPECT_EQ(grouped(0), "0");
    EXPECT_EQ(grouped(1234567), "1,234,567");
    EXPECT_EQ(grouped(-1234), "-1,234");
    EXPECT_EQ(grouped(-123), "-123");
    EXPECT_EQ(duration_text(7), "0:07");
    EXPECT_EQ(duration_text(3723), "1:02:03");
    EXPECT_EQ(bytes_text(1234567), "1.23 MB");
    EXPECT_EQ(number_text(0.1), "0.1");
    EXPECT_EQ(table({{"Zo\xc3\xab", "1"}, {"a\nb", "22"}}, {1}), "Zo\xc3\xab   1\na b  22\n");
    EXPECT_EQ(json_string("a\"\\\n"), "\"a\\\"\\\\\\u000a\"");
}

}  // namespace
}  // namespace kiln::runtime::testing
