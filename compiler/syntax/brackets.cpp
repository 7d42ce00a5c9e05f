#include "compiler/syntax/brackets.h"

#include "KilnLexer.h"
#include "compiler/support/diagnostic_codes.h"
#include "compiler/syntax/parse.h"
#include "compiler/syntax/words.h"

#include <fmt/format.h>

#include <algorithm>

namespace kiln::syntax {
namespace {

using kiln_grammar::KilnLexer;

size_t closer_of(size_t opener) {
    return opener == KilnLexer::LPAREN ? KilnLexer::RPAREN : opener == KilnLexer::LBRACK ? KilnLexer::RBRACK : KilnLexer::RBRACE;
}

size_t opener_of(size_t closer) {
    return closer == KilnLexer::RPAREN ? KilnLexer::LPAREN : closer == KilnLexer::RBRACK ? KilnLexer::LBRACK : KilnLexer::LBRACE;
}

const char *symbol(size_t type) {
    if (type == KilnLexer::LPAREN) return "(";
    if (type == KilnLexer::RPAREN) return ")";
    if (type == KilnLexer::LBRACK) return "[";
    if (type == KilnLexer::RBRACK) return "]";
    return type == KilnLexer::LBRACE ? "{" : "}";
}

class Balancer {
public:
    /// `declarations_close`: a declaration keyword in the first column ends every open bracket before it. Good for finding
    /// where a `}` is missing, but only once it is known that one is.
    Balancer(const SourceFile &file, const Lexed &lexed, Diagnostics &diagnostics, bool declarations_close)
        : damages(lexed.damages), file_(file), in_(lexed.tokens), diagnostics_(diagnostics), declarations_close_(declarations_close) {}

    void run() {
        for (size_t i = 0; i < in_.size(); ++i) {
            const Token &token = in_[i];
            if (declarations_close_ && !open_.empty() && begins_declaration(i)) {
                close_all(token, fmt::format("the declaration of `{} {}`", text_of(file_, token), text_of(file_, in_[i + 1])));
            }
            if (token.type == KilnLexer::EOF && !open_.empty()) {
                unclosed_at_end = true;
                close_all(token, "the end of the file");
            }
            if (is_closer(token.type)) {
                close(token);
                continue;
            }
            if (at_statement_start_ && token.type != KilnLexer::NEWLINE) {
                statement_ = out.size();
                at_statement_start_ = false;
            }
            if (is_opener(token.type)) open_.push_back({token, out.size(), statement_});
            bool separates = token.type == KilnLexer::NEWLINE || token.type == KilnLexer::SEMICOLON;
            if (token.type == KilnLexer::LBRACE || (separates && in_block())) at_statement_start_ = true;
            out.push_back(token);
        }
    }

    std::vector<Token> out;
    std::vector<Damage> damages;  ///< what the lexer found, and more
    bool unclosed_at_end = false;

private:
    struct Open {
        Token token;
        size_t index;      ///< in out
        size_t statement;  ///< in out: the first token of the statement the bracket belongs to
    };

    bool in_block() const { return open_.empty() || open_.back().token.type == KilnLexer::LBRACE; }

    bool begins_declaration(size_t i) const {
        const Token &token = in_[i];
        bool first_column = token.begin == 0 || file_.text[token.begin - 1] == '\n';
        return first_column && is_declaration_keyword(token.type) && i + 1 < in_.size() && is_word(in_[i + 1].type);
    }

    /// "`layer Dense`" for the block of a definition, "the `(`" for other brackets.
    std::string describe(const Open &open) const {
        if (open.token.type != KilnLexer::LBRACE) return fmt::format("the `{}`", symbol(open.token.type));
        const Token &first = out[open.statement];
        if (!is_word(first.type) || open.statement >= open.index) return "the `{`";
        std::string text(text_of(file_, first));
        if (open.statement + 1 < open.index && is_word(out[open.statement + 1].type) && first.type != KilnLexer::IF) {
            text += fmt::format(" {}", text_of(file_, out[open.statement + 1]));
        }
        return fmt::format("`{}`", text);
    }

    void report_unclosed(const Open &open, const Token &found, const std::string &found_text) {
        // A string without an end takes the brackets after it along.
        for (const Damage &damage : damages) {
            if (open.token.type != KilnLexer::LBRACE && damage.begin > open.token.begin && damage.begin < found.begin) return;
        }
        SourceRange range{&file_, found.begin, found.end};
        Diagnostic &diagnostic =
            diagnostics_.report(DiagnosticCode::unclosed_bracket, range, {symbol(closer_of(open.token.type)), describe(open), found_text});
        bool block = open.token.type == KilnLexer::LBRACE;
        diagnostic.labels.push_back({{&file_, open.token.begin, open.token.end}, block ? "the block begins here" : "opened here"});
    }

    /// Whether the line break at `i` of out looks like the end of a statement although a parenthesis is open.
    bool looks_like_end(size_t i) const {
        size_t next = i;
        while (next < out.size() && out[next].type == KilnLexer::NEWLINE) ++next;
        if (next == out.size()) return true;
        size_t after = out[next].type, before = out[i - 1].type;
        return (ends_operand(before) || is_word(before)) && !is_operator(after) && !is_closer(after) && after != KilnLexer::COMMA &&
               after != KilnLexer::DOT;
    }

    /// Closes the innermost brackets down to `remaining` open ones: parentheses at the end of the line where they were most
    /// likely forgotten, braces right before `token`.
    void insert_closers(size_t remaining, const Token &token) {
        size_t position = out.size();
        while (position > 0 && out[position - 1].type == KilnLexer::NEWLINE) --position;
        bool block = open_.back().token.type == KilnLexer::LBRACE;
        if (!block) {
            for (size_t i = open_.back().index + 1; i < out.size(); ++i) {
                if (out[i].type == KilnLexer::NEWLINE && looks_like_end(i)) {
                    position = i;
                    break;
                }
            }
        }
        const Open &first = open_[remaining];
        uint32_t damaged_until = position < out.size() ? out[position].begin : token.end;
        damages.push_back({block ? first.token.begin : out[first.statement].begin, damaged_until});
        std::vector<Token> closers;
        uint32_t at = position < out.size() ? out[position].begin : token.begin;
        while (open_.size() > remaining) {
            closers.push_back({closer_of(open_.back().token.type), at, at});
            open_.pop_back();
        }
        out.insert(out.begin() + static_cast<ptrdiff_t>(position), closers.begin(), closers.end());
        at_statement_start_ = position < out.size();
    }

    void close_all(const Token &token, const std::string &found_text) {
        report_unclosed(open_.front(), token, found_text);
        // Parentheses inside the block first: they belong to the end of their own line.
        while (!open_.empty()) {
            size_t remaining = open_.size();
            bool braces = open_.back().token.type == KilnLexer::LBRACE;
            while (remaining > 0 && (open_[remaining - 1].token.type == KilnLexer::LBRACE) == braces) --remaining;
            insert_closers(remaining, token);
        }
    }

    void close(const Token &token) {
        size_t wanted = opener_of(token.type);
        size_t matching = open_.size();
        for (size_t i = open_.size(); i-- > 0;) {
            if (open_[i].token.type == wanted) {
                matching = i;
                break;
            }
            if (open_[i].token.type == KilnLexer::LBRACE) break;
        }
        if (matching == open_.size()) {
            bool mistaken = !open_.empty() && open_.back().token.type != KilnLexer::LBRACE && token.type != KilnLexer::RBRACE;
            if (mistaken) {
                report_unclosed(open_.back(), token, fmt::format("`{}`", symbol(token.type)));
                out.push_back({closer_of(open_.back().token.type), token.begin, token.end});
                damages.push_back({open_.back().token.begin, token.end});
                open_.pop_back();
                return;
            }
            diagnostics_.report(DiagnosticCode::unopened_bracket, SourceRange{&file_, token.begin, token.end}, {symbol(token.type)});
            damages.push_back({token.begin, token.end});
            return;
        }
        if (matching + 1 < open_.size()) {
            report_unclosed(open_.back(), token, fmt::format("`{}`", symbol(token.type)));
            insert_closers(matching + 1, token);
        }
        open_.pop_back();
        out.push_back(token);
        if (token.type == KilnLexer::RBRACE) at_statement_start_ = false;
    }

    const SourceFile &file_;
    const std::vector<Token> &in_;
    Diagnostics &diagnostics_;
    bool declarations_close_;
    std::vector<Open> open_;
    size_t statement_ = 0;
    bool at_statement_start_ = true;
};

/// How deep the tree of a token sequence gets, from below: a bracket is one level above the deepest of its elements, and
/// an element is as deep as its operators are many on top of its deepest bracket.
struct Level {
    int operators = 0, heads = 0;              ///< of the current element
    int depth_below = 0, nesting_below = 0;    ///< deepest bracket of the current element
    int depth = 0, nesting = 0;                ///< of the elements before

    void end_element() {
        depth = std::max(depth, depth_below + operators);
        nesting = std::max(nesting, nesting_below + heads);
        operators = heads = depth_below = nesting_below = 0;
    }
};

}  // namespace

bool is_opener(size_t type) { return type == KilnLexer::LPAREN || type == KilnLexer::LBRACK || type == KilnLexer::LBRACE; }
bool is_closer(size_t type) { return type == KilnLexer::RPAREN || type == KilnLexer::RBRACK || type == KilnLexer::RBRACE; }

void balance_brackets(const SourceFile &file, Lexed &lexed, Diagnostics &diagnostics) {
    Diagnostics first_diagnostics;
    Balancer first(file, lexed, first_diagnostics, false);
    first.run();
    Balancer final(file, lexed, diagnostics, first.unclosed_at_end);
    final.run();
    lexed.tokens = std::move(final.out);
    lexed.damages = std::move(final.damages);
}

bool check_bracket_depth(const SourceFile &file, const std::vector<Token> &tokens, Diagnostics &diagnostics) {
    int depth = 0;
    for (const Token &token : tokens) {
        if (is_opener(token.type) && ++depth > kMaxNesting) {
            diagnostics.report(DiagnosticCode::nested_too_deep, SourceRange{&file, token.begin, token.end},
                               {fmt::format("{} brackets", kMaxNesting)});
            return false;
        }
        if (is_closer(token.type)) --depth;
    }
    return true;
}

bool check_nesting(const SourceFile &file, const std::vector<Token> &tokens, Diagnostics &diagnostics) {
    std::vector<Level> levels(1);
    size_t previous = KilnLexer::SEP;
    for (const Token &token : tokens) {
        size_t type = token.type;
        SourceRange range{&file, token.begin, token.end};
        if (is_opener(type)) {
            // A call or an index wraps what stands before it, as an operator does.
            if (type != KilnLexer::LBRACE && ends_operand(previous)) ++levels.back().operators;
            levels.emplace_back();
        } else if (is_closer(type)) {
            levels.back().end_element();
            int depth = levels.back().depth + 1, nesting = levels.back().nesting + 1;
            levels.pop_back();
            levels.back().depth_below = std::max(levels.back().depth_below, depth);
            levels.back().nesting_below = std::max(levels.back().nesting_below, nesting);
        } else if (type == KilnLexer::SEP || type == KilnLexer::COMMA) {
            levels.back().end_element();
        } else if (is_operator(type) || type == KilnLexer::NOT || type == KilnLexer::ELSE_IF || type == KilnLexer::DOT) {
            ++levels.back().operators;
        } else if (type == KilnLexer::REDUCE || type == KilnLexer::LAMBDA) {
            ++levels.back().operators;
            ++levels.back().heads;
        }
        const Level &level = levels.back();
        if (level.nesting_below + level.heads > kMaxNesting) {
            diagnostics.report(DiagnosticCode::nested_too_deep, range, {fmt::format("{} brackets", kMaxNesting)});
            return false;
        }
        if (level.depth_below + level.operators > kMaxTreeDepth) {
            diagnostics.report(DiagnosticCode::nested_too_deep, range, {fmt::format("{} operators", kMaxTreeDepth)});
            return false;
        }
        previous = type;
    }
    return true;
}

}  // namespace kiln::syntax
