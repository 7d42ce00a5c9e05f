#include "fixture.h"

#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>

namespace kiln {
namespace {

/// Formats, and checks what must hold for every text: the tree is the same, and formatting again changes nothing.
std::string formatted(const std::string &text) {
    Parsed first = parse_text(text);
    EXPECT_EQ(first.errors(), "") << text;
    std::string result = format(first.module);
    Parsed second = parse_text(result);
    EXPECT_EQ(second.errors(), "") << result;
    EXPECT_EQ(shape_of(first.module), shape_of(second.module)) << result;
    EXPECT_EQ(format(second.module), result);
    return result;
}

TEST(Format, SpacesAndIndentation) {
    EXPECT_EQ(formatted("fn f(x:f32[ b,.. s ]) { return x }"), "fn f(x: f32[b, ..s]) { return x }\n");
    EXPECT_EQ(formatted("layer  L( x:f32[ ..,n ],k=-1 )->f32[..,n/2]{\nparam W:f32[n]=init( a=1 )\nif a{b<-f ( x )[ 1 .. 2 , .. ]\n}else{ return-x^2 }\n\n\n\nreturn x@W\n}"),
              "layer L(x: f32[.., n], k = -1) -> f32[.., n / 2] {\n"
              "    param W: f32[n] = init(a = 1)\n"
              "    if a {\n"
              "        b <- f(x)[1..2, ..]\n"
              "    } else { return -x ^ 2 }\n"
              "\n"
              "    return x @ W\n"
              "}\n");
}

TEST(Format, CommentsStayWhereTheyStand) {
    EXPECT_EQ(formatted("//! file\n\n// before\n/// doc\nfn f() {   // opens\n  // first\n  a = 1 // one\n  bb = 22    // two\n\n  // last\n}\n// end"),
              "//! file\n\n// before\n/// doc\nfn f() {  // opens\n    // first\n    a  = 1   // one\n    bb = 22  // two\n\n    // last\n}\n// end\n");
}

TEST(Format, CommentsInsideAnExpression) {
    EXPECT_EQ(formatted("fn f() {\na = x // start\n// between\n|> g( // open\n1, // one\n// two\n2)\n}\n"),
              "fn f() {\n"
              "    a = x  // start\n"
              "        // between\n"
              "        |> g(   // open\n"
              "            1,  // one\n"
              "            // two\n"
              "            2)\n"
              "}\n");
}

TEST(Format, ContinuationLines) {
    EXPECT_EQ(formatted("model M(x: f32[2],\ny: f32[3]) {\na = x\n|> f(1)\n|> g(fn(b) {\nreturn b\n})\nc = h(1,\n2)\n}\n"),
              "model M(x: f32[2],\n"
              "        y: f32[3]) {\n"
              "    a = x\n"
              "        |> f(1)\n"
              "        |> g(fn(b) {\n"
              "            return b\n"
              "        })\n"
              "    c = h(1,\n"
              "          2)\n"
              "}\n");
}

TEST(Format, NeighbouringDefinitionsAreAligned) {
    EXPECT_EQ(formatted("train M on d {\nbatch = 64\nepochs = 4\n\noptimizer = Adam(lr)\n}\n"),
              "train M on d {\n    batch  = 64\n    epochs = 4\n\n    optimizer = Adam(lr)\n}\n");
    EXPECT_EQ(formatted("layer L() {\nparam gamma: f32[c] = ones\nbuffer mean: f32[c, d] = zeros\nstate a = 1\n}\n"),
              "layer L() {\n    param  gamma: f32[c]    = ones\n    buffer mean:  f32[c, d] = zeros\n    state a = 1\n}\n");
    EXPECT_EQ(formatted("model M() {\nloss a\nmetric b = c\n}\n"), "model M() {\n    loss   a\n    metric b = c\n}\n");
    EXPECT_EQ(formatted("model M() {\nloss a\ngenerate b  [1..]=c\n}\n"), "model M() {\n    loss     a\n    generate b[1..] = c\n}\n");
}

TEST(Format, VeryDifferentLengthsAreNotAligned) {
    EXPECT_EQ(formatted("fn f() {\na = 1\na_name_of_quite_some_length = 2\n}\n"), "fn f() {\n    a = 1\n    a_name_of_quite_some_length = 2\n}\n");
}

TEST(Format, BracesOnTheirOwnLineMoveUp) {
    EXPECT_EQ(formatted("fn f()\n{\nif a\n{\nb = 1\n}\nelse\n{\nb = 2\n}\n}\n"), "fn f() {\n    if a {\n        b = 1\n    } else {\n        b = 2\n    }\n}\n");
    EXPECT_EQ(formatted("fn f() // why\n{\n}\n"), "fn f()  // why\n    {\n}\n");
}

TEST(Format, ReductionsKeepTheSpaceBeforeTheirBody) {
    EXPECT_EQ(formatted("op f(x: f32[n]) {\ny[i]=sum( j )(x[j]-1)*2 where j<i\n}\n"), "op f(x: f32[n]) {\n    y[i] = sum(j) (x[j] - 1) * 2 where j < i\n}\n");
}

TEST(Format, SharesOfAMixStayTogether) {
    EXPECT_EQ(formatted("train M on d {\nmix=3 / 4   a+(1-b)c( d ,x=1/2,once)+1/4*e\nn = 3/4\n}\n"),
              "train M on d {\n    mix = 3/4 a + (1 - b) c(d, x = 1 / 2, once) + 1 / 4 * e\n    n   = 3 / 4\n}\n");
}

TEST(Format, SemicolonsAndLineEndings) {
    EXPECT_EQ(formatted("fn f() { a = 1;b = 2 ; return a }\r\n"), "fn f() { a = 1; b = 2; return a }\n");
    EXPECT_EQ(formatted("fn f() { }"), "fn f() { }\n");
    EXPECT_EQ(formatted("fn f() {}"), "fn f() { }\n");
}

/// Line breaks, comments, missing and repeated words at random places: whatever still parses also formats.
TEST(Format, EveryAcceptedMutation) {
    const std::vector<std::string> words = {
        "model", "M", "(", "x", ":", "f32", "[", "..", ",", "n", "]", ",", "k", "=", "-", "1", ")", "{", "\n", "param", "W", ":", "float", "[", "n", "]",
        "=", "init", "(", "a", "=", "2", ")", ";", "shared", "e", "=", "Dense", "(", "64", ")", "\n", "y", "=", "x", "|>", "f", "(", ")", "|>", "g", "\n",
        "if", "training", "{", "m", "<-", "m", "+", "1", "}", "else", "{", "return", "x", "}", "\n", "z", "[", "i", "]", "=", "sum", "(", "j", ")", "x",
        "[", "i", "+", "j", "]", "where", "j", "<", "n", "\n", "h", "=", "fn", "(", "a", ")", "=", "if", "a", "{", "b", "}", "else", "{", "not", "c", "}", "\n",
        "for", "i", "in", "0", "..", "n", "{", "loss", "-", "x", "}", "\n", "metric", "r", "=", "a", "then", "b", "\n", "update", "(", "p", ")", "{", "}", "\n", "}", "\n"};
    std::mt19937 random(1);
    auto below = [&](size_t n) { return static_cast<size_t>(random() % n); };
    int accepted = 0;
    for (int round = 0; round < 3000; ++round) {
        std::vector<std::string> mutated = words;
        for (size_t i = below(4); i > 0; --i) {
            auto at = mutated.begin() + static_cast<ptrdiff_t>(below(mutated.size()));
            switch (below(4)) {
                case 0: mutated.insert(at, "\n"); break;
                case 1: mutated.insert(at, "// note\n"); break;
                case 2: mutated.erase(at); break;
                case 3: mutated.insert(at, words[below(words.size())]); break;
            }
        }
        std::string text;
        for (const std::string &word : mutated) text += word + (below(4) ? " " : "   ");
        if (parse_text(text).diagnostics.has_errors()) continue;
        ++accepted;
        formatted(text);
    }
    EXPECT_GT(accepted, 500);  // else the test says little
}

TEST(Format, EveryModelFileOfTheProject) {
    namespace fs = std::filesystem;
    int count = 0;
    for (const char *folder : {"stdlib", "examples"}) {
        fs::path root = fs::path(KILN_SOURCE_DIR) / folder;
        if (!fs::exists(root)) continue;
        for (const fs::directory_entry &entry : fs::recursive_directory_iterator(root)) {
            if (entry.path().extension() != ".model") continue;
            std::stringstream text;
            text << std::ifstream(entry.path()).rdbuf();
            SCOPED_TRACE(entry.path().string());
            formatted(text.str());
            ++count;
        }
    }
    RecordProperty("files", count);
}

TEST(Dump, HasPlaces) {
    Parsed parsed = parse_text("hyper lr = 1\n\nfn f(a) = a + lr\n");
    EXPECT_EQ(dump(parsed.module),
              "module test.model\n"
              "  hyper lr  @ 1:1\n"
              "    int 1  @ 1:12\n"
              "  fn f  @ 3:1\n"
              "    parameter a  @ 3:6\n"
              "    body\n"
              "      return  @ 3:11\n"
              "        binary +  @ 3:11\n"
              "          name a  @ 3:11\n"
              "          name lr  @ 3:15\n");
}

}  // namespace
}  // namespace kiln
