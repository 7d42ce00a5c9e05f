// `kiln help`: what commands do, what the library offers, what a file defines.
#include "compiler/driver/commands.h"
#include "compiler/driver/definitions.h"
#include "compiler/driver/doc_text.h"
#include "compiler/driver/failure.h"
#include "compiler/driver/files.h"
#include "compiler/driver/session.h"

#include <fmt/format.h>

#include <algorithm>

namespace kiln {
namespace {

constexpr const char *kLibrary = "library";

/// What a topic turned out to be, and the text about it.
class Guide {
public:
    Guide(const HelpOptions &options, const Definitions &definitions) : options_(options), files_(definitions.files()) {
        constexpr int kWidest = 120;  // longer lines are hard to read
        columns_ = options.columns > 0 ? size_t(std::min(options.columns, kWidest)) : 0;
    }

    /// Everything that has this name; else what it may mean. Empty if that is nothing.
    std::string about_topic(const std::string &topic) {
        std::string text;
        if (auto command = options_.commands.find(topic); command != options_.commands.end()) text += command->second;
        if (topic == kLibrary) text += library();
        for (const std::string &part : {section(in_section(files_, topic, true)), explained(named(files_, topic, true))})
            if (!part.empty()) text += (text.empty() ? "" : "\n") + part;
        if (text.empty()) text = explained(named(files_, topic, false));
        if (text.empty()) text = section(in_section(files_, topic, false));
        if (!text.empty() || topic.empty()) return text;
        for (const DefinitionsOfFile &file : files_)
            if (file.of_library && mentions(file.tree->doc, topic)) text += "\n" + heading(file);
        const std::vector<Definition> mentioned = about(files_, topic);
        if (!mentioned.empty()) text += "\n" + rows(mentioned);
        return text.empty() ? "" : fmt::format("Nothing is called `{}`. This mentions it:\n{}", topic, text);
    }

    /// What one file of the user's defines.
    std::string about_file(const DefinitionsOfFile &file) const {
        std::string text = file.tree->file->name + "\n";
        if (!file.tree->doc.empty()) text += "\n" + laid_out(file.tree->doc, columns_, 0);
        using Kind = ast::ValueDecl::Kind;
        std::vector<Definition> hypers, constants, others;
        for (const ast::Decl *decl : file.definitions) {
            const auto *value = std::get_if<ast::ValueDecl>(&decl->node);
            (!value ? others : value->kind == Kind::hyper ? hypers : constants).push_back({decl, &file});
        }
        if (!hypers.empty()) text += "\nHyper-parameters (flags of train):\n" + rows(hypers);
        if (!constants.empty()) text += "\nConstants (kiln build -D NAME=VALUE):\n" + rows(constants);
        for (const Definition &definition : others) text += "\n" + signature(*definition.decl, columns_, 0) + summary(definition, 4);
        return text;
    }

    bool showed_source() const { return showed_source_; }

private:
    std::string summary(const Definition &definition, size_t indent) const {
        const std::string sentence = first_sentence(definition.decl->doc);
        return sentence.empty() ? "" : wrapped(sentence, columns_, indent);
    }

    /// What a definition is, in the fewer words the less room a line has.
    std::string brief(const Definition &definition, size_t room) const {
        const std::string sentence = first_sentence(definition.decl->doc);
        return columns_ == 0 || width_of(sentence) <= room ? sentence : without_explanation(sentence);
    }

    /// A line for each definition, more of them where the width does not do: how it is called, and what it is.
    std::string rows(const std::vector<Definition> &definitions) const {
        constexpr size_t kIndent = 2, kText = 32;
        std::string text;
        for (const Definition &definition : definitions) {
            const std::string name = std::string(kIndent, ' ') + short_signature(*definition.decl);
            const std::string sentence = brief(definition, columns_ - std::min(columns_, kText));
            const bool fits = width_of(name) + 2 <= kText;
            if (sentence.empty()) text += name + "\n";
            else if (fits) text += name + wrapped(sentence, columns_, kText).substr(width_of(name));
            else if (columns_ == 0) text += name + "  " + sentence + "\n";
            else text += name + "\n" + wrapped(sentence, columns_, kText);
        }
        return text;
    }

    std::string library() const {
        std::string text = wrapped("`kiln help NAME` explains a definition, `kiln help layers` or `kiln help nn/conv` lists those of a kind or "
                                   "a file with all their parameters.", columns_, 0);
        std::optional<Part> part;
        for (const DefinitionsOfFile &file : files_) {
            if (!file.of_library) continue;
            std::vector<Definition> definitions;
            for (const ast::Decl *decl : file.definitions)
                if (Definition definition{decl, &file}; is_offered(definition)) definitions.push_back(definition);
            if (definitions.empty()) continue;
            if (part != file.part) text += fmt::format("\n{}\n", kPartTitles[size_t(file.part)]);
            part = file.part;
            text += "\n" + wrapped(fmt::format("{}: {}", file.topic, first_sentence(file.tree->doc)), columns_, 0, 2) + rows(definitions);
        }
        return text;
    }

    /// What a file of the library says of itself.
    std::string heading(const DefinitionsOfFile &file) const { return file.tree->file->name + "\n" + laid_out(file.tree->doc, columns_, 4); }

    /// Definitions with all their parameters, below what their files say of themselves.
    std::string section(const std::vector<Definition> &definitions) const {
        std::string text;
        const DefinitionsOfFile *file = nullptr;
        for (const Definition &definition : definitions) {
            if (definition.file != file) text += (file ? "\n" : "") + heading(*definition.file);
            file = definition.file;
            text += "\n" + signature(*definition.decl, columns_, 0) + summary(definition, 4);
        }
        return text;
    }

    /// Everything that is known of definitions.
    std::string explained(const std::vector<Definition> &definitions) {
        std::string text;
        for (const auto &[decl, file] : definitions) {
            if (!text.empty()) text += "\n";
            text += signature(*decl, columns_, 0);
            if (!decl->doc.empty()) text += "\n" + laid_out(decl->doc, columns_, 4);
            else if (file->of_library) text += "\n" + wrapped("The library uses it itself; it is not meant for others.", columns_, 4);
            const Loc place = to_loc(decl->name.range);
            text += fmt::format("\n{}:{}\n", place.file, place.line);
            if (!options_.source) continue;
            text += "\n" + source_text(*decl);
            showed_source_ = true;
        }
        return text;
    }

    const HelpOptions &options_;
    const std::vector<DefinitionsOfFile> &files_;
    size_t columns_;
    bool showed_source_ = false;
};

}  // namespace

int help(const HelpOptions &options) {
    Definitions definitions;
    Diagnostics diagnostics;
    std::vector<std::string> topics, library_files, names{kLibrary};
    for (const std::string &topic : options.topics) {
        if (!topic.ends_with(".model")) topics.push_back(topic);
        else if (!in_section(definitions.files(), topic, true).empty()) library_files.push_back(topic);
        else definitions.add(topic, diagnostics);
    }
    // Beside a name, a file is where it is looked up.
    if (topics.empty()) topics = library_files;
    for (const auto &[name, text] : options.commands) names.push_back(name);
    Guide guide(options, definitions);
    std::string text;
    auto append = [&](const std::string &part) { text += (text.empty() ? "" : "\n") + part; };
    for (const DefinitionsOfFile &file : definitions.files())
        if ((topics.empty() || topics == library_files) && !file.of_library) append(guide.about_file(file));
    for (const std::string &topic : topics) {
        const std::string part = guide.about_topic(topic);
        if (part.empty()) {
            const std::string near = nearest_topic(definitions.files(), topic, names);
            throw UsageError(fmt::format("no command or definition `{}`{}; `kiln help` lists the commands, `kiln help library` the definitions", topic,
                                         near.empty() ? "" : fmt::format(", did you mean `{}`?", near)));
        }
        append(part);
    }
    if (options.source && !guide.showed_source()) throw UsageError("--source: it shows that of a definition; name one");
    write_stdout(text);
    return print_diagnostics(diagnostics, options.colour) ? kExitProgram : kExitOk;
}

}  // namespace kiln
