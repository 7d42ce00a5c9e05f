#include "compiler/driver/doc_text.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <sstream>
#include <vector>

namespace kiln {
namespace {

std::string_view text_of(SourceRange range) { return std::string_view(range.file->text).substr(range.begin, range.end - range.begin); }

/// Code that may stand on several lines on one of them, without its comments.
std::string on_one_line(std::string_view code) {
    std::string result;
    bool in_string = false;
    for (size_t i = 0; i < code.size(); ++i) {
        const char c = code[i];
        if (!in_string && code.substr(i, 2) == "//") {
            i = std::min(code.find('\n', i), code.size()) - 1;
        } else if (in_string || !std::isspace(static_cast<unsigned char>(c))) {
            if (c == '"') in_string = !in_string;
            result += c;
            if (in_string && c == '\\' && i + 1 < code.size()) result += code[++i];
        } else if (!result.empty() && result.back() != ' ') {
            result += ' ';
        }
    }
    return result;
}

std::string with_type_and_value(const ast::Name &name, const ast::TypeExpr *type, const ast::Expr *value) {
    std::string text = name.text;
    if (type) text += ": " + on_one_line(text_of(type->range));
    if (value) text += " = " + on_one_line(text_of(value->range));
    return text;
}

/// What is filled or kept as one: a paragraph, a line of shapes, a line of an example.
struct Piece {
    enum class Kind { paragraph, shapes, example, gap } kind;
    std::string text;
};

std::vector<Piece> pieces_of(const std::string &doc) {
    using Kind = Piece::Kind;
    std::vector<Piece> pieces;
    std::istringstream lines(doc);
    for (std::string line; std::getline(lines, line);) {
        if (line.empty()) pieces.push_back({Kind::gap, ""});
        else if (line.starts_with("    ")) pieces.push_back({Kind::example, line});
        else if (line.starts_with("  ")) pieces.push_back({Kind::shapes, line.substr(2)});
        else if (!pieces.empty() && pieces.back().kind == Kind::paragraph) pieces.back().text += " " + line;
        else pieces.push_back({Kind::paragraph, line});
    }
    return pieces;
}

}  // namespace

size_t width_of(std::string_view text) {
    return size_t(std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

std::string wrapped(const std::string &text, size_t columns, size_t indent, size_t hang) {
    std::string result(indent, ' ');
    size_t used = indent, from = 0;
    while (from < text.size()) {
        // The spaces before a word belong to it, as those around `->` in a line of shapes.
        size_t begin = text.find_first_not_of(' ', from);
        if (begin == std::string::npos) break;
        const size_t end = std::min(text.find(' ', begin), text.size());
        if (columns > 0 && from > 0 && used + width_of(text.substr(from, end - from)) > columns) {
            result += "\n" + std::string(indent + hang, ' ');
            used = indent + hang;
            from = begin;
        }
        result += text.substr(from, end - from);
        used += width_of(text.substr(from, end - from));
        from = end;
    }
    return result + "\n";
}

std::string first_sentence(const std::string &doc) {
    const std::vector<Piece> pieces = pieces_of(doc);
    if (pieces.empty()) return "";
    const std::string &text = pieces[0].text;
    constexpr std::array<std::string_view, 5> kNoEnds{"..", "al.", "e.g.", "i.e.", "cf."};  // [1, .. n], Maas et al. 2013
    for (size_t stop = text.find(". "); stop != std::string::npos; stop = text.find(". ", stop + 1)) {
        const std::string_view sentence = std::string_view(text).substr(0, stop + 1);
        if (std::none_of(kNoEnds.begin(), kNoEnds.end(), [&](std::string_view end) { return sentence.ends_with(end); })) return std::string(sentence);
    }
    return text;
}

std::string without_explanation(const std::string &sentence) {
    int depth = 0;
    bool in_code = false;
    for (size_t i = 0; i < sentence.size(); ++i) {
        if (sentence[i] == '`') in_code = !in_code;
        if (sentence[i] == '(') ++depth;
        if (sentence[i] == ')') depth = std::max(0, depth - 1);  // [0, 1) has no other
        if (i > 0 && !in_code && depth == 0 && sentence.compare(i, 2, ": ") == 0) return sentence.substr(0, i) + ".";
    }
    return sentence;
}

std::string laid_out(const std::string &doc, size_t columns, size_t indent) {
    std::string result;
    if (columns == 0) {
        std::istringstream lines(doc);
        for (std::string line; std::getline(lines, line);) result += line.empty() ? "\n" : std::string(indent, ' ') + line + "\n";
        return result;
    }
    for (const Piece &piece : pieces_of(doc)) {
        switch (piece.kind) {
            case Piece::Kind::paragraph: result += wrapped(piece.text, columns, indent); break;
            case Piece::Kind::shapes: result += wrapped(piece.text, columns, indent + 2, 4); break;
            case Piece::Kind::example: result += std::string(indent, ' ') + piece.text + "\n"; break;
            case Piece::Kind::gap: result += "\n"; break;
        }
    }
    return result;
}

bool mentions(const std::string &text, const std::string &word) {
    auto lower = [](unsigned char c) { return std::tolower(c); };
    auto of_word = [](unsigned char c) { return std::isalnum(c) || c == '_'; };
    auto same = [&](char a, char b) { return lower(a) == lower(b); };
    for (auto at = text.begin(); (at = std::search(at, text.end(), word.begin(), word.end(), same)) != text.end(); ++at) {
        const auto end = at + std::ptrdiff_t(word.size());
        if ((at == text.begin() || !of_word(at[-1])) && (end == text.end() || !of_word(*end))) return true;
    }
    return false;
}

std::string kind_word(const ast::Decl &decl) {
    const std::string_view text = text_of(decl.range);
    return std::string(text.substr(0, text.find_first_of(" \t\r\n/")));
}

std::string short_signature(const ast::Decl &decl) {
    if (const auto *value = std::get_if<ast::ValueDecl>(&decl.node)) return with_type_and_value(decl.name, value->type.get(), value->value.get());
    const auto &definition = std::get<ast::DefinitionDecl>(decl.node);
    std::string text;
    bool optional = false;
    for (const ast::Param &param : definition.params) {
        if (param.default_value) optional = true;
        else text += (text.empty() ? "" : ", ") + param.name.text;
    }
    if (optional) text += text.empty() ? ".." : ", ..";
    return decl.name.text + "(" + text + ")";
}

std::string signature(const ast::Decl &decl, size_t columns, size_t indent) {
    std::string line = std::string(indent, ' ') + kind_word(decl) + " ";
    const auto *definition = std::get_if<ast::DefinitionDecl>(&decl.node);
    if (!definition) return line + short_signature(decl) + "\n";
    line += decl.name.text + "(";
    const std::string margin(width_of(line), ' ');
    std::string text;
    auto append = [&](const std::string &part, const std::string &next_line) {
        if (columns > 0 && width_of(line + part) > columns) {
            text += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
            line = next_line;
        }
        line += part;
    };
    for (size_t i = 0; i < definition->params.size(); ++i) {
        const ast::Param &param = definition->params[i];
        const std::string end = i + 1 < definition->params.size() ? "," : ")";
        const std::string part = with_type_and_value(param.name, param.type.get(), param.default_value.get()) + end;
        if (i == 0) line += part;
        else append(part, margin);
        if (end == ",") line += " ";
    }
    if (definition->params.empty()) line += ")";
    if (!definition->results.empty()) {
        const SourceRange first = definition->results.front().range;
        append(" -> " + on_one_line(text_of({first.file, first.begin, definition->results.back().range.end})), std::string(indent + 3, ' '));
    }
    return text + line + "\n";
}

std::string source_text(const ast::Decl &decl) { return std::string(text_of(decl.range)) + "\n"; }

}  // namespace kiln
