// Plan: a Module turned into kernels, buffers and an order of calls. Plain data, no pointers into graphs.
//
// A kernel is a small Graph of its own (its "body"): `argument` inputs, `value` results, scalar arguments being rank-0
// inputs. Bodies with the same text are one kernel; the text (without locations) keys the object cache.
// A buffer is a range of one arena. The work arena is shared by all programs (train, update, evaluate, ...) of the plan but those
// that augment, which run beside the others and have an arena of their own; within a program buffers whose lifetimes do not meet
// share bytes.
#pragma once

#include "compiler/ir/module.h"

#include <map>
#include <string>
#include <vector>

namespace kiln {

struct KernelId { int32_t index = -1; bool valid() const { return index >= 0; } auto operator<=>(const KernelId &) const = default; };
struct BufferId { int32_t index = -1; bool valid() const { return index >= 0; } auto operator<=>(const BufferId &) const = default; };

struct Kernel {
    std::string name;       ///< a C symbol, "k_conv2d_3f2a91c0": family and content hash
    std::string family;     ///< "elementwise", "reduction", "matmul", "conv2d", ...
    Graph body;             ///< no locations or scopes: it is shared by its uses
    /// in_place[i] = j: result i may be stored over argument j (same bytes); -1 if not. The kernel must honour it.
    std::vector<int> in_place;
    int64_t flops = 0;
    int64_t bytes = 0;      ///< of arguments and results, each once; of a table whose rows are looked up, these rows
};

struct Buffer {
    std::string arena;      ///< "work", "param", "gradient", "buffer", "state.m", "constant", or a column of the batch:
                            ///< "data:<column>", and for what augments it "raw:<column>" and "augmented:<column>"
    int64_t offset = 0;     ///< bytes
    Type type;
    int first_use = 0, last_use = 0;  ///< calls of its program, both included; work arena only. Results live to the end
    int allocation = -1;    ///< work arena: buffers of one allocation share its bytes on purpose (a reshape is an alias, and so is a piece)
    std::string label{};    ///< what it holds, for people: "Digits/conv_1 relu"
};

/// One run of a kernel.
struct Call {
    KernelId kernel;
    std::vector<BufferId> inputs;    ///< per argument of the body, in order; invalid for a scalar argument
    std::vector<NodeId> scalars;     ///< per argument: the node of Program::scalars giving a scalar argument; invalid for tensors
    std::vector<BufferId> outputs;   ///< per result
    Loc loc;                         ///< of the anchor node, for listings and debug info
    std::string scope;
};

/// A scalar result read back from a rank-0 buffer or computed by the scalar graph.
struct ScalarResult {
    ResultKind kind = ResultKind::scalar;
    std::string name;                ///< "loss", a global, "rate", a statistic
    BufferId buffer;                 ///< valid: load it after the calls (converted to f64)
    NodeId node;                     ///< else: a node of `scalars`
};

/// One graph of the module as calls.
struct Program {
    std::string name;                ///< "train", ...
    Graph scalars;                   ///< rank-0 inputs and the ops between them; run in LLVM code before the calls that need them
    std::vector<Call> calls;
    int commit = 0;                  ///< calls from this index on write storage: they run after the loss was found finite
    std::vector<ScalarResult> scalar_results;
    std::map<std::string, BufferId> samples;  ///< `sample` results: [batch]
    std::map<std::string, BufferId> outputs;  ///< `output` results; `value` results by their position
};

struct Arena {
    std::string name;
    int64_t bytes = 0;               ///< a multiple of 64
};

struct Plan {
    std::vector<Kernel> kernels;
    std::vector<Buffer> buffers;
    std::vector<Arena> arenas;       ///< "work" first, "augment" second if there are programs that augment
    std::vector<uint8_t> constants;  ///< bytes of the "constant" arena
    std::vector<Program> programs;   ///< kernels-bearing graphs
    std::map<std::string, Graph> rules;  ///< scalar-only graphs: rules.step, ...
    int64_t flops_per_sample = 0;    ///< of a training step, forward, backward and update, in the phase with most of them (0 without training)
    int64_t forward_flops_per_sample = 0;
    int64_t peak_bytes = 0;          ///< sum of the arenas

    const Kernel &operator[](KernelId id) const { return kernels[size_t(id.index)]; }
    const Buffer &operator[](BufferId id) const { return buffers[size_t(id.index)]; }
};

/// Memory of intermediate values, in which buffers have lifetimes.
inline bool is_work_arena(std::string_view arena) { return arena == "work" || arena == "augment"; }
/// A column of the current batch; its address comes with each call.
inline bool is_batch_arena(std::string_view arena) { return arena.starts_with("data:") || arena.starts_with("raw:") || arena.starts_with("augmented:"); }
/// "augment", "augment.<phase>": from the columns of a batch to those that the training step reads.
inline bool augments(std::string_view program) { return is_graph_of(program, "augment"); }

/// A kernel that stores a result over an argument is another kernel than one that does not: smaller results are not worth it.
inline constexpr int64_t kLeastSharedBytes = 1 << 20;

/// Plans a module whose graphs went through optimize(). Element by element, results of at least `least_shared_bytes` take the place of
/// arguments that nothing reads later.
Plan make_plan(const Module &module, int64_t least_shared_bytes = kLeastSharedBytes);

/// Bytes between neighbouring elements of an arena: of the widest element type in it. A storage lies at its offset times this.
int64_t arena_element_bytes(const Module &module, std::string_view arena);

/// The plan's program `name` of a phase: "<name>.<phase>" if there is one, else "<name>"; null if there is neither.
const Program *program_of_phase(const Plan &plan, std::string_view name, int phase);
/// Likewise the scalar-only graph `name` of a phase.
const Graph *rule_of_phase(const Plan &plan, const std::string &name, int phase);

/// The listing of `kiln emit plan`.
std::string print(const Plan &plan);

}  // namespace kiln
