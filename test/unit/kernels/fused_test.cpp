// Kernels of several ops at sizes where tiles, tails, chunks of parallel loops and partial sums come into play, against the interpreter.
#include "compiler/ops/interpret.h"
#include "test/unit/kernels/kernel_case.h"
#include "test/unit/kernels/run_kernels.h"

#include <gtest/gtest.h>

#include <fmt/format.h>

#include <cmath>
#include <functional>
#include <random>

namespace kiln {
namespace {

struct Entry {
    std::string name;
    Kernel kernel;
};

class Suite {
public:
    explicit Suite(DType type) : type_(type) {}
    void add(std::string name, std::vector<int> in_place, const std::function<void(Case &)> &build) {
        Case c(type_);
        build(c);
        Kernel kernel = kernel_of(std::move(c.graph), fmt::format("fused_{}", entries_.size()), std::move(in_place));
        entries_.push_back({std::move(name), std::move(kernel)});
    }
    void add(std::string name, const std::function<void(Case &)> &build) { add(std::move(name), {}, build); }

    void check(const std::string &target) const {
        std::vector<Kernel> kernels;
        for (const Entry &entry : entries_) kernels.push_back(entry.kernel);
        KernelOptions options;
        options.target = target;
        options.jobs = 2;
        const KernelLibrary library(kernels, options);
        for (size_t i = 0; i < entries_.size(); i++) {
            const Graph &body = entries_[i].kernel.body;
            std::vector<Tensor> inputs;
            std::mt19937 random(unsigned(i) + 1);
            for (const Node &node : body.nodes) {
                if (node.op != Op::input) continue;
                Tensor tensor{node.type, std::vector<double>(size_t(node.type.elements()))};
                for (double &v : tensor.values) {
                    const double u = double(random()) / 4294967296.0;
                    v = is_float(node.type.dtype) ? double(float(u * 2 - 0.9)) : node.type.dtype == DType::boolean ? double(u > 0.5) : std::floor(u * 8);
                }
                inputs.push_back(std::move(tensor));
            }
            size_t next = 0;
            const std::vector<Tensor> expected = interpret(body, [&](const Node &) { return inputs[next++]; });
            std::vector<Tensor> actual;
            EXPECT_NO_THROW(actual = library.run(i, inputs)) << entries_[i].name << " on " << target;
            for (size_t k = 0; k < actual.size(); k++)
                EXPECT_EQ(difference(actual[k], expected[k], reduction_length(body)), "") << entries_[i].name << ", result " << k << " on " << target;
        }
    }

private:
    DType type_;
    std::vector<Entry> entries_;
};

void add_elementwise(Suite &s) {
    for (int64_t n : {1, 3, 16, 17, 100, 150000, 196608})
        s.add(fmt::format("chain over {}", n), [=](Case &c) {
            NodeId x = c.in({n}), y = c.in({n});
            c.result(c.b.append(Op::exp, {c.b.multiply(c.b.add(x, y), x)}));
            c.result(c.b.append(Op::less, {x, y}));
        });
    s.add("scalars of every type", [](Case &c) {
        NodeId x = c.in({5, 7}), a = c.in(DType::f64, {}, "scalar1"), n = c.in(DType::i64, {}, "scalar2"), small = c.in(DType::f32, {}, "scalar3");
        c.result(c.b.add(c.b.multiply(x, a), c.b.add(c.b.broadcast_to(c.b.cast(n, c.type), {5, 7}), c.b.broadcast_to(c.b.cast(small, c.type), {5, 7}))));
    });
    for (Shape shape : {Shape{4, 26, 26, 32}, Shape{64, 10}, Shape{3, 5, 7}, Shape{6000, 33}})
        s.add("row added over " + to_string(shape), [=](Case &c) { c.result(c.relu(c.b.add(c.in(shape), c.in({shape.back()})))); });
    for (int64_t n : {5, 33, 170000})
        s.add(fmt::format("Adam in place over {}", n), {1, 2, 3}, [=](Case &c) {
            NodeId g = c.in({n}), m = c.in({n}), v = c.in({n}), w = c.in({n}), rate = c.in(DType::f64, {}, "scalar4");
            NodeId m1 = c.b.add(c.b.multiply(m, c.b.constant(0.9, {c.type, {n}})), c.b.multiply(g, c.b.constant(0.1, {c.type, {n}})));
            NodeId v1 = c.b.add(c.b.multiply(v, c.b.constant(0.99, {c.type, {n}})), c.b.multiply(c.b.multiply(g, g), c.b.constant(0.01, {c.type, {n}})));
            NodeId root = c.b.append(Op::sqrt, {c.b.append(Op::absolute, {v1})});
            NodeId step = c.b.divide(c.b.multiply(m1, rate), c.b.add(root, c.b.constant(0.5, {c.type, {n}})));
            c.result(m1), c.result(v1), c.result(c.b.subtract(w, step));
        });
    for (int64_t n : {2, 33, 170000})
        s.add(fmt::format("RMSProp in place over {}: the parameter reads the old square within a root", n), {1, 2}, [=](Case &c) {
            NodeId g = c.in({n}), v = c.in({n}), w = c.in({n}), rate = c.in(DType::f64, {}, "scalar3");
            NodeId v1 = c.b.add(c.b.multiply(v, c.b.constant(0.9, {c.type, {n}})), c.b.multiply(g, g));
            NodeId root = c.b.append(Op::sqrt, {c.b.append(Op::absolute, {v1})});
            c.result(v1), c.result(c.b.subtract(w, c.b.divide(c.b.multiply(g, rate), c.b.add(root, c.b.constant(0.5, {c.type, {n}})))));
        });
    s.add("two states in place, each within a function of the other", {0, 1}, [](Case &c) {
        NodeId x = c.in({40}), y = c.in({40});
        c.result(c.b.add(x, c.b.append(Op::exp, {y}))), c.result(c.b.add(y, c.b.append(Op::exp, {x})));
    });
    s.add("a row subtracted in place", {0, -1}, [](Case &c) {
        NodeId x = c.in({300, 130}), row = c.in({130});
        NodeId y = c.b.subtract(x, row);
        c.result(y), c.result(c.b.multiply(x, y));
    });
    s.add("dropout mask", [](Case &c) {
        NodeId x = c.in({63, 65}), seed = c.in(DType::i64, {}, "scalar1"), step = c.in(DType::i64, {}, "scalar2");
        NodeId u = c.b.append(Op::random_uniform, {seed, step}, RandomAttrs{3, c.type, {63, 65}});
        NodeId keep = c.b.append(Op::less, {u, c.b.constant(0.5, {c.type, {63, 65}})});
        c.result(c.b.append(Op::select, {keep, x, c.b.constant(0, {c.type, {63, 65}})})), c.result(keep);
    });
}

void add_reductions(Suite &s) {
    const std::vector<std::pair<Shape, Ints>> cases{{{64, 10}, {0}},     {{64, 10}, {1}},      {{8, 24, 24, 32}, {0, 1, 2}}, {{70, 500}, {1}},
                                                    {{70, 500}, {0, 1}}, {{323457}, {0}},      {{140000, 1}, {0}},            {{3, 50, 70, 9}, {1, 2}},
                                                    {{500, 129}, {0}},   {{17, 40, 333}, {0, 2}}, {{1, 1, 1}, {0, 1, 2}},    {{7, 5000, 3}, {1}}};
    for (const auto &[shape, axes] : cases)
        for (Op op : {Op::reduce_sum, Op::reduce_max})
            s.add(fmt::format("{} of {} over {} axes", info(op).name, to_string(shape), axes.size()), [=, shape = shape, axes = axes](Case &c) {
                NodeId x = c.in(shape);
                c.result(c.b.reduce(op, c.b.multiply(x, x), axes));
            });
    for (Shape shape : {Shape{3, 5, 7, 33}, Shape{3, 90, 80, 32}})
        s.add("sums of the second picture of " + to_string(shape), [=](Case &c) {
            Ints begin{1, 0, 0, 0}, end = shape;
            end[0] = 2;
            c.result(c.b.append(Op::reduce_sum, {c.b.append(Op::slice, {c.in(shape)}, SliceAttrs{begin, end, {1, 1, 1, 1}})}, AxesAttrs{{0, 1, 2}}));
        });
    for (Shape shape : {Shape{64, 10}, Shape{9, 300}, Shape{2000, 70}})
        s.add("softmax of " + to_string(shape), [=](Case &c) {
            NodeId x = c.in(shape);
            NodeId e = c.b.append(Op::exp, {c.b.subtract(x, c.b.reduce(Op::reduce_max, x, {1}, true))});
            c.result(c.b.divide(e, c.b.reduce(Op::reduce_sum, e, {1}, true)));
        });
    // Sums over the same data are one loop, whose results stay in registers if whole vectors of channels are kept.
    for (int64_t channels : {8, 24, 32, 33, 48, 160})
        s.add(fmt::format("three sums, one of which needs another, of {} channels", channels), [=](Case &c) {
            const Shape shape{16, 13, 31, channels};
            NodeId x = c.in(shape), dy = c.in(shape);
            NodeId sum = c.b.reduce(Op::reduce_sum, dy, {0, 1, 2});
            NodeId centred = c.b.subtract(x, c.b.multiply(sum, c.b.constant(1.0 / 6448, {c.type, {channels}})));
            c.result(sum);
            c.result(c.b.reduce(Op::reduce_sum, c.b.multiply(dy, x), {0, 1, 2}));
            c.result(c.b.reduce(Op::reduce_sum, c.b.multiply(dy, centred), {0, 1, 2}));
        });
    for (std::vector<int64_t> parts : {std::vector<int64_t>{32, 64}, {12, 9, 1}, {16, 3}, {50, 50}})
        for (Shape outer : {Shape{7}, Shape{16, 40, 30}})
            s.add(fmt::format("{} and {} channels joined, of {} places", parts[0], parts[1], element_count(outer)), [=](Case &c) {
                std::vector<NodeId> operands;
                for (int64_t part : parts) {
                    Shape shape = outer;
                    shape.push_back(part);
                    operands.push_back(c.in(shape));
                }
                c.result(c.relu(c.b.append(Op::concat, operands, AxisAttrs{int64_t(outer.size())})));
            });
    s.add("mean and deviation of channels", [](Case &c) {
        NodeId x = c.in({32, 14, 14, 24});
        NodeId mean = c.b.multiply(c.b.reduce(Op::reduce_sum, x, {0, 1, 2}), c.b.constant(1.0 / 6272, {c.type, {24}}));
        NodeId centred = c.b.subtract(x, mean);
        NodeId variance = c.b.reduce(Op::reduce_sum, c.b.multiply(centred, centred), {0, 1, 2});
        c.result(mean), c.result(variance);
        c.result(c.b.divide(centred, c.b.append(Op::sqrt, {variance})));
    });
}

void add_matmuls(Suite &s) {
    struct Size { int64_t m, n, k; };
    for (Size size : {Size{64, 10, 300}, Size{64, 128, 100}, Size{33, 65, 17}, Size{200, 48, 64}, Size{5, 7, 3}, Size{1, 100, 50}, Size{100, 1, 50}, Size{250, 130, 40},
                      Size{3, 5, 4096}, Size{17, 33, 4100}, Size{70, 200, 4608}, Size{450, 130, 520}, Size{64, 390, 600}, Size{800, 100, 40}, Size{770, 10, 33},
                      Size{130, 70, 1600}, Size{300, 260, 1041}, Size{4500, 40, 61}, Size{3, 200, 11000}, Size{60, 36000, 60}})  // the last two are asked for ahead, past their ends
        for (int transposes = 0; transposes < 4; transposes++) {
            const bool ta = transposes & 1, tb = transposes & 2;
            const Shape a = ta ? Shape{size.k, size.m} : Shape{size.m, size.k}, w = tb ? Shape{size.n, size.k} : Shape{size.k, size.n};
            s.add(fmt::format("matmul {}x{}x{} transposes {} with bias and relu", size.m, size.n, size.k, transposes),
                  [=](Case &c) { NodeId x = c.in(a), y = c.in(w); c.result(c.relu(c.b.add(c.b.matmul(x, y, ta, tb), c.in({size.n})))); });
        }
    s.add("batched matmul", [](Case &c) { NodeId x = c.in({3, 2, 40, 20}), y = c.in({3, 2, 20, 30}); c.result(c.b.matmul(x, y)); });
    for (int transposes = 0; transposes < 4; transposes++)
        for (int64_t batch : {2, 9}) {
            const bool ta = transposes & 1, tb = transposes & 2;
            auto add = [&](int64_t m, int64_t n, int64_t k) {
                const Shape a = ta ? Shape{batch, k, m} : Shape{batch, m, k}, w = tb ? Shape{batch, n, k} : Shape{batch, k, n};
                s.add(fmt::format("{} matmuls {}x{}x{} transposes {}", batch, m, n, k, transposes),
                      [=](Case &c) { NodeId x = c.in(a), y = c.in(w); c.result(c.b.matmul(x, y, ta, tb)); });
            };
            add(300, 70, 90), add(5, 20, 4096);
        }
    s.add("matmul of computed operands, two results, one in place", {2, -1}, [](Case &c) {
        NodeId x = c.in({50, 30}), y = c.in({30, 70}), z = c.in({50, 70});
        NodeId p = c.b.add(c.b.matmul(c.relu(x), c.b.multiply(y, y)), z);
        c.result(p), c.result(c.b.append(Op::less_equal, {p, z}));
    });
    // Three results over what they read, each element once: with tiles that do not fit, and asked for ahead past the end.
    for (Size size : {Size{784, 512, 64}, Size{400, 260, 16}, Size{517, 203, 20}, Size{900, 37, 8}, Size{450, 130, 33}, Size{130, 700, 300}, Size{64, 10, 5000}})
        for (int transposes = 0; transposes < 4; transposes++) {
            const bool ta = transposes & 1, tb = transposes & 2;
            s.add(fmt::format("update by a product {}x{}x{} transposes {}", size.m, size.n, size.k, transposes), {2, 3, 4}, [=](Case &c) {
                const Shape shape{size.m, size.n};
                NodeId x = c.in(ta ? Shape{size.k, size.m} : Shape{size.m, size.k}), dy = c.in(tb ? Shape{size.n, size.k} : Shape{size.k, size.n});
                NodeId m = c.in(shape), v = c.in(shape), p = c.in(shape), gradient = c.b.matmul(x, dy, ta, tb), half = c.b.constant(0.5, c.b.type(m));
                NodeId m1 = c.b.add(c.b.multiply(m, half), gradient), v1 = c.b.add(c.b.multiply(v, half), c.b.multiply(gradient, gradient));
                NodeId root = c.b.append(Op::sqrt, {c.b.append(Op::absolute, {v1})});
                c.result(m1), c.result(v1), c.result(c.b.subtract(p, c.b.divide(m1, c.b.add(root, c.b.constant(1, c.b.type(v))))));
            });
        }
    s.add("matmul, its row sums and a product of it", [](Case &c) {
        NodeId x = c.in({40, 30}), y = c.in({30, 50});
        NodeId p = c.b.matmul(x, y);
        c.result(p), c.result(c.b.reduce(Op::reduce_sum, p, {1}));
    });
}

/// What statistics of a convolution's results are made of: sums over each row, of squares of distances from its mean, and of what a mask lets through.
void add_row_sums(Case &c, NodeId y) {
    const Type type = c.b.type(y);
    const Ints row{2};
    NodeId sum = c.b.reduce(Op::reduce_sum, y, row), mean = c.b.divide(sum, c.b.constant(double(type.shape[2]), c.b.type(sum)));
    NodeId distance = c.b.subtract(y, c.b.append(Op::broadcast, {mean}, BroadcastAttrs{type.shape, {0, 1, 3}}));
    NodeId zero = c.b.constant(0, type), negative = c.b.append(Op::less_equal, {y, zero});
    c.result(y), c.result(sum), c.result(mean);
    c.result(c.b.reduce(Op::reduce_sum, c.b.multiply(distance, distance), row));
    c.result(c.b.reduce(Op::reduce_sum, c.b.append(Op::select, {negative, zero, distance}), row));
    c.result(c.b.reduce(Op::reduce_sum, c.b.append(Op::select, {negative, zero, c.b.constant(1, type)}), row));
}

void add_convolutions(Suite &s) {
    struct Size { int64_t n, h, w, c, k, kernel, stride, padding, dilation; };
    for (Size z : {Size{2, 28, 28, 1, 32, 3, 1, 0, 1}, Size{3, 14, 13, 3, 32, 3, 1, 1, 1}, Size{2, 12, 12, 32, 64, 3, 1, 0, 1}, Size{9, 10, 10, 20, 40, 3, 2, 1, 1},
                   Size{2, 9, 11, 5, 7, 5, 1, 2, 1}, Size{2, 15, 13, 32, 32, 3, 1, 1, 1}, Size{6, 8, 8, 48, 64, 3, 1, 1, 1}, Size{5, 7, 7, 33, 40, 3, 1, 1, 1},
                   Size{12, 4, 4, 16, 80, 3, 1, 1, 1}, Size{1, 33, 19, 16, 17, 3, 1, 0, 1}, Size{3, 70, 30, 16, 16, 3, 1, 2, 1}, Size{64, 9, 10, 16, 24, 3, 1, 1, 1}, Size{24, 6, 5, 32, 16, 3, 1, 0, 1}, Size{8, 8, 8, 64, 33, 1, 1, 0, 1}, Size{1, 15, 15, 2, 48, 3, 2, 1, 2}, Size{2, 7, 7, 16, 16, 2, 3, 0, 1}, Size{4, 15, 16, 32, 48, 3, 2, 1, 1}, Size{3, 17, 17, 16, 20, 5, 3, 2, 1}, Size{8, 8, 8, 64, 33, 1, 2, 0, 1}, Size{9, 7, 8, 16, 32, 1, 3, 0, 1}, Size{8, 9, 7, 20, 33, 1, 2, 0, 1}, Size{8, 68, 68, 2, 120, 3, 2, 1, 1}}) {
        const ConvAttrs attrs{{z.stride, z.stride}, {z.padding, z.padding, z.padding, z.padding}, {z.dilation, z.dilation}};
        const int64_t reach = (z.kernel - 1) * z.dilation + 1;
        const int64_t p = (z.h + 2 * z.padding - reach) / z.stride + 1, q = (z.w + 2 * z.padding - reach) / z.stride + 1;
        const std::string text = fmt::format("{}x{}x{}x{} to {} kernel {} stride {} padding {} dilation {}", z.n, z.h, z.w, z.c, z.k, z.kernel, z.stride, z.padding, z.dilation);
        const Shape x_shape{z.n, z.h, z.w, z.c}, w_shape{z.kernel, z.kernel, z.c, z.k}, y_shape{z.n, p, q, z.k};
        s.add("convolution with bias and relu " + text, [=](Case &c) {
            NodeId x = c.in(x_shape), w = c.in(w_shape);
            c.result(c.relu(c.b.add(c.b.append(Op::conv2d, {x, w}, attrs), c.in({z.k}))));
        });
        s.add("input gradient with mask " + text, [=](Case &c) {
            NodeId dy = c.in(y_shape), w = c.in(w_shape), mask = c.in(x_shape);
            NodeId dx = c.b.append(Op::conv2d_input_gradient, {dy, w}, ConvGradAttrs{attrs.stride, attrs.padding, attrs.dilation, {z.h, z.w}});
            NodeId zero = c.b.constant(0, {c.type, x_shape});
            c.result(c.b.append(Op::select, {c.b.append(Op::less, {zero, mask}), dx, zero}));
        });
        s.add("weight gradient " + text, [=](Case &c) {
            NodeId x = c.in(x_shape), dy = c.in(y_shape);
            c.result(c.b.append(Op::conv2d_weight_gradient, {x, dy}, ConvGradAttrs{attrs.stride, attrs.padding, attrs.dilation, {z.kernel, z.kernel}}));
        });
        s.add("weight gradient of a computed gradient " + text, [=](Case &c) {
            NodeId x = c.in(x_shape), dy = c.in(y_shape), y = c.in(y_shape), scale = c.in({z.k}), zero = c.b.constant(0, {c.type, y_shape});
            NodeId gradient = c.b.append(Op::select, {c.b.append(Op::less_equal, {y, zero}), zero, c.b.add(c.b.multiply(dy, scale), c.b.multiply(y, scale))});
            c.result(c.b.append(Op::conv2d_weight_gradient, {x, gradient}, ConvGradAttrs{attrs.stride, attrs.padding, attrs.dilation, {z.kernel, z.kernel}}));
        });
        if (z.k % 16 == 0)
            s.add("convolution and sums over its rows " + text, [=](Case &c) {
                NodeId x = c.in(x_shape), w = c.in(w_shape);
                add_row_sums(c, c.relu(c.b.add(c.b.append(Op::conv2d, {x, w}, attrs), c.in({z.k}))));
            });
    }
    // Tasks of a few rows, of which the last has fewer; and of several samples.
    for (Size z : {Size{2, 39, 66, 3, 48, 3, 1, 0, 1}, Size{1, 74, 8, 16, 16, 3, 1, 1, 1}, Size{8, 16, 16, 16, 32, 1, 1, 0, 1}, Size{64, 8, 8, 16, 16, 3, 1, 1, 1}})
        for (bool has_relu : {false, true})
            s.add(fmt::format("convolution of {} samples of {} rows, relu {}, and sums over them", z.n, z.h, has_relu), [=](Case &c) {
                NodeId x = c.in({z.n, z.h, z.w, z.c}), w = c.in({z.kernel, z.kernel, z.c, z.k});
                NodeId y = c.b.append(Op::conv2d, {x, w}, ConvAttrs{{1, 1}, {z.padding, z.padding, z.padding, z.padding}, {1, 1}});
                add_row_sums(c, has_relu ? c.relu(y) : y);
            });
    // Gradients too large for the second cache, with and without a rest of outputs.
    for (Size z : {Size{1, 48, 48, 20, 64, 1, 1, 0, 1}, Size{1, 48, 48, 20, 72, 1, 1, 0, 1}, Size{1, 96, 96, 5, 64, 3, 2, 1, 1}})
        s.add(fmt::format("weight gradient of a large picture, {} to {} channels", z.c, z.k), [=](Case &c) {
            NodeId x = c.in({z.n, z.h, z.w, z.c}), dy = c.in({z.n, 48, 48, z.k});
            c.result(c.b.append(Op::conv2d_weight_gradient, {x, dy}, ConvGradAttrs{{z.stride, z.stride}, {z.padding, z.padding, z.padding, z.padding}, {1, 1}, {z.kernel, z.kernel}}));
        });
    s.add("weight gradient of a pooling's gradient", [](Case &c) {
        NodeId x = c.in({4, 20, 23, 3}), dy = c.in({4, 6, 7, 32}), index = c.in(DType::i32, {4, 6, 7, 32}), y = c.in({4, 18, 21, 32});
        NodeId gradient = c.b.append(Op::max_pool2d_gradient, {dy, index}, WindowGradAttrs{{3, 3}, {3, 3}, {0, 0, 0, 0}, {18, 21}});
        c.result(c.b.append(Op::conv2d_weight_gradient, {x, c.b.add(gradient, c.b.multiply(y, y))}, ConvGradAttrs{{1, 1}, {0, 0, 0, 0}, {1, 1}, {3, 3}}));
    });
    s.add("normalization before a padded convolution", [](Case &c) {
        NodeId x = c.in({2, 9, 9, 6}), scale = c.in({6}), w = c.in({3, 3, 6, 20});
        c.result(c.b.append(Op::conv2d, {c.relu(c.b.add(c.b.multiply(x, scale), scale)), w}, ConvAttrs{{1, 1}, {1, 1, 1, 1}, {1, 1}}));
    });
}

void add_pooling(Suite &s) {
    for (int64_t channels : {1, 20, 32}) {
        const WindowAttrs window{{2, 2}, {2, 2}, {0, 0, 0, 0}}, large{{5, 5}, {3, 3}, {1, 1, 2, 2}};
        for (const WindowAttrs &a : {window, large})
            s.add(fmt::format("maximum and its index, {} channels, window {}", channels, a.window[0]), [=](Case &c) {
                NodeId x = c.in({4, 24, 24, channels});
                c.result(c.b.append(Op::max_pool2d, {x}, a)), c.result(c.b.append(Op::max_pool2d_index, {x}, a));
            });
    }
    s.add("rows of a table, added back", [](Case &c) {
        NodeId table = c.in({8, 50}), index = c.in(DType::i32, {30});
        NodeId rows = c.b.append(Op::gather_rows, {table, index}, GatherAttrs{});
        c.result(rows), c.result(c.b.append(Op::scatter_add_rows, {c.b.multiply(rows, rows), index}, RowsAttrs{8}));
    });
}

/// Tables whose rows are set where they lie: repeated indices, tables of one thread and of several, with and without work on other rows.
void add_row_updates(Suite &s) {
    struct Rows {
        Shape table, index;
    };
    for (const Rows &each : {Rows{{9, 5}, {6}}, {{8}, {5}}, {{11, 3, 7}, {2, 3}}, {{10, 40}, {}}, {{1700, 50}, {64}}, {{9000, 17}, {300}}, {{40000}, {90}}, {{5000, 64}, {1200}}}) {
        Shape rows = each.index;
        rows.insert(rows.end(), each.table.begin() + 1, each.table.end());
        /// Indices all over the table, a third of them the same.
        auto index_of = [=](Case &c) {
            auto number = [&](double value) { return c.b.constant(value, {DType::i32, each.index}); };
            const NodeId drawn = c.in(DType::i32, each.index), stride = number(double(each.table[0] / 8));
            return c.b.append(Op::select, {c.b.append(Op::less, {drawn, number(3)}), number(double(each.table[0] - 1)), c.b.multiply(drawn, stride)});
        };
        s.add("rows of " + to_string(each.table) + " looked up by parts", [=](Case &c) {
            c.result(c.b.append(Op::gather_rows, {c.in(each.table), index_of(c)}, GatherAttrs{true}));
        });
        auto decayed = [=](Case &c, NodeId x, double by) { return c.b.multiply(x, c.b.constant(by, c.b.type(x))); };
        s.add("rows of " + to_string(each.table) + " set, the rest stays", {1, 2}, [=](Case &c) {
            const NodeId index = index_of(c), m = c.in(each.table), w = c.in(each.table), g = c.in(rows);
            const NodeId m1 = c.b.add(decayed(c, c.b.append(Op::gather_rows, {m, index}, GatherAttrs{}), 0.5), g);
            c.result(c.b.append(Op::set_rows, {m, m1, index}));
            c.result(c.b.append(Op::set_rows, {w, c.b.subtract(c.b.append(Op::gather_rows, {w, index}, GatherAttrs{}), m1), index}));
        });
        s.add("rows of " + to_string(each.table) + " set, the rest decays", {1, 2}, [=](Case &c) {
            const NodeId index = index_of(c), m = c.in(each.table), w = c.in(each.table), g = c.in(rows);
            auto updated = [&](NodeId mean, NodeId weight) { return c.b.subtract(weight, c.b.append(Op::sqrt, {c.b.append(Op::absolute, {mean})})); };
            const NodeId others = decayed(c, m, 0.5), m1 = c.b.add(decayed(c, c.b.append(Op::gather_rows, {m, index}, GatherAttrs{}), 0.5), g);
            c.result(c.b.append(Op::set_rows, {others, m1, index}));
            c.result(c.b.append(Op::set_rows, {updated(others, w), updated(m1, c.b.append(Op::gather_rows, {w, index}, GatherAttrs{})), index}));
        });
        s.add("rows of " + to_string(each.table) + " set in tables that change places", {2, 1}, [=](Case &c) {
            const NodeId index = index_of(c), x = c.in(each.table), y = c.in(each.table), g = c.in(rows);
            c.result(c.b.append(Op::set_rows, {x, g, index})), c.result(c.b.append(Op::set_rows, {y, decayed(c, g, 2), index}));
        });
        s.add("rows of " + to_string(each.table) + " set in a copy", [=](Case &c) {
            const NodeId index = index_of(c), x = c.in(each.table);
            c.result(c.b.append(Op::set_rows, {decayed(c, x, 2), c.b.append(Op::gather_rows, {x, index}, GatherAttrs{}), index}));
        });
    }
}

/// Numbers of rows and columns that leave a rest of vectors, behind one full vector and several.
void add_rests(Suite &s, const std::vector<int64_t> &extents) {
    for (int64_t n : extents) {
        const auto name = [n](const char *what) { return fmt::format("{}, {}", what, n); };
        s.add(name("rows less their mean, over the root of their variance"), [=](Case &c) {
            NodeId x = c.in({n, 5}), mean = c.b.multiply(c.b.reduce(Op::reduce_sum, x, {1}, true), c.b.constant(0.2, {c.type, {n, 1}}));
            NodeId d = c.b.subtract(x, mean), variance = c.b.reduce(Op::reduce_sum, c.b.multiply(d, d), {1}, true);
            c.result(c.b.divide(d, c.b.append(Op::sqrt, {c.b.add(variance, c.b.constant(0.1, {c.type, {n, 1}}))})));
        });
        s.add(name("cross-entropy of rows"), [=](Case &c) {
            NodeId x = c.in({n, 3}), label = c.in(DType::i32, {n});
            NodeId z = c.b.subtract(x, c.b.reduce(Op::reduce_max, x, {1}, true)), e = c.b.append(Op::exp, {z});
            NodeId log = c.b.subtract(z, c.b.append(Op::log, {c.b.reduce(Op::reduce_sum, e, {1}, true)}));
            NodeId hit = c.b.append(Op::equal, {c.b.iota(1, {DType::i32, {n, 3}}), c.b.append(Op::broadcast, {label}, BroadcastAttrs{{n, 3}, {0}})});
            NodeId one = c.b.cast(hit, c.type);
            c.result(c.b.append(Op::negate, {c.b.reduce(Op::reduce_sum, c.b.multiply(one, log), {1})}));
            c.result(c.b.subtract(c.b.divide(e, c.b.reduce(Op::reduce_sum, e, {1}, true)), one));
        });
        s.add(name("mean and variance of columns"), [=](Case &c) {
            NodeId x = c.in({7, n}), mean = c.b.multiply(c.b.reduce(Op::reduce_sum, x, {0}), c.b.constant(1.0 / 7, {c.type, {n}}));
            NodeId d = c.b.subtract(x, mean);
            c.result(mean);
            c.result(c.b.reduce(Op::reduce_sum, c.b.multiply(d, d), {0}));
        });
        s.add(name("sums of squares of columns of many rows"), [=](Case &c) {
            NodeId x = c.in({4001, n}), y = c.in({n});
            NodeId d = c.b.subtract(x, y);
            c.result(c.b.reduce(Op::reduce_sum, c.b.multiply(d, d), {0}));
            c.result(c.b.reduce(Op::reduce_max, c.b.multiply(d, d), {0}));
        });
        s.add(name("places of the greatest of rows"), [=](Case &c) {
            NodeId x = c.in({n, 6}), d = c.b.subtract(x, c.b.reduce(Op::reduce_max, x, {1}, true));
            c.result(c.b.append(Op::argmax, {c.b.multiply(d, d)}, AxisAttrs{1}));
        });
        s.add(name("rows added up where an index says"), [=](Case &c) {
            NodeId x = c.in({9, n}), d = c.b.subtract(x, c.in({n}));
            c.result(c.b.append(Op::scatter_add_rows, {c.b.multiply(d, d), c.in(DType::i32, {9})}, RowsAttrs{8}));
        });
        s.add(name("rows set in place"), {0, 1}, [=](Case &c) {
            NodeId p = c.in({20, n}), v = c.in({20, n}), g = c.in({6, n}), index = c.in(DType::i32, {6});
            NodeId rows = c.b.append(Op::gather_rows, {v, index}, GatherAttrs{}), moved = c.b.add(c.b.multiply(rows, c.b.constant(0.9, {c.type, {6, n}})), c.b.multiply(g, g));
            NodeId step = c.b.divide(g, c.b.add(c.b.append(Op::sqrt, {c.b.append(Op::absolute, {moved})}), c.b.constant(1, {c.type, {6, n}})));
            c.result(c.b.append(Op::set_rows, {p, c.b.subtract(c.b.append(Op::gather_rows, {p, index}, GatherAttrs{}), step), index}));
            c.result(c.b.append(Op::set_rows, {c.b.multiply(v, c.b.constant(0.9, {c.type, {20, n}})), moved, index}));
        });
        s.add(name("an update in place"), {0, 1}, [=](Case &c) {
            NodeId p = c.in({3, n}), m = c.in({3, n}), g = c.in({3, n}), d = c.b.subtract(g, m);
            NodeId moved = c.b.add(c.b.multiply(d, d), m);
            c.result(c.b.subtract(p, c.b.multiply(moved, moved)));
            c.result(moved);
        });
        s.add(name("a product with what follows it"), [=](Case &c) {
            NodeId y = c.b.add(c.b.matmul(c.in({21, 8}), c.in({8, n})), c.in({n}));
            NodeId d = c.b.subtract(y, c.in({21, n}));
            c.result(c.b.multiply(c.relu(d), d));
        });
        s.add(name("a convolution with what follows it"), [=](Case &c) {
            NodeId y = c.b.append(Op::conv2d, {c.in({2, 6, 6, 4}), c.in({2, 2, 4, n})}, ConvAttrs{});
            NodeId d = c.b.subtract(y, c.in({n}));
            c.result(c.b.multiply(c.relu(d), d));
        });
        s.add(name("the largest of windows, less a mean"), [=](Case &c) {
            NodeId x = c.in({2, 6, 6, n}), d = c.b.subtract(x, c.in({n}));
            c.result(c.b.append(Op::max_pool2d, {c.b.multiply(d, d)}, WindowAttrs{{2, 2}, {2, 2}, {0, 0, 0, 0}}));
        });
    }
}

void check_all(DType type, const std::string &target) {
    Suite s(type);
    add_elementwise(s);
    add_reductions(s);
    add_matmuls(s);
    add_convolutions(s);
    add_pooling(s);
    add_row_updates(s);
    // One more than a vector, and than two, of any element type and target; and other rests.
    add_rests(s, {3, 5, 9, 17, 33, 23});
    s.check(target);
}

TEST(FusedKernels, f32) { check_all(DType::f32, "native"); }
TEST(FusedKernels, f64) { check_all(DType::f64, "native"); }
TEST(FusedKernels, OlderProcessors) {
    for (const char *target : {"x86-64-v2", "x86-64-v3"}) {
        Suite s(DType::f32);
        add_elementwise(s);
        add_matmuls(s);
        add_rests(s, {5, 9, 17});
        s.check(target);
    }
}

}  // namespace
}  // namespace kiln
