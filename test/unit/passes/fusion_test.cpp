// Which kernels the patterns of networks become.
#include "compiler/ir/text.h"
#include "compiler/passes/pipeline.h"
#include "test/property/networks.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

namespace kiln {
namespace {

using testing::Network;

/// Ops of each kernel, sorted, without those that cost nothing.
std::multiset<std::string> kernels(const Graph &graph) {
    std::map<int, std::vector<std::string>> ops;
    for (const Node &node : graph.nodes)
        if (node.group >= 0 && node.op != Op::broadcast && node.op != Op::constant) ops[node.group].push_back(info(node.op).name);
    std::multiset<std::string> result;
    for (auto &[group, names] : ops) {
        std::sort(names.begin(), names.end());
        std::string joined;
        for (const std::string &name : names) joined += (joined.empty() ? "" : " ") + name;
        result.insert(joined);
    }
    return result;
}
using Kernels = std::multiset<std::string>;

Kernels kernels_of(Network &network) { return kernels(optimize(network.done().graphs.at("train"), 2)); }

TEST(Fusion, DenseBiasRelu) {
    Network n(64);
    n.result(ResultKind::output, "y", n.relu(n.dense(n.column("x", {784}), "dense", 512)));
    EXPECT_EQ(kernels_of(n), Kernels{"add matmul maximum"});
}

TEST(Fusion, ConvBiasReluAndResidual) {
    Network n(8);
    const NodeId x = n.column("x", {9, 9, 4});
    const NodeId skip = n.column("skip", {7, 7, 16});
    n.result(ResultKind::output, "y", n.relu(n.b().add(n.conv(x, "conv", 16), skip)));
    EXPECT_EQ(kernels_of(n), Kernels{"add add conv2d maximum"});
}

TEST(Fusion, ReluBeforeFlattenStaysWithTheConvolution) {
    Network n(8);
    const NodeId x = n.flatten(n.conv(n.column("x", {9, 9, 4}), "conv", 16));
    n.result(ResultKind::output, "y", n.dense(n.relu(x), "dense", 10));
    EXPECT_EQ(kernels_of(n), (Kernels{"add conv2d maximum", "add matmul"}));
}

TEST(Fusion, ElementwiseWorkIsNotRepeatedInAContraction) {
    Network n(8);
    const NodeId x = n.b().elementwise(Op::exp, {n.column("x", {32})});
    n.result(ResultKind::output, "y", n.dense(x, "dense", 10));
    EXPECT_EQ(kernels_of(n), (Kernels{"exp", "add matmul"}));
}

TEST(Fusion, DenseReluBackward) {
    Network n(64);
    const NodeId hidden = n.relu(n.dense(n.column("x", {784}), "dense_1", 512));
    const Module module = n.train(n.cross_entropy(n.dense(hidden, "dense_2", 10), n.column("label", {}, DType::i32)));
    const Kernels found = kernels(optimize(module.graphs.at("train"), 2));
    EXPECT_EQ(found.count("add matmul maximum"), 1u) << "forward: bias and relu; no mask is stored";
    EXPECT_EQ(found.count("less_equal matmul select"), 1u) << "backward: the relu's mask in the product's epilogue";
    EXPECT_EQ(found.count("add matmul"), 1u);
    EXPECT_EQ(found.count("matmul"), 2u) << "weight gradients";
    // Those, two bias gradients, the loss with its gradient, its mean.
    EXPECT_EQ(found.size(), 9u);
}

TEST(Fusion, BatchNormForward) {
    Network n(64);
    n.result(ResultKind::output, "y", n.batch_norm(n.conv(n.column("x", {9, 9, 4}), "conv", 16), "bn"));
    EXPECT_EQ(kernels_of(n), (Kernels{"add conv2d", "divide reduce_sum", "add divide divide multiply reduce_sum sqrt subtract", "add multiply subtract",
                                      "add multiply multiply", "add multiply multiply"}));
}

TEST(Fusion, BatchNormBackwardReadsItsOperandsTwice) {
    Network n(64);
    const NodeId x = n.batch_norm(n.relu(n.conv(n.column("x", {9, 9, 4}), "conv", 16)), "bn");
    const NodeId loss = n.b().reduce(Op::reduce_sum, n.b().multiply(n.column("w", {7, 7, 16}), x), {1, 2, 3});
    const Graph graph = optimize(n.train(loss).graphs.at("train"), 2);
    std::multiset<int> sums;  // kernels of the sums over N, H, W
    for (const Node &node : graph.nodes)
        if (node.op == Op::reduce_sum && attrs<AxesAttrs>(node).axes == Ints{0, 1, 2}) sums.insert(node.group);
    // The mean; the variance with the sums of dy and of dy (x - mean), for dy is no more than `w`; the gradient of the bias. No other sum
    // is left.
    EXPECT_EQ(sums.size(), 5u) << print(graph);
    EXPECT_EQ(std::set<int>(sums.begin(), sums.end()).size(), 3u) << print(graph);
}

TEST(Fusion, SoftmaxCrossEntropyIsOneKernel) {
    Network n(64);
    n.result(ResultKind::sample, "loss", n.cross_entropy(n.column("logits", {10}), n.column("label", {}, DType::i32)));
    EXPECT_EQ(kernels_of(n).size(), 1u);
}

TEST(Fusion, LongRowsAreNotOneKernel) {
    Network n(64);
    n.result(ResultKind::sample, "loss", n.cross_entropy(n.column("logits", {5000}), n.column("label", {}, DType::i32)));
    EXPECT_GE(kernels_of(n).size(), 2u);
}

TEST(Fusion, OptimizerUpdateIsOneKernelOverTheArena) {
    Graph graph;
    graph.name = "update";
    Builder b(graph);
    const Type arena{DType::f32, {2048}};
    const NodeId p = b.input(InputKind::arena, "param[0:2048]", arena), g = b.input(InputKind::arena, "gradient[0:2048]", arena);
    const NodeId m0 = b.input(InputKind::arena, "state.m[0:2048]", arena), v0 = b.input(InputKind::arena, "state.v[0:2048]", arena);
    const NodeId rate = b.input(InputKind::scalar, "rate", {DType::f64, {}}), step = b.cast(b.input(InputKind::scalar, "step", {DType::i64, {}}), DType::f64);
    auto c = [&](double value) { return b.constant(value, {DType::f64, {}}); };
    const NodeId m = b.add(b.multiply(c(0.9), m0), b.multiply(c(0.1), g));
    const NodeId v = b.add(b.multiply(c(0.999), v0), b.multiply(c(0.001), b.multiply(g, g)));
    const NodeId m_hat = b.divide(m, b.subtract(c(1), b.elementwise(Op::power, {c(0.9), step})));
    const NodeId v_hat = b.divide(v, b.subtract(c(1), b.elementwise(Op::power, {c(0.999), step})));
    const NodeId next = b.subtract(p, b.multiply(rate, b.divide(m_hat, b.add(b.elementwise(Op::sqrt, {v_hat}), c(1e-8)))));
    graph.results = {{ResultKind::store, "state.m[0:2048]", m}, {ResultKind::store, "state.v[0:2048]", v}, {ResultKind::store, "param[0:2048]", next}};
    const Graph fused = optimize(graph, 2);
    EXPECT_EQ(kernels(fused).size(), 1u) << print(fused);
    for (const Node &node : fused.nodes) EXPECT_FALSE(node.op == Op::power && node.group >= 0) << "scalar arithmetic belongs to the program";
}

TEST(Fusion, RandomNumbersUsedTwiceAreDrawnOnce) {
    Network n(64);
    const NodeId x = n.dropout(n.dense(n.column("x", {32}), "dense", 16), 1);
    const Module module = n.train(n.b().reduce(Op::reduce_sum, x, {1}));
    int draws = 0;
    for (const Node &node : optimize(module.graphs.at("train"), 2).nodes) draws += node.op == Op::random_uniform;
    EXPECT_EQ(draws, 1);
}

TEST(Fusion, GroupsDoNotDependOnEachOtherInACycle) {
    // The product joins the matmul; were it to join exp, the matmul would lie between tanh and it.
    Network n(8);
    const NodeId x = n.b().elementwise(Op::tanh, {n.column("x", {8})});
    const NodeId y = n.b().matmul(x, n.param("w", {8, 8}));
    n.result(ResultKind::output, "z", n.b().multiply(n.b().elementwise(Op::exp, {x}), y));
    EXPECT_EQ(kernels_of(n), (Kernels{"exp tanh", "matmul multiply"}));
}

}  // namespace
}  // namespace kiln
