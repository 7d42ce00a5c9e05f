// What each pass does to small graphs, by counting ops; written in the text form.
#include "compiler/ir/text.h"
#include "compiler/ops/interpret.h"
#include "compiler/passes/passes.h"
#include "compiler/passes/pipeline.h"

#include <gtest/gtest.h>

#include <map>

namespace kiln {
namespace {

Graph parse(const std::string &body) {
    static SourceMap sources;
    Diagnostics diagnostics;
    Module module = parse_module(sources.add("test.graph", "graph g {\n" + body + "}\n"), diagnostics);
    EXPECT_FALSE(diagnostics.has_errors()) << render(diagnostics, false);
    EXPECT_TRUE(verify(module.graphs.at("g"), diagnostics)) << render(diagnostics, false) << body;
    return module.graphs.at("g");
}

/// Ops a result depends on, without inputs and constants.
std::map<std::string, int> counts(const Graph &graph) {
    std::map<std::string, int> result;
    for (const Node &node : dce(graph).nodes)
        if (node.op != Op::input && node.op != Op::constant) ++result[info(node.op).name];
    return result;
}
using Counts = std::map<std::string, int>;

const char *const kInputs = "%x = input {name = \"x\"} : f32[4, 3]\n%y = input {name = \"y\"} : f32[4, 3]\n%c = input {name = \"c\"} : bool[4, 3]\n"
                            "%r = input {kind = scalar, name = \"r\"} : f64[]\n";

struct Case {
    const char *name, *body;
    Counts expected;
};
void PrintTo(const Case &c, std::ostream *out) { *out << c.name; }

class Simplify : public testing::TestWithParam<Case> {};

TEST_P(Simplify, LeavesTheOps) {
    const Graph graph = parse(std::string(kInputs) + GetParam().body);
    const Graph simpler = simplify(graph);
    Diagnostics diagnostics;
    EXPECT_TRUE(verify(simpler, diagnostics)) << render(diagnostics, false);
    EXPECT_EQ(counts(simpler), GetParam().expected) << print(simpler);
    EXPECT_EQ(counts(simplify(simpler)), GetParam().expected) << "a second run changes more";
}

INSTANTIATE_TEST_SUITE_P(Rules, Simplify, testing::Values(
    Case{"TimesOne", "%1 = constant {values = [1]} : f32[4, 3]\n%2 = multiply %1, %x : f32[4, 3]\nresult value %2\n", {}},
    Case{"PlusZero", "%1 = constant {values = [0]} : f32[4, 3]\n%2 = add %1, %x : f32[4, 3]\n%3 = subtract %2, %1 : f32[4, 3]\nresult value %3\n", {}},
    Case{"TimesZeroStaysForNaN", "%1 = constant {values = [0]} : f32[4, 3]\n%2 = multiply %1, %x : f32[4, 3]\nresult value %2\n", {{"multiply", 1}}},
    Case{"DoubleNegation", "%1 = negate %x : f32[4, 3]\n%2 = negate %1 : f32[4, 3]\nresult value %2\n", {}},
    Case{"AddNegated", "%1 = negate %x : f32[4, 3]\n%2 = add %y, %1 : f32[4, 3]\nresult value %2\n", {{"subtract", 1}}},
    Case{"DivisionByPowerOfTwo", "%1 = constant {values = [8]} : f32[4, 3]\n%2 = divide %x, %1 : f32[4, 3]\nresult value %2\n", {{"multiply", 1}}},
    Case{"DivisionByThreeIsInexact", "%1 = constant {values = [3]} : f32[4, 3]\n%2 = divide %x, %1 : f32[4, 3]\nresult value %2\n", {{"divide", 1}}},
    Case{"Square", "%1 = constant {values = [2]} : f32[4, 3]\n%2 = power %x, %1 : f32[4, 3]\nresult value %2\n", {{"multiply", 1}}},
    Case{"FractionalPowerStays", "%1 = constant {values = [0.5]} : f32[4, 3]\n%2 = power %x, %1 : f32[4, 3]\nresult value %2\n", {{"power", 1}}},
    Case{"DoubleTranspose", "%1 = transpose %x {axes = [1, 0]} : f32[3, 4]\n%2 = transpose %1 {axes = [1, 0]} : f32[4, 3]\nresult value %2\n", {}},
    Case{"DoubleReshape", "%1 = reshape %x {shape = [12]} : f32[12]\n%2 = reshape %1 {shape = [2, 6]} : f32[2, 6]\nresult value %2\n", {{"reshape", 1}}},
    Case{"ReshapeBack", "%1 = reshape %x {shape = [12]} : f32[12]\n%2 = reshape %1 {shape = [4, 3]} : f32[4, 3]\nresult value %2\n", {}},
    Case{"BroadcastOfBroadcast", "%1 = cast %r {} : f32[]\n%2 = broadcast %1 {shape = [3]} : f32[3]\n%3 = broadcast %2 {shape = [4, 3], dims = [1]} : f32[4, 3]\nresult value %3\n", {{"cast", 1}, {"broadcast", 1}}},
    Case{"ScalarArithmeticBeforeBroadcast", "%1 = broadcast %r {shape = [4, 3]} : f64[4, 3]\n%2 = sqrt %1 : f64[4, 3]\n%3 = cast %2 {} : f32[4, 3]\n%4 = multiply %3, %x : f32[4, 3]\nresult value %4\n",
         {{"sqrt", 1}, {"cast", 1}, {"broadcast", 1}, {"multiply", 1}}},
    Case{"ReshapeAfterElementwise", "%1 = reshape %x {shape = [12]} : f32[12]\n%2 = exp %1 : f32[12]\n%3 = reshape %2 {shape = [4, 3]} : f32[4, 3]\nresult value %3\n", {{"exp", 1}}},
    Case{"LosslessCastAndBack", "%1 = cast %x {to = f64} : f64[4, 3]\n%2 = cast %1 {} : f32[4, 3]\nresult value %2\n", {}},
    Case{"LossyCastStays", "%1 = cast %x {to = i32} : i32[4, 3]\n%2 = cast %1 {} : f32[4, 3]\nresult value %2\n", {{"cast", 2}}},
    Case{"WholeSlice", "%1 = slice %x {begin = [0, 0], end = [4, 3], step = [1, 1]} : f32[4, 3]\nresult value %1\n", {}},
    Case{"EmptyPad", "%1 = pad %x {low = [0, 0], high = [0, 0], interior = [0, 0]} : f32[4, 3]\nresult value %1\n", {}},
    Case{"SelectConstant", "%1 = constant {values = [1]} : bool[4, 3]\n%2 = select %1, %x, %y : f32[4, 3]\nresult value %2\n", {}},
    Case{"SelectNot", "%1 = logical_not %c : bool[4, 3]\n%2 = select %1, %x, %y : f32[4, 3]\nresult value %2\n", {{"select", 1}}},
    Case{"SelectSame", "%1 = select %c, %x, %x : f32[4, 3]\nresult value %1\n", {}},
    Case{"ReluMaskFromItsResult", "%0 = constant {values = [0]} : f32[4, 3]\n%1 = exp %x : f32[4, 3]\n%2 = maximum %0, %1 : f32[4, 3]\n%3 = less_equal %1, %0 : bool[4, 3]\nresult value %3\n", {{"exp", 1}, {"maximum", 1}, {"less_equal", 1}}},
    Case{"TransposedOperand", "%1 = transpose %y {axes = [1, 0]} : f32[3, 4]\n%2 = matmul %x, %1 : f32[4, 4]\nresult value %2\n", {{"matmul", 1}}},
    Case{"TransposeOfARow", "%1 = slice %x {begin = [0, 0], end = [1, 3], step = [1, 1]} : f32[1, 3]\n%2 = transpose %1 {axes = [1, 0]} : f32[3, 1]\nresult value %2\n", {{"slice", 1}, {"reshape", 1}}},
    Case{"StopGradient", "%1 = stop_gradient %x : f32[4, 3]\nresult value %1\n", {}}),
    [](const auto &info) { return info.param.name; });

TEST(Fold, ConstantsBecomeOneConstant) {
    const Graph graph = fold(parse("%0 = constant {values = [3]} : f32[1000, 1000]\n%1 = constant {values = [4]} : f32[1000, 1000]\n"
                                   "%2 = add %0, %1 : f32[1000, 1000]\n%3 = reshape %2 {shape = [1000000]} : f32[1000000]\nresult value %3\n"));
    EXPECT_EQ(counts(graph), Counts{});
    EXPECT_EQ(attrs<ConstantAttrs>(graph[graph.results[0].value]).values, std::vector<double>{7});
}

TEST(Fold, RoundsLikeTheElementType) {
    const Graph graph = fold(parse("%0 = constant {values = [1]} : f32[]\n%1 = constant {values = [3]} : f32[]\n%2 = divide %0, %1 : f32[]\nresult value %2\n"));
    EXPECT_EQ(attrs<ConstantAttrs>(graph[graph.results[0].value]).values[0], double(1.0f / 3.0f));
}

TEST(Fold, LargeDenseResultsAndRandomNumbersStay) {
    const Graph graph = parse("%0 = constant {values = [1, 2]} : f32[2]\n%1 = broadcast %0 {shape = [9000, 2], dims = [1]} : f32[9000, 2]\n"
                              "%2 = constant {values = [7]} : i64[]\n%3 = random_uniform %2, %2 {shape = [4]} : f32[4]\nresult value %1\nresult value %3\n");
    EXPECT_EQ(counts(fold(graph)), (Counts{{"broadcast", 1}, {"random_uniform", 1}}));
}

TEST(Cse, EqualAndCommutedNodesAreOne) {
    const Graph graph = cse(parse(std::string(kInputs) + "%1 = add %x, %y : f32[4, 3]\n%2 = add %y, %x : f32[4, 3]\n%3 = subtract %x, %y : f32[4, 3]\n"
                                                         "%4 = subtract %y, %x : f32[4, 3]\n%5 = exp %1 : f32[4, 3]\n%6 = exp %2 : f32[4, 3]\n"
                                                         "result value %5\nresult value %6\nresult value %3\nresult value %4\n"));
    EXPECT_EQ(counts(graph), (Counts{{"add", 1}, {"subtract", 2}, {"exp", 1}}));
}

TEST(Cse, ZeroAndMinusZeroDiffer) {
    const Graph graph = cse(parse("%0 = constant {values = [0]} : f32[2]\n%1 = constant {values = [-0]} : f32[2]\nresult value %0\nresult value %1\n"));
    EXPECT_NE(graph.results[0].value, graph.results[1].value);
}

TEST(Dce, DropsWhatNoResultNeeds) {
    const Graph graph = dce(parse(std::string(kInputs) + "%1 = exp %x : f32[4, 3]\n%2 = log %1 : f32[4, 3]\n%3 = sqrt %x : f32[4, 3]\nresult value %3\n"));
    EXPECT_EQ(graph.size(), 2);
}

TEST(Pipeline, PassesAreFoundByName) {
    for (const Pass &pass : all_passes()) EXPECT_EQ(find_pass(pass.name), &pass);
    EXPECT_EQ(find_pass("nothing"), nullptr);
}

}  // namespace
}  // namespace kiln
