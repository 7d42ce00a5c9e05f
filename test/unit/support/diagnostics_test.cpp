#include "compiler/support/diagnostic_codes.h"

#include "compiler/support/check.h"

#include <gtest/gtest.h>

#include <set>

namespace kiln {
namespace {

TEST(Diagnostics, ReportFillsTheTemplate) {
    Diagnostics diagnostics;
    Diagnostic &d = diagnostics.report(DiagnosticCode::cannot_read_file, SourceRange{}, {"x.model", "no such file"});
    EXPECT_EQ(d.message, "cannot read `x.model`: no such file");
    EXPECT_EQ(code_text(d.code), "E0001");
    EXPECT_TRUE(diagnostics.has_errors());
    EXPECT_EQ(diagnostics.error_count(), 1);
}

TEST(Diagnostics, AMissingArgumentIsABugOfTheCompiler) {
    Diagnostics diagnostics;
    EXPECT_THROW(diagnostics.report(DiagnosticCode::cannot_read_file, SourceRange{}, {"x.model"}), InternalError);
}

TEST(Diagnostics, ALongArgumentIsCutBetweenTwoCharacters) {
    Diagnostics diagnostics;
    std::string name(399, 'y');
    EXPECT_EQ(diagnostics.report(DiagnosticCode::cannot_read_file, SourceRange{}, {name, ""}).message, "cannot read `" + name + "`: ");
    std::string longer = name + "\u00e9" + std::string(1000, 'y');
    EXPECT_EQ(diagnostics.report(DiagnosticCode::cannot_read_file, SourceRange{}, {longer, ""}).message, "cannot read `" + name + "...`: ");
}

TEST(Diagnostics, TheSameWordsAtTheSamePlaceAreSaidOnce) {
    Diagnostics diagnostics;
    for (int use = 0; use < 3; use++)
        diagnostics.report(DiagnosticCode::cannot_read_file, Loc{"x.model", 3, 4}, {"a", "b"}).notes.push_back("in use " + std::to_string(use));
    EXPECT_EQ(diagnostics.error_count(), 1);
    ASSERT_EQ(diagnostics.all().size(), 1u);
    EXPECT_EQ(diagnostics.all()[0].notes, std::vector<std::string>{"in use 0"});
    diagnostics.report(DiagnosticCode::cannot_read_file, Loc{"x.model", 3, 5}, {"a", "b"});
    diagnostics.report(DiagnosticCode::cannot_read_file, Loc{"x.model", 3, 4}, {"a", "c"});
    EXPECT_EQ(diagnostics.error_count(), 3);
}

// The wording rules of diagnostics.def.
TEST(Diagnostics, TemplatesFollowTheWordingRules) {
    std::vector<DiagnosticCode> codes = {
#define DIAGNOSTIC(code, name, severity, text) DiagnosticCode::name,
#include "compiler/support/diagnostics.def"
#undef DIAGNOSTIC
    };
    std::set<std::string> texts;
    for (DiagnosticCode code : codes) {
        std::string text = template_text(code);
        ASSERT_FALSE(text.empty());
        EXPECT_NE(text.back(), '.') << text;
        bool is_word = text.size() > 1 && std::islower(static_cast<unsigned char>(text[1]));
        EXPECT_FALSE(is_word && std::isupper(static_cast<unsigned char>(text[0]))) << text;
        std::string family = code_text(code).substr(0, 3);
        EXPECT_TRUE(texts.insert(family + text).second) << "two codes of one family say the same: " << text;
    }
}

TEST(Diagnostics, FamiliesMatchSeverity) {
#define DIAGNOSTIC(code, name, severity, text)                                                             \
    EXPECT_EQ(Severity::severity == Severity::warning, (code) >= 900) << "warnings are 09xx, errors are not: " #name;
#include "compiler/support/diagnostics.def"
#undef DIAGNOSTIC
}

}  // namespace
}  // namespace kiln
