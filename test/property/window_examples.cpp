#include "test/property/example_list.h"

namespace kiln {

void add_window_and_row_examples(ExampleList &list) {
    struct Window { const char *label; Shape image; WindowAttrs attrs; };
    const std::vector<Window> windows{
        {"one pixel", {1, 1, 1, 1}, {}},
        {"2x2, stride 2", {2, 6, 4, 3}, {{2, 2}, {2, 2}, {0, 0, 0, 0}}},
        {"2x2, stride 2, odd size", {1, 7, 5, 17}, {{2, 2}, {2, 2}, {0, 0, 0, 0}}},
        {"3x3, stride 2, padding", {1, 7, 6, 2}, {{3, 3}, {2, 2}, {1, 1, 1, 1}}},
        {"3x3, stride 1, same padding", {2, 4, 5, 1}, {{3, 3}, {1, 1}, {1, 1, 1, 1}}},
        {"stride 3, window 2", {1, 9, 10, 2}, {{2, 2}, {3, 3}, {0, 0, 0, 0}}},
        {"stride 4, window 1", {1, 6, 9, 2}, {{1, 1}, {4, 4}, {0, 0, 0, 0}}},
        {"uneven", {2, 5, 8, 3}, {{2, 4}, {1, 3}, {1, 0, 2, 3}}},
        {"whole image", {3, 4, 5, 2}, {{4, 5}, {1, 1}, {0, 0, 0, 0}}},
        {"a row", {1, 1, 9, 2}, {{1, 3}, {1, 2}, {0, 0, 1, 1}}},
    };
    for (const Window &each : windows) {
        const WindowAttrs &a = each.attrs;
        Shape output = each.image;
        for (size_t i = 0; i < 2; ++i)
            output[i + 1] = (each.image[i + 1] + a.padding[2 * i] + a.padding[2 * i + 1] - a.window[i]) / a.stride[i] + 1;
        list.add(Op::max_pool2d, each.label, {list.distinct(each.image)}, a);
        // All below zero: a padding that counted as zero would win.
        list.add(Op::max_pool2d, std::string(each.label) + ", negative", {list.distinct(each.image, -3, -1)}, a);
        list.add(Op::max_pool2d_index, each.label, {list.distinct(each.image)}, a);
        list.add(Op::max_pool2d_index, std::string(each.label) + ", negative with ties", {list.whole(each.image, -2, -1)}, a);
        list.add(Op::max_pool2d_gradient, each.label, {list.uniform(output), list.distinct(each.image)}, [&](Builder &b, const std::vector<NodeId> &x) {
            const NodeId index = b.append(Op::max_pool2d_index, {x[1]}, a);
            return b.append(Op::max_pool2d_gradient, {x[0], index}, WindowGradAttrs{a.window, a.stride, a.padding, {each.image[1], each.image[2]}});
        });
        list.add(Op::window_pick2d, each.label, {list.uniform(each.image), list.distinct(each.image)}, [&](Builder &b, const std::vector<NodeId> &x) {
            return b.append(Op::window_pick2d, {x[0], b.append(Op::max_pool2d_index, {x[1]}, a)}, a);
        });
        list.add(Op::window_pick2d, std::string(each.label) + ", any index", {list.uniform(each.image), list.whole({DType::i32, output}, -1, double(a.window[0] * a.window[1]))}, a);
        list.add(Op::window_sum2d, each.label, {list.uniform(each.image)}, a);
    }

    struct Image { const char *label; Shape shape; double turn, offset; };
    const std::vector<Image> images{{"a little", {2, 5, 6, 3}, 0.2, 0.8}, {"far outside", {2, 4, 3, 2}, 1.5, 9}, {"one pixel", {1, 1, 1, 1}, 2, 3},
                                    {"a row", {1, 1, 9, 1}, 1, 4}, {"many channels", {1, 3, 4, 17}, 1, 2}, {"wide", {1, 4, 35, 3}, 0.5, 5}};
    for (const Image &each : images)
        for (Fill fill : {Fill::nearest, Fill::constant, Fill::reflect}) {
            const Shape samples{each.shape[0]};
            const ExampleInput straight = list.uniform(samples, 1 - each.turn, 1 + each.turn), across = list.uniform(samples, -each.turn, each.turn);
            const ExampleInput offset = list.uniform(samples, -each.offset, each.offset);
            list.add(Op::warp, std::string(each.label) + (fill == Fill::nearest ? ", nearest" : fill == Fill::constant ? ", constant" : ", reflect"),
                     {list.uniform(each.shape, 1, 3), straight, across, offset, across, straight, offset}, WarpAttrs{fill, fill == Fill::constant ? 0.75 : 0});
        }

    struct Rows { const char *label; Shape table, index; };
    const std::vector<Rows> rows{{"one row", {1, 1}, {1}}, {"vectors", {5, 3}, {7}}, {"wide", {6, 33}, {4}}, {"scalars", {9}, {2, 3}},
                                 {"one index", {5, 3}, {}}, {"a matrix of indices", {4, 5}, {3, 2}}, {"rows of matrices", {3, 2, 5}, {4}}};
    for (const Rows &each : rows) {
        const int64_t count = each.table[0];
        Shape updates = each.index;
        updates.insert(updates.end(), each.table.begin() + 1, each.table.end());
        const ExampleInput index = list.whole({DType::i32, each.index}, 0, double(count - 1));
        const ExampleInput outside = list.whole({DType::i32, each.index}, -3, double(count + 2));
        const std::string clamped = std::string(each.label) + ", clamped";
        list.add(Op::gather_rows, each.label, {list.uniform(each.table), index}, GatherAttrs{});
        list.add(Op::gather_rows, std::string(each.label) + ", by parts", {list.uniform(each.table), index}, GatherAttrs{true});
        list.add(Op::gather_rows, clamped, {list.uniform(each.table), outside}, GatherAttrs{});
        list.add(Op::gather_rows, clamped + ", by parts", {list.uniform(each.table), outside}, GatherAttrs{true});
        list.add(Op::scatter_add_rows, each.label, {list.uniform(updates), index}, RowsAttrs{count});
        list.add(Op::scatter_add_rows, clamped, {list.uniform(updates), outside}, RowsAttrs{count});
        list.add(Op::set_rows, each.label, {list.uniform(each.table), list.uniform(updates), index});
        list.add(Op::set_rows, clamped, {list.uniform(each.table), list.uniform(updates), outside});
        if (each.index.size() != 1) continue;
        list.add(Op::first_occurrence, each.label, {index}, RowsAttrs{count});
        list.add(Op::first_occurrence, clamped, {outside}, RowsAttrs{count});
    }
    for (DType dtype : {DType::i32, DType::u8}) {
        list.add(Op::gather_rows, name_of(dtype), {list.whole({dtype, {5, 3}}, 0, 9), list.whole({DType::i32, {4}}, 0, 4)}, GatherAttrs{});
        list.add(Op::scatter_add_rows, name_of(dtype), {list.whole({dtype, {4, 3}}, 0, 9), list.whole({DType::i32, {4}}, 0, 4)}, RowsAttrs{5});
        list.add(Op::set_rows, name_of(dtype), {list.whole({dtype, {5, 3}}, 0, 9), list.whole({dtype, {4, 3}}, 0, 9), list.whole({DType::i32, {4}}, 0, 4)});
    }
}

}  // namespace kiln
