// Elaborates a text, for the tests of this folder.
#pragma once

#include "compiler/elaborate/elaborate.h"
#include "compiler/syntax/parse.h"

#include <memory>
#include <string>

namespace kiln {

struct Elaborated {
    std::shared_ptr<SourceMap> sources = std::make_shared<SourceMap>();
    Diagnostics diagnostics;
    Module module;
    std::string messages() const { return render(diagnostics, false); }
    bool says(const std::string &text) const { return messages().find(text) != std::string::npos; }
};

inline Elaborated elaborate_text(const std::string &text, const ElaborateOptions &options = {}) {
    Elaborated result;
    const SourceFile &file = result.sources->add("test.model", text);
    ast::Module tree = parse(file, result.diagnostics);
    if (!result.diagnostics.has_errors()) result.module = elaborate(tree, *result.sources, options, result.diagnostics);
    return result;
}

/// A model with these statements, on 4 x 4 pictures of 3 classes, and a plain `train` block.
inline std::string experiment(const std::string &statements, const std::string &settings = "optimizer = SGD(0.1)\n") {
    return "data digits(dir: path) {\n train = idx(dir / \"a\", dir / \"b\")\n}\n"
           "model M(image: f32[4, 4, 1], label: class[3]) {\n" + statements + "\n}\n"
           "train M on digits {\n batch = 8\n epochs = 10\n" + settings + "}\n";
}

}  // namespace kiln
