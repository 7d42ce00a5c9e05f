// The formatter works on tokens, not on the tree: it changes only the space between them, so that no comment and no line
// break of the author gets lost and the tree cannot change.
#include "KilnLexer.h"
#include "compiler/syntax/brackets.h"
#include "compiler/syntax/layout.h"
#include "compiler/syntax/print.h"
#include "compiler/syntax/words.h"

#include <algorithm>

namespace kiln {
namespace {

using namespace syntax;
using kiln_grammar::KilnLexer;

constexpr int kIndent = 4;
/// Names that differ by more columns than this are not aligned: the gap would be wider than it helps.
constexpr int kMaxPadding = 16;

/// A token as it is written, with what the layout filter made of it.
struct Piece {
    Token token;
    size_t type;               ///< as classified: NAME for a word that is no keyword here
    bool starts = false;       ///< first of a statement
    bool ends = false;         ///< last of a statement
    bool unary = false;        ///< a minus sign that negates
    bool reduction_head = false;  ///< closes the parenthesis of `sum(i, j)`
    bool tight = false;           ///< no space before it: the fraction `3/4` in a mix
    bool long_block = false;      ///< a brace whose partner stands on another line
};

struct Line {
    std::vector<size_t> pieces;
    std::string comment;       ///< without trailing space; alone on the line if there are no pieces
    bool blank_before = false;
    size_t next = 0;           ///< for a comment line: the piece that follows
    std::string text;          ///< the pieces with their spacing
    int indent = 0;
};

int width(std::string_view text) {
    return static_cast<int>(std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

class Formatter {
public:
    explicit Formatter(const SourceFile &file) : file_(file) {
        Diagnostics ignored;
        Lexed lexed = lex(file, ignored);
        collect_pieces(lexed.tokens);
        collect_lines(lexed);
    }

    std::string run() {
        for (Line &line : lines_) {
            line.text = "";
            for (size_t i = 0; i < line.pieces.size(); ++i) {
                if (i > 0) line.text += space_between(line.pieces[i - 1], line.pieces[i]);
                line.text += text(line.pieces[i]);
            }
        }
        align_definitions();
        for (Line &line : lines_) indent(line);
        return print();
    }

private:
    std::string_view text(size_t piece) const { return text_of(file_, pieces_[piece].token); }

    // --- what is there -------------------------------------------------------------------------------------------

    void collect_pieces(const std::vector<Token> &tokens) {
        std::vector<Token> arranged = arrange(file_, tokens);
        size_t next = 0;
        bool starts = true;
        size_t previous = KilnLexer::SEP;
        struct Open {
            size_t piece;
            bool reduction;
        };
        std::vector<Open> open;
        for (const Token &token : tokens) {
            if (token.type == KilnLexer::EOF || token.type == KilnLexer::NEWLINE) continue;
            while (next < arranged.size() && arranged[next].begin <= token.begin && arranged[next].type == KilnLexer::SEP) {
                if (!pieces_.empty()) pieces_.back().ends = true;
                starts = true;
                previous = KilnLexer::SEP;
                ++next;
            }
            if (next < arranged.size() && arranged[next].type == KilnLexer::SHARE && arranged[next].begin <= token.begin) {
                ++next;
                if (size_t n = pieces_.size(); n > 2 && pieces_[n - 1].type == KilnLexer::INT && pieces_[n - 2].type == KilnLexer::SLASH && pieces_[n - 3].type == KilnLexer::INT)
                    pieces_[n - 1].tight = pieces_[n - 2].tight = true;
            }
            Piece piece{token, token.type};
            if (next < arranged.size() && arranged[next].begin == token.begin) piece.type = arranged[next++].type;
            piece.starts = starts && token.type != KilnLexer::RBRACE && token.type != KilnLexer::SEMICOLON;
            piece.unary = token.type == KilnLexer::MINUS && !(ends_operand(previous) && !(!pieces_.empty() && pieces_.back().reduction_head));
            if (is_opener(token.type)) open.push_back({pieces_.size(), previous == KilnLexer::REDUCE});
            if (is_closer(token.type)) {
                Piece &opener = pieces_[open.back().piece];
                piece.reduction_head = open.back().reduction;
                std::string_view inside = std::string_view(file_.text).substr(opener.token.end, token.begin - opener.token.end);
                piece.long_block = opener.long_block = inside.find('\n') != std::string_view::npos;
                open.pop_back();
            }
            starts = token.type == KilnLexer::LBRACE || (starts && token.type == KilnLexer::SEMICOLON);
            previous = piece.type;
            pieces_.push_back(piece);
        }
        if (!pieces_.empty()) pieces_.back().ends = true;
    }

    /// Pieces and comments, broken where the author broke them; `{` and `else` go to the end of the line before.
    void collect_lines(const Lexed &lexed) {
        size_t piece = 0, comment = 0;
        int newlines = 2;  // line breaks since the last piece or comment
        auto add_line = [&] {
            lines_.emplace_back();
            lines_.back().blank_before = newlines > 1 && lines_.size() > 1;
        };
        size_t token = 0;
        while (true) {
            while (token < lexed.tokens.size() && lexed.tokens[token].type == KilnLexer::NEWLINE &&
                   (comment == lexed.comments.size() || lexed.tokens[token].begin < lexed.comments[comment].begin)) {
                ++newlines;
                ++token;
            }
            bool have_comment = comment < lexed.comments.size();
            bool have_piece = piece < pieces_.size();
            if (!have_comment && !have_piece) break;
            if (have_comment && (!have_piece || lexed.comments[comment].begin < pieces_[piece].token.begin)) {
                if (newlines > 0 || lines_.empty()) add_line();
                std::string_view written = text_of(file_, lexed.comments[comment++]);
                while (!written.empty() && (written.back() == ' ' || written.back() == '\t')) written.remove_suffix(1);
                lines_.back().comment = written;
                lines_.back().next = piece;
                newlines = 0;
                continue;
            }
            size_t type = pieces_[piece].type;
            // A block of several lines begins after its `{` and ends before its `}`.
            bool breaks = (piece > 0 && pieces_[piece - 1].long_block && pieces_[piece - 1].token.type == KilnLexer::LBRACE) ||
                          (pieces_[piece].long_block && type == KilnLexer::RBRACE);
            if (breaks) newlines = std::max(newlines, 1);
            bool joins = type == KilnLexer::LBRACE || type == KilnLexer::ELSE || type == KilnLexer::ELSE_IF;
            bool can_join = joins && !lines_.empty() && lines_.back().comment.empty() && !pieces_[piece].starts;
            if ((newlines > 0 && !can_join) || lines_.empty()) add_line();
            lines_.back().pieces.push_back(piece++);
            ++token;
            newlines = 0;
        }
    }

    // --- spacing -------------------------------------------------------------------------------------------------

    const char *space_between(size_t left, size_t right) const {
        const Piece &a = pieces_[left], &b = pieces_[right];
        if (b.tight) return "";
        switch (b.token.type) {
            case KilnLexer::RPAREN: case KilnLexer::RBRACK: case KilnLexer::COMMA: case KilnLexer::SEMICOLON: case KilnLexer::COLON:
            case KilnLexer::DOT:
                return "";
            case KilnLexer::DOTDOT:
                return a.token.type == KilnLexer::COMMA ? " " : "";
            case KilnLexer::LPAREN: {
                bool callee = a.type == KilnLexer::NAME || a.type == KilnLexer::HOOK || a.type == KilnLexer::REDUCE ||
                              a.type == KilnLexer::FN || a.type == KilnLexer::LAMBDA || a.type == KilnLexer::RPAREN || a.type == KilnLexer::RBRACK;
                if (callee && !a.reduction_head) return "";
                break;
            }
            case KilnLexer::LBRACK:
                if (ends_operand(a.type) && !a.reduction_head && a.type != KilnLexer::RBRACE) return "";
                break;
            default: break;
        }
        switch (a.token.type) {
            case KilnLexer::LPAREN: case KilnLexer::LBRACK: case KilnLexer::DOT: case KilnLexer::DOTDOT: return "";
            case KilnLexer::MINUS: return a.unary ? "" : " ";
            default: return " ";
        }
    }

    // --- alignment -----------------------------------------------------------------------------------------------

    /// The columns of a one-statement line: `param W: f32[n] = zeros` has "param ", "W: ", "f32[n] " and "= zeros". Lines
    /// with the same shape that follow each other are aligned. Empty shape: not such a line.
    struct Cells {
        std::string shape;
        std::vector<std::string> texts;
    };

    Cells cells(const Line &line) const {
        Cells result;
        if (line.pieces.empty()) return result;
        const Piece &first = pieces_[line.pieces.front()], &last = pieces_[line.pieces.back()];
        if (!first.starts || !last.ends || first.token.type == KilnLexer::SEMICOLON) return result;
        bool keyword = false;
        switch (first.type) {
            case KilnLexer::HYPER: case KilnLexer::CONST: case KilnLexer::PARAM: case KilnLexer::BUFFER: case KilnLexer::STATE:
            case KilnLexer::GLOBAL: case KilnLexer::SHARED: case KilnLexer::LOSS: case KilnLexer::METRIC: case KilnLexer::OUTPUT:
            case KilnLexer::GENERATE:
                keyword = true;
                break;
            case KilnLexer::NAME: break;
            default: return result;
        }
        int depth = 0;
        bool value = false, type = false;
        std::string cell, shape;
        for (size_t i = 0; i < line.pieces.size(); ++i) {
            const Piece &piece = pieces_[line.pieces[i]];
            if (is_opener(piece.token.type)) ++depth;
            if (is_closer(piece.token.type)) --depth;
            bool ends = piece.ends || piece.token.type == KilnLexer::SEMICOLON;
            if (ends && i + 1 < line.pieces.size() && depth == 0) return result;  // two statements
            bool assigns = depth == 0 && !value && (piece.type == KilnLexer::ASSIGN || piece.type == KilnLexer::UPDATE);
            bool new_cell = (keyword && i == 1) || assigns || type;
            type = false;
            std::string space = i > 0 ? space_between(line.pieces[i - 1], line.pieces[i]) : "";
            if (new_cell) {
                result.texts.push_back(std::move(cell));
                cell.clear();
                space.clear();
            }
            if (assigns) {
                value = true;
                shape += piece.type == KilnLexer::ASSIGN ? '=' : '<';
            }
            if (depth == 0 && !value && piece.token.type == KilnLexer::COLON) {
                type = true;
                shape += ':';
            }
            cell += space;
            cell += text(line.pieces[i]);
        }
        result.texts.push_back(std::move(cell));
        bool reports = first.type == KilnLexer::LOSS || first.type == KilnLexer::METRIC || first.type == KilnLexer::OUTPUT || first.type == KilnLexer::GENERATE;
        if (reports) {  // only the keyword is aligned
            std::string rest;
            for (size_t i = 1; i < result.texts.size(); ++i) rest += (i > 1 ? " " : "") + result.texts[i];
            result.texts = {result.texts[0], rest};
            shape = "r";
        } else if (shape.find_first_of("=<") == std::string::npos) {
            result.texts.clear();
            return result;
        }
        result.shape = (keyword ? "k" : "n") + shape;
        return result;
    }

    void align_definitions() {
        size_t begin = 0;
        while (begin < lines_.size()) {
            std::vector<Cells> run = {cells(lines_[begin])};
            size_t end = begin + 1;
            while (!run[0].shape.empty() && end < lines_.size() && !lines_[end].blank_before) {
                Cells next = cells(lines_[end]);
                if (next.shape != run[0].shape) break;
                run.push_back(std::move(next));
                ++end;
            }
            if (run.size() > 1) align(run, begin);
            begin = end;
        }
    }

    void align(const std::vector<Cells> &run, size_t begin) {
        size_t columns = run[0].texts.size();
        std::vector<int> widest(columns, 0);
        for (size_t column = 0; column + 1 < columns; ++column) {
            int narrowest = 1 << 20;
            for (const Cells &cells : run) {
                widest[column] = std::max(widest[column], width(cells.texts[column]));
                narrowest = std::min(narrowest, width(cells.texts[column]));
            }
            if (widest[column] - narrowest > kMaxPadding) return;
        }
        for (size_t row = 0; row < run.size(); ++row) {
            std::string &text = lines_[begin + row].text;
            text.clear();
            for (size_t column = 0; column < columns; ++column) {
                const std::string &cell = run[row].texts[column];
                text += cell;
                if (column + 1 < columns) text.append(static_cast<size_t>(widest[column] - width(cell) + 1), ' ');
            }
        }
    }

    // --- indentation ---------------------------------------------------------------------------------------------

    struct Bracket {
        size_t type;
        int content, close;  ///< indentation of the lines inside, and of a line that begins with the closing bracket
        int statement;       ///< of the statement under way inside (braces)
    };

    void indent(Line &line) {
        auto innermost = [&]() -> Bracket & { return brackets_.back(); };
        if (line.pieces.empty()) {
            bool closes = line.next >= pieces_.size() || pieces_[line.next].token.type == KilnLexer::RBRACE;
            bool parenthesis = innermost().type != KilnLexer::LBRACE;
            line.indent = innermost().content + (parenthesis || closes || pieces_[line.next].starts ? 0 : kIndent);
            return;
        }
        const Piece &first = pieces_[line.pieces.front()];
        if (is_closer(first.token.type)) {
            line.indent = innermost().close;
        } else if (innermost().type != KilnLexer::LBRACE || first.starts) {
            line.indent = innermost().content;
        } else {
            bool else_branch = first.type == KilnLexer::ELSE || first.type == KilnLexer::ELSE_IF;
            line.indent = innermost().content + (else_branch ? 0 : kIndent);
        }
        int column = line.indent;
        size_t at = 0;  // in line.text
        for (size_t i = 0; i < line.pieces.size(); ++i) {
            const Piece &piece = pieces_[line.pieces[i]];
            std::string_view written = text(line.pieces[i]);
            size_t found = line.text.find(written, at);
            column += width(std::string_view(line.text).substr(at, found - at)) + width(written);
            at = found + written.size();
            if (piece.starts && innermost().type == KilnLexer::LBRACE) innermost().statement = i == 0 ? line.indent : innermost().content;
            if (is_opener(piece.token.type)) {
                bool last = i + 1 == line.pieces.size();
                if (piece.token.type == KilnLexer::LBRACE) {
                    int base = innermost().type == KilnLexer::LBRACE ? innermost().statement : line.indent;
                    brackets_.push_back({piece.token.type, base + kIndent, base, base + kIndent});
                } else {
                    brackets_.push_back({piece.token.type, last ? line.indent + kIndent : column, last ? line.indent : column - 1, 0});
                }
            } else if (is_closer(piece.token.type)) {
                brackets_.pop_back();
            }
        }
    }

    // --- output --------------------------------------------------------------------------------------------------

    bool keeps_blank(size_t index) const {
        const Line &line = lines_[index];
        if (!line.blank_before || index == 0) return false;
        const Line &previous = lines_[index - 1];
        bool opens = !previous.pieces.empty() && pieces_[previous.pieces.back()].token.type == KilnLexer::LBRACE;
        if (opens) return false;
        if (line.pieces.empty()) return line.next >= pieces_.size() || pieces_[line.next].starts || pieces_[line.next].token.type == KilnLexer::RBRACE;
        return pieces_[line.pieces.front()].starts;
    }

    std::string print() const {
        // Comments at the ends of neighbouring lines stand in one column.
        std::vector<int> comment_column(lines_.size(), 0);
        for (size_t begin = 0; begin < lines_.size();) {
            size_t end = begin;
            int column = 0;
            while (end < lines_.size() && !lines_[end].pieces.empty() && !lines_[end].comment.empty() && (end == begin || !keeps_blank(end))) {
                column = std::max(column, lines_[end].indent + width(lines_[end].text) + 2);
                ++end;
            }
            for (size_t i = begin; i < end; ++i) comment_column[i] = column;
            begin = std::max(end, begin + 1);
        }
        std::string result;
        for (size_t i = 0; i < lines_.size(); ++i) {
            const Line &line = lines_[i];
            if (keeps_blank(i)) result += '\n';
            std::string written = std::string(static_cast<size_t>(line.indent), ' ') + line.text;
            if (!line.comment.empty()) {
                if (!line.pieces.empty()) written.append(static_cast<size_t>(std::max(0, comment_column[i] - width(written))), ' ');
                written += line.comment;
            }
            result += written + '\n';
        }
        return result;
    }

    const SourceFile &file_;
    std::vector<Piece> pieces_;
    std::vector<Line> lines_;
    std::vector<Bracket> brackets_ = {{KilnLexer::LBRACE, 0, 0, 0}};  ///< the file itself is the outermost block
};

}  // namespace

std::string format(const ast::Module &module) { return Formatter(*module.file).run(); }

}  // namespace kiln
