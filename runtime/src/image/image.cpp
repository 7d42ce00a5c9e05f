#include "image/image.h"

#include "data/idx.h"
#include "support/failure.h"
#include "support/file.h"
#include "support/text.h"

#include <algorithm>
#include <cmath>

namespace kiln::runtime {
namespace {

Image image_from_idx(const std::string &path, int64_t index) {
    IdxFile file(path);
    std::vector<int64_t> shape = file.record_shape();
    if (shape.size() == 2) shape.push_back(1);
    if (shape.size() != 3 || (shape[2] != 1 && shape[2] != 3))
        fail(ExitCode::data, "%s holds no pictures: a record has shape %s", path.c_str(),
             shape_text(file.record_shape()).c_str());
    if (index >= file.records())
        fail(ExitCode::data, "%s has %lld records; --index %lld counts from 0", path.c_str(), (long long)file.records(),
             (long long)index);
    Image image{shape[0], shape[1], shape[2], std::vector<float>(size_t(element_count(shape)))};
    file.read(index, DType::f32, reinterpret_cast<uint8_t *>(image.values.data()));
    return image;
}

struct Tap {
    int64_t first = 0;
    std::vector<float> weights;
};

// For each output position the weighted input positions it is made of.
std::vector<Tap> taps(int64_t from, int64_t to) {
    double scale = double(from) / double(to), radius = std::max(scale, 1.0);
    std::vector<Tap> out;
    for (int64_t i = 0; i < to; ++i) {
        double centre = (double(i) + 0.5) * scale - 0.5;
        Tap tap;
        tap.first = std::max<int64_t>(0, int64_t(std::ceil(centre - radius)));
        int64_t last = std::min<int64_t>(from - 1, int64_t(std::floor(centre + radius)));
        double sum = 0;
        for (int64_t j = tap.first; j <= last; ++j) sum += std::max(0.0, 1 - std::abs(double(j) - centre) / radius);
        for (int64_t j = tap.first; j <= last; ++j)
            tap.weights.push_back(float(std::max(0.0, 1 - std::abs(double(j) - centre) / radius) / sum));
        out.push_back(std::move(tap));
    }
    return out;
}

}  // namespace

Image read_image(const std::string &path, int64_t index) {
    FileDescriptor file = open_for_reading(path, ExitCode::data);
    uint8_t magic[4] = {};
    read_at(file, path, magic, 4, 0, ExitCode::data);
    if (magic[0] == 0x89 && magic[1] == 'P') return read_png(path);
    if (magic[0] == 'P' && (magic[1] == '2' || magic[1] == '3' || magic[1] == '5' || magic[1] == '6'))
        return read_pnm(path, read_file(path, ExitCode::data));
    if ((magic[0] == 0 && magic[1] == 0) || (magic[0] == 0x1f && magic[1] == 0x8b)) return image_from_idx(path, index);
    fail(ExitCode::data, "%s is neither a PNG, a PGM or PPM, nor an IDX file", path.c_str());
}

Image with_channels(const Image &image, int64_t channels) {
    if (image.channels == channels) return image;
    Image out{image.height, image.width, channels, {}};
    for (size_t i = 0; i < size_t(image.height * image.width); ++i) {
        if (channels == 1) {
            const float *rgb = &image.values[3 * i];
            out.values.push_back(0.299f * rgb[0] + 0.587f * rgb[1] + 0.114f * rgb[2]);
        } else {
            out.values.insert(out.values.end(), size_t(channels), image.values[i]);
        }
    }
    return out;
}

Image resize(const Image &image, int64_t height, int64_t width) {
    if (image.height == height && image.width == width) return image;
    std::vector<Tap> across = taps(image.width, width), down = taps(image.height, height);
    Image narrow{image.height, width, image.channels, {}};
    for (int64_t y = 0; y < image.height; ++y)
        for (const Tap &tap : across)
            for (int64_t c = 0; c < image.channels; ++c) {
                float sum = 0;
                for (size_t k = 0; k < tap.weights.size(); ++k) sum += tap.weights[k] * image.at(y, tap.first + int64_t(k), c);
                narrow.values.push_back(sum);
            }
    Image out{height, width, image.channels, {}};
    for (const Tap &tap : down)
        for (int64_t x = 0; x < width; ++x)
            for (int64_t c = 0; c < image.channels; ++c) {
                float sum = 0;
                for (size_t k = 0; k < tap.weights.size(); ++k) sum += tap.weights[k] * narrow.at(tap.first + int64_t(k), x, c);
                out.values.push_back(sum);
            }
    return out;
}

Image inverted(Image image) {
    for (float &value : image.values) value = 255 - value;
    return image;
}

std::string text_art(const Image &picture, int64_t columns) {
    constexpr std::string_view kRamp = " .:-=+*#%@";
    Image image = with_channels(picture, 1);
    if (2 * image.width > columns) {
        int64_t width = std::max<int64_t>(1, columns / 2);
        image = resize(image, std::max<int64_t>(1, image.height * width / image.width), width);
    }
    std::string art;
    for (int64_t y = 0; y < image.height; ++y) {
        std::string line;
        for (int64_t x = 0; x < image.width; ++x) {
            float level = std::clamp(image.at(y, x, 0) / 255.0f, 0.0f, 1.0f);
            line.append(2, kRamp[size_t(std::lround(level * float(kRamp.size() - 1)))]);
        }
        line.erase(line.find_last_not_of(' ') + 1);
        art += line + "\n";
    }
    return art;
}

}  // namespace kiln::runtime
