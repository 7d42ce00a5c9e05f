#include "compiler/kernels/collapse.h"

#include "compiler/support/check.h"

#include <algorithm>
#include <numeric>
#include <set>

namespace kiln {

namespace {

bool is_axis_reduction(Op op) {
    return op == Op::reduce_sum || op == Op::reduce_product || op == Op::reduce_max || op == Op::reduce_min;
}

bool is_supported(const Node &node) {
    if (has_trait(node.op, kElementwise) || is_axis_reduction(node.op)) return true;
    if (node.op == Op::constant) return node.type.rank() == 0 || attrs<ConstantAttrs>(node).values.size() == 1;
    return node.op == Op::input || node.op == Op::broadcast || node.op == Op::random_uniform;
}

/// Classes of (node, axis) pairs that are one loop.
struct Classes {
    std::vector<int> parent;
    int find(int i) { return parent[size_t(i)] == i ? i : parent[size_t(i)] = find(parent[size_t(i)]); }
    void unite(int a, int b) { parent[size_t(find(a))] = find(b); }
};

}  // namespace

Graph collapse_dimensions(const Graph &body) {
    for (const Node &node : body.nodes)
        if (!is_supported(node)) return body;

    std::vector<int> first;  // of the axes of a node
    std::vector<int64_t> extent;
    for (const Node &node : body.nodes) {
        first.push_back(int(extent.size()));
        extent.insert(extent.end(), node.type.shape.begin(), node.type.shape.end());
    }
    Classes classes;
    classes.parent.resize(extent.size());
    std::iota(classes.parent.begin(), classes.parent.end(), 0);
    for (int i = 0; i < body.size(); i++) {
        const Node &node = body.nodes[size_t(i)];
        if (node.op == Op::random_uniform) continue;  // its operands are scalars
        for (NodeId operand : node.operands) {
            const Shape &shape = body[operand].type.shape;
            int result_axis = 0;
            for (int axis = 0; axis < int(shape.size()); axis++) {
                int to = axis;
                if (node.op == Op::broadcast) {
                    to = int(attrs<BroadcastAttrs>(node).dims[size_t(axis)]);
                    if (node.type.shape[size_t(to)] != shape[size_t(axis)]) continue;
                } else if (is_axis_reduction(node.op)) {
                    const Ints &axes = attrs<AxesAttrs>(node).axes;
                    if (std::find(axes.begin(), axes.end(), axis) != axes.end()) continue;
                    to = result_axis++;
                }
                classes.unite(first[size_t(operand.index)] + axis, first[size_t(i)] + to);
            }
        }
    }

    // lists[i]: the loops of node i, outermost first, without those of extent 1.
    std::vector<std::vector<int>> lists(body.nodes.size());
    for (size_t i = 0; i < body.nodes.size(); i++) {
        for (int axis = 0; axis < body.nodes[i].type.rank(); axis++)
            if (extent[size_t(first[i] + axis)] != 1) lists[i].push_back(classes.find(first[i] + axis));
        if (std::set<int>(lists[i].begin(), lists[i].end()).size() != lists[i].size()) return body;
    }
    std::vector<int64_t> size(extent.size());
    for (size_t i = 0; i < extent.size(); i++) size[size_t(classes.find(int(i)))] = extent[i];

    // b follows a wherever either occurs: the two are one loop.
    auto try_merge = [&]() {
        for (const auto &list : lists)
            for (size_t k = 0; k + 1 < list.size(); k++) {
                int a = list[k], b = list[k + 1];
                bool always = std::all_of(lists.begin(), lists.end(), [&](const std::vector<int> &other) {
                    auto at = std::find(other.begin(), other.end(), a);
                    auto bt = std::find(other.begin(), other.end(), b);
                    return (at == other.end()) == (bt == other.end()) && (at == other.end() || at + 1 == bt);
                });
                if (!always) continue;
                size[size_t(a)] *= size[size_t(b)];
                for (auto &other : lists) std::erase(other, b);
                return true;
            }
        return false;
    };
    while (try_merge()) {}

    Graph result = body;
    for (size_t i = 0; i < body.nodes.size(); i++) {
        Node &node = result.nodes[i];
        node.type.shape.clear();
        for (int c : lists[i]) node.type.shape.push_back(size[size_t(c)]);
        if (node.op == Op::broadcast) {
            BroadcastAttrs broadcast{node.type.shape, {}};
            for (int c : lists[size_t(node.operands[0].index)])
                broadcast.dims.push_back(std::find(lists[i].begin(), lists[i].end(), c) - lists[i].begin());
            node.attrs = broadcast;
        } else if (is_axis_reduction(node.op)) {
            AxesAttrs reduced;
            const std::vector<int> &operand = lists[size_t(node.operands[0].index)];
            for (size_t axis = 0; axis < operand.size(); axis++)
                if (std::find(lists[i].begin(), lists[i].end(), operand[axis]) == lists[i].end()) reduced.axes.push_back(int64_t(axis));
            node.attrs = reduced;
        } else if (node.op == Op::random_uniform) {
            RandomAttrs random = attrs<RandomAttrs>(node);
            random.shape = node.type.shape;
            node.attrs = random;
        }
    }
    return result;
}

}  // namespace kiln
