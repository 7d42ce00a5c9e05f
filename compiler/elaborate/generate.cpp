// `generate text[.., 1..] = categorical(logits)`: the elements of an input that are drawn one after the other, each from those before it.
// The graph "generate" does it for one sample: its one result bears the name of what it gives, "text[1:65]".
#include "compiler/elaborate/elaborator.h"

#include <fmt/format.h>

#include <utility>

namespace kiln {

namespace {

/// Elements `begin` .. `begin + count - 1` of a column that is a row.
struct Part {
    std::string column;
    int64_t begin = 0, count = 0;
};

/// What a value is a part of, if it is nothing else.
std::optional<Part> part_of_row(const Graph &graph, NodeId id) {
    Part part{"", 0, -1};
    for (;; id = graph[id].operands[0]) {
        const Node &node = graph[id];
        if (node.op == Op::input) {
            if (attrs<InputAttrs>(node).kind != InputKind::data || node.type.rank() != 2) return {};
            part.column = attrs<InputAttrs>(node).name;
            if (part.count < 0) part.count = node.type.shape[1];
            return part;
        }
        if (node.op == Op::reshape) continue;  // `text[.., 8]` has lost the axis of its one element
        if (node.op != Op::slice || node.type.rank() != 2) return {};
        const auto &slice = attrs<SliceAttrs>(node);
        if (slice.step[0] != 1 || slice.step[1] != 1 || node.type.shape[0] != graph[node.operands[0]].type.shape[0]) return {};
        if (part.count < 0) part.count = slice.end[1] - slice.begin[1];
        part.begin += slice.begin[1];
    }
}

}  // namespace

void Elaborator::add_generation(const ast::GenerateStmt &statement, SourceRange range) {
    const Value target = evaluate(*statement.target);
    // Streams of its own: the random numbers of the model stay what they are without it.
    const std::string outer = std::exchange(stream_path_, stream_path_ + ":generate");
    const Value drawn = evaluate(*statement.value);
    stream_path_ = outer;
    if (generation_) {
        report(DiagnosticCode::generates_twice, range);
        return;
    }
    if (target.poison() || drawn.poison()) return;
    const TensorValue *whole = target.get<TensorValue>(), *draw = drawn.get<TensorValue>();
    std::optional<Part> part;
    if (whole && whole->context == context_) part = part_of_row(context_->graph, whole->node);
    const std::optional<int64_t> classes = part ? context_->classes_of(whole->node) : std::nullopt;
    if (!classes) {
        report(DiagnosticCode::generates_no_input, statement.target->range, {describe(target)});
        return;
    }
    const bool is_integral = draw && draw->context == context_ && is_integer(type_of(*draw).dtype);
    const std::optional<int64_t> found = is_integral ? context_->classes_of(draw->node) : std::nullopt;
    if (!found || *found > *classes || type_of(*draw).shape != type_of(*whole).shape) {
        auto text = [](int64_t n, const Type &type) { return fmt::format("class[{}]{}", n, to_string(Type{DType::i32, type.shape}).substr(3)); };
        report(DiagnosticCode::generates_no_class, statement.value->range, {source_text(statement.target->range), text(*classes, type_of(*whole)), found ? text(*found, type_of(*draw)) : describe(drawn)});
        return;
    }
    generation_ = Result{ResultKind::output, fmt::format("{}[{}:{}]", part->column, part->begin, part->begin + part->count), draw->node};
}

}  // namespace kiln
