// The graph IR: a straight-line program over immutable tensors.
//
// Semantics. A Graph is a list of nodes in an order where every operand precedes its user. A node applies one op of the
// table to its operands and has one result of a static Type. There are no side effects: what a step reads (data, storage,
// scalars) are `input` nodes, what it produces are the graph's `results`. A result of kind `store` becomes the new value of
// a storage tensor after every read of the old one, and after the step's loss has been found finite.
//
// Passes take a Graph by const reference and return a new one. Nodes are addressed by NodeId, an index into `nodes`.
//
// Text form, one node a line; complete: parsing what is printed gives the same graph.
//
//   graph train {
//     %0 = input {kind = data, name = "image"} : f32[64, 784]  @ digits.model:12:9
//     %1 = input {kind = storage, name = "Digits/dense/W"} : f32[784, 10]
//     %2 = matmul %0, %1 : f32[64, 10]  #3  @ digits.model:18:12
//     result output "logits" %2
//   }
#pragma once

#include "compiler/ir/attrs.h"
#include "compiler/ir/op.h"
#include "compiler/ir/types.h"
#include "compiler/support/source.h"

#include <cstdint>
#include <string>
#include <vector>

namespace kiln {

enum Trait : uint32_t { kNone = 0, kElementwise = 1, kCommutative = 2, kView = 4, kReduction = 8, kContraction = 16, kIntegral = 32 };

struct OpInfo {
    const char *name;
    int arity;  ///< -1: one or more
    uint32_t traits;
    Attrs default_attrs;  ///< holds the attribute alternative of this op
};
const OpInfo &info(Op op);
inline bool has_trait(Op op, Trait trait) { return (info(op).traits & trait) != 0; }
inline constexpr int kOpCount = 0
#define OP(name, arity, attributes, traits) +1
#include "compiler/ir/ops.def"
#undef OP
    ;

/// Index of a node in its graph.
struct NodeId {
    int32_t index = -1;
    bool valid() const { return index >= 0; }
    auto operator<=>(const NodeId &) const = default;
};

struct Node {
    Op op = Op::constant;
    Attrs attrs;
    std::vector<NodeId> operands;
    Type type;
    Loc loc;
    std::string scope;  ///< layer path, "Digits/conv_1"; empty outside layers. For messages and `kiln emit`
    int group = -1;     ///< set by the fusion pass: nodes of one group become one kernel; -1 before fusion, and for scalars
};

/// What a graph produces.
enum class ResultKind : uint8_t {
    loss,    ///< rank 0, the mean loss of the batch; at most one
    sample,  ///< [batch]: one value per sample, summed over the valid samples in evaluation ("loss", a metric)
    output,  ///< an output of the model, [batch, ..]
    store,   ///< new value of a storage tensor or an arena, by the name its input uses
    scalar,  ///< rank 0: new value of a named scalar (a global, `rate`, a reported metric)
    value,   ///< a result of a kernel body or of a test graph, by position
};

struct Result {
    ResultKind kind = ResultKind::value;
    std::string name;
    NodeId value;
};

struct Graph {
    std::string name;
    std::vector<Node> nodes;
    std::vector<Result> results;

    const Node &operator[](NodeId id) const { return nodes[size_t(id.index)]; }
    Node &operator[](NodeId id) { return nodes[size_t(id.index)]; }
    int size() const { return int(nodes.size()); }
};

template <typename A> const A &attrs(const Node &node) { return std::get<A>(node.attrs); }

/// A constant with one value everywhere; it is written into kernel bodies instead of being passed.
bool is_splat(const Node &node);
/// One with this value.
bool is_splat(const Node &node, double value);

/// Whether a value is another, or computed from it.
bool depends_on(const Graph &graph, NodeId value, NodeId on);

/// users[i]: the nodes that have node i as an operand, ascending, each once.
std::vector<std::vector<NodeId>> users_of(const Graph &graph);

/// Dead code elimination: without the nodes that no result depends on; ids are renumbered.
Graph dce(const Graph &graph);

}  // namespace kiln
