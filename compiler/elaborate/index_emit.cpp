// Nests whose indices have ranges -> comprehensions of the graph around the op; and tensors that are defined in parts.
#include "compiler/elaborate/index_notation.h"

#include "compiler/elaborate/elaborator.h"
#include "compiler/ops/comprehension.h"
#include "compiler/support/check.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace kiln {

namespace {

/// Elements looked at to see whether the parts of a tensor cover it.
constexpr int64_t kMostElements = int64_t(1) << 22;

class NestEmitter {
public:
    NestEmitter(IndexedStatement &statement, GraphContext &main, DType float_type) : statement_(statement), main_(main) {
        // Run-time numbers and indices adopt the type of the elements they meet.
        bool has_f64 = float_type == DType::f64, has_i64 = false;
        statement.root.each([&](const Nest &nest) {
            for (const auto &[node, access] : nest.reads) {
                if (access.inner || type_of(access.tensor).rank() == 0) continue;
                has_f64 = has_f64 || type_of(access.tensor).dtype == DType::f64;
                has_i64 = has_i64 || type_of(access.tensor).dtype == DType::i64;
            }
        });
        real_ = has_f64 ? DType::f64 : DType::f32;
        whole_ = has_i64 ? DType::i64 : DType::i32;
    }

    NodeId emit(const Nest &nest, const std::vector<int> &axes) {
        // A statement that is one reduction.
        auto read = nest.reads.find(nest.value.index);
        if (nest.reducer.empty() && nest.guards.empty() && !nest.condition && read != nest.reads.end() && read->second.inner &&
            axes_of(*read->second.inner) == axes)
            return emit(*read->second.inner, axes);

        ComprehensionAttrs a;
        std::vector<NodeId> operands;
        std::vector<int> order = axes;
        order.insert(order.end(), nest.indices.begin(), nest.indices.end());
        axis_of_.assign(statement_.vars.size(), -1);
        for (size_t i = 0; i < order.size(); ++i) a.space.push_back(*statement_.vars[size_t(order[i])].extent);
        a.kept = int64_t(axes.size());
        // Inner nests first: they use axis_of_ for themselves.
        std::map<int32_t, std::pair<NodeId, std::vector<int>>> inner;
        for (const auto &[node, access] : nest.reads)
            if (access.inner) inner[node] = {emit(*access.inner, axes_of(*access.inner)), axes_of(*access.inner)};
        axis_of_.assign(statement_.vars.size(), -1);
        for (size_t i = 0; i < order.size(); ++i) axis_of_[size_t(order[i])] = int(i);

        for (int i = 0; i < nest.body.graph.size(); ++i) {
            const Node &node = nest.body.graph.nodes[size_t(i)];
            BodyValue value;
            value.dtype = adopted(node.type.dtype);
            if (auto position = nest.positions.find(i); position != nest.positions.end()) {
                value.kind = BodyValue::Kind::index;
                value.at = {affine(position->second, a.space.size())};
                value.dtype = DType::i32;
            } else if (auto access = nest.reads.find(i); access != nest.reads.end()) {
                value.kind = BodyValue::Kind::read;
                value.operand = int64_t(operands.size());
                if (access->second.inner) {
                    operands.push_back(inner[i].first);
                    value.dtype = main_.builder.type(operands.back()).dtype;
                    for (int index : inner[i].second) value.at.push_back(affine(IndexValue{{{index, 1}}, 0}, a.space.size()));
                } else {
                    const TensorValue &tensor = access->second.tensor;
                    operands.push_back(type_of(tensor).rank() == 0 ? main_.builder.cast(tensor.node, value.dtype) : tensor.node);
                    for (size_t d = 0; d < access->second.ellipsis; ++d)
                        value.at.push_back(affine(IndexValue{{{statement_.ellipsis[d], 1}}, 0}, a.space.size()));
                    for (size_t d = 0; d < access->second.at.size(); ++d) {
                        value.at.push_back(affine(access->second.at[d], a.space.size()));
                        value.at.back().gather = access->second.gather[d].index;
                    }
                }
            } else if (node.op == Op::constant) {
                value.value = attrs<ConstantAttrs>(node).values[0];
            } else {
                value.kind = BodyValue::Kind::apply;
                value.op = node.op;
                if (node.op == Op::cast) value.dtype = adopted(attrs<CastAttrs>(node).to);
                for (NodeId operand : node.operands) value.operands.push_back(operand.index);
            }
            a.body.push_back(std::move(value));
        }
        const std::vector<int64_t> numbers = unify_whole_numbers(a);
        for (const IndexGuard &guard : nest.guards) a.guards.push_back(affine(guard.value, a.space.size()));
        if (nest.condition) a.condition = numbers[size_t(nest.condition->index)];
        const BodyValue term = a.body[size_t(numbers[size_t(nest.value.index)])];
        a.body.push_back(term);
        if (operands.empty()) operands.push_back(main_.builder.constant(0, {real_, {}}));
        return reduce(nest, std::move(a), std::move(operands));
    }

    /// The axes of a reduction's value: dimensions of `..`, then indices in the order of the statement.
    std::vector<int> axes_of(const Nest &nest) const {
        std::set<int> mentioned = nest.mentioned();
        for (int index : nest.indices) mentioned.erase(index);
        std::vector<int> axes;
        if (nest.has_ellipsis()) axes = statement_.ellipsis;
        for (int index : statement_.axes)
            if (mentioned.erase(index)) axes.push_back(index);
        axes.insert(axes.end(), mentioned.begin(), mentioned.end());
        return axes;
    }

private:
    DType adopted(DType dtype) const { return dtype == DType::f64 ? real_ : dtype == DType::i64 ? whole_ : dtype; }

    AffineIndex affine(const IndexValue &value, size_t axes) const {
        AffineIndex index = constant_index(axes, value.offset);
        for (const auto &[var, c] : value.coefficients) {
            KILN_CHECK(axis_of_[size_t(var)] >= 0, "index {} has no axis", statement_.vars[size_t(var)].name);
            index.coefficients[size_t(axis_of_[size_t(var)])] = c;
        }
        return index;
    }

    /// An index is i32; where the others are i64 it is cast. Returns the new number of each value.
    std::vector<int64_t> unify_whole_numbers(ComprehensionAttrs &a) const {
        std::vector<BodyValue> body;
        std::vector<int64_t> renamed;
        for (BodyValue value : a.body) {
            for (int64_t &operand : value.operands) operand = renamed[size_t(operand)];
            for (AffineIndex &index : value.at)
                if (index.gather >= 0) index.gather = renamed[size_t(index.gather)];
            const bool is_index = value.kind == BodyValue::Kind::index && whole_ == DType::i64;
            body.push_back(std::move(value));
            if (is_index) {
                BodyValue cast{BodyValue::Kind::apply, DType::i64, Op::cast};
                cast.operands = {int64_t(body.size()) - 1};
                body.push_back(std::move(cast));
            }
            renamed.push_back(int64_t(body.size()) - 1);
        }
        a.body = std::move(body);
        return renamed;
    }

    NodeId reduce(const Nest &nest, ComprehensionAttrs a, std::vector<NodeId> operands) {
        Builder &b = main_.builder;
        if (nest.reducer == "max" || nest.reducer == "min") a.reduce = nest.reducer == "max" ? Reducer::max : Reducer::min;
        if (nest.reducer == "prod") {
            // The terms themselves, 1 where there is none, and then their product.
            const Ints axes = [&] {
                Ints list;
                for (int64_t axis = a.kept; axis < int64_t(a.space.size()); ++axis) list.push_back(axis);
                return list;
            }();
            a.kept = int64_t(a.space.size());
            const ComprehensionAttrs guarded = a;
            const std::vector<NodeId> all_operands = operands;
            const DType dtype = a.body.back().dtype;
            remove_unused(a, operands);
            NodeId terms = b.append(Op::comprehension, operands, a);
            if (!a.guards.empty() || a.condition >= 0) terms = b.elementwise(Op::select, {active(guarded, all_operands), terms, b.constant(1, {dtype, {}})});
            return b.reduce(Op::reduce_product, terms, axes);
        }
        std::optional<NodeId> count;
        int64_t all = 1;
        if (nest.reducer == "mean") {
            for (size_t axis = size_t(a.kept); axis < a.space.size(); ++axis) all *= a.space[axis];
            ComprehensionAttrs ones = a;
            std::vector<NodeId> read = operands;
            BodyValue one{BodyValue::Kind::constant, a.body.back().dtype, Op::constant, 0, 1};
            ones.body.push_back(one);
            remove_unused(ones, read);
            if (!ones.guards.empty() || ones.condition >= 0)
                count = b.elementwise(Op::maximum, {b.append(Op::comprehension, read, ones), b.constant(1, {one.dtype, {}})});
        }
        const DType dtype = a.body.back().dtype;
        remove_unused(a, operands);
        const NodeId result = b.append(Op::comprehension, operands, a);
        if (nest.reducer != "mean") return result;
        return count ? b.divide(result, *count) : b.multiply(result, b.constant(1.0 / double(all), {dtype, {}}));
    }

    /// Whether each point counts, as a tensor over the space.
    NodeId active(ComprehensionAttrs a, std::vector<NodeId> operands) {
        a.body.push_back({BodyValue::Kind::constant, DType::boolean, Op::constant, 0, 1});
        remove_unused(a, operands);
        return main_.builder.append(Op::comprehension, operands, a);
    }

    IndexedStatement &statement_;
    GraphContext &main_;
    DType real_, whole_;
    std::vector<int> axis_of_;  ///< per index: its axis in the nest being emitted
};

/// The guards that every element must meet, over dimensions instead of indices.
OpFrame::Part part_of(const IndexedStatement &statement) {
    OpFrame::Part part;
    for (const IndexGuard &guard : statement.root.guards) {
        IndexValue over_dimensions{{}, guard.value.offset};
        for (size_t i = 0; i < statement.axes.size(); ++i) {
            auto found = guard.value.coefficients.find(statement.axes[i]);
            if (found != guard.value.coefficients.end()) over_dimensions.coefficients[int(i)] = found->second;
        }
        part.guards.push_back({over_dimensions, guard.range});
    }
    return part;
}

/// The first position, after `..`, that no part defines; nothing if all are.
std::optional<std::vector<int64_t>> undefined_element(const OpFrame::Definition &definition, const Shape &shape) {
    std::vector<int64_t> extents(shape.begin() + long(definition.leading), shape.end()), at(extents.size(), 0);
    // Dimensions no guard speaks of are looked at once.
    for (size_t d = 0; d < extents.size(); ++d) {
        bool guarded = false;
        for (const OpFrame::Part &part : definition.parts)
            for (const IndexGuard &guard : part.guards) guarded = guarded || guard.value.coefficients.count(int(d));
        if (!guarded) extents[d] = 1;
    }
    if (element_count(extents) > kMostElements) return at;
    for (int64_t i = 0; i < element_count(extents); ++i) {
        int64_t rest = i;
        for (size_t d = extents.size(); d-- > 0;) at[d] = rest % extents[d], rest /= extents[d];
        bool defined = std::any_of(definition.parts.begin(), definition.parts.end(), [&](const OpFrame::Part &part) {
            return std::all_of(part.guards.begin(), part.guards.end(), [&](const IndexGuard &guard) {
                int64_t value = guard.value.offset;
                for (const auto &[d, c] : guard.value.coefficients) value += c * at[size_t(d)];
                return value >= 0;
            });
        });
        if (!defined) return at;
    }
    return {};
}

}  // namespace

void Elaborator::report_undefined_element(const OpFrame &frame, const std::string &name) {
    const OpFrame::Definition &definition = frame.definitions.at(name);
    const auto at = undefined_element(definition, type_of(definition.value).shape);
    std::string element = fmt::format("`{}[{}{}]`", name, definition.leading > 0 ? ".., " : "", fmt::join(at.value_or(std::vector<int64_t>{}), ", "));
    report(DiagnosticCode::element_undefined, definition.range, {name, element})
        .notes.push_back(fmt::format("a further `{}[..] = ..` without `where` defines the rest", name));
}

void Elaborator::emit_statement(IndexedStatement &statement) {
    Nest &root = statement.root;
    if (root.condition) {
        report(DiagnosticCode::element_guard, statement.range, {"a condition on elements is an `if` in the value: `if c { a } else { b }`"});
        return;
    }
    for (size_t i = 0; i < statement.axes.size(); ++i) {
        if (!statement.fixed[i]) continue;
        const IndexVar &var = statement.vars[size_t(statement.axes[i])];
        const int64_t position = *statement.fixed[i] < 0 ? *statement.fixed[i] + *var.extent : *statement.fixed[i];
        if (position < 0 || position >= *var.extent) {
            report(DiagnosticCode::index_out_of_range, var.range, {std::to_string(*statement.fixed[i]), std::to_string(*var.extent)});
            return;
        }
        root.guards.push_back({IndexValue{{{statement.axes[i], 1}}, -position}, var.range});
        root.guards.push_back({IndexValue{{{statement.axes[i], -1}}, position}, var.range});
    }
    auto [entry, is_new] = op_->definitions.try_emplace(statement.name);
    OpFrame::Definition &definition = entry->second;
    if (is_new) {
        definition.range = statement.name_range;
        definition.leading = statement.ellipsis.size();
        op_->order.push_back(statement.name);
    } else if (definition.complete) {
        report(DiagnosticCode::duplicate_name, statement.name_range, {statement.name}).labels.push_back({definition.range, "defined here"});
        return;
    }

    // The first part that applies gives the element: later ones are 0 there.
    const OpFrame::Part part = part_of(statement);
    GraphContext &body = root.body;
    in_context(body, [&] {
        for (const OpFrame::Part &before : definition.parts) {
            auto over_indices = [&](const IndexValue &value) {
                IndexValue result{{}, value.offset};
                for (const auto &[d, c] : value.coefficients) result.coefficients[statement.axes[size_t(d)]] = c;
                return result;
            };
            if (before.guards.size() == 1) {
                IndexValue negated = add(IndexValue{{}, -1}, over_indices(before.guards[0].value), -1);
                root.guards.push_back({negated, before.guards[0].range});
                continue;
            }
            op_->nest = &root;
            Value all = Value(true);
            for (const IndexGuard &guard : before.guards) {
                const Value holds = binary(ast::BinaryOp::greater_equal, Value(over_indices(guard.value)), Value(int64_t(0)), statement.range);
                all = all.is<bool>() ? holds : elementwise(Op::logical_and, {all, holds}, statement.range);
            }
            const Value none = elementwise(Op::logical_not, {all}, statement.range);
            op_->nest = nullptr;
            if (none.poison()) return;
            const NodeId node = none.get<TensorValue>()->node;
            root.condition = root.condition ? body.builder.append(Op::logical_and, {*root.condition, node}) : node;
        }
    });

    std::vector<int> axes = statement.ellipsis;
    axes.insert(axes.end(), statement.axes.begin(), statement.axes.end());
    GraphContext &main = *op_->main;
    main.builder.set_loc(to_loc(user_range(statement.range)));
    main.builder.set_scope(path_);
    try {
        const int32_t before = main.graph.size();
        NodeId result = NestEmitter(statement, main, module_.float_type).emit(root, axes);
        auto type = op_->declared.find(statement.name);
        const std::optional<DType> declared = type == op_->declared.end() ? std::nullopt : element_type(type->second->name);
        if (declared && is_float(*declared) && is_integer(main.builder.type(result).dtype)) result = main.builder.cast(result, *declared);
        if (definition.value.context) {
            // Of parts that are floats and integers, such as 0, the whole is of floats.
            NodeId earlier = definition.value.node;
            const DType had = main.builder.type(earlier).dtype, has = main.builder.type(result).dtype;
            if (is_float(had) && is_integer(has)) result = main.builder.cast(result, had);
            if (is_integer(had) && is_float(has)) earlier = main.builder.cast(earlier, has);
            result = main.builder.elementwise(has == DType::boolean ? Op::logical_or : Op::add, {earlier, result});
        }
        for (int32_t i = before; i < main.graph.size(); ++i) note_origins(main, NodeId{i}, main.graph[NodeId{i}].operands, statement.range);
        definition.value = TensorValue{result, &main};
    } catch (const BuildError &error) {
        report(DiagnosticCode::shapes_do_not_fit, statement.range, {error.message});
        return;
    }
    definition.parts.push_back(part);
    definition.complete = !undefined_element(definition, type_of(definition.value).shape);
    if (is_new) {
        in_scope(op_->scope, [&] { return bind({statement.name, statement.name_range}, Value(definition.value, statement.range)); });
    } else {
        op_->scope->names.at(statement.name).value = Value(definition.value, statement.range);
    }
}

}  // namespace kiln
