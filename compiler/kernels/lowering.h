// Lowering: a kernel body -> Halide Funcs.
//
// Every value of the body is a function from coordinates to an expression. Elementwise ops and views stay expressions and are
// computed wherever they are used; reductions, contractions and the like become Funcs with storage of their own. One rule per
// op, `lower_<op>` in kernels/<family>.cpp, declared here for every line of ops.def: a missing rule does not link.
//
// Coordinates are in the tensor's axis order, outermost first. Halide's Funcs have their dimensions innermost first; only
// `call` and `declare_vars` know that.
#pragma once

#include "compiler/ir/graph.h"
#include "compiler/kernels/lowered_passes.h"
#include "compiler/plan/plan.h"

#include <halide14/Halide.h>

#include <algorithm>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace kiln {

using Halide::Expr;
using Halide::Func;
using Halide::Var;
using Coordinates = std::vector<Expr>;

/// Booleans are Bool in expressions and one byte in memory.
Halide::Type expression_type(DType dtype);
Halide::Type storage_type(DType dtype);
Expr to_storage(Expr value);
Expr from_storage(Expr value, DType dtype);

/// A term of an update over `domain`. Halide repeats an update for each position of a domain only if a variable of it occurs, so a term that is the same at all of
/// them is made to mention one.
Expr in_domain(const Halide::RDom &domain, const Expr &term);
/// A constant whose value LLVM does not know: infinities, which the arithmetic of kernels may take for impossible, and divisors without a reciprocal.
Expr hidden(Expr constant);
/// The 0 of hidden_constants.ll that hides them.
inline constexpr const char *kHiddenZero = "hidden_zero";
inline Expr index_expr(int64_t value) { return Expr(int32_t(value)); }

/// A value of a Func; of several the one of this index.
Expr element(const Halide::FuncRef &at, int index);
/// The same at coordinates in axis order.
Expr call(Func f, const Coordinates &at, int tuple_index = 0);
/// Defines a Func, or an update of it: one value, or a Tuple of several.
void define(Halide::FuncRef at, const std::vector<Expr> &values);
/// Tensor axis order -> Halide order.
template <typename T> std::vector<T> reversed(const std::vector<T> &v) { return {v.rbegin(), v.rend()}; }

/// The loop nest that stores one or several tensors of one shape: a result of the kernel, or an intermediate with storage.
struct Consumer {
    Func func;
    std::vector<Var> axes;   ///< tensor axis order
    Shape shape;
    bool updates = false;    ///< in place: the values are stored by update 0 over an undefined pure stage
    bool is_output = false;
    bool is_scheduled = false;
    Consumer *within = nullptr;  ///< whose tasks compute `func` part by part, before they read it; its loops are scheduled with this one's
    Expr first_of_task{};        ///< where the part of a task begins in the tensor, an expression of the lowered kernel
    Halide::Stage stage() { return updates ? func.update(0) : Halide::Stage(func); }
};

class Lowering {
public:
    /// `flatten`: arguments are declared with collapsed dimensions (only their address is read then).
    Lowering(const Kernel &kernel, const Halide::Target &target, bool flatten, bool direct_convolutions = false);

    const Graph &body() const { return body_; }
    const Node &node(NodeId id) const { return body_[id]; }
    const Shape &shape(NodeId id) const { return body_[id].type.shape; }
    const Halide::Target &target() const { return target_; }
    bool direct_convolutions() const { return direct_convolutions_; }
    /// Vector width for the widest element type of the body.
    int lanes() const { return lanes_; }

    Expr value(NodeId id, const Coordinates &at);
    /// What an input of rank 0 is, for a body that is lowered inside another kernel: the scalar graph of a comprehension.
    void bind(NodeId id, Expr value) { bound_[id.index] = std::move(value); }
    /// Like value, but what costs more than a load is computed once into storage of its own.
    Expr stored_value(NodeId id, const Coordinates &at);
    /// How often operands and results of the body name a node.
    int uses(NodeId id) const;
    /// True if the node is read without arithmetic: an input behind views that only rename coordinates.
    bool is_plain(NodeId id) const;

    /// The Func that holds a node, made by `build` the first time.
    template <typename Build> Func storage_of(NodeId id, Build build) {
        auto found = stored_.find(id.index);
        if (found != stored_.end()) return found->second;
        Func made = build();
        stored_.emplace(id.index, made);
        return made;
    }
    bool is_stored(NodeId id) const { return stored_.count(id.index) > 0; }
    /// The Func that holds a node; several nodes may be held by the elements of one Tuple, in the order of `held_by`.
    void store(NodeId id, Func func) { stored_.emplace(id.index, func); }
    Func stored(NodeId id) const { return stored_.at(id.index); }
    std::vector<NodeId> held_by(const Func &func) const;
    /// A name unique to the kernel: "conv2d_4_padded".
    std::string name(NodeId id, const char *suffix = "") const;
    /// Vars of a Func holding the node, in axis order, and as coordinates.
    std::vector<Var> declare_vars(NodeId id) const;

    /// The one contraction whose users are elementwise up to the results: it is computed inside the results' loops.
    bool is_fused(NodeId id) const { return fused_anchor_ == id; }
    /// Something is computed of the fused contraction before it is stored.
    bool has_epilogue(NodeId id) const;
    /// Some result is stored over an argument, each element once.
    bool stores_in_place() const { return std::any_of(kernel_.in_place.begin(), kernel_.in_place.end(), [](int argument) { return argument >= 0; }); }
    /// Hook of the fused anchor: schedules the results' loop nest.
    std::function<void(Consumer &)> schedule_fused;

    /// The name of the buffer that a node is, "" if it is no argument.
    std::string buffer_of(NodeId id) const;
    /// A statement in front of a loop. The loop's name, and what the statement reads, are those of the lowered kernel; it is left out where
    /// something it reads is not known.
    void before_loop(const std::string &loop, Halide::Internal::Stmt statement) { before_loops_[loop] = std::move(statement); }
    /// The same at the beginning of each pass of a loop.
    void in_loop(const std::string &loop, Halide::Internal::Stmt statement) { in_loops_[loop] = std::move(statement); }

    void in_one_loop(PartLoops loops) { part_loops_.push_back(std::move(loops)); }
    /// For arguments that results 0, 1, .. of a Func are stored over: the names of both.
    std::map<std::string, std::string> overwritten_buffers(const std::vector<NodeId> &results, const Func &func) const;

    /// Builds everything and compiles to a Halide module with one function named like the kernel.
    Halide::Module lower(const std::string &function_name);

private:
    void declare_arguments();
    void find_fused_anchor();
    void build_results();
    /// Of a Func that is a result: the extents and strides of its buffers.
    static void set_result_bounds(Func func, const std::vector<Var> &axes, const Shape &shape);
    /// The results of a body that stores a contraction and sums over its rows.
    void build_summed_rows();
    /// The argument that a result is stored over, or -1.
    int overwritten_by(int result) const { return size_t(result) < kernel_.in_place.size() ? kernel_.in_place[size_t(result)] : -1; }
    bool sets_rows_in_place(const std::vector<int> &results) const;
    bool gathers_in_parts(const std::vector<int> &results) const;
    /// The values of an update over a Tuple are all computed before the first is stored only if Halide sees that they depend on each
    /// other, and Halide 14 looks for loads outside of calls alone: of p - g / sqrt(v) it misses v, stores the new v first and reads that
    /// instead of the old one. Gives every value a dependence it does see on every overwritten one.
    void order_loads_before_stores(std::vector<Expr> &values, const std::vector<Expr> &own_values);
    void permute_results(Halide::Internal::LoweredFunc &function) const;

    Kernel kernel_;
    Graph body_;
    Halide::Target target_;
    bool direct_convolutions_ = false;
    int lanes_ = 1;
    NodeId fused_anchor_;
    NodeId summed_rows_;                           ///< the result whose rows are summed up where they are computed
    Func rows_;                                    ///< that computes it, and the buffer of which its memory is a piece, from this element on
    std::string rows_result_;
    Expr rows_first_;

    std::vector<Halide::Argument> arguments_;
    std::map<int, Halide::ImageParam> images_;     ///< by node
    std::map<int, Halide::Internal::Parameter> scalars_;
    std::map<int, int> argument_index_;            ///< node -> position
    std::map<int, Func> stored_;
    std::map<int, Expr> bound_;
    std::map<std::pair<int, std::vector<const Halide::Internal::IRNode *>>, Expr> memo_;
    std::vector<Coordinates> alive_;               ///< keeps the keys of memo_ valid

    std::vector<Func> outputs_;
    std::vector<int> result_order_;                ///< results in the order of Halide's output buffers
    /// While a result is built: its coordinates, and for arguments it is stored over, where to read them.
    Coordinates own_at_;
    std::map<int, Expr> own_values_;
    std::map<std::string, Halide::Internal::Stmt> before_loops_, in_loops_;
    std::vector<PartLoops> part_loops_;
    bool uses_never_ = false;                      ///< order_loads_before_stores() added an argument
};

/// The result, a contraction with its epilogue over [N, H, W, C], of which other results are computed from sums over W; or an invalid id.
NodeId find_summed_rows(const Graph &body);
/// Makes and stores the sums over W of a body whose results `rows` are stored by the Func that holds it.
void build_row_sums(Lowering &l, NodeId rows, Consumer &results);

/// int prefetch_line(void *base, int offset): asks for the line at an offset in bytes, to be read from the second cache, or to be stored to.
extern const char *const kPrefetchLine, *const kPrefetchLineToStore;

/// A value that Halide does not take apart to simplify what it is part of.
Expr as_it_is(const Expr &value);

/// gather_rows by the parts of the table: the consumer's Func, whose definition this is. Schedules it.
void gather_rows_in_parts(Lowering &l, NodeId id, Consumer &consumer);

/// set_rows of several nodes by one index, each stored over an argument. The consumer's Func is what is stored there: undefined, or with
/// `stores_others` a first update makes the rows that are not set. Adds the update that sets rows and schedules all.
void set_rows_in_place(Lowering &l, const std::vector<NodeId> &ids, bool stores_others, Consumer &consumer);

#define OP(name, arity, attributes, traits) Expr lower_##name(Lowering &l, NodeId id, const Coordinates &at);
#include "compiler/ir/ops.def"
#undef OP

}  // namespace kiln
