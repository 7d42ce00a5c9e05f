// Every pass keeps every value: on random graphs to the bit, and on the examples of every op.
#include "compiler/ops/builder.h"
#include "compiler/ops/interpret.h"
#include "compiler/ir/text.h"
#include "compiler/passes/passes.h"
#include "compiler/passes/pipeline.h"
#include "test/property/op_examples.h"
#include "test/property/random_graph.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <set>

namespace kiln {
namespace {

/// `tolerance` is relative to a value and what it is a difference of, `terms`; 0 asks for the same bits.
void expect_same(const std::vector<Tensor> &expected, const std::vector<Tensor> &actual, double tolerance = 0, double terms = 0) {
    ASSERT_EQ(expected.size(), actual.size());
    for (size_t i = 0; i < expected.size(); ++i) {
        ASSERT_EQ(expected[i].type, actual[i].type);
        for (size_t k = 0; k < expected[i].values.size(); ++k) {
            if (std::isnan(expected[i].values[k]) && std::isnan(actual[i].values[k])) continue;
            if (expected[i].values[k] == actual[i].values[k]) continue;
            ASSERT_NEAR(expected[i].values[k], actual[i].values[k], tolerance * (terms + std::abs(expected[i].values[k]))) << "result " << i << " element " << k;
        }
    }
}

Graph run(const Pass *pass, const Graph &graph) {
    const Graph result = pass ? pass->run(graph) : optimize(graph, 3);
    Diagnostics diagnostics;
    EXPECT_TRUE(verify(result, diagnostics)) << render(diagnostics, false) << print(graph) << print(result);
    return result;
}

std::vector<const Pass *> passes_and_pipeline() {
    std::vector<const Pass *> passes{nullptr};
    for (const Pass &pass : all_passes()) passes.push_back(&pass);
    return passes;
}

TEST(Values, RandomGraphs) {
    for (uint32_t seed = 1000; seed < 1300; ++seed) {
        const Graph graph = testing::random_module(seed).graphs.at("train");
        const std::vector<Tensor> expected = interpret(graph, testing::input_value);
        for (const Pass *pass : passes_and_pipeline()) {
            SCOPED_TRACE(std::to_string(seed) + " " + (pass ? pass->name : "pipeline"));
            expect_same(expected, interpret(run(pass, graph), testing::input_value));
            if (::testing::Test::HasFailure()) return;
        }
    }
}

TEST(Values, ExamplesOfEveryOp) {
    for (DType type : {DType::f32, DType::f64})
        for (const OpExample &example : op_examples(type)) {
            const std::vector<Tensor> inputs = draw_inputs(example, 1);
            // Arguments are known by their place, which passes change; so they get names.
            Graph graph = example.graph;
            for (size_t i = 0; i < inputs.size(); ++i) std::get<InputAttrs>(graph.nodes[i].attrs).name = std::to_string(i);
            auto read = [&](const Node &node) { return inputs[std::stoul(attrs<InputAttrs>(node).name)]; };
            const std::vector<Tensor> expected = interpret(graph, read);
            for (const Pass *pass : passes_and_pipeline()) {
                SCOPED_TRACE(example.name + " " + (pass ? pass->name : "pipeline"));
                // Powers become multiplications, which round at each step; a contraction rounds its sum only, not each product.
                const bool rounds = example.op == Op::power || example.op == Op::comprehension;
                const double tolerance = !rounds ? 0 : type == DType::f32 ? 1e-6 : 1e-14;
                expect_same(expected, interpret(run(pass, graph), read), tolerance, example.op == Op::comprehension ? 5 : 0);
                if (::testing::Test::HasFailure()) return;
            }
        }
}

/// What a BatchNorm before a convolution asks of the gradient of the convolution's image.
Graph sums_of_input_gradient(const ConvAttrs &conv, bool has_offset) {
    Graph graph;
    Builder b(graph);
    const Shape image{2, 6, 7, 3}, window{2, 3, 3, 4};
    auto extent = [&](size_t i) { return (image[i + 1] + conv.padding[2 * i] + conv.padding[2 * i + 1] - conv.dilation[i] * (window[i] - 1) - 1) / conv.stride[i] + 1; };
    auto input = [&](const char *name, Shape shape) { return b.input(InputKind::argument, name, {DType::f64, std::move(shape)}); };
    const NodeId u = input("u", image), a = input("a", {3}), offset = input("b", {3}), weights = input("W", window), dy = input("dy", {2, extent(0), extent(1), 4});
    auto row = [&](NodeId channels) { return b.append(Op::broadcast, {channels}, BroadcastAttrs{image, {3}}); };
    NodeId x = b.append(Op::multiply, {row(a), u});
    if (has_offset) x = b.append(Op::add, {x, row(offset)});
    const NodeId dx = b.append(Op::conv2d_input_gradient, {dy, weights}, ConvGradAttrs{conv.stride, conv.padding, conv.dilation, {image[1], image[2]}});
    const NodeId dw = b.append(Op::conv2d_weight_gradient, {x, dy}, ConvGradAttrs{conv.stride, conv.padding, conv.dilation, {window[0], window[1]}});
    const NodeId sum = b.append(Op::reduce_sum, {dx}, AxesAttrs{{0, 1, 2}});
    const NodeId product = b.append(Op::reduce_sum, {b.append(Op::multiply, {u, dx})}, AxesAttrs{{0, 1, 2}});
    for (NodeId result : {dw, sum, product}) graph.results.push_back({ResultKind::value, "", result});
    return graph;
}

/// Numbers for an input, others for each name.
Tensor sines(const Node &input) {
    Tensor tensor{input.type, {}};
    const size_t salt = std::hash<std::string>()(attrs<InputAttrs>(input).name) % 97;
    for (int64_t k = 0; k < input.type.elements(); ++k) tensor.values.push_back(std::sin(double(k) * 1.7 + double(salt)));
    return tensor;
}

TEST(Values, SumsOfInputGradientsNeedNoInputGradient) {
    const std::vector<ConvAttrs> cases{{}, {{1, 1}, {1, 0, 1, 1}, {1, 1}}, {{2, 2}, {0, 0, 0, 0}, {1, 1}}, {{2, 1}, {1, 1, 2, 2}, {1, 2}}};
    for (size_t i = 0; i < cases.size(); ++i)
        for (bool has_offset : {true, false}) {
            SCOPED_TRACE(fmt::format("case {}, {}", i, has_offset));
            const Graph graph = sums_of_input_gradient(cases[i], has_offset);
            const Graph rewritten = dce(run(find_pass("gradient-sums"), graph));
            for (const Node &node : rewritten.nodes) EXPECT_NE(node.op, Op::conv2d_input_gradient);
            expect_same(interpret(graph, sines), interpret(rewritten, sines), 1e-12, 10);
        }
}

TEST(Values, ConvolutionsToFewFiltersAndTheirGradientsAlongTheChannels) {
    for (int64_t filters : {1, 3})
        for (const Shape &window : {Shape{3, 2}, Shape{1, 1}})
            for (const ConvAttrs &conv : {ConvAttrs{{1, 1}, {0, 0, 0, 0}, {1, 1}}, ConvAttrs{{1, 1}, {(window[0] - 1) / 2, 0, 0, window[1] - 1}, {1, 2}}}) {
                SCOPED_TRACE(fmt::format("{} filters, {} by {}, padding {}", filters, window[0], window[1], conv.padding[0]));
                Graph graph;
                Builder b(graph);
                const int64_t p = 8 + conv.padding[0] + conv.padding[1] - conv.dilation[0] * (window[0] - 1), q = 9 + conv.padding[2] + conv.padding[3] - conv.dilation[1] * (window[1] - 1);
                auto input = [&](const char *name, Shape shape) { return b.input(InputKind::argument, name, {DType::f64, std::move(shape)}); };
                const NodeId x = input("x", {2, 8, 9, 16}), w = input("w", {window[0], window[1], 16, filters}), dy = input("dy", {2, p, q, filters});
                const NodeId results[] = {b.append(Op::conv2d, {x, w}, conv), b.append(Op::conv2d_input_gradient, {dy, w}, ConvGradAttrs{conv.stride, conv.padding, conv.dilation, {8, 9}}),
                                          b.append(Op::conv2d_weight_gradient, {x, dy}, ConvGradAttrs{conv.stride, conv.padding, conv.dilation, window})};
                for (NodeId result : results) graph.results.push_back({ResultKind::value, "", result});
                const Graph rewritten = run(find_pass("few-filters"), graph);
                EXPECT_EQ(std::count_if(rewritten.nodes.begin(), rewritten.nodes.end(), [](const Node &node) { return node.op == Op::transpose; }), 3);
                expect_same(interpret(graph, sines), interpret(rewritten, sines), 1e-12, 10);
            }
}

int64_t reductions_of(const Graph &graph, const Shape &shape) {
    return std::count_if(graph.nodes.begin(), graph.nodes.end(), [&](const Node &node) { return node.op == Op::reduce_sum && graph[node.operands[0]].type.shape == shape; });
}

/// No sum is taken of what is computed from a source.
void expect_no_sum_depends(const Graph &graph, const std::function<bool(const Node &)> &is_source) {
    std::vector<bool> depends(graph.nodes.size(), false);
    for (int i = 0; i < graph.size(); ++i) {
        const Node &node = graph[{i}];
        depends[size_t(i)] = is_source(node);
        for (NodeId operand : node.operands) {
            EXPECT_FALSE(depends[size_t(operand.index)] && node.op == Op::reduce_sum) << print(graph);
            if (depends[size_t(operand.index)]) depends[size_t(i)] = true;
        }
    }
}

TEST(Values, SumsOfLargeMaskedGradientsFromSumsOfTheirFactors) {
    const Type type{DType::f64, {4, 8, 16}}, row{DType::f64, {16}};
    Graph graph;
    Builder b(graph);
    auto input = [&](const char *name, const Type &of) { return b.input(InputKind::argument, name, of); };
    auto wide = [&](NodeId id) { return b.append(Op::broadcast, {id}, BroadcastAttrs{type.shape, {2}}); };
    const NodeId y = input("y", type), dz = input("dz", type), scale = input("scale", row), slope = input("slope", row), offset = input("offset", row), mean = input("mean", row);
    // What a relu before a normalisation gets: zero, or the normalisation's gradient.
    const NodeId distance = b.multiply(wide(slope), b.subtract(y, wide(mean)));
    const NodeId through = b.add(b.add(b.multiply(dz, wide(scale)), b.add(distance, distance)), b.append(Op::negate, {wide(offset)}));
    const NodeId zero = b.constant(0, type), masked = b.append(Op::select, {b.append(Op::less_equal, {y, zero}), zero, through});
    for (NodeId result : {masked, b.append(Op::reduce_sum, {masked}, AxesAttrs{{0, 1}})}) graph.results.push_back({ResultKind::value, "", result});

    const Graph rewritten = dce(factor(graph, type.elements()));
    Diagnostics diagnostics;
    EXPECT_TRUE(verify(rewritten, diagnostics)) << render(diagnostics, false);
    EXPECT_EQ(reductions_of(rewritten, type.shape), 3);
    // No sum waits for what the normalisation's sums give.
    const std::set<std::string> later{"scale", "slope", "offset"};
    expect_no_sum_depends(rewritten, [&](const Node &node) { return node.op == Op::input && later.count(attrs<InputAttrs>(node).name) > 0; });
    expect_same(interpret(graph, sines), interpret(rewritten, sines), 1e-12, 10);
    // Small tensors are read again. So is a gradient that came another way, too: reading that instead gains nothing.
    EXPECT_EQ(print(dce(factor(graph, type.elements() + 1))), print(graph));
    for (const NodeId other : {dz, NodeId{}}) {
        Graph plain = graph;
        if (other.valid()) plain[masked].operands[2] = other;
        else plain[through].operands[1] = y;
        EXPECT_EQ(print(dce(factor(plain, type.elements()))), print(dce(plain)));
    }
}

TEST(Values, SumsOverThePoolingGradientFromThePooledSide) {
    const std::vector<WindowGradAttrs> cases{{{3, 3}, {3, 3}, {0, 0, 0, 0}, {9, 10}}, {{3, 3}, {2, 2}, {1, 1, 1, 1}, {9, 10}}, {{1, 2}, {3, 1}, {0, 0, 0, 1}, {9, 10}}, {{5, 5}, {2, 3}, {2, 2, 2, 2}, {9, 10}}};
    for (size_t i = 0; i < cases.size(); ++i) {
        SCOPED_TRACE(i);
        const WindowGradAttrs &a = cases[i];
        const Type type{DType::f64, {3, a.extents[0], a.extents[1], 4}}, row{DType::f64, {4}};
        Graph graph;
        Builder b(graph);
        auto input = [&](const char *name, const Type &of) { return b.input(InputKind::argument, name, of); };
        auto wide = [&](NodeId id) { return b.append(Op::broadcast, {id}, BroadcastAttrs{type.shape, {3}}); };
        const NodeId x = input("x", type), scale = input("scale", row), mean = input("mean", row);
        const NodeId index = b.append(Op::max_pool2d_index, {b.multiply(x, wide(scale))}, WindowAttrs{a.window, a.stride, a.padding});
        const NodeId gradient = b.append(Op::max_pool2d_gradient, {input("dy", {DType::f64, b.type(index).shape}), index}, a);
        const NodeId other = b.append(Op::max_pool2d_gradient, {input("dz", {DType::f64, b.type(index).shape}), index}, a);
        const NodeId distance = b.subtract(x, wide(mean)), zero = b.constant(0, type), negative = b.append(Op::less_equal, {x, zero});
        const NodeId product = b.multiply(gradient, b.divide(distance, wide(scale))), masked = b.append(Op::select, {negative, zero, gradient});
        auto sum = [&](NodeId value, Ints axes) { graph.results.push_back({ResultKind::value, "", b.append(Op::reduce_sum, {value}, AxesAttrs{std::move(axes)})}); };
        sum(gradient, {0, 1, 2}), sum(product, {0, 1, 2}), sum(masked, {1, 2}), sum(b.subtract(b.append(Op::negate, {masked}), product), {0, 1, 2, 3});
        const Graph rewritten = dce(pooled_sums(graph, type.elements()));
        Diagnostics diagnostics;
        EXPECT_TRUE(verify(rewritten, diagnostics)) << render(diagnostics, false);
        EXPECT_EQ(reductions_of(rewritten, type.shape), 0);
        expect_same(interpret(graph, sines), interpret(rewritten, sines), 1e-12, 10);
        EXPECT_EQ(print(pooled_sums(graph, type.elements() + 1)), print(graph)) << "small tensors are read";

        // Not of one image; not where the gradient is no factor; nor of two poolings at once.
        graph.results.clear();
        sum(gradient, {0, 1}), sum(b.add(gradient, x), {0, 1, 2}), sum(b.append(Op::exp, {gradient}), {0, 1, 2}), sum(b.add(gradient, other), {0, 1, 2});
        sum(b.multiply(gradient, gradient), {0, 1, 2}), sum(b.append(Op::select, {negative, x, gradient}), {0, 1, 2});
        EXPECT_EQ(print(dce(pooled_sums(graph, type.elements()))), print(dce(graph)));
    }
}

/// Mean and variance over all axes but the last, and the sum of the distances from the mean where x is above 1000.
Graph mean_and_variance(const Type &type) {
    Graph graph;
    Builder b(graph);
    const NodeId x = b.input(InputKind::argument, "x", type);
    const Type row{type.dtype, {type.shape.back()}};
    const NodeId count = b.constant(double(type.elements() / row.shape[0]), row);
    const NodeId mean = b.divide(b.append(Op::reduce_sum, {x}, AxesAttrs{{0, 1}}), count);
    const NodeId difference = b.subtract(x, b.append(Op::broadcast, {mean}, BroadcastAttrs{type.shape, {2}}));
    const NodeId variance = b.divide(b.append(Op::reduce_sum, {b.multiply(difference, difference)}, AxesAttrs{{0, 1}}), count);
    const NodeId above = b.append(Op::less, {b.constant(1000, type), x});
    const NodeId masked = b.append(Op::reduce_sum, {b.append(Op::select, {above, difference, b.constant(0, type)})}, AxesAttrs{{0, 1}});
    for (NodeId result : {mean, variance, masked}) graph.results.push_back({ResultKind::value, "", result});
    return graph;
}

TEST(Values, MeanAndVarianceOfLargeTensorsFromOneReading) {
    const Type type{DType::f32, {8, 1024, 32}};
    const Graph graph = mean_and_variance(type), rewritten = moments(graph, type.elements());
    Diagnostics diagnostics;
    EXPECT_TRUE(verify(rewritten, diagnostics)) << render(diagnostics, false);
    // What is summed up for the variance does not wait for the mean.
    expect_no_sum_depends(rewritten, [&](const Node &node) { return node.op == Op::reduce_sum && node.operands[0] == NodeId{0}; });
    EXPECT_EQ(reductions_of(rewritten, type.shape), 4);
    // Small tensors are read twice.
    EXPECT_EQ(print(moments(graph, type.elements() + 1)), print(graph));

    // Far from zero; the first slice unlike the others; one number unlike all others; no variance at all.
    const std::vector<std::function<double(int64_t)>> data{
        [](int64_t i) { return 1000 + std::sin(double(i) * 1.7); },
        [&](int64_t i) { return (i < type.elements() / 8 ? 50 : 0) + std::sin(double(i) * 1.7); },
        [](int64_t i) { return i < 32 ? 1e4 : std::sin(double(i) * 1.7); },
        [](int64_t) { return 3.25; },
    };
    for (size_t k = 0; k < data.size(); ++k) {
        SCOPED_TRACE(k);
        auto read = [&](const Node &node) {
            Tensor tensor{node.type, {}};
            for (int64_t i = 0; i < node.type.elements(); ++i) tensor.values.push_back(double(float(data[k](i))));
            return tensor;
        };
        const std::vector<Tensor> expected = interpret(graph, read), actual = interpret(rewritten, read);
        expect_same(expected, actual, 2e-5);
        for (double variance : actual[1].values) EXPECT_GE(variance, 0);
    }
}

/// Mean and variance of a convolution's results, through a relu, and the sum of the distances from the mean where it lets them through. `adds`:
/// of its results and another tensor.
Graph mean_and_variance_of_convolution(const Type &type, bool adds) {
    Graph graph;
    Builder b(graph);
    Shape image = type.shape;
    image.back() = 1;
    const NodeId x = b.input(InputKind::argument, "x", {type.dtype, image}), w = b.input(InputKind::argument, "w", {type.dtype, {1, 1, 1, type.shape[3]}});
    const Type row{type.dtype, {type.shape[3]}};
    NodeId y = b.append(Op::conv2d, {x, w}, ConvAttrs{{1, 1}, {0, 0, 0, 0}, {1, 1}});
    if (adds) y = b.add(y, b.input(InputKind::argument, "other", type));
    const NodeId zero = b.constant(0, type), relu = b.append(Op::maximum, {y, zero});
    const NodeId count = b.constant(double(type.elements() / row.shape[0]), row);
    const Ints axes{0, 1, 2};
    const NodeId mean = b.divide(b.append(Op::reduce_sum, {relu}, AxesAttrs{axes}), count);
    const NodeId difference = b.subtract(relu, b.append(Op::broadcast, {mean}, BroadcastAttrs{type.shape, {3}}));
    const NodeId variance = b.divide(b.append(Op::reduce_sum, {b.multiply(difference, difference)}, AxesAttrs{axes}), count);
    const NodeId masked = b.append(Op::reduce_sum, {b.append(Op::select, {b.append(Op::less_equal, {relu, zero}), zero, difference})}, AxesAttrs{axes});
    for (NodeId result : {relu, mean, variance, masked}) graph.results.push_back({ResultKind::value, "", result});
    return graph;
}

TEST(Values, MeanAndVarianceOfAConvolutionFromItsRows) {
    const Type type{DType::f32, {4, 32, 64, 16}};
    const Graph graph = mean_and_variance_of_convolution(type, false), rewritten = row_moments(graph, type.elements());
    Diagnostics diagnostics;
    EXPECT_TRUE(verify(rewritten, diagnostics)) << render(diagnostics, false);
    EXPECT_EQ(reductions_of(rewritten, type.shape), 3) << "what a relu lets through follows from its mean and number";
    for (const Node &node : dce(rewritten).nodes)
        if (node.op == Op::reduce_sum) {
            EXPECT_TRUE(attrs<AxesAttrs>(node).axes == Ints{2} || node.type.rank() == 1);
        }
    // Not of small tensors, nor of what no convolution's kernel stores, nor where channels are no vectors.
    EXPECT_EQ(print(row_moments(graph, type.elements() + 1)), print(graph));
    const Graph sum = mean_and_variance_of_convolution(type, true), odd = mean_and_variance_of_convolution({DType::f32, {4, 32, 64, 20}}, false);
    EXPECT_EQ(print(row_moments(sum, 1)), print(sum));
    EXPECT_EQ(print(row_moments(odd, 1)), print(odd));

    // Far from zero; rows unlike each other; one number unlike all others; no variance at all.
    const std::vector<std::function<double(int64_t)>> data{
        [](int64_t i) { return 1000 + std::sin(double(i) * 1.7); },
        [](int64_t i) { return double(i / 64 % 7) * 30 + std::sin(double(i) * 1.7); },
        [](int64_t i) { return i == 77 ? 1e4 : std::sin(double(i) * 1.7); },
        [](int64_t) { return 3.25; },
    };
    for (size_t k = 0; k < data.size(); ++k) {
        SCOPED_TRACE(k);
        auto read = [&](const Node &node) {
            Tensor tensor{node.type, {}};
            for (int64_t i = 0; i < node.type.elements(); ++i) tensor.values.push_back(node.type.shape[0] == 1 ? 1 + double(i) / 16 : double(float(data[k](i))));
            return tensor;
        };
        const std::vector<Tensor> expected = interpret(graph, read), actual = interpret(rewritten, read);
        const double count = double(type.elements() / type.shape[3]);
        expect_same({expected[0], expected[1], expected[2]}, {actual[0], actual[1], actual[2]}, 2e-5);
        expect_same({expected[3]}, {actual[3]}, 2e-5, count);  // of as many terms on both sides of zero
        for (double variance : actual[2].values) EXPECT_GE(variance, 0);
    }
}

}  // namespace
}  // namespace kiln
