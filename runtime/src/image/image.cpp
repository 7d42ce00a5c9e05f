#include "image/image.h"

#include "support/failure.h"

#include <algorithm>
#include <cmath>

namespace kiln::runtime {

Image decode_image(std::string_view bytes, const std::string &name, const Frame *frame) {
    if (bytes.empty()) fail(ExitCode::data, "%s is empty", name.c_str());
    if (bytes.starts_with("\xff\xd8")) return decode_jpeg(bytes, name, frame);
    if (bytes.starts_with("\x89PNG")) return decode_png(bytes, name);
    if (bytes.size() > 1 && bytes[0] == 'P' && std::string_view("2356").find(bytes[1]) != std::string_view::npos)
        return decode_pnm(bytes, name);
    fail(ExitCode::data, "%s is no picture: it begins with neither the bytes of a JPEG nor of a PNG, PGM or PPM", name.c_str());
}

void check_pixels(int64_t height, int64_t width, const std::string &name) {
    if (height < 1 || width < 1)
        fail(ExitCode::data, "%s: %lld x %lld pixels are no picture", name.c_str(), (long long)width, (long long)height);
    if (height > kMostPixels / width)
        fail(ExitCode::data, "%s: %lld x %lld pixels are too many; at most %lld are decoded", name.c_str(), (long long)width,
             (long long)height, (long long)kMostPixels);
}

int exif_orientation(std::string_view tiff) {
    if (tiff.size() < 8 || (!tiff.starts_with("II") && !tiff.starts_with("MM"))) return 1;
    bool little = tiff[0] == 'I';
    auto number = [&](size_t at, size_t bytes) {
        uint32_t value = 0;
        for (size_t i = 0; i < bytes; ++i) value = value << 8 | uint8_t(tiff[at + (little ? bytes - 1 - i : i)]);
        return value;
    };
    size_t folder = number(4, 4);
    if (folder + 2 > tiff.size()) return 1;
    for (size_t i = 0, entries = number(folder, 2); i < entries; ++i) {
        size_t entry = folder + 2 + 12 * i;
        if (entry + 12 > tiff.size()) return 1;
        constexpr uint32_t kOrientation = 0x0112, kShort = 3;
        if (number(entry, 2) != kOrientation || number(entry + 2, 2) != kShort) continue;
        uint32_t value = number(entry + 8, 2);
        return value >= 1 && value <= 8 ? int(value) : 1;
    }
    return 1;
}

Image upright(Image image, int orientation) {
    if (orientation == 1) return image;
    bool transposed = orientation >= 5;
    // In the upright picture, which way do the stored rows and columns run? (EXIF 2.3, tag 0x0112)
    bool down_reversed = orientation == 3 || orientation == 4 || orientation == 7 || orientation == 8;
    bool across_reversed = orientation == 2 || orientation == 3 || orientation == 6 || orientation == 7;
    Image out{transposed ? image.width : image.height, transposed ? image.height : image.width, image.channels, {}};
    out.values.resize(image.values.size());
    auto *to = out.values.data();
    for (int64_t y = 0; y < out.height; ++y)
        for (int64_t x = 0; x < out.width; ++x) {
            int64_t v = down_reversed ? out.height - 1 - y : y, u = across_reversed ? out.width - 1 - x : x;
            const uint8_t *from = &image.values[size_t((transposed ? u * image.width + v : v * image.width + u) * image.channels)];
            to = std::copy_n(from, image.channels, to);
        }
    return out;
}

Image with_channels(Image image, int64_t channels) {
    if (image.channels == channels) return image;
    auto pixels = size_t(image.height * image.width);
    Image out{image.height, image.width, channels, std::vector<uint8_t>(pixels * size_t(channels))};
    for (size_t i = 0; i < pixels; ++i) {
        if (channels == 1) {
            const uint8_t *rgb = &image.values[3 * i];
            // Sixteen bits of fraction, as in libjpeg.
            out.values[i] = uint8_t((19595u * rgb[0] + 38470u * rgb[1] + 7471u * rgb[2] + 32768u) >> 16);
        } else {
            std::fill_n(&out.values[size_t(channels) * i], channels, image.values[i]);
        }
    }
    return out;
}

std::string text_art(const Image &picture, int64_t columns) {
    constexpr std::string_view kRamp = " .:-=+*#%@";
    Image image = with_channels(picture, 1);
    if (2 * image.width > columns) {
        int64_t width = std::max<int64_t>(1, columns / 2);
        image = fit_image(std::move(image), {std::max<int64_t>(1, picture.height * width / picture.width), width, 1, Fit::stretch});
    }
    std::string art;
    for (int64_t y = 0; y < image.height; ++y) {
        std::string line;
        for (int64_t x = 0; x < image.width; ++x)
            line.append(2, kRamp[size_t(std::lround(image.at(y, x, 0) / 255.0 * double(kRamp.size() - 1)))]);
        line.erase(line.find_last_not_of(' ') + 1);
        art += line + "\n";
    }
    return art;
}

}  // namespace kiln::runtime
