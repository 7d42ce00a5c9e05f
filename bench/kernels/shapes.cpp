#include "bench/kernels/shapes.h"

#include "compiler/ir/text.h"
#include "compiler/ops/builder.h"
#include "compiler/plan/body.h"
#include "compiler/support/check.h"

#include <fmt/format.h>

namespace kiln {

namespace {

constexpr int64_t kBatch = 64;

class Table {
public:
    std::vector<ShapeKernel> kernels;

    struct Convolution {
        int64_t side, channels, filters, window = 3, stride = 1, padding = 1, batch = kBatch;
    };

    /// Forward with bias and relu, as layers have it, and both gradients.
    void convolution(const Convolution &c) {
        std::string name = fmt::format("convolution {0}x{0}, {1} to {2}", c.side, c.channels, c.filters);
        if (c.window != 3) name += fmt::format(", window {0}x{0}", c.window);
        if (c.stride != 1) name += fmt::format(", stride {}", c.stride);
        const int64_t out = (c.side + 2 * c.padding - c.window) / c.stride + 1;
        const Ints stride{c.stride, c.stride}, padding{c.padding, c.padding, c.padding, c.padding};
        const Shape x{c.batch, c.side, c.side, c.channels}, w{c.window, c.window, c.channels, c.filters}, y{c.batch, out, out, c.filters};
        add(name, "forward", {x, w, {c.filters}}, [&](Builder &b, const std::vector<NodeId> &in) {
            NodeId sum = b.add(b.append(Op::conv2d, {in[0], in[1]}, ConvAttrs{stride, padding, {1, 1}}), in[2]);
            return std::vector{b.append(Op::maximum, {sum, b.constant(0, b.type(sum))})};
        });
        if (c.channels > 3)  // nobody asks for the gradient of a picture
            add(name, "input gradient", {y, w}, [&](Builder &b, const std::vector<NodeId> &in) {
                return std::vector{b.append(Op::conv2d_input_gradient, in, ConvGradAttrs{stride, padding, {1, 1}, {c.side, c.side}})};
            });
        add(name, "weight gradient", {x, y}, [&](Builder &b, const std::vector<NodeId> &in) {
            return std::vector{b.append(Op::conv2d_weight_gradient, in, ConvGradAttrs{stride, padding, {1, 1}, {c.window, c.window}})};
        });
    }

    void product(int64_t rows, int64_t columns, int64_t inner) {
        const std::string name = fmt::format("product {}x{}x{}", rows, columns, inner);
        auto plain = [&](const std::string &part, const Shape &a, const Shape &b, bool transpose_a, bool transpose_b) {
            add(name, part, {a, b}, [&](Builder &builder, const std::vector<NodeId> &in) { return std::vector{builder.matmul(in[0], in[1], transpose_a, transpose_b)}; });
        };
        plain("forward", {rows, inner}, {inner, columns}, false, false);
        plain("input gradient", {rows, columns}, {inner, columns}, false, true);
        plain("weight gradient", {rows, inner}, {rows, columns}, true, false);
    }

    /// A convolution of each channel by itself, which the language writes in index notation.
    void depthwise(int64_t side, int64_t channels) {
        const std::string name = fmt::format("depthwise convolution {0}x{0}, {1}", side, channels);
        const int64_t out = side - 2, n = kBatch, c = channels;
        const Shape x{n, side, side, c}, w{3, 3, c}, y{n, out, out, c};
        comprehension(name, "forward", x, w, fmt::format("space = [{}, {}, {}, {}, 3, 3], kept = 4, body = [f32 read 0[i0, i1 + i4, i2 + i5, i3], f32 read 1[i4, i5, i3], f32 multiply 0 1]", n, out, out, c), y);
        comprehension(name, "input gradient", w, y, fmt::format("space = [{0}, {1}, {1}, {2}, 3, 3], kept = 4, guards = [i1 - i4, -i1 + i4 + {3}, i2 - i5, -i2 + i5 + {3}], "
                                  "body = [f32 read 0[i4, i5, i3], f32 read 1[i0, i1 - i4, i2 - i5, i3], f32 multiply 1 0]", n, side, c, out - 1), x);
        comprehension(name, "weight gradient", x, y, fmt::format("space = [3, 3, {}, {}, {}, {}], kept = 3, body = [f32 read 0[i3, i0 + i4, i1 + i5, i2], f32 read 1[i3, i4, i5, i2], f32 multiply 1 0]", c, n, out, out), w);
    }

    void pooling(int64_t side, int64_t channels, int64_t window) {
        const std::string name = fmt::format("maximum of {0}x{0} in {1}x{1}, {2}", window, side, channels);
        const Shape x{kBatch, side, side, channels}, y{kBatch, side / window, side / window, channels};
        const Ints size{window, window};
        add(name, "forward", {x}, [&](Builder &b, const std::vector<NodeId> &in) {
            return std::vector{b.append(Op::max_pool2d, in, WindowAttrs{size, size, {0, 0, 0, 0}}), b.append(Op::max_pool2d_index, in, WindowAttrs{size, size, {0, 0, 0, 0}})};
        });
        Graph gradient;
        Builder b(gradient);
        NodeId dy = b.input(InputKind::argument, "dy", {DType::f32, y}), index = b.input(InputKind::argument, "index", {DType::i32, y});
        finish(name, "gradient", gradient, {b.append(Op::max_pool2d_gradient, {dy, index}, WindowGradAttrs{size, size, {0, 0, 0, 0}, {side, side}})}, {});
    }

    void residual(int64_t elements) {
        add(fmt::format("relu(a + b), {} elements", elements), "", {{elements}, {elements}}, [&](Builder &b, const std::vector<NodeId> &in) {
            NodeId sum = b.add(in[0], in[1]);
            return std::vector{b.append(Op::maximum, {sum, b.constant(0, b.type(sum))})};
        });
    }

    /// The sum of each channel: the gradient of a bias, half of the statistics of a normalisation.
    void channel_sums(int64_t side, int64_t channels) {
        add(fmt::format("sums of {0}x{0}, {1}", side, channels), "", {{kBatch, side, side, channels}},
            [&](Builder &b, const std::vector<NodeId> &in) { return std::vector{b.reduce(Op::reduce_sum, in[0], {0, 1, 2})}; });
    }

    /// Adam on all parameters at once, in place.
    void adam(int64_t parameters) {
        add(fmt::format("Adam, {} parameters", parameters), "", {{parameters}, {parameters}, {parameters}, {parameters}}, [&](Builder &b, const std::vector<NodeId> &in) {
            auto number = [&](double value) { return b.constant(value, {DType::f32, {}}); };
            NodeId m = b.add(b.multiply(in[1], number(0.9)), b.multiply(in[0], number(0.1)));
            NodeId v = b.add(b.multiply(in[2], number(0.999)), b.multiply(b.multiply(in[0], in[0]), number(0.001)));
            NodeId step = b.divide(b.multiply(m, number(1e-3)), b.add(b.append(Op::sqrt, {v}), number(1e-8)));
            return std::vector{m, v, b.subtract(in[3], step)};
        }, {1, 2, 3});
    }

private:
    template <typename Build>
    void add(const std::string &shape, const std::string &part, const std::vector<Shape> &arguments, Build build, std::vector<int> in_place = {}) {
        Graph graph;
        Builder b(graph);
        std::vector<NodeId> inputs;
        for (size_t i = 0; i < arguments.size(); ++i) inputs.push_back(b.input(InputKind::argument, fmt::format("input{}", i), {DType::f32, arguments[i]}));
        const std::vector<NodeId> results = build(b, inputs);
        finish(shape, part, graph, results, std::move(in_place));
    }

    void comprehension(const std::string &shape, const std::string &part, const Shape &a, const Shape &b, const std::string &attributes, const Shape &result) {
        SourceMap sources;
        Diagnostics diagnostics;
        const std::string text = fmt::format("graph shape {{\n  %0 = input {{kind = argument, name = \"input0\"}} : f32{}\n  %1 = input {{kind = argument, name = \"input1\"}} : f32{}\n"
                                             "  %2 = comprehension %0, %1 {{{}}} : f32{}\n}}\n", to_string(a), to_string(b), attributes, to_string(result));
        const Module module = parse_module(sources.add("shape", text), diagnostics);
        KILN_CHECK(!diagnostics.has_errors(), "the graph of {} does not parse:\n{}", shape, text);
        Graph graph = module.graphs.at("shape");
        graph.results.clear();
        finish(shape, part, graph, {NodeId{2}}, {});
    }

    void finish(const std::string &shape, const std::string &part, Graph &graph, const std::vector<NodeId> &results, std::vector<int> in_place) {
        graph.name = "kernel";
        for (NodeId id : results) graph.results.push_back({ResultKind::value, "", id});
        if (in_place.empty()) in_place.assign(results.size(), -1);
        kernels.push_back({shape, part, make_kernel(std::move(graph), std::move(in_place))});
    }
};

}  // namespace

std::vector<ShapeKernel> shape_kernels() {
    Table table;
    table.convolution({.side = 28, .channels = 1, .filters = 32, .padding = 0});
    table.convolution({.side = 28, .channels = 1, .filters = 8, .window = 5, .padding = 0});
    table.convolution({.side = 32, .channels = 3, .filters = 64});
    table.convolution({.side = 224, .channels = 3, .filters = 32, .padding = 0, .batch = 16});
    table.convolution({.side = 32, .channels = 16, .filters = 16});
    table.convolution({.side = 26, .channels = 32, .filters = 32, .padding = 0});
    table.convolution({.side = 14, .channels = 32, .filters = 32});
    table.convolution({.side = 14, .channels = 33, .filters = 33});
    table.convolution({.side = 14, .channels = 40, .filters = 40});
    table.convolution({.side = 32, .channels = 64, .filters = 64});
    table.convolution({.side = 7, .channels = 64, .filters = 64});
    table.convolution({.side = 16, .channels = 128, .filters = 128});
    table.convolution({.side = 13, .channels = 128, .filters = 128});
    table.convolution({.side = 8, .channels = 256, .filters = 256});
    table.convolution({.side = 32, .channels = 16, .filters = 32, .stride = 2});
    table.convolution({.side = 16, .channels = 64, .filters = 128, .window = 1, .stride = 2, .padding = 0});
    table.depthwise(16, 64);
    table.product(64, 512, 784);
    table.product(64, 10, 512);
    table.product(256, 256, 256);
    table.product(1024, 1024, 1024);
    table.product(64, 200, 36864);
    table.pooling(24, 32, 2);
    table.residual(64 * 32 * 32 * 16);
    table.channel_sums(24, 32);
    table.adam(594960);
    return std::move(table.kernels);
}

}  // namespace kiln
