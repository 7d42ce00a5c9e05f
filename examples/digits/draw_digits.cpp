// draw-digits: draws handwritten-like digits, 28x28, grey on black, so that the example needs no download.
//
// A digit is one of a few skeletons whose points are moved a little, mapped by a random affine map, drawn with a round pen of
// random width, and covered with a little noise. Every picture is a function of (seed, set, index): the training and the
// validation set never share one.
#include "../random.h"
#include "skeletons.h"

#include <CLI/CLI.hpp>
#include <png.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

constexpr int kSide = 28;      // pixels
constexpr double kFrame = 20;  // pixels: the height of the unit square before the random map, as in MNIST

struct Picture {
    int width, height;
    std::vector<uint8_t> grey;  // [height, width]
};

struct Point {
    double x, y;
};

/// Appends a Catmull-Rom curve through points[first..last] to a polyline.
void append_curve(const std::vector<Point> &points, size_t first, size_t last, std::vector<Point> &polyline) {
    constexpr int kPieces = 8;
    for (size_t i = first; i < last; ++i) {
        Point a = points[i == first ? i : i - 1], b = points[i], c = points[i + 1], d = points[std::min(i + 2, last)];
        for (int piece = i == first && polyline.empty() ? 0 : 1; piece <= kPieces; ++piece) {
            double t = double(piece) / kPieces;
            auto at = [t](double p, double q, double r, double s) {
                return .5 * (2 * q + t * (r - p + t * (2 * p - 5 * q + 4 * r - s + t * (3 * q - p - 3 * r + s))));
            };
            polyline.push_back({at(a.x, b.x, c.x, d.x), at(a.y, b.y, c.y, d.y)});
        }
    }
}

double squared_distance_to_segment(Point p, Point a, Point b) {
    double dx = b.x - a.x, dy = b.y - a.y, length2 = dx * dx + dy * dy;
    double t = length2 > 0 ? std::clamp(((p.x - a.x) * dx + (p.y - a.y) * dy) / length2, 0., 1.) : 0;
    double x = p.x - a.x - t * dx, y = p.y - a.y - t * dy;
    return x * x + y * y;
}

Picture draw(int digit, Random random) {
    // The unit square to pixels: scale, shear, rotate about the middle, shift.
    double angle = random.normal(.12), shear = random.normal(.15);
    double scale_x = kFrame * random.uniform(.62, 1), scale_y = kFrame * random.uniform(.8, 1.1);
    double shift_x = random.normal(1), shift_y = random.normal(1);
    auto to_pixels = [&](double x, double y) {
        double u = scale_x * (x - .5), v = scale_y * (y - .5);
        u -= shear * v;
        return Point{kSide / 2. + shift_x + std::cos(angle) * u - std::sin(angle) * v,
                     kSide / 2. + shift_y + std::sin(angle) * u + std::cos(angle) * v};
    };
    const auto &variants = skeletons_of(digit);
    const Skeleton &skeleton = variants[random.below(int(variants.size()))];
    std::vector<std::vector<Point>> polylines;
    for (const Stroke &stroke : skeleton) {
        std::vector<Point> points;
        for (const PenPoint &p : stroke) points.push_back(to_pixels(p.x + random.normal(.03), p.y + random.normal(.03)));
        std::vector<Point> polyline;
        size_t first = 0;
        for (size_t i = 1; i < points.size(); ++i) {
            if (i + 1 < points.size() && !stroke[i].corner) continue;
            append_curve(points, first, i, polyline);
            first = i;
        }
        polylines.push_back(std::move(polyline));
    }

    double radius = random.uniform(.75, 1.7), softness = random.uniform(.5, .9), ink = random.uniform(190, 255);
    double grain = random.uniform(0, 12);
    Picture picture{kSide, kSide, std::vector<uint8_t>(kSide * kSide)};
    for (int y = 0; y < kSide; ++y) {
        for (int x = 0; x < kSide; ++x) {
            Point centre{x + .5, y + .5};
            double nearest = kSide * kSide;
            for (const auto &polyline : polylines)
                for (size_t i = 0; i + 1 < polyline.size(); ++i)
                    nearest = std::min(nearest, squared_distance_to_segment(centre, polyline[i], polyline[i + 1]));
            // The share of the pixel the pen covers, by its distance from the pen's edge.
            double cover = std::clamp((radius - std::sqrt(nearest)) / (2 * softness) + .5, 0., 1.);
            double value = ink * cover + random.normal(grain);
            picture.grey[y * kSide + x] = uint8_t(std::clamp(std::lround(value), 0L, 255L));
        }
    }
    return picture;
}

void write_png(const Picture &picture, const std::string &path) {
    png_image image{};
    image.version = PNG_IMAGE_VERSION;
    image.width = picture.width;
    image.height = picture.height;
    image.format = PNG_FORMAT_GRAY;
    if (!png_image_write_to_file(&image, path.c_str(), 0, picture.grey.data(), 0, nullptr))
        throw std::runtime_error("cannot write " + path + ": " + image.message);
}

/// The header of an IDX file of unsigned bytes: a magic number that counts the dimensions, then the extents, big-endian.
void write_idx_header(std::ofstream &file, std::initializer_list<uint32_t> extents) {
    auto put = [&file](uint32_t value) {
        for (int shift = 24; shift >= 0; shift -= 8) file.put(char(value >> shift));
    };
    put(0x800 + uint32_t(extents.size()));
    for (uint32_t extent : extents) put(extent);
}

/// The digit that comes `index`-th in a set: random, but balanced.
int digit_at(uint64_t seed, uint64_t set, uint64_t index) {
    int digits[10] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
    Random random(seed, set + 100, index / 10);
    for (int i = 9; i > 0; --i) std::swap(digits[i], digits[random.below(i + 1)]);
    return digits[index % 10];
}

void write_set(const std::filesystem::path &folder, const std::string &name, uint64_t seed, uint64_t set, uint32_t count) {
    std::ofstream images(folder / (name + "-images-idx3-ubyte"), std::ios::binary);
    std::ofstream labels(folder / (name + "-labels-idx1-ubyte"), std::ios::binary);
    write_idx_header(images, {count, kSide, kSide});
    write_idx_header(labels, {count});
    for (uint32_t i = 0; i < count; ++i) {
        int digit = digit_at(seed, set, i);
        Picture picture = draw(digit, Random(seed, set, i));
        images.write(reinterpret_cast<const char *>(picture.grey.data()), std::streamsize(picture.grey.size()));
        labels.put(char(digit));
    }
    if (!images.flush() || !labels.flush()) throw std::runtime_error("cannot write the set `" + name + "` in " + folder.string());
}

/// Ten rows, one per digit, of twenty pictures each.
Picture contact_sheet(uint64_t seed) {
    constexpr int kColumns = 20;
    Picture sheet{kColumns * kSide, 10 * kSide, std::vector<uint8_t>(kColumns * 10 * kSide * kSide)};
    for (int digit = 0; digit < 10; ++digit) {
        for (int column = 0; column < kColumns; ++column) {
            Picture picture = draw(digit, Random(seed, 2, digit * kColumns + column));
            for (int y = 0; y < kSide; ++y)
                std::copy_n(&picture.grey[y * kSide], kSide, &sheet.grey[(digit * kSide + y) * sheet.width + column * kSide]);
        }
    }
    return sheet;
}

}  // namespace

int main(int argc, char **argv) {
    CLI::App app{"Draws handwritten-like digits, 28x28."};
    std::string folder, png, sheet;
    uint64_t seed = 1;
    uint32_t train = 12000, validation = 2000;
    int digit = 7;
    app.add_option("folder", folder, "write a training and a validation set here, as IDX files");
    app.add_option("--train", train, "pictures to train on")->capture_default_str();
    app.add_option("--validation", validation, "pictures to validate on")->capture_default_str();
    app.add_option("--seed", seed, "every picture is a function of it")->capture_default_str();
    auto *png_option = app.add_option("--png", png, "write one picture to this file");
    app.add_option("--digit", digit, "which digit --png draws")->check(CLI::Range(0, 9))->needs(png_option)->capture_default_str();
    app.add_option("--sheet", sheet, "write twenty pictures of each digit to this file");
    CLI11_PARSE(app, argc, argv);
    if (folder.empty() && png.empty() && sheet.empty()) {
        std::cerr << app.help();
        return 2;
    }
    try {
        if (!folder.empty()) {
            std::filesystem::create_directories(folder);
            write_set(folder, "train", seed, 0, train);
            write_set(folder, "t10k", seed, 1, validation);
        }
        if (!png.empty()) write_png(draw(digit, Random(seed, 2, digit)), png);
        if (!sheet.empty()) write_png(contact_sheet(seed), sheet);
    } catch (const std::exception &error) {
        std::cerr << "draw-digits: " << error.what() << "\n";
        return 1;
    }
    return 0;
}
