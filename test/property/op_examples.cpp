#include "test/property/op_examples.h"

#include "compiler/ops/philox.h"
#include "compiler/support/check.h"
#include "test/property/example_list.h"

#include <cmath>
#include <numeric>

namespace kiln {

void ExampleList::add(Op op, const std::string &label, std::vector<ExampleInput> inputs, Attrs attrs, std::optional<Type> declared) {
    add(op, label, std::move(inputs), [&](Builder &b, const std::vector<NodeId> &operands) { return b.append(op, operands, attrs, declared); });
}

void ExampleList::add(Op op, const std::string &label, std::vector<ExampleInput> inputs,
                      const std::function<NodeId(Builder &, const std::vector<NodeId> &)> &build) {
    OpExample example{std::string(info(op).name) + ": " + label, op, {}, std::move(inputs)};
    example.graph.name = info(op).name;
    Builder builder(example.graph);
    std::vector<NodeId> operands;
    for (size_t i = 0; i < example.inputs.size(); ++i)
        operands.push_back(builder.input(InputKind::argument, "x" + std::to_string(i), example.inputs[i].type));
    const NodeId result = build(builder, operands);
    example.graph.results.push_back({ResultKind::value, "", result});
    examples.push_back(std::move(example));
}

ExampleInput ExampleList::uniform(Shape shape, double low, double high, double margin) const {
    return {{float_type, std::move(shape)}, ExampleInput::Draw::uniform, low, high, margin, 0};
}
ExampleInput ExampleList::distinct(Shape shape, double low, double high) const {
    return {{float_type, std::move(shape)}, ExampleInput::Draw::distinct, low, high, 0, 0};
}
ExampleInput ExampleList::whole(Shape shape, double low, double high, double offset) const {
    return {{float_type, std::move(shape)}, ExampleInput::Draw::whole, low, high, 0, offset};
}

std::vector<OpExample> op_examples(DType float_type) {
    ExampleList list(float_type);
    add_leaf_and_view_examples(list);
    add_elementwise_examples(list);
    add_reduction_examples(list);
    add_contraction_examples(list);
    add_window_and_row_examples(list);
    add_comprehension_examples(list);
    return std::move(list.examples);
}

std::vector<Tensor> draw_inputs(const OpExample &example, uint64_t seed) {
    std::vector<Tensor> tensors;
    for (size_t position = 0; position < example.inputs.size(); ++position) {
        const ExampleInput &input = example.inputs[position];
        const size_t count = size_t(input.type.elements());
        const auto random = [&](size_t i) { return uniform_f64(seed, position, 0, uint32_t(i)); };
        Tensor tensor{input.type, std::vector<double>(count)};
        switch (input.draw) {
        case ExampleInput::Draw::uniform:
            KILN_CHECK(is_float(input.type.dtype), "{}", to_string(input.type));
            for (size_t i = 0; i < count; ++i) {
                double value = input.low + (input.high - input.low) * random(i);
                if (std::abs(value) < input.margin) value = value < 0 ? value - input.margin : value + input.margin;
                tensor.values[i] = value;
            }
            break;
        case ExampleInput::Draw::distinct: {
            KILN_CHECK(is_float(input.type.dtype), "{}", to_string(input.type));
            std::vector<size_t> order(count);
            std::iota(order.begin(), order.end(), size_t(0));
            for (size_t i = count; i-- > 1;) std::swap(order[i], order[size_t(random(i) * double(i + 1))]);
            for (size_t i = 0; i < count; ++i) tensor.values[i] = input.low + (input.high - input.low) * (double(order[i]) + 0.5) / double(count);
            break;
        }
        case ExampleInput::Draw::whole:
            for (size_t i = 0; i < count; ++i) tensor.values[i] = std::floor(input.low + (input.high - input.low + 1) * random(i)) + input.offset;
            break;
        }
        if (input.type.dtype == DType::f32)
            for (double &value : tensor.values) value = double(float(value));
        tensors.push_back(std::move(tensor));
    }
    return tensors;
}

}  // namespace kiln
