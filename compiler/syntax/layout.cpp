#include "compiler/syntax/layout.h"

#include "KilnLexer.h"
#include "compiler/support/check.h"
#include "compiler/syntax/brackets.h"
#include "compiler/syntax/words.h"

namespace kiln::syntax {
namespace {

using kiln_grammar::KilnLexer;

/// Begins an operand wherever an operand may begin (contextual words count as names).
bool begins_operand(size_t type) {
    switch (type) {
        case KilnLexer::INT: case KilnLexer::FLOAT: case KilnLexer::ANGLE: case KilnLexer::STRING: case KilnLexer::LPAREN:
            return true;
        case KilnLexer::THEN: case KilnLexer::AND: case KilnLexer::OR: case KilnLexer::DIV: case KilnLexer::WHERE:
        case KilnLexer::ELSE: case KilnLexer::FOR: case KilnLexer::RETURN:
            return false;
        default: return is_word(type);
    }
}

class Arranger {
public:
    Arranger(const SourceFile &file, const std::vector<Token> &tokens) : file_(file), in_(tokens), partner_(tokens.size(), 0) {
        std::vector<size_t> open;
        for (size_t i = 0; i < in_.size(); ++i) {
            if (is_opener(in_[i].type)) open.push_back(i);
            if (!is_closer(in_[i].type)) continue;
            KILN_CHECK(!open.empty(), "unbalanced brackets reach the layout");
            partner_[open.back()] = i;
            open.pop_back();
        }
    }

    std::vector<Token> run() {
        for (at_ = 0; at_ < in_.size(); ++at_) {
            Token token = in_[at_];
            switch (token.type) {
                case KilnLexer::NEWLINE:
                    if (breaks_line()) separate(token);
                    continue;
                case KilnLexer::SEMICOLON:
                    if (inside_parentheses()) out_.push_back(token);  // an error, which the parser reports
                    else separate(token);
                    continue;
                case KilnLexer::EOF: end_statement(token); break;
                case KilnLexer::LPAREN: case KilnLexer::LBRACK: case KilnLexer::LBRACE: open(token.type); break;
                case KilnLexer::RPAREN: case KilnLexer::RBRACK: case KilnLexer::RBRACE: close(token); break;
                default:
                    if (is_word(token.type)) {
                        token.type = classify(token);
                        if (token.type == KilnLexer::ELSE_IF) {
                            at_ = following(at_);
                            token.end = in_[at_].end;
                        }
                    }
                    after_reduction_head_ = false;
            }
            mark_mix(token);
            out_.push_back(token);
        }
        return std::move(out_);
    }

private:
    struct Bracket {
        size_t type;
        bool value;            ///< the braces of an `if` expression: they hold one expression, not statements
        bool reduction;        ///< the parentheses of a reduction: an operand follows
        bool value_next = false;  ///< an `if` expression is under way at this level: the next brace is a value
    };

    size_t previous() const { return out_.empty() ? size_t{KilnLexer::SEP} : out_.back().type; }
    size_t previous(size_t back) const { return out_.size() < back ? size_t{KilnLexer::SEP} : out_[out_.size() - back].type; }

    /// The index of the next token that is not a line break.
    size_t following(size_t i) const {
        do ++i; while (i + 1 < in_.size() && in_[i].type == KilnLexer::NEWLINE);
        return std::min(i, in_.size() - 1);
    }
    size_t type_following(size_t i) const { return in_[following(i)].type; }
    size_t type_after(size_t i) const { return i + 1 < in_.size() ? in_[i + 1].type : KilnLexer::EOF; }

    bool inside_parentheses() const { return !brackets_.empty() && brackets_.back().type != KilnLexer::LBRACE; }
    bool inside_value() const { return !brackets_.empty() && brackets_.back().value; }
    bool at_top_level() const { return brackets_.empty(); }

    bool starts_statement() const {
        if (inside_parentheses() || inside_value()) return false;
        return previous() == KilnLexer::SEP || previous() == KilnLexer::LBRACE;
    }

    bool ended_operand() const { return ends_operand(previous()) && !after_reduction_head_; }

    // --- shares ----------------------------------------------------------------------------------------------------

    /// In a setting `mix = ..` a value before a name is a share of it: `3/4 labelled`.
    void mark_mix(const Token &token) {
        if (token.type == KilnLexer::SEP || token.type == KilnLexer::RBRACE) mix_depth_ = 0;
        const bool setting = token.type == KilnLexer::ASSIGN && previous() == KilnLexer::NAME && text_of(file_, out_.back()) == "mix" &&
                             (previous(2) == KilnLexer::SEP || previous(2) == KilnLexer::LBRACE);
        if (setting) mix_depth_ = brackets_.size();
        if (mix_depth_ > 0 && brackets_.size() == mix_depth_ && token.type == KilnLexer::NAME && ended_operand())
            out_.push_back({KilnLexer::SHARE, token.begin, token.begin});
    }

    // --- line ends -------------------------------------------------------------------------------------------------

    void separate(const Token &token) {
        if (previous() == KilnLexer::SEP || previous() == KilnLexer::LBRACE) return;
        out_.push_back({KilnLexer::SEP, token.begin, token.end});
        mix_depth_ = 0;
        forget_conditional();
    }

    void end_statement(const Token &token) { separate({KilnLexer::SEP, token.begin, token.begin}); }

    void forget_conditional() {
        if (brackets_.empty()) value_next_at_top_ = false;
        else brackets_.back().value_next = false;
    }

    bool breaks_line() const {
        if (inside_parentheses()) return false;
        if (previous() == KilnLexer::SEP || previous() == KilnLexer::LBRACE) return false;
        return can_end_statement() && can_begin_statement(following(at_));
    }

    bool can_end_statement() const {
        switch (previous()) {
            case KilnLexer::COMMA: case KilnLexer::COLON: case KilnLexer::DOT: case KilnLexer::DOTDOT: case KilnLexer::ARROW:
            case KilnLexer::UPDATE: case KilnLexer::ASSIGN: case KilnLexer::NOT: case KilnLexer::ON: case KilnLexer::ELSE:
                return false;
            default: return !is_operator(previous()) && !after_reduction_head_;
        }
    }

    bool can_begin_statement(size_t i) const {
        switch (in_[i].type) {
            case KilnLexer::COMMA: case KilnLexer::COLON: case KilnLexer::DOT: case KilnLexer::ARROW: case KilnLexer::UPDATE:
            case KilnLexer::ASSIGN: case KilnLexer::LBRACE: case KilnLexer::RPAREN: case KilnLexer::RBRACK:
                return false;
            case KilnLexer::RBRACE: case KilnLexer::EOF: return false;  // they end the statement themselves
            case KilnLexer::ELSE: return previous() != KilnLexer::RBRACE;
            case KilnLexer::THEN: case KilnLexer::AND: case KilnLexer::OR: case KilnLexer::DIV: case KilnLexer::WHERE:
                return !is_infix_word(i);
            default: return !is_operator(in_[i].type);
        }
    }

    // --- words -----------------------------------------------------------------------------------------------------

    /// Whether the word at `i`, which follows an operand, is an operator: `b then c`, not `then = c`. The words that name
    /// functions too (`where(c, a, b)`, `div(a, b)`) are calls at the start of a line.
    bool is_infix_word(size_t i) const {
        size_t next = type_after(i);
        if (next == KilnLexer::ASSIGN || next == KilnLexer::UPDATE || next == KilnLexer::COMMA || next == KilnLexer::COLON ||
            next == KilnLexer::DOT || next == KilnLexer::LBRACK || next == KilnLexer::EOF) {
            return false;
        }
        bool names_function = in_[i].type == KilnLexer::WHERE || in_[i].type == KilnLexer::DIV;
        bool first_on_line = i > 0 && in_[i - 1].type == KilnLexer::NEWLINE;
        // At the end of its line the operand follows on the next one; alone on a line it is a name.
        if (next == KilnLexer::NEWLINE) return !first_on_line;
        return !(names_function && first_on_line && next == KilnLexer::LPAREN);
    }

    size_t classify(const Token &token) {
        size_t next = type_after(at_);
        bool starts = starts_statement();
        switch (token.type) {
            case KilnLexer::HYPER: case KilnLexer::CONST: case KilnLexer::LAYER: case KilnLexer::OP: case KilnLexer::OPTIMIZER:
            case KilnLexer::SCHEDULE: case KilnLexer::AUGMENT: case KilnLexer::MODEL: case KilnLexer::DATA:
            case KilnLexer::READER: case KilnLexer::PRIMITIVE: case KilnLexer::TRAIN: case KilnLexer::SCAN:
            case KilnLexer::PRECISION:
                if (starts && (at_top_level() || is_word(next))) return token.type;
                break;
            case KilnLexer::IMPORT:
                if (starts && (at_top_level() || next == KilnLexer::STRING)) return token.type;
                break;
            case KilnLexer::FN:
                if (starts && (at_top_level() || is_word(next))) return token.type;
                if (next == KilnLexer::LPAREN) {
                    size_t after = type_following(partner_[at_ + 1]);
                    return after == KilnLexer::ASSIGN ? KilnLexer::LAMBDA : KilnLexer::FN;
                }
                break;
            case KilnLexer::ON:
                if (previous() == KilnLexer::NAME && (previous(2) == KilnLexer::TRAIN || previous(2) == KilnLexer::SCAN)) return token.type;
                break;
            case KilnLexer::PARAM: case KilnLexer::BUFFER: case KilnLexer::STATE: case KilnLexer::GLOBAL: case KilnLexer::SHARED: case KilnLexer::GENERATE:
                if (starts && is_word(next)) return token.type;
                break;
            case KilnLexer::LOSS: case KilnLexer::METRIC: case KilnLexer::OUTPUT:
                if (starts && (begins_operand(next) || next == KilnLexer::MINUS)) return token.type;
                break;
            case KilnLexer::IF:
                if (starts) return KilnLexer::IF;
                value_next() = true;
                return KilnLexer::CONDITIONAL;
            case KilnLexer::ELSE:
                if (after_value_) value_next() = true;
                return next == KilnLexer::IF ? KilnLexer::ELSE_IF : KilnLexer::ELSE;
            case KilnLexer::IN:
                if (previous() == KilnLexer::NAME && previous(2) == KilnLexer::FOR) return token.type;
                break;
            case KilnLexer::RETURN: case KilnLexer::FOR: case KilnLexer::NOT: case KilnLexer::TRUE: case KilnLexer::FALSE:
                return token.type;
            case KilnLexer::THEN: case KilnLexer::AND: case KilnLexer::OR: case KilnLexer::DIV: case KilnLexer::WHERE:
                if (ended_operand() && is_infix_word(at_)) return token.type;
                break;
            default: break;
        }
        if (starts && !at_top_level() && begins_hook()) return KilnLexer::HOOK;
        if (next == KilnLexer::LPAREN && begins_reduction(token)) {
            reduction_next_ = true;
            return KilnLexer::REDUCE;
        }
        return KilnLexer::NAME;
    }

    /// `name {`, `name name {`, `name(...) {`, `name name(...) {`
    bool begins_hook() const {
        size_t i = following(at_);
        if (is_word(in_[i].type)) i = following(i);
        if (in_[i].type == KilnLexer::LPAREN) i = following(partner_[i]);
        return in_[i].type == KilnLexer::LBRACE;
    }

    /// `sum(i, j) x[i, j]`: a reducer with plain names in parentheses and an operand on the same line.
    bool begins_reduction(const Token &token) const {
        if (!is_reducer(text_of(file_, token)) || previous() == KilnLexer::DOT) return false;
        size_t end = partner_[at_ + 1];
        for (size_t i = at_ + 2; i < end; ++i) {
            bool name_expected = (i - at_) % 2 == 0;
            if (name_expected ? !is_word(in_[i].type) : in_[i].type != KilnLexer::COMMA) return false;
        }
        if ((end - at_) % 2 == 0) return false;  // `sum()` or a trailing comma
        size_t next = type_after(end);
        if (next == KilnLexer::WHERE) return type_after(end + 1) == KilnLexer::LPAREN;  // sum(i) where(x[i] > 0, ..)
        return begins_operand(next);
    }

    bool &value_next() { return brackets_.empty() ? value_next_at_top_ : brackets_.back().value_next; }

    // --- brackets --------------------------------------------------------------------------------------------------

    void open(size_t type) {
        bool value = type == KilnLexer::LBRACE && value_next();
        if (type == KilnLexer::LBRACE) value_next() = false;
        brackets_.push_back({type, value, reduction_next_});
        reduction_next_ = false;
        after_reduction_head_ = false;
    }

    void close(const Token &token) {
        if (token.type == KilnLexer::RBRACE) {
            end_statement(token);
        } else if (previous() == KilnLexer::COMMA && previous(2) != KilnLexer::COMMA && !is_opener(previous(2))) {
            out_.pop_back();  // a trailing comma
        }
        after_value_ = brackets_.back().value;
        after_reduction_head_ = brackets_.back().reduction;
        brackets_.pop_back();
    }

    const SourceFile &file_;
    const std::vector<Token> &in_;
    std::vector<size_t> partner_;  ///< opening bracket -> its closing one, indices of in_
    std::vector<Token> out_;
    std::vector<Bracket> brackets_;
    size_t at_ = 0;
    size_t mix_depth_ = 0;               ///< brackets around the setting `mix` under way; 0: none
    bool value_next_at_top_ = false;
    bool reduction_next_ = false;        ///< the next parenthesis belongs to a reduction
    bool after_reduction_head_ = false;  ///< the parenthesis just closed does: what follows is its body
    bool after_value_ = false;           ///< the brace just closed held the value of an `if` expression
};

}  // namespace

std::vector<Token> arrange(const SourceFile &file, const std::vector<Token> &tokens) { return Arranger(file, tokens).run(); }

}  // namespace kiln::syntax
