#include "fixture.h"

namespace kiln {
namespace {

std::string shape(const std::string &text) {
    Parsed parsed = parse_text(text);
    return parsed.diagnostics.has_errors() ? parsed.errors() : shape_of(parsed.module);
}

TEST(Declaration, Values) {
    EXPECT_EQ(shape("hyper lr: float = 1e-3\nconst width = 32\n"),
              "module test.model\n  hyper lr\n    type float\n    float 0.001\n  const width\n    int 32\n");
}

TEST(Declaration, ImportAndPrecision) {
    EXPECT_EQ(shape("import \"layers.model\"\nprecision f64\n"), "module test.model\n  import \"layers.model\"\n  precision f64\n");
}

TEST(Declaration, EveryDefinitionKind) {
    for (std::string kind : {"fn", "layer", "op", "optimizer", "schedule", "augment", "model", "data"}) {
        EXPECT_EQ(shape(kind + " X(a) { }\n"), "module test.model\n  " + kind + " X\n    parameter a\n");
    }
    for (std::string kind : {"primitive", "reader"}) {
        EXPECT_EQ(shape(kind + " x(a)\n"), "module test.model\n  " + kind + " x\n    parameter a\n");
        EXPECT_EQ(shape(kind + " x(a) = 3\n").substr(0, 5), "E0030");
    }
    EXPECT_EQ(shape("primitive x(a) { }\n").substr(0, 5), "E0030");
    // The body of a reader says what its arguments must be.
    EXPECT_EQ(shape("reader x(a) {\n return a\n}\n"), "module test.model\n  reader x\n    parameter a\n    body\n      return\n        name a\n");
}

TEST(Declaration, TypesParametersAndResults) {
    EXPECT_EQ(shape("fn f(x: f32[b, ..rest]) { }").find("        ..rest\n") == std::string::npos, false);
    EXPECT_EQ(shape("layer L(x: f32[.., c], n: int = 3, f: fn = relu) -> f32[.., n / 2], float[] { }"),
              "module test.model\n  layer L\n"
              "    parameter x\n      type f32[]\n        ..\n        name c\n"
              "    parameter n\n      type int\n      default\n        int 3\n"
              "    parameter f\n      type fn\n      default\n        name relu\n"
              "    results\n"
              "      type f32[]\n        ..\n        binary /\n          name n\n          int 2\n"
              "      type float[]\n");
    EXPECT_EQ(shape("fn f() -> (a[], b) { }"), shape("fn f() -> a[], b { }"));
    EXPECT_EQ(shape("fn f(x: class[n][2, ..], y: class[n][]) { }"),
              "module test.model\n  fn f\n"
              "    parameter x\n      type class[]\n        name n\n        elements\n          int 2\n          ..\n"
              "    parameter y\n      type class[]\n        name n\n        elements\n");
    EXPECT_EQ(shape("reader r(a: path, ..: path = none)"),
              "module test.model\n  reader r\n    parameter a\n      type path\n    parameter ..\n      type path\n      default\n        name none\n");
}

TEST(Declaration, ARankZeroTensorIsNoScalar) {
    Parsed parsed = parse_text("fn f(a: float, b: float[]) = a\n");
    auto &fn = std::get<ast::DefinitionDecl>(parsed.module.declarations.at(0).node);
    EXPECT_FALSE(fn.params[0].type->has_dims);
    EXPECT_TRUE(fn.params[1].type->has_dims);
}

TEST(Declaration, TrainAndScan) {
    EXPECT_EQ(shape("train M on digits { batch = 64 }\nscan M on sample(0.1) { metric = validation.accuracy }\ntrain N { }\n"),
              "module test.model\n"
              "  train M\n    on\n      name digits\n    body\n      bind batch\n        int 64\n"
              "  scan M\n    on\n      call\n        name sample\n        float 0.1\n"
              "    body\n      bind metric\n        field accuracy\n          name validation\n"
              "  train N\n    body\n");
}

TEST(Declaration, DocumentationComments) {
    EXPECT_EQ(shape("//! The file.\n//! More.\n\n/// A layer.\n///   indented\n// plain\nlayer L() {\n    /// A weight.\n    param W: f32[] = 0  /// not for the next\n    x = 1\n}\n"),
              "module test.model\n  doc \"The file.\\nMore.\"\n"
              "  layer L\n    doc \"A layer.\\n  indented\"\n    body\n"
              "      param W\n        doc \"A weight.\"\n        type f32[]\n        int 0\n"
              "      bind x\n        int 1\n");
}

// --- statements --------------------------------------------------------------------------------------------------

std::string body(const std::string &text) {
    std::string whole = shape("op f() {\n" + text + "\n}\n"), result;
    if (whole[0] == 'E') return whole;
    for (size_t begin = 0; begin < whole.size();) {
        size_t end = whole.find('\n', begin);
        if (whole.compare(begin, 6, "      ") == 0) result += whole.substr(begin + 6, end - begin - 5);
        begin = end + 1;
    }
    return result;
}

TEST(Statement, Bindings) {
    EXPECT_EQ(body("a = 1"), "bind a\n  int 1\n");
    EXPECT_EQ(body("a: f32[] = 1"), "bind a\n  type f32[]\n  int 1\n");
    EXPECT_EQ(body("a, b = f(x)"), "bind a, b\n  call\n    name f\n    name x\n");
    EXPECT_EQ(body("(a, b) = f"), "bind a, b\n  name f\n");
    EXPECT_EQ(body("lr <- lr / 2"), "update lr\n  binary /\n    name lr\n    int 2\n");
}

TEST(Statement, SharesOfAMix) {
    EXPECT_EQ(body("mix = 3/4 a + b c(d, once = e, hard)"),
              "bind mix\n  binary +\n    binary share\n      binary /\n        int 3\n        int 4\n      name a\n    binary share\n      name b\n      call\n        name c\n        name d\n"
              "        argument once\n          name e\n        name hard\n");
    EXPECT_NE(body("mox = 3/4 a"), body("mox = 3/4"));
}

TEST(Statement, Storage) {
    EXPECT_EQ(body("param W: f32[a, b] = init(1)"), "param W\n  type f32[]\n    name a\n    name b\n  call\n    name init\n    int 1\n");
    EXPECT_EQ(body("buffer m: f32[c] = zeros"), "buffer m\n  type f32[]\n    name c\n  name zeros\n");
    EXPECT_EQ(body("state m = 0, v = 1"), "state m\n  int 0\nstate v\n  int 1\n");
    EXPECT_EQ(body("global best = infinity"), "global best\n  name infinity\n");
    EXPECT_EQ(body("shared enc = Dense(64)"), "shared enc\n  call\n    name Dense\n    int 64\n");
    EXPECT_EQ(body("param W = 1"), "E0029 2:7 `param W` needs a type: `param W: float[...] = ...`\n");
    EXPECT_EQ(body("state m: f32 = 1"), "E0030 2:10 `state m` has no type of its own: it has that of the parameters\n");
}

TEST(Statement, ReturnsAndExpressions) {
    EXPECT_EQ(body("return a"), "return\n  name a\n");
    EXPECT_EQ(body("return a, b"), "return\n  tuple\n    name a\n    name b\n");
    EXPECT_EQ(body("image |> Rotate(15deg)"), "expression\n  pipe\n    name image\n    call\n      name Rotate\n      float 15deg\n");
    EXPECT_EQ(body("return").substr(0, 5), "E0022");
}

TEST(Statement, ConditionsAndLoops) {
    EXPECT_EQ(body("if a { b = 1 } else if c { b = 2 }\nelse { b = 3 }"),
              "if\n  name a\n  then\n    bind b\n      int 1\n  else\n    if\n      name c\n      then\n        bind b\n          int 2\n"
              "      else\n        bind b\n          int 3\n");
    EXPECT_EQ(body("for i in 0..n { x = i }"), "for i\n  range\n    int 0\n    name n\n  body\n    bind x\n      name i\n");
    EXPECT_EQ(body("for i in items { }"), "for i\n  name items\n  body\n");
}

TEST(Statement, LossesMetricsOutputs) {
    EXPECT_EQ(body("loss mse(a)"), "loss\n  call\n    name mse\n    name a\n");
    EXPECT_EQ(body("loss -a"), "loss\n  unary -\n    name a\n");
    EXPECT_EQ(body("loss (a)"), "loss\n  name a\n");
    EXPECT_EQ(body("metric accuracy(a)"), "metric\n  call\n    name accuracy\n    name a\n");
    EXPECT_EQ(body("metric rmse = a"), "metric rmse\n  name a\n");
    EXPECT_EQ(body("output p = a"), "output p\n  name a\n");
    EXPECT_EQ(body("output a"), "output a\n  name a\n");
    EXPECT_EQ(body("output f(a)"), "E0029 2:1 this `output` needs a name: `output name = ...`\n");
}

TEST(Statement, Generate) {
    EXPECT_EQ(body("generate a = f(b)"), "generate\n  name a\n  call\n    name f\n    name b\n");
    EXPECT_EQ(body("generate a[.., 1] = b"), "generate\n  index\n    name a\n    ..\n    int 1\n  name b\n");
    EXPECT_EQ(body("generate(a)"), "expression\n  call\n    name generate\n    name a\n");
    EXPECT_EQ(body("generate a").substr(0, 5), "E0022");
}

TEST(Statement, Hooks) {
    EXPECT_EQ(body("update(p, g) { p <- g }"), "hook update(p, g)\n  body\n    update p\n      name g\n");
    EXPECT_EQ(body("before_step(loss) { }"), "hook before_step(loss)\n  body\n");
    EXPECT_EQ(body("epoch_end { }"), "hook epoch_end()\n  body\n");
    EXPECT_EQ(body("phase warm { epochs = 1 }"), "hook phase warm()\n  body\n    bind epochs\n      int 1\n");
}

TEST(Statement, IndexNotation) {
    EXPECT_EQ(body("y[.., i] = sum(j) x[j] where j < n"),
              "indexed y\n  ..\n  name i\n  reduce sum(j)\n    index\n      name x\n      name j\n    where\n      binary <\n        name j\n        name n\n");
    EXPECT_EQ(body("y[i] = a[i] + 1 where i > 0"),
              "indexed y\n  name i\n  binary +\n    index\n      name a\n      name i\n    int 1\n  where\n    binary >\n      name i\n      int 0\n");
}

TEST(Statement, KeywordsAreNamesWhereAKeywordCannotStand) {
    for (std::string word : {"hyper", "const", "fn", "layer", "op", "optimizer", "schedule", "augment", "model", "data", "reader",
                             "primitive", "train", "scan", "import", "precision", "on", "param", "buffer", "state", "global", "shared",
                             "in", "loss", "metric", "output", "generate", "then", "and", "or", "div", "where"}) {
        EXPECT_EQ(body(word + " = Adam(lr)"), "bind " + word + "\n  call\n    name Adam\n    name lr\n") << word;
        EXPECT_EQ(body("x = " + word + ", 1"), "bind x\n  tuple\n    name " + word + "\n    int 1\n") << word;
        EXPECT_EQ(body(word + " <- 1"), "update " + word + "\n  int 1\n") << word;
    }
    EXPECT_EQ(body("loss.x |> f"), "expression\n  pipe\n    field x\n      name loss\n    name f\n");
    EXPECT_EQ(body("a = data\n[0]").substr(0, 6), "bind a");
}

TEST(Statement, ReservedWordsAreNeverNames) {
    for (std::string word : {"if", "else", "for", "return", "not", "true", "false"}) {
        EXPECT_EQ(shape("hyper " + word + " = 1"), "E0025 1:7 `" + word + "` is a reserved word and cannot be a name\n");
    }
}

TEST(Statement, InvalidTargets) {
    EXPECT_EQ(body("f(a) = 1"), "E0028 2:1 only names can stand before `=`\n");
    EXPECT_EQ(body("a, 1 = f"), "E0028 2:4 only names can stand before `=`\n");
    EXPECT_EQ(body("a[0] <- 1"), "E0028 2:1 only a name can stand before `<-`\n");
    EXPECT_EQ(body("a, b <- 1"), "E0028 2:1 only one name can stand before `<-`\n");
    EXPECT_EQ(body("a: f32"), "E0029 2:4 a name with a type needs a value: `name: type = ...`\n");
}

// --- line ends ---------------------------------------------------------------------------------------------------

TEST(LineEnds, StatementsEndAtLineBreaksAndSemicolons) {
    EXPECT_EQ(body("a = 1\n\n\nb = 2"), body("a = 1; b = 2"));
    EXPECT_EQ(body("a = 1;; b = 2;"), body("a = 1\nb = 2\n"));
    EXPECT_EQ(body("a = f\n(b)"), "bind a\n  name f\nexpression\n  name b\n");
}

TEST(LineEnds, ALineGoesOnAfterAnOperatorOrOpenBracket) {
    for (std::string text : {"a = 1 +\n2", "a =\n1 + 2", "a = 1\n+ 2", "a = (1\n+\n2)", "a = 1 // why\n  // and\n  + 2"}) {
        EXPECT_EQ(body(text), "bind a\n  binary +\n    int 1\n    int 2\n") << text;
    }
    EXPECT_EQ(body("a = x\n  |> f\n  |> g"), body("a = x |> f |> g"));
    EXPECT_EQ(body("a = w\n  then c"), body("a = w then c"));
    EXPECT_EQ(body("a = w\n  and c"), body("a = w and c"));
    for (std::string word : {"then", "and", "or", "div"})
        for (std::string text : {"a = w " + word + "\n  c", "a = w " + word + " // why\n\n  c", "a = (w " + word + "\n  c)"})
            EXPECT_EQ(body(text), body("a = w " + word + " c")) << text;
    EXPECT_EQ(body("a = w\n  .c"), body("a = w.c"));
    EXPECT_EQ(body("a = f(\n1,\n2\n)"), body("a = f(1, 2)"));
    EXPECT_EQ(body("a = 1\nthen = 2"), "bind a\n  int 1\nbind then\n  int 2\n");
}

TEST(LineEnds, BracesMayStandOnTheirOwnLine) {
    EXPECT_EQ(body("if a\n{\nb = 1\n}\nelse\n{\nb = 2\n}"), body("if a { b = 1 } else { b = 2 }"));
}

TEST(LineEnds, AnyLineEnding) {
    EXPECT_EQ(shape("fn f() {\r\n    a = 1\r\n    b = \"x\"\r\n}\r\n"), shape("fn f() {\n    a = 1\n    b = \"x\"\n}\n"));
    EXPECT_EQ(shape("fn f() { return 1 }"), shape("fn f() { return 1 }\n"));
    EXPECT_EQ(shape("\xEF\xBB\xBF" "fn f() = 1"), shape("fn f() = 1"));  // byte order mark
}

}  // namespace
}  // namespace kiln
