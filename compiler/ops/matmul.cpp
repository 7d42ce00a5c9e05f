// matmul: [B.., M, K] x [B.., K, N] -> [B.., M, N]; with a transpose flag the operand is stored [.., K, M] or [.., N, K].
#include "compiler/ops/common.h"

namespace kiln {

ShapeResult shape_matmul(const std::vector<Type> &operands, const MatmulAttrs &attrs, const Type &) {
    const Type &a = operands[0], &b = operands[1];
    for (const Type &operand : operands)
        if (!is_float(operand.dtype)) return shape_error("takes f32 or f64, not {}", to_string(operand));
    if (a.dtype != b.dtype) return shape_error("element types differ: {} and {}", to_string(a), to_string(b));
    if (a.rank() < 2 || b.rank() < 2) return shape_error("takes matrices, not {} and {}", to_string(a), to_string(b));
    if (a.rank() != b.rank()) return shape_error("ranks differ: {} and {}", to_string(a), to_string(b));
    const size_t rank = a.shape.size();
    for (size_t i = 0; i + 2 < rank; ++i)
        if (a.shape[i] != b.shape[i])
            return shape_error("leading extents differ: {} and {} in dimension {}", a.shape[i], b.shape[i], i);
    const int64_t inner_a = a.shape[attrs.transpose_a ? rank - 2 : rank - 1], inner_b = b.shape[attrs.transpose_b ? rank - 1 : rank - 2];
    if (inner_a != inner_b) return shape_error("inner extents differ: {} and {}", inner_a, inner_b);
    Type result = a;
    result.shape[rank - 2] = a.shape[attrs.transpose_a ? rank - 1 : rank - 2];
    result.shape[rank - 1] = b.shape[attrs.transpose_b ? rank - 2 : rank - 1];
    return result;
}

std::vector<NodeId> vjp_matmul(Builder &builder, const Graph &g, NodeId node, NodeId dy) {
    const NodeId a = g[node].operands[0], b = g[node].operands[1];
    const auto [transpose_a, transpose_b] = attrs<MatmulAttrs>(g[node]);
    // With A' and B' the operands as used: dA' = dY B'^T and dB' = A'^T dY; a transposed operand takes the transpose of that.
    const NodeId da = transpose_a ? builder.matmul(b, dy, transpose_b, true) : builder.matmul(dy, b, false, !transpose_b);
    const NodeId db = transpose_b ? builder.matmul(dy, a, true, transpose_a) : builder.matmul(a, dy, !transpose_a, false);
    return {da, db};
}

// Sums are held in double and rounded once.
Tensor evaluate_matmul(const Node &node, const std::vector<const Tensor *> &operands) {
    const auto &attrs = kiln::attrs<MatmulAttrs>(node);
    const Shape &shape = node.type.shape, &shape_a = operands[0]->type.shape;
    const size_t rank = shape.size();
    const int64_t M = shape[rank - 2], N = shape[rank - 1], K = shape_a[attrs.transpose_a ? rank - 2 : rank - 1];
    const int64_t batches = node.type.elements() / (M * N);
    Tensor result = zeros(node.type);
    for (int64_t batch = 0; batch < batches; ++batch) {
        const double *a = operands[0]->values.data() + batch * M * K;
        const double *b = operands[1]->values.data() + batch * K * N;
        double *c = result.values.data() + batch * M * N;
        for (int64_t m = 0; m < M; ++m)
            for (int64_t k = 0; k < K; ++k) {
                const double left = attrs.transpose_a ? a[k * M + m] : a[m * K + k];
                for (int64_t n = 0; n < N; ++n) c[m * N + n] += left * (attrs.transpose_b ? b[n * K + k] : b[k * N + n]);
            }
    }
    return result;
}

}  // namespace kiln
