// Layers over pictures and signals, by the numbers that PyTorch 2 gives in f64 for the same values. They stand in tensors in order: element i of
// a picture is 7 i mod 11 - 5, of a weight 5 i mod 7 - 3. PyTorch's channels come first: a picture [n, h, w, c] is its [n, c, h, w].
#include "model_values.h"

#include <cmath>

namespace kiln {
namespace {

std::vector<double> numbers(int count, int factor, int modulus, int offset) {
    std::vector<double> values;
    for (int i = 0; i < count; ++i) values.push_back(factor * i % modulus - offset);
    return values;
}
std::vector<double> picture(int count) { return numbers(count, 7, 11, 5); }
std::vector<double> weight(int count) { return numbers(count, 5, 7, 3); }

using Values = std::map<std::string, std::vector<double>>;

/// A loss of h, and a parameter, which a model needs.
const std::string kLoss = "\nd = Dense(Flatten(x), 1)\nloss mse(h, 0 * h)\nloss 0 * mse(d, d)\noutput h";

/// What the layers make of a picture of this shape in inference.
std::vector<double> output(const std::string &layers, const std::string &shape, int elements, Values given = {}, int batch = 1) {
    given["x"] = picture(elements);
    return run("x: f64[" + shape + "]", "h = x |> " + layers + kLoss, "predict", given, batch)["h"];
}

// torch.nn.functional.conv_transpose2d, the weight [kernel, kernel, filters, channels] permuted to (3, 2, 0, 1).
TEST(PictureLayers, ConvTranspose) {
    const Values W{{"M/conv_transpose/W", weight(18)}};
    expect_near(output("ConvTranspose(1, stride = 2)", "2, 2, 2", 8, W),
                {19, -4, 3, -10, -1, -1, -10, 3, -4, 19, -16, 25, -23, 16, 2, 8, 2, -15, 8, -8, 4, -9, 10, -12, 0});
    // padding = 1, output_padding = 1
    const std::vector<double> doubled = {-10, 3, -4, 19, 25, -23, 16, 2, 2, -15, 8, -8, -9, 10, -12, 0};
    expect_near(output("ConvTranspose(1, stride = 2, padding = 1, output_padding = 1)", "2, 2, 2", 8, W), doubled);
    expect_near(output("ConvTranspose(1, stride = 2, padding = [1, 0, 1, 0])", "2, 2, 2", 8, W), doubled);
    expect_near(output("ConvTranspose(1, dilation = 2, padding = 1)", "2, 2, 2", 8, W), {-12, 6, 0, 0, -13, -10, -4, 16, -4, 2, 8, -11, -7, 19, 16, -4});
    // "same" is the gradient of a convolution with that padding, whose larger half comes after: the first rows and columns stay.
    expect_near(output("ConvTranspose(1, stride = 2, padding = \"same\")", "2, 2, 2", 8, W), {19, -4, 3, -10, -1, -10, 3, -4, -16, 25, -23, 16, 8, 2, -15, 8});
    // With a kernel below the stride there are rows that nothing reaches, at the end.
    expect_near(output("ConvTranspose(1, kernel = 1, stride = 2, padding = \"same\", use_bias = false, init = ones)", "1, 2, 1", 2), {-5, 0, 2, 0, 0, 0, 0, 0});
}

// torch.nn.functional.interpolate, scale_factor = 2, align_corners = False
TEST(PictureLayers, Upsample) {
    expect_near(output("Upsample()", "2, 3, 1", 6), {-5, -5, 2, 2, -2, -2, -5, -5, 2, 2, -2, -2, 5, 5, 1, 1, -3, -3, 5, 5, 1, 1, -3, -3});
    expect_near(output("Upsample(2, method = \"bilinear\")", "2, 3, 1", 6),
                {-5, -3.25, 0.25, 1, -1, -2, -2.5, -1.4375, 0.6875, 0.75, -1.25, -2.25, 2.5, 2.1875, 1.5625, 0.25, -1.75, -2.75, 5, 4, 2, 0, -2, -3});
    expect_near(output("Upsample([1, 3], \"bilinear\")", "1, 3, 1", 3), {-5, -5, -8. / 3, -1. / 3, 2, 2. / 3, -2. / 3, -2, -2});
}

// conv2d with groups = 2, and with as many groups as channels
TEST(PictureLayers, GroupsOfChannels) {
    expect_near(output("Conv(4, kernel = 2, groups = 2)", "3, 3, 4", 36, {{"M/conv/W", weight(32)}}),
                {16, -4, 4, 14, -24, -3, 4, -20, -27, -1, 4, -22, 43, -22, 4, -1});
    expect_near(output("DepthwiseConv(2, multiplier = 2)", "3, 3, 2", 18, {{"M/depthwise_conv/W", weight(16)}}),
                {13, -8, -14, -13, 0, -2, 12, -2, -15, -1, -2, -13, 16, -6, -9, 20});
    expect_near(output("DepthwiseConv(3, stride = 2, padding = 1)", "3, 3, 2", 18, {{"M/depthwise_conv/W", weight(18)}}), {-18, 9, 3, -28, -18, 6, 1, 13});
    expect_near(output("SeparableConv(3, kernel = 2)", "3, 3, 2", 18,
                       {{"M/separable_conv/depthwise_conv/W", weight(8)}, {"M/separable_conv/conv/W", weight(6)}}),
                {-63, 17, -15, -53, 92, 34, 55, -55, -11, -100, 75, 5});
}

// Groups are computed several as one, or each as a convolution of its own: what a filter sees is the same.
TEST(PictureLayers, GroupsOfAnyWidth) {
    for (auto [channels, groups] : std::vector<std::pair<int, int>>{{6, 3}, {24, 6}, {64, 2}, {34, 17}}) {
        const int each = channels / groups;
        const std::vector<double> x = picture(channels), W = weight(each * channels);
        const std::string count = std::to_string(channels), layer = "Conv(" + count + ", kernel = 1, groups = " + std::to_string(groups) + ")";
        std::vector<double> expected(size_t(channels), 0);
        for (int k = 0; k < channels; ++k)
            for (int c = 0; c < each; ++c) expected[size_t(k)] += x[size_t(k / each * each + c)] * W[size_t(c * channels + k)];
        expect_near(output(layer, "1, 1, " + count, channels, {{"M/conv/W", W}}), expected);
    }
}

// conv1d, max_pool1d, avg_pool1d with count_include_pad = False
TEST(PictureLayers, Signals) {
    const Values W{{"M/conv1d/W", weight(12)}};
    expect_near(output("Conv1D(2, padding = 1, stride = 2)", "5, 2", 10, W), {-31, 4, 20, -4, -27, -5});
    // four zeros before
    expect_near(output("Conv1D(2, padding = \"causal\", dilation = 2)", "5, 2", 10, W), {-14, 6, -14, 15, -9, -20, -3, -17, 7, 5});
    expect_near(output("Conv1D(2, padding = [4, 0], dilation = 2)", "5, 2", 10, W), {-14, 6, -14, 15, -9, -20, -3, -17, 7, 5});
    expect_near(output("MaxPool1D()", "5, 2", 10), {-2, 5, 4, 0});
    expect_near(output("AveragePool1D(3, stride = 1, padding = 1)", "5, 2", 10), {-3.5, 3.5, -2, 4. / 3, 1, 2. / 3, 1. / 3, 0, 0, 1.5});
    expect_near(output("GlobalMaxPool()", "5, 2", 10), {4, 5});
    expect_near(output("GlobalAveragePool()", "5, 2", 10), {-1.2, 1.4});
    expect_near(output("GlobalMaxPool()", "2, 2, 2", 8), {4, 5});
}

// group_norm, instance_norm, rms_norm with eps = 0.5 and these gammas and betas; prelu
TEST(PictureLayers, Normalisation) {
    const std::vector<double> gamma = {1, 2, 3, 4}, beta = {0.5, 0, -0.5, 1};
    expect_near(output("GroupNorm(2, eps = 0.5)", "2, 1, 4", 16, {{"M/group_norm/gamma", gamma}, {"M/group_norm/beta", beta}}, 2),
                {-0.77228339452, 2.20529121717, -4.31685018356, 5.41058243434, 1.26337003671, -1.18746450155, 1.79011011014, -1.3749290031,
                 -0.77228339452, 2.20529121717, -1.31649658093, -4.44331053952, 1.26337003671, -1.18746450155, 3.58248290464, 2.0886621079}, 1e-10);
    expect_near(output("InstanceNorm(eps = 0.5)", "2, 1, 4", 16, {{"M/instance_norm/gamma", gamma}, {"M/instance_norm/beta", beta}}, 2),
                {-0.473328526785, 1.9245008973, -3.41998558035, 4.8490017946, 1.47332852678, -1.9245008973, 2.41998558035, -2.8490017946,
                 -0.473328526785, 1.9245008973, -3.41998558035, -2.89331410714, 1.47332852678, -1.9245008973, 2.41998558035, 4.89331410714}, 1e-10);
    expect_near(output("RMSNorm(eps = 0.5)", "3", 6, {{"M/rms_norm/gamma", {1, 2, 3}}}, 2),
                {-1.47441956155, 1.17953564924, -1.76930347386, 1.4334554477, 0.573382179081, -2.58021980586}, 1e-10);
    expect_near(output("PReLU()", "3, 2", 6, {{"M/p_re_lu/a", {0.1, 0.5}}}), {-0.5, 2, -0.2, 5, 1, -1.5});
    expect_near(output("Dense(2, activation = PReLU(init = constant(0.5)), init = ones)", "2", 2), {-1.5, -1.5});
}

TEST(PictureLayers, PixelsAndBorders) {
    // Channel (2 i + j) 2 + k of each pixel is channel k of pixel (i, j) of its square.
    expect_near(run("x: f64[1, 2, 8]", "h = x |> PixelShuffle()" + kLoss, "predict",
                    {{"x", {0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12, 13, 14, 15, 16, 17}}}, 1)["h"],
                {0, 1, 2, 3, 10, 11, 12, 13, 4, 5, 6, 7, 14, 15, 16, 17});
    expect_near(output("ZeroPad([1, 0, 0, 2])", "1, 2, 1", 2), {0, 0, 0, 0, -5, 2, 0, 0});
    expect_near(output("ZeroPad([0, 1])", "1, 2, 1", 2), {0, -5, 2, 0});
    expect_near(output("ZeroPad() |> CropBorder()", "1, 2, 1", 2), {-5, 2});
    expect_near(output("CropBorder([1, 0, 0, 1])", "2, 3, 1", 6), {5, 1});
}

TEST(PictureLayers, NoiseIsForTrainingAlone) {
    expect_near(output("SpatialDropout(0.9) |> GaussianNoise(5)", "1, 2, 1", 2), {-5, 2});
    // 400 signals of 50 elements: the mean square of what is added is the variance.
    const Values zeros{{"x", std::vector<double>(20000, 0)}};
    EXPECT_NEAR(run("x: f64[50, 1]", "h = x |> GaussianNoise(0.5)" + kLoss, "train", zeros, 400)["loss"][0], 0.25, 0.01);
    // Channels are kept, twice as large, or dropped as a whole: then the square of a channel's mean is 0 or 4, 2 on average.
    const Values ones{{"x", std::vector<double>(20000, 1)}};
    EXPECT_NEAR(run("x: f64[5, 10]", "h = x |> SpatialDropout(0.5) |> GlobalAveragePool()" + kLoss, "train", ones, 400)["loss"][0], 2, 0.1);
}

}  // namespace
}  // namespace kiln
