#include "compiler/ops/builder.h"

#include <gtest/gtest.h>

namespace kiln {
namespace {

struct BuilderTest : testing::Test {
    Graph graph;
    Builder b{graph};

    NodeId input(DType dtype, Shape shape) { return b.input(InputKind::argument, "x", {dtype, std::move(shape)}); }
    NodeId f32(Shape shape) { return input(DType::f32, std::move(shape)); }
    std::string type(NodeId id) { return to_string(b.type(id)); }
    template <typename F> std::string refusal(F &&build) {
        try {
            return "accepted as " + type(build());
        } catch (const BuildError &error) {
            return error.message;
        }
    }
};

TEST_F(BuilderTest, BroadcastsLikeNumPy) {
    EXPECT_EQ(type(b.add(f32({64, 10}), f32({10}))), "f32[64, 10]");
    EXPECT_EQ(type(b.add(f32({64, 1}), f32({1, 10}))), "f32[64, 10]");
    EXPECT_EQ(type(b.add(f32({4, 1, 5}), f32({3, 1}))), "f32[4, 3, 5]");
    EXPECT_EQ(refusal([&] { return b.add(f32({64, 10}), f32({64, 12})); }),
              "`add`: shapes [64, 10] and [64, 12] do not broadcast: dimension 1 from the right is 10 and 12");
    const int before = graph.size();
    b.add(f32({3}), f32({3}));
    EXPECT_EQ(graph.size(), before + 3) << "equal shapes need no broadcast";
}

TEST_F(BuilderTest, ScalarsAdoptTheElementType) {
    EXPECT_EQ(type(b.multiply(input(DType::f64, {}), f32({3}))), "f32[3]");
    EXPECT_EQ(type(b.multiply(f32({3}), input(DType::i64, {}))), "f32[3]");
    EXPECT_EQ(type(b.multiply(input(DType::i64, {}), input(DType::f64, {}))), "f64[]");
    EXPECT_EQ(type(b.add(input(DType::i32, {3}), b.constant(2, {DType::f64, {}}))), "i32[3]");
    EXPECT_EQ(refusal([&] { return b.add(input(DType::i32, {3}), b.constant(0.5, {DType::f64, {}})); }),
              "`add` of i32[3] and the scalar f64[]: the scalar does not fit i32 elements; cast one of them");
    EXPECT_EQ(refusal([&] { return b.add(input(DType::i32, {3}), input(DType::f64, {})); }),
              "`add` of i32[3] and the scalar f64[]: the scalar does not fit i32 elements; cast one of them");
    EXPECT_EQ(refusal([&] { return b.add(input(DType::i32, {3}), f32({3})); }), "`add` of i32[3] and f32[3]: element types differ");
}

TEST_F(BuilderTest, SelectKeepsItsConditionBoolean) {
    EXPECT_EQ(type(b.elementwise(Op::select, {input(DType::boolean, {4, 1}), f32({5}), b.constant(0, {DType::f64, {}})})), "f32[4, 5]");
}

TEST_F(BuilderTest, ReductionsCountAxesFromTheEndAndMayKeepThem) {
    EXPECT_EQ(type(b.reduce(Op::reduce_sum, f32({2, 3, 4}), {-1, 0})), "f32[3]");
    EXPECT_EQ(type(b.reduce(Op::reduce_max, f32({2, 3, 4}), {-1}, true)), "f32[2, 3, 1]");
    const NodeId x = f32({});
    EXPECT_EQ(b.reduce(Op::reduce_sum, x, {}), x);
    EXPECT_EQ(refusal([&] { return b.reduce(Op::reduce_sum, f32({2}), {-2}); }), "`reduce_sum` of f32[2]: there is no axis -1 in a tensor of rank 1");
}

TEST_F(BuilderTest, MatmulBroadcastsLeadingExtents) {
    EXPECT_EQ(type(b.matmul(f32({64, 784}), f32({784, 10}))), "f32[64, 10]");
    EXPECT_EQ(type(b.matmul(f32({8, 5, 784}), f32({784, 10}))), "f32[8, 5, 10]");
    EXPECT_EQ(type(b.matmul(f32({5, 3}), f32({8, 3, 4}))), "f32[8, 5, 4]");
    EXPECT_EQ(type(b.matmul(f32({8, 1, 5, 3}), f32({6, 3, 4}))), "f32[8, 6, 5, 4]");
    EXPECT_EQ(refusal([&] { return b.matmul(f32({8, 5, 784}), f32({512, 10})); }),
              "`matmul` of f32[8, 5, 784] and f32[512, 10]: inner extents differ: 784 and 512");
    EXPECT_EQ(refusal([&] { return b.matmul(f32({3}), f32({3, 4})); }), "`matmul` of f32[3] and f32[3, 4]: takes matrices, not f32[3] and f32[3, 4]");
}

TEST_F(BuilderTest, NothingIsAppendedForWhatIsAlreadySo) {
    const NodeId x = f32({2, 3});
    EXPECT_EQ(b.cast(x, DType::f32), x);
    EXPECT_EQ(b.reshape(x, {2, 3}), x);
    EXPECT_EQ(b.transpose(x, {0, 1}), x);
    EXPECT_EQ(b.broadcast_to(x, {2, 3}), x);
    EXPECT_NE(b.transpose(x, {1, 0}), x);
}

TEST_F(BuilderTest, NodesTakeTheCurrentPlace) {
    b.set_loc({"digits.model", 4, 2});
    b.set_scope("Digits/dense");
    const NodeId x = f32({2});
    EXPECT_EQ(graph[x].loc.line, 4);
    EXPECT_EQ(graph[x].scope, "Digits/dense");
}

TEST_F(BuilderTest, UsersAreListedOnce) {
    const NodeId x = f32({2});
    const NodeId square = b.multiply(x, x), sum = b.add(x, square);
    EXPECT_EQ(users_of(graph)[size_t(x.index)], (std::vector<NodeId>{square, sum}));
}

}  // namespace
}  // namespace kiln
