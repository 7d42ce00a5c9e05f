#include "compiler/support/diagnostic_codes.h"

#include <gtest/gtest.h>

namespace kiln {
namespace {

constexpr DiagnosticCode kCode = DiagnosticCode::cannot_read_file;

SourceRange range_of(const SourceFile &file, std::string_view what) {
    uint32_t begin = file.text.find(what);
    return {&file, begin, static_cast<uint32_t>(begin + what.size())};
}

TEST(Render, NothingIsEmpty) { EXPECT_EQ(render(Diagnostics(), false), ""); }

TEST(Render, ShowsTheLineWithCarets) {
    SourceMap sources;
    const SourceFile &file = sources.add("a.model", "first\n  x = bad + 1\n");
    Diagnostics diagnostics;
    diagnostics.report(kCode, range_of(file, "bad"), {"a", "b"});
    EXPECT_EQ(render(diagnostics, false),
              "a.model:2:7: error[E0001]: cannot read `a`: b\n"
              "   2 |   x = bad + 1\n"
              "     |       ^^^\n");
}

TEST(Render, LabelsOfOneFileShareTheSnippet) {
    SourceMap sources;
    const SourceFile &file = sources.add("a.model", "let one\n\n\nuse two\n");
    Diagnostics diagnostics;
    Diagnostic &d = diagnostics.report(kCode, range_of(file, "two"), {"a", "b"});
    d.labels.push_back({range_of(file, "one"), "declared here"});
    d.labels.push_back({range_of(file, "two"), "used here"});
    d.labels.push_back({range_of(file, "one"), "declared here"});  // said once
    d.notes.push_back("did you mean `one`?");
    EXPECT_EQ(render(diagnostics, false),
              "a.model:4:5: error[E0001]: cannot read `a`: b\n"
              "   1 | let one\n"
              "     |     --- declared here\n"
              " ...\n"
              "   4 | use two\n"
              "     |     ^^^ used here\n"
              "note: did you mean `one`?\n");
}

TEST(Render, ALabelInAnotherFileNamesIt) {
    SourceMap sources;
    const SourceFile &file = sources.add("a.model", "use two\n");
    const SourceFile &other = sources.add("b.model", "\nlet one\n");
    Diagnostics diagnostics;
    diagnostics.report(kCode, range_of(file, "two"), {"a", "b"}).labels.push_back({range_of(other, "one"), "declared here"});
    EXPECT_EQ(render(diagnostics, false),
              "a.model:1:5: error[E0001]: cannot read `a`: b\n"
              "   1 | use two\n"
              "     |     ^^^\n"
              " --> b.model:2\n"
              "   2 | let one\n"
              "     |     --- declared here\n");
}

TEST(Render, WithoutSourceTextOnlyTheHeader) {
    Diagnostics diagnostics;
    diagnostics.report(kCode, Loc{"graph.txt", 7, 3}, {"a", "b"});
    EXPECT_EQ(render(diagnostics, false), "graph.txt:7:3: error[E0001]: cannot read `a`: b\n");
    Diagnostics nowhere;
    nowhere.report(kCode, SourceRange{}, {"a", "b"});
    EXPECT_EQ(render(nowhere, false), "error[E0001]: cannot read `a`: b\n");
}

TEST(Render, AnEmptyFileHasNoSnippet) {
    SourceMap sources;
    const SourceFile &file = sources.add("a.model", "");
    Diagnostics diagnostics;
    diagnostics.report(kCode, {&file, 0, 0}, {"a", "b"});
    EXPECT_EQ(render(diagnostics, false), "a.model:1:1: error[E0001]: cannot read `a`: b\n");
}

TEST(Render, ARangeOverSeveralLinesIsUnderlinedToTheEndOfItsFirst) {
    SourceMap sources;
    const SourceFile &file = sources.add("a.model", "f(1,\n  2)\n");
    Diagnostics diagnostics;
    diagnostics.report(kCode, range_of(file, "(1,\n  2)"), {"a", "b"});
    EXPECT_EQ(render(diagnostics, false),
              "a.model:1:2: error[E0001]: cannot read `a`: b\n"
              "   1 | f(1,\n"
              "     |  ^^^\n");
}

TEST(Render, ControlCharactersAndBrokenUtf8NeverReachTheTerminal) {
    SourceMap sources;
    const SourceFile &file = sources.add("a.model", "\x1b[31m\xFF\tx");
    Diagnostics diagnostics;
    diagnostics.report(kCode, range_of(file, "x"), {"a", "b"});
    EXPECT_EQ(render(diagnostics, false),
              "a.model:1:8: error[E0001]: cannot read `a`: b\n"
              "   1 | \xEF\xBF\xBD[31m\xEF\xBF\xBD x\n"
              "     |        ^\n");
}

TEST(Render, WideCharactersKeepTheCaretInPlace) {
    SourceMap sources;
    const SourceFile &file = sources.add("a.model", "\"\xE6\x97\xA5\" x");  // a CJK character is two columns wide
    Diagnostics diagnostics;
    diagnostics.report(kCode, range_of(file, "x"), {"a", "b"});
    std::string text = render(diagnostics, false);
    EXPECT_NE(text.find("\n     |      ^\n"), std::string::npos) << text;
}

TEST(Render, ALongLineIsCutAroundTheCaret) {
    SourceMap sources;
    const SourceFile &file = sources.add("a.model", std::string(10'000'000, 'a') + "BAD" + std::string(1000, 'b'));
    Diagnostics diagnostics;
    diagnostics.report(kCode, range_of(file, "BAD"), {"a", "b"});
    std::string text = render(diagnostics, false);
    EXPECT_LT(text.size(), 1000u);
    EXPECT_NE(text.find("aaaBADbbb"), std::string::npos) << text;
    size_t line = text.find("BAD"), caret = text.find("^^^");
    EXPECT_EQ(line - text.rfind('\n', line), caret - text.rfind('\n', caret)) << text;
}

TEST(Render, ColourOnlyOnRequest) {
    SourceMap sources;
    const SourceFile &file = sources.add("a.model", "x");
    Diagnostics diagnostics;
    diagnostics.report(kCode, {&file, 0, 1}, {"a", "b"});
    EXPECT_EQ(render(diagnostics, false).find('\x1b'), std::string::npos);
    EXPECT_NE(render(diagnostics, true).find("\x1b[1;31m"), std::string::npos);
}

TEST(Render, ManyDiagnosticsAreCounted) {
    Diagnostics diagnostics;
    for (int i = 0; i < 1000; ++i) diagnostics.report(kCode, SourceRange{}, {"a", std::to_string(i)});
    std::string text = render(diagnostics, false);
    EXPECT_NE(text.find("... and 900 more diagnostics\n"), std::string::npos);
}

}  // namespace
}  // namespace kiln
