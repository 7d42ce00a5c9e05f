// Layers of the library in training and in inference, by the numbers they compute in f64.
#include "model_values.h"

#include <gtest/gtest.h>

#include <cmath>

namespace kiln {
namespace {

TEST(LayerValues, BatchNormInTraining) {
    // Two samples of [2 positions, 2 channels]: channel 0 holds 1, 3, 5, 7 (mean 4, variance 5), channel 1 always 2.
    auto found = run("x: f64[2, 2], y: f64[2, 2]", "h = x |> BatchNorm(momentum = 0.9, eps = 1)\nloss mse(h, y)\noutput h", "train",
                     {{"x", {1, 2, 3, 2, 5, 2, 7, 2}}, {"y", std::vector<double>(8, 0)}, {"M/batch_norm/gamma", {2, 3}}, {"M/batch_norm/beta", {0.5, 1}}});
    expect_near(found["M/batch_norm/mean"], {0.4, 0.2});
    expect_near(found["M/batch_norm/var"], {0.9 + 0.5, 0.9});
    double s = 2 / std::sqrt(6.0), squares = 0;
    for (double x : {1, 3, 5, 7}) squares += std::pow(s * (x - 4) + 0.5, 2) + 1;
    expect_near(found["loss"], {squares / 8});
}

TEST(LayerValues, BatchNormInInferenceUsesRunningAverages) {
    auto found = run("x: f64[2], y: f64[2]", "h = x |> BatchNorm(eps = 1)\nloss mse(h, y)\noutput h", "predict",
                     {{"x", {1, 2, 3, 4}}, {"M/batch_norm/mean", {1, 2}}, {"M/batch_norm/var", {3, 8}}, {"M/batch_norm/gamma", {2, 3}}, {"M/batch_norm/beta", {0, 1}}});
    expect_near(found["h"], {0, 1, 2, 3});
}

TEST(LayerValues, LayerNormNormalisesEachSample) {
    auto found = run("x: f64[2], y: f64[2]", "h = x |> LayerNorm(eps = 0)\nloss mse(h, y)\noutput h", "predict", {{"x", {1, 3, 10, 4}}, {"M/layer_norm/beta", {0.5, 0}}});
    expect_near(found["h"], {-0.5, 1, 1.5, -1});
}

TEST(LossValues, CrossEntropyOfSeveralRowsIsTheirMean) {
    // Logits of two rows of a sample: log of (1, 2, 1) and of (1, 1, 6).
    const std::map<std::string, std::vector<double>> given{{"x", {0, std::log(2.0), 0, 0, 0, std::log(6.0)}}, {"t", {1, 2}}, {"M/dense/W", {1, 0, 0, 0, 1, 0, 0, 0, 1}}};
    const std::string inputs = "x: f64[2, 3], t: i32[2]", logits = "h = reshape(x, [2, 3]) |> Dense(3)\nh <- reshape(h, [1, 2, 3])\n";
    auto found = run(inputs, logits + "loss cross_entropy(h, t % 3)\nmetric accuracy(h, t % 2)\noutput h", "evaluate", given, 1);
    expect_near(found["loss"], {-(std::log(2.0 / 4) + std::log(6.0 / 8)) / 2});
    expect_near(found["accuracy"], {0.5});
    found = run("x: f64[2, 3]", logits + "loss soft_cross_entropy(h, 0 * h + 1 / 3)\noutput h", "evaluate", given, 1);
    expect_near(found["loss"], {-(std::log(1.0 / 4) + std::log(2.0 / 4) + std::log(1.0 / 4) + 2 * std::log(1.0 / 8) + std::log(6.0 / 8)) / 6});
}

TEST(LossValues, AMaskLeavesLabelsAside) {
    // Three rows of a sample, logits log (1, 3), (1, 1) and (4, 1), labels 1, 0, 1; the second sample is masked as a whole.
    const std::map<std::string, std::vector<double>> given{{"x", {0, std::log(3.0), 0, 0, std::log(4.0), 0, 0, 1, 2, 3, 4, 5}}, {"t", {1, 0, 1, 0, 1, 0}}, {"m", {1, 0, 1, 0, 0, 0}}, {"M/dense/W", {1, 0, 0, 1}}};
    auto found = run("x: f64[3, 2], t: class[2][3], m: f64[3]",
                     "h = Dense(x, 2)\nloss cross_entropy(h, t, mask = m > 0)\nmetric accuracy(h, t, mask = m)\nmetric perplexity(h, t, mask = m)\nmetric whole = perplexity(h, t)\noutput h", "evaluate", given);
    const double first = -std::log(0.75), third = -std::log(0.2);
    expect_near(found["loss"], {(first + third) / 2, 0});
    expect_near(found["accuracy"], {0.5, 0});
    expect_near(found["perplexity"], {(first + third) / 3, 0});
    expect_near(found["perplexity.2"], {2.0 / 3, 0});
}

TEST(LayerValues, AParameterHasTheDimensionsOfItsInput) {
    const std::string layer = "}\nlayer Scale(x: float[b, ..s]) {\nparam a: float[..s, 2] = ones\nreturn a[.., 0] * x\n";
    auto found = run("x: f64[2, 2], y: f64[2, 2]", "h = Scale(x)\nloss mse(h, y)\noutput h" + layer, "predict", {{"x", {1, 2, 3, 4}}, {"M/scale/a", {5, 0, 6, 0, 7, 0, 8, 0}}}, 1);
    expect_near(found["h"], {5, 12, 21, 32});
}

TEST(LayerValues, CallsInABranchAtRunTime) {
    // What a called function assigns, and a loop, are no names of the branch.
    const std::string calls = "if training or seed > 0 { h <- LayerNorm(h, eps = 0) \nfor i in 0..2 { k = h\n k <- k + i\n h <- k } } else { h <- softmax(h) }\n";
    auto found = run("x: f64[2], y: f64[2]", "h = x\n" + calls + "loss mse(h, y)\noutput h", "predict", {{"x", {1, 3, 10, 4}}, {"seed", {1}}});
    expect_near(found["h"], {0, 2, 2, 0});
    found = run("x: f64[2], y: f64[2]", "h = x\n" + calls + "loss mse(h, y)\noutput h", "predict", {{"x", {0, std::log(3.0), 0, 0}}, {"seed", {0}}});
    expect_near(found["h"], {0.25, 0.75, 0.5, 0.5});
}

TEST(LayerValues, BothBranchesOfARunTimeIfWriteABuffer) {
    const std::string layer = "}\nlayer Count(x: float[b, n]) {\nbuffer c: float[n] = ones\nif training { if step > 5 { c <- c * 0.5 } else { c <- c + 3 } }\nreturn x + c\n";
    for (double step : {5, 6}) {
        auto found = run("x: f64[2], y: f64[2]", "h = x |> Count() |> Dense(2)\nloss mse(h, y)\noutput h" + layer, "train", {{"x", {1, 3, 10, 4}}, {"y", {0, 0, 0, 0}}, {"step", {step}}});
        expect_near(found["M/count/c"], step > 5 ? std::vector<double>{0.5, 0.5} : std::vector<double>{4, 4});
    }
}

TEST(LayerValues, EmbeddingTakesRows) {
    auto found = run("user: class[3], y: f64[2]", "h = user |> Embedding(2)\nloss mse(h, y)\noutput h", "predict", {{"user", {2, 0}}, {"M/embedding/W", {1, 2, 3, 4, 5, 6}}});
    expect_near(found["h"], {5, 6, 1, 2});
}

TEST(LayerValues, DropoutKeepsTheMeanInTrainingAndDoesNothingInInference) {
    const int n = 10000;
    std::string type = "f64[" + std::to_string(n) + "]", body = "h = x |> Dropout(0.25)\nscale = Dense(h, 1, init = ones, use_bias = false)\nloss mse(scale, y)\noutput h";
    std::map<std::string, std::vector<double>> ones = {{"x", std::vector<double>(n, 1)}, {"y", {0}}};
    auto training = run("x: " + type + ", y: f64[1]", body, "train", ones, 1);
    EXPECT_NEAR(std::sqrt(training["loss"][0]) / n, 1, 0.03);
    EXPECT_NE(training["loss"][0], double(n) * n);
    auto inference = run("x: " + type + ", y: f64[1]", body, "predict", ones, 1);
    expect_near(inference["h"], std::vector<double>(n, 1));
}

TEST(LayerValues, ConvolutionIsACorrelation) {
    auto found = run("x: f64[3, 3, 1], y: f64[1]", "h = x |> Conv(1, kernel = 2, padding = \"same\", activation = relu)\nloss mse(h, h)\noutput h\noutput y", "predict",
                     {{"x", {1, 2, 3, 4, 5, 6, 7, 8, 9}}, {"y", {0}}, {"M/conv/W", {1, 10, 100, 1000}}, {"M/conv/b", {-100}}}, 1);
    // The zeros of "same" come after: below and to the right.
    expect_near(found["h"], {1 + 20 + 400 + 5000 - 100., 2 + 30 + 500 + 6000 - 100., 3 + 600 - 100., 4 + 50 + 700 + 8000 - 100., 5 + 60 + 800 + 9000 - 100.,
                             6 + 900 - 100., 0, 0, 0});
}

TEST(LayerValues, CrossEntropyAndItsKin) {
    auto found = run("x: f64[3], label: class[3]", "h = x |> Dense(3, init = ones)\nloss cross_entropy(x + 0 * h, label)\nmetric accuracy(x, label)\nmetric second = top_k(x, label, k = 2)\noutput h",
                     "evaluate", {{"x", {0, 1, 2, 3, 3, 0}}, {"label", {1, 1}}});
    double z = 1 + std::exp(1.0) + std::exp(2.0);
    expect_near(found["loss"], {std::log(z) - 1, std::log(2 * std::exp(3.0) + 1) - 3});
    expect_near(found["accuracy"], {0, 0});
    expect_near(found["second"], {1, 1});
}

}  // namespace
}  // namespace kiln
