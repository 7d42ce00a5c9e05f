// Shape rules: what they refuse, and that the message names both sides.
#include "compiler/ops/rules.h"

#include <gtest/gtest.h>

#include <random>

namespace kiln {
namespace {

Type f32(Shape shape) { return {DType::f32, std::move(shape)}; }
Type i32(Shape shape) { return {DType::i32, std::move(shape)}; }
Type boolean(Shape shape) { return {DType::boolean, std::move(shape)}; }

std::string refusal(Op op, const std::vector<Type> &operands, const Attrs &attrs = NoAttrs{}, const Type &declared = {}) {
    const ShapeResult result = infer_type(op, operands, attrs, declared);
    const ShapeError *error = std::get_if<ShapeError>(&result);
    return error ? error->message : "accepted as " + to_string(std::get<Type>(result));
}

std::string accepted(Op op, const std::vector<Type> &operands, const Attrs &attrs = NoAttrs{}, const Type &declared = {}) {
    const ShapeResult result = infer_type(op, operands, attrs, declared);
    const Type *type = std::get_if<Type>(&result);
    return type ? to_string(*type) : "refused: " + std::get<ShapeError>(result).message;
}

TEST(ShapeRules, EveryOpRefusesAWrongNumberOfOperandsAndForeignAttributes) {
    for (int i = 0; i < kOpCount; ++i) {
        const Op op = Op(i);
        const OpInfo &op_info = info(op);
        const std::vector<Type> wrong_count(op_info.arity < 0 ? 0 : size_t(op_info.arity) + 1, f32({2}));
        EXPECT_NE(refusal(op, wrong_count, op_info.default_attrs).find("takes"), std::string::npos) << op_info.name;
        const Attrs foreign = std::holds_alternative<RowsAttrs>(op_info.default_attrs) ? Attrs(NoAttrs{}) : Attrs(RowsAttrs{});
        EXPECT_EQ(refusal(op, std::vector<Type>(size_t(std::max(1, op_info.arity)) * (op_info.arity != 0), f32({2})), foreign),
                  "the attributes are of another op") << op_info.name;
    }
}

// Attributes come from text, so a rule must answer whatever they hold. Run under the sanitizers this finds overflow too.
TEST(ShapeRules, AnswerForAnyAttributesAndOperands) {
    std::mt19937_64 random(5);
    const auto pick = [&](std::initializer_list<int64_t> choices) { return *(choices.begin() + random() % choices.size()); };
    const auto number = [&] { return pick({-1, 0, 1, 1, 2, 2, 3, 4, 7, 1000, INT64_MAX, INT64_MIN, int64_t(1) << 40, int64_t(1) << 31}); };
    const auto dtype = [&] { return DType(pick({0, 0, 0, 1, 2, 3, 4, 5})); };
    const auto list = [&](size_t most) {
        Ints values(random() % (most + 1));
        for (int64_t &value : values) value = number();
        return values;
    };
    const auto affine_list = [&] {
        std::vector<AffineIndex> indices(random() % 4);
        for (AffineIndex &index : indices) index = {list(4), number(), pick({-1, -1, -1, 0, 1, INT64_MIN, INT64_MAX})};
        return indices;
    };
    const auto randomize = [&](std::string_view, auto &member) {
        using Member = std::decay_t<decltype(member)>;
        if constexpr (std::is_same_v<Member, Ints>) member = list(5);
        else if constexpr (std::is_same_v<Member, std::vector<double>>) member = {double(number()), 0.5};
        else if constexpr (std::is_same_v<Member, int64_t>) member = number();
        else if constexpr (std::is_same_v<Member, double>) member = double(number());
        else if constexpr (std::is_same_v<Member, bool>) member = number() % 2 == 0;
        else if constexpr (std::is_same_v<Member, DType>) member = dtype();
        else if constexpr (std::is_same_v<Member, InputKind>) member = InputKind::scalar;
        else if constexpr (std::is_same_v<Member, Fill>) member = Fill(pick({0, 1, 2}));
        else if constexpr (std::is_same_v<Member, Reducer>) member = Reducer(random() % 5);
        else if constexpr (std::is_same_v<Member, std::vector<AffineIndex>>) member = affine_list();
        else if constexpr (std::is_same_v<Member, std::vector<BodyValue>>) {
            member.resize(random() % 4);
            for (BodyValue &value : member)
                value = {BodyValue::Kind(random() % 4), dtype(), Op(random() % kOpCount), pick({-1, 0, 0, 1, INT64_MAX}), 0.5, affine_list(), list(3)};
        }
        else static_assert(std::is_same_v<Member, std::string>);
    };
    int accepted = 0;
    for (int i = 0; i < kOpCount; ++i)
        for (int round = 0; round < 3000; ++round) {
            const OpInfo &op_info = info(Op(i));
            Attrs attrs = op_info.default_attrs;
            std::visit([&](auto &each) { each.visit(randomize); }, attrs);
            std::vector<Type> operands(op_info.arity < 0 ? 2 : size_t(op_info.arity));
            const Type first{dtype(), Shape(random() % 5, 2)};
            for (Type &operand : operands) {
                operand = first;
                for (int64_t &extent : operand.shape) extent = pick({1, 2, 2, 3, 5, int64_t(1) << 20});
            }
            const ShapeResult result = infer_type(Op(i), operands, attrs, Type{dtype(), list(3)});
            accepted += std::holds_alternative<Type>(result);
            if (const Type *type = std::get_if<Type>(&result)) {
                for (int64_t extent : type->shape) ASSERT_GE(extent, 1) << op_info.name;
            }
        }
    EXPECT_GT(accepted, 1000) << "the draws are not all hopeless";
}

TEST(ShapeRules, ExtentsArePositiveAndBounded) {
    EXPECT_EQ(refusal(Op::input, {}, InputAttrs{}, f32({3, 0})), "the result f32[3, 0] has an extent below 1");
    EXPECT_EQ(refusal(Op::constant, {}, ConstantAttrs{{1}}, f32({-1, -4})), "the result f32[-1, -4] has an extent below 1");
    const int64_t large = int64_t(1) << 62;
    EXPECT_EQ(refusal(Op::input, {}, InputAttrs{}, f32({large, large})), "the result f32[4611686018427387904, 4611686018427387904] has more than 2^31 - 1 elements");
    EXPECT_EQ(refusal(Op::broadcast, {f32({1})}, BroadcastAttrs{{large}, {0}}), "the result f32[4611686018427387904] has more than 2^31 - 1 elements");
}

TEST(ShapeRules, Leaves) {
    EXPECT_EQ(refusal(Op::input, {}, InputAttrs{InputKind::scalar, "rate"}, f32({3})), "the scalar \"rate\" is declared as f32[3], and scalars have rank 0");
    EXPECT_EQ(refusal(Op::constant, {}, ConstantAttrs{{1, 2, 3}}, f32({2})), "3 values for the 2 elements of f32[2]");
    EXPECT_EQ(refusal(Op::constant, {}, ConstantAttrs{{0.5}}, i32({2})), "0.5 is not a value of type i32");
    EXPECT_EQ(refusal(Op::constant, {}, ConstantAttrs{{256}}, Type{DType::u8, {}}), "256 is not a value of type u8");
    EXPECT_EQ(refusal(Op::iota, {}, AxisAttrs{1}, i32({4})), "there is no axis 1 in a tensor of rank 1");
    const Type integer{DType::i64, {}};
    EXPECT_EQ(accepted(Op::random_uniform, {integer, integer}, RandomAttrs{0, DType::f32, {2, 3}}), "f32[2, 3]");
    EXPECT_EQ(refusal(Op::random_uniform, {i32({}), integer}, RandomAttrs{}), "the seed must be i64[], not i32[]");
    EXPECT_EQ(refusal(Op::random_uniform, {integer, integer}, RandomAttrs{0, DType::i32, {}}), "makes f32 or f64, not i32");
}

TEST(ShapeRules, Elementwise) {
    EXPECT_EQ(refusal(Op::add, {f32({2}), f32({3})}), "shapes differ: f32[2] and f32[3]");
    EXPECT_EQ(refusal(Op::add, {f32({2}), i32({2})}), "element types differ: f32[2] and i32[2]");
    EXPECT_EQ(refusal(Op::add, {boolean({2}), boolean({2})}), "takes numbers, not bool[2]");
    EXPECT_EQ(refusal(Op::exp, {i32({2})}), "takes f32 or f64, not i32[2]");
    EXPECT_EQ(refusal(Op::logical_and, {f32({}), f32({})}), "takes bool, not f32[]");
    EXPECT_EQ(accepted(Op::less, {i32({2}), i32({2})}), "bool[2]");
    EXPECT_EQ(refusal(Op::select, {f32({2}), f32({2}), f32({2})}), "the condition must be bool, not f32[2]");
    EXPECT_EQ(refusal(Op::select, {boolean({3}), f32({2}), f32({2})}), "shapes differ: the condition is bool[3] and the values are f32[2]");
    EXPECT_EQ(accepted(Op::cast, {boolean({3})}, CastAttrs{DType::f64}), "f64[3]");
    EXPECT_EQ(accepted(Op::stop_gradient, {i32({3})}), "i32[3]");
}

TEST(ShapeRules, Views) {
    EXPECT_EQ(refusal(Op::reshape, {f32({2, 3})}, ShapeAttrs{{7}}), "f32[2, 3] has 6 elements and [7] has 7");
    EXPECT_EQ(refusal(Op::broadcast, {f32({2})}, BroadcastAttrs{{3}, {0}}), "dimension 0 of f32[2] is 2, and dimension 0 of [3] is 3");
    EXPECT_EQ(refusal(Op::broadcast, {f32({2, 3})}, BroadcastAttrs{{3, 2}, {1, 0}}), "axis 0 stands after axis 1: axes must ascend");
    EXPECT_EQ(refusal(Op::transpose, {f32({2, 3})}, AxesAttrs{{0, 0}}), "axis 0 is named twice");
    EXPECT_EQ(refusal(Op::slice, {f32({4})}, SliceAttrs{{2}, {5}, {1}}), "2:5 is not a range within dimension 0 of f32[4]");
    EXPECT_EQ(refusal(Op::slice, {f32({4})}, SliceAttrs{{2}, {2}, {1}}), "2:2 is not a range within dimension 0 of f32[4]");
    EXPECT_EQ(accepted(Op::slice, {f32({8})}, SliceAttrs{{1}, {8}, {3}}), "f32[3]");
    EXPECT_EQ(accepted(Op::pad, {f32({3})}, PadAttrs{{1}, {2}, {4}}), "f32[14]");
    EXPECT_EQ(refusal(Op::pad, {f32({3})}, PadAttrs{{-1}, {0}, {0}}), "the padding -1 of dimension 0 is negative");
    EXPECT_EQ(refusal(Op::reverse, {f32({3})}, AxesAttrs{{1}}), "there is no axis 1 in a tensor of rank 1");
    EXPECT_EQ(accepted(Op::concat, {f32({3, 2}), f32({3, 4}), f32({3, 1})}, AxisAttrs{1}), "f32[3, 7]");
    EXPECT_EQ(refusal(Op::concat, {f32({3, 2}), f32({4, 2})}, AxisAttrs{1}), "f32[3, 2] and f32[4, 2] differ in dimension 0, and are joined along dimension 1");
}

TEST(ShapeRules, Reductions) {
    EXPECT_EQ(accepted(Op::reduce_sum, {f32({2, 3, 4})}, AxesAttrs{{0, 2}}), "f32[3]");
    EXPECT_EQ(refusal(Op::reduce_sum, {f32({2, 3})}, AxesAttrs{}), "no axis to reduce is named");
    EXPECT_EQ(refusal(Op::reduce_max, {f32({2, 3})}, AxesAttrs{{2}}), "there is no axis 2 in a tensor of rank 2");
    EXPECT_EQ(refusal(Op::reduce_sum, {boolean({2})}, AxesAttrs{{0}}), "takes numbers, not bool[2]");
    EXPECT_EQ(accepted(Op::argmax, {f32({2, 3})}, AxisAttrs{1}), "i32[2]");
}

TEST(ShapeRules, Contractions) {
    EXPECT_EQ(refusal(Op::matmul, {f32({64, 784}), f32({512, 10})}, MatmulAttrs{}), "inner extents differ: 784 and 512");
    EXPECT_EQ(accepted(Op::matmul, {f32({2, 5, 3}), f32({2, 7, 5})}, MatmulAttrs{true, true}), "f32[2, 3, 7]");
    EXPECT_EQ(refusal(Op::matmul, {f32({2, 3, 4}), f32({5, 4, 6})}, MatmulAttrs{}), "leading extents differ: 2 and 5 in dimension 0");
    EXPECT_EQ(refusal(Op::matmul, {f32({3}), f32({3, 4})}, MatmulAttrs{}), "takes matrices, not f32[3] and f32[3, 4]");
    EXPECT_EQ(accepted(Op::conv2d, {f32({2, 9, 8, 3}), f32({3, 2, 3, 5})}, ConvAttrs{{2, 3}, {1, 1, 0, 0}, {2, 1}}), "f32[2, 4, 3, 5]");
    EXPECT_EQ(refusal(Op::conv2d, {f32({1, 4, 4, 3}), f32({3, 3, 2, 5})}, ConvAttrs{}), "channels differ: 3 of the image f32[1, 4, 4, 3] and 2 of the kernel f32[3, 3, 2, 5]");
    EXPECT_EQ(refusal(Op::conv2d, {f32({1, 4, 4, 3}), f32({5, 3, 3, 5})}, ConvAttrs{}), "the kernel f32[5, 3, 3, 5] does not fit into the image f32[1, 4, 4, 3]");
    EXPECT_EQ(refusal(Op::conv2d, {f32({1, 4, 4, 3}), f32({3, 3, 3, 5})}, ConvAttrs{{0, 1}, {0, 0, 0, 0}, {1, 1}}), "the stride 0 is not in [1, 2^20)");
    EXPECT_EQ(accepted(Op::conv2d_input_gradient, {f32({2, 4, 3, 5}), f32({3, 2, 3, 5})}, ConvGradAttrs{{2, 3}, {1, 1, 0, 0}, {2, 1}, {9, 8}}), "f32[2, 9, 8, 3]");
    EXPECT_EQ(refusal(Op::conv2d_input_gradient, {f32({2, 4, 3, 5}), f32({3, 2, 3, 5})}, ConvGradAttrs{{2, 3}, {1, 1, 0, 0}, {2, 1}, {20, 8}}),
              "the convolution makes [2, 9, 3, 5] and the gradient is f32[2, 4, 3, 5]");
    EXPECT_EQ(accepted(Op::conv2d_weight_gradient, {f32({2, 9, 8, 3}), f32({2, 4, 3, 5})}, ConvGradAttrs{{2, 3}, {1, 1, 0, 0}, {2, 1}, {3, 2}}), "f32[3, 2, 3, 5]");
}

TEST(ShapeRules, WindowsAndRows) {
    EXPECT_EQ(accepted(Op::max_pool2d, {f32({2, 7, 6, 3})}, WindowAttrs{{3, 2}, {2, 2}, {1, 1, 0, 0}}), "f32[2, 4, 3, 3]");
    EXPECT_EQ(refusal(Op::max_pool2d, {f32({1, 4, 4, 1})}, WindowAttrs{{2, 2}, {1, 1}, {2, 0, 0, 0}}), "the padding 2 must be less than the window 2, and not negative");
    EXPECT_EQ(refusal(Op::window_sum2d, {f32({1, 4, 4, 1})}, WindowAttrs{{5, 2}, {1, 1}, {0, 0, 0, 0}}), "the window [5, 2] does not fit into the image [1, 4, 4, 1]");
    EXPECT_EQ(refusal(Op::max_pool2d_gradient, {f32({1, 2, 2, 1}), i32({1, 2, 3, 1})}, WindowGradAttrs{{2, 2}, {2, 2}, {0, 0, 0, 0}, {4, 4}}),
              "the index of f32[1, 2, 2, 1] must be i32[1, 2, 2, 1], not i32[1, 2, 3, 1]");
    EXPECT_EQ(accepted(Op::warp, std::vector<Type>{f32({2, 5, 6, 3}), f32({2}), f32({2}), f32({2}), f32({2}), f32({2}), f32({2})}, WarpAttrs{}), "f32[2, 5, 6, 3]");
    EXPECT_EQ(refusal(Op::warp, std::vector<Type>{f32({2, 5, 6, 3}), f32({2}), f32({3}), f32({2}), f32({2}), f32({2}), f32({2})}, WarpAttrs{}),
              "`b` of the map of f32[2, 5, 6, 3] is f32[2], not f32[3]");
    EXPECT_EQ(refusal(Op::warp, std::vector<Type>(7, f32({2, 5, 6})), WarpAttrs{}), "takes images [N,H,W,C], not f32[2, 5, 6]");
    EXPECT_EQ(accepted(Op::gather_rows, {f32({9, 4}), i32({2, 3})}, GatherAttrs{}), "f32[2, 3, 4]");
    EXPECT_EQ(refusal(Op::gather_rows, {f32({9, 4}), f32({2, 3})}, GatherAttrs{}), "the index must be i32, not f32[2, 3]");
    EXPECT_EQ(accepted(Op::scatter_add_rows, {f32({2, 3, 4}), i32({2, 3})}, RowsAttrs{9}), "f32[9, 4]");
    EXPECT_EQ(refusal(Op::scatter_add_rows, {f32({2, 4}), i32({3})}, RowsAttrs{9}), "the updates f32[2, 4] must begin with the extents of the index i32[3]");
}

}  // namespace
}  // namespace kiln
