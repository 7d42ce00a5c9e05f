// Expressions of the parse tree -> ast::Expr: operator precedence, literals. Internal to syntax/.
#pragma once

#include "compiler/syntax/build_ast.h"

namespace kiln::syntax {

/// Builds the nodes of a tree, from expressions (here) up to declarations (build_ast.cpp).
class ExpressionBuilder {
public:
    using Parser = kiln_grammar::KilnParser;

    ExpressionBuilder(const TreeSource &source, Diagnostics &diagnostics) : source_(source), diagnostics_(diagnostics) {}
    virtual ~ExpressionBuilder() = default;

    /// `where`: receives the guard of `... where guard` if there is one; null: a guard is an error.
    ast::ExprPtr expression(Parser::ExpressionContext *tree, ast::ExprPtr *where = nullptr);
    /// Several become a TupleExpr.
    ast::ExprPtr expressions(Parser::ExpressionsContext *tree, ast::ExprPtr *where = nullptr);
    ast::TypeExpr type(Parser::TypeContext *tree);
    std::vector<ast::Dim> dimensions(Parser::DimensionsContext *tree);
    std::unique_ptr<ast::TypeExpr> optional_type(Parser::TypeContext *tree);
    std::vector<ast::Param> parameters(Parser::ParametersContext *tree, bool of_reader = false);
    ast::Name name(Parser::NameContext *tree);

protected:
    virtual ast::Block block(Parser::BlockContext *tree) = 0;

    /// The text from the first to the last token of a tree, without a separator at its end.
    SourceRange range(antlr4::ParserRuleContext *tree) const;
    SourceRange range(antlr4::Token *token) const;
    std::string text(antlr4::Token *token) const;
    std::string string_value(antlr4::Token *token);
    void report(DiagnosticCode code, SourceRange range, std::vector<std::string> arguments = {}) {
        for (const Damage &damage : source_.damages) {
            if (damage.contains(range.begin)) return;
        }
        diagnostics_.report(code, range, std::move(arguments));
    }

    template <class Node>
    static ast::ExprPtr make(SourceRange range, Node node) {
        auto expr = std::make_unique<ast::Expr>();
        expr->range = range;
        expr->node = std::move(node);
        return expr;
    }

    const TreeSource &source_;

private:
    class Climber;

    ast::ExprPtr primary(Parser::PrimaryContext *tree);
    ast::ExprPtr with_suffix(ast::ExprPtr object, Parser::SuffixContext *tree);
    ast::ExprPtr integer(antlr4::Token *token);
    ast::ExprPtr floating(antlr4::Token *token, const std::string &unit);
    ast::Argument argument(Parser::ArgumentContext *tree);
    ast::Subscript subscript(Parser::SubscriptContext *tree);

    Diagnostics &diagnostics_;
    bool in_mix_ = false;  ///< after the share of a mix, where words may stand among named arguments
};

}  // namespace kiln::syntax
