// ANTLR's errors -> messages for people. Internal to syntax/.
#pragma once

#include "compiler/syntax/brackets.h"

#include <antlr4-runtime/antlr4-runtime.h>

namespace kiln::syntax {

/// What the parser is given: the arranged tokens, one ANTLR token each with the same index.
struct ParserInput {
    const SourceFile *file;
    std::vector<Token> tokens;
    std::vector<int> depths;  ///< [i]: brackets open before token i
    std::vector<Damage> damages;  ///< places whose errors are reported already
};

/// An error ends its statement (or declaration): the rule is left, the tokens up to the end of the statement are skipped,
/// and parsing goes on after it. Nothing is inserted or deleted, so every tree without an error was written as it stands.
class StatementRecovery : public antlr4::DefaultErrorStrategy {
public:
    StatementRecovery(const ParserInput &input, Diagnostics &diagnostics) : input_(input), diagnostics_(diagnostics) {}

    void sync(antlr4::Parser *parser) override;
    antlr4::Token *recoverInline(antlr4::Parser *parser) override;
    void recover(antlr4::Parser *parser, std::exception_ptr error) override;
    void reportError(antlr4::Parser *parser, const antlr4::RecognitionException &error) override;

private:
    void report(antlr4::Parser *parser, size_t index, const antlr4::misc::IntervalSet &expected);
    void skip_statement(antlr4::Parser *parser, int depth);
    std::string describe_found(size_t index) const;
    std::string bracketed_reduction(size_t index) const;
    std::string describe_expected(antlr4::Parser *parser, size_t index, const antlr4::misc::IntervalSet &expected) const;

    const ParserInput &input_;
    Diagnostics &diagnostics_;
    int reports_ = 0;
};

}  // namespace kiln::syntax
