#include "compiler/plan/body.h"

#include "compiler/ir/text.h"
#include "compiler/support/check.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

namespace kiln {

std::vector<bool> host_scalars(const Graph &graph) {
    std::vector<bool> host(graph.nodes.size(), false);
    for (size_t i = 0; i < graph.nodes.size(); ++i) {
        const Node &node = graph.nodes[i];
        if (node.type.rank() != 0) continue;
        if (node.op == Op::input)
            host[i] = attrs<InputAttrs>(node).kind == InputKind::scalar;
        else if (node.op == Op::constant)
            host[i] = true;
        else if (has_trait(node.op, kElementwise)) {
            host[i] = true;
            for (NodeId operand : node.operands) host[i] = host[i] && host[size_t(operand.index)];
        }
    }
    return host;
}

namespace {

/// The op that names a kernel and chooses its schedule.
std::string family_of(const Graph &body) {
    // Whatever makes the rows.
    if (std::any_of(body.nodes.begin(), body.nodes.end(), [](const Node &node) { return node.op == Op::set_rows; })) return "set_rows";
    bool has_reduction = false, has_elementwise = false;
    const char *moving = nullptr;
    for (const Node &node : body.nodes) {
        switch (node.op) {
            case Op::matmul:
            case Op::conv2d:
            case Op::conv2d_input_gradient:
            case Op::conv2d_weight_gradient:
            case Op::max_pool2d:
            case Op::max_pool2d_index:
            case Op::window_pick2d:
            case Op::window_sum2d:
            case Op::warp:
            case Op::gather_rows:
            case Op::scatter_add_rows:
            case Op::first_occurrence:
            case Op::comprehension:
            case Op::concat:
                return node.op == Op::max_pool2d_index ? "max_pool2d" : info(node.op).name;
            default:
                break;
        }
        has_reduction = has_reduction || has_trait(node.op, kReduction);
        has_elementwise = has_elementwise || has_trait(node.op, kElementwise);
        if (node.op == Op::max_pool2d_gradient || node.op == Op::transpose || node.op == Op::slice || node.op == Op::pad || node.op == Op::reverse) moving = info(node.op).name;
    }
    if (has_reduction) return "reduction";
    if (moving && !has_elementwise) return moving;
    return "elementwise";
}

/// FNV-1a, 64 bits.
uint64_t content_hash(std::string_view text) {
    uint64_t hash = 0xcbf29ce484222325u;
    for (unsigned char c : text) hash = (hash ^ c) * 0x100000001b3u;
    return hash;
}

}  // namespace

Body extract_body(const Graph &graph, const std::vector<NodeId> &members, const std::vector<NodeId> &results,
                  const std::vector<bool> &is_host_scalar) {
    Body body;
    body.graph.name = "kernel";
    std::map<NodeId, NodeId> mapped;
    auto append = [&](Node node) {
        node.loc = {};
        node.scope.clear();
        node.group = -1;
        body.graph.nodes.push_back(std::move(node));
        return NodeId{body.graph.size() - 1};
    };
    std::map<NodeId, bool> member;
    for (NodeId id : members) member[id] = true;

    // Arguments first, in the order of use, so that the same computation always gives the same text.
    auto argument = [&](NodeId id) {
        if (member.count(id) || mapped.count(id) || is_splat(graph[id])) return;
        Node node;
        node.op = Op::input;
        node.type = graph[id].type;
        node.attrs = InputAttrs{InputKind::argument,
                                fmt::format("{}{}", is_host_scalar[size_t(id.index)] ? "scalar" : "input", body.arguments.size())};
        mapped[id] = append(std::move(node));
        body.arguments.push_back(id);
    };
    for (NodeId id : members)
        for (NodeId operand : graph[id].operands) argument(operand);
    for (NodeId id : results) argument(id);

    auto value = [&](NodeId id) {
        auto found = mapped.find(id);
        if (found != mapped.end()) return found->second;
        KILN_CHECK(is_splat(graph[id]), "%{} of graph `{}` is used before it is defined", id.index, graph.name);
        return mapped[id] = append(graph[id]);
    };
    for (NodeId id : members) {
        Node node = graph[id];
        for (NodeId &operand : node.operands) operand = value(operand);
        mapped[id] = append(std::move(node));
    }
    for (NodeId id : results) {
        NodeId result = value(id);
        // A result is never an argument itself: copying is a reshape to the same shape.
        if (body.graph[result].op == Op::input) {
            Node copy;
            copy.op = Op::reshape;
            copy.type = body.graph[result].type;
            copy.attrs = ShapeAttrs{copy.type.shape};
            copy.operands = {result};
            result = append(std::move(copy));
        }
        body.graph.results.push_back({ResultKind::value, "", result});
    }
    return body;
}

bool is_elementwise(const Graph &body) {
    return std::all_of(body.nodes.begin(), body.nodes.end(), [](const Node &node) {
        return has_trait(node.op, kElementwise) || node.op == Op::input || node.op == Op::constant || node.op == Op::broadcast || node.op == Op::max_pool2d_gradient;
    });
}

namespace {

/// A kernel that sets rows makes all rows first, then what it stores over the rest of the tables, element by element, and sets the rows
/// last. So rows may be made of rows gathered from a table, and the rest of what lies in the same place.
bool may_set_rows_in_place(const Graph &body, NodeId table) {
    const Node &first = body[body.results[0].value];
    for (const Result &result : body.results)
        if (const Node &node = body[result.value]; node.op != Op::set_rows || node.operands[2] != first.operands[2] || node.type.shape != first.type.shape)
            return false;
    enum class Depends { not_at_all, on_elements, on_rows };
    std::vector<Depends> depends(body.nodes.size(), Depends::not_at_all);
    depends[size_t(table.index)] = Depends::on_elements;
    for (int i = 0; i < body.size(); ++i) {
        const Node &node = body.nodes[size_t(i)];
        for (size_t k = 0; k < node.operands.size(); ++k) {
            const Depends operand = depends[size_t(node.operands[k].index)];
            if (operand == Depends::not_at_all) continue;
            Depends &own = depends[size_t(i)];
            if (node.op == Op::set_rows) {
                if (operand != (k == 0 ? Depends::on_elements : Depends::on_rows) || k == 2) return false;
            } else if (node.op == Op::gather_rows) {
                if (k != 0 || node.operands[k] != table) return false;
                own = Depends::on_rows;
            } else {
                if (!has_trait(node.op, kElementwise) || node.type.shape != body[node.operands[k]].type.shape) return false;
                if (own != Depends::not_at_all && own != operand) return false;
                own = operand;
            }
        }
    }
    return true;
}

}  // namespace

bool may_update_in_place(const Graph &body, int result, NodeId argument) {
    const Type &type = body[argument].type;
    if (body[body.results[size_t(result)].value].op == Op::set_rows)
        return body[body.results[size_t(result)].value].type == type && may_set_rows_in_place(body, argument);
    std::vector<bool> depends(body.nodes.size(), false);
    depends[size_t(argument.index)] = true;
    for (int i = 0; i < body.size(); ++i) {
        const Node &node = body.nodes[size_t(i)];
        for (NodeId operand : node.operands) {
            if (!depends[size_t(operand.index)]) continue;
            if (!has_trait(node.op, kElementwise) || node.type.shape != type.shape) return false;
            depends[size_t(i)] = true;
        }
    }
    // Other results must walk the same indices, or their reads would come after writes of this one.
    for (const Result &other : body.results)
        if (body[other.value].type.shape != type.shape) return false;
    return body[body.results[size_t(result)].value].type == type;
}

Kernel make_kernel(Graph body, std::vector<int> in_place) {
    Kernel kernel;
    kernel.family = family_of(body);
    std::string text = print(body, {.locations = false, .scopes = false});
    for (int argument : in_place) text += fmt::format("in place {}\n", argument);
    kernel.name = fmt::format("k_{}_{:016x}", kernel.family, content_hash(text));
    for (const Node &node : body.nodes) kernel.flops += flops_of(body, node);
    kernel.bytes = bytes_of(body, in_place);
    kernel.body = std::move(body);
    kernel.in_place = std::move(in_place);
    return kernel;
}

}  // namespace kiln
