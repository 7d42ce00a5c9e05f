// csv: what the format admits, and the messages for what it does not.
#include "harness.h"
#include "values.h"

#include "data/dataset.h"
#include "support/failure.h"

#include <gtest/gtest.h>

namespace kiln::runtime::testing {
namespace {

Value names_value(const std::vector<std::string> &names) {
    std::vector<Value> values;
    for (const std::string &name : names) values.push_back(text(name));
    return list(values);
}

struct Row {
    double x = 0;
    float y = 0;
    int32_t label = 0;
};

struct Csv : ::testing::Test {
    TemporaryFolder folder;
    std::vector<Column> columns{{"x", DType::f64, {}, 0}, {"y", DType::f32, {1}, 0}, {"label", DType::i32, {}, 3}};
    std::vector<std::pair<std::string, Value>> arguments;

    Dataset open(const std::string &content) {
        write_text(folder / "table.csv", content);
        return open_file("table.csv");
    }
    Dataset open_file(const std::string &name) {
        Split split{"train", "csv", arguments};
        split.arguments.push_back({"file", path(name)});
        return open_split(folder.path(), split, columns);
    }
    std::string error(const std::string &content) {
        return failure_of(ExitCode::data, [&] { open(content); });
    }
    static Row row(const Dataset &data, int64_t record) {
        Row row;
        uint8_t *targets[] = {reinterpret_cast<uint8_t *>(&row.x), reinterpret_cast<uint8_t *>(&row.y), reinterpret_cast<uint8_t *>(&row.label)};
        data.read(record, targets);
        return row;
    }
};

#define EXPECT_ROW(data, record, x_, y_, label_)                                                \
    do {                                                                                        \
        Row found = row(data, record);                                                          \
        EXPECT_EQ(found.x, x_);                                                                 \
        EXPECT_EQ(found.y, y_);                                                                 \
        EXPECT_EQ(found.label, label_);                                                         \
    } while (false)

TEST_F(Csv, columns_are_found_by_their_names_in_any_order) {
    Dataset data = open("label,other,y,x\n2,words,0.1,0.1\n0,,-1e3,+5\n");
    ASSERT_EQ(data.records, 2);
    EXPECT_ROW(data, 0, 0.1, 0.1f, 2);
    EXPECT_ROW(data, 1, 5.0, -1000.f, 0);
}

TEST_F(Csv, quotes_hold_separators_quotes_and_line_ends) {
    Dataset data = open("\"x\",\"a \"\"name\"\",\nof two lines\",y,label\r\n\"1\",\"a,\r\nb\",2,\"1\"\r\n3,\"\",4,2");
    ASSERT_EQ(data.records, 2);
    EXPECT_ROW(data, 0, 1.0, 2.f, 1);
    EXPECT_ROW(data, 1, 3.0, 4.f, 2);
}

TEST_F(Csv, lines_are_counted_inside_quotes_too) {
    EXPECT_CONTAINS(error("x,t,y,label\n1,\"a\nb\r\nc\",2,1\n\n1,,two,1\n"), "table.csv:6: column `y`: `two` is no number of f32");
}

TEST_F(Csv, line_ends_of_all_systems_and_empty_lines) {
    for (const char *end : {"\n", "\r\n", "\r"}) {
        std::string e = end;
        Dataset data = open("x,y,label" + e + e + "1,2,0" + e + "3,4,1" + e + e);
        ASSERT_EQ(data.records, 2);
        EXPECT_ROW(data, 1, 3.0, 4.f, 1);
    }
}

TEST_F(Csv, tabs_without_header_or_quotes) {
    arguments = {{"separator", text("\t")}, {"quote", text("")}, {"header", flag(false)}, {"columns", names_value({"x", "_", "label", "_", "y"})}};
    Dataset data = open("1\t\"open\t2\t\t-0.5\n");
    ASSERT_EQ(data.records, 1);
    EXPECT_ROW(data, 0, 1.0, -0.5f, 2);
}

TEST_F(Csv, a_list_of_columns_stands_for_the_header) {
    arguments = {{"columns", names_value({"x", "y", "label"})}};
    EXPECT_ROW(open("a,b,c\n1,2,0\n"), 0, 1.0, 2.f, 0);
    EXPECT_CONTAINS(error("a,b\n1,2\n"), "table.csv:1: the header has 2 columns (`a`, `b`), but `columns` names 3 (`x`, `y`, `label`)");
}

TEST_F(Csv, an_input_of_several_elements_takes_numbered_columns) {
    columns = {{"x", DType::f64, {2}, 0}};
    Dataset data = open("x_2,x_1\n1,2\n");
    double x[2] = {};
    uint8_t *targets[] = {reinterpret_cast<uint8_t *>(x)};
    data.read(0, targets);
    EXPECT_EQ(x[0], 2);
    EXPECT_EQ(x[1], 1);
    EXPECT_CONTAINS(error("x_1,x\n1,2\n"), "there is no column `x_2` for the model's input `x`; columns: `x_1`, `x`; inputs need: `x_1`, `x_2`");
}

TEST_F(Csv, messages_name_a_few_of_many_columns) {
    columns = {{"x", DType::f64, {1000}, 0}};
    const std::string message = error("x_1,x\n1,2\n");
    EXPECT_CONTAINS(message, "there is no column `x_2` for the model's input `x`; columns: `x_1`, `x`; inputs need: `x_1`, `x_2`, ");
    EXPECT_CONTAINS(message, "`x_16`, .., `x_999`, `x_1000` (1000)");
    EXPECT_LT(message.size(), 600u);
}

TEST_F(Csv, encodings_of_header_names) {
    columns = {{"x", DType::f64, {}, 0}};
    EXPECT_EQ(open("\xef\xbb\xbfx,\xc3\xa4\n1,2\n").records, 1);
    EXPECT_CONTAINS(error("x,\xe4\n1,2\n"), "table.csv:1: the header cannot be read: a field is not UTF-8");
    EXPECT_CONTAINS(error("x,t\n1,\xed\xa0\x80\n"), "table.csv:2: a field is not UTF-8");
    arguments = {{"encoding", text("iso-8859-1")}};
    EXPECT_EQ(open("x,\xe4\n1,\xff\n").records, 1);
    EXPECT_CONTAINS(error("\xe4\n1\n"), "columns: `\xc3\xa4`");
}

TEST_F(Csv, gz_is_read_like_plain) {
    write_gz(folder / "packed.csv.gz", "x,y,label\n1,2,0\n");
    EXPECT_ROW(open_file("packed.csv"), 0, 1.0, 2.f, 0);
}

TEST_F(Csv, a_missing_column_shows_both_sides) {
    EXPECT_CONTAINS(error("x,Y,label\n1,2,0\n"), "table.csv: there is no column `y` for the model's input `y`; columns: `x`, `Y`, `label`; inputs need: `x`, `y`, `label`");
    EXPECT_CONTAINS(error("x,y,x,label\n1,2,3,0\n"), "two columns are named `x`");
}

TEST_F(Csv, a_listed_column_without_an_input) {
    arguments = {{"header", flag(false)}, {"columns", names_value({"x", "y", "label", "extra"})}};
    EXPECT_CONTAINS(error("1,2,0,4\n"), "`columns` of csv names `extra`, which is no input of the model (`_` skips a column)");
}

TEST_F(Csv, values_that_do_not_fit_are_malformed) {
    const std::string head = "x,y,label\n";
    EXPECT_CONTAINS(error(head + "1,2,3\n"), "table.csv:2: column `label`: `3` is not in 0 to 2 (class[3])");
    EXPECT_CONTAINS(error(head + "1,2,-1\n"), "`-1` is not in 0 to 2");
    EXPECT_CONTAINS(error(head + "1,2,1.5\n"), "`1.5` is no integer");
    EXPECT_CONTAINS(error(head + ",2,1\n"), "column `x`: `` is no number of f64");
    EXPECT_CONTAINS(error(head + "nan,2,1\n"), "`nan` is no number");
    EXPECT_CONTAINS(error(head + "1,1e39,1\n"), "`1e39` is no number of f32");
    EXPECT_CONTAINS(error(head + "1x,2,1\n"), "`1x` is no number");
    EXPECT_CONTAINS(error(head + "1,2\n"), "table.csv:2: 2 fields, but there are 3 columns: `x`, `y`, `label`");
    EXPECT_CONTAINS(error(head + "1,2,0,4\n"), "4 fields, but there are 3 columns");
    EXPECT_CONTAINS(error(head + "\"1\"0,2,0\n"), "text follows a closing quote");
    EXPECT_CONTAINS(error(head + "1\"0,2,0\n"), "a quote stands inside a field that is not quoted");
    columns[2].classes = 0;
    EXPECT_CONTAINS(error(head + "1,2,2147483648\n"), "`2147483648` is not in -2147483648 to 2147483647");
}

TEST_F(Csv, malformed_rows_are_counted_and_refused_above_the_share) {
    std::string content = "x,y,label\n";
    for (int i = 0; i < 10; ++i) content += i % 5 == 1 ? "bad,0,0\n" : std::to_string(i) + ",0,0\n";
    EXPECT_CONTAINS(error(content), "table.csv: 2 of 10 rows are malformed; bad_rows = 0 allows 0:\n");
    EXPECT_CONTAINS(error(content), "table.csv:3: column `x`");
    EXPECT_CONTAINS(error(content), "table.csv:8: column `x`");
    arguments = {{"bad_rows", number(0.1)}};
    EXPECT_CONTAINS(error(content), "bad_rows = 0.1 allows 1:");
    arguments = {{"bad_rows", number(0.2)}};
    Dataset data = open(content);
    ASSERT_EQ(data.records, 8);
    EXPECT_ROW(data, 1, 2.0, 0.f, 0);
    EXPECT_ROW(data, 7, 9.0, 0.f, 0);
}

TEST_F(Csv, many_malformed_rows_are_not_all_listed) {
    std::string content = "x,y,label\n";
    for (int i = 0; i < 100; ++i) content += "bad,0,0\n";
    EXPECT_CONTAINS(error(content), "100 of 100 rows are malformed");
    EXPECT_CONTAINS(error(content), "and 95 more");
}

TEST_F(Csv, truncated_and_empty_files) {
    EXPECT_CONTAINS(error("x,y,label\n1,2,0\n3,\"4"), "table.csv:3: the quote that is opened here does not end: the file is truncated");
    EXPECT_CONTAINS(error("x,y,label\n1,2,0\n3,4"), "table.csv:3: 2 fields, but there are 3 columns");
    EXPECT_CONTAINS(error(""), "table.csv is empty");
    EXPECT_CONTAINS(error("\n\n"), "table.csv is empty: it has no header");
    EXPECT_CONTAINS(error("x,y,label\n"), "table.csv holds no rows after its header");
}

TEST_F(Csv, arguments_that_make_no_sense) {
    arguments = {{"separator", text("::")}};
    EXPECT_CONTAINS(error("x"), "`separator` of csv is `::`; it should be one ASCII character");
    arguments = {{"separator", text("\"")}};
    EXPECT_CONTAINS(error("x"), "`separator` and `quote` of csv are both");
    arguments = {{"encoding", text("utf-16")}};
    EXPECT_CONTAINS(error("x"), "csv has no encoding `utf-16`; it has: utf-8, iso-8859-1");
    arguments = {{"header", flag(false)}};
    EXPECT_CONTAINS(error("x"), "without a header csv needs `columns = [..]`");
    arguments = {{"bad_rows", number(1)}};
    EXPECT_CONTAINS(error("x"), "`bad_rows` of csv is 1; it is a share of the rows: from 0 to below 1");
}

TEST_F(Csv, AListedInputOfSeveralElementsStandsForSeveralFields) {
    columns = {{"x", DType::f64, {}, 0}, {"y", DType::f32, {3}, 0}};
    arguments = {{"header", flag(false)}, {"columns", names_value({"_", "y", "x", ".."})}};
    Dataset data = open("9,1,2,3,4\n9,5,6,7,8,more,and more\n");
    double x = 0;
    float y[3] = {};
    uint8_t *targets[] = {reinterpret_cast<uint8_t *>(&x), reinterpret_cast<uint8_t *>(y)};
    data.read(1, targets);
    EXPECT_EQ(x, 8);
    EXPECT_EQ(y[0], 5);
    EXPECT_EQ(y[2], 7);
    EXPECT_CONTAINS(error("9,1,2,3\n"), "4 fields, but there are at least 5 columns");
}

}  // namespace
}  // namespace kiln::runtime::testing
