#include "fixture.h"

#include "compiler/support/check.h"

#include <chrono>

namespace kiln {
namespace {

std::string errors(const std::string &text) { return parse_text(text).errors(); }

TEST(SyntaxError, EmptyFiles) {
    const char *message = "E0002 1:1 `test.model` declares nothing: a model file needs at least one declaration, such as `model` and `train`\n";
    EXPECT_EQ(errors(""), message);
    EXPECT_EQ(errors("\n\n  \n"), message);
    EXPECT_EQ(errors("// only a comment"), message);
    EXPECT_EQ(errors("\xEF\xBB\xBF"), message);
}

TEST(SyntaxError, SeveralInOneRun) {
    EXPECT_EQ(errors("fn f(a) {\n    b = a a\n    c = (1 + )\n    return b\n}\nlayer 3() { }\nfn g() = 1 +\n"),
              "E0022 2:11 expected an operator or the end of the statement, found `a`\n"
              "E0022 3:14 expected an expression, found `)`\n"
              "E0022 6:7 expected a name, found `3`\n"
              "E0022 7:13 expected an expression, found the end of the file\n");
}

TEST(SyntaxError, WhatIsFineAroundAnErrorIsKept) {
    Parsed parsed = parse_text("fn f() {\n    a = 1\n    b = * 2\n    return a\n}\nfn g() = 2\n");
    EXPECT_EQ(parsed.errors(), "E0022 3:9 expected an expression, found `*`\n");
    EXPECT_EQ(shape_of(parsed.module),
              "module test.model\n  fn f\n    body\n      bind a\n        int 1\n      return\n        name a\n"
              "  fn g\n    body\n      return\n        int 2\n");
}

TEST(SyntaxError, ReservedWordsAndMisplacedThings) {
    EXPECT_EQ(errors("x = 3\n"), "E0024 1:1 the definition of `x` belongs inside a definition, not at the top level of a file\n");
    EXPECT_EQ(errors("model M() {\n    layer L() { }\n}\n"), "E0023 2:5 `layer` is declared at the top level of a file, not inside a block\n");
    EXPECT_EQ(errors("fn f() {\n    else { }\n}\n"), "E0022 2:5 expected a statement, found the keyword `else`\n");
    EXPECT_EQ(errors("optimizer O() -> f32 { }\n"), "E0030 1:15 `optimizer O` has no result type\n");
    EXPECT_EQ(errors("layer L(x)\n"), "E0029 1:7 `layer L` needs a body: `{ ... }`\n");
    EXPECT_EQ(errors("model M() = 3\n"), "E0030 1:13 `model M` has no short form with `=`: write a block\n");
}

TEST(SyntaxError, AMisspelledDeclarationIsGuessed) {
    Parsed parsed = parse_text("lyaer L() { }\n");
    ASSERT_EQ(parsed.diagnostics.all().size(), 1u) << parsed.errors();
    EXPECT_EQ(parsed.diagnostics.all()[0].notes, std::vector<std::string>{"did you mean `layer`?"});
}

TEST(SyntaxError, AMissingBraceIsFoundWhereTheNextDeclarationBegins) {
    Parsed parsed = parse_text("layer A(x) {\n    if x {\n        y = 1\n\nlayer B(x) {\n    return x\n}\n");
    EXPECT_EQ(parsed.errors(), "E0020 5:1 expected `}` to close `layer A`, found the declaration of `layer B`\n");
    ASSERT_EQ(parsed.diagnostics.all()[0].labels.size(), 1u);
    EXPECT_EQ(parsed.diagnostics.all()[0].labels[0].text, "the block begins here");
    EXPECT_EQ(parsed.diagnostics.all()[0].labels[0].range.begin, 11u);
    EXPECT_EQ(parsed.module.declarations.size(), 2u);
}

TEST(SyntaxError, Brackets) {
    EXPECT_EQ(errors("fn f() {\n"), "E0020 2:1 expected `}` to close `fn f`, found the end of the file\n");
    EXPECT_EQ(errors("fn f() {\n    a = g(1\n    b = * 2\n}\n"),
              "E0022 3:9 expected an expression, found `*`\nE0020 4:1 expected `)` to close the `(`, found `}`\n");
    EXPECT_EQ(errors("fn f() = [1, 2)\n"), "E0020 1:15 expected `]` to close the `[`, found `)`\n");
    EXPECT_EQ(errors("fn f() = 1\n}\n"), "E0021 2:1 this `}` closes nothing\n");
    EXPECT_EQ(errors("fn f() = (1))\n"), "E0021 1:13 this `)` closes nothing\n");
    EXPECT_EQ(errors("fn f() = ((1]\n").substr(0, 5), "E0020");
}

TEST(SyntaxError, CharactersStringsNumbers) {
    EXPECT_EQ(errors("fn f() = 1 $ 2\n"), "E0010 1:12 unexpected character `$`\n");
    EXPECT_EQ(errors("fn f() = 1 \x01\n"), "E0010 1:12 unexpected character 0x01\n");
    EXPECT_EQ(errors("fn f() = a \xC3\x97 b\n"), "E0010 1:12 unexpected character `\xC3\x97`\n");
    EXPECT_EQ(errors("fn f() = g(\"abc)\n"), "E0011 1:12 this string has no closing `\"` on its line\n");
    EXPECT_EQ(errors("fn f() = \"a\\qb\"\n"), "E0012 1:12 unknown escape `\\q` in a string: there are `\\n`, `\\t`, `\\r`, `\\\\` and `\\\"`\n");
    EXPECT_EQ(errors("fn f() = 12px\n"), "E0013 1:10 `12px` is neither a number nor a name: the only unit is `deg`, not `px`\n");
    EXPECT_EQ(errors("fn f() = 1e\n"), "E0013 1:10 `1e` is neither a number nor a name: the exponent has no digits\n");
    EXPECT_EQ(errors("fn f() = 0xFF\n"), "E0013 1:10 `0xFF` is neither a number nor a name: numbers are decimal\n");
}

TEST(SyntaxError, BytesThatAreNoText) {
    EXPECT_EQ(errors(std::string("fn f\0() = 1", 11)), "E0003 1:5 `test.model` is not text: it contains a NUL byte\n");
    EXPECT_EQ(errors("fn f() = \"\xFF\"\n"), "E0004 1:11 this is not valid UTF-8 (byte 0xFF)\n");
    EXPECT_EQ(errors("fn f() = 1 // \xC0\xAF overlong\n"), "E0004 1:15 this is not valid UTF-8 (byte 0xC0)\n");
    EXPECT_EQ(errors("fn f() = 1 // \xED\xA0\x80 surrogate\n"), "E0004 1:15 this is not valid UTF-8 (byte 0xED)\n");
    EXPECT_EQ(errors("fn f() = 1 // \xF0\x9F\x98\x80 \xE2\x82\xAC fine\n"), "");
}

TEST(SyntaxError, TheyEndAfterTwenty) {
    std::string text = "fn f() {\n";
    for (int i = 0; i < 100; ++i) text += "    a = 1 1\n";
    Parsed parsed = parse_text(text + "}\n");
    EXPECT_EQ(parsed.diagnostics.all().size(), 21u);
    EXPECT_EQ(code_text(parsed.diagnostics.all().back().code), "E0007");
}

// --- hostile inputs: a diagnostic or a tree, within seconds, never a crash ---------------------------------------------

std::string repeat(const std::string &text, int count) {
    std::string result;
    for (int i = 0; i < count; ++i) result += text;
    return result;
}

TEST(Hostile, DeepNestingOfEveryKind) {
    constexpr int kDeep = 100'000;
    const std::string inputs[] = {
        "fn f() = " + repeat("(", kDeep),
        "fn f() = " + repeat("(", kDeep) + "1" + repeat(")", kDeep),
        "fn f() = " + repeat("[", kDeep) + repeat("]", kDeep),
        "fn f() = " + repeat("g(", kDeep) + repeat(")", kDeep),
        "fn f() = a" + repeat("(1)", kDeep),
        "fn f() = a" + repeat("[1]", kDeep),
        "fn f() = a" + repeat(".b", kDeep),
        "fn f() = 1" + repeat(" + 1", kDeep),
        "fn f() = 1" + repeat(" ^ 1", kDeep),
        "fn f() = 1" + repeat(" |> g", kDeep),
        "fn f() = 1" + repeat(" then g", kDeep),
        "fn f() = a" + repeat(" where a", kDeep),
        "fn f() = " + repeat("-", kDeep) + "1",
        "fn f() = " + repeat("not ", kDeep) + "a",
        "fn f() = " + repeat("fn() = ", kDeep) + "1",
        "fn f() = " + repeat("sum(i) ", kDeep) + "x",
        "fn f() = " + repeat("if a { ", kDeep),
        "fn f() = if a { 1 }" + repeat(" else if a { 1 }", kDeep) + " else { 1 }",
        "fn f() { if a { }" + repeat(" else if a { }", kDeep) + " }",
        "fn f() " + repeat("{ if a ", kDeep),
        "fn f() " + repeat("{\nphase p ", kDeep),
        "fn f(a: " + repeat("b[", kDeep),
        "fn f() { x " + repeat("= x ", kDeep) + "}",
        repeat("}", kDeep),
        repeat(")", kDeep),
        repeat("model ", kDeep),
        repeat("=", kDeep),
        repeat("\"", kDeep),
        repeat("$", kDeep),
        repeat("\n;", kDeep),
    };
    for (const std::string &input : inputs) {
        auto start = std::chrono::steady_clock::now();
        Parsed parsed = parse_text(input);
        std::string shown = render(parsed.diagnostics, false);
        double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        EXPECT_TRUE(parsed.diagnostics.has_errors()) << input.substr(0, 40);
        EXPECT_LT(shown.size(), 200'000u) << input.substr(0, 40);
        EXPECT_LT(seconds, 5) << input.substr(0, 40);
    }
}

TEST(Hostile, NestingUpToTheLimitIsParsed) {
    std::string fits = "fn f() = " + repeat("(", kMaxNesting - 1) + "1" + repeat(")", kMaxNesting - 1);
    EXPECT_EQ(errors(fits), "");
    std::string deep = "fn f() = " + repeat("(", kMaxNesting + 1) + "1" + repeat(")", kMaxNesting + 1);
    EXPECT_EQ(errors(deep), "E0006 1:210 this is nested more than 200 brackets deep\n");
    EXPECT_EQ(errors("fn f() = 1" + repeat(" + 1", kMaxTreeDepth - 10)), "");
    EXPECT_EQ(errors("fn f() = 1" + repeat(" + 1", kMaxTreeDepth + 1)), "E0006 1:4004 this is nested more than 1000 operators deep\n");
}

TEST(Hostile, OperatorsAndBracketsCountTogether) {
    // Each bracket is small alone; the sum of the operators along the path is not.
    std::string text = "fn f() = " + repeat("(", 150) + "1" + repeat(" + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1)", 150);
    EXPECT_EQ(errors(text).substr(0, 5), "E0006");
}

TEST(Hostile, ALineOfTenMegabytes) {
    const std::string inputs[] = {
        "fn f() = \"" + std::string(10'000'000, 'a') + "\"\n",
        "fn f() = \"" + repeat("\xC3\xA9", 5'000'000) + "\"\n",
        "fn f() = 1 // " + std::string(10'000'000, 'a'),
        "fn f() = " + std::string(10'000'000, '9') + "\n",
        "fn f() = " + std::string(10'000'000, 'a') + "\n",
        "fn f() = [" + repeat("1, ", 3'333'333) + "1]\n",
        "fn f() = [" + repeat("1, ", 400'000) + std::string(9'000'000, ' ') + "1]\n",
        "fn f() = 1" + repeat(" + 1", 2'500'000) + "\n",
        "fn f() = " + std::string(10'000'000, '$') + "\n",
        std::string(10'000'000, ' '),
        std::string(10'000'000, '\xFF'),
    };
    for (const std::string &input : inputs) {
        auto start = std::chrono::steady_clock::now();
        Parsed parsed = parse_text(input);
        std::string shown = render(parsed.diagnostics, false);
        double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        EXPECT_LT(seconds, 30) << input.substr(0, 30);
        RecordProperty("seconds_" + input.substr(0, 14), std::to_string(seconds));
    }
}

TEST(Hostile, AFileThatIsNoProgramAtAll) {
    EXPECT_EQ(errors(std::string((64 << 20) + 1, ' ')), "E0005 1:1 the file has more than 64 MB: split it with `import`\n");
}

/// Cutting a program anywhere, or changing any byte, gives errors or a tree.
TEST(Hostile, EveryPrefixAndEveryChangedByte) {
    const std::string program =
        "/// Doc.\nhyper lr: float = 1e-3\nlayer L(x: f32[.., n], k = 3) -> f32[.., n / 2] {\n    param W: f32[n] = init(a = 1)\n"
        "    state m = 0, v = 0\n    if training { m <- m + 1 } else { return x, y }\n    for i in 0..n { z = x[.., 1..i] }\n"
        "    y[i] = sum(j) x[i, j] * k[j] where j < 3\n    f = fn(a) = a then b |> if c { 1 } else { \"s\\n\" }\n    return f\n}\n"
        "train L on d(0.5) {\n    phase p { epochs = 15deg; mix = 3/4 * a }\n    metric r = -a ^ 2\n}\n";
    ASSERT_EQ(errors(program), "");
    for (size_t i = 0; i <= program.size(); ++i) EXPECT_NO_THROW(render(parse_text(program.substr(0, i)).diagnostics, true)) << i;
    for (size_t i = 0; i < program.size(); ++i) {
        for (char byte : {'(', ')', '{', '}', '[', ']', '"', '\n', '=', ',', ' ', 'x', '\xFF', ';'}) {
            std::string changed = program;
            changed[i] = byte;
            EXPECT_NO_THROW(render(parse_text(changed).diagnostics, false)) << i << byte;
        }
    }
}

}  // namespace
}  // namespace kiln
