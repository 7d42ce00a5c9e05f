// Values without tensor operands: inputs, constants, iota, random numbers.
#include "compiler/kernels/schedule.h"
#include "compiler/support/check.h"

#include <cmath>

namespace kiln {

using namespace Halide;

Expr hidden(Expr constant) {
    const Halide::Type bits = UInt(constant.type().bits());
    const Expr zero = Internal::Call::make(Int(32), kHiddenZero, {}, Internal::Call::PureExtern);
    return reinterpret(constant.type(), reinterpret(bits, constant) | cast(bits, zero));
}

/// A literal of that type.
static Expr literal(DType dtype, double value) {
    switch (dtype) {
        case DType::f32: return std::isfinite(float(value)) ? Expr(float(value)) : hidden(Expr(float(value)));
        case DType::f64: return std::isfinite(value) ? Expr(value) : hidden(Expr(value));
        case DType::i32: return Expr(int32_t(value));
        case DType::i64: return Expr(int64_t(value));
        case DType::u8: return Expr(uint8_t(value));
        case DType::boolean: return value != 0 ? Internal::const_true() : Internal::const_false();
    }
    KILN_UNREACHABLE("element type {}", int(dtype));
}

Expr lower_input(Lowering &l, NodeId id, const Coordinates &) { KILN_UNREACHABLE("input {} is not an argument of the kernel", l.name(id)); }

Expr lower_constant(Lowering &l, NodeId id, const Coordinates &at) {
    const Node &node = l.node(id);
    const std::vector<double> &values = attrs<ConstantAttrs>(node).values;
    if (values.size() == 1) return literal(node.type.dtype, values[0]);
    // A dense literal is a table in the object.
    std::vector<int> extents;
    for (int64_t extent : reversed(node.type.shape)) extents.push_back(int(extent));
    Halide::Buffer<> table(storage_type(node.type.dtype), extents, l.name(id, "table"));
    auto fill = [&](auto *data) {
        for (size_t i = 0; i < values.size(); i++) data[i] = std::remove_pointer_t<decltype(data)>(values[i]);
    };
    switch (node.type.dtype) {
        case DType::f32: fill(static_cast<float *>(table.data())); break;
        case DType::f64: fill(static_cast<double *>(table.data())); break;
        case DType::i32: fill(static_cast<int32_t *>(table.data())); break;
        case DType::i64: fill(static_cast<int64_t *>(table.data())); break;
        case DType::u8:
        case DType::boolean: fill(static_cast<uint8_t *>(table.data())); break;
    }
    return from_storage(table(reversed(at)), node.type.dtype);
}

Expr lower_iota(Lowering &l, NodeId id, const Coordinates &at) {
    const Node &node = l.node(id);
    Expr i = at[size_t(attrs<AxisAttrs>(node).axis)];
    return node.type.dtype == DType::boolean ? i != 0 : cast(expression_type(node.type.dtype), i);
}

namespace {

/// Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC 2011) of a counter and a key.
/// The words are kept in 64 bits with anything above the lower 32: a vector instruction multiplies just these, and nothing is ever
/// narrowed and widened between the rounds.
std::vector<Expr> philox(std::array<Expr, 4> counter, Expr key0, Expr key1) {
    auto constant = [](uint32_t value) { return Internal::make_const(UInt(64), int64_t(value)); };
    auto product = [&](Expr word, uint32_t factor) { return (word & constant(0xffffffff)) * constant(factor); };
    for (Expr &word : counter) word = cast<uint64_t>(word);
    for (int round = 0; round < 10; round++) {
        Expr product0 = product(counter[0], 0xD2511F53), product1 = product(counter[2], 0xCD9E8D57);
        counter = {(product1 >> 32) ^ counter[1] ^ cast<uint64_t>(key0), product1, (product0 >> 32) ^ counter[3] ^ cast<uint64_t>(key1), product0};
        key0 = key0 + Expr(uint32_t(0x9E3779B9));
        key1 = key1 + Expr(uint32_t(0xBB67AE85));
    }
    std::vector<Expr> words;
    for (const Expr &word : counter) words.push_back(cast<uint32_t>(word));
    return words;
}

std::vector<Expr> random_block(Lowering &l, const Node &node, const Expr &block) {
    Expr seed = cast<uint64_t>(l.value(node.operands[0], {})), step = cast<uint64_t>(l.value(node.operands[1], {}));
    return philox({cast<uint32_t>(block), Expr(uint32_t(attrs<RandomAttrs>(node).stream)), cast<uint32_t>(step), cast<uint32_t>(step >> 32)}, cast<uint32_t>(seed),
                  cast<uint32_t>(seed >> 32));
}

}  // namespace

Expr lower_random_uniform(Lowering &l, NodeId id, const Coordinates &at) {
    const Node &node = l.node(id);
    Expr element = 0;
    for (size_t axis = 0; axis < at.size(); axis++) element = element * index_expr(node.type.shape[axis]) + at[axis];
    if (node.type.dtype == DType::f64) {
        const std::vector<Expr> words = random_block(l, node, element);
        Expr bits = (cast<uint64_t>(words[0]) << 32) | cast<uint64_t>(words[1]);
        return cast<double>(cast<int64_t>(bits >> 11)) * Expr(0x1p-53);
    }
    // The elements in a row, whatever the shape: all four words of a block are used, and none is computed inside the tile of a contraction.
    Func f = l.storage_of(id, [&] {
        Func words(l.name(id, "words")), random(l.name(id));
        Var block("block"), i("i");
        words(block) = Tuple(random_block(l, node, block));
        FuncRef made = words(i / 64 * 16 + i % 16);
        Expr word = mux(i / 16 % 4, {made[0], made[1], made[2], made[3]});
        random(i) = cast<float>(cast<int32_t>(word >> 8)) * 0x1p-24f;
        schedule_random(l, random, words, i, block, element_count(node.type.shape));
        return random;
    });
    return f(element);
}

}  // namespace kiln
