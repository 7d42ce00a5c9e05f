// The library's augmentations by what they do to pictures, in f64 through the interpreter.
#include "elaborate_text.h"

#include "compiler/ops/interpret.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <set>

namespace kiln {
namespace {

constexpr int kBatch = 64, kHeight = 5, kWidth = 6;

struct Pictures {
    int channels;
    std::vector<double> values;
    double at(int n, int y, int x, int c) const { return values[size_t(((n * kHeight + y) * kWidth + x) * channels + c)]; }
};

Pictures pictures(int channels, double low = 0, double high = 255) {
    Pictures result{channels, {}};
    std::mt19937 random(7);
    std::uniform_real_distribution<double> value(low, high);
    for (int i = 0; i < kBatch * kHeight * kWidth * channels; ++i) result.values.push_back(value(random));
    return result;
}

/// What an augmentation makes of a batch; `{}` if it leaves a column alone.
std::map<std::string, std::vector<double>> augmented(const std::string &expression, const Pictures &images, double step = 1, double strength = 0) {
    const std::string type = "f64[" + std::to_string(kHeight) + ", " + std::to_string(kWidth) + ", " + std::to_string(images.channels) + "]";
    Elaborated e = elaborate_text("precision f64\nhyper strength: float = 0\ndata d(dir: path) {\n train = npz(dir / \"records.npz\")\n}\n"
                                  "augment Tested(image: float[h, w, c], label: class[n]) {\n return " + expression + "\n}\n"
                                  "model M(image: " + type + ", label: class[3]) {\n logits = image |> Flatten() |> Dense(3)\n loss cross_entropy(logits, label)\n}\n"
                                  "train M on d {\n batch = " + std::to_string(kBatch) + "\n epochs = 1\n optimizer = SGD(0.1 + 0 * strength)\n augment = Tested\n}\n");
    EXPECT_FALSE(e.diagnostics.has_errors()) << e.messages();
    std::map<std::string, std::vector<double>> found;
    if (e.diagnostics.has_errors() || !e.module.graphs.count("augment")) return found;
    const Graph &graph = e.module.graphs.at("augment");
    std::vector<Tensor> results = interpret(graph, [&](const Node &node) {
        const std::string &name = attrs<InputAttrs>(node).name;
        if (name == "image") return Tensor{node.type, images.values};
        if (name == "strength") return Tensor{node.type, {strength}};
        if (name == "step") return Tensor{node.type, {step}};
        if (name == "seed") return Tensor{node.type, {3}};
        Tensor labels{node.type, {}};
        for (int i = 0; i < kBatch; ++i) labels.values.push_back(i % 3);
        return labels;
    });
    for (size_t i = 0; i < results.size(); ++i) found.emplace(graph.results[i].name, results[i].values);
    return found;
}

Pictures image_after(const std::string &chain, const Pictures &images, double step = 1, double strength = 0) {
    auto found = augmented("image |> " + chain + ", label", images, step, strength);
    return {images.channels, found.count("image") ? found["image"] : images.values};
}

double clamped(const Pictures &p, int n, int y, int x, int c) {
    return p.at(n, std::clamp(y, 0, kHeight - 1), std::clamp(x, 0, kWidth - 1), c);
}

/// Whether picture n of `b` is that of `a` with each pixel taken from (y, x) = place(y, x).
template <typename Place> bool is_moved(const Pictures &a, const Pictures &b, int n, Place place, double tolerance = 1e-9) {
    for (int y = 0; y < kHeight; ++y)
        for (int x = 0; x < kWidth; ++x)
            for (int c = 0; c < a.channels; ++c) {
                auto [from_y, from_x] = place(y, x);
                if (std::abs(b.at(n, y, x, c) - clamped(a, n, from_y, from_x, c)) > tolerance) return false;
            }
    return true;
}

using Spot = std::pair<int, int>;

TEST(Augment, EveryOneWithARangeOfZeroChangesNoBit) {
    const Pictures images = pictures(3, -20, 300);  // also what is outside 0 to 255 stays
    for (const char *each : {"Rotate(%)", "Shift(%)", "Shift(%, %)", "Shear(%)", "Zoom(%)", "FlipHorizontal(%)", "FlipVertical(%)", "Crop(1 - %)", "RandomCrop(0)",
                             "ChannelShift(%)", "Brightness(%)", "Contrast(%)", "Saturation(%)", "Hue(%)", "Noise(%)", "Cutout(%)", "Sometimes(Rotate(20deg), %)",
                             "Sometimes(Noise(0.5), %)", "OneOf([Rotate(%), Noise(%), Zoom(%)])", "Rotate(%, fill = \"constant\") |> Zoom(%, fill = \"reflect\")"})
        for (const char *zero : {"0", "strength"}) {
            std::string chain = each;
            for (size_t at; (at = chain.find('%')) != std::string::npos;) chain.replace(at, 1, zero);
            EXPECT_EQ(image_after(chain, images).values, images.values) << chain;
        }
    auto mixed = augmented("Mixup(image, label, 0)", images);
    EXPECT_EQ(mixed["image"], images.values);
    for (int n = 0; n < kBatch; ++n)
        for (int c = 0; c < 3; ++c) EXPECT_EQ(mixed["label"][size_t(n * 3 + c)], n % 3 == c);
}

TEST(Augment, DrawsDifferWithSampleAndStep) {
    const Pictures images = pictures(1);
    const Pictures first = image_after("Brightness(0.2)", images, 1), again = image_after("Brightness(0.2)", images, 1), second = image_after("Brightness(0.2)", images, 2);
    EXPECT_EQ(first.values, again.values);
    EXPECT_NE(first.values, second.values);
    std::vector<double> factors;
    for (int n = 0; n < kBatch; ++n) factors.push_back(first.at(n, 2, 2, 0) / images.at(n, 2, 2, 0));
    EXPECT_LT(*std::min_element(factors.begin(), factors.end()), 0.9);
    EXPECT_GT(*std::max_element(factors.begin(), factors.end()), 1.0);
}

TEST(Augment, AHyperSetsARangeAtRunTime) {
    const Pictures images = pictures(1);
    EXPECT_EQ(image_after("Rotate(strength)", images, 1, 0.3).values, image_after("Rotate(0.3)", images).values);
}

TEST(Augment, FlipsAreMirrorImages) {
    const Pictures images = pictures(3), across = image_after("FlipHorizontal(1)", images), down = image_after("FlipVertical(1)", images), half = image_after("FlipHorizontal()", images);
    int flipped = 0;
    for (int n = 0; n < kBatch; ++n) {
        EXPECT_TRUE(is_moved(images, across, n, [](int y, int x) { return Spot{y, kWidth - 1 - x}; }, 0));
        EXPECT_TRUE(is_moved(images, down, n, [](int y, int x) { return Spot{kHeight - 1 - y, x}; }, 0));
        flipped += is_moved(images, half, n, [](int y, int x) { return Spot{y, kWidth - 1 - x}; }, 0);
    }
    EXPECT_GT(flipped, kBatch / 4);
    EXPECT_LT(flipped, 3 * kBatch / 4);
}

TEST(Augment, RandomCropShiftsByWholePixels) {
    const Pictures images = pictures(3, 1, 2), cropped = image_after("RandomCrop(2, fill = \"nearest\")", images), black = image_after("RandomCrop(2)", images);
    std::set<Spot> seen;
    for (int n = 0; n < kBatch; ++n) {
        bool found = false;
        for (int dy = -2; dy <= 2; ++dy)
            for (int dx = -2; dx <= 2; ++dx)
                if (is_moved(images, cropped, n, [&](int y, int x) { return Spot{y + dy, x + dx}; })) found = true, seen.insert({dy, dx});
        EXPECT_TRUE(found) << n;
    }
    EXPECT_GT(seen.size(), 15u);
    EXPECT_GT(std::count(black.values.begin(), black.values.end(), 0.0), 0);
}

TEST(Augment, AChainIsTheProductOfItsMaps) {
    // A quarter turn of a square would be exact; two opposite shifts of a chain lose nothing, which two interpolations at the edge would.
    const Pictures images = pictures(1);
    const std::string there = "transform([1, 0, 3.25, 0, 1, -1.5])", back = "transform([1, 0, -3.25, 0, 1, 1.5])";
    const Pictures round_trip = image_after(there + " |> " + back, images);
    for (size_t i = 0; i < images.values.size(); ++i) EXPECT_NEAR(round_trip.values[i], images.values[i], 1e-9);
    // First stretched, then moved: the image is read at stretch(move(place)).
    const Pictures both = image_after("transform([2, 0, 0, 0, 2, 0]) |> transform([1, 0, 0.5, 0, 1, 0.25])", images);
    const Pictures once = image_after("transform([2, 0, 1, 0, 2, 0.5])", images);
    for (size_t i = 0; i < images.values.size(); ++i) EXPECT_NEAR(both.values[i], once.values[i], 1e-9);
}

TEST(Augment, RotationKeepsTheCentre) {
    const Pictures images = pictures(1), turned = image_after("Rotate(90deg)", images);
    // The middle of the image is between two pixels of its middle row, whichever way it is turned.
    for (int n = 0; n < kBatch; ++n) {
        double low = 1e9, high = -1e9;
        for (int y = 0; y < kHeight; ++y)
            for (int x = 0; x < kWidth; ++x) low = std::min(low, images.at(n, y, x, 0)), high = std::max(high, images.at(n, y, x, 0));
        for (int y = 0; y < kHeight; ++y)
            for (int x = 0; x < kWidth; ++x) EXPECT_TRUE(turned.at(n, y, x, 0) >= low - 1e-9 && turned.at(n, y, x, 0) <= high + 1e-9);
    }
    Pictures disc = pictures(1);
    for (int n = 0; n < kBatch; ++n)
        for (int y = 0; y < kHeight; ++y)
            for (int x = 0; x < kWidth; ++x) disc.values[size_t((n * kHeight + y) * kWidth + x)] = 10 * (y - 2.0) + (x - 2.5);
    const Pictures slope = image_after("Rotate(40deg)", disc);
    // On an inclined plane rotation about the centre is a rotation of the gradient: opposite pixels keep opposite values.
    for (int n = 0; n < kBatch; ++n) EXPECT_NEAR(slope.at(n, 2, 2, 0) + slope.at(n, 2, 3, 0), 0, 1e-9);
}

TEST(Augment, PixelValuesStayWithinBlackAndWhite) {
    const Pictures images = pictures(3);
    for (const char *each : {"ChannelShift(0.5)", "Brightness(1)", "Contrast(1)", "Saturation(1)", "Hue(180deg)", "Noise(1)"}) {
        const Pictures changed = image_after(each, images);
        EXPECT_NE(changed.values, images.values) << each;
        EXPECT_GE(*std::min_element(changed.values.begin(), changed.values.end()), 0) << each;
        EXPECT_LE(*std::max_element(changed.values.begin(), changed.values.end()), 255) << each;
    }
}

TEST(Augment, ChannelShiftAddsOneNumberToEachChannel) {
    const Pictures images = pictures(3, 100, 150), shifted = image_after("ChannelShift(20 / 255)", images);
    for (int n = 0; n < kBatch; ++n)
        for (int c = 0; c < 3; ++c) {
            const double offset = shifted.at(n, 0, 0, c) - images.at(n, 0, 0, c);
            EXPECT_LE(std::abs(offset), 20);
            EXPECT_NEAR(shifted.at(n, 3, 4, c) - images.at(n, 3, 4, c), offset, 1e-9);
        }
    EXPECT_NE(shifted.at(0, 0, 0, 0) - images.at(0, 0, 0, 0), shifted.at(0, 0, 0, 1) - images.at(0, 0, 0, 1));
}

TEST(Augment, ContrastKeepsTheMeanSaturationTheGreyAndHueTheMeanOfAPixel) {
    const Pictures images = pictures(3, 100, 150), contrast = image_after("Contrast(0.5)", images), saturation = image_after("Saturation(0.5)", images), hue = image_after("Hue(30deg)", images);
    const double weights[] = {0.299, 0.587, 0.114};
    for (int n = 0; n < kBatch; ++n) {
        double before = 0, after = 0;
        for (int y = 0; y < kHeight; ++y)
            for (int x = 0; x < kWidth; ++x) {
                double grey = 0, same_grey = 0, mean = 0, same_mean = 0, length = 0, same_length = 0;
                for (int c = 0; c < 3; ++c) {
                    before += weights[c] * images.at(n, y, x, c), after += weights[c] * contrast.at(n, y, x, c);
                    grey += weights[c] * images.at(n, y, x, c), same_grey += weights[c] * saturation.at(n, y, x, c);
                    mean += images.at(n, y, x, c), same_mean += hue.at(n, y, x, c);
                    length += std::pow(images.at(n, y, x, c), 2), same_length += std::pow(hue.at(n, y, x, c), 2);
                }
                EXPECT_NEAR(grey, same_grey, 1e-9);
                EXPECT_NEAR(mean, same_mean, 1e-9);
                EXPECT_NEAR(length, same_length, 1e-6);  // a rotation
            }
        EXPECT_NEAR(before, after, 1e-6);
    }
}

TEST(Augment, HueOfAThirdOfATurnExchangesTheChannels) {
    const Pictures images = pictures(3, 100, 150);
    const Pictures turned = {3, augmented("image + (1 - cos(120deg)) * (average(image, axis = 3, expand = true) - image) + sin(120deg) / sqrt(3) * "
                                          "(concat([image[.., 2..3], image[.., 0..2]], axis = 3) - concat([image[.., 1..3], image[.., 0..1]], axis = 3)), label", images)["image"]};
    for (int c = 0; c < 3; ++c) EXPECT_NEAR(turned.at(0, 1, 1, (c + 1) % 3), images.at(0, 1, 1, c), 1e-9);
}

TEST(Augment, CutoutCoversARectangle) {
    const Pictures images = pictures(3, 1, 2), cut = image_after("Cutout(0.5)", images);
    int covered = 0;
    for (int n = 0; n < kBatch; ++n)
        for (int y = 0; y < kHeight; ++y)
            for (int x = 0; x < kWidth; ++x) {
                EXPECT_TRUE(cut.at(n, y, x, 0) == 0 || cut.at(n, y, x, 0) == images.at(n, y, x, 0));
                EXPECT_EQ(cut.at(n, y, x, 0) == 0, cut.at(n, y, x, 2) == 0);
                covered += cut.at(n, y, x, 0) == 0;
            }
    EXPECT_GT(covered, kBatch * 3);
    EXPECT_LT(covered, kBatch * 9 + 1);  // at most 3 x 3 of the 5 x 6
}

TEST(Augment, NoiseIsNormal) {
    Pictures images = pictures(3, 128, 128);
    const Pictures noisy = image_after("Noise(0.05)", images);
    double sum = 0, squares = 0;
    for (double value : noisy.values) sum += value - 128, squares += std::pow(value - 128, 2);
    const double count = double(noisy.values.size());
    EXPECT_NEAR(sum / count, 0, 0.6);
    EXPECT_NEAR(std::sqrt(squares / count), 0.05 * 255, 0.5);
}

TEST(Augment, OneOfChoosesEachAsOften) {
    const Pictures images = pictures(1, 100, 101), chosen = image_after("OneOf([FlipHorizontal(1), FlipVertical(1), Brightness(0.2)])", images);
    int counts[3] = {};
    for (int n = 0; n < kBatch; ++n) {
        if (is_moved(images, chosen, n, [](int y, int x) { return Spot{y, kWidth - 1 - x}; }, 0)) counts[0]++;
        else if (is_moved(images, chosen, n, [](int y, int x) { return Spot{kHeight - 1 - y, x}; }, 0)) counts[1]++;
        else counts[2]++;
    }
    for (int count : counts) EXPECT_GT(count, 8);
}

TEST(Augment, MixupMixesSamplesAndLabelsAlike) {
    const Pictures images = pictures(1);
    for (double alpha : {0.2, 1.0}) {
        auto mixed = augmented("Mixup(image, label, " + std::to_string(alpha) + ")", images);
        const Pictures after{1, mixed["image"]};
        double mean = 0;
        for (int n = 0; n < kBatch; ++n) {
            const int other = kBatch - 1 - n;
            const double share = (after.at(n, 0, 0, 0) - images.at(n, 0, 0, 0)) / (images.at(other, 0, 0, 0) - images.at(n, 0, 0, 0));
            EXPECT_GE(share, 0);
            EXPECT_LE(share, 0.5);
            mean += share / kBatch;
            EXPECT_NEAR(after.at(n, 3, 3, 0), (1 - share) * images.at(n, 3, 3, 0) + share * images.at(other, 3, 3, 0), 1e-6);
            for (int c = 0; c < 3; ++c)
                EXPECT_NEAR(mixed["label"][size_t(n * 3 + c)], (1 - share) * (n % 3 == c) + share * (other % 3 == c), 1e-6);
        }
        // Of Beta(1, 1) the smaller share is 1/4 on average, of Beta(0.2, 0.2) less than 1/10.
        EXPECT_NEAR(mean, alpha == 1 ? 0.25 : 0.09, 0.06) << alpha;
    }
}

TEST(Augment, MixedLabelsAreSharesInTrainingOnly) {
    Elaborated e = elaborate_text(experiment("logits = image |> Flatten() |> Dense(3)\nloss cross_entropy(logits, label)\nmetric accuracy(logits, label)",
                                             "optimizer = SGD(0.1)\naugment = Mixup(0.3)\n"));
    ASSERT_FALSE(e.diagnostics.has_errors()) << e.messages();
    auto label_type = [&](const char *graph) {
        for (const Node &node : e.module.graphs.at(graph).nodes)
            if (node.op == Op::input && attrs<InputAttrs>(node).name == "label") return to_string(node.type);
        return std::string("none");
    };
    EXPECT_EQ(label_type("train"), "f32[8, 3]");
    EXPECT_EQ(label_type("evaluate"), "i32[8]");
    EXPECT_EQ(label_type("augment"), "i32[8]");
    EXPECT_EQ(e.module.columns[1].type, (Type{DType::i32, {}}));
}

}  // namespace
}  // namespace kiln
