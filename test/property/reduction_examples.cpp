#include "test/property/example_list.h"

namespace kiln {

void add_reduction_examples(ExampleList &list) {
    const std::vector<std::pair<Shape, Ints>> cases{{{1}, {0}}, {{17}, {0}}, {{130}, {0}}, {{3, 5}, {0}}, {{3, 5}, {1}}, {{3, 5}, {0, 1}}, {{4, 1}, {1}},
                                                    {{1, 6}, {0}}, {{2, 3, 4}, {1}}, {{2, 3, 4}, {0, 2}}, {{2, 3, 4}, {1, 2}}, {{2, 3, 2, 5}, {0, 1, 2}},
                                                    {{2, 3, 2, 5}, {1, 3}}, {{5, 33}, {1}}, {{33, 5}, {0}}, {{6, 9}, {0}}, {{6, 17}, {0}}, {{17, 6}, {1}}, {{9, 6}, {1}}};
    for (const auto &[shape, axes] : cases) {
        const std::string label = to_string(shape) + " over " + to_string(axes);
        list.add(Op::reduce_sum, label, {list.uniform(shape)}, AxesAttrs{axes});
        for (Op op : {Op::reduce_max, Op::reduce_min}) list.add(op, label, {list.distinct(shape)}, AxesAttrs{axes});
        // Near 1, so that the product of a hundred stays a number of ordinary size.
        list.add(Op::reduce_product, label, {list.uniform(shape, 0.7, 1.3)}, AxesAttrs{axes});
        list.add(Op::reduce_product, label + " with zeros", {list.whole(shape, -1, 2)}, AxesAttrs{axes});
        if (axes.size() == 1) {
            list.add(Op::argmax, label, {list.distinct(shape)}, AxisAttrs{axes[0]});
            list.add(Op::argmax, label + " with ties", {list.whole(shape, 0, 2)}, AxisAttrs{axes[0]});
        }
    }
    for (DType dtype : {DType::i32, DType::i64, DType::u8}) {
        const ExampleInput input = list.whole(Type{dtype, {3, 5}}, dtype == DType::u8 ? 0 : -2, 2);
        for (Op op : {Op::reduce_sum, Op::reduce_product, Op::reduce_max, Op::reduce_min}) list.add(op, name_of(dtype), {input}, AxesAttrs{{1}});
        list.add(Op::argmax, name_of(dtype), {input}, AxisAttrs{1});
    }
}

}  // namespace kiln
