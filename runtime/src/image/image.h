// Pictures for `predict`: reading, fitting to the model's input, and showing as text.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace kiln::runtime {

/// Values 0..255, [height, width, channels] row-major, channels 1 (grey) or 3 (red, green, blue).
struct Image {
    int64_t height = 0, width = 0, channels = 1;
    std::vector<float> values;
    float at(int64_t y, int64_t x, int64_t c) const { return values[size_t((y * width + x) * channels + c)]; }
};

/// Reads a PNG, a PGM or PPM, or record `index` of an IDX file of images, told apart by their first bytes. Throws Failure (data).
Image read_image(const std::string &path, int64_t index);

Image read_png(const std::string &path);
/// Netpbm grey and colour pictures, P2, P3, P5 and P6.
Image read_pnm(const std::string &path, const std::string &content);

/// Grey is 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601); grey to colour repeats the value.
Image with_channels(const Image &image, int64_t channels);

/// Bilinear with antialiasing: a triangle filter as wide as the scale when shrinking.
Image resize(const Image &image, int64_t height, int64_t width);

/// 255 - value.
Image inverted(Image image);

/// Brightness as characters, two per pixel since a character is about twice as high as wide; at most `columns` wide.
std::string text_art(const Image &image, int64_t columns);

}  // namespace kiln::runtime
