// Shared by the syntax tests: parse a text, look at the result.
#pragma once

#include "compiler/syntax/parse.h"
#include "compiler/syntax/print.h"

#include <gtest/gtest.h>

#include <memory>

namespace kiln {

/// A text with everything that came out of parsing it.
struct Parsed {
    std::unique_ptr<SourceMap> sources = std::make_unique<SourceMap>();
    Diagnostics diagnostics;
    ast::Module module;

    /// "E0022 3:5 expected a name, found `=`", one line each.
    std::string errors() const {
        std::string text;
        for (const Diagnostic &d : diagnostics.all()) {
            text += code_text(d.code) + " " + std::to_string(d.loc.line) + ":" + std::to_string(d.loc.column) + " " + d.message + "\n";
        }
        return text;
    }
};

inline Parsed parse_text(std::string text) {
    Parsed parsed;
    parsed.module = parse(parsed.sources->add("test.model", std::move(text)), parsed.diagnostics);
    return parsed;
}

/// The tree without places: what must survive formatting.
inline std::string shape_of(const ast::Module &module) {
    std::string shape;
    std::string text = dump(module);
    for (size_t begin = 0; begin < text.size();) {
        size_t end = text.find('\n', begin);
        std::string line = text.substr(begin, end - begin);
        // A place is "  @ 3:5" at the end of the line; a string literal may hold the same characters before it.
        size_t place = line.rfind("  @ ");
        if (place != std::string::npos && line.find_first_not_of("0123456789:", place + 4) == std::string::npos) line.resize(place);
        shape += line + "\n";
        begin = end + 1;
    }
    return shape;
}


}  // namespace kiln
