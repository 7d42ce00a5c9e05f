#include "compiler/plan/body.h"

#include "compiler/support/check.h"

#include <algorithm>

namespace kiln {

int64_t flops_of(const Graph &graph, const Node &node) {
    auto operand = [&](size_t i) -> const Type & { return graph[node.operands[i]].type; };
    auto window = [](const Ints &w) { return w[0] * w[1]; };
    const int64_t elements = node.type.elements();
    switch (node.op) {
        case Op::input:
        case Op::constant:
        case Op::iota:
        case Op::random_uniform:
        case Op::cast:
        case Op::stop_gradient:
        case Op::reshape:
        case Op::broadcast:
        case Op::transpose:
        case Op::slice:
        case Op::pad:
        case Op::reverse:
        case Op::concat:
        case Op::max_pool2d_gradient:
        case Op::window_pick2d:
        case Op::gather_rows:
        case Op::set_rows:
        case Op::first_occurrence:
            return 0;
        case Op::negate:
        case Op::absolute:
        case Op::sign:
        case Op::exp:
        case Op::log:
        case Op::log1p:
        case Op::sqrt:
        case Op::sin:
        case Op::cos:
        case Op::tanh:
        case Op::erf:
        case Op::floor:
        case Op::ceil:
        case Op::round:
        case Op::logical_not:
        case Op::is_finite:
        case Op::add:
        case Op::subtract:
        case Op::multiply:
        case Op::divide:
        case Op::modulo:
        case Op::power:
        case Op::minimum:
        case Op::maximum:
        case Op::equal:
        case Op::not_equal:
        case Op::less:
        case Op::less_equal:
        case Op::logical_and:
        case Op::logical_or:
        case Op::select:
            return elements;
        case Op::reduce_sum:
        case Op::reduce_product:
        case Op::reduce_max:
        case Op::reduce_min:
        case Op::argmax:
        case Op::scatter_add_rows:
            return operand(0).elements();
        case Op::matmul: {
            const bool transposed = attrs<MatmulAttrs>(node).transpose_a;
            const Shape &a = operand(0).shape;
            return 2 * elements * a[a.size() - (transposed ? 2 : 1)];
        }
        case Op::conv2d: {  // [N,P,Q,K] with R*S*C terms each
            const Shape &w = operand(1).shape;
            return 2 * elements * w[0] * w[1] * w[2];
        }
        case Op::conv2d_input_gradient: {  // as many as the forward convolution
            const Shape &w = operand(1).shape;
            return 2 * operand(0).elements() * w[0] * w[1] * w[2];
        }
        case Op::conv2d_weight_gradient: {
            const Shape &w = node.type.shape;
            return 2 * operand(1).elements() * w[0] * w[1] * w[2];
        }
        case Op::warp:  // three interpolations of two operations, and the coordinates
            return 10 * elements;
        case Op::comprehension: {  // points of the space, guarded or not, times the arithmetic of the body and its reduction
            const ComprehensionAttrs &a = attrs<ComprehensionAttrs>(node);
            int64_t each = a.target.empty() && a.kept == int64_t(a.space.size()) ? 0 : 1;
            for (const BodyValue &value : a.body)
                if (value.kind == BodyValue::Kind::apply && value.op != Op::cast && value.op != Op::stop_gradient) ++each;
            return element_count(a.space) * each;
        }
        case Op::max_pool2d:
        case Op::max_pool2d_index:
        case Op::window_sum2d:
            return elements * window(attrs<WindowAttrs>(node).window);
    }
    KILN_UNREACHABLE("op {}", int(node.op));
}

namespace {

/// Whether the rows that a set_rows does not set are those of an argument that it overwrites.
bool stay_in_place(const Graph &body, const Node &node, const std::vector<int> &in_place) {
    return !in_place.empty() && in_place[0] >= 0 && body[node.operands[0]].op == Op::input;
}

}  // namespace

int64_t bytes_of(const Graph &body, const std::vector<int> &in_place) {
    // By node: bytes that its users look at, all of it unless they say otherwise.
    std::vector<int64_t> read(body.nodes.size(), 0);
    for (const Node &node : body.nodes)
        for (size_t i = 0; i < node.operands.size(); ++i) {
            const Type &type = body[node.operands[i]].type;
            int64_t bytes = type.bytes();
            if ((node.op == Op::gather_rows && i == 0) || node.op == Op::slice) bytes = std::min(bytes, node.type.bytes());
            if (node.op == Op::set_rows && i == 0 && stay_in_place(body, node, in_place)) bytes = 0;
            int64_t &all = read[size_t(node.operands[i].index)];
            all = std::min(type.bytes(), all + bytes);
        }
    int64_t total = 0;
    for (size_t i = 0; i < body.nodes.size(); ++i)
        if (body.nodes[i].op == Op::input && !(body.nodes[i].type.rank() == 0 && attrs<InputAttrs>(body.nodes[i]).name.starts_with("scalar"))) total += read[i];
    for (size_t i = 0; i < body.results.size(); ++i) {
        const Node &node = body[body.results[i].value];
        total += node.op == Op::set_rows && stay_in_place(body, node, in_place) ? body[node.operands[1]].type.bytes() : node.type.bytes();
    }
    return total;
}

}  // namespace kiln
