// The graphs of a whole experiment.
#include "elaborate_text.h"

#include "compiler/ir/text.h"
#include "compiler/ops/interpret.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>

namespace kiln {
namespace {

std::string read(const std::string &name) {
    std::ifstream in(std::string(KILN_SOURCE_DIR) + "/" + name);
    return {std::istreambuf_iterator<char>(in), {}};
}

bool has_result(const Graph &graph, ResultKind kind, const std::string &name) {
    return std::any_of(graph.results.begin(), graph.results.end(), [&](const Result &r) { return r.kind == kind && r.name == name; });
}

TEST(Experiment, DigitsMakesEveryGraphAndEachVerifies) {
    Elaborated digits = elaborate_text(read("examples/digits/digits.model"));
    ASSERT_FALSE(digits.diagnostics.has_errors()) << digits.messages();
    for (const char *name : {"init", "train", "update", "evaluate", "predict", "rules.step", "rules.report"})
        ASSERT_TRUE(digits.module.graphs.count(name)) << name;
    for (const auto &[name, graph] : digits.module.graphs) {
        Diagnostics problems;
        EXPECT_TRUE(verify(graph, problems)) << name << "\n" << render(problems, false);
    }
    const Module &m = digits.module;
    EXPECT_EQ(m.name, "Digits");
    EXPECT_EQ(m.batch, 64);
    EXPECT_EQ(m.hypers.size(), 1u);
    EXPECT_EQ(m.columns.size(), 2u);
    EXPECT_EQ(m.columns[1].classes, 10);
    ASSERT_NE(m.find_storage("Digits/conv_1/W"), nullptr);
    EXPECT_EQ(m.find_storage("Digits/conv_4/W")->type, (Type{DType::f32, {3, 3, 32, 32}}));
    EXPECT_EQ(m.find_storage("Digits/dense_1/W")->type, (Type{DType::f32, {512, 128}}));
    EXPECT_NE(m.find_storage("Digits/batch_norm/gamma"), nullptr);
    EXPECT_EQ(m.find_storage("Digits/batch_norm/mean")->arena, "buffer");
    EXPECT_EQ(m.find_storage("Digits/conv_1/W.m")->offset, m.find_storage("Digits/conv_1/W")->offset);
    EXPECT_TRUE(has_result(m.graphs.at("train"), ResultKind::loss, "loss"));
    EXPECT_TRUE(has_result(m.graphs.at("train"), ResultKind::store, "Digits/batch_norm/mean"));
    EXPECT_FALSE(has_result(m.graphs.at("evaluate"), ResultKind::store, "Digits/batch_norm/mean"));
    EXPECT_TRUE(has_result(m.graphs.at("evaluate"), ResultKind::sample, "accuracy"));
    EXPECT_TRUE(has_result(m.graphs.at("predict"), ResultKind::output, "probabilities"));
    EXPECT_TRUE(has_result(m.graphs.at("rules.step"), ResultKind::scalar, "rate"));
    ASSERT_EQ(m.splits.size(), 2u);
    EXPECT_EQ(m.splits[0].arguments[1].first, "labels");
    EXPECT_EQ(m.splits[0].arguments[1].second.text, "train-labels-idx1-ubyte");
}

TEST(Experiment, AnElementwiseOptimizerRunsOverTheWholeArena) {
    Elaborated e = elaborate_text(experiment("logits = image |> Flatten() |> Dense(3)\nloss cross_entropy(logits, label)", "optimizer = Adam(0.001)\n"));
    ASSERT_FALSE(e.diagnostics.has_errors()) << e.messages();
    EXPECT_TRUE(has_result(e.module.graphs.at("update"), ResultKind::store, "param[0:64]")) << print(e.module.graphs.at("update"));
    EXPECT_TRUE(has_result(e.module.graphs.at("update"), ResultKind::store, "state.v[0:64]"));
}

TEST(Experiment, TheExampleOfOnesOwnDefinitionsMakesEveryGraph) {
    Elaborated own = elaborate_text(read("examples/custom/custom.model"));
    ASSERT_FALSE(own.diagnostics.has_errors()) << own.messages();
    EXPECT_EQ(own.module.best_metric, "accuracy");
    for (const auto &[name, graph] : own.module.graphs) {
        Diagnostics problems;
        EXPECT_TRUE(verify(graph, problems)) << name << "\n" << render(problems, false);
    }
}

}  // namespace
}  // namespace kiln
