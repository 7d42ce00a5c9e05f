// Calls: matching arguments to parameters, and what a call of each kind of definition gives.
#include "compiler/elaborate/elaborator.h"

#include "compiler/support/check.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace kiln {

namespace {
using Kind = ast::DefinitionDecl::Kind;

bool is_needed_tensor(const ast::Param &param) { return param.type && param.type->has_dims && !param.default_value; }

/// What the parameter that is being initialised provides to its initializer.
bool initializer_context(const std::string &name) { return name == "shape" || name == "fan_in" || name == "fan_out"; }
}  // namespace

std::optional<std::vector<std::optional<Value>>> Elaborator::match_arguments(const FunctionValue &function, std::vector<CallArgument> &arguments,
                                                                             SourceRange range, size_t waiting) {
    const std::vector<ast::Param> &params = function.params();
    std::vector<std::optional<Value>> values(params.size());
    std::vector<SourceRange> given(params.size());
    auto taken = [&](size_t i) { return values[i] || (function.bound && function.bound->count(params[i].name.text)); };
    bool ok = true;
    size_t next = waiting;
    for (CallArgument &argument : arguments) {
        size_t slot = params.size();
        if (argument.name.text.empty()) {
            while (next < params.size() && taken(next)) ++next;
            if (next == params.size() || params[next].is_open()) {
                Diagnostic &diagnostic = report(DiagnosticCode::too_many_arguments, argument.range, {function.name(), std::to_string(next)});
                diagnostic.labels.push_back({function.place, "defined here"});
                ok = false;
                break;
            }
            slot = next++;
        } else {
            std::vector<std::string> names;
            for (size_t i = 0; i < params.size(); ++i) {
                names.push_back(params[i].name.text);
                if (params[i].name.text == argument.name.text) slot = i;
            }
            // An initializer that does not depend on the fan of its parameter leaves it aside.
            bool is_initializer = std::find(names.begin(), names.end(), "shape") != names.end() && (!function.kind() || function.kind() == Kind::function);
            if (slot == params.size() && is_initializer && initializer_context(argument.name.text)) continue;
            if (slot == params.size()) {
                Diagnostic &diagnostic = report(DiagnosticCode::unknown_argument, argument.name.range, {function.name(), argument.name.text});
                diagnostic.labels.push_back({function.place, "defined here"});
                suggest(diagnostic, argument.name.text, names);
                if (diagnostic.notes.empty() && !names.empty()) diagnostic.notes.push_back(fmt::format("it has `{}`", fmt::join(names, "`, `")));
                ok = false;
                continue;
            }
            if (values[slot]) {
                report(DiagnosticCode::argument_given_twice, argument.name.range, {argument.name.text}).labels.push_back({given[slot], "given here"});
                ok = false;
                continue;
            }
        }
        values[slot] = argument.value;
        given[slot] = argument.range;
    }
    if (function.bound)
        for (size_t i = 0; i < params.size(); ++i) {
            auto bound = function.bound->find(params[i].name.text);
            if (bound != function.bound->end() && !values[i]) values[i] = bound->second;
        }
    if (!ok) return {};
    return values;
}

Value Elaborator::partial(const FunctionValue &function, const std::vector<std::optional<Value>> &values) {
    auto bound = std::make_shared<std::map<std::string, Value>>();
    for (size_t i = 0; i < values.size(); ++i)
        if (values[i]) (*bound)[function.params()[i].name.text] = *values[i];
    FunctionValue result = function;
    result.bound = std::move(bound);
    return Value(std::move(result));
}

Value Elaborator::call(const FunctionValue &function, std::vector<CallArgument> arguments, SourceRange range, bool piped) {
    const std::vector<ast::Param> &params = function.params();
    std::optional<Kind> kind = function.kind();
    if (kind == Kind::model || kind == Kind::data)
        return fail(DiagnosticCode::not_callable, range, {describe(Value(function))});
    // A layer without its tensors, and a schedule without its rate, wait for them.
    const bool takes_tensors = kind == Kind::layer || kind == Kind::augment;
    size_t waiting = 0;  // so many of its first parameters
    if (!piped && !params.empty() && !(function.bound && function.bound->count(params[0].name.text))) {
        bool names_first = false;
        for (const CallArgument &argument : arguments) names_first |= argument.name.text == params[0].name.text;
        const Value *first = !arguments.empty() && arguments[0].name.text.empty() ? &arguments[0].value : nullptr;
        bool skip_first = false;
        if (takes_tensors) skip_first = !names_first && !(first && first->is<TensorValue>() && !is_scalar(*first));
        if (kind == Kind::reader) skip_first = params[0].type && params[0].type->name.text == "records" && !names_first && !(first && first->is<ReaderCall>());
        if (kind == Kind::schedule) skip_first = params[0].name.text == "rate" && !names_first;
        if (skip_first) waiting = 1;
        while (waiting > 0 && takes_tensors && waiting < params.size() && is_needed_tensor(params[waiting])) ++waiting;
    }
    std::vector<CallArgument> further;  // of names that an open parameter takes
    if (kind == Kind::reader && params.back().is_open()) {
        auto is_further = [&](const CallArgument &argument) {
            return !argument.name.text.empty() && std::none_of(params.begin(), params.end(), [&](const ast::Param &p) { return p.name.text == argument.name.text; });
        };
        auto first = std::stable_partition(arguments.begin(), arguments.end(), [&](const CallArgument &argument) { return !is_further(argument); });
        further.assign(std::make_move_iterator(first), std::make_move_iterator(arguments.end()));
        arguments.erase(first, arguments.end());
    }
    auto matched = match_arguments(function, arguments, range, waiting);
    if (!matched) return {};
    std::vector<std::optional<Value>> &values = *matched;

    if (kind == Kind::augment) {
        for (const CallArgument &argument : arguments)
            if (argument.value.is<ReaderCall>()) return fail(DiagnosticCode::augment_of_split, range, {function.name()});
        if (context_ && !context_->training) return fail(DiagnosticCode::augment_in_inference, range, {function.name()});
    }
    std::vector<std::string> missing;
    bool waits = true;
    for (size_t i = waiting; i < params.size(); ++i) {
        if (values[i] || params[i].default_value) continue;
        // `axis = none` and the like of primitives have defaults; the rest is needed.
        if (waiting > 0 && takes_tensors && is_needed_tensor(params[i])) continue;
        missing.push_back(params[i].name.text);
        waits &= initializer_context(params[i].name.text);
    }
    // A function that is given all but its first tensor, by name, waits for it: `activation = leaky_relu(slope = 0.2)`.
    const bool names_only = std::none_of(arguments.begin(), arguments.end(), [](const CallArgument &argument) { return argument.name.text.empty(); });
    const bool lacks_first = missing.size() == 1 && missing[0] == params[0].name.text && is_needed_tensor(params[0]);
    waits |= lacks_first && names_only && !arguments.empty();
    if (!missing.empty() && !(waits && (kind == Kind::function || !kind))) {
        for (const std::string &name : missing) {
            Diagnostic &diagnostic = report(DiagnosticCode::missing_argument, range, {function.name(), name});
            diagnostic.labels.push_back({function.place, "defined here"});
        }
        return {};
    }
    if (waiting > 0 || !missing.empty()) {
        Value waiting = partial(function, values);
        waiting.origin = range;
        if (kind == Kind::schedule) {
            ScheduleValue schedule;
            schedule.leaf = *waiting.get<FunctionValue>();
            schedule.range = range;
            return Value(std::move(schedule), range);
        }
        return waiting;
    }
    note_regularizers(function, values);
    if (!kind) return invoke(function, std::move(values), range);
    switch (*kind) {
    case Kind::function:
    case Kind::augment:
    case Kind::op:
    case Kind::layer: return invoke(function, std::move(values), range);
    case Kind::schedule: {
        Value whole = partial(function, values);
        ScheduleValue schedule;
        schedule.leaf = *whole.get<FunctionValue>();
        schedule.range = range;
        return Value(std::move(schedule), range);
    }
    case Kind::optimizer: {
        Value whole = partial(function, values);
        whole.origin = range;
        return whole;
    }
    case Kind::primitive: return call_primitive(*function.declaration, std::move(values), range);
    case Kind::reader: {
        auto scope = std::make_shared<Scope>();
        scope->parent = function.scope;
        const bool accepted = in_scope(scope, [&] {
            if (!complete(function, values, range)) return false;
            frames_.push_back({range, range.file, function.name()});
            const std::optional<Value> wrong = execute(std::get<ast::DefinitionDecl>(function.declaration->node).body);
            frames_.pop_back();
            return !wrong;
        });
        if (!accepted) return {};
        auto list = std::make_shared<std::vector<std::pair<std::string, Value>>>();
        auto files = std::make_shared<std::vector<std::string>>();
        auto columns = std::make_shared<std::vector<std::string>>();
        bool file_per_input = false;
        for (size_t i = 0; i < params.size(); ++i) {
            const auto *absent = params[i].default_value ? std::get_if<ast::NameRef>(&params[i].default_value->node) : nullptr;
            bool is_file = absent && absent->name == "none" && params[i].type && params[i].type->name.text == "path";
            file_per_input |= is_file;
            if (values[i]->is<None>()) continue;
            if (is_file) files->push_back(params[i].name.text);
            bool is_column = params[i].type && params[i].type->name.text == "column";
            if (is_column) columns->push_back(*values[i]->get<std::string>());
            list->push_back({params[i].name.text, *values[i]});
        }
        for (const CallArgument &argument : further) {
            auto same = [&](const auto &given) { return given.first == argument.name.text; };
            if (std::any_of(list->begin(), list->end(), same)) return fail(DiagnosticCode::argument_given_twice, argument.name.range, {argument.name.text});
            std::optional<Value> file = check_type(*params.back().type, argument.value, fmt::format("`{}` of `{}`", argument.name.text, function.name()), argument.range);
            if (!file) return {};
            files->push_back(argument.name.text);
            list->push_back({argument.name.text, *file});
        }
        const auto &results = std::get<ast::DefinitionDecl>(function.declaration->node).results;
        return Value(ReaderCall{function.name(), results.empty() ? "records" : results[0].name.text, std::move(list), file_per_input, std::move(files), std::move(columns)}, range);
    }
    case Kind::model:
    case Kind::data: break;
    }
    KILN_UNREACHABLE("call of {}", function.name());
}

/// Binds every parameter in the current scope: numbers first, because they may size the tensors, then tensors, then defaults.
bool Elaborator::complete(const FunctionValue &function, std::vector<std::optional<Value>> &values, SourceRange range) {
    const std::vector<ast::Param> &params = function.params();
    bool ok = true;
    auto take = [&](size_t i) {
        const ast::Param &param = params[i];
        if (param.type) {
            SourceRange place = values[i]->origin.valid() ? values[i]->origin : range;
            per_sample_ = function.kind() == Kind::augment;
            std::optional<Value> checked = check_type(*param.type, *values[i], fmt::format("`{}` of `{}`", param.name.text, function.name()), place);
            per_sample_ = false;
            if (!checked) {
                ok = false;
                checked = Value();
            }
            values[i] = checked;
        }
        auto existing = scope_->names.find(param.name.text);
        if (existing != scope_->names.end() && values[i]->number() && equal(existing->second.value, *values[i])) return;
        bind(param.name, *values[i], false);
    };
    for (bool tensors : {false, true})
        for (size_t i = 0; i < params.size(); ++i)
            if (values[i] && (params[i].type && params[i].type->has_dims) == tensors) take(i);
    for (size_t i = 0; i < params.size(); ++i) {
        if (values[i] || !params[i].default_value) continue;
        values[i] = evaluate(*params[i].default_value);
        if (values[i]->poison()) ok = false;
        if (values[i]->is<None>()) bind(params[i].name, *values[i], false);  // left out, whatever its type
        else take(i);
    }
    return ok;
}

Value Elaborator::invoke(const FunctionValue &function, std::vector<std::optional<Value>> values, SourceRange range) {
    if (int(frames_.size()) >= kMaxCalls) {
        const bool again = std::any_of(frames_.begin(), frames_.end(), [&](const auto &frame) { return frame.name == function.name(); });
        Diagnostic &diagnostic = again ? report(DiagnosticCode::recursion, range, {function.name(), std::to_string(kMaxCalls)})
                                       : report(DiagnosticCode::calls_too_deep, range, {std::to_string(kMaxCalls)});
        diagnostic.labels.push_back({function.place, "defined here"});
        return {};
    }
    if (++calls_made_ > kMostCalls) {
        if (calls_made_ == kMostCalls + 1) report(DiagnosticCode::calls_too_many, range, {std::to_string(kMostCalls), function.name()});
        return {};
    }
    for (const std::optional<Value> &value : values)
        if (value && value->poison()) return {};

    // `mean` over the samples of a metric: the rest of the metric is computed once per split, from the means.
    if (metric_ && function.name() == "mean" && in_stdlib(function.place) && values[0] && std::none_of(values.begin() + 1, values.end(), [](const auto &value) { return value.has_value(); }))
        if (const TensorValue *tensor = values[0]->get<TensorValue>(); tensor && tensor->context == context_ && is_of_samples(*tensor)) {
            // A mean of everything is the mean of that of each sample.
            std::vector<Value> axes;
            for (int64_t axis = 1; axis < type_of(*tensor).rank(); ++axis) axes.push_back(Value(axis, range));
            if (!axes.empty()) values[1] = make_list(axes, range);
            const Value of_sample = axes.empty() ? *values[0] : invoke(function, values, range);
            if (of_sample.poison()) return {};
            return Value(TensorValue{mean_over_split(*metric_, of_sample.get<TensorValue>()->node), report_.get()}, range);
        }
    auto scope = std::make_shared<Scope>();
    scope->parent = function.scope;
    frames_.push_back({range, range.file, function.name()});
    Value result = in_scope(scope, [&] {
        if (!complete(function, values, range)) return Value();
        return call_body(function, range);
    });
    frames_.pop_back();
    if (!result.poison()) result.origin = range;
    const TensorValue *tensor = result.get<TensorValue>();
    if (tensor && statistics_graph_ && tensor->context == statistics_graph_.get() && context_ != tensor->context && type_of(*tensor).rank() == 0 &&
        !(frames_.size() > 1 && in_stdlib(range)))
        return statistic(tensor->node);
    return result;
}

Value Elaborator::call_body(const FunctionValue &function, SourceRange range) {
    const ast::Block &body = function.lambda ? function.lambda->body : std::get<ast::DefinitionDecl>(function.declaration->node).body;
    bool is_layer = function.kind() == Kind::layer;
    std::string outer_path = path_, outer_stream = stream_path_;
    if (is_layer) {
        path_ = function.instance.empty() ? instance_path(function, range) : function.instance;
        stream_path_ = path_;
        // Each call of one instance finds the layers in it that the first call made.
        if (!function.instance.empty()) std::erase_if(visits_, [&](const auto &visit) { return visit.first.first.starts_with(path_ + "/"); });
    }
    // What an index means ends with its op: a function that is called from there is on its own.
    OpFrame *outer_op = op_;
    op_ = nullptr;
    Value value;
    if (function.kind() == Kind::op) {
        value = call_op(function, range);
    } else {
        std::optional<Value> result = function.kind() == Kind::augment ? execute_augment(body) : execute(body);
        value = result ? *result : Value(None{}, range);
    }
    op_ = outer_op;
    if (function.declaration && !value.poison()) {
        const std::vector<ast::TypeExpr> &results = std::get<ast::DefinitionDecl>(function.declaration->node).results;
        const TupleValue *tuple = value.get<TupleValue>();
        per_sample_ = function.kind() == Kind::augment;
        size_t count = tuple ? tuple->items->size() : value.is<None>() ? 0 : 1;
        if (!results.empty() && count != results.size()) {
            value = fail(DiagnosticCode::wrong_result_count, function.place, {function.name(), std::to_string(results.size()), std::to_string(count)});
        } else if (results.size() == 1) {
            std::optional<Value> checked = check_type(results[0], value, fmt::format("the result of `{}`", function.name()), function.place);
            value = checked ? *checked : Value();
        } else {
            for (size_t i = 0; i < results.size(); ++i)
                if (!check_type(results[i], (*tuple->items)[i], fmt::format("result {} of `{}`", i + 1, function.name()), function.place)) value = {};
        }
    }
    per_sample_ = false;
    path_ = outer_path;
    stream_path_ = outer_stream;
    return value;
}

}  // namespace kiln
