// How far minimal filtering is from the convolution it stands for, beside the direct sums in the same precision.
#include "compiler/kernels/winograd.h"
#include "compiler/ops/builder.h"
#include "compiler/ops/interpret.h"
#include "test/unit/kernels/run_kernels.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <random>

namespace kiln {
namespace {

Tensor normal(const Type &type, double deviation, std::mt19937 &random) {
    Tensor tensor{type, std::vector<double>(size_t(type.elements()))};
    std::normal_distribution<double> distribution(0, deviation);
    for (double &value : tensor.values) value = double(float(distribution(random)));
    return tensor;
}

/// The largest difference from the values in double precision, in units of their root mean square.
double error_of(const Kernel &kernel, bool direct, const std::vector<Tensor> &inputs, const std::vector<Tensor> &expected) {
    KernelOptions options{.target = "native", .debug_checks = false, .cache_folder = "", .jobs = 1};
    options.direct_convolutions = direct;
    const Tensor actual = KernelLibrary({kernel}, options).run(0, inputs)[0];
    double largest = 0, squares = 0;
    for (size_t i = 0; i < actual.values.size(); i++) {
        largest = std::max(largest, std::abs(actual.values[i] - expected[0].values[i]));
        squares += expected[0].values[i] * expected[0].values[i];
    }
    return largest / std::sqrt(squares / double(actual.values.size()));
}

struct Case {
    Op op;
    Shape first, second;
    Attrs attributes;
};

Graph graph_of(const Case &c) {
    Graph g;
    Builder b(g);
    const NodeId x = b.input(InputKind::argument, "x", {DType::f32, c.first}), y = b.input(InputKind::argument, "y", {DType::f32, c.second});
    g.results.push_back({ResultKind::value, "", b.append(c.op, {x, y}, c.attributes)});
    return g;
}

/// Errors of the direct kernel and of the filtered one.
struct Errors {
    double direct = 0, filtered = 0;
};
Errors errors_of(const Case &c, std::mt19937 &random) {
    const Graph g = graph_of(c);
    const std::vector<Tensor> inputs{normal({DType::f32, c.first}, 1, random), normal({DType::f32, c.second}, 1, random)};
    size_t next = 0;
    const std::vector<Tensor> expected = interpret(g, [&](const Node &) { return inputs[next++]; });
    const Kernel kernel = kernel_of(g, "convolution");
    return {error_of(kernel, true, inputs, expected), error_of(kernel, false, inputs, expected)};
}

const ConvGradAttrs kToWeights{{1, 1}, {1, 1, 1, 1}, {1, 1}, {3, 3}};

TEST(Winograd, ErrorsStaySmall) {
    std::mt19937 random(7);
    for (int64_t channels : {16, 64, 128}) {
        const Shape image{2, 16, 16, channels}, weights{3, 3, channels, channels};
        const ConvGradAttrs to_image{{1, 1}, {1, 1, 1, 1}, {1, 1}, {16, 16}};
        for (const Case &c : {Case{Op::conv2d, image, weights, ConvAttrs{{1, 1}, {1, 1, 1, 1}, {1, 1}}}, Case{Op::conv2d_input_gradient, image, weights, to_image},
                              Case{Op::conv2d_weight_gradient, image, image, kToWeights}}) {
            const Errors errors = errors_of(c, random);
            EXPECT_LT(errors.direct, 1e-5) << info(c.op).name << " of " << channels << " channels";
            // Measured: 6e-6 and 3.5e-5 at most. A rounding in f32 is 6e-8, and tiles are weighted sums with factors of up to 8.
            EXPECT_LT(errors.filtered, 1e-4) << info(c.op).name << " of " << channels << " channels";
        }
    }
}

// Channels that leave a rest of at most half a vector have vectors of their own for it; those a little below full vectors have not.
TEST(Winograd, ChannelsThatLeaveARest) {
    std::mt19937 random(7);
    // Rows of four tiles, which fill a vector, and of five.
    for (const auto &[channels, filters, width] : {std::array<int64_t, 3>{33, 21, 13}, {19, 40, 13}, {31, 31, 13}, {32, 29, 13}, {32, 33, 13}, {33, 33, 17}, {50, 34, 17}, {40, 97, 13}}) {
        const Shape image{2, 16, width, channels}, weights{3, 3, channels, filters}, result{2, 16, width, filters};
        const ConvGradAttrs to_image{{1, 1}, {1, 1, 1, 1}, {1, 1}, {16, width}};
        for (const Case &c : {Case{Op::conv2d, image, weights, ConvAttrs{{1, 1}, {1, 1, 1, 1}, {1, 1}}}, Case{Op::conv2d_input_gradient, result, weights, to_image},
                              Case{Op::conv2d_weight_gradient, image, result, kToWeights}}) {
            const Errors errors = errors_of(c, random);
            EXPECT_LT(errors.filtered, 1e-4) << info(c.op).name << ", " << channels << " to " << filters << " channels";
            EXPECT_NE(errors.direct, errors.filtered) << info(c.op).name << ", " << channels << " to " << filters << " channels: not filtered";
        }
    }
}

// Not in another panel of zeros, with 16 registers, which hold a panel of two vectors, or 32.
TEST(Winograd, ARestOfOutputsGoesBesideSeveralPanels) {
    for (const auto &[target, outputs] : {std::pair{"x86-64-v3", 33}, {"x86-64-v4", 97}}) {
        const Graph g = graph_of({Op::conv2d, {2, 16, 16, 33}, {3, 3, 33, outputs}, ConvAttrs{{1, 1}, {1, 1, 1, 1}, {1, 1}}});
        const std::string statement = kernel_statement(kernel_of(g, "convolution"), {.target = target, .debug_checks = false, .cache_folder = "", .jobs = 1}, false);
        EXPECT_NE(statement.find("rest_part"), std::string::npos) << outputs << " outputs on " << target;
        EXPECT_NE(statement.find("product.s0.panel"), std::string::npos) << outputs << " outputs on " << target;
    }
}

// Weight gradients add up blocks of tiles: rows of tiles of one image, images, or, where the weights are large beside them, all of them.
TEST(Winograd, WeightGradientsOfAllBlocks) {
    std::mt19937 random(7);
    for (const Shape &image : {Shape{16, 32, 32, 16}, Shape{16, 14, 14, 32}, Shape{16, 13, 13, 33}, Shape{8, 7, 7, 64}, Shape{8, 7, 7, 65}}) {
        const Errors errors = errors_of({Op::conv2d_weight_gradient, image, image, kToWeights}, random);
        EXPECT_LT(errors.direct, 2e-5) << to_string(Type{DType::f32, image});
        EXPECT_LT(errors.filtered, 1e-4) << to_string(Type{DType::f32, image});
        EXPECT_NE(errors.direct, errors.filtered) << to_string(Type{DType::f32, image}) << " is not filtered";
    }
}

/// Images of a group, above and beside each other, and its tiles.
std::array<int64_t, 4> group_of(int64_t batch, int64_t height, int64_t width, int64_t shared) {
    const Mosaic m = choose_mosaic(batch, height, width, {shared, shared});
    return {m.images_y, m.images_x, m.tiles_y(), m.tiles_x()};
}

TEST(Winograd, SmallImagesLieBesideEachOther) {
    using Group = std::array<int64_t, 4>;
    EXPECT_EQ(group_of(64, 13, 13, 1), (Group{2, 2, 7, 7}));
    EXPECT_EQ(group_of(64, 10, 10, 2), (Group{2, 2, 5, 5}));
    EXPECT_EQ(group_of(64, 12, 5, 1), (Group{1, 2, 3, 3}));
    EXPECT_EQ(group_of(64, 6, 6, 1), (Group{4, 4, 7, 7}));
    EXPECT_EQ(group_of(64, 14, 14, 1), (Group{1, 1, 4, 4})) << "groups that pay are too large";
    EXPECT_EQ(group_of(64, 16, 16, 1), (Group{1, 1, 4, 4})) << "no tile reaches past the end";
    EXPECT_EQ(group_of(64, 10, 10, 0), (Group{1, 1, 3, 3})) << "no border to share";
    EXPECT_EQ(group_of(3, 13, 13, 1), (Group{1, 1, 4, 4})) << "no group divides the batch";
}

TEST(Winograd, ImagesBesideEachOtherStayApart) {
    std::mt19937 random(7);
    for (const int64_t padding : {0, 1, 2}) {
        const Ints border{padding, padding, padding, padding};
        for (const auto &[batch, height, width] : {std::array<int64_t, 3>{8, 13, 13}, {2, 10, 6}}) {
            const Shape image{batch, height, width, 48}, weights{3, 3, 48, 48}, result{batch, height + 2 * padding - 2, width + 2 * padding - 2, 48};
            for (const Case &c : {Case{Op::conv2d, image, weights, ConvAttrs{{1, 1}, border, {1, 1}}}, Case{Op::conv2d_input_gradient, result, weights, ConvGradAttrs{{1, 1}, border, {1, 1}, {height, width}}},
                                  Case{Op::conv2d_weight_gradient, image, result, ConvGradAttrs{{1, 1}, border, {1, 1}, {3, 3}}}}) {
                const Errors errors = errors_of(c, random);
                EXPECT_LT(errors.filtered, 1e-4) << info(c.op).name << " of " << to_string(Type{DType::f32, image}) << ", padding " << padding;
            }
        }
    }
}

}  // namespace
}  // namespace kiln
