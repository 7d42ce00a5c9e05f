// What the library and a user's files define, for `kiln help`. Files are parsed and not elaborated, so that one that does not compile
// yet can be read about.
#pragma once

#include "compiler/support/diagnostics.h"
#include "compiler/syntax/ast.h"

#include <array>
#include <memory>
#include <string>
#include <vector>

namespace kiln {

/// What a file of the library is about: what its definitions are, functions beside others of another kind not counted.
enum class Part { layers, functions, optimizers, schedules, augmentations, readers, basic_operations };
inline constexpr std::array<const char *, 7> kPartTitles{"Layers",        "Functions",       "Optimizers",      "Schedules",
                                                         "Augmentations", "Readers of data", "Basic operations"};

struct DefinitionsOfFile {
    std::unique_ptr<ast::Module> tree;
    std::vector<const ast::Decl *> definitions;  ///< of anything that has a name: no imports and no training
    bool of_library = false;
    std::string topic;                           ///< of a file of the library: "nn/conv"
    Part part = Part::functions;
};

/// A definition and where it stands.
struct Definition {
    const ast::Decl *decl;
    const DefinitionsOfFile *file;
};

class Definitions {
public:
    /// Those of the library, by parts.
    Definitions();
    /// Adds a file and what it imports; what is wrong with them is reported.
    void add(const std::string &path, Diagnostics &diagnostics);

    /// A user's files first, as their names hide those of the library.
    const std::vector<DefinitionsOfFile> &files() const { return files_; }

private:
    SourceMap sources_;
    std::vector<DefinitionsOfFile> files_;
};

/// A definition of the library that is meant for its users has a comment with three slashes: what the library keeps to itself has
/// none, or one with two.
inline bool is_offered(const Definition &definition) { return !definition.file->of_library || !definition.decl->doc.empty(); }

/// Definitions that a topic is the name of; if `exact` is false whatever the case, and with or without underscores.
std::vector<Definition> named(const std::vector<DefinitionsOfFile> &files, const std::string &topic, bool exact);

/// Those that the library offers in the part, folder, file or kind of definition that a topic names; if `exact` is false begins to name,
/// as `optimizers` and `activations` do.
std::vector<Definition> in_section(const std::vector<DefinitionsOfFile> &files, const std::string &topic, bool exact);

/// Those whose documentation mentions a word, or whose name has it in it.
std::vector<Definition> about(const std::vector<DefinitionsOfFile> &files, const std::string &word);

/// What a topic is likely to be misspelt from, of these names and those of all definitions; "" if nothing.
std::string nearest_topic(const std::vector<DefinitionsOfFile> &files, const std::string &topic, const std::vector<std::string> &names);

}  // namespace kiln
