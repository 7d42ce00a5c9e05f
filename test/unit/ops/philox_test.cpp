#include "compiler/ops/philox.h"

#include "compiler/ops/builder.h"
#include "compiler/ops/interpret.h"

#include <gtest/gtest.h>

namespace kiln {
namespace {

using Words = std::array<uint32_t, 4>;

// The known answers of the Random123 distribution.
TEST(Philox, KnownAnswers) {
    EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
    const uint32_t kOnes = 0xffffffff;
    EXPECT_EQ(philox4x32({kOnes, kOnes, kOnes, kOnes}, {kOnes, kOnes}), (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
    EXPECT_EQ(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
              (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

std::vector<double> draw(DType to, int64_t seed, int64_t counter, int64_t stream, Shape shape) {
    Graph graph;
    Builder b(graph);
    const NodeId s = b.constant(double(seed), {DType::i64, {}}), c = b.constant(double(counter), {DType::i64, {}});
    graph.results.push_back({ResultKind::value, "", b.append(Op::random_uniform, {s, c}, RandomAttrs{stream, to, shape})});
    return interpret(graph, [](const Node &) { return Tensor{}; })[0].values;
}

TEST(RandomUniform, TakesTheWordsItDocuments) {
    EXPECT_EQ(draw(DType::f32, 0, 0, 0, {1})[0], double(0x6627e8) / (1 << 24));
    EXPECT_EQ(draw(DType::f64, 0, 0, 0, {1})[0], double(0x6627e8d5e169c58d >> 11) / double(int64_t(1) << 53));
    // Key = seed; counter = (element, stream, counter low, counter high).
    const int64_t seed = 0x12345'89abcdef, counter = 0x3'00000007;
    const Words words = philox4x32({2, 5, 7, 3}, {0x89abcdef, 0x12345});
    EXPECT_EQ(draw(DType::f32, seed, counter, 5, {2, 2})[2], double(words[0] >> 8) / (1 << 24));
}

TEST(RandomUniform, IsEvenlySpread) {
    for (DType dtype : {DType::f32, DType::f64}) {
        const std::vector<double> values = draw(dtype, 3, 1, 2, {100, 100});
        double sum = 0, squares = 0;
        for (double value : values) {
            ASSERT_GE(value, 0);
            ASSERT_LT(value, 1);
            sum += value;
            squares += value * value;
        }
        EXPECT_NEAR(sum / 1e4, 0.5, 0.01);
        EXPECT_NEAR(squares / 1e4, 1.0 / 3, 0.01);
    }
}

}  // namespace
}  // namespace kiln
