#include "compiler/ir/text.h"
#include "compiler/ir/verify.h"
#include "compiler/support/diagnostic_codes.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>

namespace kiln {
namespace {

Module parse(const std::string &text, Diagnostics &diagnostics) {
    static SourceMap sources;
    return parse_module(sources.add("test.graph", text), diagnostics);
}

Module parse_good(const std::string &text) {
    Diagnostics diagnostics;
    Module module = parse(text, diagnostics);
    EXPECT_FALSE(diagnostics.has_errors()) << render(diagnostics, false) << text;
    return module;
}

const char *const kModule = R"(module "Digits" {
  doc "Recognise \"digits\"\n\x01"
  source "digits.model"
  float f64
  batch 64
  shuffle false
  hyper "lr" real = 0.001 doc "rate"  @ digits.model:1:7
  hyper "n" integer = 3
  column "image" : f32[28, 28, 1]  @ digits.model:9:14
  column "label" : i32[] classes 10
  storage param "Digits/dense/W" : f32[784, 10] arena "param" offset 0  @ stdlib/nn/dense.model:4:5
  storage state "Digits/dense/W.m" : f32[784, 10] arena "state.m" offset 16
  global "best" = inf
  split "train" = idx(images = path "a b.gz", labels = "x", list = [1, [2.5, true], -3], flag = false)  @ "a b.model":3:4
  phase "warm" epochs 1 frozen ["Digits/dense/W", "b"]
  phase "main" epochs 4
  metric "accuracy" higher
  metric "rmse" lower
  best "accuracy"
}

graph rules.step {
  %0 = input {kind = scalar, name = "step"} : i64[]
  %1 = cast %0 {to = f64} : f64[]
  result scalar "rate" %1
}

graph train {
  %0 = input {kind = data, name = "image"} : f32[64, 784]  @ digits.model:12:9
  %1 = input {kind = storage, name = "Digits/dense/W"} : f32[784, 10]
  %2 = matmul %0, %1 : f32[64, 10]  #3  in "Digits/dense"  @ digits.model:18:12
  %3 = constant {values = [0.1, -0, 1e-310, inf, -inf, nan, 1e+300, 3, 0.30000000000000004, 7]} : f32[10]
  %4 = broadcast %3 {shape = [64, 10], dims = [1]} : f32[64, 10]
  %5 = add %2, %4 : f32[64, 10]
  %6 = conv2d_weight_gradient %0, %1 {stride = [2, 2], padding = [1, 0, 1, 0], extents = [3, 3]} : f32[3, 3, 1, 1]
  result output "logits" %5
  result store "gradient:x" %6
}
)";

TEST(Text, ModulePrintsAsItWasParsed) { EXPECT_EQ(print(parse_good(kModule)), kModule); }

TEST(Text, FieldsOfTheModuleAreRead) {
    Module module = parse_good(kModule);
    EXPECT_EQ(module.doc, "Recognise \"digits\"\n\x01");
    EXPECT_EQ(module.float_type, DType::f64);
    EXPECT_FALSE(module.shuffle);
    ASSERT_EQ(module.hypers.size(), 2u);
    EXPECT_EQ(module.hypers[0].loc, (Loc{"digits.model", 1, 7}));
    EXPECT_EQ(module.columns[1].classes, 10);
    EXPECT_TRUE(std::isinf(module.globals[0].initial_value));
    EXPECT_EQ(module.splits[0].arguments[2].second.list[1].list[0].number, 2.5);
    EXPECT_EQ(module.phases[0].frozen.size(), 2u);
    EXPECT_FALSE(module.metrics[1].higher_is_better);
    const Graph &train = module.graphs.at("train");
    EXPECT_EQ(train.nodes[2].group, 3);
    EXPECT_EQ(train.nodes[2].scope, "Digits/dense");
    EXPECT_EQ(train.results[1].kind, ResultKind::store);
    EXPECT_EQ(module.arena_elements("state.m"), 16 + 7840);
    EXPECT_EQ(module.arena_elements("gradient"), 7840);
    EXPECT_EQ(module.arena_elements("none"), 0);
    EXPECT_NE(module.find_storage("Digits/dense/W"), nullptr);
    EXPECT_EQ(module.find_storage("x"), nullptr);
}

TEST(Text, RangesOfArenasAreWithinThem) {
    Module module = parse_good(kModule);
    const std::optional<ArenaRange> range = module.arena_range("gradient[16:7840]");
    ASSERT_TRUE(range);
    EXPECT_EQ(range->arena, "gradient");
    EXPECT_EQ(range->begin, 16);
    EXPECT_EQ(range->end, 7840);
    for (const char *name : {"param", "param[", "param[0", "param[0:", "param[0:16", "param[0:16]]", "param[:16]", "param[16:16]", "param[-16:16]", "param[0:7841]",
                             "param[0:99999999999999999999]", "none[0:16]"})
        EXPECT_FALSE(module.arena_range(name)) << name;
}

TEST(Text, LocationsAndScopesCanBeLeftOut) {
    std::string text = print(parse_good(kModule), {.locations = false, .scopes = false});
    EXPECT_EQ(text.find('@'), std::string::npos);
    EXPECT_EQ(text.find(" in \""), std::string::npos);
    parse_good(text);
}

TEST(Text, EveryDoubleSurvives) {
    std::mt19937_64 random(7);
    Graph graph;
    graph.name = "g";
    Node node;
    ConstantAttrs constant;
    for (int i = 0; i < 2000; ++i) {
        uint64_t bits = random();
        double value;
        std::memcpy(&value, &bits, sizeof value);
        if (!std::isnan(value)) constant.values.push_back(value);
    }
    constant.values.push_back(std::numeric_limits<double>::denorm_min());
    constant.values.push_back(-0.0);
    node.type = {DType::f64, {int64_t(constant.values.size())}};
    node.attrs = constant;
    graph.nodes.push_back(node);
    Graph again = parse_good(print(graph)).graphs.at("g");
    const auto &values = attrs<ConstantAttrs>(again.nodes[0]).values;
    ASSERT_EQ(values.size(), constant.values.size());
    EXPECT_EQ(std::memcmp(values.data(), constant.values.data(), values.size() * 8), 0);
}

TEST(Text, NamesWithoutNumbersAndComments) {
    Module module = parse_good("// a test\ngraph g { %x = input {name=\"x\"} : f32[2] // first\n%y=negate %x:f32[2] result value %y }");
    EXPECT_EQ(module.graphs.at("g").nodes[1].operands[0].index, 0);
}

struct Bad {
    const char *text;
    const char *message;
};
class TextError : public testing::TestWithParam<Bad> {};

TEST_P(TextError, IsReported) {
    Diagnostics diagnostics;
    parse(GetParam().text, diagnostics);
    std::string all = render(diagnostics, false);
    EXPECT_NE(all.find(GetParam().message), std::string::npos) << all;
}

INSTANTIATE_TEST_SUITE_P(All, TextError, testing::Values(
    Bad{"graph g {", "expected `}`, found the end of the file"},
    Bad{"hello", "expected `graph` or `module`"},
    Bad{"graph g { %0 = matmull : f32[] }", "did you mean `matmul`?"},
    Bad{"graph g { %0 = negate %1 : f32[] }", "`%1` is not defined"},
    Bad{"graph g { %0 = negate %0 : f32[] }", "`%0` is not defined"},
    Bad{"graph g { %0 = iota : f32[2]\n %0 = iota : f32[2] }", "`%0` is defined twice"},
    Bad{"graph g { %0 = iota {axes = [1]} : f32[2] }", "`iota` has no attribute `axes`"},
    Bad{"graph g { %0 = iota {axis = 1, axis = 1} : f32[2] }", "attribute `axis` is declared twice"},
    Bad{"graph g { %0 = iota {axis = x} : f32[2] }", "expected an integer, found `x`"},
    Bad{"graph g { %0 = iota {axis = 99999999999999999999} : f32[2] }", "expected an integer"},
    Bad{"graph g { %0 = input {kind = storrage} : f32[2] }", "expected one of data, storage"},
    Bad{"graph g { %0 = iota : f33[2] }", "expected an element type, found `f33`"},
    Bad{"graph g { %0 = iota : f32[-2] }", "expected an extent, found -2"},
    Bad{"graph g { %0 = iota : f32[9999999999, 9999999999] }", "a type is too large"},
    Bad{"graph g { %0 = iota : f32[2] in \"x }", "the end of the line"},
    Bad{"graph g { %0 = iota : f32[2] in \"\\q\" }", "expected an escape"},
    Bad{"graph g { %0 = iota : f32[2] @ a:99999999999:1 }", "a position is too large"},
    Bad{"graph g { result value %0 }", "`%0` is not defined"},
    Bad{"graph g { result valu %0 }", "expected one of loss"},
    Bad{"graph g { } graph g { }", "graph `g` is declared twice"},
    Bad{"module \"m\" { flowt f32\n }", "expected a declaration of the module"}));

TEST(Text, SeveralErrorsInOneRun) {
    Diagnostics diagnostics;
    parse("graph g {\n%0 = foo : f32[]\n%1 = iota : f32[2]\n%2 = bar\n%3 = negate %1 : f32[2]\n%4 = negate %9 : f32[2]\n}", diagnostics);
    EXPECT_EQ(diagnostics.error_count(), 3) << render(diagnostics, false);
    EXPECT_EQ(line_column(*diagnostics.all()[2].range.file, diagnostics.all()[2].range.begin).line, 6);
}

TEST(Text, AnErrorAtTheEndOfALineLeavesTheNextLineAlone) {
    Diagnostics diagnostics;
    parse("graph g {\n%0 = iota :\n%1 = iota : f32[2]\n%2 = negate %1 : f32[2]\n}", diagnostics);
    EXPECT_EQ(diagnostics.error_count(), 1) << render(diagnostics, false);
}

// Cuts and mutates a good text in every way it can: errors are fine, crashes and hangs are not.
TEST(Text, HostileTextNeverCrashes) {
    std::string good = kModule;
    for (size_t length = 0; length < good.size(); length += 3) {
        Diagnostics diagnostics;
        parse(good.substr(0, length), diagnostics);
    }
    std::mt19937 random(1);
    for (int round = 0; round < 3000; ++round) {
        std::string text = good;
        for (int i = 0; i < 4; ++i) {
            size_t at = random() % text.size();
            switch (random() % 3) {
                case 0: text[at] = char(random()); break;
                case 1: text.erase(at, random() % 20); break;
                case 2: text.insert(at, text.substr(random() % text.size(), random() % 20)); break;
            }
        }
        Diagnostics diagnostics;
        Module module = parse(text, diagnostics);
        for (auto &[name, graph] : module.graphs) verify_structure(graph, diagnostics);
        if (!diagnostics.has_errors()) {
            Diagnostics again;
            std::string printed = print(module);
            EXPECT_EQ(print(parse(printed, again)), printed);
        }
    }
    Diagnostics diagnostics;
    parse("module \"m\" { split \"s\" = r(a = " + std::string(100000, '[') + ") }", diagnostics);
    EXPECT_TRUE(diagnostics.has_errors());
}

TEST(Verify, StructuralErrors) {
    Module module = parse_good("graph g { %0 = iota : f32[2]\n%1 = iota : f32[3]\n%2 = add %0, %1 : f32[2]\n%3 = add %0 : f32[2]\n"
                               "result loss \"\" %0\n result value %1\n result output \"a\" %0\n result output \"a\" %1 }");
    Graph &graph = module.graphs.at("g");
    graph.nodes[3].attrs = AxisAttrs{};
    graph.nodes.push_back(graph.nodes[0]);
    graph.nodes[4].op = Op::concat;
    graph.nodes[4].operands = {NodeId{7}};
    graph.results.push_back({ResultKind::value, "", NodeId{77}});
    Diagnostics diagnostics;
    EXPECT_FALSE(verify_structure(graph, diagnostics));
    std::vector<DiagnosticCode> codes;
    for (const Diagnostic &d : diagnostics.all()) codes.push_back(d.code);
    using enum DiagnosticCode;
    EXPECT_EQ(codes, (std::vector{ir_elementwise_shape, ir_attribute_kind, ir_arity, ir_operand_order, ir_result_rank, ir_result_duplicate, ir_result_undefined}));
}

TEST(Verify, AnExtentIsNotNegative) {
    Module module = parse_good("graph g { %0 = iota : f32[2]\n result value %0 }");
    module.graphs.at("g").nodes[0].type.shape = {-2};
    Diagnostics diagnostics;
    EXPECT_FALSE(verify_structure(module.graphs.at("g"), diagnostics));
    ASSERT_EQ(diagnostics.error_count(), 1);
    EXPECT_EQ(diagnostics.all()[0].code, DiagnosticCode::ir_negative_extent);
}

}  // namespace
}  // namespace kiln
