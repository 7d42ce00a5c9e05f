#include "compiler/support/source.h"

#include <gtest/gtest.h>

namespace kiln {
namespace {

TEST(Source, LineAndColumnAreOneBased) {
    SourceMap sources;
    const SourceFile &file = sources.add("a.model", "ab\ncd\n");
    EXPECT_EQ(line_column(file, 0).line, 1);
    EXPECT_EQ(line_column(file, 0).column, 1);
    EXPECT_EQ(line_column(file, 2).line, 1);  // the newline belongs to its line
    EXPECT_EQ(line_column(file, 2).column, 3);
    EXPECT_EQ(line_column(file, 4).line, 2);
    EXPECT_EQ(line_column(file, 4).column, 2);
    EXPECT_EQ(line_column(file, 6).line, 3);
    EXPECT_EQ(line_column(file, 600).line, 3);  // past the end: the end
}

TEST(Source, ColumnsCountCodePoints) {
    SourceMap sources;
    const SourceFile &file = sources.add("a.model", "\xC3\xA9\xE2\x82\xACx");  // é € x
    EXPECT_EQ(line_column(file, 2).column, 2);
    EXPECT_EQ(line_column(file, 5).column, 3);
}

TEST(Source, ColumnsOfALongLineAgreeWithCounting) {
    SourceMap sources;
    std::string text = "short\n";
    for (int i = 0; i < 2000; ++i) text += i % 3 ? "x" : "\xC3\xA9";
    const SourceFile &file = sources.add("a.model", text);
    int column = 1;
    for (size_t i = 6; i < text.size(); ++i) {
        if ((static_cast<unsigned char>(text[i]) & 0xC0) == 0x80) continue;
        ASSERT_EQ(line_column(file, i).column, column) << i;
        ++column;
    }
}

TEST(Source, LineTextDropsTheLineEnding) {
    SourceMap sources;
    const SourceFile &file = sources.add("a.model", "one\r\ntwo\n\nlast");
    EXPECT_EQ(line_text(file, 1), "one");
    EXPECT_EQ(line_text(file, 2), "two");
    EXPECT_EQ(line_text(file, 3), "");
    EXPECT_EQ(line_text(file, 4), "last");
    EXPECT_EQ(line_text(file, 5), "");
    EXPECT_EQ(line_text(file, 0), "");
}

TEST(Source, AddedFilesStayInPlace) {
    SourceMap sources;
    const SourceFile &first = sources.add("first", "1");
    for (int i = 0; i < 1000; ++i) sources.add("more", "2");
    EXPECT_EQ(first.name, "first");
    EXPECT_EQ(first.text, "1");
}

TEST(Source, LocOfARange) {
    SourceMap sources;
    const SourceFile &file = sources.add("a.model", "ab\ncd\n");
    EXPECT_EQ(to_string(to_loc({&file, 4, 5})), "a.model:2:2");
    EXPECT_FALSE(to_loc(SourceRange{}).valid());
}

}  // namespace
}  // namespace kiln
