// Fitting a picture of any size to the shape of a model's input.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace kiln::runtime {

struct Image;

/// How a picture of another aspect ratio becomes height x width:
/// stretch ignores the ratio, crop cuts a centred part of the right ratio, letterbox keeps all and fills the rest with black.
enum class Fit { stretch, crop, letterbox };

struct Frame {
    int64_t height = 0, width = 0, channels = 1;
    Fit fit = Fit::stretch;
    int64_t bytes() const { return height * width * channels; }
};

/// "stretch", "crop" or "letterbox"; false for another text.
bool parse_fit(const std::string &text, Fit &fit);
const char *name_of(Fit fit);

/// Pixels of the picture for one pixel of the frame, along the axis with fewer of them. Below 1 the picture is enlarged.
double shrinkage(const Frame &frame, int64_t height, int64_t width);

/// Bilinear with antialiasing: a triangle filter as wide as the scale when shrinking, two pixels wide when enlarging; rounded to
/// whole values. A picture that has the frame's size is not touched.
Image fit_image(Image image, const Frame &frame);

}  // namespace kiln::runtime
