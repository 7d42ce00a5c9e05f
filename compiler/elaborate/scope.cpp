// Names: binding, reading, and what is found when no declaration has the name (step, training, f32, ...).
#include "compiler/elaborate/elaborator.h"

#include "compiler/support/check.h"

#include <fmt/format.h>

namespace kiln {

Binding *Elaborator::find(const std::string &name) const {
    for (Scope *scope = scope_.get(); scope; scope = scope->parent.get()) {
        auto entry = scope->names.find(name);
        if (entry != scope->names.end()) return &entry->second;
    }
    return nullptr;
}

bool Elaborator::bind(const ast::Name &name, Value value, bool assignable, std::optional<Cell> cell) {
    const bool of_user = assignable && name.range.valid() && !in_stdlib(name.range);
    const Binding *outer = of_user ? find(name.text) : nullptr;
    const SourceRange hides = outer && outer->assignable ? outer->declared : SourceRange{};
    auto [entry, is_new] = scope_->names.try_emplace(name.text);
    if (!is_new) {
        Diagnostic &diagnostic = report(DiagnosticCode::duplicate_name, name.range, {name.text});
        diagnostic.labels.push_back({entry->second.declared, "first bound here"});
        if (entry->second.assignable) diagnostic.notes.push_back(fmt::format("`{} <- ..` gives it another value", name.text));
        return false;
    }
    entry->second = Binding{std::move(value), std::move(cell), false, assignable, name.range};
    if (of_user) locals_[{name.range.file, name.range.begin}] = {name, hides};
    return true;
}

Value Elaborator::read(const Binding &binding) {
    if (!binding.cell) return binding.value;
    GraphContext *context = surroundings();
    KILN_CHECK(context, "a cell is read outside a graph");
    context->builder.set_loc(to_loc(user_range(binding.declared)));
    context->builder.set_scope(path_);
    const Cell &cell = *binding.cell;
    if (cell.kind == InputKind::scalar && cell.type.dtype == DType::boolean) {
        // Scalars of the run are numbers.
        const Type number{DType::f64, {}};
        NodeId value = context->input(cell.kind, cell.name, number);
        return Value(TensorValue{context->builder.append(Op::not_equal, {value, context->builder.constant(0, number)}), context}, binding.declared);
    }
    NodeId node = context->read(cell.kind, cell.name, cell.type);
    return Value(TensorValue{node, context}, binding.declared);
}

Value Elaborator::scalar(const std::string &name) {
    bool integer = name == "seed" || name == "step" || name == "record";
    GraphContext *context = surroundings();
    NodeId node = context->input(InputKind::scalar, name, Type{integer ? DType::i64 : DType::f64, {}});
    return TensorValue{node, context};
}

std::optional<Value> Elaborator::builtin(const std::string &name, SourceRange range) {
    const GraphContext *context = surroundings();
    if (name == "training") return Value(context && context->training, range);
    if (name == "none") return Value(None{}, range);
    if (name == "float") return Value(module_.float_type, range);
    if (std::optional<DType> dtype = dtype_from_name(name)) return Value(*dtype, range);
    auto clock = clock_.find(name);
    if (clock != clock_.end()) return clock->second;
    step_asked_ |= name == "step";
    if (name == "step" && !counter_.empty()) return counted_step();
    if (name == "grad" && gradient_) return gradient_;
    if (name == "batch" && context_ && !path_.empty()) return Value(module_.batch, range);
    static const std::set<std::string> scalars = {"seed", "step", "epoch", "progress", "steps_per_epoch", "phase_step", "phase_steps", "record"};
    bool has_loss = context && (context->graph.name.starts_with("update") || context->graph.name == "rules.epoch");
    if (!scalars.count(name) && !(name == "loss" && has_loss)) return {};
    if (!context) return fail(DiagnosticCode::not_compile_time, range, {name});
    if (context == init_.get() && name != "seed") return fail(DiagnosticCode::no_value_yet, range, {name});
    return scalar(name);
}

Value Elaborator::lookup(const std::string &name, SourceRange range) {
    if (Binding *binding = find(name)) {
        used_.insert({binding->declared.file, binding->declared.begin});
        if (binding->cell && !context_) return fail(DiagnosticCode::not_compile_time, range, {name});
        const bool is_storage = binding->cell && binding->cell->kind == InputKind::storage;
        if (is_storage && surroundings() == init_.get() && !init_->is_known(InputKind::storage, binding->cell->name)) return fail(DiagnosticCode::no_value_yet, range, {name});
        Value value = read(*binding);
        if (value.is<TensorValue>() || value.is<FunctionValue>()) value.origin = range;  // a number keeps the place that sized it
        return value;
    }
    if (std::optional<Value> value = builtin(name, range)) return *value;
    report_unknown(name, range);
    return {};
}

void Elaborator::report_unknown(const std::string &name, SourceRange range) {
    for (Scope *scope = scope_.get(); scope; scope = scope->parent.get()) {
        auto entry = scope->unsized.find(name);
        if (entry == scope->unsized.end()) continue;
        const auto &[what, found, place] = entry->second;
        report(DiagnosticCode::classes_unknown, place, {what, found}).labels.push_back({range, fmt::format("`{}` is needed here", name)});
        return;
    }
    Diagnostic &diagnostic = report(DiagnosticCode::unknown_name, range, {name});
    if (text_argument_.file == range.file && text_argument_.begin == range.begin && text_argument_.end == range.end)
        diagnostic.notes.push_back(fmt::format("text stands in quotes: \"{}\"", name));
    else
        suggest(diagnostic, name, visible_names());
    for (const ast::Decl &decl : main_file_->declarations)
        if (decl.name.text == name) diagnostic.labels.push_back({decl.name.range, "declared only here: values know those above them"});
}

std::vector<std::string> Elaborator::visible_names() const {
    std::vector<std::string> names;
    for (Scope *scope = scope_.get(); scope; scope = scope->parent.get())
        for (const auto &[name, binding] : scope->names) names.push_back(name);
    for (const char *name : {"training", "step", "epoch", "progress", "phase_step", "phase_steps", "steps_per_epoch", "seed", "record"})
        names.push_back(name);
    return names;
}

}  // namespace kiln
