#include "compiler/syntax/parse.h"

#include "KilnParser.h"
#include "compiler/support/diagnostic_codes.h"
#include "compiler/syntax/build_ast.h"
#include "compiler/syntax/layout.h"
#include "compiler/syntax/syntax_errors.h"

#include <algorithm>

namespace kiln {
namespace {

using namespace syntax;
using kiln_grammar::KilnParser;

std::unique_ptr<antlr4::ListTokenSource> to_antlr(const std::vector<Token> &tokens) {
    std::vector<std::unique_ptr<antlr4::Token>> result;
    result.reserve(tokens.size());
    for (const Token &token : tokens) {
        auto made = std::make_unique<antlr4::CommonToken>(token.type);
        made->setStartIndex(token.begin);
        made->setStopIndex(token.end == token.begin ? token.begin : token.end - 1);
        result.push_back(std::move(made));
    }
    return std::make_unique<antlr4::ListTokenSource>(std::move(result));
}

std::vector<int> bracket_depths(const std::vector<Token> &tokens) {
    std::vector<int> depths;
    depths.reserve(tokens.size());
    int depth = 0;
    for (const Token &token : tokens) {
        depths.push_back(depth);
        if (is_opener(token.type)) ++depth;
        if (is_closer(token.type)) --depth;
    }
    return depths;
}

/// Parses with diagnostics in the order they are found: characters, brackets, statements.
ast::Module parse_unsorted(const SourceFile &file, Diagnostics &diagnostics) {
    ast::Module module;
    module.file = &file;
    Lexed lexed = lex(file, diagnostics);
    if (!lexed.usable || !check_bracket_depth(file, lexed.tokens, diagnostics)) return module;
    balance_brackets(file, lexed, diagnostics);

    ParserInput input{&file, arrange(file, lexed.tokens), {}, std::move(lexed.damages)};
    if (!check_nesting(file, input.tokens, diagnostics)) return module;
    if (input.tokens.size() == 1 && !diagnostics.has_errors()) {
        diagnostics.report(DiagnosticCode::empty_file, SourceRange{&file, 0, 0}, {file.name});
        return module;
    }
    input.depths = bracket_depths(input.tokens);

    std::unique_ptr<antlr4::ListTokenSource> source = to_antlr(input.tokens);
    antlr4::CommonTokenStream stream(source.get());
    KilnParser parser(&stream);
    parser.removeErrorListeners();
    parser.setErrorHandler(std::make_shared<StatementRecovery>(input, diagnostics));
    try {
        KilnParser::FileContext *tree = parser.file();
        return build_ast(tree, {file, input.tokens, lexed.comments, input.damages}, diagnostics);
    } catch (const antlr4::ParseCancellationException &) {
        return module;  // too many errors, reported
    }
}

}  // namespace

ast::Module parse(const SourceFile &file, Diagnostics &diagnostics) {
    Diagnostics found;
    ast::Module module = parse_unsorted(file, found);
    std::vector<Diagnostic> sorted = found.all();
    std::stable_sort(sorted.begin(), sorted.end(), [](const Diagnostic &a, const Diagnostic &b) { return a.range.begin < b.range.begin; });
    for (Diagnostic &diagnostic : sorted) diagnostics.add(std::move(diagnostic));
    return module;
}

}  // namespace kiln
