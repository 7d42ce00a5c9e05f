// Masks that move with their pictures, in f64 through the interpreter. The picture's channels are the row and the column of each pixel, so that what
// comes out says where it was taken from.
#include "elaborate_text.h"

#include "compiler/ops/interpret.h"

#include <gtest/gtest.h>

#include <cmath>

namespace kiln {
namespace {

constexpr int kBatch = 32, kHeight = 5, kWidth = 7, kClasses = 4;

int class_at(int n, int y, int x) { return (3 * n + 2 * y + x * x + y * x) % kClasses; }

struct Moved {
    std::vector<double> picture, mask;
    double y(int n, int i, int j) const { return picture[size_t(((n * kHeight + i) * kWidth + j) * 2)]; }
    double x(int n, int i, int j) const { return picture[size_t(((n * kHeight + i) * kWidth + j) * 2 + 1)]; }
    double label(int n, int i, int j) const { return mask[size_t((n * kHeight + i) * kWidth + j)]; }
};

/// What is made of a picture and its mask by statements that end in `return ..`.
Moved moved(const std::string &statements, const std::string &mask_type = "class[4][5, 7]") {
    const std::string model = "y = image |> Conv(1, padding = \"same\")\n loss mse(y, 0 * y) + average(cast(mask, to = float), keep = 0)\n output y\n";
    Elaborated e = elaborate_text("precision f64\ndata d(dir: path) {\n train = npz(dir / \"records.npz\")\n}\n"
                                  "augment Tested(image: float[h, w, c], mask: tensor[h, w, ..]) {\n" + statements + "\n}\n"
                                  "model M(image: f64[5, 7, 2], mask: " + mask_type + ") {\n" + model + "}\n"
                                  "train M on d {\n batch = 32\n epochs = 1\n optimizer = SGD(0.1)\n augment = Tested\n}\n");
    EXPECT_FALSE(e.diagnostics.has_errors()) << e.messages();
    Moved found;
    for (int n = 0; n < kBatch; ++n)
        for (int i = 0; i < kHeight; ++i)
            for (int j = 0; j < kWidth; ++j) {
                found.picture.insert(found.picture.end(), {double(i), double(j)});
                found.mask.push_back(class_at(n, i, j));
            }
    if (e.diagnostics.has_errors()) return found;
    const Graph &graph = e.module.graphs.at("augment");
    const std::vector<Tensor> results = interpret(graph, [&](const Node &node) {
        const std::string &name = attrs<InputAttrs>(node).name;
        if (name == "image") return Tensor{node.type, found.picture};
        return Tensor{node.type, name == "mask" ? found.mask : std::vector<double>{name == "seed" ? 3.0 : 1.0}};
    });
    for (size_t i = 0; i < results.size(); ++i) (graph.results[i].name == "image" ? found.picture : found.mask) = results[i].values;
    return found;
}

std::string both(const std::string &chain, const std::string &outside = "none") { return "light = image |> " + chain + "\nreturn light, follow(mask, light, " + outside + ")"; }

TEST(Masks, AreMovedByHand) {
    const Moved across = moved(both("FlipHorizontal(1)")), down = moved(both("FlipVertical(1)")), shifted = moved(both("transform([1, 0, 2, 0, 1, -1], \"constant\")", "3"));
    for (int n = 0; n < kBatch; ++n)
        for (int i = 0; i < kHeight; ++i)
            for (int j = 0; j < kWidth; ++j) {
                EXPECT_EQ(across.label(n, i, j), class_at(n, i, kWidth - 1 - j));
                EXPECT_EQ(down.label(n, i, j), class_at(n, kHeight - 1 - i, j));
                EXPECT_EQ(shifted.label(n, i, j), i + 2 < kHeight && j >= 1 ? class_at(n, i + 2, j - 1) : 3);
            }
}

TEST(Masks, TakeTheNearestPixelOfATurnedPicture) {
    // By 30 degrees about the centre (2, 3), the formula of `warp`.
    const double c = std::cos(0.5235987755982988), s = std::sin(0.5235987755982988);
    const Moved turned = moved(both("transform([cos(30deg), -sin(30deg), 0, sin(30deg), cos(30deg), 0], \"constant\")", "0"));
    int outside = 0;
    for (int n = 0; n < kBatch; ++n)
        for (int i = 0; i < kHeight; ++i)
            for (int j = 0; j < kWidth; ++j) {
                const int y = int(std::lround(c * (i - 2) - s * (j - 3) + 2)), x = int(std::lround(s * (i - 2) + c * (j - 3) + 3));
                const bool inside = y >= 0 && y < kHeight && x >= 0 && x < kWidth;
                EXPECT_EQ(turned.label(n, i, j), inside ? class_at(n, y, x) : 0) << i << " " << j;
                outside += !inside;
            }
    EXPECT_GT(outside, 0);
}

/// Whether the mask has the class of the pixel nearest to the place that the picture shows.
void expect_together(const std::string &chain) {
    const Moved found = moved(both(chain));
    int elsewhere = 0;
    for (int n = 0; n < kBatch; ++n)
        for (int i = 0; i < kHeight; ++i)
            for (int j = 0; j < kWidth; ++j) {
                const double y = found.y(n, i, j), x = found.x(n, i, j);
                EXPECT_EQ(found.label(n, i, j), class_at(n, int(std::floor(y + 0.5)), int(std::floor(x + 0.5)))) << chain << ": " << y << ", " << x;
                elsewhere += std::abs(y - i) + std::abs(x - j) > 0.5;
            }
    EXPECT_GT(elsewhere, kBatch) << chain;
}

TEST(Masks, ShowWhatThePictureShows) {
    for (const char *chain : {"Rotate(40deg)", "Shift(0.3)", "Shear(0.4)", "Zoom(0.4)", "Crop(0.5)", "RandomCrop(2, fill = \"nearest\")", "FlipHorizontal()", "FlipVertical()",
                              "Rotate(20deg) |> Shift(0.2) |> FlipHorizontal() |> Zoom(0.2)", "Sometimes(Rotate(40deg))", "OneOf([FlipVertical(1), Rotate(40deg), Crop(0.6)])",
                              "Rotate(40deg) |> Sometimes(Crop(0.6)) |> FlipHorizontal()"})
        expect_together(chain);
}

TEST(Masks, GoThroughWhatIsNoOneMap) {
    // Whole pixels, so that nothing is interpolated twice: flips through maps of different fills, by chance of the sample, and turned around by hand.
    for (const char *chain : {"RandomCrop(1, fill = \"reflect\") |> RandomCrop(2, fill = \"nearest\")",
                              "RandomCrop(1, fill = \"reflect\") |> Sometimes(RandomCrop(2, fill = \"nearest\")) |> Sometimes(FlipVertical(1))",
                              "OneOf([FlipVertical(1), RandomCrop(2, fill = \"reflect\"), RandomCrop(2, fill = \"nearest\")])",
                              "RandomCrop(1, fill = \"reflect\") |> reverse([2]) |> RandomCrop(1, fill = \"nearest\")"})
        expect_together(chain);
}

TEST(Masks, ArePassedByPixelValues) {
    // Statistics, noise and a covered rectangle change values and no place.
    const Moved plain = moved(both("FlipHorizontal() |> Crop(0.6)"));
    const Moved light = moved(both("FlipHorizontal() |> Crop(0.6) |> ChannelShift(0.1) |> Contrast(0.2) |> Saturation(0.1) |> Brightness(0.1) |> Sometimes(Noise(0.1)) |> Cutout()"));
    EXPECT_EQ(plain.mask, light.mask);
    EXPECT_NE(plain.picture, light.picture);
}

TEST(Masks, OfNumbersAreMovedAlike) {
    const std::string chain = both("Rotate(40deg, fill = \"constant\") |> FlipVertical()", "2");
    const Moved classes = moved(chain), numbers = moved(chain, "f64[5, 7]"), channels = moved(chain, "f64[5, 7, 1]");
    EXPECT_EQ(classes.mask, numbers.mask);
    EXPECT_EQ(classes.mask, channels.mask);
    EXPECT_EQ(moved("light = image |> Zoom(0.3)\nreturn light, follow(mask, light, none)", "f64[5, 7]").mask, moved(both("Zoom(0.3)")).mask);
}

TEST(Masks, WithMaskIsFollow) { EXPECT_EQ(moved("WithMask(image, mask, Rotate(40deg), outside = 1)").mask, moved(both("Rotate(40deg)", "1")).mask); }

TEST(Masks, AreMixedAsSharesOfEachLabel) {
    const Moved mixed = moved("return Mixup(image, mask, 1)");
    ASSERT_EQ(mixed.mask.size(), size_t(kBatch * kHeight * kWidth * kClasses));
    for (int n = 0; n < kBatch; ++n) {
        const int other = kBatch - 1 - n;
        // All labels of a sample are mixed by one share, found where the two differ.
        double share = -1;
        for (bool known : {false, true})
            for (int at = 0; at < kHeight * kWidth; ++at)
                for (int c = 0; c < kClasses; ++c) {
                    const double own = class_at(n, at / kWidth, at % kWidth) == c, others = class_at(other, at / kWidth, at % kWidth) == c;
                    const double found = mixed.mask[size_t((n * kHeight * kWidth + at) * kClasses + c)];
                    if (known) EXPECT_NEAR(found, own + share * (others - own), 1e-6);  // shares are f32
                    else if (others > own) share = found;
                }
        EXPECT_TRUE(share >= 0 && share <= 0.5) << share;
    }
}

TEST(Masks, AreMovedAndThenMixed) {
    const Moved both = moved("light = image |> FlipVertical(1)\nreturn Mixup(light, follow(mask, light), 0)");
    ASSERT_EQ(both.mask.size(), size_t(kBatch * kHeight * kWidth * kClasses));
    for (int n = 0; n < kBatch; ++n)
        for (int at = 0; at < kHeight * kWidth; ++at)
            EXPECT_EQ(both.mask[size_t((n * kHeight * kWidth + at) * kClasses + class_at(n, kHeight - 1 - at / kWidth, at % kWidth))], 1);
}

TEST(Masks, AreSharesInTrainingOnly) {
    Elaborated e = elaborate_text("data d(dir: path) {\n train = npz(dir / \"records.npz\")\n}\naugment Mixed(image: f32[h, w, c], mask: class[n][h, w]) { Mixup(image, mask) }\n"
                                  "model M(image: f32[4, 6, 1], mask: class[3][4, 6]) {\n logits = image |> Conv(3, padding = \"same\")\n loss cross_entropy(logits, mask)\n"
                                  " metric accuracy(logits, mask)\n output logits\n}\ntrain M on d {\n batch = 8\n optimizer = SGD(0.1)\n"
                                  " phase a {\n epochs = 1\n augment = Mixed\n }\n phase b {\n epochs = 1\n augment = none\n }\n}\n");
    ASSERT_FALSE(e.diagnostics.has_errors()) << e.messages();
    auto mask_type = [&](const std::string &graph) {
        for (const Node &node : e.module.graphs.at(graph).nodes)
            if (node.op == Op::input && attrs<InputAttrs>(node).name == "mask") return to_string(node.type);
        return std::string("none");
    };
    EXPECT_EQ(mask_type("train"), "f32[8, 4, 6, 3]");
    EXPECT_EQ(mask_type("evaluate"), "i32[8, 4, 6]");
    EXPECT_EQ(mask_type(own_graph_of_phase("augment", 0)), "i32[8, 4, 6]");
    // The step of the phase without an augmentation reads shares, too.
    const Graph &plain = e.module.graphs.at(own_graph_of_phase("augment", 1));
    EXPECT_EQ(to_string(plain[plain.results.at(0).value].type), "f32[8, 4, 6, 3]");
}

}  // namespace
}  // namespace kiln
