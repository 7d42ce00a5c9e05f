#include "compiler/syntax/syntax_errors.h"

#include "KilnParser.h"
#include "compiler/support/diagnostic_codes.h"
#include "compiler/syntax/words.h"
#include "kiln/names.h"

#include <fmt/format.h>

namespace kiln::syntax {
namespace {

using kiln_grammar::KilnParser;

/// Reading on after this many errors in one file helps nobody.
constexpr int kMaxSyntaxErrors = 20;

constexpr const char *kDeclarationWords[] = {"hyper", "const", "fn", "layer", "op", "optimizer", "schedule", "augment", "model",
                                             "data", "reader", "primitive", "train", "scan", "import", "precision"};

std::string join_alternatives(const std::vector<std::string> &items) {
    std::string text;
    for (size_t i = 0; i < items.size(); ++i) {
        if (i > 0) text += i + 1 == items.size() ? " or " : ", ";
        text += items[i];
    }
    return text;
}

bool starts_statement(size_t previous) { return previous == KilnParser::SEP || previous == KilnParser::LBRACE; }

}  // namespace

std::string StatementRecovery::describe_found(size_t index) const {
    const Token &token = input_.tokens[index];
    if (token.type == KilnParser::EOF) return "the end of the file";
    std::string_view text = text_of(*input_.file, token);
    if (token.type == KilnParser::SEP) {
        if (text == ";") return "`;`";
        if (index + 1 < input_.tokens.size() && text.empty()) {
            return input_.tokens[index + 1].type == KilnParser::EOF ? "the end of the file" : "`}`";
        }
        return "the end of the line";
    }
    if (token.type == KilnParser::STRING) return text.size() > 40 ? "a string" : fmt::format("the string {}", text);
    if (is_reserved(token.type) || token.type == KilnParser::CONDITIONAL) return fmt::format("the keyword `{}`", text);
    return fmt::format("`{}`", text);
}

std::string StatementRecovery::describe_expected(antlr4::Parser *parser, size_t index, const antlr4::misc::IntervalSet &expected) const {
    size_t rule = parser->getRuleContext()->getRuleIndex();
    size_t previous = index > 0 ? input_.tokens[index - 1].type : size_t{KilnParser::SEP};
    auto expects = [&](size_t type) { return expected.contains(type); };
    if (rule == KilnParser::RuleFile || rule == KilnParser::RuleDeclaration) {
        if (starts_statement(previous)) return "a declaration such as `model`, `layer` or `train`";
    }
    if (rule == KilnParser::RuleBlock && expects(KilnParser::RBRACE)) return "a statement";

    std::vector<std::string> items;
    bool expression = expects(KilnParser::INT);
    if (expression) items.push_back("an expression");
    else if (expects(KilnParser::NAME)) items.push_back(rule == KilnParser::RuleType ? "a type" : "a name");
    if (!expression && (expects(KilnParser::PLUS) || (ends_operand(previous) && (rule == KilnParser::RuleStatement || expects(KilnParser::LBRACE))))) {
        items.push_back("an operator");
    }
    // In the order of likelihood; brackets that may begin here are not worth naming.
    static constexpr std::pair<size_t, const char *> kNamed[] = {
        {KilnParser::RPAREN, "`)`"}, {KilnParser::RBRACK, "`]`"}, {KilnParser::COMMA, "`,`"}, {KilnParser::ASSIGN, "`=`"},
        {KilnParser::LBRACE, "`{`"}, {KilnParser::ON, "`on`"}, {KilnParser::IN, "`in`"}, {KilnParser::ELSE, "`else`"},
        {KilnParser::STRING, "a string"}, {KilnParser::SEP, "the end of the statement"}, {KilnParser::RBRACE, "`}`"},
    };
    bool may_end = expects(KilnParser::SEP) || expects(KilnParser::RBRACE);
    for (auto [type, name] : kNamed) {
        if (!expects(type)) continue;
        if (type == KilnParser::STRING && expression) continue;
        if ((type == KilnParser::COMMA || type == KilnParser::ASSIGN) && may_end) continue;
        items.push_back(name);
    }
    if (!expression && expects(KilnParser::LPAREN) && items.empty()) items.push_back("`(`");
    if (items.empty()) items.push_back("something else");
    if (items.size() > 4) items.resize(4);
    return join_alternatives(items);
}

/// "sum" of `sum[i] x[i]`, if a token comes right after the bracket; else "".
std::string StatementRecovery::bracketed_reduction(size_t index) const {
    if (index == 0 || input_.tokens[index - 1].type != KilnParser::RBRACK) return "";
    size_t open = index - 1;
    while (open > 0 && input_.tokens[open].type != KilnParser::LBRACK) --open;
    if (open == 0) return "";
    std::string word(text_of(*input_.file, input_.tokens[open - 1]));
    return is_reducer(word) ? word : "";
}

void StatementRecovery::report(antlr4::Parser *parser, size_t index, const antlr4::misc::IntervalSet &expected) {
    const Token &token = input_.tokens[index];
    for (const Damage &damage : input_.damages) {
        if (damage.contains(token.begin)) return;
    }
    if (++reports_ > kMaxSyntaxErrors) {
        diagnostics_.report(DiagnosticCode::too_many_syntax_errors, SourceRange{input_.file, token.begin, token.end});
        throw antlr4::ParseCancellationException();
    }
    size_t rule = parser->getRuleContext()->getRuleIndex();
    SourceRange range{input_.file, token.begin, token.end};
    bool at_end = token.type == KilnParser::EOF || (token.type == KilnParser::SEP && token.begin == token.end);
    if (at_end && index > 0) range.begin = range.end = input_.tokens[index - 1].end;  // not lines later
    std::string text(text_of(*input_.file, token));
    size_t previous = index > 0 ? input_.tokens[index - 1].type : size_t{KilnParser::SEP};
    size_t next = index + 1 < input_.tokens.size() ? input_.tokens[index + 1].type : size_t{KilnParser::EOF};

    if (rule == KilnParser::RuleBlock && is_declaration_keyword(token.type)) {
        diagnostics_.report(DiagnosticCode::misplaced_declaration, range, {text});
        return;
    }
    if (rule == KilnParser::RuleFile && starts_statement(previous)) {
        static const std::vector<std::string> words(std::begin(kDeclarationWords), std::end(kDeclarationWords));
        if (next != KilnParser::NAME) {
            bool statement = token.type == KilnParser::NAME || is_word(token.type) || token.type == KilnParser::CONDITIONAL;
            if (statement) {
                std::string what = next == KilnParser::ASSIGN ? fmt::format("the definition of `{}`", text) : fmt::format("`{}`", text);
                Diagnostic &diagnostic = diagnostics_.report(DiagnosticCode::misplaced_statement, range, {what});
                if (next == KilnParser::ASSIGN) diagnostic.notes.push_back(fmt::format("for a value of the whole file write `const {} = ...` or `hyper {} = ...`", text, text));
                return;
            }
        }
        Diagnostic &diagnostic = diagnostics_.report(
            DiagnosticCode::unexpected_token, range, {describe_expected(parser, index, expected), describe_found(index)});
        if (next == KilnParser::NAME) {
            if (std::string near = nearest_name(text, words); !near.empty()) diagnostic.notes.push_back(fmt::format("did you mean `{}`?", near));
        }
        return;
    }
    bool wants_name = expected.contains(size_t{KilnParser::NAME}) && !expected.contains(size_t{KilnParser::INT});
    if (wants_name && (is_reserved(token.type) || token.type == KilnParser::CONDITIONAL)) {
        diagnostics_.report(DiagnosticCode::reserved_word, range, {text});
        return;
    }
    Diagnostic &diagnostic =
        diagnostics_.report(DiagnosticCode::unexpected_token, range, {describe_expected(parser, index, expected), describe_found(index)});
    const std::string before = index > 0 ? std::string(text_of(*input_.file, input_.tokens[index - 1])) : "";
    if (token.type == KilnParser::ASSIGN && (before == "+" || before == "-" || before == "*" || before == "/"))
        diagnostic.notes.push_back(fmt::format("a name gets another value by `<-`: `x <- x {} ..`", before));
    if (token.type == KilnParser::STAR && previous == KilnParser::STAR) diagnostic.notes.push_back("a power is written `^`");
    if (token.type == KilnParser::COLON && (previous == KilnParser::LBRACK || previous == KilnParser::COMMA || next == KilnParser::INT))
        diagnostic.notes.push_back("a range is written `a..b`, a whole axis `0..`");
    if (token.type == KilnParser::UPDATE) diagnostic.notes.push_back("to compare with a negative number, write `< -`");
    if (std::string word = bracketed_reduction(index); !word.empty())
        diagnostic.notes.push_back(fmt::format("the indices of a reduction stand in parentheses: `{}(i) ..`", word));
    if (token.type == KilnParser::ASSIGN && expected.contains(size_t{KilnParser::EQUAL})) diagnostic.notes.push_back("equality is written `==`");
}

void StatementRecovery::reportError(antlr4::Parser *parser, const antlr4::RecognitionException &error) {
    if (inErrorRecoveryMode(parser)) return;  // thrown again by recover(): already reported
    beginErrorCondition(parser);
    report(parser, error.getOffendingToken()->getTokenIndex(), error.getExpectedTokens());
}

antlr4::Token *StatementRecovery::recoverInline(antlr4::Parser *parser) { throw antlr4::InputMismatchException(parser); }

void StatementRecovery::skip_statement(antlr4::Parser *parser, int depth) {
    antlr4::TokenStream *stream = parser->getTokenStream();
    while (true) {
        size_t index = stream->index(), type = stream->LA(1);
        if (type == KilnParser::EOF) return;
        if (type == KilnParser::RBRACE && input_.depths[index] == depth) return;  // ends the block of the statement
        parser->consume();
        if (type == KilnParser::SEP && input_.depths[index] == depth) return;
    }
}

void StatementRecovery::recover(antlr4::Parser *parser, std::exception_ptr error) {
    size_t rule = parser->getRuleContext()->getRuleIndex();
    if (rule != KilnParser::RuleStatement && rule != KilnParser::RuleDeclaration) {
        if (rule == KilnParser::RuleFile) {  // only EOF was expected: what is left is past every declaration
            while (parser->getTokenStream()->LA(1) != KilnParser::EOF) parser->consume();
            return;
        }
        std::rethrow_exception(error);
    }
    size_t start = parser->getContext()->start->getTokenIndex();
    skip_statement(parser, input_.depths[start]);
    endErrorCondition(parser);
}

void StatementRecovery::sync(antlr4::Parser *parser) {
    antlr4::atn::ATNState *state = parser->getATN().states[parser->getState()];
    antlr4::TokenStream *stream = parser->getTokenStream();
    const antlr4::misc::IntervalSet &expected = parser->getATN().nextTokens(state);
    auto fits = [&] { return expected.contains(stream->LA(1)) || expected.contains(size_t{antlr4::Token::EPSILON}); };
    if (fits()) return;
    size_t rule = parser->getRuleContext()->getRuleIndex();
    if (rule != KilnParser::RuleFile && rule != KilnParser::RuleBlock) throw antlr4::InputMismatchException(parser);
    // What cannot begin a statement is skipped as if it were one. Brackets are balanced, so a `}` here fits.
    while (!fits()) {
        report(parser, stream->index(), expected);
        skip_statement(parser, input_.depths[stream->index()]);
    }
}

}  // namespace kiln::syntax
