#include "compiler/driver/definitions.h"

#include "compiler/driver/doc_text.h"
#include "compiler/elaborate/elaborate.h"
#include "compiler/support/check.h"
#include "compiler/support/read_file.h"
#include "compiler/syntax/parse.h"
#include "kiln/names.h"

#include <algorithm>
#include <cctype>
#include <map>
#include <optional>

namespace kiln {
namespace {

std::optional<Part> part_of(const ast::Decl &decl) {
    using Kind = ast::DefinitionDecl::Kind;
    const auto *definition = std::get_if<ast::DefinitionDecl>(&decl.node);
    if (!definition) return std::nullopt;
    switch (definition->kind) {
        case Kind::layer: return Part::layers;
        case Kind::optimizer: return Part::optimizers;
        case Kind::schedule: return Part::schedules;
        case Kind::augment: return Part::augmentations;
        case Kind::reader: return Part::readers;
        case Kind::primitive: return Part::basic_operations;
        case Kind::function: case Kind::op: case Kind::model: case Kind::data: return std::nullopt;
    }
    return std::nullopt;
}

DefinitionsOfFile definitions_of(ast::Module tree) {
    DefinitionsOfFile file;
    file.tree = std::make_unique<ast::Module>(std::move(tree));
    for (const ast::Decl &decl : file.tree->declarations) {
        if (!std::holds_alternative<ast::ValueDecl>(decl.node) && !std::holds_alternative<ast::DefinitionDecl>(decl.node)) continue;
        file.definitions.push_back(&decl);
        if (std::optional<Part> part = part_of(decl)) file.part = *part;
    }
    return file;
}

/// Names of the field are spelt in many ways: LeakyReLU, leaky_relu, leakyrelu.
std::string plain(const std::string &name) {
    std::string result;
    for (char c : name)
        if (c != '_' && c != '-') result += char(std::tolower(static_cast<unsigned char>(c)));
    return result;
}

bool begins_to_name(const std::string &topic, const std::string &name) {
    constexpr size_t kShortest = 4;
    const size_t common = std::min(topic.size(), name.size());
    return common >= kShortest && plain(topic).substr(0, common) == plain(name).substr(0, common);
}

template <class Condition>
std::vector<Definition> those(const std::vector<DefinitionsOfFile> &files, const Condition &condition) {
    std::vector<Definition> result;
    for (const DefinitionsOfFile &file : files)
        for (const ast::Decl *decl : file.definitions)
            if (Definition definition{decl, &file}; condition(definition)) result.push_back(definition);
    return result;
}

}  // namespace

Definitions::Definitions() {
    Diagnostics problems;
    for (const auto &[name, text] : stdlib_sources()) {
        files_.push_back(definitions_of(parse(sources_.add("stdlib/" + name, text), problems)));
        files_.back().of_library = true;
        files_.back().topic = name.substr(0, name.rfind('.'));
    }
    KILN_CHECK(!problems.has_errors(), "the standard library does not parse:\n{}", render(problems, false));
    std::stable_sort(files_.begin(), files_.end(), [](const auto &a, const auto &b) { return a.part < b.part; });
}

void Definitions::add(const std::string &path, Diagnostics &diagnostics) {
    std::vector<DefinitionsOfFile> read;
    auto add_with_imports = [&](auto &&self, const std::string &name, SourceRange range) -> void {
        const std::optional<FileIdentity> identity = identity_of(name);
        if (identity && sources_.find(*identity)) return;
        const SourceFile *source = read_source(name, sources_, diagnostics, range);
        if (!source) return;
        read.push_back(definitions_of(parse(*source, diagnostics)));
        const ast::Module &tree = *read.back().tree;
        for (const ast::Decl &decl : tree.declarations)
            if (const auto *import = std::get_if<ast::ImportDecl>(&decl.node)) self(self, imported_name(import->path, *source), decl.range);
    };
    add_with_imports(add_with_imports, path, {});
    const auto library = std::find_if(files_.begin(), files_.end(), [](const DefinitionsOfFile &file) { return file.of_library; });
    files_.insert(library, std::make_move_iterator(read.begin()), std::make_move_iterator(read.end()));
}

std::vector<Definition> named(const std::vector<DefinitionsOfFile> &files, const std::string &topic, bool exact) {
    return those(files, [&](const Definition &definition) {
        const std::string &name = definition.decl->name.text;
        return exact ? name == topic : plain(name) == plain(topic);
    });
}

std::vector<Definition> in_section(const std::vector<DefinitionsOfFile> &files, const std::string &topic, bool exact) {
    return those(files, [&](const Definition &definition) {
        const DefinitionsOfFile &file = *definition.file;
        if (!file.of_library || !is_offered(definition)) return false;
        const std::string folder = file.topic.substr(0, file.topic.find('/')), stem = file.topic.substr(file.topic.rfind('/') + 1);
        if (exact && topic == "stdlib/" + file.topic + ".model") return true;
        const std::optional<Part> part = part_of(*definition.decl);
        std::vector<std::string> sections{file.topic, folder, stem, kind_word(*definition.decl)};
        if (part || definition.file->part == Part::functions) sections.push_back(kPartTitles[size_t(part.value_or(Part::functions))]);
        auto is_it = [&](const std::string &section) { return exact ? topic == section : begins_to_name(topic, section); };
        return std::any_of(sections.begin(), sections.end(), is_it);
    });
}

std::vector<Definition> about(const std::vector<DefinitionsOfFile> &files, const std::string &word) {
    return those(files, [&](const Definition &definition) {
        if (!is_offered(definition)) return false;
        const bool in_name = word.size() > 2 && plain(definition.decl->name.text).find(plain(word)) != std::string::npos;
        return in_name || mentions(definition.decl->doc, word);
    });
}

std::string nearest_topic(const std::vector<DefinitionsOfFile> &files, const std::string &topic, const std::vector<std::string> &names) {
    std::map<std::string, std::string> spelt;
    std::vector<std::string> candidates;
    auto add = [&](const std::string &name) {
        if (spelt.emplace(plain(name), name).second) candidates.push_back(plain(name));
    };
    for (const std::string &name : names) add(name);
    for (const Definition &definition : those(files, is_offered)) add(definition.decl->name.text);
    const std::string nearest = nearest_name(plain(topic), candidates);
    return nearest.empty() ? "" : spelt.at(nearest);
}

}  // namespace kiln
