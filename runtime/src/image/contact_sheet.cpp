#include "image/contact_sheet.h"

#include <algorithm>
#include <cmath>

namespace kiln::runtime {
namespace {

constexpr int64_t kGap = 2;
constexpr uint8_t kBackground = 32;

}  // namespace

Shades::Shades(double least, double greatest) {
    if (least >= 0 && greatest > 1 && greatest <= 255) return;
    offset_ = least;
    scale_ = greatest > least ? 255 / (greatest - least) : 0;
}

uint8_t Shades::operator()(double value) const { return uint8_t(std::lround(std::clamp((value - offset_) * scale_, 0.0, 255.0))); }

ContactSheet::ContactSheet(const Frame &frame, size_t rows, size_t columns, double least, double greatest) : frame_(frame), shades_(least, greatest) {
    image_.height = int64_t(rows) * (frame.height + kGap) + kGap;
    image_.width = int64_t(columns) * (frame.width + kGap) + kGap;
    image_.channels = frame.channels;
    image_.values.assign(size_t(image_.height * image_.width * image_.channels), kBackground);
}

void ContactSheet::put(size_t row, size_t column, const std::vector<double> &values) {
    int64_t top = kGap + int64_t(row) * (frame_.height + kGap), left = kGap + int64_t(column) * (frame_.width + kGap);
    for (int64_t y = 0; y < frame_.height; ++y)
        for (int64_t i = 0; i < frame_.width * frame_.channels; ++i)
            image_.values[size_t(((top + y) * image_.width + left) * frame_.channels + i)] = shades_(values[size_t(y * frame_.width * frame_.channels + i)]);
}

}  // namespace kiln::runtime
