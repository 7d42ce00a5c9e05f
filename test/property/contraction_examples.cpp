#include "test/property/example_list.h"

namespace kiln {

void add_contraction_examples(ExampleList &list) {
    // matmul: [B.., M, K, N] in every combination of transposes.
    struct Product { Ints batch; int64_t m, k, n; };
    const std::vector<Product> products{{{}, 1, 1, 1}, {{}, 3, 4, 5}, {{}, 1, 7, 10}, {{}, 9, 1, 3}, {{}, 6, 17, 1}, {{}, 33, 19, 37}, {{}, 16, 32, 64},
                                        {{1}, 3, 4, 5}, {{4}, 5, 3, 2}, {{2, 3}, 2, 5, 3}};
    for (const Product &each : products)
        for (bool transpose_a : {false, true})
            for (bool transpose_b : {false, true}) {
                Shape a = each.batch, b = each.batch;
                for (int64_t extent : transpose_a ? Ints{each.k, each.m} : Ints{each.m, each.k}) a.push_back(extent);
                for (int64_t extent : transpose_b ? Ints{each.n, each.k} : Ints{each.k, each.n}) b.push_back(extent);
                list.add(Op::matmul, to_string(a) + (transpose_a ? "^T x " : " x ") + to_string(b) + (transpose_b ? "^T" : ""), {list.uniform(a), list.uniform(b)},
                         MatmulAttrs{transpose_a, transpose_b});
            }
    list.add(Op::matmul, "a matrix with itself", {list.uniform({4, 6})},
             [](Builder &b, const std::vector<NodeId> &x) { return b.append(Op::matmul, {x[0], x[0]}, MatmulAttrs{false, true}); });

    // The convolution and its two gradients share their cases: image, kernel, attributes.
    struct Convolution { const char *label; Shape image, kernel; ConvAttrs attrs; };
    const std::vector<Convolution> convolutions{
        {"one pixel", {1, 1, 1, 1}, {1, 1, 1, 1}, {}},
        {"valid 3x3", {2, 6, 5, 3}, {3, 3, 3, 4}, {}},
        {"same 3x3", {1, 5, 7, 2}, {3, 3, 2, 5}, {{1, 1}, {1, 1, 1, 1}, {1, 1}}},
        {"same 3x3, one channel in", {2, 8, 8, 1}, {3, 3, 1, 16}, {{1, 1}, {1, 1, 1, 1}, {1, 1}}},
        {"same 3x3, many channels", {1, 7, 7, 16}, {3, 3, 16, 32}, {{1, 1}, {1, 1, 1, 1}, {1, 1}}},
        {"1x1", {2, 3, 4, 5}, {1, 1, 5, 6}, {}},
        {"1x1, stride 2", {1, 6, 5, 3}, {1, 1, 3, 2}, {{2, 2}, {0, 0, 0, 0}, {1, 1}}},
        {"stride 2, rows left over", {1, 8, 7, 2}, {3, 3, 2, 3}, {{2, 2}, {0, 0, 0, 0}, {1, 1}}},
        {"stride 2, same padding", {2, 6, 6, 2}, {3, 3, 2, 3}, {{2, 2}, {0, 1, 0, 1}, {1, 1}}},
        {"stride 3, kernel 2", {1, 9, 10, 2}, {2, 2, 2, 3}, {{3, 3}, {0, 0, 0, 0}, {1, 1}}},
        {"stride 3, kernel 1, padding", {1, 5, 4, 2}, {1, 1, 2, 3}, {{3, 3}, {2, 1, 1, 2}, {1, 1}}},
        {"dilation 2", {1, 7, 8, 2}, {3, 2, 2, 3}, {{1, 1}, {0, 0, 0, 0}, {2, 3}}},
        {"dilation 2, same padding, stride 2", {1, 7, 8, 2}, {3, 3, 2, 3}, {{2, 2}, {2, 2, 2, 2}, {2, 2}}},
        {"uneven padding, strides and kernel", {2, 4, 7, 1}, {2, 5, 1, 2}, {{1, 2}, {1, 0, 3, 2}, {1, 1}}},
        {"padding wider than the kernel", {1, 3, 3, 1}, {2, 2, 1, 2}, {{1, 1}, {3, 3, 3, 3}, {1, 1}}},
        {"kernel as large as the image", {3, 4, 5, 2}, {4, 5, 2, 3}, {}},
        // Numbers of channels around vectors: a rest of one, of a quarter, of a half, of more.
        {"33 to 33 channels", {2, 3, 4, 33}, {2, 2, 33, 33}, {{1, 1}, {1, 0, 0, 1}, {1, 1}}},
        {"20 to 24 channels", {1, 3, 5, 20}, {2, 3, 20, 24}, {}},
        {"28 to 41 channels", {1, 2, 3, 28}, {1, 2, 28, 41}, {}},
        {"72 to 60 channels", {1, 2, 3, 72}, {1, 1, 72, 60}, {}},
        {"9 to 100 channels", {2, 3, 2, 9}, {1, 2, 9, 100}, {{1, 1}, {0, 0, 1, 1}, {1, 1}}},
        {"a column", {1, 9, 1, 3}, {3, 1, 3, 2}, {{1, 1}, {1, 1, 0, 0}, {1, 1}}},
    };
    for (const Convolution &each : convolutions) {
        const ConvAttrs &a = each.attrs;
        const auto extent = [&](size_t i) {
            return (each.image[i + 1] + a.padding[2 * i] + a.padding[2 * i + 1] - a.dilation[i] * (each.kernel[i] - 1) - 1) / a.stride[i] + 1;
        };
        const Shape output{each.image[0], extent(0), extent(1), each.kernel[3]};
        list.add(Op::conv2d, each.label, {list.uniform(each.image), list.uniform(each.kernel)}, a);
        list.add(Op::conv2d_input_gradient, each.label, {list.uniform(output), list.uniform(each.kernel)},
                 ConvGradAttrs{a.stride, a.padding, a.dilation, {each.image[1], each.image[2]}});
        list.add(Op::conv2d_weight_gradient, each.label, {list.uniform(each.image), list.uniform(output)},
                 ConvGradAttrs{a.stride, a.padding, a.dilation, {each.kernel[0], each.kernel[1]}});
    }
}

}  // namespace kiln
