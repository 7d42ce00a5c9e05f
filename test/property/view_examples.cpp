#include "test/property/example_list.h"

namespace kiln {

void add_leaf_and_view_examples(ExampleList &list) {
    const DType real = list.float_type;
    const auto label = [](const Shape &from) { return to_string(from); };

    list.add(Op::input, "read and negated", {list.uniform({5})}, [](Builder &b, const std::vector<NodeId> &x) { return b.append(Op::negate, {x[0]}); });
    list.add(Op::constant, "scalar", {}, ConstantAttrs{{0.25}}, Type{real, {}});
    list.add(Op::constant, "splat", {}, ConstantAttrs{{0.1}}, Type{real, {3, 5}});
    list.add(Op::constant, "dense", {}, ConstantAttrs{{0.1, -2, 3, 1e-3, 5, 6}}, Type{real, {2, 3}});
    list.add(Op::constant, "integers", {}, ConstantAttrs{{7, -8}}, Type{DType::i32, {2}});
    list.add(Op::constant, "flags", {}, ConstantAttrs{{1, 0, 1}}, Type{DType::boolean, {3}});
    for (int64_t axis : {0, 1, 2}) list.add(Op::iota, "axis " + std::to_string(axis), {}, AxisAttrs{axis}, Type{real, {3, 1, 17}});
    for (DType dtype : {DType::i32, DType::i64, DType::u8}) list.add(Op::iota, name_of(dtype), {}, AxisAttrs{0}, Type{dtype, {11}});
    for (DType dtype : {DType::f32, DType::f64})
        for (const Shape &shape : {Shape{}, Shape{1}, Shape{19}, Shape{5, 13}})
            list.add(Op::random_uniform, to_string(Type{dtype, shape}), {list.whole({DType::i64, {}}, 0, 1e15), list.whole({DType::i64, {}}, 0, 1e12)},
                     RandomAttrs{4000000000, dtype, shape});

    const std::vector<std::pair<Shape, Shape>> reshapes{{{}, {1, 1}}, {{1}, {}}, {{2, 6}, {3, 4}}, {{2, 3, 5}, {30}}, {{7}, {7, 1}}};
    for (const auto &[from, to] : reshapes) list.add(Op::reshape, label(from) + " to " + label(to), {list.uniform(from)}, ShapeAttrs{to});

    struct Broadcast { Shape from; Shape to; Ints dims; };
    const std::vector<Broadcast> broadcasts{{{}, {}, {}}, {{}, {5}, {}}, {{5}, {3, 5}, {1}}, {{3}, {3, 5}, {0}}, {{1}, {9}, {0}}, {{1, 4}, {3, 4}, {0, 1}},
                                            {{3, 1}, {2, 3, 17}, {1, 2}}, {{2, 3}, {2, 4, 3}, {0, 2}}, {{1, 1}, {1, 6, 1, 2}, {0, 3}}, {{4, 5}, {4, 5}, {0, 1}}};
    for (const Broadcast &each : broadcasts)
        list.add(Op::broadcast, label(each.from) + " to " + label(each.to) + " at " + label(each.dims), {list.uniform(each.from)}, BroadcastAttrs{each.to, each.dims});

    const std::vector<std::pair<Shape, Ints>> transposes{{{}, {}}, {{5}, {0}}, {{3, 5}, {1, 0}}, {{17, 9}, {1, 0}}, {{2, 3, 4}, {0, 2, 1}},
                                                         {{2, 3, 4}, {2, 0, 1}}, {{1, 3, 1, 4}, {3, 2, 1, 0}}, {{2, 3, 4, 5}, {0, 3, 1, 2}}};
    for (const auto &[from, axes] : transposes) list.add(Op::transpose, label(from) + " by " + label(axes), {list.uniform(from)}, AxesAttrs{axes});

    struct Slice { Shape from; SliceAttrs attrs; };
    const std::vector<Slice> slices{{{7}, {{0}, {7}, {1}}}, {{7}, {{2}, {3}, {1}}}, {{7}, {{1}, {7}, {2}}}, {{8}, {{1}, {7}, {3}}}, {{7}, {{0}, {7}, {9}}},
                                    {{3, 8}, {{1, 0}, {3, 7}, {1, 3}}}, {{1, 5, 4}, {{0, 1, 3}, {1, 5, 4}, {1, 2, 1}}}};
    for (const Slice &each : slices)
        list.add(Op::slice, label(each.from) + " from " + label(each.attrs.begin) + " to " + label(each.attrs.end) + " by " + label(each.attrs.step),
                 {list.uniform(each.from)}, each.attrs);

    struct Pad { Shape from; PadAttrs attrs; };
    const std::vector<Pad> pads{{{4}, {{0}, {0}, {0}}}, {{4}, {{2}, {0}, {0}}}, {{4}, {{0}, {3}, {0}}}, {{4}, {{1}, {2}, {1}}}, {{1}, {{1}, {1}, {5}}},
                                {{3, 4}, {{0, 1}, {2, 0}, {2, 1}}}, {{1, 3, 2}, {{1, 0, 0}, {1, 2, 0}, {3, 0, 2}}}};
    for (const Pad &each : pads)
        list.add(Op::pad, label(each.from) + " low " + label(each.attrs.low) + " high " + label(each.attrs.high) + " interior " + label(each.attrs.interior),
                 {list.uniform(each.from)}, each.attrs);

    const std::vector<std::pair<Shape, Ints>> reverses{{{5}, {}}, {{5}, {0}}, {{1}, {0}}, {{3, 4}, {1}}, {{3, 4}, {0, 1}}, {{2, 3, 4}, {0, 2}}};
    for (const auto &[from, axes] : reverses) list.add(Op::reverse, label(from) + " along " + label(axes), {list.uniform(from)}, AxesAttrs{axes});

    list.add(Op::concat, "one part", {list.uniform({3, 2})}, AxisAttrs{1});
    list.add(Op::concat, "rows", {list.uniform({3, 2}), list.uniform({1, 2}), list.uniform({2, 2})}, AxisAttrs{0});
    list.add(Op::concat, "columns", {list.uniform({3, 2}), list.uniform({3, 7})}, AxisAttrs{1});
    list.add(Op::concat, "channels", {list.uniform({1, 3, 2, 1}), list.uniform({1, 3, 2, 16})}, AxisAttrs{3});
    list.add(Op::concat, "one operand twice", {list.uniform({3, 2})}, [](Builder &b, const std::vector<NodeId> &x) {
        return b.append(Op::concat, {x[0], x[0]}, AxisAttrs{0});
    });

    // Views move any element type.
    for (DType dtype : {DType::i32, DType::i64, DType::u8, DType::boolean}) {
        const auto input = [&](Shape shape) { return list.whole(Type{dtype, std::move(shape)}, 0, 1); };
        list.add(Op::reshape, name_of(dtype), {input({2, 6})}, ShapeAttrs{{4, 3}});
        list.add(Op::broadcast, name_of(dtype), {input({3})}, BroadcastAttrs{{3, 5}, {0}});
        list.add(Op::transpose, name_of(dtype), {input({3, 5})}, AxesAttrs{{1, 0}});
        list.add(Op::slice, name_of(dtype), {input({9})}, SliceAttrs{{1}, {8}, {2}});
        list.add(Op::pad, name_of(dtype), {input({4})}, PadAttrs{{1}, {2}, {1}});
        list.add(Op::reverse, name_of(dtype), {input({7})}, AxesAttrs{{0}});
        list.add(Op::concat, name_of(dtype), {input({2}), input({3})}, AxisAttrs{0});
    }
}

}  // namespace kiln
