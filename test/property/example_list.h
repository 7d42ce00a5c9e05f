// What the files of examples share: a list to append to, and short names for inputs.
#pragma once

#include "compiler/ops/builder.h"
#include "test/property/op_examples.h"

#include <functional>

namespace kiln {

class ExampleList {
public:
    explicit ExampleList(DType float_type) : float_type(float_type) {}

    /// An op applied to inputs.
    void add(Op op, const std::string &label, std::vector<ExampleInput> inputs, Attrs attrs = NoAttrs{}, std::optional<Type> declared = {});
    /// A graph of several ops, of which `op` is the one meant.
    void add(Op op, const std::string &label, std::vector<ExampleInput> inputs,
             const std::function<NodeId(Builder &, const std::vector<NodeId> &)> &build);

    ExampleInput uniform(Shape shape, double low = -2, double high = 2, double margin = 0) const;
    ExampleInput distinct(Shape shape, double low = -2, double high = 2) const;
    ExampleInput whole(Shape shape, double low, double high, double offset = 0) const;
    static ExampleInput whole(Type type, double low, double high) { return {std::move(type), ExampleInput::Draw::whole, low, high, 0, 0}; }

    const DType float_type;
    std::vector<OpExample> examples;
};

void add_elementwise_examples(ExampleList &list);
void add_leaf_and_view_examples(ExampleList &list);
void add_reduction_examples(ExampleList &list);
void add_contraction_examples(ExampleList &list);
void add_window_and_row_examples(ExampleList &list);
void add_comprehension_examples(ExampleList &list);

}  // namespace kiln
