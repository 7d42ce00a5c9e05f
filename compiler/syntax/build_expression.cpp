#include "compiler/syntax/build_expression.h"

#include "compiler/support/diagnostic_codes.h"
#include "compiler/support/check.h"

#include <charconv>
#include <cmath>
#include <optional>
#include <utility>

namespace kiln::syntax {
namespace {

using Parser = kiln_grammar::KilnParser;

/// Binding strengths, weakest first. A reduction takes a product as its body: sum(j) a[j] * b[j] + c is (sum ...) + c.
enum Precedence { kLambda, kThen, kPipe, kOr, kAnd, kNot, kComparison, kSum, kShare, kProduct, kNegation, kPower };

struct Operator {
    Precedence precedence;
    bool right_associative = false;
    std::optional<ast::BinaryOp> binary;  ///< empty: `|>`, `then`
};

Operator operator_of(size_t type) {
    using ast::BinaryOp;
    switch (type) {
        case Parser::THEN: return {kThen, false, {}};
        case Parser::PIPE: return {kPipe, false, {}};
        case Parser::OR: return {kOr, false, BinaryOp::logical_or};
        case Parser::AND: return {kAnd, false, BinaryOp::logical_and};
        case Parser::EQUAL: return {kComparison, false, BinaryOp::equal};
        case Parser::NOT_EQUAL: return {kComparison, false, BinaryOp::not_equal};
        case Parser::LESS: return {kComparison, false, BinaryOp::less};
        case Parser::LESS_EQUAL: return {kComparison, false, BinaryOp::less_equal};
        case Parser::GREATER: return {kComparison, false, BinaryOp::greater};
        case Parser::GREATER_EQUAL: return {kComparison, false, BinaryOp::greater_equal};
        case Parser::PLUS: return {kSum, false, BinaryOp::add};
        case Parser::MINUS: return {kSum, false, BinaryOp::subtract};
        case Parser::SHARE: return {kShare, false, BinaryOp::share};
        case Parser::STAR: return {kProduct, false, BinaryOp::multiply};
        case Parser::SLASH: return {kProduct, false, BinaryOp::divide};
        case Parser::PERCENT: return {kProduct, false, BinaryOp::modulo};
        case Parser::DIV: return {kProduct, false, BinaryOp::floor_divide};
        case Parser::AT: return {kProduct, false, BinaryOp::matmul};
        case Parser::CARET: return {kPower, true, BinaryOp::power};
        default: KILN_UNREACHABLE("token {} is no operator", type);
    }
}

SourceRange join(const SourceRange &first, const SourceRange &last) { return {first.file, first.begin, last.end}; }

}  // namespace

// ------------------------------------------------------------------------------------------------- places and texts

SourceRange ExpressionBuilder::range(antlr4::Token *token) const {
    const Token &t = source_.tokens[token->getTokenIndex()];
    return {&source_.file, t.begin, t.end};
}

SourceRange ExpressionBuilder::range(antlr4::ParserRuleContext *tree) const {
    size_t first = tree->start->getTokenIndex(), last = tree->stop->getTokenIndex();
    while (last > first && source_.tokens[last].type == Parser::SEP) --last;
    return {&source_.file, source_.tokens[first].begin, source_.tokens[last].end};
}

std::string ExpressionBuilder::text(antlr4::Token *token) const {
    return std::string(text_of(source_.file, source_.tokens[token->getTokenIndex()]));
}

ast::Name ExpressionBuilder::name(Parser::NameContext *tree) { return {text(tree->start), range(tree->start)}; }

std::string ExpressionBuilder::string_value(antlr4::Token *token) {
    std::string written = text(token), value;
    SourceRange whole = range(token);
    size_t end = written.size() > 1 && written.back() == '"' ? written.size() - 1 : written.size();  // unterminated: reported
    for (size_t i = 1; i < end; ++i) {
        if (written[i] != '\\' || i + 1 == end) {
            value += written[i];
            continue;
        }
        ++i;
        switch (written[i]) {
            case 'n': value += '\n'; break;
            case 't': value += '\t'; break;
            case 'r': value += '\r'; break;
            case '\\': case '"': value += written[i]; break;
            default: {
                auto at = static_cast<uint32_t>(whole.begin + i - 1);
                report(DiagnosticCode::bad_escape, {whole.file, at, at + 2}, {written.substr(i - 1, 2)});
            }
        }
    }
    return value;
}

// -------------------------------------------------------------------------------------------------------- operators

/// Precedence climbing over the flat operands and operators of one expression.
class ExpressionBuilder::Climber {
public:
    Climber(ExpressionBuilder &builder, Parser::ExpressionContext *tree)
        : builder_(builder), operands_(tree->operand()), operators_(tree->operators) {}

    ast::ExprPtr run(ast::ExprPtr *where) {
        ast::ExprPtr expr = climb(next_operand(), kLambda);
        if (where && at(Parser::WHERE)) {
            ++used_;
            *where = climb(next_operand(), kOr);
        }
        if (used_ - 1 < operators_.size()) builder_.report(DiagnosticCode::misplaced_where, builder_.range(first_where()));
        return expr;
    }

private:
    bool at(size_t type) const { return used_ - 1 < operators_.size() && operators_[used_ - 1]->getType() == type; }

    /// The `where` that stopped the climb, or the one before what stopped it.
    antlr4::Token *first_where() const {
        for (antlr4::Token *token : operators_) {
            if (token->getType() == Parser::WHERE) return token;
        }
        return operators_[used_ - 1];
    }

    /// The operand after operator used_ - 1. Operands are consumed in order: operator i stands after operand i.
    ast::ExprPtr next_operand() {
        Parser::OperandContext *operand = operands_[operand_++];
        used_ = operand_;
        return prefixed(operand, 0);
    }

    ast::ExprPtr climb(ast::ExprPtr left, Precedence weakest) {
        while (used_ - 1 < operators_.size()) {
            antlr4::Token *token = operators_[used_ - 1];
            if (token->getType() == Parser::WHERE) break;
            Operator op = operator_of(token->getType());
            if (op.precedence < weakest) break;
            builder_.in_mix_ = token->getType() == Parser::SHARE;
            ast::ExprPtr right = next_operand();
            builder_.in_mix_ = false;
            right = climb(std::move(right), op.right_associative ? op.precedence : static_cast<Precedence>(op.precedence + 1));
            SourceRange range = join(left->range, right->range);
            if (!op.binary && op.precedence == kThen) {
                left = make(range, ast::ThenExpr{std::move(left), std::move(right)});
            } else if (!op.binary) {
                left = make(range, ast::PipeExpr{std::move(left), std::move(right)});
            } else {
                left = make(range, ast::BinaryExpr{*op.binary, std::move(left), std::move(right), builder_.range(token)});
                check_chain(op, token);
            }
        }
        return left;
    }

    void check_chain(const Operator &op, antlr4::Token *token) {
        if (op.precedence != kComparison || used_ - 1 >= operators_.size()) return;
        antlr4::Token *next = operators_[used_ - 1];
        if (next->getType() == Parser::WHERE || operator_of(next->getType()).precedence != kComparison) return;
        builder_.report(DiagnosticCode::chained_comparison, builder_.range(next), {builder_.text(token), builder_.text(next)});
    }

    /// The operand with its prefixes from `index` on; a prefix takes in the operators that bind more strongly.
    ast::ExprPtr prefixed(Parser::OperandContext *operand, size_t index) {
        std::vector<Parser::PrefixContext *> prefixes = operand->prefix();
        if (index == prefixes.size()) {
            ast::ExprPtr expr = builder_.primary(operand->primary());
            for (Parser::SuffixContext *suffix : operand->suffix()) expr = builder_.with_suffix(std::move(expr), suffix);
            return expr;
        }
        Parser::PrefixContext *prefix = prefixes[index];
        SourceRange start = builder_.range(prefix);
        ast::ExprPtr inner = prefixed(operand, index + 1);
        if (dynamic_cast<Parser::NegationContext *>(prefix)) {
            inner = climb(std::move(inner), kPower);
            SourceRange range = join(start, inner->range);
            return make(range, ast::UnaryExpr{ast::UnaryOp::negate, std::move(inner)});
        }
        if (dynamic_cast<Parser::LogicalNotContext *>(prefix)) {
            inner = climb(std::move(inner), kComparison);
            SourceRange range = join(start, inner->range);
            return make(range, ast::UnaryExpr{ast::UnaryOp::logical_not, std::move(inner)});
        }
        if (auto *head = dynamic_cast<Parser::ReductionContext *>(prefix)) {
            ast::ReduceExpr reduce;
            reduce.reducer = {builder_.text(head->start), builder_.range(head->start)};
            for (Parser::NameContext *index_name : head->name()) reduce.indices.push_back(builder_.name(index_name));
            reduce.body = climb(std::move(inner), kProduct);
            SourceRange range = join(start, reduce.body->range);
            if (at(Parser::WHERE)) {
                reduce.where = climb(next_operand(), kOr);
                range = join(start, reduce.where->range);
            }
            return make(range, std::move(reduce));
        }
        auto *head = dynamic_cast<Parser::LambdaHeadContext *>(prefix);
        KILN_CHECK(head, "an unknown prefix");
        inner = climb(std::move(inner), kLambda);
        SourceRange value_range = inner->range;
        ast::Lambda lambda;
        lambda.params = builder_.parameters(head->parameters());
        auto statement = std::make_unique<ast::Stmt>();
        statement->range = value_range;
        statement->node = ast::ReturnStmt{std::move(inner)};
        lambda.body.push_back(std::move(statement));
        return make(join(start, value_range), std::move(lambda));
    }

    ExpressionBuilder &builder_;
    std::vector<Parser::OperandContext *> operands_;
    std::vector<antlr4::Token *> operators_;
    size_t operand_ = 0;  ///< next operand
    size_t used_ = 0;     ///< operands consumed; the next operator is used_ - 1
};

ast::ExprPtr ExpressionBuilder::expression(Parser::ExpressionContext *tree, ast::ExprPtr *where) {
    return Climber(*this, tree).run(where);
}

ast::ExprPtr ExpressionBuilder::expressions(Parser::ExpressionsContext *tree, ast::ExprPtr *where) {
    std::vector<Parser::ExpressionContext *> trees = tree->expression();
    if (trees.size() == 1) return expression(trees[0], where);
    ast::TupleExpr tuple;
    for (Parser::ExpressionContext *element : trees) tuple.elements.push_back(expression(element));
    return make(range(tree), std::move(tuple));
}

// --------------------------------------------------------------------------------------------------------- operands

ast::ExprPtr ExpressionBuilder::integer(antlr4::Token *token) {
    std::string written = text(token);
    int64_t value = 0;
    auto [end, error] = std::from_chars(written.data(), written.data() + written.size(), value);
    if (error != std::errc()) report(DiagnosticCode::number_out_of_range, range(token), {written, "in 64 bits"});
    return make(range(token), ast::IntLiteral{value});
}

ast::ExprPtr ExpressionBuilder::floating(antlr4::Token *token, const std::string &unit) {
    std::string written = text(token);
    double value = 0;
    auto [end, error] = std::from_chars(written.data(), written.data() + written.size() - unit.size(), value);
    if (error != std::errc()) report(DiagnosticCode::number_out_of_range, range(token), {written, "in a double"});
    return make(range(token), ast::FloatLiteral{value, unit});
}

ast::ExprPtr ExpressionBuilder::primary(Parser::PrimaryContext *tree) {
    antlr4::Token *token = tree->start;
    if (dynamic_cast<Parser::IntegerContext *>(tree)) return integer(token);
    if (dynamic_cast<Parser::FloatContext *>(tree)) return floating(token, "");
    if (dynamic_cast<Parser::AngleContext *>(tree)) return floating(token, "deg");
    if (dynamic_cast<Parser::StringContext *>(tree)) return make(range(token), ast::StringLiteral{string_value(token)});
    if (dynamic_cast<Parser::BooleanContext *>(tree)) return make(range(token), ast::BoolLiteral{token->getType() == Parser::TRUE});
    if (dynamic_cast<Parser::ReferenceContext *>(tree)) return make(range(token), ast::NameRef{text(token)});
    if (auto *parenthesised = dynamic_cast<Parser::ParenthesisedContext *>(tree)) {
        ast::ExprPtr expr = expressions(parenthesised->expressions());
        expr->range = range(tree);
        return expr;
    }
    if (auto *list_tree = dynamic_cast<Parser::ListContext *>(tree)) {
        ast::ListExpr list;
        for (Parser::ExpressionContext *element : list_tree->expression()) list.elements.push_back(expression(element));
        return make(range(tree), std::move(list));
    }
    if (auto *conditional = dynamic_cast<Parser::ConditionalContext *>(tree)) {
        std::vector<Parser::ExpressionContext *> conditions = conditional->expression();
        std::vector<Parser::ValueContext *> values = conditional->value();
        ast::ExprPtr expr = expression(values.back()->expression());
        for (size_t i = conditions.size(); i-- > 0;) {
            ast::IfExpr branch{expression(conditions[i]), expression(values[i]->expression()), std::move(expr)};
            SourceRange place = i == 0 ? range(tree) : join(range(conditions[i]), range(tree));
            expr = make(place, std::move(branch));
        }
        return expr;
    }
    auto *lambda_tree = dynamic_cast<Parser::LambdaBlockContext *>(tree);
    KILN_CHECK(lambda_tree, "an unknown operand");
    return make(range(tree), ast::Lambda{parameters(lambda_tree->parameters()), block(lambda_tree->block())});
}

ast::Argument ExpressionBuilder::argument(Parser::ArgumentContext *tree) {
    ast::Argument result;
    if (tree->name()) result.name = name(tree->name());
    result.value = expression(tree->expression());
    return result;
}

ast::Subscript ExpressionBuilder::subscript(Parser::SubscriptContext *tree) {
    using Kind = ast::Subscript::Kind;
    ast::Subscript result;
    result.range = range(tree);
    std::vector<Parser::ExpressionContext *> ends = tree->expression();
    if (!tree->DOTDOT()) {
        result.kind = Kind::index;
        result.index = expression(ends[0]);
    } else if (ends.empty()) {
        result.kind = Kind::ellipsis;
    } else {
        result.kind = Kind::range;
        bool from_start = tree->start->getType() == Parser::DOTDOT;
        size_t next = 0;
        if (!from_start) result.begin = expression(ends[next++]);
        if (next < ends.size()) result.end = expression(ends[next]);
    }
    return result;
}

ast::ExprPtr ExpressionBuilder::with_suffix(ast::ExprPtr object, Parser::SuffixContext *tree) {
    SourceRange whole = join(object->range, range(tree));
    if (auto *call_tree = dynamic_cast<Parser::CallContext *>(tree)) {
        ast::CallExpr call{std::move(object), {}};
        bool named = false;
        const bool anywhere = std::exchange(in_mix_, false);
        for (Parser::ArgumentContext *argument_tree : call_tree->argument()) {
            call.arguments.push_back(argument(argument_tree));
            const ast::Argument &last = call.arguments.back();
            if (named && last.name.text.empty() && !anywhere) report(DiagnosticCode::positional_after_named, last.value->range);
            named = named || !last.name.text.empty();
        }
        return make(whole, std::move(call));
    }
    if (auto *index_tree = dynamic_cast<Parser::IndexContext *>(tree)) {
        ast::IndexExpr index{std::move(object), {}};
        for (Parser::SubscriptContext *subscript_tree : index_tree->subscript()) index.subscripts.push_back(subscript(subscript_tree));
        return make(whole, std::move(index));
    }
    auto *field_tree = dynamic_cast<Parser::FieldContext *>(tree);
    KILN_CHECK(field_tree, "an unknown suffix");
    return make(whole, ast::FieldExpr{std::move(object), name(field_tree->name())});
}

// -------------------------------------------------------------------------------------------- types and parameters

ast::TypeExpr ExpressionBuilder::type(Parser::TypeContext *tree) {
    ast::TypeExpr result;
    result.name = name(tree->name());
    result.range = range(tree);
    result.has_dims = tree->dimensions(0) != nullptr;
    if (result.has_dims) result.dims = dimensions(tree->dimensions(0));
    if (Parser::DimensionsContext *elements = tree->dimensions(1)) {
        result.has_elements = true;
        result.elements = dimensions(elements);
        if (result.name.text != "class") report(DiagnosticCode::elements_of_type, range(elements), {result.name.text});
    }
    return result;
}

std::vector<ast::Dim> ExpressionBuilder::dimensions(Parser::DimensionsContext *tree) {
    std::vector<ast::Dim> result;
    for (Parser::DimensionContext *dimension : tree->dimension()) {
        ast::Dim dim;
        dim.range = range(dimension);
        dim.ellipsis = dimension->DOTDOT() != nullptr;
        if (dim.ellipsis && dimension->name()) dim.rest = name(dimension->name());
        if (!dim.ellipsis) dim.value = expression(dimension->expression());
        result.push_back(std::move(dim));
    }
    return result;
}

std::unique_ptr<ast::TypeExpr> ExpressionBuilder::optional_type(Parser::TypeContext *tree) {
    return tree ? std::make_unique<ast::TypeExpr>(type(tree)) : nullptr;
}

std::vector<ast::Param> ExpressionBuilder::parameters(Parser::ParametersContext *tree, bool of_reader) {
    std::vector<ast::Param> result;
    if (!tree) return result;
    for (Parser::ParameterContext *parameter : tree->parameter()) {
        ast::Param param;
        if (parameter->name()) param.name = name(parameter->name());
        else param.name = {"..", range(parameter->DOTDOT()->getSymbol())};
        param.type = optional_type(parameter->type());
        if (parameter->expression()) param.default_value = expression(parameter->expression());
        const bool may_be_open = of_reader && parameter == tree->parameter().back();
        if (param.is_open() && !may_be_open) report(DiagnosticCode::open_parameter, param.name.range);
        result.push_back(std::move(param));
    }
    return result;
}

}  // namespace kiln::syntax
