// What passes over updates share: an update is read as what it does to ranges of the parameters and states, and written anew with some parameters
// taken out of their range.
#pragma once

#include "compiler/ir/module.h"
#include "compiler/ops/builder.h"

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace kiln {

/// A range of an arena that is laid out like the parameters: "param", "gradient", "touched", "state.m".
struct Place {
    std::string arena;
    int64_t begin = 0, end = 0;
    bool is_at(const Place &other) const { return begin == other.begin && end == other.end; }
    bool overlaps(const Storage &param) const { return begin < param.offset + param.type.elements() && param.offset < end; }
};

/// Where an input or a store of an update lies; nothing if it is no parameter, gradient or state.
std::optional<Place> place_of(const Module &module, const std::string &name);

/// An input that is a storage or a range of an arena.
bool is_storage_input(const Node &node);

/// What an update graph does to one range of the parameters and states.
struct Region {
    Place place;
    std::vector<size_t> results;
    std::set<NodeId> nodes;  ///< those that compute the new values, element by element, and the inputs they read
    bool local = true;       ///< there is nothing else to it but scalars
    bool reads_touched = false;
};

std::vector<Region> find_regions(const Module &module, const Graph &update);

/// Whether anything but the element by element update of a region looks at the gradient of a parameter: a norm, a statistic.
bool needs_dense_gradient(const Module &module, const Graph &update, const std::vector<Region> &regions, const Storage &param);

/// The updates that follow a training graph: of the phases that run it.
std::set<std::string> updates_after(const Module &module, const std::string &train);

/// Writes one update graph anew. What it does to a region element by element is made of parts: of the parameters that are taken out of it, and of the ranges that
/// remain between them.
class UpdateRewriter {
public:
    UpdateRewriter(const Module &module, const Graph &update, std::vector<Region> regions);
    virtual ~UpdateRewriter() = default;
    Graph run();

protected:
    /// A part of a region: a range of it, or a view of a parameter in it.
    struct Piece {
        const Storage *param = nullptr;  ///< none: a range
        int view = 0;                    ///< of the parameter, if there are several
        int64_t begin = 0, end = 0;      ///< of a range
        auto operator<=>(const Piece &) const = default;
    };

    /// Whether this parameter is taken out of a region.
    virtual bool takes_out(const Region &region, const Storage &param) const = 0;
    /// What is stored of a parameter that was taken out, or of its state, instead of `value`, a node of the old graph.
    virtual NodeId new_value(const Region &region, const Storage &param, NodeId value) = 0;
    virtual Shape shape_of_view(const Piece &piece) const = 0;
    /// What an input of a region from this arena is for a view.
    virtual NodeId input_of_view(const Piece &piece, const std::string &arena, const Type &type) = 0;
    virtual NodeId operation(const Piece &piece, const Node &node, const std::vector<NodeId> &operands);
    /// An input outside of regions that are local.
    virtual NodeId copied_input(const Node &node);

    /// A node of a region, for a piece of it.
    NodeId instance(const Piece &piece, const Region &region, NodeId old);
    /// What lies at the parameter's place in an arena: the parameter, or a state of it.
    const Storage &stored_at(const std::string &arena, const Storage &param) const;
    /// Each input is read by one node.
    NodeId input(InputKind kind, const std::string &name, const Type &type);
    NodeId copy_of(const Graph &graph, NodeId id, std::map<NodeId, NodeId> &done);
    /// What is built next comes from here.
    void enter(const Node &node);
    const Graph &update() const { return update_; }
    const Module &module() const { return module_; }
    Builder &builder() { return builder_; }
    const Graph &result() const { return result_; }

private:
    void update_region(const Region &region, const Result &result);
    Shape shape_of(const Piece &piece, const Node &node) const;
    NodeId input_of(const Piece &piece, const Region &region, const Node &node, const Type &type);
    NodeId copy(NodeId id) { return copy_of(update_, id, copies_); }

    const Module &module_;
    const Graph &update_;
    const std::vector<Region> regions_;
    Graph result_;
    Builder builder_;
    std::map<std::pair<Piece, NodeId>, NodeId> instances_;
    std::map<std::pair<InputKind, std::string>, NodeId> inputs_;
    std::map<NodeId, NodeId> copies_;
};

}  // namespace kiln
