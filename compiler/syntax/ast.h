// The syntax tree of a `.model` file: what was written, nothing resolved.
//
// Plain structs in std::variant, owned by unique_ptr. Every node has the range of its text. Comments that document a
// declaration (`///`) are kept in `doc`; the formatter gets other comments from the token stream (print.h).
#pragma once

#include "compiler/support/source.h"

#include <memory>
#include <string>
#include <variant>
#include <vector>

namespace kiln::ast {

struct Expr;
struct Stmt;
using ExprPtr = std::unique_ptr<Expr>;
using StmtPtr = std::unique_ptr<Stmt>;
using Block = std::vector<StmtPtr>;

/// A name with its place.
struct Name {
    std::string text;
    SourceRange range;
};

// ---------------------------------------------------------------------------------------------------------- types

/// One dimension of a tensor type: `..` (any number of them), `..rest` (these as a list, the same wherever the name stands) or an
/// expression (a literal, a variable to bind, h / 2).
struct Dim {
    bool ellipsis = false;
    Name rest;      ///< of `..rest`
    ExprPtr value;  ///< null for `..`
    SourceRange range;
};

/// `f32[.., n]`, `float[c]` (the experiment's float type), `class[10]`, `class[10][28, 28]`, `int`, `string`, `path`, `layer`, `fn`.
struct TypeExpr {
    Name name;
    bool has_dims = false;      ///< `float` (compile-time scalar) versus `float[]` (tensor of rank 0)
    std::vector<Dim> dims;      ///< of `class`: the number of classes
    bool has_elements = false;  ///< `class[10][28, 28]`: a class for each element of a shape
    std::vector<Dim> elements;
    SourceRange range;
};

// ---------------------------------------------------------------------------------------------------- expressions

struct IntLiteral { int64_t value; };
struct FloatLiteral { double value; std::string unit; };  ///< unit: "" or "deg" (an integer with a unit is a FloatLiteral)
struct StringLiteral { std::string value; };              ///< escapes resolved
struct BoolLiteral { bool value; };
struct NameRef { std::string name; };
struct ListExpr { std::vector<ExprPtr> elements; };
struct TupleExpr { std::vector<ExprPtr> elements; };      ///< `(a, b)`, and the value of `return a, b`

struct Argument {
    Name name;  ///< empty text: positional
    ExprPtr value;
};
struct CallExpr { ExprPtr callee; std::vector<Argument> arguments; };
struct FieldExpr { ExprPtr object; Name field; };         ///< validation.accuracy

/// One entry of `x[...]`: an index, a range `a..b` (half open, either end optional), or `..`.
struct Subscript {
    enum class Kind { index, range, ellipsis } kind = Kind::index;
    ExprPtr index;         ///< kind index
    ExprPtr begin, end;    ///< kind range; null: from the start, to the end
    SourceRange range;
};
struct IndexExpr { ExprPtr object; std::vector<Subscript> subscripts; };

enum class UnaryOp { negate, logical_not };
enum class BinaryOp {
    add, subtract, multiply, divide, floor_divide, modulo, power, matmul,
    equal, not_equal, less, less_equal, greater, greater_equal, logical_and, logical_or,
    share,  ///< `3/4 labelled` in a setting `mix`; op_range is empty
};
struct UnaryExpr { UnaryOp op; ExprPtr operand; };
struct BinaryExpr { BinaryOp op; ExprPtr left, right; SourceRange op_range; };
struct PipeExpr { ExprPtr value; ExprPtr call; };         ///< value |> call
struct ThenExpr { ExprPtr first, second; };               ///< schedules: warmup(200) then cosine()
struct IfExpr { ExprPtr condition, then_value, else_value; };  ///< if c { a } else { b }
struct RangeExpr { ExprPtr begin, end; };                 ///< 0..n, half open, in `for`
struct Lambda;                                            ///< fn(x) { ... } or fn(x) = expr
/// Index notation: sum(i, j) body, where the body is a product (`sum(j) a[j] * b[j] + c` is `(sum(j) a[j] * b[j]) + c`).
/// `where` right after the body guards its terms.
struct ReduceExpr { Name reducer; std::vector<Name> indices; ExprPtr body; ExprPtr where; };

struct Param {
    Name name;                       ///< `..`: stands for arguments of any further names, at the end of a reader's
    std::unique_ptr<TypeExpr> type;  ///< null if not written
    ExprPtr default_value;           ///< null if required
    bool is_open() const { return name.text == ".."; }
};
struct Lambda { std::vector<Param> params; Block body; };

struct Expr {
    SourceRange range;
    std::variant<IntLiteral, FloatLiteral, StringLiteral, BoolLiteral, NameRef, ListExpr, TupleExpr, CallExpr, FieldExpr,
                 IndexExpr, UnaryExpr, BinaryExpr, PipeExpr, ThenExpr, IfExpr, RangeExpr, Lambda, ReduceExpr>
        node;
};

// ----------------------------------------------------------------------------------------------------- statements

/// `a = e`, `a, b = e`, `a: T = e`. In a block of settings (train, phase, scan, data) it is a setting.
struct BindStmt { std::vector<Name> names; std::unique_ptr<TypeExpr> type; ExprPtr value; };
/// `name <- e`: writes a param, buffer, state, global or `lr`.
struct UpdateStmt { Name name; ExprPtr value; };
/// `param W: float[a, b] = init`, `buffer mean: float[c] = zeros`, `state m = 0`, `global best = infinity`.
/// `state m = 0, v = 0` becomes two statements.
struct StorageStmt {
    enum class Kind { param, buffer, state, global } kind;
    Name name;
    std::unique_ptr<TypeExpr> type;  ///< null for state and global
    ExprPtr init;
};
struct SharedStmt { Name name; ExprPtr value; };          ///< shared enc = Dense(64)
struct ReturnStmt { ExprPtr value; };                     ///< a TupleExpr for several; `fn(x) = e` has one too
struct IfStmt { ExprPtr condition; Block then_block, else_block; };
struct ForStmt { Name variable; ExprPtr range; Block body; };
struct LossStmt { ExprPtr value; };
struct MetricStmt { Name name; ExprPtr value; };          ///< name empty: taken from the call
struct OutputStmt { Name name; ExprPtr value; };
/// `generate text[.., 1..] = e`: e gives elements of the input `text` from those before them.
struct GenerateStmt { ExprPtr target, value; };
struct ExprStmt { ExprPtr value; };
/// `y[.., i] = a[i] + b[i] where cond`: only in `op`. A `where` right after the body of a reduction belongs to that.
struct IndexStmt { Name name; std::vector<Subscript> subscripts; ExprPtr value; ExprPtr where; };
/// A named block inside a definition: `update(p, g) { }`, `before_step(loss) { }`, `epoch_end { }`, `phase warm { }`.
struct HookStmt { Name kind; Name name; std::vector<Name> params; Block body; };

struct Stmt {
    SourceRange range;
    std::string doc;
    std::variant<BindStmt, UpdateStmt, StorageStmt, SharedStmt, ReturnStmt, IfStmt, ForStmt, LossStmt, MetricStmt,
                 OutputStmt, GenerateStmt, ExprStmt, IndexStmt, HookStmt>
        node;
};

// --------------------------------------------------------------------------------------------------- declarations

/// `hyper lr: float = 1e-3` (a flag of the executable), `const width: int = 32` (overridden by -D).
struct ValueDecl {
    enum class Kind { hyper, constant } kind;
    std::unique_ptr<TypeExpr> type;
    ExprPtr value;
};

/// Everything with parameters and a block. `primitive` has no block: it names an operation of the IR; that of a `reader`
/// of the runtime, if there is one, says what its arguments must be. A body written `= e` is a ReturnStmt.
struct DefinitionDecl {
    enum class Kind { function, layer, op, optimizer, schedule, augment, model, data, reader, primitive } kind;
    std::vector<Param> params;
    std::vector<TypeExpr> results;  ///< after `->`; empty if not written
    Block body;
};

/// `train Digits on digits { ... }` and `scan Driver on sample(0.1) { ... }`; the declared name is the model's.
struct TrainDecl {
    enum class Kind { train, scan } kind;
    ExprPtr data;  ///< the expression after `on`; null if not written
    Block body;
};

/// `import "layers.model"`, relative to the importing file; `precision f64`.
struct ImportDecl { std::string path; };
struct PrecisionDecl { Name type; };

struct Decl {
    SourceRange range;
    Name name;  ///< empty for import and precision
    std::string doc;
    std::variant<ValueDecl, DefinitionDecl, TrainDecl, ImportDecl, PrecisionDecl> node;
};

/// One parsed file.
struct Module {
    const SourceFile *file = nullptr;
    std::string doc;  ///< a `//!` comment at the top
    std::vector<Decl> declarations;
};

}  // namespace kiln::ast
