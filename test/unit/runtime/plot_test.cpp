// Plots as text and as pictures.
#include "image/draw.h"
#include "image/plot.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace kiln::runtime {
namespace {

TEST(TextPlot, ALineFromCornerToCorner) {
    Plot plot{"y = x", "x", false, false, {{"y", {0, 1, 2, 3, 4}, {0, 1, 2, 3, 4}, false}}, {{2, "half"}}};
    EXPECT_EQ(text_plot(plot, 16, 5), "y = x\n"
                                      "         half\n"
                                      "4 |      |     *\n"
                                      "  |      |  *\n"
                                      "  |      *\n"
                                      "  |   *  |\n"
                                      "0 |*     |\n"
                                      "  +-------------\n"
                                      "   0     x     4\n");
}

TEST(TextPlot, NamesThatWouldOverlapStandOnLinesOfTheirOwn) {
    Plot plot{"p", "x", false, false, {{"y", {0, 10}, {0, 1}, false}}, {{0, "one"}, {1, "two"}, {6, "three"}, {10, "long"}}};
    std::string text = text_plot(plot, 24, 2);
    EXPECT_TRUE(text.starts_with("p\n   one         three\n     two            long\n")) << text;
}

TEST(TextPlot, WhatCannotBeDrawnIsLeftOut) {
    double nan = std::nan(""), infinity = std::numeric_limits<double>::infinity();
    Plot empty{"nothing", "x", true, true, {{"y", {0, -1, 1}, {1, 1, nan}, false}}, {{-3, "mark"}}};
    std::string text = text_plot(empty);
    EXPECT_EQ(text.find('*'), std::string::npos) << text;
    Plot one{"one", "x", true, false, {{"y", {10, 100}, {5, infinity}, false}}, {}};
    text = text_plot(one);
    EXPECT_EQ(std::count(text.begin(), text.end(), '*'), 1) << text;
    EXPECT_EQ(draw_plots({empty, one}, 200, 100).height, 200);
}

TEST(Draw, TextAndLines) {
    Image image = blank_picture(9, 14);
    draw_text(image, 1, 1, "i?", {0, 0, 0});
    auto dark = [&](int64_t y, int64_t x) { return image.at(y, x, 0) == 0; };
    EXPECT_TRUE(dark(1, 2) && dark(1, 3) && dark(1, 4) && !dark(1, 1) && dark(7, 3) && !dark(8, 3));
    EXPECT_TRUE(dark(1, 7) && dark(7, 11) && !dark(4, 9));  // a box
    draw_line(image, -5, 13, 20, 13, {255, 0, 0});          // beyond the picture
    for (int64_t y = 0; y < 9; ++y) EXPECT_EQ(image.at(y, 13, 1), 0) << y;
    EXPECT_EQ(text_width("abc", 2), 34);
}

}  // namespace
}  // namespace kiln::runtime
