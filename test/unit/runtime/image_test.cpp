// Pictures: decoding of every kind, refusing of damaged and hostile files, fitting to a frame.
#include "harness.h"
#include "pictures.h"

#include "support/failure.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <zlib.h>
#include <random>

namespace kiln::runtime::testing {
namespace {

// The message of the failure that decoding ends with; its code must be `data`.
std::string error(const std::string &file, const Frame *frame = nullptr) {
    return failure_of(ExitCode::data, [&] { decode_image(file, "the file", frame); });
}

TEST(Jpeg, colour_grey_progressive) {
    Image image = gradient(37, 50);
    EXPECT_LE(difference(decode_image(jpeg(image), "a"), image), 6);
    EXPECT_LE(difference(decode_image(jpeg(image, {.progressive = true}), "a"), image), 6);
    Image grey = gradient(16, 11, 1);
    EXPECT_LE(difference(decode_image(jpeg(grey), "a"), grey), 6);
    Image one{1, 1, 3, {200, 100, 50}};
    EXPECT_LE(difference(decode_image(jpeg(one), "a"), one), 6);
}

TEST(Jpeg, cmyk_becomes_rgb) {
    Image image = gradient(24, 40);
    EXPECT_LE(difference(decode_image(cmyk_jpeg(image, true), "a"), image), 10);
    EXPECT_LE(difference(decode_image(cmyk_jpeg(image, false), "a"), image), 10);
}

TEST(Jpeg, a_grey_frame_gets_grey) {
    Image image = gradient(16, 24);
    Frame frame{16, 24, 1, Fit::stretch};
    Image grey = decode_image(jpeg(image), "a", &frame);
    EXPECT_LE(difference(grey, with_channels(image, 1)), 6);
}

// (stored row, stored column) of the upright pixel (y, x), from the table of EXIF 2.3: where row 0 and column 0 of the file are.
std::pair<int64_t, int64_t> stored(int orientation, int64_t y, int64_t x, int64_t height, int64_t width) {
    switch (orientation) {
        case 1: return {y, x};                           // top, left
        case 2: return {y, width - 1 - x};               // top, right
        case 3: return {height - 1 - y, width - 1 - x};  // bottom, right
        case 4: return {height - 1 - y, x};              // bottom, left
        case 5: return {x, y};                           // left, top
        case 6: return {width - 1 - x, y};               // right, top
        case 7: return {width - 1 - x, height - 1 - y};  // right, bottom
        case 8: return {x, height - 1 - y};              // left, bottom
    }
    return {};
}

TEST(Exif, every_orientation_ends_upright) {
    Image image = gradient(24, 40);
    for (int orientation = 1; orientation <= 8; ++orientation)
        for (bool big_endian : {false, true}) {
            bool turned = orientation >= 5;
            Image file{turned ? image.width : image.height, turned ? image.height : image.width, 3,
                       std::vector<uint8_t>(image.values.size())};
            for (int64_t y = 0; y < image.height; ++y)
                for (int64_t x = 0; x < image.width; ++x) {
                    auto [row, column] = stored(orientation, y, x, image.height, image.width);
                    for (int64_t c = 0; c < 3; ++c) file.values[size_t((row * file.width + column) * 3 + c)] = image.at(y, x, c);
                }
            Image decoded = decode_image(jpeg(file, {.orientation = orientation, .big_endian = big_endian}), "a");
            EXPECT_LE(difference(decoded, image), 6) << orientation;
        }
    EXPECT_EQ(exif_orientation("II*"), 1);
    EXPECT_EQ(exif_orientation(std::string_view("II*\0\xff\xff\xff\xff\0\0", 10)), 1);
}

TEST(Png, every_kind) {
    std::string rgb{'\x0a', '\x14', '\x1e', '\x28', '\x32', '\x3c'};
    EXPECT_EQ(decode_image(png(1, 2, rgb, {}), "a").values, (std::vector<uint8_t>{10, 20, 30, 40, 50, 60}));
    EXPECT_EQ(decode_image(png(2, 1, "\x0a\x14", {.colour_type = 0}), "a").values, (std::vector<uint8_t>{10, 20}));
    // Opaque, half and not at all visible, on black.
    std::string alpha("\x64\xff\x64\x80\x64\x00", 6);
    EXPECT_EQ(decode_image(png(1, 3, alpha, {.colour_type = 4}), "a").values, (std::vector<uint8_t>{100, 50, 0}));
    EXPECT_EQ(decode_image(png(1, 1, "\x64\xc8\x0a\x80", {.colour_type = 6}), "a").values, (std::vector<uint8_t>{50, 100, 5}));
    // 16 bits to 8, one bit to 8, a palette with a transparent entry.
    EXPECT_EQ(decode_image(png(1, 2, std::string("\xff\xff\x80\x00", 4), {.colour_type = 0, .depth = 16}), "a").values,
              (std::vector<uint8_t>{255, 128}));
    EXPECT_EQ(decode_image(png(1, 8, "\xa5", {.colour_type = 0, .depth = 1}), "a").values,
              (std::vector<uint8_t>{255, 0, 255, 0, 0, 255, 0, 255}));
    PngOptions palette{.colour_type = 3, .palette = "abcdef", .transparency = std::string("\xff\x00", 2)};
    EXPECT_EQ(decode_image(png(1, 2, std::string("\0\1", 2), palette), "a").values,
              (std::vector<uint8_t>{'a', 'b', 'c', 0, 0, 0}));
    Image image = gradient(9, 13);
    std::string values(image.values.begin(), image.values.end());
    EXPECT_EQ(decode_image(png(9, 13, values, {.interlaced = true}), "a").values, image.values);
    EXPECT_EQ(decode_image(encode_png(image), "a").values, image.values);
    Image turned =
        decode_image(png(9, 13, values, {.exif = std::string("MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\6\0\0", 22)}), "a");
    EXPECT_EQ(turned.height, 13);
    EXPECT_EQ(turned.at(0, 8, 0), image.at(0, 0, 0));
}

// A PNG file of 8-bit indices with any chunks before its pixels, as they are.
std::string indexed_png(const std::string &palette, const std::string &rows, const std::string &further = "", int width = 2, int height = 2, const std::string &after = "") {
    auto big_endian = [](uint32_t value) { return std::string{char(value >> 24), char(value >> 16), char(value >> 8), char(value)}; };
    auto chunk = [&](const std::string &type, const std::string &data) {
        const std::string both = type + data;
        return big_endian(uint32_t(data.size())) + both + big_endian(uint32_t(::crc32(0, reinterpret_cast<const Bytef *>(both.data()), uInt(both.size()))));
    };
    std::string packed(::compressBound(rows.size()), '\0');
    uLongf size = packed.size();
    ::compress(reinterpret_cast<Bytef *>(packed.data()), &size, reinterpret_cast<const Bytef *>(rows.data()), rows.size());
    packed.resize(size);
    return "\x89PNG\r\n\x1a\n" + chunk("IHDR", big_endian(uint32_t(width)) + big_endian(uint32_t(height)) + std::string("\x8\3\0\0\0", 5)) +
           (further.empty() ? "" : chunk(further, further == "tEXt" ? std::string("Comment\0all is well", 19) : std::string("a profile\0\0 that is none", 25))) +
           chunk("PLTE", palette) + chunk("IDAT", packed + after) + chunk("IEND", "");
}

TEST(Damaged, colours_beyond_the_palette) {
    const std::string rows("\0\0\1\0\1\0", 6);
    EXPECT_EQ(decode_image(indexed_png("abcdef", rows), "a").values, (std::vector<uint8_t>{'a', 'b', 'c', 'd', 'e', 'f', 'd', 'e', 'f', 'a', 'b', 'c'}));
    EXPECT_EQ(error(indexed_png("abc", rows)), "the file is damaged: a pixel has colour 1 of a palette of 1 (counted from 0)");
    EXPECT_CONTAINS(error(indexed_png("abcdef", std::string("\0\0\xc8\0\1\0", 6))), "a pixel has colour 200 of a palette of 2");
    EXPECT_EQ(error(png(1, 8, "\x55", {.colour_type = 3, .depth = 1, .palette = "abc"})), "the file is damaged: a pixel has colour 1 of a palette of 1 (counted from 0)");
}

TEST(Damaged, more_rows_than_the_picture_has) {
    EXPECT_EQ(error(indexed_png("abcdef", std::string("\0\0\1\0\1\0\0\0\0", 9))), "the file is damaged: IDAT: Too much image data");
    EXPECT_CONTAINS(error(indexed_png("abcdef", std::string("\0\0\1\0\1\0", 6), "", 2, 2, "more")), "the file is damaged: IDAT: ");
    const std::string rows("\0\0\1\0\1\0", 6);
    for (const char *chunk : {"tEXt", "iCCP"}) EXPECT_EQ(decode_image(indexed_png("abcdef", rows, chunk), "a").values.size(), 12u) << "a warning that is not about pixels";
}

TEST(Damaged, every_truncation_is_named) {
    for (const std::string &file :
         {jpeg(gradient(20, 30)), jpeg(gradient(20, 30), {.progressive = true}), encode_png(gradient(20, 30)),
          std::string("P5 3 2 255\nabcdef"), std::string("P3 2 1 9 1 2 3 4 5 6")})
        for (size_t keep = 0; keep < file.size(); ++keep) EXPECT_CONTAINS(error(file.substr(0, keep)), "the file");
}

TEST(Damaged, any_byte_changed_is_refused_or_decoded) {
    std::mt19937 random(5);
    for (const std::string &file : {jpeg(gradient(40, 40)), jpeg(gradient(40, 40), {.progressive = true, .orientation = 6}),
                                    cmyk_jpeg(gradient(16, 16), true), encode_png(gradient(20, 30))})
        for (int i = 0; i < 2000; ++i) {
            std::string bad = file;
            for (unsigned changes = 1 + random() % 3; changes > 0; --changes) bad[random() % bad.size()] = char(random());
            error(bad);
        }
}

TEST(Damaged, what_is_no_picture) {
    EXPECT_EQ(error(""), "the file is empty");
    EXPECT_CONTAINS(error("some text, whatever the name says"), "the file is no picture");
    EXPECT_CONTAINS(error("P5 3 2 103\nabcdef\xff"), "no error");
    EXPECT_CONTAINS(error("P2 1 1 100 101"), "above its greatest");
}

// A file whose header promises a lot is refused before memory is taken: the largest resident size hardly grows.
TEST(Damaged, lying_headers_take_no_memory) {
    std::string small = jpeg(gradient(8, 8, 1)), large = small;
    size_t frame = large.find("\xff\xc0");
    ASSERT_NE(frame, std::string::npos);
    auto resident = [] {
        rusage usage{};
        getrusage(RUSAGE_SELF, &usage);
        return usage.ru_maxrss;
    };
    auto with_size = [&](uint8_t high) {
        for (size_t at : {frame + 5, frame + 7}) large[at] = char(high), large[at + 1] = '\xff';
        return large;
    };
    long before = resident();
    EXPECT_CONTAINS(error(with_size(0x27)), "10239 x 10239 pixels cannot be in");
    EXPECT_CONTAINS(error(with_size(0xf0)), "61695 x 61695 pixels are too many");
    std::string picture = encode_png(gradient(4, 4));
    auto png_of = [&](uint8_t high) {
        std::string header = picture.substr(12, 17);
        header[5] = header[9] = 0;
        header[6] = header[10] = char(high);
        uint32_t crc = 0xffffffff;
        for (char c : header) {
            crc ^= uint8_t(c);
            for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
        }
        std::string out = picture;
        out.replace(12, 17, header);
        for (int i = 0; i < 4; ++i) out[size_t(29 + i)] = char(~crc >> (24 - 8 * i));
        return out;
    };
    EXPECT_CONTAINS(error(png_of(0x27)), "pixels cannot be in");
    EXPECT_CONTAINS(error(png_of(0xff)), "pixels are too many");
    EXPECT_CONTAINS(error("P5 10000 10000 255\nabc"), "cannot be in");
    EXPECT_CONTAINS(error("P5 1000000000 1000000000 255\nabc"), "too many");
    EXPECT_LT(resident() - before, 20 << 10);
}

TEST(FitImage, keeps_means_and_sizes) {
    Image image{8, 8, 1, std::vector<uint8_t>(64, 40)};
    EXPECT_EQ(fit_image(image, {3, 5, 1}).values, std::vector<uint8_t>(15, 40));
    // Fine stripes shrink to their mean: without antialiasing they would stay black or white.
    for (size_t i = 0; i < 64; ++i) image.values[i] = i % 2 ? 255 : 0;
    for (uint8_t value : fit_image(image, {2, 2, 1}).values) EXPECT_NEAR(value, 127.5, 20);
    Image two{1, 2, 1, {0, 100}};
    EXPECT_EQ(fit_image(two, {1, 4, 1}).values,
              (std::vector<uint8_t>{0, 25, 75, 100}));  // sample positions -0.25, 0.25, 0.75, 1.25
    Image noise{3, 3, 1, {9, 1, 200, 7, 5, 3, 255, 0, 4}};
    EXPECT_EQ(fit_image(noise, {3, 3, 1, Fit::crop}).values, noise.values);
}

TEST(FitImage, crop_and_letterbox_keep_the_aspect_ratio) {
    Image wide{2, 6, 1, {}};
    for (int y = 0; y < 2; ++y)
        for (uint8_t value : {10, 10, 80, 90, 200, 200}) wide.values.push_back(value);
    EXPECT_EQ(fit_image(wide, {2, 2, 1, Fit::crop}).values, (std::vector<uint8_t>{80, 90, 80, 90}));
    EXPECT_EQ(fit_image(wide, {6, 6, 1, Fit::letterbox}).values, [] {
        std::vector<uint8_t> values;
        for (int y = 0; y < 6; ++y)
            for (uint8_t value : {10, 10, 80, 90, 200, 200}) values.push_back(y == 2 || y == 3 ? value : 0);
        return values;
    }());
    Image tall = upright(wide, 6);
    EXPECT_EQ(fit_image(tall, {2, 2, 1, Fit::crop}).values, (std::vector<uint8_t>{80, 80, 90, 90}));
    // A sliver still has one pixel.
    EXPECT_EQ(fit_image(Image{1, 1000, 1, std::vector<uint8_t>(1000, 7)}, {4, 4, 1, Fit::letterbox}).values,
              (std::vector<uint8_t>{0, 0, 0, 0, 7, 7, 7, 7, 0, 0, 0, 0, 0, 0, 0, 0}));
}

// Decoding a large JPEG at a part of its size changes the fitted picture hardly.
TEST(FitImage, large_jpegs_are_decoded_smaller) {
    std::mt19937 random(3);
    Image image = gradient(512, 640);
    for (uint8_t &value : image.values) value = uint8_t(value + random() % 16);
    std::string file = jpeg(image);
    Frame frame{32, 40, 3, Fit::stretch};
    Image whole = decode_image(file, "a"), part = decode_image(file, "a", &frame);
    EXPECT_EQ(part.height, 64);
    EXPECT_LE(difference(fit_image(part, frame), fit_image(whole, frame)), 3);
    Frame near{300, 400, 3, Fit::stretch};
    EXPECT_EQ(decode_image(file, "a", &near).height, 512);
    EXPECT_EQ(decode_image(jpeg(image, {.orientation = 6}), "a", &frame).height, 160);  // 640x512 upright
}

TEST(Pictures, channels_and_text) {
    Image colour{1, 1, 3, {255, 0, 0}};
    EXPECT_EQ(with_channels(colour, 1).values[0], 76);  // 0.299 * 255
    EXPECT_EQ(with_channels(Image{1, 1, 1, {9}}, 3).values, (std::vector<uint8_t>{9, 9, 9}));
    EXPECT_EQ(text_art({1, 3, 1, {255, 0, 255}}, 80), "@@  @@\n");
}

}  // namespace
}  // namespace kiln::runtime::testing
