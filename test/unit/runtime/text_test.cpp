// Texts read as rows of bytes, and shown byte by byte.
#include "harness.h"
#include "values.h"

#include "data/dataset.h"
#include "support/failure.h"
#include "support/terminal.h"

#include <gtest/gtest.h>

namespace kiln::runtime::testing {
namespace {

struct TextFile : ::testing::Test {
    TemporaryFolder folder;
    Column column{"text", DType::i32, {4}, 128};

    Dataset open(const std::string &content, const Arguments &further = {}, std::vector<Column> others = {}) {
        write_text(folder / "a.txt", content);
        split = {"train", "text", {{"file", path("a.txt")}}};
        for (const auto &argument : further) split.arguments.push_back(argument);
        columns = std::move(others);
        columns.insert(columns.begin(), column);
        return open_split(folder.path(), split, columns);
    }
    std::string error(const std::string &content, const Arguments &further = {}, std::vector<Column> others = {}) {
        return failure_of(ExitCode::data, [&] { open(content, further, std::move(others)); });
    }
    std::string record(const Dataset &data, int64_t index) {
        int32_t row[4];
        uint8_t *rows[] = {reinterpret_cast<uint8_t *>(row)};
        data.read(index, rows);
        return {char(row[0]), char(row[1]), char(row[2]), char(row[3])};
    }

    Split split;
    std::vector<Column> columns;
};

TEST_F(TextFile, records_stand_one_behind_the_other) {
    Dataset data = open("Hello, world");
    ASSERT_EQ(data.records, 3);
    EXPECT_EQ(record(data, 0), "Hell");
    EXPECT_EQ(record(data, 2), "orld");
    EXPECT_EQ(open("Hello, worl").records, 2);
    EXPECT_EQ(record_name(data, 2), (folder / "a.txt") + ", byte 8");
}

TEST_F(TextFile, a_stride_lets_them_overlap_or_leaves_some_out) {
    Dataset data = open("Hello, world", {{"stride", number(1)}});
    ASSERT_EQ(data.records, 9);
    EXPECT_EQ(record(data, 8), "orld");
    data = open("Hello, world", {{"stride", number(7)}});
    ASSERT_EQ(data.records, 2);
    EXPECT_EQ(record(data, 1), "worl");
    for (double stride : {0.0, -1.0, 1.5, 1e300}) EXPECT_CONTAINS(error("Hello", {{"stride", number(stride)}}), "`stride` of text is a number of bytes, 1 or more");
}

TEST_F(TextFile, bytes_are_classes) {
    column.classes = 256;
    Dataset data = open("\xc3\xa9t\xff");
    int32_t row[4];
    uint8_t *rows[] = {reinterpret_cast<uint8_t *>(row)};
    data.read(0, rows);
    EXPECT_EQ(row[0], 0xc3);
    EXPECT_EQ(row[3], 0xff);
    column.classes = 128;
    EXPECT_CONTAINS(error("ab\ncd\n\xc3\xa9"), "a.txt:3: byte 6 of the file is 195, but `text` is class[128][4]: 0 to 127; class[128] holds ASCII, class[256] any text");
}

TEST_F(TextFile, too_short_a_file) {
    EXPECT_CONTAINS(error("abc"), "a.txt has 3 bytes, and a record of `text: class[128][4]` takes 4");
    EXPECT_CONTAINS(error(""), "a.txt has 0 bytes");
}

TEST_F(TextFile, feeds_one_row_of_classes) {
    EXPECT_CONTAINS(error("abcdef", {}, {{"label", DType::i32, {}, 2}}),
                    "text feeds one input of classes in a row, such as class[256][64]; the model's are text: class[128][4], label: class[2]");
    column = {"x", DType::f32, {4}, 0};
    EXPECT_CONTAINS(error("abcdef"), "the model's are x: f32[4]");
}

TEST(TerminalText, CharactersWaitForTheirLastByte) {
    TerminalText text;
    EXPECT_EQ(text.take("a\xc3"), "a");
    EXPECT_EQ(text.take("\xa9"), "\xc3\xa9");
    EXPECT_EQ(text.take("\xf0\x9f"), "");
    EXPECT_EQ(text.take("\x94"), "");
    EXPECT_EQ(text.take("\xa5!"), "\xf0\x9f\x94\xa5!");
    EXPECT_EQ(text.rest(), "");
    EXPECT_EQ(text.take("\xe2\x82"), "");
    EXPECT_EQ(text.rest(), "\xef\xbf\xbd");
    EXPECT_EQ(text.rest(), "");
}

TEST(TerminalText, WhatIsNoCharacterIsReplaced) {
    const std::string mark = "\xef\xbf\xbd";
    EXPECT_EQ(TerminalText().take("\n\t ~"), "\n\t ~");
    EXPECT_EQ(TerminalText().take("\x1b[2J\r\x7f"), mark + "[2J" + mark + mark);
    EXPECT_EQ(TerminalText().take("\xc3z"), mark + "z");                // not continued
    EXPECT_EQ(TerminalText().take("\x80\xff\xc0\xaf"), mark + mark + mark + mark);
    EXPECT_EQ(TerminalText().take("\xed\xa0\x80"), mark + mark + mark);  // a surrogate
    EXPECT_EQ(TerminalText().take("\xc2\x9b"), mark + mark);            // a control character of two bytes
    EXPECT_EQ(TerminalText().take("\xf4\x90\x80\x80"), mark + mark + mark + mark);  // beyond U+10FFFF
}

}  // namespace
}  // namespace kiln::runtime::testing
