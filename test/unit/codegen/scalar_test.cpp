// Scalar graphs, compiled, against the interpreter: every elementwise op on every element type it admits.
#include "compiler/ops/builder.h"
#include "compiler/ops/interpret.h"
#include "compiler/ops/rules.h"
#include "executable.h"

#include <gtest/gtest.h>

#include <cmath>
#include <sstream>

namespace kiln {
namespace {

const std::vector<double> kValues = {0, 1, -1, 2.5, -3, 0.5, -7, 100, 3e9};

bool admitted(const std::vector<Type> &types, Op op, const Attrs &attrs) { return std::holds_alternative<Type>(infer_type(op, types, attrs, types[0])); }

/// A rule "r<i>" = op of scalar inputs, for everything the table admits.
Graph all_elementwise(int level_of_dtype) {
    Graph graph;
    graph.name = "rules.step";
    Builder b(graph);
    DType dtype = DType(level_of_dtype);
    auto operand = [&](size_t value) { return b.cast(b.input(InputKind::scalar, "v" + std::to_string(value), {DType::f64, {}}), dtype); };
    auto result = [&](NodeId node) { graph.results.push_back({ResultKind::scalar, "r" + std::to_string(graph.results.size()), b.cast(node, DType::f64)}); };
    for (int i = 0; i < kOpCount; i++) {
        Op op = Op(i);
        if (!has_trait(op, kElementwise)) continue;
        if (op == Op::cast) {
            for (int to = 0; to < 6; to++)
                for (size_t v = 0; v < kValues.size(); v++) {
                    // What does not fit is unspecified.
                    if (is_integer(dtype) && (std::abs(kValues[v]) > 255 || (dtype == DType::u8 && kValues[v] < 0))) continue;
                    bool fits = is_float(DType(to)) || DType(to) == DType::boolean || (kValues[v] >= 0 && kValues[v] <= 255) || (DType(to) != DType::u8 && std::abs(kValues[v]) < 2e9);
                    if (fits) result(b.cast(operand(v), DType(to)));
                }
            continue;
        }
        int arity = info(op).arity;
        std::vector<Type> types(size_t(arity), Type{dtype, {}});
        if (op == Op::select) types[0].dtype = DType::boolean;
        if (!admitted(types, op, info(op).default_attrs)) continue;
        for (size_t v = 0; v < kValues.size(); v++)
            for (size_t w = 0; w < (arity == 1 ? 1 : kValues.size()); w++) {
                if (is_integer(dtype) && (std::abs(kValues[v]) > 255 || std::abs(kValues[w]) > 255)) continue;  // no overflow
                if (dtype == DType::u8 && (op == Op::negate || op == Op::subtract || op == Op::multiply || op == Op::add) && kValues[v] + kValues[w] > 15) continue;
                if (dtype == DType::u8 && (kValues[v] < kValues[w] || kValues[w] < 0)) continue;
                std::vector<NodeId> operands = {operand(v)};
                if (arity == 2) operands.push_back(operand(w));
                if (op == Op::select) operands = {b.cast(operand(v), DType::boolean), operand(v), operand(w)};
                result(b.append(op, operands, info(op).default_attrs));
            }
    }
    return graph;
}

std::vector<double> compiled(const Graph &graph, int level) {
    Module module;
    module.name = "M";
    module.source_name = "m.model";
    module.batch = 1;
    module.phases.push_back({"main", 1, {}});
    for (size_t v = 0; v < kValues.size(); v++) module.hypers.push_back({"v" + std::to_string(v), ScalarKind::real, kValues[v], "", {}});
    for (const Result &result : graph.results) module.globals.push_back({result.name, 0});
    Plan plan;
    plan.rules[graph.name] = graph;
    plan.programs.push_back({});
    plan.programs[0].name = "train";
    std::ostringstream stub;
    stub << "void kiln_mark(KilnContext *context) {}\n";
    stub << "int kiln_main(int argc, char **argv, const KilnProgram *program) { static double scalars[100000]; KilnContext context = {0, 0, scalars, 0};\n";
    for (size_t v = 0; v < kValues.size(); v++) stub << "scalars[" << builtin_scalars().size() + v << "] = " << std::hexfloat << kValues[v] << std::defaultfloat << ";\n";
    stub << "program->step_rule(&context, 0);\nfor (int i = 0; i < " << graph.results.size() << "; i++) printf(\"%a\\n\", scalars[" << builtin_scalars().size() + kValues.size() << " + i]); return 0; }\n";
    std::istringstream output(run_with(emit_program(module, plan, {"native", level}), stub.str()));
    std::vector<double> values;
    for (std::string line; std::getline(output, line);) values.push_back(std::strtod(line.c_str(), nullptr));
    return values;
}

class ScalarCode : public testing::TestWithParam<int> {};

TEST_P(ScalarCode, AgreesWithTheInterpreter) {
    Graph graph = all_elementwise(GetParam());
    auto expected = interpret(graph, [](const Node &node) { return Tensor{node.type, {kValues[size_t(std::stoi(attrs<InputAttrs>(node).name.substr(1)))]}}; });
    for (int level : {0, 3}) {
        auto actual = compiled(graph, level);
        ASSERT_EQ(actual.size(), expected.size());
        for (size_t i = 0; i < actual.size(); i++) {
            double e = expected[i].values[0];
            if (std::isnan(e)) { EXPECT_TRUE(std::isnan(actual[i])) << i; continue; }
            // libm's f32 functions and the rounded f64 ones differ in the last bit.
            double tolerance = DType(GetParam()) == DType::f32 ? 1.2e-7 * std::abs(e) : 0;
            if (std::isinf(e)) EXPECT_EQ(actual[i], e) << i;
            else EXPECT_NEAR(actual[i], e, tolerance) << "-O" << level << " " << info(graph[graph[graph.results[i].value].operands.empty() ? graph.results[i].value : graph[graph.results[i].value].operands[0]].op).name;
        }
    }
}
INSTANTIATE_TEST_SUITE_P(EveryType, ScalarCode, testing::Range(0, 6), [](const auto &info) { return std::string(name_of(DType(info.param))); });

TEST(ScalarCodeTest, PhiloxAgreesWithTheInterpreter) {
    Graph graph;
    graph.name = "rules.step";
    Builder b(graph);
    for (DType dtype : {DType::f32, DType::f64})
        for (size_t v : {0, 1, 3, 7}) {
            NodeId seed = b.cast(b.input(InputKind::scalar, "v8", {DType::f64, {}}), DType::i64);
            NodeId counter = b.cast(b.input(InputKind::scalar, "v" + std::to_string(v), {DType::f64, {}}), DType::i64);
            NodeId random = b.append(Op::random_uniform, {seed, counter}, RandomAttrs{5, dtype, {}});
            graph.results.push_back({ResultKind::scalar, "r" + std::to_string(graph.results.size()), b.cast(random, DType::f64)});
        }
    auto expected = interpret(graph, [](const Node &node) { return Tensor{node.type, {kValues[size_t(std::stoi(attrs<InputAttrs>(node).name.substr(1)))]}}; });
    auto actual = compiled(graph, 2);
    ASSERT_EQ(actual.size(), expected.size());
    for (size_t i = 0; i < actual.size(); i++) EXPECT_EQ(actual[i], expected[i].values[0]) << i;
}

}  // namespace
}  // namespace kiln
