#include "pictures.h"

#include <png.h>
#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include <jpeglib.h>

namespace kiln::runtime::testing {
namespace {

std::string exif(int orientation, bool big_endian) {
    auto number = [&](uint32_t value, int bytes) {
        std::string out;
        for (int i = 0; i < bytes; ++i) out += char(value >> 8 * (big_endian ? bytes - 1 - i : i));
        return out;
    };
    std::string tiff = (big_endian ? "MM" : "II") + number(42, 2) + number(8, 4);
    tiff += number(2, 2);                                                                    // entries
    tiff += number(0x0100, 2) + number(3, 2) + number(1, 4) + number(77, 2) + number(0, 2);  // a width, not looked at
    tiff += number(0x0112, 2) + number(3, 2) + number(1, 4) + number(uint32_t(orientation), 2) + number(0, 2);
    return std::string("Exif\0\0", 6) + tiff + number(0, 4);
}

template <typename SetUp>
std::string compress(int64_t height, int64_t width, int channels, const std::vector<uint8_t> &values, J_COLOR_SPACE space,
                     SetUp set_up) {
    jpeg_compress_struct info;
    jpeg_error_mgr errors;
    info.err = jpeg_std_error(&errors);
    jpeg_create_compress(&info);
    unsigned char *buffer = nullptr;
    unsigned long size = 0;
    jpeg_mem_dest(&info, &buffer, &size);
    info.image_width = JDIMENSION(width), info.image_height = JDIMENSION(height), info.input_components = channels,
    info.in_color_space = space;
    jpeg_set_defaults(&info);
    std::string marker = set_up(info);
    jpeg_start_compress(&info, TRUE);
    if (!marker.empty())
        jpeg_write_marker(&info, JPEG_APP0 + 1, reinterpret_cast<const JOCTET *>(marker.data()), unsigned(marker.size()));
    while (info.next_scanline < info.image_height) {
        auto *row = const_cast<uint8_t *>(values.data()) + int64_t(info.next_scanline) * width * channels;
        jpeg_write_scanlines(&info, &row, 1);
    }
    jpeg_finish_compress(&info);
    jpeg_destroy_compress(&info);
    std::string file(reinterpret_cast<char *>(buffer), size);
    std::free(buffer);
    return file;
}

}  // namespace

Image gradient(int64_t height, int64_t width, int64_t channels) {
    Image image{height, width, channels, {}};
    for (int64_t y = 0; y < height; ++y)
        for (int64_t x = 0; x < width; ++x)
            for (int64_t c = 0; c < channels; ++c)
                image.values.push_back(uint8_t(c == 0 ? 20 + 200 * x / width : c == 1 ? 20 + 200 * y / height : 60));
    return image;
}

std::string jpeg(const Image &image, const JpegOptions &options) {
    return compress(image.height, image.width, int(image.channels), image.values, image.channels == 3 ? JCS_RGB : JCS_GRAYSCALE,
                    [&](jpeg_compress_struct &info) {
                        jpeg_set_quality(&info, options.quality, TRUE);
                        if (options.progressive) jpeg_simple_progression(&info);
                        return options.orientation ? exif(options.orientation, options.big_endian) : std::string();
                    });
}

std::string cmyk_jpeg(const Image &image, bool adobe) {
    std::vector<uint8_t> inks;
    for (size_t i = 0; i < image.values.size(); i += 3) {
        // Half as much black as there can be, so that all four inks count.
        int most = std::max({image.values[i], image.values[i + 1], image.values[i + 2]}), key = std::max((255 + most) / 2, 1);
        for (size_t c = 0; c < 3; ++c) inks.push_back(uint8_t(std::min(255, image.values[i + c] * 255 / key)));
        inks.push_back(uint8_t(key));
    }
    if (!adobe)
        for (uint8_t &ink : inks) ink = uint8_t(255 - ink);
    return compress(image.height, image.width, 4, inks, JCS_CMYK, [&](jpeg_compress_struct &info) {
        jpeg_set_colorspace(&info, adobe ? JCS_YCCK : JCS_CMYK);
        jpeg_set_quality(&info, 97, TRUE);
        info.write_Adobe_marker = boolean(adobe);
        return std::string();
    });
}

std::string png(uint32_t height, uint32_t width, const std::string &values, const PngOptions &options) {
    png_structp writer = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
    png_infop info = png_create_info_struct(writer);
    std::string file;
    auto append = [](png_structp png, png_bytep bytes, size_t count) {
        static_cast<std::string *>(png_get_io_ptr(png))->append(reinterpret_cast<const char *>(bytes), count);
    };
    png_set_write_fn(writer, &file, append, [](png_structp) {});
    png_set_IHDR(writer, info, width, height, options.depth, options.colour_type,
                 options.interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
                 PNG_FILTER_TYPE_DEFAULT);
    if (!options.palette.empty())
        png_set_PLTE(writer, info, reinterpret_cast<png_const_colorp>(options.palette.data()), int(options.palette.size() / 3));
    if (!options.transparency.empty())
        png_set_tRNS(writer, info, reinterpret_cast<png_const_bytep>(options.transparency.data()),
                     int(options.transparency.size()), nullptr);
    if (!options.exif.empty())
        png_set_eXIf_1(writer, info, png_uint_32(options.exif.size()),
                       reinterpret_cast<png_bytep>(const_cast<char *>(options.exif.data())));
    std::vector<png_bytep> rows;
    for (uint32_t y = 0; y < height; ++y)
        rows.push_back(reinterpret_cast<png_bytep>(const_cast<char *>(values.data())) + values.size() / height * y);
    png_set_rows(writer, info, rows.data());
    png_write_png(writer, info, PNG_TRANSFORM_IDENTITY, nullptr);
    png_destroy_write_struct(&writer, &info);
    return file;
}

int difference(const Image &a, const Image &b) {
    if (a.height != b.height || a.width != b.width || a.channels != b.channels || a.values.size() != b.values.size()) return 256;
    int most = 0;
    for (size_t i = 0; i < a.values.size(); ++i) most = std::max(most, std::abs(a.values[i] - b.values[i]));
    return most;
}

}  // namespace kiln::runtime::testing
