// Files and declarations, and the order in which an experiment is elaborated.
#include "compiler/elaborate/elaborator.h"

#include "compiler/support/check.h"
#include "compiler/support/read_file.h"
#include "compiler/syntax/parse.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>

namespace kiln {

Module elaborate(const ast::Module &file, SourceMap &sources, const ElaborateOptions &options, Diagnostics &diagnostics) {
    return Elaborator(sources, options, diagnostics).run(file);
}

Module Elaborator::run(const ast::Module &file) {
    module_.source_name = file.file->name;
    module_.doc = file.doc;
    main_file_ = &file;
    prelude_ = std::make_shared<Scope>();
    file_scope_ = std::make_shared<Scope>();
    file_scope_->parent = prelude_;
    load_prelude();
    apply_precision(file);
    scope_ = file_scope_;
    declare_file(file, file_scope_);
    for (const auto &[name, text] : options_.defines)
        if (!used_defines_.count(name)) {
            std::vector<std::string> names;
            for (const auto &[candidate, binding] : file_scope_->names)
                if (binding.constant) names.push_back(candidate);
            suggest(diagnostics_->report(DiagnosticCode::unknown_define, SourceRange{file.file, 0, 0}, {name}), name, names);
        }
    if (!find_model(file)) return std::move(module_);
    if (train_) elaborate_mixes();
    if (train_) elaborate_augmentations();
    elaborate_model();
    if (train_) {
        const auto &train = std::get<ast::TrainDecl>(train_->node);
        elaborate_data(train);
        if (!diagnostics_->has_errors()) elaborate_training();
    }
    if (!diagnostics_->has_errors()) finish_scan();
    if (scan_ && !train_) report(DiagnosticCode::scan_without_train, scan_->name.range);
    if (!diagnostics_->has_errors()) report_unused();
    return std::move(module_);
}

void Elaborator::load_prelude() {
    Diagnostics problems;
    for (const auto &[name, text] : stdlib_sources()) {
        const SourceFile &source = sources_.add("stdlib/" + name, text);
        stdlib_files_.insert(&source);
        trees_.push_back(std::make_unique<ast::Module>(parse(source, problems)));
    }
    KILN_CHECK(!problems.has_errors(), "the standard library does not parse:\n{}", render(problems, false));
    scope_ = prelude_;
    for (const auto &tree : trees_) declare_file(*tree, prelude_);
}

void Elaborator::apply_precision(const ast::Module &file) {
    for (const ast::Decl &decl : file.declarations) {
        const auto *precision = std::get_if<ast::PrecisionDecl>(&decl.node);
        if (!precision) continue;
        std::optional<DType> dtype = dtype_from_name(precision->type.text);
        if (dtype && is_float(*dtype)) module_.float_type = *dtype;
        else report(DiagnosticCode::wrong_precision, precision->type.range, {precision->type.text});
    }
}

void Elaborator::declare_file(const ast::Module &file, const std::shared_ptr<Scope> &scope) {
    for (const ast::Decl &decl : file.declarations) {
        if (const auto *import = std::get_if<ast::ImportDecl>(&decl.node)) {
            import_file(decl, import->path, file.file, scope);
            continue;
        }
        if (std::holds_alternative<ast::PrecisionDecl>(decl.node)) continue;
        if (const auto *train = std::get_if<ast::TrainDecl>(&decl.node)) {
            if (train->kind == ast::TrainDecl::Kind::scan) {
                if (scan_) report(DiagnosticCode::two_scans, decl.name.range).labels.push_back({scan_->name.range, "the first one is here"});
                else scan_ = &decl;
            } else if (train_) {
                report(DiagnosticCode::two_train_blocks, decl.name.range).labels.push_back({train_->name.range, "the first one is here"});
            } else {
                train_ = &decl;
            }
            continue;
        }
        auto [entry, is_new] = scope->names.try_emplace(decl.name.text);
        if (!is_new) {
            Diagnostic &diagnostic = report(DiagnosticCode::duplicate_name, decl.name.range, {decl.name.text});
            diagnostic.labels.push_back({entry->second.declared, "first declared here"});
            continue;
        }
        Binding &binding = entry->second;
        binding.declared = decl.name.range;
        binding.assignable = false;
        if (const auto *value = std::get_if<ast::ValueDecl>(&decl.node)) {
            auto own = scope->names.extract(entry);  // it does not know itself
            declare_value(decl, *value, own.mapped());
            scope->names.insert(std::move(own));
            continue;
        }
        const auto *definition = std::get_if<ast::DefinitionDecl>(&decl.node);
        if (definition && definition->kind == ast::DefinitionDecl::Kind::reader && !in_stdlib(decl.range)) report(DiagnosticCode::reader_of_user, decl.name.range);
        FunctionValue function;
        function.declaration = &decl;
        function.scope = scope;
        function.place = decl.name.range;
        binding.value = Value(std::move(function), decl.name.range);
    }
}

void Elaborator::declare_value(const ast::Decl &decl, const ast::ValueDecl &declaration, Binding &binding) {
    bool is_hyper = declaration.kind == ast::ValueDecl::Kind::hyper;
    Value value = evaluate(*declaration.value);
    if (declaration.type && !value.poison()) {
        std::optional<Value> checked = check_type(*declaration.type, value, fmt::format("`{}`", decl.name.text), declaration.value->range);
        value = checked ? *checked : Value();
    }
    auto define = options_.defines.find(decl.name.text);
    if (!is_hyper && !in_stdlib(decl.range) && define != options_.defines.end()) {
        used_defines_.insert(define->first);
        std::optional<Value> given = parse_define(define->second, value);
        if (given) value = *given;
        else report(DiagnosticCode::wrong_define, decl.name.range, {decl.name.text, define->second, describe(value)});
    }
    if (!is_hyper) {
        value.origin = declaration.value->range;
        binding.value = std::move(value);
        binding.constant = true;
        return;
    }
    binding.cell = Cell{InputKind::scalar, decl.name.text, Type{DType::f64, {}}};
    if (value.poison()) return;
    Hyper hyper;
    hyper.name = decl.name.text;
    hyper.doc = decl.doc;
    hyper.loc = to_loc(decl.name.range);
    bool declared_real = declaration.type && declaration.type->name.text == "float";
    if (value.is<bool>()) {
        hyper.kind = ScalarKind::boolean;
        hyper.default_value = *value.get<bool>() ? 1 : 0;
        binding.cell->type.dtype = DType::boolean;
    } else if (value.number()) {
        hyper.kind = value.is<int64_t>() && !declared_real ? ScalarKind::integer : ScalarKind::real;
        hyper.default_value = value.as_double();
    } else {
        report(DiagnosticCode::wrong_type, declaration.value->range, {fmt::format("`hyper {}`", decl.name.text), "a number or true or false", describe(value)});
    }
    const std::vector<std::string> &reserved = builtin_scalars();
    if (hyper.name == "training" || std::find(reserved.begin(), reserved.end(), hyper.name) != reserved.end()) report(DiagnosticCode::reserved_name, decl.name.range, {hyper.name});
    module_.hypers.push_back(std::move(hyper));
}

/// The text after `-D name=`, read as a value of the kind of `like`.
std::optional<Value> Elaborator::parse_define(const std::string &text, const Value &like) {
    if (like.is<std::string>()) return Value(text);
    if (like.is<bool>()) {
        if (text == "true") return Value(true);
        if (text == "false") return Value(false);
        return {};
    }
    const char *end = text.data() + text.size();
    auto whole = [&](std::from_chars_result read) { return read.ec == std::errc() && read.ptr == end; };
    if (int64_t number; like.is<int64_t>() && whole(std::from_chars(text.data(), end, number))) return Value(number);
    if (like.is<ListValue>()) {
        Value given;
        unreported([&] {
            trees_.push_back(std::make_unique<ast::Module>(parse(sources_.add("-D", "const given = " + text + "\n"), *diagnostics_)));
            const auto &declarations = trees_.back()->declarations;
            const auto *declaration = declarations.size() == 1 ? std::get_if<ast::ValueDecl>(&declarations[0].node) : nullptr;
            if (declaration && !diagnostics_->has_errors()) given = evaluate(*declaration->value);
        });
        return given.is<ListValue>() ? std::optional(given) : std::nullopt;
    }
    if (double number; like.is<double>() && whole(std::from_chars(text.data(), end, number)) && std::isfinite(number)) return Value(number);
    return {};
}

std::string imported_name(const std::string &path, const SourceFile &from) {
    size_t slash = from.name.rfind('/');
    return path.empty() || path[0] == '/' || slash == std::string::npos ? path : from.name.substr(0, slash + 1) + path;
}

void Elaborator::import_file(const ast::Decl &decl, const std::string &path, const SourceFile *from, const std::shared_ptr<Scope> &scope) {
    const std::string name = imported_name(path, *from);
    auto [entry, is_new] = imported_.try_emplace(name);
    if (!is_new) return;
    // Twice by different names, or in a circle: its declarations are there already.
    const std::optional<FileIdentity> identity = identity_of(name);
    const SourceFile *known = identity ? sources_.find(*identity) : nullptr;
    entry->second = known ? known : read_source(name, sources_, *diagnostics_, decl.range);
    if (known || !entry->second) return;
    trees_.push_back(std::make_unique<ast::Module>(parse(*entry->second, *diagnostics_)));
    declare_file(*trees_.back(), scope);
}

}  // namespace kiln
