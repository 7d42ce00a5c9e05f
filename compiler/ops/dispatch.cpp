// The dispatch tables of the op table, and what holds for every op: arity, kind of attributes, positive extents, rounding.
#include "compiler/ops/common.h"

#include <algorithm>

namespace kiln {
namespace {

std::optional<ShapeError> check_extents(const Type &type) {
    int64_t count = 1;
    for (int64_t extent : type.shape) {
        if (extent < 1) return shape_error("the result {} has an extent below 1", to_string(type));
        if (extent > kMaxTensorElements / count) return shape_error("the result {} has more than 2^31 - 1 elements", to_string(type));
        count *= extent;
    }
    return std::nullopt;
}

/// Unspecified for the table (integer overflow, infinities cast to integers), but never undefined here.
int64_t whole(double value) { return value != value ? 0 : int64_t(std::clamp(value, -0x1p62, 0x1p62)); }

double round_to(double value, DType dtype) {
    switch (dtype) {
    case DType::f32: return double(float(value));
    case DType::f64: return value;
    case DType::i32: return double(int32_t(whole(value)));
    case DType::i64: return double(whole(value));
    case DType::u8: return double(uint8_t(whole(value)));
    case DType::boolean: return value;
    }
    KILN_UNREACHABLE("dtype {}", int(dtype));
}

}  // namespace

ShapeResult infer_type(Op op, const std::vector<Type> &operands, const Attrs &attrs, const Type &declared) {
    const OpInfo &op_info = info(op);
    if (op_info.arity >= 0 && size_t(op_info.arity) != operands.size())
        return shape_error("takes {} operands, not {}", op_info.arity, operands.size());
    if (op_info.arity < 0 && operands.empty()) return shape_error("takes one operand or more, not none");
    if (op_info.default_attrs.index() != attrs.index()) return shape_error("the attributes are of another op");

    ShapeResult result = ShapeError{};
    switch (op) {
#define OP(name, arity, attributes, traits) \
    case Op::name: result = shape_##name(operands, std::get<attributes>(attrs), declared); break;
#include "compiler/ir/ops.def"
#undef OP
    }
    if (const Type *type = std::get_if<Type>(&result))
        if (auto error = check_extents(*type)) return *error;
    return result;
}

std::vector<NodeId> vjp(Builder &b, const Graph &g, NodeId node, NodeId dy) {
    switch (g[node].op) {
#define OP(name, arity, attributes, traits) \
    case Op::name: return vjp_##name(b, g, node, dy);
#include "compiler/ir/ops.def"
#undef OP
    }
    KILN_UNREACHABLE("op {}", int(g[node].op));
}

Tensor evaluate(const Node &node, const std::vector<const Tensor *> &operands) {
    Tensor result;
    switch (node.op) {
#define OP(name, arity, attributes, traits) \
    case Op::name: result = evaluate_##name(node, operands); break;
#include "compiler/ir/ops.def"
#undef OP
    }
    KILN_CHECK(int64_t(result.values.size()) == node.type.elements(), "{} made {} values for {}", info(node.op).name,
               result.values.size(), to_string(node.type));
    result.type = node.type;
    if (node.type.dtype != DType::f64)
        for (double &value : result.values) value = round_to(value, node.type.dtype);
    return result;
}

}  // namespace kiln
