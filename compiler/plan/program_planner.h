// One graph of a module -> one program of the plan: units (future calls), their order, their buffers.
#pragma once

#include "compiler/plan/body.h"
#include "compiler/plan/layout.h"
#include "compiler/plan/plan.h"

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace kiln {

/// What the programs of a plan share while it is made.
struct PlanParts {
    const Module &module;
    Plan &plan;
    int64_t least_shared_bytes;
    std::map<std::string, KernelId> kernels_by_name;
    std::map<std::pair<std::string, std::string>, BufferId> shared_buffers;  ///< storage, data, constants: (place, type)
};

/// What does not outlive the step (gradients, augmented columns) may be written before the loss was checked.
inline bool is_transient(const ByteRange &range) { return range.arena == "gradient" || range.arena.starts_with("augmented:"); }

class ProgramPlanner {
public:
    ProgramPlanner(PlanParts &parts, const Graph &graph);
    /// Returns the program; its buffers and kernels are added to the plan.
    Program run();

private:
    /// Where a value lies in a joined tensor that nothing has to move together.
    struct Place {
        NodeId joined;
        int64_t offset = 0;
    };
    /// A tensor that is joined of values which units store at their places in it.
    struct Joined {
        std::vector<NodeId> parts;     ///< what is stored there, and
        std::vector<int> copies;       ///< the units that copy the others
        int allocation = -1;           ///< when one is stored
    };
    /// A value a unit makes, and where: in a storage, or (no target) in the work arena.
    struct Output {
        NodeId value;
        std::optional<ByteRange> target;
        std::optional<Place> place{};
        BufferId buffer{};
    };
    /// A future call: a group of nodes, or a copy (no members) of `source`.
    struct Unit {
        std::vector<NodeId> members;
        std::vector<NodeId> reads;  ///< tensors from outside
        std::vector<Output> outputs;
        NodeId source;            ///< of a copy
        int source_unit = -1;     ///< of a copy of what another unit keeps in the work arena
        bool late = false;        ///< runs after the loss was found finite
        int priority = 0;
        std::set<int> needs;      ///< units that make what this one reads
        std::set<int> after;      ///< units that read what this one overwrites
    };

    void find_live();
    void find_joined();
    void make_units();
    void make_copies_and_targets();
    void find_dependencies();
    void order_units();
    void make_calls();
    void finish_results();
    void assign_work_arena();

    NodeId root(NodeId id) const;      ///< through aliases
    int64_t offset_in_root(NodeId id) const;
    /// Its root and, if that is joined, those of its parts.
    std::vector<NodeId> roots_of(NodeId id) const;
    /// The units that a value is there after.
    std::vector<int> makers_of(NodeId id) const;
    bool is_alias(NodeId id) const;
    bool is_alone(NodeId id) const;    ///< in its group
    bool writes_in_place(const Unit &unit, size_t output) const;
    std::vector<NodeId> reads_of(const Unit &unit) const;
    std::vector<NodeId> results_of(const Unit &unit) const;
    const char *work_arena() const { return augments(graph_.name) ? "augment" : "work"; }
    /// Where a result is to be stored: a storage, or a column that the training step reads.
    std::optional<ByteRange> target_of(const Result &result) const;
    const std::optional<ByteRange> &input_range(NodeId id) const { return input_ranges_[size_t(id.index)]; }
    int add_copy(NodeId source, int source_unit, std::optional<ByteRange> target, bool late);
    void demote(int unit);
    void add_anti_dependencies(int unit);
    BufferId buffer_of(NodeId id);
    BufferId add_buffer(Buffer buffer);
    BufferId shared_buffer(const std::string &arena, int64_t offset, const Type &type, const std::string &label);
    BufferId constant_buffer(const Node &node);
    NodeId scalar_node(NodeId id);
    /// Of every value that units read, the last that does; past the last unit for results.
    std::map<NodeId, int> last_readers() const;
    /// The argument whose bytes a result may take over: one that nobody reads later, element for element where the result is written.
    int dying_argument(const Body &body, size_t result, const Call &call, const std::map<NodeId, int> &last_readers, int index) const;
    void use(BufferId buffer, int call);

    PlanParts &parts_;
    const Graph &graph_;
    std::vector<bool> host_, live_, early_;
    std::vector<std::optional<ByteRange>> input_ranges_;  ///< per node: of storage inputs
    std::map<int, int> group_sizes_;
    std::set<NodeId> result_slices_;    ///< results are whole buffers: these are no aliases
    std::map<NodeId, Joined> joined_;
    std::map<NodeId, Place> places_;    ///< of parts of joined tensors
    std::vector<Unit> units_;
    std::vector<int> unit_of_;          ///< per node
    std::vector<int> order_;
    std::map<int, int> result_copies_;  ///< result index -> copy unit
    std::map<NodeId, BufferId> buffers_;
    std::map<NodeId, NodeId> scalars_;
    std::vector<Allocation> allocations_;
    std::vector<BufferId> work_buffers_;
    Program program_;
};

}  // namespace kiln
