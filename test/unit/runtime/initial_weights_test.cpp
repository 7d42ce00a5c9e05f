// train --init FILE: weights that are none, and with --init-only PATTERN a part of those of another model.
#include "harness.h"

#include "checkpoint/safetensors.h"
#include "support/text.h"

#include <gtest/gtest.h>
#include <cmath>
#include <cstring>
#include <filesystem>

namespace kiln::runtime::testing {
namespace {

using Values = std::vector<float>;

TEST(InitialWeights, that_are_none_of_the_program_are_named) {
    const TemporaryFolder folder;
    write_data(folder.path());
    auto init = [&](const std::string &file) {
        write_text(folder / "init", file);
        const Outcome outcome = run({"train", "--data", folder.path(), "--run", folder / "run", "--init", folder / "init"});
        EXPECT_EQ(outcome.code, 4);
        EXPECT_FALSE(std::filesystem::exists(folder / "run/last"));
        return outcome.error;
    };
    EXPECT_CONTAINS(init(safetensors("{}", 0)), "init holds no tensors: there is nothing to begin with");
    EXPECT_CONTAINS(init(safetensors(R"({"a\u0000b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})")), "init: this program has no parameter `a\\u0000b`; `summary` lists them");
    // Values that no parameter can have.
    auto biases = [](const std::string &dtype, auto last) {
        const decltype(last) values[] = {1, 2, last};
        return safetensors(R"({"Fake/b":{"dtype":")" + dtype + R"(","shape":[3],"data_offsets":[0,)" + std::to_string(sizeof values) + "]}}", 0) +
               std::string(reinterpret_cast<const char *>(values), sizeof values);
    };
    EXPECT_CONTAINS(init(biases("F64", 1e39)), "init: Fake/b has the value 1e+39 (element 2, counted from 0), which is no number of f32");
    EXPECT_CONTAINS(init(biases("F32", std::nanf(""))), "init: Fake/b has the value nan (element 2");
    EXPECT_CONTAINS(init(biases("BF16", uint16_t(0xff80))), "init: Fake/b has the value -inf (element 2");
    EXPECT_CONTAINS(init(safetensors(R"({"":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})")), "this program has no parameter ``;");
}

struct InitialWeightsOfAnotherModel : ::testing::Test {
    TemporaryFolder folder;
    const Values weights = Values(48, 0.25f), mean = {7}, head = Values(4, 3.0f);
    void SetUp() override {
        write_data(folder.path());
        write({{"Backbone/W", {16, 3}, weights}, {"Backbone/mean", {1}, mean}, {"Backbone/b", {4}, head}, {"Backbone/W2", {4}, head}});
    }

    struct Tensor {
        std::string name;
        std::vector<int64_t> shape;
        Values values;
    };
    void write(const std::vector<Tensor> &tensors) const {
        std::vector<TensorView> views;
        std::string data;
        for (const Tensor &tensor : tensors) {
            views.push_back({tensor.name, DType::f32, tensor.shape, nullptr});
            data.append(reinterpret_cast<const char *>(tensor.values.data()), tensor.values.size() * sizeof(float));
        }
        write_text(file(), safetensors_header(views, "Backbone") + data);
    }
    std::string file() const { return folder / "backbone"; }
    /// The run has the weights that it begins with.
    Outcome train(std::vector<std::string> arguments, const std::string &name = "run") const {
        arguments.insert(arguments.begin(), {"train", "--data", folder.path(), "--run", folder / name, "--epochs", "0", "--init", file()});
        return run(arguments);
    }
    Values saved(const std::string &tensor, const std::string &name = "run") const {
        const std::string content = read_text(folder / (name + "/last/weights.safetensors"));
        for (const TensorView &view : parse_safetensors(content, name))
            if (view.name == tensor) {
                Values values(size_t(element_count(view.shape)));
                std::memcpy(values.data(), view.data, size_t(view.bytes()));
                return values;
            }
        return {};
    }
};

TEST_F(InitialWeightsOfAnotherModel, what_matches_is_taken_and_the_rest_of_both_stays) {
    const Outcome outcome = train({"--init-only", "W", "--init-only", "me*"});
    ASSERT_EQ(outcome.code, 0) << outcome.error;
    EXPECT_CONTAINS(outcome.out, file() + ": 2 of 4 tensors taken; of the 3 of this program 1 begin as usual\n");
    EXPECT_EQ(saved("Fake/W"), weights);
    EXPECT_EQ(saved("Fake/mean"), mean);
    EXPECT_EQ(saved("Fake/b"), Values(3, 0.0f));
    const Outcome quiet = train({"--init-only", "mean", "--quiet"}, "quiet");
    EXPECT_EQ(quiet.code, 0) << quiet.error;
    EXPECT_EQ(quiet.out, "");
    EXPECT_EQ(saved("Fake/mean", "quiet"), mean);
    EXPECT_NE(saved("Fake/W", "quiet"), weights);
}

TEST_F(InitialWeightsOfAnotherModel, what_matches_must_fit) {
    auto expect_refused = [&](int code, const std::vector<std::string> &arguments, const std::string &message) {
        const Outcome outcome = train(arguments);
        EXPECT_EQ(outcome.code, code) << message;
        EXPECT_CONTAINS(outcome.error, message);
        EXPECT_FALSE(std::filesystem::exists(folder / "run/last"));
    };
    expect_refused(4, {"--init-only", "b"}, "Backbone/b is f32[4] there and f32[3] in this program; a narrower --init-only leaves it aside");
    expect_refused(4, {"--init-only", "W*"}, "this program has no parameter `W2`; `summary` lists them, and a narrower --init-only leaves it aside");
    expect_refused(4, {"--init-only", "W", "--init-only", "b"}, "Backbone/b is f32[4] there");
    expect_refused(2, {"--init-only", "W2"}, "--init-only `W2` matches no parameter of this program; without the model's name in front there are `W`, `b`, `mean`");
    expect_refused(2, {"--init-only", "Fake/W"}, "--init-only `Fake/W` matches no parameter of this program; without the model's name in front");
    expect_refused(4, {}, "this program has no parameter `Backbone/W`; `summary` lists them, and `train --init-only PATTERN` takes a part of a file, of another model too");
    write({{"Fake/b", {4}, head}});
    expect_refused(4, {}, "Fake/b is f32[4] there and f32[3] in this program; `train --init-only PATTERN` takes a part of a file");
    write({{"Backbone/W", {16, 3}, weights}, {"Other/W", {16, 3}, weights}});
    expect_refused(4, {"--init-only", "W"}, "has both `Backbone/W` and `Other/W`, which are the same without the model's name in front");
    expect_refused(4, {"--init-only", "mean"}, "backbone: --init-only `mean` matches no tensor of the file; without the model's name in front there are `W`, `W`");
}

TEST_F(InitialWeightsOfAnotherModel, goes_with_a_file) {
    const Outcome outcome = run({"train", "--data", folder.path(), "--init-only", "W"});
    EXPECT_EQ(outcome.code, 2);
    EXPECT_CONTAINS(outcome.error, "--init-only goes with --init");
}

}  // namespace
}  // namespace kiln::runtime::testing
