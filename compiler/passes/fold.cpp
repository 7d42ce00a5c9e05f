// Constant folding with the reference evaluator: what depends on constants alone is computed now. A value that is the
// same everywhere stays one number whatever its shape; other results are kept only while they are small.
//
// Folded transcendental functions are libm's in double, rounded; a kernel's own may differ in the last bit.
#include "compiler/ops/rules.h"
#include "compiler/passes/passes.h"
#include "compiler/passes/rewrite.h"

#include <algorithm>
#include <cstring>

namespace kiln {

namespace {

constexpr int64_t kMaxDenseElements = 4096;
constexpr int64_t kMaxOperandElements = 65536;

bool is_constant(const Node &node) { return node.op == Op::constant; }

Tensor tensor_of(const Node &node) {
    const auto &values = attrs<ConstantAttrs>(node).values;
    if (values.size() == 1) return {node.type, std::vector<double>(size_t(node.type.elements()), values[0])};
    return {node.type, values};
}

/// The value of an elementwise or moving op on splats, or nothing.
bool fold_splats(const Node &node, const std::vector<const Node *> &operands, Node &folded) {
    if (!std::all_of(operands.begin(), operands.end(), [](const Node *operand) { return is_splat(*operand); })) return false;
    ConstantAttrs value = std::get<ConstantAttrs>(operands[0]->attrs);
    if (has_trait(node.op, kElementwise)) {
        Node scalar = node;
        scalar.type.shape.clear();
        std::vector<Tensor> tensors;
        for (const Node *operand : operands) tensors.push_back({{operand->type.dtype, {}}, std::get<ConstantAttrs>(operand->attrs).values});
        std::vector<const Tensor *> pointers;
        for (const Tensor &tensor : tensors) pointers.push_back(&tensor);
        value.values = evaluate(scalar, pointers).values;
    } else if (node.op != Op::reshape && node.op != Op::broadcast && node.op != Op::transpose && node.op != Op::slice && node.op != Op::reverse) {
        return false;
    }
    folded.attrs = value;
    return true;
}

bool fold_dense(const Node &node, const std::vector<const Node *> &operands, Node &folded) {
    if (node.type.elements() > kMaxDenseElements) return false;
    std::vector<Tensor> tensors;
    for (const Node *operand : operands) {
        if (operand->type.elements() > kMaxOperandElements) return false;
        tensors.push_back(tensor_of(*operand));
    }
    std::vector<const Tensor *> pointers;
    for (const Tensor &tensor : tensors) pointers.push_back(&tensor);
    ConstantAttrs value{evaluate(node, pointers).values};
    auto same_bits = [&](double x) { return std::memcmp(&x, value.values.data(), sizeof x) == 0; };
    if (std::all_of(value.values.begin(), value.values.end(), same_bits)) value.values.resize(1);
    folded.attrs = std::move(value);
    return true;
}

}  // namespace

Graph fold(const Graph &graph) {
    Rewriter rewriter(graph);
    for (int i = 0; i < graph.size(); ++i) {
        Node node = rewriter.moved({i});
        std::vector<const Node *> operands;
        for (NodeId operand : node.operands) operands.push_back(&rewriter.result()[operand]);
        Node folded;
        folded.op = Op::constant;
        folded.type = node.type;
        folded.loc = node.loc;
        folded.scope = node.scope;
        const bool foldable = !operands.empty() && node.op != Op::random_uniform &&
                              std::all_of(operands.begin(), operands.end(), [](const Node *operand) { return is_constant(*operand); });
        if (foldable && (fold_splats(node, operands, folded) || fold_dense(node, operands, folded))) node = std::move(folded);
        rewriter.map({i}, rewriter.append(std::move(node)));
    }
    return rewriter.finish();
}

}  // namespace kiln
