#include "compiler/syntax/words.h"

#include "KilnLexer.h"

namespace kiln::syntax {

using kiln_grammar::KilnLexer;

bool is_word(size_t type) { return type >= KilnLexer::HYPER && type <= KilnLexer::NAME; }

bool is_declaration_keyword(size_t type) { return type >= KilnLexer::HYPER && type <= KilnLexer::PRECISION; }

bool is_reserved(size_t type) {
    switch (type) {
        case KilnLexer::RETURN: case KilnLexer::IF: case KilnLexer::ELSE: case KilnLexer::FOR:
        case KilnLexer::NOT: case KilnLexer::TRUE: case KilnLexer::FALSE:
            return true;
        default: return false;
    }
}

bool is_reducer(std::string_view name) {
    return name == "sum" || name == "max" || name == "min" || name == "prod" || name == "mean";
}

bool is_operator(size_t type) {
    switch (type) {
        case KilnLexer::THEN: case KilnLexer::PIPE: case KilnLexer::OR: case KilnLexer::AND: case KilnLexer::EQUAL:
        case KilnLexer::NOT_EQUAL: case KilnLexer::LESS: case KilnLexer::LESS_EQUAL: case KilnLexer::GREATER:
        case KilnLexer::GREATER_EQUAL: case KilnLexer::PLUS: case KilnLexer::MINUS: case KilnLexer::SHARE: case KilnLexer::STAR:
        case KilnLexer::SLASH: case KilnLexer::PERCENT: case KilnLexer::DIV: case KilnLexer::AT: case KilnLexer::CARET:
        case KilnLexer::WHERE:
            return true;
        default: return false;
    }
}

bool ends_operand(size_t type) {
    switch (type) {
        case KilnLexer::NAME: case KilnLexer::INT: case KilnLexer::FLOAT: case KilnLexer::ANGLE: case KilnLexer::STRING:
        case KilnLexer::TRUE: case KilnLexer::FALSE: case KilnLexer::RPAREN: case KilnLexer::RBRACK: case KilnLexer::RBRACE:
            return true;
        default: return false;
    }
}

}  // namespace kiln::syntax
