#include "test/property/example_list.h"

#include "compiler/ir/text.h"
#include "compiler/support/check.h"

#include <fmt/format.h>

namespace kiln {

namespace {

/// The attributes written between the braces of the text form.
ComprehensionAttrs parse(const std::string &attributes, const std::string &float_name) {
    std::string text = attributes;
    for (size_t at; (at = text.find("float")) != std::string::npos;) text.replace(at, 5, float_name);
    SourceMap sources;
    Diagnostics diagnostics;
    const SourceFile &file = sources.add("example", "graph g { %0 = comprehension {" + text + "} : f32[1]\n}");
    Module module = parse_module(file, diagnostics);
    KILN_CHECK(!diagnostics.has_errors(), "{}", render(diagnostics, false));
    return attrs<ComprehensionAttrs>(module.graphs.at("g").nodes[0]);
}

}  // namespace

void add_comprehension_examples(ExampleList &list) {
    auto add = [&](const char *label, std::vector<ExampleInput> inputs, const std::string &attributes) {
        list.add(Op::comprehension, label, std::move(inputs), parse(attributes, name_of(list.float_type)));
    };
    const ExampleInput rows = list.uniform({3, 20});
    add("correlate", {rows, list.uniform({4})},
        "space = [3, 17, 4], kept = 2, body = [float read 0[i0, i1 + i2], float read 1[i2], float multiply 0 1]");
    add("correlate backwards", {rows, list.uniform({4})},
        "space = [3, 17, 4], kept = 2, body = [float read 0[i0, 3 + i1 - i2], float read 1[i2], float multiply 0 1]");
    add("all one", {list.uniform({1, 1}), list.uniform({1})},
        "space = [1, 1, 1], kept = 2, body = [float read 0[i0, i1 + i2], float read 1[i2], float multiply 0 1]");
    add("a number", {list.uniform({7})}, "space = [7], kept = 0, body = [float read 0[i0], float multiply 0 0]");
    add("guarded terms", {rows, list.uniform({5})},
        "space = [3, 20, 5], kept = 2, guards = [i1 + i2 - 2, 21 - i1 - i2], body = [float read 0[i0, i1 + i2 - 2], float read 1[i2], float multiply 0 1]");
    add("guarded elements", {rows}, "space = [3, 24], kept = 2, guards = [i1 - 2, 21 - i1], body = [float read 0[i0, i1 - 2]]");
    add("stride 2", {rows, list.uniform({3})},
        "space = [3, 9, 3], kept = 2, body = [float read 0[i0, 2 * i1 + i2], float read 1[i2], float multiply 0 1]");
    add("stride 3, padding, dilation 2", {rows, list.uniform({3})},
        "space = [3, 7, 3], kept = 2, guards = [3 * i1 + 2 * i2 - 2, 21 - 3 * i1 - 2 * i2], "
        "body = [float read 0[i0, 3 * i1 + 2 * i2 - 2], float read 1[i2], float multiply 0 1]");
    add("stride 2, no window", {rows}, "space = [3, 10], kept = 2, body = [float read 0[i0, 2 * i1 + 1]]");
    add("strided average", {rows}, "space = [3, 5, 4], kept = 2, body = [float read 0[i0, 4 * i1 + i2], float constant 0.25, float multiply 0 1]");
    add("overlapping windows", {rows}, "space = [3, 6, 5], kept = 2, body = [float read 0[i0, 3 * i1 + i2]]");
    add("diagonal", {list.uniform({6, 6})}, "space = [6], kept = 1, body = [float read 0[i0, i0]]");
    add("trace of blocks", {list.uniform({6, 8})}, "space = [3, 4], kept = 1, body = [float read 0[2 * i0, 2 * i1 + 1]]");
    add("turned and transposed", {list.uniform({6, 5})}, "space = [5, 6], kept = 2, body = [float read 0[5 - i1, i0]]");
    add("the same tensor twice", {list.uniform({9})}, "space = [8], kept = 1, body = [float read 0[i0 + 1], float read 0[i0], float subtract 0 1, float multiply 2 2]");
    add("convolution", {list.uniform({2, 6, 7, 3}), list.uniform({3, 3, 3, 17})},
        "space = [2, 4, 5, 17, 3, 3, 3], kept = 4, body = [float read 0[i0, i1 + i4, i2 + i5, i6], float read 1[i4, i5, i6, i3], float multiply 0 1]");
    add("padded convolution", {list.uniform({2, 5, 6, 4}), list.uniform({3, 3, 4, 5})},
        "space = [2, 5, 6, 5, 3, 3, 4], kept = 4, guards = [i1 + i4 - 1, 5 - i1 - i4, i2 + i5 - 1, 6 - i2 - i5], "
        "body = [float read 0[i0, i1 + i4 - 1, i2 + i5 - 1, i6], float read 1[i4, i5, i6, i3], float multiply 0 1]");
    add("strided convolution", {list.uniform({1, 9, 8, 2}), list.uniform({3, 2, 2, 3})},
        "space = [1, 4, 4, 3, 3, 2, 2], kept = 4, body = [float read 0[i0, 2 * i1 + i4, 2 * i2 + i5, i6], float read 1[i4, i5, i6, i3], float multiply 0 1]");
    add("depthwise convolution", {list.uniform({2, 6, 5, 20}), list.uniform({3, 2, 20})},
        "space = [2, 4, 4, 20, 3, 2], kept = 4, body = [float read 0[i0, i1 + i4, i2 + i5, i3], float read 1[i4, i5, i3], float multiply 0 1]");
    add("matrix product", {list.uniform({5, 7}), list.uniform({7, 33})},
        "space = [5, 33, 7], kept = 2, body = [float read 0[i0, i2], float read 1[i2, i1], float multiply 0 1]");
    add("matrix product, both transposed", {list.uniform({7, 5}), list.uniform({33, 7})},
        "space = [5, 33, 7], kept = 2, body = [float read 0[i2, i0], float read 1[i1, i2], float multiply 0 1]");
    add("three factors", {list.uniform({4, 5}), list.uniform({5, 6}), list.uniform({6, 4})},
        "space = [4, 5, 6], kept = 1, body = [float read 0[i0, i1], float read 1[i1, i2], float multiply 0 1, float read 2[i2, i0], float multiply 2 3]");
    add("a large sum", {list.uniform({64, 600})}, "space = [64, 600], kept = 0, body = [float read 0[i0, i1], float exp 0]");
    add("exp of differences", {list.uniform({3, 8}), list.uniform({3})},
        "space = [3, 8], kept = 1, body = [float read 0[i0, i1], float read 1[i0], float subtract 0 1, float exp 2]");
    add("weights of the position", {rows}, "space = [3, 20], kept = 1, body = [float read 0[i0, i1], i32 index[2 * i1 - 3], float cast 1, float multiply 0 2]");
    add("condition on values", {list.uniform({4, 9}, -2, 2, 0.01)},
        "space = [4, 9], kept = 1, condition = 2, body = [float read 0[i0, i1], float constant 0, bool less 1 0, float multiply 0 0]");
    add("max", {list.distinct({3, 20})}, "space = [3, 9, 3], kept = 2, reduce = max, body = [float read 0[i0, 2 * i1 + i2]]");
    add("min of products", {list.distinct({3, 20}), list.uniform({4}, 1, 2)},
        "space = [3, 17, 4], kept = 2, reduce = min, body = [float read 0[i0, i1 + i2], float read 1[i2], float multiply 0 1]");
    add("guarded max", {list.distinct({3, 20}, -3, -1)},
        "space = [3, 20, 3], kept = 2, reduce = max, guards = [i1 + i2 - 1, 20 - i1 - i2], body = [float read 0[i0, i1 + i2 - 1]]");
    add("pooling", {list.distinct({2, 7, 6, 5})}, "space = [2, 3, 3, 5, 2, 2], kept = 4, reduce = max, body = [float read 0[i0, 2 * i1 + i4, 2 * i2 + i5, i3]]");
    add("argmax", {list.distinct({3, 4, 5})}, "space = [3, 4, 5], kept = 1, reduce = argmax, body = [float read 0[i0, i1, i2]]");
    add("argmin with ties", {list.whole({3, 9}, -1, 1)}, "space = [3, 9], kept = 1, reduce = argmin, body = [float read 0[i0, i1]]");

    const ExampleInput index = list.whole({DType::i32, {7}}, 0, 8), outside = list.whole({DType::i32, {7}}, -2, 11);
    for (const ExampleInput &each : {index, outside}) {
        const std::string label = each.low < 0 ? "gather, clamped" : "gather";
        add(label.c_str(), {list.uniform({9, 5}), each}, "space = [7, 5], kept = 2, body = [i32 read 1[i0], float read 0[v0, i1]]");
        add((label + " with an offset").c_str(), {list.uniform({9}), each, list.uniform({7, 3})},
            "space = [7, 3], kept = 1, body = [i32 read 1[i0], float read 0[i1 + v0], float read 2[i0, i1], float multiply 1 2]");
    }
    add("scattered by data", {list.uniform({7, 5}), index}, "space = [7, 5], target = [v0, i1], shape = [9, 5], body = [i32 read 1[i0], float read 0[i0, i1]]");
    add("scattered by an index", {list.uniform({4, 3})}, "space = [4, 3], target = [2 * i0 + i1], shape = [10], body = [float read 0[i0, i1]]");
    add("interpolation", {list.uniform({2, 6, 3}), list.whole({DType::i32, {9}}, 0, 4), list.uniform({9}, 0, 1)},
        "space = [2, 9, 3], kept = 3, body = [i32 read 1[i1], float read 0[i0, v0, i2], float read 0[i0, v0 + 1, i2], float read 2[i1], float constant 1, "
        "float subtract 4 3, float multiply 1 5, float multiply 2 3, float add 6 7]");
    for (DType dtype : {DType::i32, DType::u8})
        list.add(Op::comprehension, name_of(dtype), {list.whole({dtype, {4, 6}}, 0, 9)},
                 parse(fmt::format("space = [4, 4, 3], kept = 2, body = [{} read 0[i0, i1 + i2]]", name_of(dtype)), ""));
    list.add(Op::comprehension, "bool", {list.whole({DType::boolean, {4, 6}}, 0, 1)}, parse("space = [6, 4], kept = 2, body = [bool read 0[i1, i0]]", ""));
}

}  // namespace kiln
