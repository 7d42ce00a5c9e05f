// Drawing into pictures: rectangles, lines and capital letters of 5 x 7 pixels.
#pragma once

#include "image/image.h"

#include <string_view>

namespace kiln::runtime {

struct Colour {
    uint8_t red = 0, green = 0, blue = 0;
};

/// A picture of three channels, all of one colour.
Image blank_picture(int64_t height, int64_t width, Colour colour = {255, 255, 255});

/// What lies outside the picture is left out, in all of these.
void set_pixel(Image &image, int64_t y, int64_t x, Colour colour);
void fill_rectangle(Image &image, int64_t y, int64_t x, int64_t height, int64_t width, Colour colour);
void draw_line(Image &image, double y0, double x0, double y1, double x1, Colour colour);

/// y, x: the upper left corner. Small letters are drawn as capitals, unknown characters as a box.
void draw_text(Image &image, int64_t y, int64_t x, std::string_view text, Colour colour, int64_t scale = 1);
int64_t text_width(std::string_view text, int64_t scale = 1);
constexpr int64_t kTextHeight = 7;

}  // namespace kiln::runtime
