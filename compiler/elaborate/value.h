// What an expression of the language stands for while a model is elaborated: compile-time values, tensors of the graph under
// construction, and the definitions themselves. Values are small and copied freely; graphs own the nodes they point to.
#pragma once

#include "compiler/elaborate/graph_context.h"
#include "compiler/ir/types.h"
#include "compiler/support/source.h"
#include "compiler/syntax/ast.h"

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace kiln {

struct Scope;
struct Value;

/// The value of a wrong expression: everything computed from it is silently poison too, so one mistake is reported once.
struct Poison {};
struct None { bool operator==(const None &) const = default; };
struct PathValue { std::string text; };                ///< relative to the data folder
struct ListValue { std::shared_ptr<const std::vector<Value>> items; };
struct TupleValue { std::shared_ptr<const std::vector<Value>> items; };
struct TensorValue { NodeId node; GraphContext *context = nullptr; };

/// offset + the sum of coefficients of indices, inside an `op`: what a subscript may be.
struct IndexValue {
    std::map<int, int64_t> coefficients;  ///< by the number of the index; none is 0
    int64_t offset = 0;
};

/// A definition that can be called, with the arguments a partial call bound already. Lambdas carry their scope.
struct FunctionValue {
    const ast::Decl *declaration = nullptr;            ///< null for a lambda
    const ast::Lambda *lambda = nullptr;
    std::shared_ptr<Scope> scope;                      ///< of the definition
    std::shared_ptr<const std::map<std::string, Value>> bound;  ///< by parameter name; may be null
    std::string instance;                              ///< a `shared` layer: the path of its parameters; else ""
    SourceRange place;                                 ///< of the definition

    const std::vector<ast::Param> &params() const;
    std::string name() const;
    std::optional<ast::DefinitionDecl::Kind> kind() const;
};

/// A schedule to be applied to a rate: one definition with its arguments, or two in composition.
struct ScheduleValue {
    enum class Kind { leaf, pipe, then } kind = Kind::leaf;
    FunctionValue leaf;
    std::shared_ptr<const ScheduleValue> first, second;
    SourceRange range;
};

/// A call of a reader: the arguments by parameter name.
struct ReaderCall {
    std::string reader;
    std::string result;           ///< what it promises: "records" of a split, "relabelled" ones, with other inputs than its source has, or the "vocabulary" of an input
    std::shared_ptr<const std::vector<std::pair<std::string, Value>>> arguments;
    bool file_per_input = false;  ///< its optional paths are files of the model's inputs, by name
    std::shared_ptr<const std::vector<std::string>> files;  ///< the names of those given
    std::shared_ptr<const std::vector<std::string>> columns;  ///< of its sources that it reads, whether the model does or not
};

struct Value {
    std::variant<Poison, None, int64_t, double, bool, std::string, DType, PathValue, ListValue, TupleValue, TensorValue, FunctionValue,
                 ScheduleValue, ReaderCall, IndexValue>
        v;
    SourceRange origin;  ///< where it was written; follows a number into the dimensions it sizes

    Value() = default;
    template <typename T> Value(T value, SourceRange range = {}) : v(std::move(value)), origin(range) {}

    template <typename T> const T *get() const { return std::get_if<T>(&v); }
    template <typename T> bool is() const { return std::holds_alternative<T>(v); }
    bool poison() const { return is<Poison>(); }
    bool number() const { return is<int64_t>() || is<double>(); }
    double as_double() const { return is<int64_t>() ? double(*get<int64_t>()) : *get<double>(); }
};

Value make_list(std::vector<Value> items, SourceRange origin = {});
const Type &type_of(const TensorValue &tensor);
/// Rank 0 and f64 or i64: a run-time number such as a hyper, not a tensor of the experiment.
bool is_scalar(const Value &value);
/// Equality of compile-time values; a list of 2 and 2.0 are equal. Tensors and definitions equal nothing.
bool equal(const Value &a, const Value &b);
/// For messages: "an integer", "a tensor f32[64, 10]", "the layer `Dense`".
std::string describe(const Value &value);
/// As written: `3`, `"same"`, `[1, 2]`.
std::string show(const Value &value);

/// What a storage tensor or a run-time scalar that can be assigned is called in the graph.
struct Cell {
    InputKind kind = InputKind::storage;
    std::string name;
    Type type;
};

/// A name in scope.
struct Binding {
    Value value;
    std::optional<Cell> cell;     ///< param, buffer, state, global: read and written through the graph
    bool constant = false;        ///< `const` of a file: may be a dimension by name
    bool assignable = true;       ///< `<-` may rebind it: names bound by `=` in a block
    SourceRange declared;
};

struct Scope {
    /// An argument of type `class[n]` that does not say what n is.
    struct Unsized {
        std::string what, found;
        SourceRange place;
    };
    std::shared_ptr<Scope> parent;
    std::map<std::string, Binding> names;
    std::map<std::string, Unsized> unsized;  ///< by the name of the dimension
};

}  // namespace kiln
