#include "compiler/syntax/build_ast.h"

#include "compiler/support/diagnostic_codes.h"
#include "compiler/support/check.h"
#include "compiler/syntax/build_expression.h"

#include <fmt/format.h>

#include <algorithm>

namespace kiln::syntax {
namespace {

using Parser = kiln_grammar::KilnParser;
using Kind = ast::DefinitionDecl::Kind;

Kind definition_kind(size_t type) {
    switch (type) {
        case Parser::FN: return Kind::function;
        case Parser::LAYER: return Kind::layer;
        case Parser::OP: return Kind::op;
        case Parser::OPTIMIZER: return Kind::optimizer;
        case Parser::SCHEDULE: return Kind::schedule;
        case Parser::AUGMENT: return Kind::augment;
        case Parser::MODEL: return Kind::model;
        case Parser::DATA: return Kind::data;
        case Parser::READER: return Kind::reader;
        case Parser::PRIMITIVE: return Kind::primitive;
        default: KILN_UNREACHABLE("token {} begins no definition", type);
    }
}

class Builder : public ExpressionBuilder {
public:
    using ExpressionBuilder::ExpressionBuilder;

    ast::Module module(Parser::FileContext *tree) {
        ast::Module module;
        module.file = &source_.file;
        for (const Token &comment : source_.comments) {
            if (comment.begin > source_.tokens.front().begin) break;
            if (std::string_view text = text_of(source_.file, comment); text.starts_with("//!")) append_doc_line(module.doc, text);
        }
        for (Parser::DeclarationContext *declaration : tree->declaration()) {
            if (!declaration->exception) module.declarations.push_back(this->declaration(declaration));
        }
        return module;
    }

protected:
    ast::Block block(Parser::BlockContext *tree) override {
        ast::Block result;
        for (Parser::StatementContext *statement : tree->statement()) {
            if (!statement->exception) append_statement(result, statement);
        }
        return result;
    }

private:
    // --- documentation comments ---------------------------------------------------------------------------------

    static void append_doc_line(std::string &doc, std::string_view comment) {
        comment.remove_prefix(3);
        if (comment.starts_with(" ")) comment.remove_prefix(1);
        while (!comment.empty() && (comment.back() == ' ' || comment.back() == '\t')) comment.remove_suffix(1);
        if (!doc.empty()) doc += '\n';
        doc += comment;
    }

    bool first_on_line(const Token &comment) const {
        size_t i = comment.begin;
        while (i > 0 && (source_.file.text[i - 1] == ' ' || source_.file.text[i - 1] == '\t')) --i;
        return i == 0 || source_.file.text[i - 1] == '\n' || source_.file.text[i - 1] == '\r' || i == 3;  // 3: after a byte order mark
    }

    /// The `///` lines between the token before the tree and the tree.
    std::string doc(antlr4::ParserRuleContext *tree) const {
        size_t index = tree->start->getTokenIndex();
        uint32_t begin = index > 0 ? source_.tokens[index - 1].end : 0, end = source_.tokens[index].begin;
        auto comment = std::lower_bound(source_.comments.begin(), source_.comments.end(), begin,
                                        [](const Token &token, uint32_t position) { return token.begin < position; });
        std::string result;
        for (; comment != source_.comments.end() && comment->begin < end; ++comment) {
            std::string_view text = text_of(source_.file, *comment);
            if (text.starts_with("///") && !text.starts_with("////") && first_on_line(*comment)) append_doc_line(result, text);
        }
        return result;
    }

    // --- statements ---------------------------------------------------------------------------------------------

    void append_statement(ast::Block &block, Parser::StatementContext *tree) {
        auto add = [&](SourceRange range, auto node) {
            auto statement = std::make_unique<ast::Stmt>();
            statement->range = range;
            statement->doc = doc(tree);
            statement->node = std::move(node);
            block.push_back(std::move(statement));
        };
        SourceRange whole = range(tree);
        if (auto *storage = dynamic_cast<Parser::StorageStatementContext *>(tree)) {
            bool first = true;
            for (Parser::StorageContext *item : storage->storage()) {
                add(first ? SourceRange{whole.file, whole.begin, range(item).end} : range(item), storage_item(storage->kind, item));
                first = false;
            }
        } else if (auto *shared = dynamic_cast<Parser::SharedStatementContext *>(tree)) {
            add(whole, ast::SharedStmt{name(shared->name()), expression(shared->expression())});
        } else if (auto *return_tree = dynamic_cast<Parser::ReturnStatementContext *>(tree)) {
            add(whole, ast::ReturnStmt{expressions(return_tree->expressions())});
        } else if (auto *if_tree = dynamic_cast<Parser::IfStatementContext *>(tree)) {
            add(whole, if_statement(if_tree, 0));
        } else if (auto *for_tree = dynamic_cast<Parser::ForStatementContext *>(tree)) {
            add(whole, for_statement(for_tree));
        } else if (auto *loss = dynamic_cast<Parser::LossStatementContext *>(tree)) {
            add(whole, ast::LossStmt{expression(loss->expression())});
        } else if (auto *reported = dynamic_cast<Parser::ReportStatementContext *>(tree)) {
            ast::Name given = reported->name() ? name(reported->name()) : ast::Name{};
            ast::ExprPtr value = expression(reported->expression());
            if (reported->kind->getType() == Parser::METRIC) {
                add(whole, ast::MetricStmt{std::move(given), std::move(value)});
                return;
            }
            if (auto *reference = std::get_if<ast::NameRef>(&value->node); given.text.empty() && reference) {
                given = {reference->name, value->range};
            }
            if (given.text.empty()) report(DiagnosticCode::missing_part, whole, {"this `output`", "a name: `output name = ...`"});
            add(whole, ast::OutputStmt{std::move(given), std::move(value)});
        } else if (auto *generated = dynamic_cast<Parser::GenerateStatementContext *>(tree)) {
            add(whole, ast::GenerateStmt{expression(generated->expression(0)), expression(generated->expression(1))});
        } else if (auto *hook = dynamic_cast<Parser::HookStatementContext *>(tree)) {
            add(whole, hook_statement(hook));
        } else {
            auto *simple = dynamic_cast<Parser::SimpleStatementContext *>(tree);
            KILN_CHECK(simple, "an unknown statement");
            simple_statement(simple, add);
        }
    }

    ast::StorageStmt storage_item(antlr4::Token *kind, Parser::StorageContext *tree) {
        ast::StorageStmt result;
        switch (kind->getType()) {
            case Parser::PARAM: result.kind = ast::StorageStmt::Kind::param; break;
            case Parser::BUFFER: result.kind = ast::StorageStmt::Kind::buffer; break;
            case Parser::STATE: result.kind = ast::StorageStmt::Kind::state; break;
            case Parser::GLOBAL: result.kind = ast::StorageStmt::Kind::global; break;
            default: KILN_UNREACHABLE("unknown storage");
        }
        result.name = name(tree->name());
        result.type = optional_type(tree->type());
        result.init = expression(tree->expression());
        bool typed = kind->getType() == Parser::PARAM || kind->getType() == Parser::BUFFER;
        std::string what = fmt::format("{} {}", text(kind), result.name.text);
        if (typed && !result.type) {
            report(DiagnosticCode::missing_part, result.name.range, {fmt::format("`{}`", what), fmt::format("a type: `{}: float[...] = ...`", what)});
        } else if (!typed && result.type) {
            report(DiagnosticCode::unexpected_part, result.type->range, {fmt::format("`{}`", what), "type of its own: it has that of the parameters"});
        }
        return result;
    }

    /// The branch `index` and, as its else-block, those after it.
    ast::IfStmt if_statement(Parser::IfStatementContext *tree, size_t index) {
        std::vector<Parser::ExpressionContext *> conditions = tree->expression();
        std::vector<Parser::BlockContext *> blocks = tree->block();
        ast::IfStmt result;
        result.condition = expression(conditions[index]);
        result.then_block = block(blocks[index]);
        if (index + 1 < conditions.size()) {
            SourceRange place = range(conditions[index + 1]);
            place.end = range(tree).end;
            auto statement = std::make_unique<ast::Stmt>();
            statement->range = place;
            statement->node = if_statement(tree, index + 1);
            result.else_block.push_back(std::move(statement));
        } else if (blocks.size() > conditions.size()) {
            result.else_block = block(blocks.back());
        }
        return result;
    }

    ast::ForStmt for_statement(Parser::ForStatementContext *tree) {
        ast::ForStmt result;
        result.variable = name(tree->name());
        std::vector<Parser::ExpressionContext *> ends = tree->expression();
        result.range = expression(ends[0]);
        if (ends.size() == 2) {
            ast::ExprPtr end = expression(ends[1]);
            SourceRange place{&source_.file, result.range->range.begin, end->range.end};
            result.range = make(place, ast::RangeExpr{std::move(result.range), std::move(end)});
        }
        result.body = block(tree->block());
        return result;
    }

    ast::HookStmt hook_statement(Parser::HookStatementContext *tree) {
        ast::HookStmt result;
        result.kind = {text(tree->start), range(tree->start)};
        for (Parser::NameContext *name_tree : tree->name()) {
            bool in_parentheses = tree->LPAREN() && name_tree->start->getTokenIndex() > tree->LPAREN()->getSymbol()->getTokenIndex();
            if (in_parentheses) result.params.push_back(name(name_tree));
            else result.name = name(name_tree);
        }
        result.body = block(tree->block());
        return result;
    }

    template <class Add>
    void simple_statement(Parser::SimpleStatementContext *tree, const Add &add) {
        SourceRange whole = range(tree);
        std::vector<Parser::ExpressionsContext *> sides = tree->expressions();
        ast::ExprPtr target = expressions(sides[0]);
        std::unique_ptr<ast::TypeExpr> type = optional_type(tree->type());
        if (!tree->operation) {
            if (type) report(DiagnosticCode::missing_part, type->range, {"a name with a type", "a value: `name: type = ...`"});
            else add(whole, ast::ExprStmt{std::move(target)});
            return;
        }
        std::string symbol = text(tree->operation);
        bool updates = tree->operation->getType() == Parser::UPDATE;
        auto *indexed = std::get_if<ast::IndexExpr>(&target->node);
        auto *indexed_name = indexed ? std::get_if<ast::NameRef>(&indexed->object->node) : nullptr;
        if (!updates && indexed_name) {
            if (type) report(DiagnosticCode::unexpected_part, type->range, {"an indexed definition", "type: it is the result type of the `op`"});
            ast::IndexStmt statement;
            statement.name = {indexed_name->name, indexed->object->range};
            statement.subscripts = std::move(indexed->subscripts);
            statement.value = expressions(sides[1], &statement.where);
            add(whole, std::move(statement));
            return;
        }
        std::vector<ast::Name> names = target_names(*target, updates, symbol);
        ast::ExprPtr value = expressions(sides[1]);
        if (names.empty()) return;
        if (updates) {
            if (type) report(DiagnosticCode::unexpected_part, type->range, {"`<-`", "type: it writes what was declared before"});
            add(whole, ast::UpdateStmt{std::move(names[0]), std::move(value)});
        } else {
            add(whole, ast::BindStmt{std::move(names), std::move(type), std::move(value)});
        }
    }

    /// The names before `=` or `<-`; empty after an error.
    std::vector<ast::Name> target_names(const ast::Expr &target, bool updates, const std::string &symbol) {
        std::vector<ast::Name> names;
        auto add = [&](const ast::Expr &expr) {
            auto *reference = std::get_if<ast::NameRef>(&expr.node);
            if (reference) names.push_back({reference->name, expr.range});
            else report(DiagnosticCode::invalid_target, expr.range, {updates ? "a name" : "names", symbol});
            return reference != nullptr;
        };
        auto *tuple = std::get_if<ast::TupleExpr>(&target.node);
        if (!tuple) {
            add(target);
            return names;
        }
        if (updates) {
            report(DiagnosticCode::invalid_target, target.range, {"one name", symbol});
            return {};
        }
        bool all = true;
        for (const ast::ExprPtr &element : tuple->elements) all = add(*element) && all;
        return all ? std::move(names) : std::vector<ast::Name>{};
    }

    // --- declarations -------------------------------------------------------------------------------------------

    ast::Decl declaration(Parser::DeclarationContext *tree) {
        ast::Decl result;
        result.range = range(tree);
        result.doc = doc(tree);
        if (auto *value = dynamic_cast<Parser::ValueDeclarationContext *>(tree)) {
            result.name = name(value->name());
            bool hyper = value->kind->getType() == Parser::HYPER;
            result.node = ast::ValueDecl{hyper ? ast::ValueDecl::Kind::hyper : ast::ValueDecl::Kind::constant, optional_type(value->type()),
                                         expression(value->expression())};
        } else if (auto *definition_tree = dynamic_cast<Parser::DefinitionContext *>(tree)) {
            result.name = name(definition_tree->name());
            result.node = definition(definition_tree);
        } else if (auto *training = dynamic_cast<Parser::TrainingContext *>(tree)) {
            result.name = name(training->name());
            bool scan = training->kind->getType() == Parser::SCAN;
            result.node = ast::TrainDecl{scan ? ast::TrainDecl::Kind::scan : ast::TrainDecl::Kind::train,
                                         training->expression() ? expression(training->expression()) : nullptr, block(training->block())};
        } else if (auto *import = dynamic_cast<Parser::ImportDeclarationContext *>(tree)) {
            result.node = ast::ImportDecl{string_value(import->STRING()->getSymbol())};
        } else {
            auto *precision = dynamic_cast<Parser::PrecisionContext *>(tree);
            KILN_CHECK(precision, "an unknown declaration");
            result.node = ast::PrecisionDecl{name(precision->name())};
        }
        return result;
    }

    ast::DefinitionDecl definition(Parser::DefinitionContext *tree) {
        ast::DefinitionDecl result;
        result.kind = definition_kind(tree->kind->getType());
        result.params = parameters(tree->parameters(), result.kind == Kind::reader);
        if (tree->results()) {
            for (Parser::TypeContext *type_tree : tree->results()->type()) result.results.push_back(type(type_tree));
        }
        std::string word = text(tree->kind), what = fmt::format("`{} {}`", word, name(tree->name()).text);
        bool has_results = result.kind != Kind::model && result.kind != Kind::data && result.kind != Kind::optimizer;
        if (tree->results() && !has_results) report(DiagnosticCode::unexpected_part, range(tree->results()), {what, "result type"});
        if (tree->block()) {
            result.body = block(tree->block());
        } else if (tree->expressions()) {
            auto statement = std::make_unique<ast::Stmt>();
            statement->range = range(tree->expressions());
            statement->node = ast::ReturnStmt{expressions(tree->expressions())};
            result.body.push_back(std::move(statement));
        }
        bool by_expression = result.kind == Kind::function || result.kind == Kind::layer || result.kind == Kind::schedule ||
                             result.kind == Kind::augment;
        if (result.kind == Kind::primitive || result.kind == Kind::reader) {
            const char *reason = result.kind == Kind::primitive ? "body: it names an operation of the compiler" : "value: it names a reader of the runtime";
            const bool has_body = tree->expressions() || (result.kind == Kind::primitive && tree->block());
            if (has_body) report(DiagnosticCode::unexpected_part, name(tree->name()).range, {what, reason});
        } else if (!tree->block() && !tree->expressions()) {
            report(DiagnosticCode::missing_part, name(tree->name()).range, {what, "a body: `{ ... }`"});
        } else if (tree->expressions() && !by_expression) {
            report(DiagnosticCode::unexpected_part, range(tree->expressions()), {what, "short form with `=`: write a block"});
        }
        return result;
    }
};

}  // namespace

ast::Module build_ast(Parser::FileContext *tree, const TreeSource &source, Diagnostics &diagnostics) {
    return Builder(source, diagnostics).module(tree);
}

}  // namespace kiln::syntax
