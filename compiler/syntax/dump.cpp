// The tree as indented text, one node a line with its place: `kiln emit ast`.
#include "compiler/syntax/print.h"

#include <fmt/format.h>

namespace kiln {
namespace {

using namespace ast;

template <class... Functions>
struct Overloaded : Functions... {
    using Functions::operator()...;
};
template <class... Functions>
Overloaded(Functions...) -> Overloaded<Functions...>;

const char *symbol(BinaryOp op) {
    switch (op) {
        case BinaryOp::add: return "+";
        case BinaryOp::subtract: return "-";
        case BinaryOp::multiply: return "*";
        case BinaryOp::divide: return "/";
        case BinaryOp::floor_divide: return "div";
        case BinaryOp::modulo: return "%";
        case BinaryOp::power: return "^";
        case BinaryOp::matmul: return "@";
        case BinaryOp::equal: return "==";
        case BinaryOp::not_equal: return "!=";
        case BinaryOp::less: return "<";
        case BinaryOp::less_equal: return "<=";
        case BinaryOp::greater: return ">";
        case BinaryOp::greater_equal: return ">=";
        case BinaryOp::logical_and: return "and";
        case BinaryOp::logical_or: return "or";
        case BinaryOp::share: return "share";
    }
    return "?";
}

const char *word(DefinitionDecl::Kind kind) {
    switch (kind) {
        case DefinitionDecl::Kind::function: return "fn";
        case DefinitionDecl::Kind::layer: return "layer";
        case DefinitionDecl::Kind::op: return "op";
        case DefinitionDecl::Kind::optimizer: return "optimizer";
        case DefinitionDecl::Kind::schedule: return "schedule";
        case DefinitionDecl::Kind::augment: return "augment";
        case DefinitionDecl::Kind::model: return "model";
        case DefinitionDecl::Kind::data: return "data";
        case DefinitionDecl::Kind::reader: return "reader";
        case DefinitionDecl::Kind::primitive: return "primitive";
    }
    return "?";
}

const char *word(StorageStmt::Kind kind) {
    switch (kind) {
        case StorageStmt::Kind::param: return "param";
        case StorageStmt::Kind::buffer: return "buffer";
        case StorageStmt::Kind::state: return "state";
        case StorageStmt::Kind::global: return "global";
    }
    return "?";
}

std::string quoted(const std::string &text) {
    std::string result = "\"";
    for (char c : text) {
        if (c == '\n') result += "\\n";
        else if (c == '\t') result += "\\t";
        else if (c == '\r') result += "\\r";
        else if (c == '"' || c == '\\') result += std::string("\\") + c;
        else result += c;
    }
    return result + '"';
}

class Dumper {
public:
    std::string run(const Module &module) {
        line(fmt::format("module {}", module.file->name), {});
        ++depth_;
        doc(module.doc);
        for (const Decl &declaration : module.declarations) decl(declaration);
        return std::move(out_);
    }

private:
    void line(const std::string &text, const SourceRange &range) {
        out_.append(2 * static_cast<size_t>(depth_), ' ');
        out_ += text;
        if (range.valid()) {
            LineColumn place = line_column(*range.file, range.begin);
            out_ += fmt::format("  @ {}:{}", place.line, place.column);
        }
        out_ += '\n';
    }

    template <class Body>
    void nested(const std::string &text, const SourceRange &range, const Body &body) {
        line(text, range);
        ++depth_;
        body();
        --depth_;
    }

    void doc(const std::string &text) {
        if (!text.empty()) line(fmt::format("doc {}", quoted(text)), {});
    }

    void block(const char *what, const Block &statements) {
        nested(what, {}, [&] {
            for (const StmtPtr &statement : statements) stmt(*statement);
        });
    }

    void type(const TypeExpr &t) {
        nested(fmt::format("type {}{}", t.name.text, t.has_dims ? "[]" : ""), t.range, [&] {
            dims(t.dims);
            if (t.has_elements) nested("elements", {}, [&] { dims(t.elements); });
        });
    }

    void dims(const std::vector<Dim> &list) {
        for (const Dim &dim : list) {
            if (dim.ellipsis) line(".." + dim.rest.text, dim.range);
            else expr(*dim.value);
        }
    }

    void params(const std::vector<Param> &list) {
        for (const Param &param : list) {
            nested(fmt::format("parameter {}", param.name.text), param.name.range, [&] {
                if (param.type) type(*param.type);
                if (param.default_value) nested("default", {}, [&] { expr(*param.default_value); });
            });
        }
    }

    void subscript(const Subscript &s) {
        switch (s.kind) {
            case Subscript::Kind::index: expr(*s.index); break;
            case Subscript::Kind::ellipsis: line("..", s.range); break;
            case Subscript::Kind::range:
                nested(fmt::format("slice {}..{}", s.begin ? "from" : "", s.end ? "to" : ""), s.range, [&] {
                    if (s.begin) expr(*s.begin);
                    if (s.end) expr(*s.end);
                });
                break;
        }
    }

    void expr(const Expr &e) {
        auto leaf = [&](const std::string &text) { line(text, e.range); };
        std::visit(
            Overloaded{
                [&](const IntLiteral &x) { leaf(fmt::format("int {}", x.value)); },
                [&](const FloatLiteral &x) { leaf(fmt::format("float {}{}", x.value, x.unit)); },
                [&](const StringLiteral &x) { leaf(fmt::format("string {}", quoted(x.value))); },
                [&](const BoolLiteral &x) { leaf(x.value ? "true" : "false"); },
                [&](const NameRef &x) { leaf(fmt::format("name {}", x.name)); },
                [&](const ListExpr &x) {
                    nested("list", e.range, [&] {
                        for (const ExprPtr &element : x.elements) expr(*element);
                    });
                },
                [&](const TupleExpr &x) {
                    nested("tuple", e.range, [&] {
                        for (const ExprPtr &element : x.elements) expr(*element);
                    });
                },
                [&](const CallExpr &x) {
                    nested("call", e.range, [&] {
                        expr(*x.callee);
                        for (const Argument &argument : x.arguments) {
                            if (argument.name.text.empty()) expr(*argument.value);
                            else nested(fmt::format("argument {}", argument.name.text), argument.name.range, [&] { expr(*argument.value); });
                        }
                    });
                },
                [&](const FieldExpr &x) { nested(fmt::format("field {}", x.field.text), e.range, [&] { expr(*x.object); }); },
                [&](const IndexExpr &x) {
                    nested("index", e.range, [&] {
                        expr(*x.object);
                        for (const Subscript &s : x.subscripts) subscript(s);
                    });
                },
                [&](const UnaryExpr &x) {
                    nested(x.op == UnaryOp::negate ? "unary -" : "unary not", e.range, [&] { expr(*x.operand); });
                },
                [&](const BinaryExpr &x) {
                    nested(fmt::format("binary {}", symbol(x.op)), e.range, [&] {
                        expr(*x.left);
                        expr(*x.right);
                    });
                },
                [&](const PipeExpr &x) {
                    nested("pipe", e.range, [&] {
                        expr(*x.value);
                        expr(*x.call);
                    });
                },
                [&](const ThenExpr &x) {
                    nested("then", e.range, [&] {
                        expr(*x.first);
                        expr(*x.second);
                    });
                },
                [&](const IfExpr &x) {
                    nested("if", e.range, [&] {
                        expr(*x.condition);
                        expr(*x.then_value);
                        expr(*x.else_value);
                    });
                },
                [&](const RangeExpr &x) {
                    nested("range", e.range, [&] {
                        expr(*x.begin);
                        expr(*x.end);
                    });
                },
                [&](const Lambda &x) {
                    nested("lambda", e.range, [&] {
                        params(x.params);
                        block("body", x.body);
                    });
                },
                [&](const ReduceExpr &x) {
                    std::string indices;
                    for (const Name &index : x.indices) indices += (indices.empty() ? "" : ", ") + index.text;
                    nested(fmt::format("reduce {}({})", x.reducer.text, indices), e.range, [&] {
                        expr(*x.body);
                        if (x.where) nested("where", {}, [&] { expr(*x.where); });
                    });
                },
            },
            e.node);
    }

    void stmt(const Stmt &s) {
        std::visit(
            Overloaded{
                [&](const BindStmt &x) {
                    std::string names;
                    for (const Name &name : x.names) names += (names.empty() ? "" : ", ") + name.text;
                    nested(fmt::format("bind {}", names), s.range, [&] {
                        doc(s.doc);
                        if (x.type) type(*x.type);
                        expr(*x.value);
                    });
                },
                [&](const UpdateStmt &x) { named("update", x.name, s, *x.value); },
                [&](const StorageStmt &x) {
                    nested(fmt::format("{} {}", word(x.kind), x.name.text), s.range, [&] {
                        doc(s.doc);
                        if (x.type) type(*x.type);
                        expr(*x.init);
                    });
                },
                [&](const SharedStmt &x) { named("shared", x.name, s, *x.value); },
                [&](const ReturnStmt &x) { named("return", {}, s, *x.value); },
                [&](const IfStmt &x) {
                    nested("if", s.range, [&] {
                        doc(s.doc);
                        expr(*x.condition);
                        block("then", x.then_block);
                        if (!x.else_block.empty()) block("else", x.else_block);
                    });
                },
                [&](const ForStmt &x) {
                    nested(fmt::format("for {}", x.variable.text), s.range, [&] {
                        doc(s.doc);
                        expr(*x.range);
                        block("body", x.body);
                    });
                },
                [&](const LossStmt &x) { named("loss", {}, s, *x.value); },
                [&](const MetricStmt &x) { named("metric", x.name, s, *x.value); },
                [&](const OutputStmt &x) { named("output", x.name, s, *x.value); },
                [&](const GenerateStmt &x) {
                    nested("generate", s.range, [&] {
                        doc(s.doc);
                        expr(*x.target);
                        expr(*x.value);
                    });
                },
                [&](const ExprStmt &x) { named("expression", {}, s, *x.value); },
                [&](const IndexStmt &x) {
                    nested(fmt::format("indexed {}", x.name.text), s.range, [&] {
                        doc(s.doc);
                        for (const Subscript &each : x.subscripts) subscript(each);
                        expr(*x.value);
                        if (x.where) nested("where", {}, [&] { expr(*x.where); });
                    });
                },
                [&](const HookStmt &x) {
                    std::string params;
                    for (const Name &param : x.params) params += (params.empty() ? "" : ", ") + param.text;
                    nested(fmt::format("hook {}{}{}({})", x.kind.text, x.name.text.empty() ? "" : " ", x.name.text, params), s.range, [&] {
                        doc(s.doc);
                        block("body", x.body);
                    });
                },
            },
            s.node);
    }

    void named(const char *what, const Name &name, const Stmt &s, const Expr &value) {
        nested(name.text.empty() ? what : fmt::format("{} {}", what, name.text), s.range, [&] {
            doc(s.doc);
            expr(value);
        });
    }

    void decl(const Decl &d) {
        std::visit(
            Overloaded{
                [&](const ValueDecl &x) {
                    nested(fmt::format("{} {}", x.kind == ValueDecl::Kind::hyper ? "hyper" : "const", d.name.text), d.range, [&] {
                        doc(d.doc);
                        if (x.type) type(*x.type);
                        expr(*x.value);
                    });
                },
                [&](const DefinitionDecl &x) {
                    nested(fmt::format("{} {}", word(x.kind), d.name.text), d.range, [&] {
                        doc(d.doc);
                        params(x.params);
                        if (!x.results.empty()) {
                            nested("results", {}, [&] {
                                for (const TypeExpr &result : x.results) type(result);
                            });
                        }
                        if (!x.body.empty()) block("body", x.body);
                    });
                },
                [&](const TrainDecl &x) {
                    nested(fmt::format("{} {}", x.kind == TrainDecl::Kind::train ? "train" : "scan", d.name.text), d.range, [&] {
                        doc(d.doc);
                        if (x.data) nested("on", {}, [&] { expr(*x.data); });
                        block("body", x.body);
                    });
                },
                [&](const ImportDecl &x) { line(fmt::format("import {}", quoted(x.path)), d.range); },
                [&](const PrecisionDecl &x) { line(fmt::format("precision {}", x.type.text), d.range); },
            },
            d.node);
    }

    std::string out_;
    int depth_ = 0;
};

}  // namespace

std::string dump(const ast::Module &module) { return Dumper().run(module); }

}  // namespace kiln
