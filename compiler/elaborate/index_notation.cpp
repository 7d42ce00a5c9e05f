// The statements of an `op`, read into nests.
#include "compiler/elaborate/index_notation.h"

#include "compiler/elaborate/elaborator.h"
#include "compiler/support/check.h"

#include <fmt/format.h>

#include <algorithm>

namespace kiln {

namespace {

/// Names of tensors that the statements of a block define, in order, each once.
void collect_names(const ast::Block &block, std::vector<std::string> &names) {
    for (const ast::StmtPtr &stmt : block) {
        if (const auto *indexed = std::get_if<ast::IndexStmt>(&stmt->node)) {
            if (std::find(names.begin(), names.end(), indexed->name.text) == names.end()) names.push_back(indexed->name.text);
        } else if (const auto *branch = std::get_if<ast::IfStmt>(&stmt->node)) {
            collect_names(branch->then_block, names);
            collect_names(branch->else_block, names);
        } else if (const auto *loop = std::get_if<ast::ForStmt>(&stmt->node)) {
            collect_names(loop->body, names);
        }
    }
}

/// Whether a value of the body depends on an element of a tensor.
bool reads_tensor(const Nest &nest, NodeId id) {
    if (nest.reads.count(id.index)) return true;
    for (NodeId operand : nest.body.graph[id].operands)
        if (reads_tensor(nest, operand)) return true;
    return false;
}

}  // namespace

IndexValue add(const IndexValue &a, const IndexValue &b, int64_t factor) {
    IndexValue sum = a;
    sum.offset += factor * b.offset;
    for (const auto &[index, coefficient] : b.coefficients) {
        int64_t &c = sum.coefficients[index];
        c += factor * coefficient;
        if (c == 0) sum.coefficients.erase(index);
    }
    return sum;
}

std::set<int> Nest::mentioned() const {
    std::set<int> result;
    auto mention = [&](const IndexValue &value) {
        for (const auto &[index, coefficient] : value.coefficients) result.insert(index);
    };
    for (const auto &[node, access] : reads)
        for (const IndexValue &value : access.at) mention(value);
    for (const auto &[node, value] : positions) mention(value);
    for (const IndexGuard &guard : guards) mention(guard.value);
    for (const auto &nest : inner) {
        std::set<int> within = nest->mentioned();
        for (int index : nest->indices) within.erase(index);
        result.insert(within.begin(), within.end());
    }
    return result;
}

bool Nest::has_ellipsis() const {
    bool found = false;
    each([&](const Nest &nest) {
        for (const auto &[node, access] : nest.reads) found = found || access.ellipsis > 0;
    });
    return found;
}

/// The statements of the op, then its results: what is returned, or the tensors that were defined last.
Value Elaborator::call_op(const FunctionValue &function, SourceRange range) {
    const auto &definition = std::get<ast::DefinitionDecl>(function.declaration->node);
    if (!context_) return fail(DiagnosticCode::not_compile_time, range, {function.name()});
    OpFrame frame;
    frame.main = context_;
    frame.scope = scope_;
    // What `..` stands for in the arguments.
    for (const ast::Param &param : definition.params) {
        const auto value = scope_->names.find(param.name.text);
        const TensorValue *tensor = value != scope_->names.end() ? value->second.value.get<TensorValue>() : nullptr;
        if (!tensor || !param.type || frame.leading) continue;
        size_t fixed = 0;
        for (const ast::Dim &dim : param.type->dims) fixed += !dim.ellipsis;
        if (fixed == param.type->dims.size()) continue;
        const Shape &shape = type_of(*tensor).shape;
        frame.leading = Shape(shape.begin(), shape.end() - long(fixed));
    }
    std::vector<std::string> names;
    collect_names(definition.body, names);
    const ast::ReturnStmt *returned = nullptr;
    for (const ast::StmtPtr &stmt : definition.body)
        if (const auto *last = std::get_if<ast::ReturnStmt>(&stmt->node)) returned = last;
    std::vector<std::string> results;
    if (returned) {
        auto take = [&](const ast::Expr &expr) {
            const auto *name = std::get_if<ast::NameRef>(&expr.node);
            results.push_back(name ? name->name : "");
        };
        if (const auto *tuple = std::get_if<ast::TupleExpr>(&returned->value->node))
            for (const ast::ExprPtr &element : tuple->elements) take(*element);
        else take(*returned->value);
    } else {
        const size_t count = std::max<size_t>(1, definition.results.size());
        if (names.size() < count) return fail(DiagnosticCode::result_undefined, function.place, {function.name(), std::to_string(count), std::to_string(names.size())});
        results.assign(names.end() - long(count), names.end());
    }
    for (size_t i = 0; i < results.size() && i < definition.results.size(); ++i)
        if (!results[i].empty()) frame.declared[results[i]] = &definition.results[i];

    OpFrame *outer = op_;
    op_ = &frame;
    const int errors = reports_;
    std::optional<Value> value = execute(definition.body);
    bool ok = reports_ == errors;
    op_ = outer;
    for (const std::string &name : frame.order) {
        const OpFrame::Definition &tensor = frame.definitions.at(name);
        if (tensor.value.context && !tensor.complete) {
            report_undefined_element(frame, name);
            ok = false;
        }
    }
    if (!ok) return {};
    if (value) return *value;
    std::vector<Value> values;
    for (const std::string &name : results) {
        auto found = frame.definitions.find(name);
        if (found == frame.definitions.end() || !found->second.value.context)  // under a condition that was false
            return fail(DiagnosticCode::element_undefined, function.place, {name, "it"});
        const Binding &binding = scope_->names.at(name);
        used_.insert({binding.declared.file, binding.declared.begin});
        values.push_back(Value(found->second.value, range));
    }
    if (values.size() == 1) return values[0];
    return Value(TupleValue{std::make_shared<const std::vector<Value>>(std::move(values))}, range);
}

void Elaborator::execute_indexed(const ast::IndexStmt &statement, SourceRange range) {
    IndexedStatement indexed;
    indexed.name = statement.name.text;
    indexed.name_range = statement.name.range;
    indexed.range = indexed.root.range = range;
    auto scope = std::make_shared<Scope>();
    scope->parent = scope_;
    IndexedStatement *outer_statement = op_->statement;
    Nest *outer_nest = op_->nest;
    op_->statement = &indexed;
    op_->nest = &indexed.root;
    const int errors = reports_;
    in_scope(scope, [&] {
        for (size_t i = 0; i < statement.subscripts.size(); ++i) {
            const ast::Subscript &subscript = statement.subscripts[i];
            if (subscript.kind == ast::Subscript::Kind::ellipsis) {
                if (i > 0) report(DiagnosticCode::ellipsis_place, subscript.range);
                indexed.has_ellipsis = true;
                continue;
            }
            const ast::NameRef *name = subscript.kind == ast::Subscript::Kind::index ? std::get_if<ast::NameRef>(&subscript.index->node) : nullptr;
            Binding *known = name ? find(name->name) : nullptr;
            if (name && !(known && known->constant)) {
                indexed.axes.push_back(declare_index({name->name, subscript.range}));
                indexed.fixed.push_back({});
                continue;
            }
            const auto *negated = subscript.kind == ast::Subscript::Kind::index ? std::get_if<ast::UnaryExpr>(&subscript.index->node) : nullptr;
            const ast::Expr *number = negated ? negated->operand.get() : subscript.index.get();
            const bool is_number = number && (std::holds_alternative<ast::IntLiteral>(number->node) || (name && known));
            const Value position = is_number ? evaluate(*subscript.index) : Value();
            if (!position.is<int64_t>()) {
                report(DiagnosticCode::indexed_target, subscript.range, {source_text(subscript.range)});
                continue;
            }
            indexed.vars.push_back({source_text(subscript.range), subscript.range, {}, {}});
            indexed.axes.push_back(int(indexed.vars.size()) - 1);
            indexed.fixed.push_back(*position.get<int64_t>());
        }
        if (reports_ != errors) return;
        in_context(indexed.root.body, [&] {
            if (statement.where) add_guards(*statement.where);
            finish_body(indexed.root, evaluate(*statement.value), statement.value->range);
        });
    });
    op_->statement = outer_statement;
    op_->nest = outer_nest;
    // Without a value something it reads was wrong before.
    if (reports_ == errors && indexed.root.value.valid() && find_ranges(indexed)) emit_statement(indexed);
    if (!op_->definitions.count(indexed.name) && !op_->scope->names.count(indexed.name)) bind(statement.name, Value(), false);
}

/// Binds a new index in the current scope.
int Elaborator::declare_index(const ast::Name &name) {
    for (Scope *scope = scope_.get(); scope; scope = scope->parent.get()) {
        auto known = scope->names.find(name.text);
        if (known != scope->names.end()) {
            report(DiagnosticCode::duplicate_name, name.range, {name.text}).labels.push_back({known->second.declared, "first bound here"});
            break;
        }
        if (scope == op_->scope.get()) break;
    }
    const int index = int(op_->statement->vars.size());
    op_->statement->vars.push_back({name.text, name.range, {}, {}});
    scope_->names[name.text] = Binding{Value(IndexValue{{{index, 1}}, 0}, name.range), {}, false, false, name.range};
    return index;
}

/// The value of the body becomes a node of it.
void Elaborator::finish_body(Nest &nest, Value value, SourceRange range) {
    value = in_body(value, range);
    if (value.poison()) return;
    if (value.number() || value.is<bool>()) {
        const DType dtype = value.is<bool>() ? DType::boolean : value.is<int64_t>() ? DType::i64 : DType::f64;
        nest.value = nest.body.builder.constant(value.is<bool>() ? double(*value.get<bool>()) : value.as_double(), Type{dtype, {}});
        return;
    }
    const TensorValue *tensor = value.get<TensorValue>();
    if (!tensor) {
        report(DiagnosticCode::wrong_type, range, {"an element", "a number", describe(value)});
    } else if (tensor->context != &nest.body) {
        report(DiagnosticCode::without_indices, range, {source_text(range), describe(value)});
    } else {
        nest.value = tensor->node;
    }
}

Value Elaborator::evaluate_reduction(const ast::ReduceExpr &reduce, SourceRange range) {
    if (!op_->nest) return fail(DiagnosticCode::index_notation_outside_op, range);
    auto made = std::make_unique<Nest>();
    Nest &nest = *made;
    nest.reducer = reduce.reducer.text;
    nest.range = range;
    Nest &outer = *op_->nest;
    auto scope = std::make_shared<Scope>();
    scope->parent = scope_;
    const int errors = reports_;
    op_->nest = &nest;
    in_scope(scope, [&] {
        in_context(nest.body, [&] {
            for (const ast::Name &name : reduce.indices) nest.indices.push_back(declare_index(name));
            finish_body(nest, evaluate(*reduce.body), reduce.body->range);
            if (reduce.where) add_guards(*reduce.where);
        });
    });
    op_->nest = &outer;
    const std::set<int> mentioned = nest.mentioned();
    for (int index : nest.indices)
        if (reports_ == errors && !mentioned.count(index)) {
            const IndexVar &var = op_->statement->vars[size_t(index)];
            report(DiagnosticCode::index_unused, var.range, {var.name});
        }
    if (reports_ != errors || !nest.value.valid()) return {};
    DType dtype = nest.body.builder.type(nest.value).dtype;
    if (dtype == DType::boolean) return fail(DiagnosticCode::wrong_type, reduce.body->range, {fmt::format("what `{}` combines", nest.reducer), "a number", "a condition"});
    if (nest.reducer == "mean" && !is_float(dtype)) {
        nest.value = nest.body.builder.cast(nest.value, DType::f64);
        dtype = DType::f64;
    }
    IndexedAccess access;
    access.inner = &nest;
    access.range = range;
    outer.inner.push_back(std::move(made));
    const NodeId node = outer.body.builder.input(InputKind::argument, fmt::format("v{}", outer.body.graph.size()), Type{dtype, {}});
    outer.reads[node.index] = std::move(access);
    return Value(TensorValue{node, &outer.body}, range);
}

/// An element of a tensor as an input of the body.
Value Elaborator::read_indexed(const TensorValue &tensor, const ast::IndexExpr &index, SourceRange range) {
    if (!op_->nest) return slice_tensor(tensor, index, range);
    if (tensor.context != op_->main) return fail(DiagnosticCode::not_indexable, range, {describe(Value(tensor))});
    const Type type = type_of(tensor);
    IndexedAccess access;
    access.tensor = tensor;
    access.range = range;
    size_t given = 0;
    bool open = false, ok = true;
    for (const ast::Subscript &subscript : index.subscripts) given += subscript.kind != ast::Subscript::Kind::ellipsis;
    for (size_t i = 0; i < index.subscripts.size(); ++i) {
        if (index.subscripts[i].kind != ast::Subscript::Kind::ellipsis) continue;
        open = true;
        if (i > 0) return fail(DiagnosticCode::ellipsis_place, index.subscripts[i].range);
    }
    if (open ? given > size_t(type.rank()) : given != size_t(type.rank()))
        return fail(DiagnosticCode::index_rank, range, {source_text(range), std::to_string(given), describe(Value(tensor))});
    access.ellipsis = size_t(type.rank()) - given;
    for (const ast::Subscript &subscript : index.subscripts) {
        if (subscript.kind == ast::Subscript::Kind::ellipsis) continue;
        const int64_t extent = type.shape[access.ellipsis + access.at.size()];
        const Value position = subscript.kind == ast::Subscript::Kind::index ? evaluate(*subscript.index) : Value();
        IndexValue at;
        NodeId gather;
        if (const int64_t *number = position.get<int64_t>()) {
            at.offset = *number < 0 ? *number + extent : *number;
        } else if (const IndexValue *affine = position.get<IndexValue>()) {
            at = *affine;
        } else if (const TensorValue *element = position.get<TensorValue>();
                   element && element->context == &op_->nest->body && is_integer(type_of(*element).dtype) && reads_tensor(*op_->nest, element->node)) {
            gather = op_->nest->body.builder.cast(element->node, DType::i32);
        } else {
            if (position.poison() && subscript.kind == ast::Subscript::Kind::index) return {};
            Diagnostic &diagnostic = report(DiagnosticCode::index_not_affine, subscript.range, {source_text(subscript.range)});
            diagnostic.notes.push_back("make an integer tensor of it and read at its elements: `t[i] = ..`, then `x[t[i]]`");
            ok = false;
        }
        access.at.push_back(std::move(at));
        access.gather.push_back(gather);
        access.places.push_back(subscript.range);
    }
    if (!ok) return {};
    Nest &nest = *op_->nest;
    const NodeId node = nest.body.builder.input(InputKind::argument, fmt::format("v{}", nest.body.graph.size()), Type{type.dtype, {}});
    nest.reads[node.index] = std::move(access);
    return Value(TensorValue{node, &nest.body}, range);
}

/// Indices and single numbers of the graph around the op, as nodes of the body; other values as they are.
Value Elaborator::in_body(const Value &value, SourceRange range) {
    Nest *nest = op_ ? op_->nest : nullptr;
    if (!nest) return value;
    if (const IndexValue *index = value.get<IndexValue>()) {
        for (const auto &[node, position] : nest->positions)
            if (position.coefficients == index->coefficients && position.offset == index->offset) return Value(TensorValue{NodeId{node}, &nest->body}, range);
        const NodeId node = nest->body.builder.input(InputKind::argument, fmt::format("v{}", nest->body.graph.size()), Type{DType::i64, {}});
        nest->positions[node.index] = *index;
        return Value(TensorValue{node, &nest->body}, range);
    }
    const TensorValue *tensor = value.get<TensorValue>();
    if (!tensor || tensor->context != op_->main || type_of(*tensor).rank() != 0) return value;
    for (const auto &[node, access] : nest->reads)
        if (!access.inner && access.tensor.node == tensor->node) return Value(TensorValue{NodeId{node}, &nest->body}, range);
    IndexedAccess access;
    access.tensor = *tensor;
    access.range = range;
    const NodeId node = nest->body.builder.input(InputKind::argument, fmt::format("v{}", nest->body.graph.size()), type_of(*tensor));
    nest->reads[node.index] = std::move(access);
    return Value(TensorValue{node, &nest->body}, range);
}

/// A call inside a body that takes nothing of the body belongs to the graph around the op: `ones([3])[i]`.
Value Elaborator::call_from_op(const FunctionValue &function, std::vector<CallArgument> arguments, SourceRange range, bool piped) {
    Nest *nest = op_ ? op_->nest : nullptr;
    for (const CallArgument &argument : arguments)
        if (const TensorValue *tensor = argument.value.get<TensorValue>(); tensor && nest && tensor->context != op_->main) nest = nullptr;
    if (!nest) return call(function, std::move(arguments), range, piped);
    OpFrame &frame = *op_;
    frame.nest = nullptr;
    Value result = in_context(*frame.main, [&] { return call(function, std::move(arguments), range, piped); });
    frame.nest = nest;
    return result;
}

/// Where values that are no elements live.
GraphContext *Elaborator::surroundings() const { return op_ && op_->nest ? op_->main : context_; }

/// Sums of indices and multiples of one stay indices; anything else is a number of the body.
std::optional<Value> Elaborator::index_arithmetic(ast::BinaryOp op, const Value &left, const Value &right, SourceRange range) {
    using B = ast::BinaryOp;
    auto index_of = [](const Value &value) -> std::optional<IndexValue> {
        if (const IndexValue *index = value.get<IndexValue>()) return *index;
        if (const int64_t *number = value.get<int64_t>()) return IndexValue{{}, *number};
        return {};
    };
    constexpr int64_t kMost = int64_t(1) << 40;
    auto checked = [&](IndexValue index) {
        bool small = std::abs(index.offset) < kMost;
        for (const auto &[axis, c] : index.coefficients) small = small && std::abs(c) < kMost;
        return small ? Value(std::move(index), range) : fail(DiagnosticCode::integer_too_large, range);
    };
    const std::optional<IndexValue> a = index_of(left), b = index_of(right);
    if (a && b) {
        if (op == B::add) return checked(add(*a, *b));
        if (op == B::subtract) return checked(add(*a, *b, -1));
        if (op == B::multiply && (a->coefficients.empty() || b->coefficients.empty())) {
            const bool number_first = a->coefficients.empty();
            return checked(add(IndexValue{}, number_first ? *b : *a, std::clamp(number_first ? a->offset : b->offset, -kMost, kMost)));
        }
        // Whole division and remainder stay whole.
        if ((op == B::floor_divide || op == B::modulo) && b->coefficients.empty()) {
            if (b->offset == 0) return fail(DiagnosticCode::division_by_zero, range);
            const Value whole = in_body(left, range);
            return build({whole}, range, [&](GraphContext &context) {
                const NodeId by = context.builder.constant(double(b->offset), Type{DType::i64, {}});
                return context.builder.append(op == B::modulo ? Op::modulo : Op::divide, {whole.get<TensorValue>()->node, by});
            });
        }
    }
    return binary(op, in_body(left, range), in_body(right, range), range);
}

/// Adds a condition to the nest: comparisons of indices narrow the space, others are computed at every point.
void Elaborator::add_guards(const ast::Expr &condition) {
    Nest &nest = *op_->nest;
    const auto *comparison = std::get_if<ast::BinaryExpr>(&condition.node);
    using B = ast::BinaryOp;
    if (comparison && comparison->op == B::logical_and) {
        add_guards(*comparison->left);
        add_guards(*comparison->right);
        return;
    }
    Value value;
    const bool ordered = comparison && (comparison->op == B::less || comparison->op == B::less_equal || comparison->op == B::greater ||
                                        comparison->op == B::greater_equal || comparison->op == B::equal);
    if (ordered) {
        const Value left = evaluate(*comparison->left), right = evaluate(*comparison->right);
        if (left.poison() || right.poison()) return;
        auto is_index = [](const Value &v) { return v.is<IndexValue>() || v.is<int64_t>(); };
        if (is_index(left) && is_index(right)) {
            const Value difference = binary(B::subtract, right, left, condition.range);  // right - left
            IndexValue low{{}, 0};
            if (const int64_t *number = difference.get<int64_t>()) low.offset = *number;
            else if (const IndexValue *index = difference.get<IndexValue>()) low = *index;
            else return;
            auto at_least = [&](IndexValue guard, int64_t offset) {
                guard.offset += offset;
                nest.guards.push_back({std::move(guard), condition.range});
            };
            const IndexValue high = add(IndexValue{}, low, -1);
            switch (comparison->op) {
            case B::less: at_least(low, -1); break;
            case B::less_equal: at_least(low, 0); break;
            case B::greater: at_least(high, -1); break;
            case B::greater_equal: at_least(high, 0); break;
            default: at_least(low, 0), at_least(high, 0); break;
            }
            return;
        }
        value = binary(comparison->op, left, right, condition.range);
    } else {
        value = evaluate(condition);
    }
    if (nest.reducer.empty() && comparison && comparison->op == B::not_equal) {
        report(DiagnosticCode::element_guard, condition.range, {"`!=` would leave a gap: write two statements, one with `<` and one with `>`"});
        return;
    }
    if (value.poison()) return;
    if (const bool *known = value.get<bool>()) {
        if (!*known) nest.guards.push_back({IndexValue{{}, -1}, condition.range});
        return;
    }
    const TensorValue *tensor = value.get<TensorValue>();
    if (!tensor || tensor->context != &nest.body || type_of(*tensor).dtype != DType::boolean) {
        report(DiagnosticCode::wrong_type, condition.range, {"`where`", "a condition on elements", describe(value)});
        return;
    }
    nest.condition = nest.condition ? nest.body.builder.append(Op::logical_and, {*nest.condition, tensor->node}) : tensor->node;
}

}  // namespace kiln
