#include "image/fit.h"

#include "image/image.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace kiln::runtime {
namespace {

/// A part of an axis of the picture, in pixels, that becomes `to` pixels.
struct Span {
    double begin = 0, length = 0;
    int64_t from = 0;  ///< the axis has so many
    int64_t to = 0;
};

struct Tap {
    int64_t first = 0;
    std::vector<float> weights;
};

// For each output position the weighted input positions it is made of.
std::vector<Tap> taps(const Span &span) {
    double scale = span.length / double(span.to), radius = std::max(scale, 1.0);
    std::vector<Tap> out;
    for (int64_t i = 0; i < span.to; ++i) {
        double centre = span.begin + (double(i) + 0.5) * scale - 0.5;
        Tap tap;
        tap.first = std::clamp<int64_t>(int64_t(std::ceil(centre - radius)), 0, span.from - 1);
        int64_t last = std::clamp<int64_t>(int64_t(std::floor(centre + radius)), tap.first, span.from - 1);
        auto weight = [&](int64_t j) { return std::max(0.0, 1 - std::abs(double(j) - centre) / radius); };
        double sum = 0;
        for (int64_t j = tap.first; j <= last; ++j) sum += weight(j);
        for (int64_t j = tap.first; j <= last; ++j) tap.weights.push_back(float(weight(j) / sum));
        out.push_back(std::move(tap));
    }
    return out;
}

// sums += weight * row. The compiler makes vectors of this and of the next: see the build's options for this file.
void accumulate(float weight, const uint8_t *row, int64_t count, float *sums) {
    for (int64_t i = 0; i < count; ++i) sums[i] += weight * float(row[i]);
}

/// Four floats. A pixel of three channels is computed with one lane too many, which is not stored.
using Lanes = float __attribute__((vector_size(16)));

template <int Channels>
void resample_row(const float *row, const std::vector<Tap> &across, int64_t first, uint8_t *to) {
    for (const Tap &tap : across) {
        Lanes sums = {0.5f, 0.5f, 0.5f, 0.5f};  // rounds to the nearest
        const float *from = row + (tap.first - first) * Channels;
        for (float weight : tap.weights) {
            Lanes pixel;
            std::memcpy(&pixel, from, sizeof pixel);
            sums += weight * pixel;
            from += Channels;
        }
        for (int c = 0; c < Channels; ++c) *to++ = uint8_t(std::clamp(sums[c], 0.0f, 255.0f));
    }
}

// Down first, which shortens a picture in whole rows, then across. Only the columns that some output looks at are read.
Image resample(const Image &image, const Span &vertical, const Span &horizontal) {
    std::vector<Tap> down = taps(vertical), across = taps(horizontal);
    int64_t first = across.front().first, last = across.back().first + int64_t(across.back().weights.size());
    int64_t channels = image.channels, count = (last - first) * channels;
    std::vector<float> row(size_t(count) + 4);  // the last pixel is read as four floats
    Image out{vertical.to, horizontal.to, channels, std::vector<uint8_t>(size_t(vertical.to * horizontal.to * channels))};
    for (int64_t y = 0; y < vertical.to; ++y) {
        const Tap &tap = down[size_t(y)];
        std::fill(row.begin(), row.end(), 0.0f);
        for (size_t k = 0; k < tap.weights.size(); ++k)
            accumulate(tap.weights[k], &image.values[size_t(((tap.first + int64_t(k)) * image.width + first) * channels)], count,
                       row.data());
        uint8_t *to = &out.values[size_t(y * horizontal.to * channels)];
        channels == 1 ? resample_row<1>(row.data(), across, first, to) : resample_row<3>(row.data(), across, first, to);
    }
    return out;
}

Image letterbox(const Image &image, const Frame &frame) {
    double scale = std::max(double(image.height) / double(frame.height), double(image.width) / double(frame.width));
    auto inner = [scale](int64_t from, int64_t most) { return std::clamp<int64_t>(std::llround(double(from) / scale), 1, most); };
    int64_t height = inner(image.height, frame.height), width = inner(image.width, frame.width);
    Image picture =
        resample(image, {0, double(image.height), image.height, height}, {0, double(image.width), image.width, width});
    Image out{frame.height, frame.width, image.channels, std::vector<uint8_t>(size_t(frame.bytes()))};
    int64_t top = (frame.height - height) / 2, left = (frame.width - width) / 2, row = width * image.channels;
    for (int64_t y = 0; y < height; ++y)
        std::copy_n(picture.values.data() + y * row, row, out.values.data() + ((top + y) * frame.width + left) * image.channels);
    return out;
}

}  // namespace

bool parse_fit(const std::string &text, Fit &fit) {
    for (Fit each : {Fit::stretch, Fit::crop, Fit::letterbox})
        if (text == name_of(each)) {
            fit = each;
            return true;
        }
    return false;
}

const char *name_of(Fit fit) {
    switch (fit) {
        case Fit::stretch: return "stretch";
        case Fit::crop: return "crop";
        case Fit::letterbox: return "letterbox";
    }
    return "";
}

double shrinkage(const Frame &frame, int64_t height, int64_t width) {
    double down = double(height) / double(frame.height), across = double(width) / double(frame.width);
    return frame.fit == Fit::letterbox ? std::max(down, across) : std::min(down, across);
}

Image fit_image(Image image, const Frame &frame) {
    image = with_channels(std::move(image), frame.channels);
    if (image.height == frame.height && image.width == frame.width) return image;
    Span vertical{0, double(image.height), image.height, frame.height};
    Span horizontal{0, double(image.width), image.width, frame.width};
    switch (frame.fit) {
        case Fit::stretch: break;
        case Fit::crop: {
            double scale = shrinkage(frame, image.height, image.width);
            vertical.length = scale * double(frame.height);
            vertical.begin = (double(image.height) - vertical.length) / 2;
            horizontal.length = scale * double(frame.width);
            horizontal.begin = (double(image.width) - horizontal.length) / 2;
            break;
        }
        case Fit::letterbox: return letterbox(image, frame);
    }
    return resample(image, vertical, horizontal);
}

}  // namespace kiln::runtime
