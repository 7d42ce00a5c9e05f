// Pictures: decoding files, fitting them to a model's input, and showing or writing them. All picture input of an executable goes through
// decode_image and fit_image, so that `predict` sees a file as training saw it.
#pragma once

#include "image/fit.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kiln::runtime {

/// Values 0 to 255, [height, width, channels] row-major, channels 1 (grey) or 3 (red, green, blue).
struct Image {
    int64_t height = 0, width = 0, channels = 1;
    std::vector<uint8_t> values;
    uint8_t at(int64_t y, int64_t x, int64_t c) const { return values[size_t((y * width + x) * channels + c)]; }
};

/// Pictures of more pixels are refused: decoded, one of this size takes 384 MiB.
constexpr int64_t kMostPixels = int64_t(1) << 27;

/// Decodes the bytes of a JPEG, PNG, PGM or PPM file, told apart by their first bytes, upright (EXIF orientation is applied).
/// Transparent pixels are laid on black; CMYK becomes RGB; 16 bits become 8. What is damaged in any way, or promises more pixels than
/// its bytes can hold or than kMostPixels, is a Failure (data) that begins with `name`, before memory is taken for it.
/// With `frame`, a JPEG much larger than the frame is decoded at 1/2, 1/4 or 1/8 of its size, at least twice what the frame needs.
Image decode_image(std::string_view bytes, const std::string &name, const Frame *frame = nullptr);

Image decode_jpeg(std::string_view bytes, const std::string &name, const Frame *frame);
Image decode_png(std::string_view bytes, const std::string &name);
/// Netpbm grey and colour pictures, P2, P3, P5 and P6.
Image decode_pnm(std::string_view bytes, const std::string &name);

/// Throws unless height x width pixels are a picture (one pixel at least) that may be decoded.
void check_pixels(int64_t height, int64_t width, const std::string &name);

/// The orientation, 1 to 8, that an EXIF block (from its TIFF header on) states; 1 if it states none or is damaged.
int exif_orientation(std::string_view tiff);
/// Turns and mirrors a picture stored with this EXIF orientation upright.
Image upright(Image image, int orientation);

/// Grey is 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601); grey to colour repeats the value.
Image with_channels(Image image, int64_t channels);

/// The PNG file of a picture.
std::string encode_png(const Image &image);

/// Brightness as characters, two per pixel since a character is about twice as high as wide; at most `columns` wide.
std::string text_art(const Image &image, int64_t columns);

}  // namespace kiln::runtime
