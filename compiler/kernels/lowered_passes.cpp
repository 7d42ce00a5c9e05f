#include "compiler/kernels/lowered_passes.h"

#include "compiler/support/check.h"

namespace kiln {

using namespace Halide::Internal;

namespace {

constexpr const char *kPart = "part_of_table";

/// Reads arguments where the results that are stored over them lie.
class InResults : public IRMutator {
public:
    explicit InResults(const std::map<std::string, std::string> &results) : results_(results) {}

private:
    using IRMutator::visit;
    Halide::Expr visit(const Load *load) override {
        const auto result = results_.find(load->name);
        if (result == results_.end()) return IRMutator::visit(load);
        return Load::make(load->type, result->second, mutate(load->index), {}, {}, mutate(load->predicate), load->alignment);
    }
    const std::map<std::string, std::string> &results_;
};

}  // namespace

Stmt RowsInResult::visit(const Allocate *allocation) {
    if (allocation->name != rows_) return IRMutator::visit(allocation);
    // Innermost first: as in the result, but for the number of rows of one sample.
    const std::vector<Halide::Expr> &extents = allocation->extents;
    auto is = [&](size_t dimension, int64_t extent) { return is_const(extents[dimension], extent); };
    KILN_CHECK(extents.size() == 4 && is(0, shape_[3]) && is(1, shape_[2]) && (is(3, 1) || is(2, shape_[1])), "the rows of {} are no piece of it", to_string(shape_));
    const Halide::Expr buffer = Variable::make(Halide::type_of<halide_buffer_t *>(), result_ + ".buffer");
    const Halide::Expr memory = Call::make(Halide::Handle(), Call::buffer_get_host, {buffer}, Call::Extern);
    const Halide::Expr address = reinterpret(Halide::UInt(64), memory) + Halide::cast<uint64_t>(first_) * allocation->type.bytes();
    return LetStmt::make(rows_, reinterpret(Halide::Handle(), address), mutate(allocation->body));
}

Stmt RowsInResult::visit(const Free *free) { return free->name == rows_ ? Evaluate::make(0) : IRMutator::visit(free); }

Stmt OneLoopOfParts::visit(const For *loop) {
    const bool is_last = loop->name == loops_.setting;
    const bool others = !loops_.others.empty() && loop->name.starts_with(loops_.others) && loop->name.ends_with(".task");
    if (!is_last && !others && loop->name != loops_.making) return IRMutator::visit(loop);
    KILN_CHECK(is_const_zero(loop->min) && is_const(loop->extent, loops_.parts), "loop {} does not run over {} parts", loop->name, loops_.parts);
    bodies_.push_back(substitute(loop->name, Variable::make(Halide::Int(32), kPart), InResults(loops_.results).mutate(loop->body)));
    if (!is_last) return Evaluate::make(0);
    KILN_CHECK(bodies_.size() == (loops_.others.empty() ? 2 : 3), "{} loops over parts before {}", bodies_.size() - 1, loop->name);
    return For::make(kPart, loop->min, loop->extent, ForType::Parallel, loop->device_api, Block::make(bodies_));
}

}  // namespace kiln
