// The data block: a setting is a split or the vocabulary of an input, each reader call a description for the runtime.
#include "compiler/elaborate/elaborator.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace kiln {

std::optional<ReaderValue> Elaborator::reader_value(const Value &value) {
    ReaderValue result;
    if (value.number()) {
        result.kind = ReaderValue::Kind::number;
        result.number = value.as_double();
    } else if (const bool *flag = value.get<bool>()) {
        result.kind = ReaderValue::Kind::boolean;
        result.boolean = *flag;
    } else if (const std::string *text = value.get<std::string>()) {
        result.kind = ReaderValue::Kind::string;
        result.text = *text;
    } else if (const PathValue *path = value.get<PathValue>()) {
        result.kind = ReaderValue::Kind::path;
        result.text = path->text;
    } else if (const ListValue *list = value.get<ListValue>()) {
        result.kind = ReaderValue::Kind::list;
        for (const Value &item : *list->items) {
            std::optional<ReaderValue> element = reader_value(item);
            if (!element) return {};
            result.list.push_back(std::move(*element));
        }
    } else if (const ReaderCall *call = value.get<ReaderCall>()) {
        result.kind = ReaderValue::Kind::call;
        result.text = call->reader;
        result.arguments = reader_arguments(*call);
    } else {
        return {};
    }
    return result;
}

std::vector<std::pair<std::string, ReaderValue>> Elaborator::reader_arguments(const ReaderCall &call) {
    std::vector<std::pair<std::string, ReaderValue>> result;
    for (const auto &[name, argument] : *call.arguments) {
        std::optional<ReaderValue> given = reader_value(argument);
        if (given) result.push_back({name, std::move(*given)});
        else report(DiagnosticCode::wrong_type, argument.origin, {fmt::format("`{}` of `{}`", name, call.reader), "a number, a string, a path or a list", describe(argument)});
    }
    return result;
}

void Elaborator::declare_vocabulary(const ast::Name &name, const ReaderCall &call) {
    std::vector<std::string> inputs;
    for (Column &column : module_.columns) {
        inputs.push_back(column.name);
        if (column.name != name.text) continue;
        if (column.classes == 0 || column.type.rank() > 1) report(DiagnosticCode::vocabulary_of_numbers, name.range, {name.text, to_string(column.type)});
        column.vocabulary = ReaderValue{ReaderValue::Kind::call, 0, false, call.reader, {}, reader_arguments(call)};
        return;
    }
    suggest(report(DiagnosticCode::vocabulary_without_input, name.range, {name.text, module_.name}), name.text, inputs);
}

namespace {

/// A call, and all calls within: its sources and tables, and theirs.
std::vector<const ReaderCall *> calls_of(const ReaderCall &call) {
    std::vector<const ReaderCall *> calls{&call};
    for (const auto &[name, argument] : *call.arguments)
        if (const ReaderCall *inner = argument.get<ReaderCall>())
            for (const ReaderCall *each : calls_of(*inner)) calls.push_back(each);
    return calls;
}

/// The calls that read files.
std::vector<const ReaderCall *> leaves_of(const ReaderCall &call) {
    std::vector<const ReaderCall *> leaves;
    for (const ReaderCall *each : calls_of(call))
        if (calls_of(*each).size() == 1) leaves.push_back(each);
    return leaves;
}

/// Whether a call, or one within, gives other inputs than the files do.
bool relabels(const ReaderCall &call) {
    const std::vector<const ReaderCall *> calls = calls_of(call);
    return std::any_of(calls.begin(), calls.end(), [](const ReaderCall *each) { return each->result == "relabelled"; });
}

/// The list `columns = ["user", "_"]` of a file, null if its names are known only when it is read.
const Value *listed_columns(const ReaderCall &call) {
    for (const auto &[name, argument] : *call.arguments)
        if (name == "columns" && argument.is<ListValue>()) return &argument;
    return nullptr;
}

/// Whether nothing names the columns of a file: no header and no list.
bool is_nameless(const ReaderCall &call) {
    auto no_header = [](const auto &argument) { return argument.first == "header" && argument.second.template is<bool>() && !*argument.second.template get<bool>(); };
    return std::any_of(call.arguments->begin(), call.arguments->end(), no_header) && !listed_columns(call);
}

/// The input whose values, or one of whose elements, a column of this name holds; null if there is none.
const Column *input_of(const std::vector<Column> &inputs, const std::string &name) {
    for (const Column &input : inputs) {
        if (name == input.name) return &input;
        std::string_view rest = name;
        if (!rest.starts_with(input.name + "_")) continue;
        rest.remove_prefix(input.name.size() + 1);
        int64_t element = 0;
        auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), element);
        if (error == std::errc() && end == rest.data() + rest.size() && element >= 1 && element <= input.type.elements()) return &input;
    }
    return nullptr;
}

}  // namespace

/// What files give by name meets the model's inputs: each name is an input, a column that a transform reads, or `_`; and each input is there
/// where all names are known, unless another split takes what is missing from elsewhere (`part`). An input's plural stands for it as the name of a file.
void Elaborator::match_inputs(const ReaderCall &call, const std::string &split, SourceRange range, const std::set<std::string> &read_columns, bool part) {
    std::vector<std::string> inputs;
    for (const Column &column : module_.columns) inputs.push_back(column.name);
    std::set<std::string> given;
    bool all_known = !part && !relabels(call);
    const std::vector<const ReaderCall *> leaves = leaves_of(call);
    for (const ReaderCall *leaf : leaves) {
        for (const std::string &file : *leaf->files) {
            auto used = std::find_if(inputs.begin(), inputs.end(), [&](const std::string &input) { return file == input || file == input + "s"; });
            if (used != inputs.end()) given.insert(*used);
            else suggest(report(DiagnosticCode::file_without_input, range, {split, file, module_.name}), file, inputs);
        }
        if (is_nameless(*leaf)) report(DiagnosticCode::csv_without_names, range, {split});
        const Value *columns = listed_columns(*leaf);
        all_known &= columns || leaf->file_per_input;
        if (!columns) continue;
        for (const Value &item : *columns->get<ListValue>()->items) {
            const std::string *name = item.get<std::string>();
            if (!name) {
                report(DiagnosticCode::wrong_type, columns->origin, {fmt::format("`columns` of `{}`", leaf->reader), "a list of names", describe(*columns)});
                all_known = false;
                break;
            }
            const Column *input = input_of(module_.columns, *name);
            if (input) given.insert(input->name);
            else if (*name != "_" && *name != ".." && !read_columns.count(*name)) suggest(report(DiagnosticCode::column_without_input, columns->origin, {split, *name, module_.name}), *name, inputs);
        }
    }
    for (const std::string &input : inputs)
        if (all_known && !given.count(input)) report(DiagnosticCode::input_without_file, range, {split, input, leaves.front()->reader});
}

void Elaborator::elaborate_data(const ast::TrainDecl &train) {
    if (!train.data) {
        report(DiagnosticCode::no_data, train_->name.range, {module_.name});
        return;
    }
    const ast::Expr *named = train.data.get();
    const auto *call_expr = std::get_if<ast::CallExpr>(&named->node);
    if (call_expr) named = call_expr->callee.get();
    Value value = evaluate(*named);
    if (value.poison()) return;
    const FunctionValue *data = value.get<FunctionValue>();
    if (!data || data->kind() != ast::DefinitionDecl::Kind::data) {
        report(DiagnosticCode::wrong_type, named->range, {"what a model is trained on", "a `data` block", describe(value)});
        return;
    }
    const int errors = diagnostics_->error_count();
    std::vector<CallArgument> arguments;
    if (call_expr)
        for (const ast::Argument &argument : call_expr->arguments) arguments.push_back({argument.name, evaluate(*argument.value), argument.value->range});
    auto matched = match_arguments(*data, arguments, train.data->range, 0);
    if (!matched) return;
    const std::vector<ast::Param> &params = data->params();
    for (size_t i = 0; i < params.size(); ++i) {
        if ((*matched)[i] || params[i].default_value) continue;
        // The folder given to the executable with --data.
        if (params[i].type && params[i].type->name.text == "path") (*matched)[i] = Value(PathValue{""}, params[i].name.range);
        else report(DiagnosticCode::missing_argument, train.data->range, {data->name(), params[i].name.text});
    }
    if (diagnostics_->error_count() > errors) return;
    auto scope = std::make_shared<Scope>();
    scope->parent = data->scope;
    in_scope(scope, [&] {
        if (!complete(*data, *matched, train.data->range)) return;
        std::vector<std::tuple<Value, std::string, SourceRange>> splits;
        std::set<std::string> read_columns;
        for (const ast::StmtPtr &stmt : std::get<ast::DefinitionDecl>(data->declaration->node).body) {
            const auto *setting = std::get_if<ast::BindStmt>(&stmt->node);
            if (!setting || setting->names.size() != 1) {
                report(DiagnosticCode::not_a_split, stmt->range);
                continue;
            }
            if (setting->type) report(DiagnosticCode::setting_type, setting->type->range, {setting->names[0].text});
            Value split_value = evaluate(*setting->value);
            if (split_value.poison() || split_value.is<None>()) continue;  // `none`: no such split
            const ReaderCall *call_value = split_value.get<ReaderCall>();
            if (!call_value) {
                report(DiagnosticCode::wrong_type, setting->value->range, {fmt::format("split `{}`", setting->names[0].text), "a call of a reader", describe(split_value)});
                continue;
            }
            for (const ReaderCall *each : calls_of(*call_value)) read_columns.insert(each->columns->begin(), each->columns->end());
            // A later split may be made of an earlier one.
            auto [entry, is_new] = scope->names.try_emplace(setting->names[0].text, Binding{split_value, {}, false, false, setting->names[0].range});
            if (!is_new) {
                report(DiagnosticCode::duplicate_name, setting->names[0].range, {setting->names[0].text}).labels.push_back({entry->second.declared, "first bound here"});
                continue;
            }
            if (call_value->result == "vocabulary") {
                declare_vocabulary(setting->names[0], *call_value);
                continue;
            }
            Split split;
            split.name = setting->names[0].text;
            split.reader = call_value->reader;
            split.loc = to_loc(setting->names[0].range);
            split_places_[split.name] = setting->names[0].range;
            split.arguments = reader_arguments(*call_value);
            splits.push_back({split_value, split.name, setting->value->range});
            module_.splits.push_back(std::move(split));
        }
        std::set<const void *> parts;  // of splits: by what they are called with, which copies of a call share
        for (const auto &[call, name, range] : splits)
            for (const ReaderCall *each : calls_of(*call.get<ReaderCall>()))
                if (each != call.get<ReaderCall>()) parts.insert(each->arguments.get());
        for (const auto &[call, name, range] : splits)
            if (errors == 0) match_inputs(*call.get<ReaderCall>(), name, range, read_columns, parts.count(call.get<ReaderCall>()->arguments.get()) > 0);
        bool has_train = false;
        for (const Split &split : module_.splits) has_train |= split.name == "train";
        if (!has_train && diagnostics_->error_count() == errors) report(DiagnosticCode::no_train_split, data->place, {data->name()});
        for (const auto &[call, name, range] : splits)
            if (scan_ && name == "train" && diagnostics_->error_count() == errors) elaborate_scan(call);
    });
}

}  // namespace kiln
