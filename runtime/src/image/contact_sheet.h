// ContactSheet: many small pictures in rows, as one.
#pragma once

#include "image/image.h"

#include <cstddef>
#include <vector>

namespace kiln::runtime {

/// How values become the brightness of pixels: those from 0 to 255 are shown as they are; others (`greatest` at most 1, or a negative
/// `least`) are stretched over the range.
class Shades {
public:
    Shades(double least, double greatest);
    uint8_t operator()(double value) const;

private:
    double offset_ = 0, scale_ = 1;
};

class ContactSheet {
public:
    ContactSheet(const Frame &frame, size_t rows, size_t columns, double least, double greatest);

    /// Puts a picture, [height, width, channels] of the frame, in its place; places without one stay dark.
    void put(size_t row, size_t column, const std::vector<double> &values);
    const Image &image() const { return image_; }

private:
    Frame frame_;
    Shades shades_;
    Image image_;
};

}  // namespace kiln::runtime
