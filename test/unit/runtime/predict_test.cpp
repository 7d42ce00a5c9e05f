// What predict shows of a program with several outputs.
#include "harness.h"

#include "support/text.h"

#include <gtest/gtest.h>
#include <algorithm>

namespace kiln::runtime::testing {
namespace {

struct Predict : ::testing::Test {
    TemporaryFolder folder;
    FakeOptions options;
    void SetUp() override {
        options.second_output = "hidden";
        write_data(folder.path());
        ASSERT_EQ(run({"train", "--data", folder.path(), "--run", folder / "run", "--quiet"}, options).code, 0);
    }
    Outcome predict(std::vector<std::string> arguments) const {
        arguments.insert(arguments.begin(), {"predict", "--run", folder / "run"});
        return run(arguments, options);
    }
};

TEST_F(Predict, shows_the_output_that_is_named) {
    const std::string images = folder / "validation-images";
    EXPECT_CONTAINS(predict({images}).out, "validation-images: class ");
    EXPECT_EQ(predict({images, "--output", "probabilities"}).out, predict({images}).out);
    const Outcome picture = predict({images, "--output", "hidden"});
    EXPECT_EQ(picture.code, 0) << picture.error;
    EXPECT_CONTAINS(picture.out, "validation-images: hidden ");
    const Outcome split = predict({"--split", "validation", "--output", "hidden"});
    EXPECT_CONTAINS(split.out, "0: hidden ");
    EXPECT_EQ(split.out.find("class"), std::string::npos) << "classes belong to scores of a label";
    for (const std::vector<std::string> &records : {std::vector<std::string>{"--split", "validation"}, {images}}) {
        std::vector<std::string> arguments{"--output", "hidden", "--csv", folder / "hidden.csv"};
        arguments.insert(arguments.end(), records.begin(), records.end());
        EXPECT_EQ(predict(arguments).code, 0);
        EXPECT_TRUE(read_text(folder / "hidden.csv").starts_with("img,0,1\n")) << read_text(folder / "hidden.csv");
    }
}

TEST_F(Predict, an_output_that_is_not_there_is_named_with_those_that_are) {
    for (const auto &[name, hint] : {std::pair("hiden", ". Is `hidden` meant?"), {"probab", ". Is `probabilities` meant?"}, {"other", "`hidden`\n"}}) {
        const Outcome outcome = predict({"--split", "validation", "--output", name});
        EXPECT_EQ(outcome.code, 2);
        EXPECT_CONTAINS(outcome.error, format("fake.model declares no output `%s`; it has: `probabilities`, `hidden`", name));
        EXPECT_CONTAINS(outcome.error, hint);
    }
    EXPECT_CONTAINS(predict({"--help"}).out, "one of `probabilities`, `hidden`");
    EXPECT_CONTAINS(run({"summary"}, options).out, "probabilities: f32[8, 3], hidden: f32[8, 2]");
}

TEST_F(Predict, what_are_no_probabilities_is_not_clipped) {
    const std::string csv = folder / "out.csv";
    EXPECT_EQ(predict({"--split", "validation", "--csv", csv, "--clip", "0.1"}).code, 0);
    const Outcome outcome = predict({"--split", "validation", "--output", "hidden", "--csv", csv, "--clip", "0.1"});
    EXPECT_EQ(outcome.code, 2);
    EXPECT_CONTAINS(outcome.error, "--clip is for probabilities of classes; `hidden` of 0 has the entry -");
}

}  // namespace
}  // namespace kiln::runtime::testing
