#include "compiler/ops/builder.h"
#include "compiler/ops/interpret.h"

#include <gtest/gtest.h>

namespace kiln {
namespace {

struct VerifyTest : testing::Test {
    Graph graph;
    Builder b{graph};
    Diagnostics diagnostics;
    NodeId x, y, product;

    void SetUp() override {
        graph.name = "train";
        x = b.input(InputKind::argument, "x", {DType::f32, {3, 4}});
        y = b.input(InputKind::argument, "y", {DType::f32, {4, 5}});
        product = b.matmul(x, y);
        graph.results.push_back({ResultKind::value, "", product});
    }
    std::vector<std::string> messages() {
        EXPECT_FALSE(verify(graph, diagnostics));
        std::vector<std::string> list;
        for (const Diagnostic &diagnostic : diagnostics.all()) list.push_back(diagnostic.message);
        return list;
    }
};

TEST_F(VerifyTest, AcceptsWhatTheBuilderMade) { EXPECT_TRUE(verify(graph, diagnostics)) << render(diagnostics, false); }

TEST_F(VerifyTest, NamesATypeThatIsNotTheRules) {
    graph[product].type.shape = {5, 3};
    EXPECT_EQ(messages(), std::vector<std::string>{"graph `train`, %2 (matmul) of f32[3, 4], f32[4, 5]: the type is f32[5, 3], and the shape rule makes it f32[3, 5]"});
}

TEST_F(VerifyTest, NamesWhatTheRuleRefuses) {
    graph[y].type.shape = {6, 5};
    EXPECT_EQ(messages(), std::vector<std::string>{"graph `train`, %2 (matmul) of f32[3, 4], f32[6, 5]: inner extents differ: 4 and 6"});
}

TEST_F(VerifyTest, ReportsEveryViolation) {
    graph[product].type.dtype = DType::f64;
    b.append(Op::negate, {x});
    graph.nodes.back().type.dtype = DType::f64;
    EXPECT_EQ(messages().size(), 2u);
}

TEST_F(VerifyTest, AppliesNoRuleToABrokenStructure) {
    graph[product].operands.pop_back();
    EXPECT_EQ(messages().size(), 1u);
}

}  // namespace
}  // namespace kiln
