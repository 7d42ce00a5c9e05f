#include "test/property/example_list.h"

namespace kiln {

void add_elementwise_examples(ExampleList &list) {
    const Type i32_row{DType::i32, {13}}, i64_row{DType::i64, {13}}, u8_row{DType::u8, {13}}, flags{DType::boolean, {13}};
    // A scalar, one element, a size that is no multiple of a vector, a longer one, and several dimensions.
    const std::vector<Shape> shapes{{}, {1}, {17}, {3, 1, 70}};

    for (const Shape &shape : shapes) {
        const std::string at = to_string(shape);
        for (Op op : {Op::negate, Op::exp, Op::sin, Op::cos, Op::tanh, Op::erf, Op::stop_gradient}) list.add(op, at, {list.uniform(shape)});
        for (Op op : {Op::absolute, Op::sign}) list.add(op, at, {list.uniform(shape, -2, 2, 0.1)});
        for (Op op : {Op::log, Op::sqrt}) list.add(op, at, {list.uniform(shape, 0.2, 4)});
        list.add(Op::log1p, at, {list.uniform(shape, -0.5, 2)});
        for (Op op : {Op::floor, Op::ceil, Op::round}) list.add(op, at, {list.whole(shape, -3, 3, 0.25)});
        list.add(Op::is_finite, at, {list.uniform(shape)});
        for (Op op : {Op::add, Op::subtract, Op::multiply}) list.add(op, at, {list.uniform(shape), list.uniform(shape)});
        list.add(Op::divide, at, {list.uniform(shape), list.uniform(shape, -2, 2, 0.3)});
        list.add(Op::modulo, at, {list.whole(shape, -8, 8, 0.5), list.whole(shape, 2, 4)});
        list.add(Op::power, at, {list.uniform(shape, 0.3, 2), list.uniform(shape)});
        for (Op op : {Op::minimum, Op::maximum}) list.add(op, at, {list.whole(shape, -3, 3), list.whole(shape, -3, 3, 0.5)});
        for (Op op : {Op::equal, Op::not_equal, Op::less, Op::less_equal}) list.add(op, at, {list.whole(shape, -2, 2), list.whole(shape, -2, 2)});
        for (Op op : {Op::logical_and, Op::logical_or})
            list.add(op, at, {list.whole({DType::boolean, shape}, 0, 1), list.whole({DType::boolean, shape}, 0, 1)});
        list.add(Op::logical_not, at, {list.whole({DType::boolean, shape}, 0, 1)});
        list.add(Op::select, at, {list.whole({DType::boolean, shape}, 0, 1), list.uniform(shape), list.uniform(shape)});
    }
    list.add(Op::round, "ties to even", {list.whole({13}, -4, 4, 0.5)});
    list.add(Op::floor, "whole numbers", {list.whole({13}, -4, 4)});
    list.add(Op::erf, "tails", {list.uniform({31}, -6, 6)});
    list.add(Op::tanh, "tails", {list.uniform({31}, -12, 12)});
    list.add(Op::exp, "small and large", {list.uniform({31}, -8, 8)});
    list.add(Op::log, "small and large", {list.uniform({31}, 0.001, 1000)});
    list.add(Op::log1p, "near zero", {list.uniform({31}, -0.001, 0.001)});
    list.add(Op::modulo, "negative divisor", {list.whole({13}, -8, 8, 0.5), list.whole({13}, -4, -2)});
    list.add(Op::power, "negative base, whole exponent", {list.uniform({13}, -2, -0.5)}, [](Builder &b, const std::vector<NodeId> &x) {
        return b.append(Op::power, {x[0], b.constant(3, b.type(x[0]))});
    });
    list.add(Op::maximum, "one operand twice", {list.uniform({13})},
             [](Builder &b, const std::vector<NodeId> &x) { return b.append(Op::maximum, {x[0], x[0]}); });
    list.add(Op::multiply, "one operand twice", {list.uniform({13})},
             [](Builder &b, const std::vector<NodeId> &x) { return b.append(Op::multiply, {x[0], x[0]}); });
    list.add(Op::is_finite, "infinities", {list.uniform({13}, 0.5, 2)}, [](Builder &b, const std::vector<NodeId> &x) {
        // Elements below 1 lead to a division by zero.
        const NodeId whole = b.append(Op::floor, {x[0]});
        return b.append(Op::is_finite, {b.divide(x[0], whole)});
    });

    // Integers: the domain of the arithmetic ops is wider than floating point.
    for (const Type &type : {i32_row, i64_row}) {
        for (Op op : {Op::negate, Op::absolute, Op::sign}) list.add(op, to_string(type), {list.whole(type, -9, 9)});
        for (Op op : {Op::add, Op::subtract, Op::multiply, Op::minimum, Op::maximum, Op::equal, Op::not_equal, Op::less, Op::less_equal})
            list.add(op, to_string(type), {list.whole(type, -9, 9), list.whole(type, -9, 9)});
        for (Op op : {Op::divide, Op::modulo}) {
            list.add(op, to_string(type), {list.whole(type, -9, 9), list.whole(type, 1, 4)});
            list.add(op, to_string(type) + " negative divisor", {list.whole(type, -9, 9), list.whole(type, -4, -1)});
            list.add(op, to_string(type) + " zero divisor", {list.whole(type, -9, 9), list.whole(type, 0, 1)});
        }
    }
    for (Op op : {Op::add, Op::minimum, Op::maximum, Op::equal, Op::less, Op::divide, Op::modulo})
        list.add(op, to_string(u8_row), {list.whole(u8_row, 0, 99), list.whole(u8_row, 1, 99)});
    for (Op op : {Op::equal, Op::not_equal}) list.add(op, to_string(flags), {list.whole(flags, 0, 1), list.whole(flags, 0, 1)});
    list.add(Op::select, to_string(i32_row), {list.whole(flags, 0, 1), list.whole(i32_row, -9, 9), list.whole(i32_row, -9, 9)});
    list.add(Op::stop_gradient, to_string(i32_row), {list.whole(i32_row, -9, 9)});

    // Every pair of element types.
    const std::vector<DType> types{DType::f32, DType::f64, DType::i32, DType::i64, DType::u8, DType::boolean};
    for (DType from : types)
        for (DType to : types) {
            const std::string label = std::string(name_of(from)) + " to " + name_of(to);
            const bool small = from == DType::boolean, positive = from == DType::u8 || to == DType::u8;
            if (is_float(from)) list.add(Op::cast, label, {{{from, {13}}, ExampleInput::Draw::whole, positive ? 0.0 : -9.0, 9, 0, 0.75}}, CastAttrs{to});
            else list.add(Op::cast, label, {list.whole(Type{from, {13}}, small || positive ? 0 : -9, small ? 1 : 9)}, CastAttrs{to});
        }
}

}  // namespace kiln
