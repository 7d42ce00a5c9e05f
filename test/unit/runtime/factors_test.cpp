// Principal components, nearest rows, and the pictures of them.
#include "factors/principal_components.h"
#include "factors/scatter.h"
#include "image/image.h"

#include <gtest/gtest.h>

#include <cmath>

namespace kiln::runtime::testing {
namespace {

TEST(PrincipalComponents, OfPointsOnALine) {
    // (1, 2) t + (3, -1): one direction holds all of the variance, and its larger element, the second, is positive.
    Table table{5, 2, {}};
    for (double t : {-2.0, -1.0, 0.0, 1.0, 2.0}) table.values.insert(table.values.end(), {3 + t, -1 + 2 * t});
    const Components found = principal_components(table, 2);
    ASSERT_EQ(found.shares.size(), 2u);
    EXPECT_NEAR(found.shares[0], 1, 1e-12);
    EXPECT_NEAR(found.shares[1], 0, 1e-12);
    for (int64_t row = 0; row < 5; ++row) {
        EXPECT_NEAR(found.scores.row(row)[0], double(row - 2) * std::sqrt(5.0), 1e-12);
        EXPECT_NEAR(found.scores.row(row)[1], 0, 1e-12);
    }
}

TEST(PrincipalComponents, SignsDoNotDependOnThoseOfTheTable) {
    Table table{4, 3, {1, -4, 0.5, 2, 3, 0, -1, 0.25, 2, 0, -2, -3}}, mirrored = table;
    for (double &value : mirrored.values) value = -value;
    const Components one = principal_components(table, 3), other = principal_components(mirrored, 3);
    for (size_t i = 0; i < one.scores.values.size(); ++i) EXPECT_NEAR(one.scores.values[i], -other.scores.values[i], 1e-12);
}

TEST(PrincipalComponents, OfASingleColumnAreItsDistancesFromTheMean) {
    const Components found = principal_components({3, 1, {1, 2, 6}}, 3);
    ASSERT_EQ(found.scores.columns, 1);
    EXPECT_EQ(found.scores.values, (std::vector<double>{-2, -1, 3}));
    EXPECT_EQ(found.shares, std::vector<double>{1});
}

TEST(PrincipalComponents, OfEqualRowsAreZero) {
    const Components found = principal_components({2, 2, {1, 5, 1, 5}}, 2);
    for (double value : found.scores.values) EXPECT_EQ(value, 0);
    EXPECT_EQ(found.shares, (std::vector<double>{0, 0}));
    EXPECT_EQ(principal_components({1, 2, {1, 5}}, 1).scores.values, std::vector<double>{0});
}

TEST(NearestRows, ByCosineTheFirstOfEqualOnes) {
    const Table table{5, 2, {1, 0, 2, 0.1, 0, 0, -1, 0, 3, 0}};
    const std::vector<Neighbour> found = nearest_rows(table, 0, 10);
    ASSERT_EQ(found.size(), 4u);
    EXPECT_EQ(found[0].row, 4);
    EXPECT_NEAR(found[0].similarity, 1, 1e-15);
    EXPECT_EQ(found[1].row, 1);
    EXPECT_EQ(found[2].row, 2);
    EXPECT_EQ(found[2].similarity, 0);
    EXPECT_NEAR(found[3].similarity, -1, 1e-15);
}

TEST(NearestRows, OfSingleNumbersByDifference) {
    const std::vector<Neighbour> found = nearest_rows({4, 1, {0, -3, 2, 2.5}}, 3, 2);
    ASSERT_EQ(found.size(), 2u);
    EXPECT_EQ(found[0].row, 2);
    EXPECT_EQ(found[0].similarity, -0.5);
    EXPECT_EQ(found[1].row, 0);
}

TEST(Scatter, NamesAreEscapedAndDoNotLieOverEachOther) {
    Scatter scatter{"<table>", "a", "b", {0, 0, 1, 5}, {0, 0, 1, 5}, {"first & only", "hidden", "near", "far"}, 4};
    const std::string svg = scatter_svg(scatter);
    EXPECT_NE(svg.find("&lt;table&gt;"), std::string::npos);
    EXPECT_NE(svg.find("<title>hidden</title>"), std::string::npos);
    EXPECT_EQ(svg.find(">hidden</text>"), std::string::npos);
    EXPECT_NE(svg.find(">first &amp; only</text>"), std::string::npos);
    scatter.labels = 0;
    EXPECT_EQ(scatter_svg(scatter).find("far</text>"), std::string::npos);
    const Image image = decode_image(scatter_png(scatter), "scatter");
    EXPECT_EQ(image.width, 1000);
    EXPECT_EQ(image.height, 760);
    // One point only, or all in one place.
    EXPECT_NE(scatter_svg({"", "", "", {2}, {3}, {"x"}, 1}).find("<circle"), std::string::npos);
}

}  // namespace
}  // namespace kiln::runtime::testing
