// Fusion: decides which nodes become one kernel (Node::group). kernels.md says why each rule pays.
//
// 1. Values that are cheap to repeat from what is in memory anyway (broadcasts, masks, normalised inputs) are copied into each
//    kernel that uses them (recompute.h).
// 2. Every other node is in exactly one group. A group has at most one anchor (a contraction, a pooling, a gather, a view, ..)
//    or reductions over the same axes of the same shape; elementwise nodes join the group of an operand with their shape (an
//    epilogue), and elementwise nodes and slices only a reduction reads join it (a prologue), as do those that make a large gradient
//    which only a weight gradient reads, row by row.
// 3. Rows: softmax, norms and losses over a short last axis are reductions and elementwise steps in turn. While a whole
//    tensor is small these are one group, whatever their number.
// 4. Two groups unite only if no path leads out of the union and back into it, and only if both run before, or both after, the
//    loss is checked.
// 5. Rows set by one index in tables of one shape, a parameter's and its optimizer states', are one group with what makes the rows and
//    the rest of the tables and nothing else reads: each thread then reads and writes its own part of the tables. A lookup in such a table that is
//    done in the same parts (GatherAttrs) is a kernel of its own.
// 6. Sums over the rows of what a convolution stores, and what is computed of them alone, are one group with it: rows are summed up
//    while they are near.
// 7. Reshapes, slices that are one piece of memory and tensors that are joined of such are no work: they stay outside groups and become aliases in
//    the plan. A group does not read its own values through one.
#include "compiler/passes/passes.h"
#include "compiler/passes/recompute.h"
#include "compiler/passes/rewrite.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <set>

namespace kiln {

namespace {

constexpr size_t kMaxMembers = 96;          ///< compile time of a kernel grows faster than its size
constexpr int64_t kMaxRow = 256;            ///< elements of a row in a row group
constexpr int64_t kMaxRowTensor = 1 << 16;  ///< elements of its tensors

enum class Kind { elementwise, anchor, reduction, rows, tables };

/// How a node reads another: element for element, one value for a row along the last axis, one for a line along the third of four, or otherwise.
enum class Access { pointwise, per_row, per_line, other };

struct Edge {
    NodeId from;
    Access access;
    bool through_memory = false;  ///< by way of an alias, which is there when a kernel has ended
};

struct Group {
    Kind kind = Kind::elementwise;
    Shape shape;    ///< of the elementwise nodes that may join
    Shape operand;  ///< of reductions: the shape reduced
    Ints axes;
    bool late = false;
    bool has_row_sums = false;  ///< of what its convolution stores
    std::vector<NodeId> members;
};

bool gathers_in_parts(const Node &node) { return node.op == Op::gather_rows && attrs<GatherAttrs>(node).in_parts; }

bool may_have_epilogue(const Node &node) {
    return node.op != Op::scatter_add_rows && node.op != Op::set_rows && node.op != Op::first_occurrence && !gathers_in_parts(node);
}

bool is_row_reduction(const Shape &operand, const Ints &axes) {
    return !operand.empty() && axes == Ints{int64_t(operand.size()) - 1} && operand.back() <= kMaxRow && element_count(operand) <= kMaxRowTensor;
}

class Fuser {
public:
    explicit Fuser(const Graph &graph)
        : graph_(graph), roles_(find_roles(graph)), edges_(graph.nodes.size()), readers_(graph.nodes.size()), group_(graph.nodes.size(), -1) {}

    Graph run() {
        find_edges();
        find_results();
        make_groups();
        find_only_reduced();
        unite_siblings();
        for (int i = 0; i < graph_.size(); ++i)
            if (is_solid({i}) && !join_row_sums({i})) join_operands({i});
        unite_siblings();  // with prologues, more reductions read the same data
        unite_tables();
        return emit();
    }

private:
    bool is_solid(NodeId id) const { return roles_.role[size_t(id.index)] == Role::solid; }
    Group &group_of(NodeId id) { return groups_[size_t(group_[size_t(id.index)])]; }

    // ---- who reads whom, through recomputed nodes and aliases ----
    void add_edges(NodeId reader, NodeId from, Access access, bool through_memory = false) {
        switch (roles_.role[size_t(from.index)]) {
            case Role::host: return;
            case Role::absent:
                if (graph_[from].op == Op::input && access == Access::pointwise) readers_[size_t(from.index)].push_back(reader);
                return;
            case Role::solid: {
                auto &edges = edges_[size_t(reader.index)];
                for (Edge &edge : edges)
                    if (edge.from == from) {
                        if (edge.access != access) edge.access = std::min(edge.access, access) == Access::pointwise ? std::max(edge.access, access) : Access::other;
                        edge.through_memory |= through_memory;
                        return;
                    }
                edges.push_back({from, access, through_memory});
                readers_[size_t(from.index)].push_back(reader);
                return;
            }
            case Role::alias:
                for (NodeId operand : graph_[from].operands) add_edges(reader, operand, Access::other, true);
                return;
            case Role::recomputed: break;
        }
        const Node &node = graph_[from];
        Access inner = access;
        if (node.op == Op::broadcast) {
            const Ints &dims = attrs<BroadcastAttrs>(node).dims;
            Shape row = node.type.shape;
            row.pop_back();
            bool leading = graph_[node.operands[0]].type.shape == row;
            for (size_t i = 0; i < dims.size(); ++i) leading = leading && dims[i] == int64_t(i);
            inner = leading && access == Access::pointwise ? Access::per_row : Access::other;
            if (access == Access::pointwise && node.type.rank() == 4 && dims == Ints{0, 1, 3}) inner = Access::per_line;
        } else if (node.op == Op::max_pool2d_gradient) {
            inner = Access::other;
        }
        for (NodeId operand : node.operands) add_edges(reader, operand, inner, through_memory);
    }

    void find_edges() {
        for (int i = 0; i < graph_.size(); ++i) {
            if (!is_solid({i})) continue;
            const Node &node = graph_.nodes[size_t(i)];
            Access access = has_trait(node.op, kElementwise) || has_trait(node.op, kReduction) ? Access::pointwise : Access::other;
            if (node.op == Op::broadcast) access = Access::other;
            for (size_t k = 0; k < node.operands.size(); ++k) {
                const bool own_element = (node.op == Op::set_rows && k < 2) || (k == 1 && (node.op == Op::window_pick2d || takes_rows_of_gradient(graph_, node)));
                add_edges({i}, node.operands[k], own_element ? Access::pointwise : access);
            }
        }
    }

    // ---- groups ----
    void make_groups() {
        for (int i = 0; i < graph_.size(); ++i) {
            if (!is_solid({i})) continue;
            const Node &node = graph_.nodes[size_t(i)];
            Group group;
            group.shape = node.type.shape;
            group.late = !roles_.early[size_t(i)];
            group.members = {NodeId{i}};
            if (has_trait(node.op, kReduction)) {
                group.kind = Kind::reduction;
                group.operand = graph_[node.operands[0]].type.shape;
                group.axes = node.op == Op::argmax ? Ints{attrs<AxisAttrs>(node).axis} : attrs<AxesAttrs>(node).axes;
                if (is_row_reduction(group.operand, group.axes)) group.kind = Kind::rows;
            } else if (!has_trait(node.op, kElementwise) && node.op != Op::broadcast && node.op != Op::iota && node.op != Op::random_uniform) {
                group.kind = Kind::anchor;
            }
            group_[size_t(i)] = int(groups_.size());
            groups_.push_back(std::move(group));
        }
        order_.resize(groups_.size());
        std::iota(order_.begin(), order_.end(), 0);
        position_ = order_;
        seen_in_.assign(groups_.size(), 0);
    }

    /// Elementwise nodes whose values go into reductions and nowhere else.
    void find_only_reduced() {
        only_reduced_.assign(graph_.nodes.size(), false);
        for (int i = graph_.size(); i-- > 0;) {
            const auto &readers = readers_[size_t(i)];
            if (!is_solid({i}) || readers.empty() || is_result({i})) continue;
            only_reduced_[size_t(i)] = std::all_of(readers.begin(), readers.end(), [&](NodeId reader) {
                return group_of(reader).kind == Kind::reduction || (group_of(reader).kind == Kind::elementwise && only_reduced_[size_t(reader.index)]);
            });
        }
    }

    bool reads_directly(const Group &reader, int from, NodeId except = {}) const {
        for (NodeId member : reader.members)
            for (const Edge &edge : edges_[size_t(member.index)])
                if (member != except && group_[size_t(edge.from.index)] == from) return true;
        return false;
    }

    bool reads_through_memory(const Group &reader, int from) const {
        for (NodeId member : reader.members)
            for (const Edge &edge : edges_[size_t(member.index)])
                if (edge.through_memory && group_[size_t(edge.from.index)] == from) return true;
        return false;
    }

    /// Whether a path leaves the two groups and comes back: from the one that comes first to the other. `between_` is what it may pass through.
    bool makes_cycle(int a, int b) {
        const bool in_order = position_[size_t(a)] < position_[size_t(b)];
        const int first = in_order ? a : b, last = in_order ? b : a;
        between_.clear();
        search_++;
        auto leave = [&](int from) {
            for (NodeId member : groups_[size_t(from)].members)
                for (NodeId reader : readers_[size_t(member.index)]) {
                    const int to = group_[size_t(reader.index)];
                    if (to == last && from != first) return true;
                    if (to == first || position_[size_t(to)] >= position_[size_t(last)] || seen_in_[size_t(to)] == search_) continue;
                    seen_in_[size_t(to)] = search_;
                    between_.push_back(to);
                }
            return false;
        };
        leave(first);
        for (size_t next = 0; next < between_.size(); ++next)
            if (leave(between_[next])) return true;
        return false;
    }

    /// After makes_cycle(): group b becomes part of a, behind what lies between them but for what reads the first of them.
    void join_in_order(int a, int b) {
        const int begin = std::min(position_[size_t(a)], position_[size_t(b)]), end = std::max(position_[size_t(a)], position_[size_t(b)]);
        std::vector<int> before, after;
        for (int at = begin + 1; at < end; ++at)
            if (const int group = order_[size_t(at)]; group >= 0) (seen_in_[size_t(group)] == search_ ? after : before).push_back(group);
        before.push_back(a);
        before.insert(before.end(), after.begin(), after.end());
        std::fill(order_.begin() + begin, order_.begin() + end + 1, -1);
        for (size_t i = 0; i < before.size(); ++i) order_[size_t(begin) + i] = before[i], position_[size_t(before[i])] = begin + int(i);
    }

    /// `elsewhere`: the least access that needs a value to be there before.
    bool unite(int a, int b, Kind kind, Access elsewhere = Access::per_line) {
        if (a == b) return true;
        Group &x = groups_[size_t(a)], &y = groups_[size_t(b)];
        if (x.late != y.late || x.members.size() + y.members.size() > kMaxMembers || makes_cycle(a, b)) return false;
        if (reads_through_memory(x, b) || reads_through_memory(y, a) || reads_elsewhere(x, b, elsewhere) || reads_elsewhere(y, a, elsewhere)) return false;
        if (x.kind == Kind::elementwise) {
            x.shape = y.shape;
            x.operand = y.operand;
            x.axes = y.axes;
        }
        x.kind = kind;
        x.members.insert(x.members.end(), y.members.begin(), y.members.end());
        std::sort(x.members.begin(), x.members.end());
        for (NodeId member : y.members) group_[size_t(member.index)] = a;
        y.members.clear();
        join_in_order(a, b);
        return true;
    }

    static bool same_reduction(const Group &a, const Group &b) { return a.operand == b.operand && a.axes == b.axes; }

    /// Reductions over the same axes of the same data, and a pooling with its index and what lies there.
    void unite_siblings() {
        for (int i = 0; i < graph_.size(); ++i)
            for (NodeId second : readers_of({i}))
                for (NodeId first : readers_of({i})) {
                    if (first >= second) continue;
                    const int a = group_[size_t(first.index)], b = group_[size_t(second.index)];
                    const Node &x = graph_[first], &y = graph_[second];
                    const Group &ga = groups_[size_t(a)], &gb = groups_[size_t(b)];
                    // One that needs the other's result must come after it, not with it.
                    if (ga.kind == Kind::reduction && gb.kind == Kind::reduction && same_reduction(ga, gb) && !reads_directly(ga, b) && !reads_directly(gb, a))
                        unite(a, b, Kind::reduction);
                    else if (x.op == Op::max_pool2d && y.op == Op::max_pool2d_index && same_pooling(x, y))
                        unite(a, b, Kind::anchor);
                    else if (x.op == Op::max_pool2d_index && y.op == Op::max_pool2d && same_pooling(x, y))
                        unite(a, b, Kind::anchor);
                    else if (x.op == Op::max_pool2d_index && y.op == Op::window_pick2d && y.operands[1] == first)
                        unite(a, b, Kind::anchor);
                }
    }

    /// Solid nodes that read a node, be it an input.
    const std::vector<NodeId> &readers_of(NodeId id) const { return readers_[size_t(id.index)]; }

    static bool same_pooling(const Node &x, const Node &y) {
        const WindowAttrs &a = attrs<WindowAttrs>(x), &b = attrs<WindowAttrs>(y);
        return x.operands == y.operands && a.window == b.window && a.stride == b.stride && a.padding == b.padding;
    }

    /// A slice is read where it lies.
    bool is_slice(const Group &group) const { return group.members.size() == 1 && graph_[group.members[0]].op == Op::slice; }

    /// Gathered rows are read where they are used, so a kernel may have any number of them, but for those that belong to a thread.
    bool only_gathers(const Group &group) const {
        return std::all_of(group.members.begin(), group.members.end(), [&](NodeId member) {
            return (graph_[member].op == Op::gather_rows && !gathers_in_parts(graph_[member])) || has_trait(graph_[member].op, kElementwise);
        });
    }

    /// Whether a member of one reads a member of the other elsewhere than at its own element.
    bool reads_elsewhere(const Group &reader, int from, Access elsewhere) const {
        for (NodeId member : reader.members)
            for (const Edge &edge : edges_[size_t(member.index)])
                if (edge.access >= elsewhere && group_[size_t(edge.from.index)] == from) return true;
        return false;
    }

    bool fits_rows(const Group &rows, const Group &other) const {
        if (other.kind == Kind::rows) return other.operand == rows.operand;
        if (other.kind == Kind::anchor) return other.shape == rows.operand && only_gathers(other);
        Shape row = rows.operand;
        row.pop_back();
        return other.kind == Kind::elementwise && (other.shape == rows.operand || other.shape == row);
    }

    void join_operands(NodeId id) {
        for (const Edge &edge : edges_[size_t(id.index)]) {
            const int a = group_[size_t(edge.from.index)], b = group_[size_t(id.index)];
            if (a == b || edge.access >= Access::per_line) continue;
            Group &from = groups_[size_t(a)], &to = groups_[size_t(b)];
            if (from.kind == Kind::rows && fits_rows(from, to)) {
                unite(a, b, Kind::rows);
            } else if (to.kind == Kind::rows && fits_rows(to, from)) {
                unite(b, a, Kind::rows);
            } else if (edge.access != Access::pointwise) {
                continue;
            } else if (takes_rows_of_gradient(graph_, graph_[id])) {
                if (from.kind == Kind::elementwise && only_read_by(from, b)) unite(b, a, to.kind);
            } else if (has_trait(graph_[id].op, kElementwise)) {
                join_epilogue(edge.from, id, a, b);
            } else if (to.kind == Kind::reduction && (from.kind == Kind::elementwise || is_slice(from)) && from.shape == to.operand && only_read_by(from, b)) {
                unite(b, a, Kind::reduction);
            }
        }
    }

    void unite_tables() {
        std::vector<NodeId> tables;
        for (int i = 0; i < graph_.size(); ++i)
            if (is_solid({i}) && graph_[{i}].op == Op::set_rows) tables.push_back({i});
        for (NodeId second : tables)
            for (NodeId first : tables) {
                if (first == second) break;
                const Node &x = graph_[first], &y = graph_[second];
                if (x.operands[2] == y.operands[2] && x.type.shape == y.type.shape) unite(group_[size_t(first.index)], group_[size_t(second.index)], Kind::tables);
            }
        for (NodeId id : tables)
            for (const Edge &edge : edges_[size_t(id.index)]) {
                const int a = group_[size_t(edge.from.index)], b = group_[size_t(id.index)];
                const Group &from = groups_[size_t(a)];
                if (a == b || edge.access >= Access::per_line || !only_read_by(from, b)) continue;
                if (from.kind == Kind::elementwise || (from.kind == Kind::anchor && only_gathers(from))) unite(b, a, Kind::tables);
            }
    }

    /// Sums over the rows of what a convolution stores join its kernel, and what is computed of them alone.
    bool join_row_sums(NodeId id) {
        const int b = group_[size_t(id.index)];
        const Group &own = groups_[size_t(b)];
        const bool is_sum = graph_[id].op == Op::reduce_sum && own.kind == Kind::reduction && own.operand.size() == 4 && own.axes == Ints{2};
        const std::vector<Edge> &edges = edges_[size_t(id.index)];
        for (const Edge &edge : edges) {
            const int a = group_[size_t(edge.from.index)];
            if (a == b || edge.access != Access::pointwise) continue;
            const Group &from = groups_[size_t(a)];
            if (is_sum && stores_convolution(from, edge.from) && graph_[edge.from].type.shape == own.operand) {
                if (!unite(a, b, Kind::anchor, Access::other)) return false;
                groups_[size_t(a)].has_row_sums = true;
                return true;
            }
            if (own.kind == Kind::elementwise && from.has_row_sums && own.shape == graph_[edge.from].type.shape && graph_[edge.from].type.rank() == 3 &&
                std::all_of(edges.begin(), edges.end(), [&](const Edge &other) { return group_[size_t(other.from.index)] == a; }))
                return unite(a, b, Kind::anchor, Access::other);
        }
        return false;
    }

    /// Whether others read nothing else of a convolution's group, but for sums over its rows.
    bool stores_convolution(const Group &group, NodeId stored) {
        bool has_convolution = false;
        for (NodeId member : group.members) {
            has_convolution = has_convolution || graph_[member].op == Op::conv2d;
            if (member == stored || graph_[member].type.rank() != 4) continue;
            if (is_result(member)) return false;
            for (NodeId user : readers_[size_t(member.index)])
                if (group_[size_t(user.index)] != group_[size_t(member.index)]) return false;
        }
        return has_convolution;
    }

    /// The elementwise node (its group is b) joins the group of an operand.
    void join_epilogue(NodeId operand, NodeId id, int a, int b) {
        const Group &from = groups_[size_t(a)], &to = groups_[size_t(b)];
        if (graph_[operand].type.shape != graph_[id].type.shape || from.shape != to.shape || from.has_row_sums) return;
        // What only reductions read goes into their loops.
        if (from.kind == Kind::anchor && only_reduced_[size_t(id.index)]) return;
        auto has_anchor = [](const Group &g) { return g.kind != Kind::elementwise; };
        if (has_anchor(from) && has_anchor(to)) {
            if (from.kind == Kind::reduction && to.kind == Kind::reduction && same_reduction(from, to) && !reads_directly(from, b) && !reads_directly(to, a, id))
                unite(a, b, Kind::reduction);
            else if (only_gathers(from) && only_gathers(to))
                unite(a, b, Kind::anchor);
            return;
        }
        for (NodeId member : from.members)
            if (!may_have_epilogue(graph_[member])) return;
        if (has_anchor(to))
            unite(b, a, to.kind);
        else
            unite(a, b, from.kind);
    }

    bool is_result(NodeId id) const { return is_result_[size_t(id.index)]; }

    /// Results, and what is one by way of an alias.
    void find_results() {
        is_result_.assign(graph_.nodes.size(), false);
        for (const Result &result : graph_.results) is_result_[size_t(result.value.index)] = true;
        for (int i = graph_.size(); i-- > 0;)
            if (is_result_[size_t(i)] && roles_.role[size_t(i)] == Role::alias)
                for (NodeId operand : graph_[{i}].operands) is_result_[size_t(operand.index)] = true;
    }

    /// Whether nothing outside the two groups reads a member, and no result is one.
    bool only_read_by(const Group &group, int reader) {
        for (NodeId member : group.members) {
            for (NodeId user : readers_[size_t(member.index)])
                if (group_[size_t(user.index)] != reader && group_[size_t(user.index)] != group_[size_t(member.index)]) return false;
            if (is_result(member)) return false;
        }
        return true;
    }

    // ---- the new graph ----
    /// What `id` is for a member of `group`; recomputed nodes are copied once a group.
    NodeId operand_for(Rewriter &rewriter, NodeId id, int group) {
        if (roles_.role[size_t(id.index)] != Role::recomputed) return rewriter.mapped(id);
        auto [entry, is_new] = copies_.try_emplace({id, group});
        if (!is_new) return entry->second;
        Node node = graph_[id];
        for (NodeId &operand : node.operands) operand = operand_for(rewriter, operand, group);
        node.group = number_of(group);
        const NodeId copy = rewriter.append(std::move(node));
        return copies_[{id, group}] = copy;
    }

    int number_of(int group) { return numbers_.try_emplace(group, int(numbers_.size())).first->second; }

    Graph emit() {
        Rewriter rewriter(graph_);
        for (int i = 0; i < graph_.size(); ++i) {
            const NodeId id{i};
            Node node = graph_[id];
            node.group = -1;
            switch (roles_.role[size_t(i)]) {
                case Role::recomputed: continue;
                case Role::absent:
                    // Inputs and constants; what is dead has dead operands, too.
                    if (!node.operands.empty()) continue;
                    break;
                case Role::host:
                case Role::alias:
                    for (NodeId &operand : node.operands) operand = rewriter.mapped(operand);
                    break;
                case Role::solid: {
                    const int group = group_[size_t(i)];
                    for (NodeId &operand : node.operands) operand = operand_for(rewriter, operand, group);
                    node.group = number_of(group);
                    break;
                }
            }
            rewriter.map(id, rewriter.append(std::move(node)));
        }
        return rewriter.finish();
    }

    const Graph &graph_;
    const Roles roles_;
    std::vector<std::vector<Edge>> edges_;       ///< per solid node: the solid nodes it reads
    std::vector<std::vector<NodeId>> readers_;   ///< the other way
    std::vector<int> group_;
    std::vector<bool> only_reduced_, is_result_;
    std::vector<Group> groups_;
    std::vector<int> order_, position_;  ///< each group comes after what it reads; -1: no group is here
    std::vector<int> seen_in_, between_; ///< by group: the last search that passed it
    int search_ = 0;
    std::map<std::pair<NodeId, int>, NodeId> copies_;
    std::map<int, int> numbers_;                 ///< groups in the order of their first node
};

}  // namespace

Graph fuse(const Graph &graph) { return Fuser(graph).run(); }

}  // namespace kiln
