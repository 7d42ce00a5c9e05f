#include "compiler/passes/recompute.h"

#include "compiler/ir/pieces.h"
#include "compiler/passes/passes.h"

#include <set>

namespace kiln {

namespace {

constexpr int kMaxCost = 10;  ///< of recomputing a value, in additions
constexpr int kNever = 1000;
constexpr int kPoolGradientCost = 6;  ///< which window, and whether this is its maximum

/// Channels of a picture, whose weight gradients hold all sums of a row of the window in registers.
constexpr int64_t kFewChannels = 4;

/// Additions' worth of one element, kNever for what is better stored.
int cost_of(Op op) {
    switch (op) {
        case Op::iota:
        case Op::broadcast:
        case Op::cast:
        case Op::negate:
        case Op::absolute:
        case Op::sign:
        case Op::floor:
        case Op::ceil:
        case Op::round:
        case Op::logical_not:
        case Op::is_finite:
        case Op::stop_gradient:
        case Op::add:
        case Op::subtract:
        case Op::multiply:
        case Op::minimum:
        case Op::maximum:
        case Op::equal:
        case Op::not_equal:
        case Op::less:
        case Op::less_equal:
        case Op::logical_and:
        case Op::logical_or:
        case Op::select:
        case Op::slice:
            return 1;
        case Op::divide:
        case Op::sqrt:
            return 4;
        case Op::input:
        case Op::constant:
        case Op::random_uniform:
        case Op::exp:
        case Op::log:
        case Op::log1p:
        case Op::sin:
        case Op::cos:
        case Op::tanh:
        case Op::erf:
        case Op::modulo:
        case Op::power:
        case Op::reshape:
        case Op::transpose:
        case Op::pad:
        case Op::reverse:
        case Op::concat:
        case Op::reduce_sum:
        case Op::reduce_product:
        case Op::reduce_max:
        case Op::reduce_min:
        case Op::argmax:
        case Op::matmul:
        case Op::conv2d:
        case Op::conv2d_input_gradient:
        case Op::conv2d_weight_gradient:
        case Op::max_pool2d:
        case Op::max_pool2d_index:
        case Op::max_pool2d_gradient:
        case Op::window_pick2d:
        case Op::window_sum2d:
        case Op::warp:
        case Op::gather_rows:
        case Op::scatter_add_rows:
        case Op::set_rows:
        case Op::first_occurrence:
        case Op::comprehension:
            return kNever;
    }
    return kNever;
}

bool is_host_source(const Node &node) {
    return node.type.rank() == 0 && (node.op == Op::constant || (node.op == Op::input && attrs<InputAttrs>(node).kind == InputKind::scalar));
}

/// Windows that do not overlap read each element at most once.
bool reads_once(const Node &node) {
    if (node.op != Op::max_pool2d && node.op != Op::max_pool2d_index && node.op != Op::window_pick2d && node.op != Op::window_sum2d) return false;
    const WindowAttrs &a = attrs<WindowAttrs>(node);
    return a.stride[0] >= a.window[0] && a.stride[1] >= a.window[1];
}

int cost_of(const Node &node) {
    if (node.op == Op::max_pool2d_gradient) {
        // Every pixel is in one window at most: it reads one gradient and one index. Both are smaller than the result by the size of a
        // window, so that reading them wherever the result is used moves less memory than storing it once.
        const WindowGradAttrs &a = attrs<WindowGradAttrs>(node);
        if (a.stride[0] >= a.window[0] && a.stride[1] >= a.window[1]) return kPoolGradientCost;
    }
    return cost_of(node.op);
}

/// Whether an op reads an operand from memory: it reads elements many times, or at addresses that matter.
bool wants_stored_operand(const Graph &graph, const Node &node, size_t place) {
    switch (node.op) {
        case Op::matmul:
        case Op::conv2d:
        case Op::conv2d_input_gradient:
        case Op::max_pool2d_gradient:
        case Op::warp:
        case Op::gather_rows:
        case Op::set_rows:
        case Op::first_occurrence:
        case Op::comprehension:
            return true;
        case Op::scatter_add_rows:
            return place != 0;
        case Op::conv2d_weight_gradient:
            return place != 1 || !takes_rows_of_gradient(graph, node);
        case Op::max_pool2d:
        case Op::max_pool2d_index:
        case Op::window_pick2d:
        case Op::window_sum2d:
            return !reads_once(node);
        case Op::broadcast: {
            const Op from = graph[node.operands[0]].op;
            return from != Op::cast && from != Op::broadcast && from != Op::iota;
        }
        default:
            return false;  // elementwise, views, reductions: each element once
    }
}

}  // namespace

bool takes_rows_of_gradient(const Graph &graph, const Node &node) {
    return node.op == Op::conv2d_weight_gradient && node.type.shape[2] <= kFewChannels && graph[node.operands[1]].type.elements() >= kFromMemory;
}

Roles find_roles(const Graph &graph) {
    const size_t count = graph.nodes.size();
    Roles roles{std::vector<Role>(count, Role::absent), std::vector<bool>(count, false)};
    std::vector<bool> live(count, false), stored(count, false), host(count, false);
    for (size_t i = 0; i < count; ++i) {
        const Node &node = graph.nodes[i];
        host[i] = is_host_source(node);
        if (node.type.rank() != 0 || !has_trait(node.op, kElementwise)) continue;
        host[i] = true;
        for (NodeId operand : node.operands) host[i] = host[i] && host[size_t(operand.index)];
    }
    auto is_alias = [&](size_t i) {
        const Node &node = graph.nodes[i];
        if (node.op == Op::concat) return !piece_offsets(graph, {int32_t(i)}).empty();
        if (node.op == Op::slice) return piece_offset(graph, {int32_t(i)}).has_value();
        if (node.op != Op::reshape || host[i]) return false;
        const NodeId from = node.operands[0];
        return !host[size_t(from.index)] && !is_splat(graph[from]);
    };
    auto store = [&](NodeId value) {
        std::vector<NodeId> pending{value};
        while (!pending.empty()) {
            const NodeId id = pending.back();
            pending.pop_back();
            if (is_alias(size_t(id.index))) pending.insert(pending.end(), graph[id].operands.begin(), graph[id].operands.end());
            else stored[size_t(id.index)] = true;
        }
    };
    for (const Result &result : graph.results) {
        const size_t i = size_t(result.value.index);
        live[i] = true;
        store(result.value);
        if (result.kind != ResultKind::store || result.name.starts_with("gradient")) roles.early[i] = true;
    }
    for (size_t i = count; i-- > 0;) {
        if (!live[i]) continue;
        const Node &node = graph.nodes[i];
        for (size_t k = 0; k < node.operands.size(); ++k) {
            const NodeId operand = node.operands[k];
            live[size_t(operand.index)] = true;
            if (roles.early[i]) roles.early[size_t(operand.index)] = true;
            if (is_alias(i) || is_alias(size_t(operand.index)) || wants_stored_operand(graph, node, k)) store(operand);
        }
    }
    const std::vector<std::vector<NodeId>> users = users_of(graph);
    auto is_fusible_with_anchor = [&](Op op) { return has_trait(op, kElementwise) || op == Op::broadcast || op == Op::reshape; };
    std::vector<int> cost(count, 0);
    std::vector<bool> after_anchor(count, false);  // in the epilogue of something that is no elementwise op
    std::vector<std::set<NodeId>> sources(count);  // of recomputed nodes: what they read, through other recomputed nodes
    for (size_t i = 0; i < count; ++i) {
        const Node &node = graph.nodes[i];
        if (!live[i] || node.op == Op::input || (node.op == Op::constant && !host[i])) continue;
        if (host[i]) {
            roles.role[i] = Role::host;
            continue;
        }
        if (node.op == Op::constant) continue;
        if (is_alias(i)) {
            roles.role[i] = Role::alias;
            continue;
        }
        roles.role[i] = Role::solid;
        after_anchor[i] = (cost_of(node) >= kNever || stored[i]) && (cost_of(node.op) >= kNever || node.op == Op::slice) && !has_trait(node.op, kElementwise) &&
                          node.op != Op::random_uniform;
        for (NodeId operand : node.operands) {
            const size_t o = size_t(operand.index);
            if (has_trait(node.op, kElementwise) && after_anchor[o] && !stored[o]) after_anchor[i] = true;
        }
        // A kernel has one anchor: what comes out of one and goes into the next passes through memory.
        if (after_anchor[i])
            for (NodeId user : users[i])
                if (live[size_t(user.index)] && !is_fusible_with_anchor(graph[user].op)) stored[i] = true;
        if (stored[i]) continue;
        cost[i] = cost_of(node);
        bool available = true;
        for (NodeId operand : node.operands) {
            const size_t o = size_t(operand.index);
            if (roles.role[o] == Role::recomputed) {
                cost[i] += cost[o];
                sources[i].insert(sources[o].begin(), sources[o].end());
            } else if (!host[o] && graph.nodes[o].op != Op::constant) {
                sources[i].insert(operand);
                // A slice reads what is there: no kernel makes a value and a piece of it.
                if (node.op == Op::slice) stored[o] = true;
            }
        }
        // One source of full size: reading it costs what reading the value would. It must be in memory anyway.
        int full = 0;
        for (NodeId source : sources[i]) {
            const size_t s = size_t(source.index);
            if (graph[source].type.elements() == node.type.elements() && node.type.rank() > 0) ++full;
            available = available && (graph[source].op == Op::input || stored[s] || roles.role[s] == Role::alias || graph[source].type.elements() * 8 <= node.type.elements());
        }
        if (cost[i] <= kMaxCost && full <= 1 && available) roles.role[i] = Role::recomputed;
    }
    return roles;
}

}  // namespace kiln
