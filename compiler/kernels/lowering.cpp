#include "compiler/kernels/lowering.h"

#include "compiler/kernels/collapse.h"
#include "compiler/kernels/quotient.h"
#include "compiler/kernels/schedule.h"
#include "compiler/support/check.h"

#include <algorithm>

namespace kiln {

using namespace Halide;

/// vector_math.ll as bitcode, made by the build.
extern const std::vector<uint8_t> kVectorMath;
/// prefetch.ll likewise.
extern const std::vector<uint8_t> kPrefetch;
/// hidden_constants.ll likewise.
extern const std::vector<uint8_t> kHiddenConstants;

Halide::Type expression_type(DType dtype) { return dtype == DType::boolean ? Bool() : storage_type(dtype); }

Halide::Type storage_type(DType dtype) {
    switch (dtype) {
        case DType::f32: return Float(32);
        case DType::f64: return Float(64);
        case DType::i32: return Int(32);
        case DType::i64: return Int(64);
        case DType::u8:
        case DType::boolean: return UInt(8);
    }
    KILN_UNREACHABLE("element type {}", int(dtype));
}

Expr to_storage(Expr value) { return value.type().is_bool() ? cast<uint8_t>(value) : value; }
Expr from_storage(Expr value, DType dtype) { return dtype == DType::boolean ? value != cast<uint8_t>(0) : value; }

Expr in_domain(const Halide::RDom &domain, const Expr &term) {
    for (int i = 0; i < domain.dimensions(); i++)
        if (Internal::expr_uses_var(term, domain[i].name())) return term;
    return select(domain[0] >= 0, term, Internal::make_zero(term.type()));
}

Expr element(const FuncRef &at, int index) { return at.size() == 1 ? Expr(at) : Expr(at[index]); }

Expr call(Func f, const Coordinates &at, int tuple_index) { return element(f(reversed(at)), tuple_index); }

void define(FuncRef at, const std::vector<Expr> &values) {
    if (values.size() == 1) at = values[0];
    else at = Tuple(values);
}

static Expr dispatch(Lowering &l, NodeId id, const Coordinates &at) {
    switch (l.node(id).op) {
#define OP(name, arity, attributes, traits) \
    case Op::name: return lower_##name(l, id, at);
#include "compiler/ir/ops.def"
#undef OP
    }
    KILN_UNREACHABLE("op {}", int(l.node(id).op));
}

Lowering::Lowering(const Kernel &kernel, const Target &target, bool flatten, bool direct_convolutions)
    : kernel_(kernel), body_(flatten ? collapse_dimensions(kernel.body) : kernel.body), target_(target), direct_convolutions_(direct_convolutions) {
    int64_t widest = 1;
    for (const Node &node : body_.nodes) {
        KILN_CHECK(node.type.elements() < (int64_t(1) << 31), "a tensor of {} elements in kernel {}", node.type.elements(), kernel.name);
        if (node.type.rank() > 0) widest = std::max(widest, size_of(node.type.dtype));
    }
    lanes_ = target.natural_vector_size(UInt(int(widest) * 8));
    find_fused_anchor();
}

std::string Lowering::name(NodeId id, const char *suffix) const {
    return fmt::format("{}_{}{}{}", info(node(id).op).name, id.index, *suffix ? "_" : "", suffix);
}

std::string Lowering::buffer_of(NodeId id) const {
    const auto image = images_.find(id.index);
    return image == images_.end() ? "" : image->second.name();
}

std::vector<NodeId> Lowering::held_by(const Func &func) const {
    std::vector<NodeId> nodes;
    for (const auto &[index, holder] : stored_)
        if (holder.name() == func.name()) nodes.push_back({index});
    return nodes;
}

std::vector<Var> Lowering::declare_vars(NodeId id) const {
    std::vector<Var> vars;
    for (int axis = 0; axis < node(id).type.rank(); axis++) vars.emplace_back(fmt::format("a{}", axis));
    return vars;
}

Expr Lowering::value(NodeId id, const Coordinates &at) {
    KILN_CHECK(int(at.size()) == node(id).type.rank(), "{} coordinates for {}", at.size(), to_string(node(id).type));
    if (auto bound = bound_.find(id.index); bound != bound_.end()) return bound->second;
    if (auto scalar = scalars_.find(id.index); scalar != scalars_.end()) {
        Expr parameter = Internal::Variable::make(scalar->second.type(), scalar->second.name(), scalar->second);
        return from_storage(parameter, node(id).type.dtype);
    }
    if (auto image = images_.find(id.index); image != images_.end()) {
        if (auto own = own_values_.find(id.index); own != own_values_.end()) {
            bool same = true;
            for (size_t i = 0; i < at.size(); i++) same = same && at[i].same_as(own_at_[i]);
            if (same) return own->second;
        }
        return from_storage(image->second(reversed(at)), node(id).type.dtype);
    }
    if (id == summed_rows_ && rows_.defined()) return from_storage(call(rows_, at), node(id).type.dtype);
    std::vector<const Internal::IRNode *> key;
    for (const Expr &e : at) key.push_back(e.get());
    auto memo = memo_.find({id.index, key});
    if (memo != memo_.end()) return memo->second;
    alive_.push_back(at);
    Expr result = dispatch(*this, id, at);
    memo_[{id.index, key}] = result;
    return result;
}

int Lowering::uses(NodeId id) const {
    int64_t count = std::count_if(body_.results.begin(), body_.results.end(), [&](const Result &result) { return result.value == id; });
    for (const Node &node : body_.nodes) count += std::count(node.operands.begin(), node.operands.end(), id);
    return int(count);
}

bool Lowering::has_epilogue(NodeId id) const { return is_fused(id) && !users_of(body_)[size_t(id.index)].empty(); }

bool Lowering::is_plain(NodeId id) const {
    const Node &n = node(id);
    if (stored_.count(id.index)) return true;
    if (n.op == Op::input) return true;
    if (n.op == Op::constant) return n.type.rank() == 0;
    if (n.op == Op::transpose || n.op == Op::broadcast || n.op == Op::slice || n.op == Op::reverse) return is_plain(n.operands[0]);
    if (n.op == Op::reshape) return is_plain(n.operands[0]) && element_count(n.type.shape) == int64_t(1);
    return false;
}

Expr Lowering::stored_value(NodeId id, const Coordinates &at) {
    if (is_plain(id)) return value(id, at);
    Func f = storage_of(id, [&] {
        Consumer c{Func(name(id, "value")), declare_vars(id), shape(id)};
        Coordinates here(c.axes.begin(), c.axes.end());
        c.func(reversed(c.axes)) = to_storage(value(id, here));
        c.func.compute_root();
        schedule_loops(*this, c);
        return c.func;
    });
    return from_storage(call(f, at), node(id).type.dtype);
}

void Lowering::find_fused_anchor() {
    std::vector<std::vector<NodeId>> users = users_of(body_);
    std::vector<bool> is_result(body_.nodes.size(), false);
    if (body_.results.empty()) return;
    const bool is_in_place = std::any_of(kernel_.in_place.begin(), kernel_.in_place.end(), [](int argument) { return argument >= 0; });
    if (!is_in_place) summed_rows_ = find_summed_rows(body_);
    const Shape &shape = body_[summed_rows_.valid() ? summed_rows_ : body_.results[0].value].type.shape;
    for (const Result &result : body_.results) {
        if (summed_rows_.valid() && result.value != summed_rows_) continue;
        is_result[size_t(result.value.index)] = true;
        if (body_[result.value].type.shape != shape) return;
    }
    // open[i]: every path from node i to a result is elementwise.
    std::vector<bool> open(body_.nodes.size(), false);
    for (int i = body_.size() - 1; i >= 0; i--) {
        if (body_.nodes[size_t(i)].type.shape != shape) continue;
        bool all = true;
        for (NodeId user : users[size_t(i)]) all = all && has_trait(body_[user].op, kElementwise) && open[size_t(user.index)];
        all = all || summed_rows_ == NodeId{i};
        open[size_t(i)] = all && (is_result[size_t(i)] || !users[size_t(i)].empty());
        if (open[size_t(i)] && has_trait(body_.nodes[size_t(i)].op, kContraction) && !fused_anchor_.valid()) fused_anchor_ = {i};
    }
    if (!fused_anchor_.valid()) summed_rows_ = {};
}

void Lowering::declare_arguments() {
    int position = 0;
    for (int i = 0; i < body_.size(); i++) {
        const Node &n = body_.nodes[size_t(i)];
        if (n.op != Op::input) continue;
        std::string argument = fmt::format("argument{}", position);
        argument_index_[i] = position++;
        Halide::Type type = storage_type(n.type.dtype);
        if (n.type.rank() == 0 && kiln::attrs<InputAttrs>(n).name.starts_with("scalar")) {
            Internal::Parameter parameter(type, false, 0, argument);
            scalars_[i] = parameter;
            arguments_.emplace_back(argument, Argument::InputScalar, type, 0, ArgumentEstimates{});
            continue;
        }
        ImageParam image(type, n.type.rank(), argument);
        set_dense_bounds(image, n.type.shape);
        images_[i] = image;
        arguments_.push_back(image);
    }
}

namespace {

/// A scalar that is false, and that Halide does not know to be: what it selects is a dependence on paper only. It is an argument until
/// the kernel is lowered, and the constant afterwards.
const char *const kNever = "never";

/// See as_it_is(): its argument when Halide has simplified the rest.
const char *const kAsItIs = "as_it_is";

/// What Halide must not see, or has no form for, is written when it has simplified the rest.
class AfterSimplification : public Internal::IRMutator {
public:
    using Statements = std::map<std::string, Internal::Stmt>;
    AfterSimplification(const Target &target, const Statements &before_loops, const Statements &in_loops)
        : wide_(target.has_feature(Target::AVX512)), before_loops_(before_loops), in_loops_(in_loops) {}
    bool calls_vector_math() const { return calls_vector_math_; }
    bool calls_prefetch() const { return calls_prefetch_; }
    bool has_hidden_constants() const { return has_hidden_constants_; }
    Internal::Stmt rewritten(const Internal::LoweredFunc &function) {
        known_ = {};
        for (const Internal::LoweredArgument &argument : function.args) known_.push(argument.name);
        return mutate(function.body);
    }

private:
    using IRMutator::visit;
    Expr visit(const Internal::Variable *variable) override { return variable->name == kNever ? Internal::const_false() : Expr(variable); }
    Expr visit(const Internal::Call *call) override {
        const bool is_wide = wide_ && call->type.is_float() && call->type.bits() == 32 && call->type.lanes() % 16 == 0;
        if (is_wide && (is_quotient(*call) || call->name == "sqrt_f32")) calls_vector_math_ = true;
        has_hidden_constants_ |= call->name == kHiddenZero;
        if (call->name == kAsItIs) return mutate(call->args[0]);
        if (!is_quotient(*call)) return IRMutator::visit(call);
        std::vector<Expr> arguments;
        for (const Expr &argument : call->args) arguments.push_back(mutate(argument));
        return written_out(*call, arguments, !is_wide);
    }
    Internal::Stmt visit(const Internal::LetStmt *let) override {
        Internal::ScopedBinding<> known(known_, let->name);
        return IRMutator::visit(let);
    }
    Internal::Stmt visit(const Internal::For *loop) override {
        Internal::Stmt result;
        {
            Internal::ScopedBinding<> known(known_, loop->name);
            const auto inside = in_loops_.find(loop->name);
            result = IRMutator::visit(loop);
            if (inside != in_loops_.end() && is_known(inside->second)) {
                const Internal::For *made = result.as<Internal::For>();
                calls_prefetch_ = true;
                result = Internal::For::make(made->name, made->min, made->extent, made->for_type, made->device_api, Internal::Block::make(inside->second, made->body));
            }
        }
        const auto before = before_loops_.find(loop->name);
        if (before == before_loops_.end() || !is_known(before->second)) return result;
        calls_prefetch_ = true;
        return Internal::Block::make(before->second, result);
    }

    bool is_known(const Internal::Stmt &statement) {
        class Reads : public Internal::IRVisitor {
        public:
            explicit Reads(const Internal::Scope<> &known) : known_(known) {}
            bool all_known = true;

        private:
            using IRVisitor::visit;
            void visit(const Internal::For *loop) override {
                own_.insert(loop->name);
                IRVisitor::visit(loop);
            }
            void visit(const Internal::Variable *variable) override { all_known = all_known && (known_.contains(variable->name) || own_.count(variable->name) > 0); }
            const Internal::Scope<> &known_;
            std::set<std::string> own_;
        } reads(known_);
        statement.accept(&reads);
        return reads.all_known;
    }
    bool wide_, calls_vector_math_ = false, calls_prefetch_ = false, has_hidden_constants_ = false;
    const Statements &before_loops_, &in_loops_;
    Internal::Scope<> known_;  ///< variables in scope
};

}  // namespace

const char *const kPrefetchLine = "prefetch_line", *const kPrefetchLineToStore = "prefetch_line_to_store";

Expr as_it_is(const Expr &value) { return Internal::Call::make(value.type(), kAsItIs, {value}, Internal::Call::PureExtern); }

void Lowering::order_loads_before_stores(std::vector<Expr> &values, const std::vector<Expr> &own_values) {
    Expr never = Internal::Variable::make(Bool(), kNever, Internal::Parameter(Bool(), false, 0, kNever));
    for (Expr &value : values)
        for (const Expr &own : own_values) value = select(never, cast(value.type(), own), value);
    uses_never_ = true;
}

bool Lowering::sets_rows_in_place(const std::vector<int> &results) const {
    return std::all_of(results.begin(), results.end(), [&](int i) {
        return node(body_.results[size_t(i)].value).op == Op::set_rows && overwritten_by(i) >= 0;
    });
}

std::map<std::string, std::string> Lowering::overwritten_buffers(const std::vector<NodeId> &results, const Func &func) const {
    std::map<std::string, std::string> buffers;
    for (size_t k = 0; k < results.size(); k++)
        for (size_t i = 0; i < body_.results.size(); i++)
            if (body_.results[i].value == results[k] && overwritten_by(int(i)) >= 0)
                buffers[fmt::format("argument{}", overwritten_by(int(i)))] = results.size() == 1 ? func.name() : fmt::format("{}.{}", func.name(), k);
    return buffers;
}

bool Lowering::gathers_in_parts(const std::vector<int> &results) const {
    const Node &first = node(body_.results[size_t(results[0])].value);
    return results.size() == 1 && first.op == Op::gather_rows && attrs<GatherAttrs>(first).in_parts && !shape(first.operands[1]).empty();
}

void Lowering::set_result_bounds(Func func, const std::vector<Var> &axes, const Shape &shape) {
    // Of a Tuple's buffers Halide wants the bounds of the first only: the others have the same, but strides of their own.
    std::vector<OutputImageParam> buffers = func.output_buffers();
    for (size_t i = 0; i < buffers.size(); i++) set_dense_bounds(buffers[i], shape, i == 0);
    for (size_t axis = 0; axis < axes.size(); axis++) func.bound(axes[axis], 0, int(shape[axis]));
}

void Lowering::build_summed_rows() {
    const NodeId id = summed_rows_;
    Consumer rows{Func(name(id, "rows")), declare_vars(id), shape(id)};
    rows.func(reversed(rows.axes)) = to_storage(value(id, {rows.axes.begin(), rows.axes.end()}));
    for (size_t axis : {2, 3}) rows.func.bound(rows.axes[axis], 0, int(rows.shape[axis]));
    memo_.clear();
    rows_ = rows.func;
    Consumer sums;
    std::vector<Expr> values;
    for (int i = 0; i < int(body_.results.size()); i++) {
        const NodeId result = body_.results[size_t(i)].value;
        if (result == id) {
            // Nothing is stored: the rows are.
            Func kept(fmt::format("result{}", i));
            kept(reversed(rows.axes)) = undef(storage_type(node(id).type.dtype));
            set_result_bounds(kept, rows.axes, rows.shape);
            rows_result_ = kept.name();
            outputs_.insert(outputs_.begin(), kept);
            result_order_.insert(result_order_.begin(), i);
            continue;
        }
        if (values.empty()) {
            sums = Consumer{Func(fmt::format("result{}", i)), declare_vars(result), shape(result)};
            sums.is_output = true;
            build_row_sums(*this, id, sums);
        }
        result_order_.push_back(i);
        values.push_back(to_storage(value(result, {sums.axes.begin(), sums.axes.end()})));
    }
    define(sums.func(reversed(sums.axes)), values);
    outputs_.push_back(sums.func);
    set_result_bounds(sums.func, sums.axes, sums.shape);
    rows.within = &sums;
    schedule_fused(rows);
    rows_first_ = rows.first_of_task;
}

void Lowering::build_results() {
    if (summed_rows_.valid()) return build_summed_rows();
    // Results of one shape share a loop nest.
    std::vector<std::vector<int>> groups;
    for (int i = 0; i < int(body_.results.size()); i++) {
        const Shape &s = shape(body_.results[size_t(i)].value);
        auto same = std::find_if(groups.begin(), groups.end(), [&](auto &g) { return shape(body_.results[size_t(g[0])].value) == s; });
        if (same == groups.end()) groups.push_back({i});
        else same->push_back(i);
    }
    std::vector<Consumer> consumers;
    for (const std::vector<int> &group : groups) {
        NodeId first = body_.results[size_t(group[0])].value;
        Consumer c{Func(fmt::format("result{}", group[0])), declare_vars(first), shape(first)};
        c.is_output = true;
        for (int i : group) c.updates = c.updates || overwritten_by(i) >= 0;
        std::vector<Var> vars = reversed(c.axes);
        if (gathers_in_parts(group)) {
            gather_rows_in_parts(*this, first, c);
            c.is_scheduled = true;
            consumers.push_back(c);
            outputs_.push_back(c.func);
            result_order_.push_back(group[0]);
            continue;
        }
        own_at_.assign(c.axes.begin(), c.axes.end());
        own_values_.clear();
        std::vector<Expr> overwritten;
        if (c.updates) {
            std::vector<Expr> undefined;
            for (int i : group) undefined.push_back(undef(storage_type(node(body_.results[size_t(i)].value).type.dtype)));
            define(c.func(vars), undefined);
            for (size_t k = 0; k < group.size(); k++) {
                for (auto [input, position] : argument_index_)
                    if (position == overwritten_by(group[k])) {
                        overwritten.push_back(call(c.func, own_at_, int(k)));
                        own_values_[input] = from_storage(overwritten.back(), body_.nodes[size_t(input)].type.dtype);
                    }
            }
        }
        std::vector<NodeId> stored;
        for (int i : group) stored.push_back(body_.results[size_t(i)].value);
        const std::vector<NodeId> tables = sets_rows_in_place(group) ? stored : std::vector<NodeId>{};
        if (!tables.empty())
            for (NodeId &id : stored) id = node(id).operands[0];
        bool stores_others = tables.empty();
        for (size_t k = 0; k < group.size(); k++) {
            auto argument = argument_index_.find(stored[k].index);
            stores_others = stores_others || argument == argument_index_.end() || argument->second != overwritten_by(group[k]);
        }
        if (stores_others) {
            std::vector<Expr> values;
            for (NodeId id : stored) values.push_back(to_storage(value(id, own_at_)));
            if (group.size() > 1 && c.updates) order_loads_before_stores(values, overwritten);
            define(c.func(vars), values);
        }
        own_values_.clear();
        memo_.clear();
        if (!tables.empty()) {
            set_rows_in_place(*this, tables, stores_others, c);
            c.is_scheduled = true;
        }
        consumers.push_back(c);
        outputs_.push_back(c.func);
        result_order_.insert(result_order_.end(), group.begin(), group.end());
    }
    for (Consumer &c : consumers) {
        set_result_bounds(c.func, c.axes, c.shape);
        if (c.is_scheduled) continue;
        if (schedule_fused) schedule_fused(c);
        else schedule_loops(*this, c);
    }
}

void Lowering::permute_results(Internal::LoweredFunc &function) const {
    size_t first = function.args.size() - result_order_.size();
    std::vector<Internal::LoweredArgument> results(function.args.begin() + long(first), function.args.end());
    for (size_t i = 0; i < result_order_.size(); i++) function.args[first + size_t(result_order_[i])] = results[i];
}

Halide::Module Lowering::lower(const std::string &function_name) {
    declare_arguments();
    build_results();
    if (uses_never_) arguments_.emplace_back(kNever, Argument::InputScalar, Bool(), 0, ArgumentEstimates{});
    Pipeline pipeline(outputs_);
    if (rows_.defined()) pipeline.add_custom_lowering_pass(new RowsInResult(rows_.name(), rows_result_, rows_first_, shape(summed_rows_)));
    for (const PartLoops &loops : part_loops_) pipeline.add_custom_lowering_pass(new OneLoopOfParts(loops));
    Halide::Module module = pipeline.compile_to_module(arguments_, function_name, target_, LinkageType::External);
    Halide::Module ordered(module.name(), module.target());
    for (const auto &buffer : module.buffers()) ordered.append(buffer);
    AfterSimplification after(target_, before_loops_, in_loops_);
    for (Internal::LoweredFunc function : module.functions()) {
        function.body = after.rewritten(function);
        if (uses_never_) std::erase_if(function.args, [](const auto &argument) { return argument.name == kNever; });
        if (function.name == function_name) permute_results(function);
        ordered.append(function);
    }
    if (after.calls_vector_math()) ordered.append(ExternalCode::bitcode_wrapper(target_, kVectorMath, "vector_math"));
    if (after.has_hidden_constants()) ordered.append(ExternalCode::bitcode_wrapper(target_, kHiddenConstants, "hidden_constants"));
    if (after.calls_prefetch()) ordered.append(ExternalCode::bitcode_wrapper(target_, kPrefetch, "prefetch"));
    return ordered;
}

}  // namespace kiln
