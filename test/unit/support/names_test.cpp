#include "kiln/names.h"

#include <gtest/gtest.h>

namespace kiln {
namespace {

TEST(NearestName, FindsMisspellings) {
    std::vector<std::string> names = {"relu", "elu", "gelu", "Dense", "activation", "learning_rate"};
    EXPECT_EQ(nearest_name("rleu", names), "relu");  // swapped
    EXPECT_EQ(nearest_name("Dens", names), "Dense");
    EXPECT_EQ(nearest_name("activaton", names), "activation");
    EXPECT_EQ(nearest_name("lerning_rte", names), "learning_rate");
    EXPECT_EQ(nearest_name("DENSE", names), "Dense");
}

TEST(NearestName, SaysNothingWhenNothingIsNear) {
    EXPECT_EQ(nearest_name("momentum", {"relu", "Dense"}), "");
    EXPECT_EQ(nearest_name("x", {"y", "z"}), "");
    EXPECT_EQ(nearest_name("ab", {"xy"}), "");
    EXPECT_EQ(nearest_name("", {"a"}), "");
    EXPECT_EQ(nearest_name("relu", {}), "");
}

TEST(NearestName, AnAbbreviationIsNear) {
    EXPECT_EQ(nearest_name("abs", {"tanh", "absolute_value", "absolute"}), "absolute");
    EXPECT_EQ(nearest_name("BatchNormalization", {"Dense", "BatchNorm"}), "BatchNorm");
    EXPECT_EQ(nearest_name("ab", {"absolute"}), "");
    EXPECT_EQ(nearest_name("learning", {"ear"}), "");
}

TEST(NearestName, ACaseDifferenceIsEnoughForOneLetter) { EXPECT_EQ(nearest_name("w", {"b", "W"}), "W"); }

TEST(NearestName, TheFirstOfEquallyNearWins) { EXPECT_EQ(nearest_name("cat", {"bat", "hat"}), "bat"); }

TEST(PathMatches, AStarIsAnyCharacters) {
    for (const char *pattern : {"conv_1/W", "*", "conv*", "*W", "c*_*/*", "conv_1/W*", "**W"}) EXPECT_TRUE(path_matches(pattern, "conv_1/W")) << pattern;
    for (const char *pattern : {"", "conv", "W", "conv_1/W/*", "*conv_2*", "Conv*"}) EXPECT_FALSE(path_matches(pattern, "conv_1/W")) << pattern;
    EXPECT_TRUE(path_matches("", ""));
    EXPECT_FALSE(path_matches("a*a*a*a*a*a*a*a*a*a*a*a*b", std::string(2000, 'a'))) << "in no time";
}

}  // namespace
}  // namespace kiln
