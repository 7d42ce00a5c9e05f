// What a report says of a split, and its page.
#include "harness.h"

#include "report/measure.h"
#include "report/page.h"

#include <gtest/gtest.h>
#include <cmath>
#include <nlohmann/json.hpp>

namespace kiln::runtime::testing {
namespace {

Metadata metadata(std::vector<Column> columns, std::vector<int64_t> output_shape) {
    Metadata m;
    m.batch = 8;
    m.columns = std::move(columns);
    m.outputs.push_back({"output", DType::f32, std::move(output_shape), 0, 0});
    return m;
}

Column label(int64_t classes) { return {"label", DType::i32, {}, classes}; }
Column image() {
    Column column{"image", DType::f32, {4, 4, 1}, 0};
    column.predicts = true;
    return column;
}

TEST(Report, compares_the_output_with_the_input_that_it_fits) {
    Task task = task_of(metadata({image(), label(3)}, {8, 3}));
    EXPECT_EQ(task.comparison, Comparison::classes);
    EXPECT_EQ(task.target, 1u);
    EXPECT_EQ(task_of(metadata({image(), label(2)}, {8})).comparison, Comparison::classes);
    EXPECT_EQ(task_of(metadata({image(), label(2)}, {8, 1})).comparison, Comparison::classes);
    EXPECT_EQ(task_of(metadata({image(), {"rating", DType::f32, {1}, 0}}, {8, 1})).comparison, Comparison::values);
    EXPECT_EQ(task_of(metadata({image(), {"rating", DType::f64, {}, 0}}, {8})).comparison, Comparison::values);

    EXPECT_EQ(task_of(metadata({image(), label(4)}, {8, 3})).comparison, Comparison::none);              // another number of classes
    EXPECT_EQ(task_of(metadata({image(), label(3), label(3)}, {8, 3})).comparison, Comparison::none);    // which of them?
    EXPECT_EQ(task_of(metadata({image(), {"mask", DType::f32, {4, 4}, 0}}, {8, 4, 4})).comparison, Comparison::none);
    EXPECT_EQ(task_of(metadata({image(), label(3)}, {3})).output, nullptr);                              // not a row a sample
    EXPECT_EQ(task_of(metadata({image()}, {8, 3})).comparison, Comparison::none);
}

TEST(Report, precision_recall_and_f1_of_each_class) {
    Measured measured;
    for (auto [target, value] : {std::pair{0, 0}, {0, 0}, {0, 1}, {1, 0}, {1, 1}, {2, 1}}) {
        measured.records.emplace_back();
        measured.records.back().target = target;
        measured.records.back().value = value;
    }
    std::vector<ClassRow> rows = class_rows(measured, 4);
    EXPECT_DOUBLE_EQ(*rows[0].precision(), 2.0 / 3);
    EXPECT_DOUBLE_EQ(*rows[0].recall(), 2.0 / 3);
    EXPECT_DOUBLE_EQ(*rows[1].precision(), 1.0 / 3);
    EXPECT_DOUBLE_EQ(*rows[1].recall(), 0.5);
    EXPECT_DOUBLE_EQ(*rows[1].f1(), 0.4);
    EXPECT_FALSE(rows[2].precision());  // nothing was taken for it
    EXPECT_DOUBLE_EQ(*rows[2].recall(), 0);
    EXPECT_DOUBLE_EQ(*rows[2].f1(), 0);
    EXPECT_FALSE(rows[3].recall());
    EXPECT_FALSE(rows[3].f1());
}

TEST(Report, quantiles_lie_between_values) {
    const std::vector<double> sorted{1, 2, 4, 8};
    EXPECT_DOUBLE_EQ(quantile(sorted, 0), 1);
    EXPECT_DOUBLE_EQ(quantile(sorted, 0.5), 3);
    EXPECT_DOUBLE_EQ(quantile(sorted, 1), 8);
    EXPECT_DOUBLE_EQ(quantile({5}, 0.3), 5);
    EXPECT_TRUE(std::isnan(quantile({}, 0.5)));
}

TEST(Report, a_file_as_an_address_is_base64) {
    EXPECT_EQ(data_address("text/plain", ""), "data:text/plain;base64,");
    EXPECT_EQ(data_address("text/plain", "f"), "data:text/plain;base64,Zg==");
    EXPECT_EQ(data_address("text/plain", "fo"), "data:text/plain;base64,Zm8=");
    EXPECT_EQ(data_address("text/plain", "foo\xff"), "data:text/plain;base64,Zm9v/w==");
}

TEST(Report, no_text_ends_the_script_that_holds_it) {
    const std::string page = report_page(R"({"doc":"</script><b>@SCRIPT@"})");
    EXPECT_EQ(page.find("</script><b>"), std::string::npos);
    EXPECT_NE(page.find(R"({"doc":"\u003c/script>\u003cb>@SCRIPT@"})"), std::string::npos);
    EXPECT_NE(page.find("Chart.js v"), std::string::npos);
    EXPECT_NE(page.find("JSON.parse"), std::string::npos);
}

// The fake program tells no values of samples: its report has no list by loss, and everything else.
TEST(Report, a_run_without_epochs_has_a_report_too) {
    TemporaryFolder folder;
    write_data(folder.path());
    ASSERT_EQ(run({"train", "--data", folder.path(), "--run", folder / "run", "--quiet", "--epochs", "0"}).code, 0);
    Outcome outcome = run({"report", "--run", folder / "run", "-o", folder / "report.html"});
    ASSERT_EQ(outcome.code, 0) << outcome.error;
    const std::string page = read_text(folder / "report.html"), mark = "id=\"data\">";
    const size_t begin = page.find(mark) + mark.size();
    auto json = nlohmann::json::parse(page.substr(begin, page.find("</script>", begin) - begin));
    EXPECT_EQ(json["records"], 27);
    EXPECT_TRUE(json["curves"]["rows"].empty());
    EXPECT_EQ(json["classes"]["names"].size(), 3u);
    EXPECT_EQ(json["worst"].size(), 1u);
    EXPECT_EQ(run({"report", "--run", folder / "nowhere", "-o", folder / "none.html"}).code, 4);
}

}  // namespace
}  // namespace kiln::runtime::testing
