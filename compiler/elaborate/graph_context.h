// A graph under construction, with what elaboration remembers about its nodes.
#pragma once

#include "compiler/ir/graph.h"
#include "compiler/ops/builder.h"
#include "compiler/support/source.h"

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace kiln {

struct GraphContext {
    Graph graph;
    Builder builder{graph};
    bool training = false;                                 ///< the value of `training`
    bool scalar_only = false;                              ///< a rule: rank-0 values only

    std::map<std::string, NodeId> inputs;                  ///< by kind and name: each is read by one node
    std::map<std::string, NodeId> current;                 ///< cells written so far, by kind and name: their newest value, in this branch
    std::set<std::string> written;                         ///< cells written in any branch
    std::vector<Result> writes;                            ///< these, in order of the first write
    std::map<int32_t, std::vector<SourceRange>> origins;   ///< node -> where each of its extents was written
    std::map<int32_t, int64_t> classes;                    ///< node -> number of classes of a label
    std::map<std::string, int> random_streams;             ///< streams drawn so far, by layer path
    std::set<int32_t> asked_shapes;                        ///< nodes whose shape a definition looked at: see the update graph

    explicit GraphContext(std::string name) { graph.name = std::move(name); }
    GraphContext(const GraphContext &) = delete;

    NodeId input(InputKind kind, const std::string &name, const Type &type);
    NodeId read(InputKind kind, const std::string &name, const Type &type);
    void write(InputKind kind, const std::string &name, NodeId value);
    /// What read() gives from now on, without a write.
    void set(InputKind kind, const std::string &name, NodeId value);
    bool is_known(InputKind kind, const std::string &name) const;
    /// n of integers in [0, n): a label, one of these or a constant, a remainder or quotient by a constant, the place of a maximum; nothing if it is not known.
    std::optional<int64_t> classes_of(NodeId node) const;
    /// The graph with its writes as results, without nodes that reach no result.
    Graph finish();
};

}  // namespace kiln
