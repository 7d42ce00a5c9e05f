// Reference evaluation on values known by hand.
#include "compiler/ops/builder.h"
#include "compiler/ops/interpret.h"
#include "compiler/ops/rules.h"
#include "compiler/support/check.h"

#include <gtest/gtest.h>

#include <cmath>

namespace kiln {
namespace {

using Values = std::vector<double>;

Tensor tensor(Shape shape, Values values, DType dtype = DType::f64) { return {{dtype, std::move(shape)}, std::move(values)}; }

Values evaluate_op(Op op, const std::vector<Tensor> &operands, const Attrs &attrs = NoAttrs{}) {
    Graph graph;
    Builder b(graph);
    std::vector<NodeId> ids;
    for (const Tensor &operand : operands) ids.push_back(b.input(InputKind::argument, "x", operand.type));
    graph.results.push_back({ResultKind::value, "", b.append(op, ids, attrs)});
    size_t next = 0;
    return interpret(graph, [&](const Node &) { return operands[next++]; })[0].values;
}

Values count(size_t n) {
    Values values(n);
    for (size_t i = 0; i < n; ++i) values[i] = double(i);
    return values;
}

TEST(Evaluate, SinglePrecisionRoundsAfterEachOp) {
    const Tensor one = tensor({1}, {1}, DType::f32), tiny = tensor({1}, {1e-9}, DType::f32);
    EXPECT_EQ(evaluate_op(Op::add, {one, tiny})[0], 1);
    EXPECT_EQ(evaluate_op(Op::add, {tensor({1}, {1}), tensor({1}, {1e-9})})[0], 1 + 1e-9);
    EXPECT_EQ(evaluate_op(Op::exp, {tensor({1}, {100}, DType::f32)})[0], HUGE_VAL);
}

TEST(Evaluate, IntegersDivideTowardMinusInfinity) {
    const Tensor a = tensor({4}, {7, -7, 7, -7}, DType::i32), b = tensor({4}, {2, 2, -2, -2}, DType::i32);
    EXPECT_EQ(evaluate_op(Op::divide, {a, b}), (Values{3, -4, -4, 3}));
    EXPECT_EQ(evaluate_op(Op::modulo, {a, b}), (Values{1, 1, -1, -1}));
    const Tensor zero = tensor({4}, {0, 0, 0, 0}, DType::i32);
    EXPECT_EQ(evaluate_op(Op::divide, {a, zero}), (Values{0, 0, 0, 0}));
    EXPECT_EQ(evaluate_op(Op::modulo, {a, zero}), (Values{0, 0, 0, 0}));
}

TEST(Evaluate, RoundingAndCasts) {
    EXPECT_EQ(evaluate_op(Op::round, {tensor({4}, {0.5, 1.5, -0.5, 2.5})}), (Values{0, 2, 0, 2}));
    EXPECT_EQ(evaluate_op(Op::cast, {tensor({3}, {1.9, -1.9, 0})}, CastAttrs{DType::i32}), (Values{1, -1, 0}));
    EXPECT_EQ(evaluate_op(Op::cast, {tensor({3}, {0.5, -3, 0})}, CastAttrs{DType::boolean}), (Values{1, 1, 0}));
    EXPECT_EQ(evaluate_op(Op::cast, {tensor({1}, {0.1})}, CastAttrs{DType::f32}), (Values{double(0.1f)}));
    EXPECT_EQ(evaluate_op(Op::sign, {tensor({3}, {-2, 0, 5})}), (Values{-1, 0, 1}));
    EXPECT_EQ(evaluate_op(Op::is_finite, {tensor({3}, {1, HUGE_VAL, NAN})}), (Values{1, 0, 0}));
}

TEST(Evaluate, WhatIsUnspecifiedStillGivesWholeNumbersOfTheType) {
    for (DType dtype : {DType::i32, DType::i64, DType::u8})
        for (double value : evaluate_op(Op::cast, {tensor({4}, {HUGE_VAL, -HUGE_VAL, NAN, 1e30})}, CastAttrs{dtype})) {
            EXPECT_EQ(value, std::floor(value)) << name_of(dtype);
            EXPECT_LE(std::abs(value), 0x1p63);
        }
}

TEST(Evaluate, Views) {
    EXPECT_EQ(evaluate_op(Op::transpose, {tensor({2, 3}, count(6))}, AxesAttrs{{1, 0}}), (Values{0, 3, 1, 4, 2, 5}));
    EXPECT_EQ(evaluate_op(Op::broadcast, {tensor({2}, {5, 6})}, BroadcastAttrs{{2, 2}, {0}}), (Values{5, 5, 6, 6}));
    EXPECT_EQ(evaluate_op(Op::broadcast, {tensor({2}, {5, 6})}, BroadcastAttrs{{2, 2}, {1}}), (Values{5, 6, 5, 6}));
    EXPECT_EQ(evaluate_op(Op::slice, {tensor({7}, count(7))}, SliceAttrs{{1}, {6}, {2}}), (Values{1, 3, 5}));
    EXPECT_EQ(evaluate_op(Op::pad, {tensor({2}, {5, 6})}, PadAttrs{{1}, {2}, {1}}), (Values{0, 5, 0, 6, 0, 0}));
    EXPECT_EQ(evaluate_op(Op::reverse, {tensor({2, 3}, count(6))}, AxesAttrs{{1}}), (Values{2, 1, 0, 5, 4, 3}));
    EXPECT_EQ(evaluate_op(Op::concat, {tensor({2, 1}, {1, 2}), tensor({2, 2}, {3, 4, 5, 6})}, AxisAttrs{1}), (Values{1, 3, 4, 2, 5, 6}));
}

TEST(Evaluate, Reductions) {
    const Tensor x = tensor({2, 3}, {1, 5, 2, 7, 3, 7});
    EXPECT_EQ(evaluate_op(Op::reduce_sum, {x}, AxesAttrs{{0}}), (Values{8, 8, 9}));
    EXPECT_EQ(evaluate_op(Op::reduce_product, {x}, AxesAttrs{{1}}), (Values{10, 147}));
    EXPECT_EQ(evaluate_op(Op::reduce_max, {x}, AxesAttrs{{0, 1}}), (Values{7}));
    EXPECT_EQ(evaluate_op(Op::reduce_min, {x}, AxesAttrs{{1}}), (Values{1, 3}));
    EXPECT_EQ(evaluate_op(Op::argmax, {x}, AxisAttrs{1}), (Values{1, 0})) << "the first of two maxima";
    EXPECT_EQ(evaluate_op(Op::argmax, {x}, AxisAttrs{0}), (Values{1, 0, 1}));
    // 2^24 + 1 + 1: a sum kept in float would lose both ones.
    EXPECT_EQ(evaluate_op(Op::reduce_sum, {tensor({3}, {0x1p24, 1, 1}, DType::f32)}, AxesAttrs{{0}})[0], 0x1p24 + 2);
}

TEST(Evaluate, Matmul) {
    const Tensor a = tensor({2, 3}, {1, 2, 3, 4, 5, 6}), b = tensor({3, 2}, {7, 8, 9, 10, 11, 12});
    EXPECT_EQ(evaluate_op(Op::matmul, {a, b}, MatmulAttrs{}), (Values{58, 64, 139, 154}));
    EXPECT_EQ(evaluate_op(Op::matmul, {a, a}, MatmulAttrs{false, true}), (Values{14, 32, 32, 77}));
    EXPECT_EQ(evaluate_op(Op::matmul, {a, a}, MatmulAttrs{true, false}), (Values{17, 22, 27, 22, 29, 36, 27, 36, 45}));
}

TEST(Evaluate, ConvolutionIsACorrelation) {
    const Tensor image = tensor({1, 3, 3, 1}, count(9)), kernel = tensor({2, 2, 1, 1}, {1, 2, 3, 4});
    EXPECT_EQ(evaluate_op(Op::conv2d, {image, kernel}, ConvAttrs{}), (Values{27, 37, 57, 67}));
    // One row of padding above and one column on the left; stride 2.
    EXPECT_EQ(evaluate_op(Op::conv2d, {image, kernel}, ConvAttrs{{2, 2}, {1, 0, 1, 0}, {1, 1}}), (Values{0, 3 * 1 + 4 * 2, 2 * 3 + 4 * 6, 67}));
    EXPECT_EQ(evaluate_op(Op::conv2d, {image, kernel}, ConvAttrs{{1, 1}, {0, 0, 0, 0}, {2, 2}}), (Values{0 * 1 + 2 * 2 + 6 * 3 + 8 * 4}));
}

TEST(Evaluate, Pooling) {
    const Tensor image = tensor({1, 2, 4, 1}, {-1, -2, -3, -4, -5, -6, -3, -8});
    const WindowAttrs half{{2, 2}, {2, 2}, {0, 0, 0, 0}}, padded{{2, 2}, {2, 2}, {1, 1, 0, 0}};
    EXPECT_EQ(evaluate_op(Op::max_pool2d, {image}, half), (Values{-1, -3}));
    EXPECT_EQ(evaluate_op(Op::max_pool2d_index, {image}, half), (Values{0, 0})) << "of two maxima the first";
    EXPECT_EQ(evaluate_op(Op::max_pool2d, {image}, padded), (Values{-1, -3, -5, -3})) << "padding never wins";
    EXPECT_EQ(evaluate_op(Op::max_pool2d_index, {image}, padded), (Values{2, 2, 0, 0}));
    EXPECT_EQ(evaluate_op(Op::window_sum2d, {image}, padded), (Values{-3, -7, -11, -11}));
    EXPECT_EQ(evaluate_op(Op::max_pool2d_gradient, {tensor({1, 1, 2, 1}, {10, 20}), tensor({1, 1, 2, 1}, {3, 0}, DType::i32)},
                          WindowGradAttrs{{2, 2}, {2, 2}, {0, 0, 0, 0}, {2, 4}}),
              (Values{0, 0, 20, 0, 0, 10, 0, 0}));
    const Tensor index = tensor({1, 1, 2, 1}, {3, 0}, DType::i32), nowhere = tensor({1, 2, 2, 1}, {0, 2, 3, 4}, DType::i32);
    EXPECT_EQ(evaluate_op(Op::window_pick2d, {image, index}, half), (Values{-6, -3}));
    EXPECT_EQ(evaluate_op(Op::window_pick2d, {image, nowhere}, padded), (Values{0, -3, 0, 0})) << "zero outside the image and the window";
}

TEST(Evaluate, RowsAreClampedAndAdded) {
    const Tensor table = tensor({3, 2}, {1, 2, 3, 4, 5, 6}), index = tensor({4}, {2, 0, -7, 9}, DType::i32);
    EXPECT_EQ(evaluate_op(Op::gather_rows, {table, index}, GatherAttrs{}), (Values{5, 6, 1, 2, 1, 2, 5, 6}));
    EXPECT_EQ(evaluate_op(Op::scatter_add_rows, {tensor({4}, {1, 2, 3, 4}), index}, RowsAttrs{3}), (Values{5, 0, 5}));
}

TEST(Interpret, ChecksTheTypeOfItsInputs) {
    Graph graph;
    Builder b(graph);
    graph.results.push_back({ResultKind::value, "", b.input(InputKind::argument, "x", {DType::f32, {2}})});
    EXPECT_THROW(interpret(graph, [](const Node &) { return tensor({3}, {1, 2, 3}); }), InternalError);
}

}  // namespace
}  // namespace kiln
