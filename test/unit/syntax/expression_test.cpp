#include "fixture.h"

namespace kiln {
namespace {

/// The dump of `x = <text>`, from the value on, as one line with parentheses: "binary + (name a, int 1)".
std::string tree(const std::string &text) {
    Parsed parsed = parse_text("fn f() {\n x = " + text + "\n}\n");
    if (parsed.diagnostics.has_errors()) return parsed.errors();
    std::string shape = shape_of(parsed.module), result;
    // Drop the lines of module, fn, body and bind; what remains is indented by 8 and more.
    int depth = 0;
    bool first = true;
    for (size_t begin = 0; begin < shape.size();) {
        size_t end = shape.find('\n', begin);
        std::string line = shape.substr(begin, end - begin);
        begin = end + 1;
        size_t spaces = line.find_first_not_of(' ');
        if (spaces < 8) continue;
        int level = static_cast<int>(spaces - 8) / 2;
        if (!first && level > depth) result += "(";
        else if (!first) result += std::string(static_cast<size_t>(depth - level), ')') + ", ";
        result += line.substr(spaces);
        depth = level;
        first = false;
    }
    return result + std::string(static_cast<size_t>(depth), ')');
}

TEST(Expression, Literals) {
    EXPECT_EQ(tree("42"), "int 42");
    EXPECT_EQ(tree("1.5"), "float 1.5");
    EXPECT_EQ(tree("1e-3"), "float 0.001");
    EXPECT_EQ(tree("2.5E+2"), "float 250");
    EXPECT_EQ(tree("15deg"), "float 15deg");
    EXPECT_EQ(tree("0.5deg"), "float 0.5deg");
    EXPECT_EQ(tree("true"), "true");
    EXPECT_EQ(tree("false"), "false");
    EXPECT_EQ(tree("\"a \\\"b\\\" \\\\ \\n\""), "string \"a \\\"b\\\" \\\\ \\n\"");
    EXPECT_EQ(tree("\"\xC3\xA9\""), "string \"\xC3\xA9\"");
    EXPECT_EQ(tree("[]"), "list");
    EXPECT_EQ(tree("[1, 2,]"), "list(int 1, int 2)");
    EXPECT_EQ(tree("(1, a)"), "tuple(int 1, name a)");
    EXPECT_EQ(tree("1, a"), "tuple(int 1, name a)");
    EXPECT_EQ(tree("(a)"), "name a");
}

TEST(Expression, PrecedenceFromLooseToTight) {
    EXPECT_EQ(tree("a then b |> c"), "then(name a, pipe(name b, name c))");
    EXPECT_EQ(tree("a |> b or c"), "pipe(name a, binary or(name b, name c))");
    EXPECT_EQ(tree("a or b and c"), "binary or(name a, binary and(name b, name c))");
    EXPECT_EQ(tree("not a and b"), "binary and(unary not(name a), name b)");
    EXPECT_EQ(tree("not a == b"), "unary not(binary ==(name a, name b))");
    EXPECT_EQ(tree("a < b + c"), "binary <(name a, binary +(name b, name c))");
    EXPECT_EQ(tree("a + b * c"), "binary +(name a, binary *(name b, name c))");
    EXPECT_EQ(tree("a * b + c"), "binary +(binary *(name a, name b), name c)");
    EXPECT_EQ(tree("-a * b"), "binary *(unary -(name a), name b)");
    EXPECT_EQ(tree("-a ^ 2"), "unary -(binary ^(name a, int 2))");
    EXPECT_EQ(tree("2 ^ -a"), "binary ^(int 2, unary -(name a))");
    EXPECT_EQ(tree("a @ b div c % d / e"), "binary /(binary %(binary div(binary @(name a, name b), name c), name d), name e)");
}

TEST(Expression, Associativity) {
    EXPECT_EQ(tree("a - b - c"), "binary -(binary -(name a, name b), name c)");
    EXPECT_EQ(tree("a ^ b ^ c"), "binary ^(name a, binary ^(name b, name c))");
    EXPECT_EQ(tree("a |> b |> c"), "pipe(pipe(name a, name b), name c)");
    EXPECT_EQ(tree("a then b then c"), "then(then(name a, name b), name c)");
    EXPECT_EQ(tree("a - - b"), "binary -(name a, unary -(name b))");
    EXPECT_EQ(tree("a -b"), "binary -(name a, name b)");
}

TEST(Expression, EveryComparison) {
    for (std::string op : {"==", "!=", "<", "<=", ">", ">="}) EXPECT_EQ(tree("a " + op + " b"), "binary " + op + "(name a, name b)");
    EXPECT_EQ(tree("a < b <= c"), "E0026 2:12 comparisons do not chain: write `a < b and b <= c`\n");
}

TEST(Expression, CallsFieldsAndIndices) {
    EXPECT_EQ(tree("f()"), "call(name f)");
    EXPECT_EQ(tree("f(a, k = 1,)"), "call(name f, name a, argument k(int 1))");
    EXPECT_EQ(tree("f(a == 1)"), "call(name f, binary ==(name a, int 1))");
    EXPECT_EQ(tree("f(1)(2).g[3]"), "index(field g(call(call(name f, int 1), int 2)), int 3)");
    EXPECT_EQ(tree("x[.., i + 1]"), "index(name x, .., binary +(name i, int 1))");
    EXPECT_EQ(tree("x[1..n, ..2, 3.., 0]"), "index(name x, slice from..to(int 1, name n), slice ..to(int 2), slice from..(int 3), int 0)");
    EXPECT_EQ(tree("f(1, k = 2, 3)"), "E0031 2:18 a positional argument cannot follow a named one\n");
}

TEST(Expression, Conditionals) {
    EXPECT_EQ(tree("if a { 1 } else { 2 }"), "if(name a, int 1, int 2)");
    EXPECT_EQ(tree("if a { 1 } else if b { 2 } else { 3 }"), "if(name a, int 1, if(name b, int 2, int 3))");
    EXPECT_EQ(tree("if a {\n  if b { 1 } else { 2 }\n } else {\n 3\n }"), "if(name a, if(name b, int 1, int 2), int 3)");
    EXPECT_EQ(tree("f(if a { loss } else { data })"), "call(name f, if(name a, name loss, name data))");
}

TEST(Expression, Lambdas) {
    EXPECT_EQ(tree("fn(a, b = 1) = a + b"), "lambda(parameter a, parameter b(default(int 1)), body(return(binary +(name a, name b))))");
    EXPECT_EQ(tree("f(fn(a) = a, 2)"), "call(name f, lambda(parameter a, body(return(name a))), int 2)");
    EXPECT_EQ(tree("fn(a) {\n b = a\n return b\n }"), "lambda(parameter a, body(bind b(name a), return(name b)))");
    EXPECT_EQ(tree("fn() = fn() = 1"), "lambda(body(return(lambda(body(return(int 1))))))");
}

TEST(Expression, ReductionsTakeAProduct) {
    EXPECT_EQ(tree("sum(j) x[j] * k[j] + b"), "binary +(reduce sum(j)(binary *(index(name x, name j), index(name k, name j))), name b)");
    EXPECT_EQ(tree("max(i, j) x[i, j]"), "reduce max(i, j)(index(name x, name i, name j))");
    EXPECT_EQ(tree("sum(j) (a + j)"), "reduce sum(j)(binary +(name a, name j))");
    EXPECT_EQ(tree("sum(i) max(j) x[i, j]"), "reduce sum(i)(reduce max(j)(index(name x, name i, name j)))");
    EXPECT_EQ(tree("sum(j) x[j] where j < n and j > 0"),
              "reduce sum(j)(index(name x, name j), where(binary and(binary <(name j, name n), binary >(name j, int 0))))");
    EXPECT_EQ(tree("sum(j) where(c, j, 0)"), "reduce sum(j)(call(name where, name c, name j, int 0))");
}

TEST(Expression, ReducersAreFunctionsToo) {
    EXPECT_EQ(tree("sum(x)"), "call(name sum, name x)");
    EXPECT_EQ(tree("sum(x) - 1"), "binary -(call(name sum, name x), int 1)");
    EXPECT_EQ(tree("max(x, 0) * 2"), "binary *(call(name max, name x, int 0), int 2)");
    EXPECT_EQ(tree("mean(x) div 2"), "binary div(call(name mean, name x), int 2)");
}

TEST(Expression, OperatorWordsAreNamesWhereNoOperatorFits) {
    EXPECT_EQ(tree("div(a, b)"), "call(name div, name a, name b)");
    EXPECT_EQ(tree("where(c, a, b) + where"), "binary +(call(name where, name c, name a, name b), name where)");
    EXPECT_EQ(tree("f(in = 1, on = 2, then = 3)"), "call(name f, argument in(int 1), argument on(int 2), argument then(int 3))");
}

TEST(Expression, NumbersOutOfRange) {
    EXPECT_EQ(tree("9223372036854775807"), "int 9223372036854775807");
    EXPECT_EQ(tree("9223372036854775808"), "E0014 2:6 the number `9223372036854775808` does not fit in 64 bits\n");
    EXPECT_EQ(tree("1e999"), "E0014 2:6 the number `1e999` does not fit in a double\n");
}

TEST(Expression, WhereNeedsAReduction) {
    EXPECT_EQ(tree("a where b"), "E0027 2:8 `where` can only follow the body of a reduction or an indexed definition\n");
    EXPECT_EQ(tree("f(a where b)"), "E0027 2:10 `where` can only follow the body of a reduction or an indexed definition\n");
}

TEST(Expression, PlacesSpanTheWholeExpression) {
    Parsed parsed = parse_text("fn f() = (a + b) * c(1)\n");
    auto &fn = std::get<ast::DefinitionDecl>(parsed.module.declarations.at(0).node);
    auto &value = *std::get<ast::ReturnStmt>(fn.body.at(0)->node).value;
    auto &product = std::get<ast::BinaryExpr>(value.node);
    auto text = [&](SourceRange range) { return range.file->text.substr(range.begin, range.end - range.begin); };
    EXPECT_EQ(text(value.range), "(a + b) * c(1)");
    EXPECT_EQ(text(product.op_range), "*");
    EXPECT_EQ(text(product.left->range), "(a + b)");
    EXPECT_EQ(text(product.right->range), "c(1)");
    EXPECT_EQ(text(parsed.module.declarations[0].range), "fn f() = (a + b) * c(1)");
}

}  // namespace
}  // namespace kiln
