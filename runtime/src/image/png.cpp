// PNG files through libpng. Its errors leave by longjmp: between setjmp and the library's calls lie no C++ objects to destroy.
#include "image/image.h"
#include "support/failure.h"

#include <png.h>
#include <csetjmp>
#include <cstdio>
#include <cstring>

namespace kiln::runtime {
namespace {

constexpr int64_t kMostDeflation = 1032;  // zlib's limit: bytes that come out of one that went in

struct Coder {
    png_structp png = nullptr;
    png_infop info = nullptr;
    char message[200] = "";
    bool is_damaged = false;  // by a warning that is about pixels
    std::string_view bytes;  // decoding: what has not been read
    std::string file;        // encoding: what has been written
    Image image;
    std::vector<uint8_t> pixels;  // with an alpha channel
    std::vector<uint8_t *> rows;

    explicit Coder(bool reads);
    ~Coder();
    Coder(const Coder &) = delete;
    bool reads;
};

[[noreturn]] void leave(png_structp png, png_const_charp message) {
    auto &coder = *static_cast<Coder *>(png_get_error_ptr(png));
    std::snprintf(coder.message, sizeof coder.message, "%s", message);
    png_longjmp(png, 1);
}

// Most warnings concern what is not looked at: colour profiles, texts, times. Those of IDAT are about the pixels: more rows than the picture has, a
// checksum that does not hold.
void note(png_structp png, png_const_charp message) {
    auto &coder = *static_cast<Coder *>(png_get_error_ptr(png));
    if (coder.is_damaged || !std::string_view(message).starts_with("IDAT")) return;
    coder.is_damaged = true;
    std::snprintf(coder.message, sizeof coder.message, "%s", message);
}

Coder::Coder(bool reads) : reads(reads) {
    png = reads ? png_create_read_struct(PNG_LIBPNG_VER_STRING, this, leave, note)
                : png_create_write_struct(PNG_LIBPNG_VER_STRING, this, leave, note);
    info = png ? png_create_info_struct(png) : nullptr;
    if (!info) fail(ExitCode::memory, "out of memory");
}

Coder::~Coder() { reads ? png_destroy_read_struct(&png, &info, nullptr) : png_destroy_write_struct(&png, &info); }

void take(png_structp png, png_bytep to, size_t count) {
    auto &coder = *static_cast<Coder *>(png_get_io_ptr(png));
    if (count > coder.bytes.size()) leave(png, "it ends early");
    std::memcpy(to, coder.bytes.data(), count);
    coder.bytes.remove_prefix(count);
}

bool read_header(Coder &coder) {
    if (setjmp(png_jmpbuf(coder.png))) return false;
    png_set_read_fn(coder.png, &coder, take);
    png_set_chunk_malloc_max(coder.png, 8 << 20);
    png_set_user_limits(coder.png, 0x7fffffff, 0x7fffffff);  // check_pixels limits them
    png_read_info(coder.png, coder.info);
    return true;
}

bool has_palette(const Coder &coder) { return png_get_color_type(coder.png, coder.info) == PNG_COLOR_TYPE_PALETTE; }

// Asks for 8-bit grey or RGB, with alpha if the file has any transparency; of a picture with a palette for its indices, since the library makes those beyond
// the palette black.
bool set_layout(Coder &coder) {
    if (setjmp(png_jmpbuf(coder.png))) return false;
    png_set_check_for_invalid_index(coder.png, 0);  // its warning does not say which
    if (has_palette(coder)) png_set_packing(coder.png);
    else png_set_expand(coder.png);
    png_set_scale_16(coder.png);
    png_set_interlace_handling(coder.png);
    png_read_update_info(coder.png, coder.info);
    return true;
}

bool read_rows(Coder &coder) {
    if (setjmp(png_jmpbuf(coder.png))) return false;
    png_read_image(coder.png, coder.rows.data());
    png_read_end(coder.png, coder.info);
    return !coder.is_damaged;
}

uint8_t on_black(int value, int alpha) { return uint8_t((value * alpha + 127) / 255); }

int orientation_of(Coder &coder) {
    png_uint_32 count = 0;
    png_bytep data = nullptr;
    if (!png_get_eXIf_1(coder.png, coder.info, &count, &data)) return 1;
    return exif_orientation({reinterpret_cast<const char *>(data), count});
}

bool write(Coder &coder, const Image &image) {
    if (setjmp(png_jmpbuf(coder.png))) return false;
    auto append = [](png_structp png, png_bytep from, size_t count) {
        static_cast<Coder *>(png_get_io_ptr(png))->file.append(reinterpret_cast<const char *>(from), count);
    };
    png_set_write_fn(coder.png, &coder, append, [](png_structp) {});
    png_set_IHDR(coder.png, coder.info, png_uint_32(image.width), png_uint_32(image.height), 8,
                 image.channels == 3 ? PNG_COLOR_TYPE_RGB : PNG_COLOR_TYPE_GRAY, PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
                 PNG_FILTER_TYPE_DEFAULT);
    png_set_rows(coder.png, coder.info, coder.rows.data());
    png_write_png(coder.png, coder.info, PNG_TRANSFORM_IDENTITY, nullptr);
    return true;
}

/// Indices of a palette as its colours, those that are transparent on black.
std::vector<uint8_t> coloured(Coder &coder, const std::vector<uint8_t> &indices, const std::string &name) {
    png_colorp colours = nullptr;
    png_bytep alphas = nullptr;
    int count = 0, transparent = 0;
    png_get_PLTE(coder.png, coder.info, &colours, &count);
    png_get_tRNS(coder.png, coder.info, &alphas, &transparent, nullptr);
    std::vector<uint8_t> values;
    values.reserve(indices.size() * 3);
    for (uint8_t index : indices) {
        if (index >= count)
            fail(ExitCode::data, "%s is damaged: a pixel has colour %d of a palette of %d (counted from 0)", name.c_str(), index, count);
        const int alpha = alphas != nullptr && index < transparent ? alphas[index] : 255;
        for (int value : {colours[index].red, colours[index].green, colours[index].blue}) values.push_back(on_black(value, alpha));
    }
    return values;
}

}  // namespace

Image decode_png(std::string_view bytes, const std::string &name) {
    Coder coder(true);
    coder.bytes = bytes;
    auto damaged = [&] { fail(ExitCode::data, "%s is damaged: %s", name.c_str(), coder.message); };
    if (!read_header(coder)) damaged();
    int64_t height = png_get_image_height(coder.png, coder.info), width = png_get_image_width(coder.png, coder.info);
    check_pixels(height, width, name);
    if (height * int64_t(png_get_rowbytes(coder.png, coder.info)) / kMostDeflation > int64_t(bytes.size()))
        fail(ExitCode::data, "%s is damaged: %lld x %lld pixels cannot be in %zu bytes", name.c_str(), (long long)width, (long long)height,
             bytes.size());
    if (!set_layout(coder)) damaged();
    int64_t channels = png_get_channels(coder.png, coder.info), colours = channels >= 3 ? 3 : 1;
    coder.image = {height, width, colours, std::vector<uint8_t>(size_t(height * width * colours))};
    bool has_alpha = channels != colours;
    if (has_alpha) coder.pixels.resize(size_t(height * width * channels));
    uint8_t *first = has_alpha ? coder.pixels.data() : coder.image.values.data();
    for (int64_t y = 0; y < height; ++y) coder.rows.push_back(first + y * width * channels);
    if (!read_rows(coder)) damaged();
    const uint8_t *from = coder.pixels.data();
    if (has_alpha)
        for (uint8_t *to = coder.image.values.data(); to != coder.image.values.data() + coder.image.values.size(); from += channels)
            for (int64_t c = 0; c < colours; ++c) *to++ = on_black(from[c], from[colours]);
    if (has_palette(coder)) coder.image = {height, width, 3, coloured(coder, coder.image.values, name)};
    return upright(std::move(coder.image), orientation_of(coder));
}

std::string encode_png(const Image &image) {
    Coder coder(false);
    for (int64_t y = 0; y < image.height; ++y)
        coder.rows.push_back(const_cast<uint8_t *>(image.values.data()) + y * image.width * image.channels);
    if (!write(coder, image)) fail(ExitCode::internal, "cannot encode a PNG: %s", coder.message);
    return std::move(coder.file);
}

}  // namespace kiln::runtime
