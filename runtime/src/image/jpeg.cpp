// JPEG files through libjpeg-turbo. Its errors leave by longjmp: between setjmp and the library's calls lie no C++ objects to
// destroy.
#include "image/image.h"
#include "support/failure.h"

#include <csetjmp>
#include <cstdio>

#include <jpeglib.h>

namespace kiln::runtime {
namespace {

constexpr long kMostMemory = long(1) << 30;  // what a progressive file's coefficients may take
constexpr int kMostScans = 200;              // a progressive file of thousands of scans takes minutes to decode
// The least a Huffman-coded file can need is one bit for a block of 8x8 samples; no whole file comes near.
constexpr int64_t kMostPixelsPerByte = 512;

struct Decoder {
    jpeg_decompress_struct info{};
    jpeg_error_mgr errors{};
    jpeg_progress_mgr progress{};
    std::jmp_buf escape;
    char message[JMSG_LENGTH_MAX] = "";
    Image image;
    std::vector<uint8_t> inks;  // a row of CMYK
    int orientation = 1;

    Decoder();
    ~Decoder() { jpeg_destroy_decompress(&info); }
    Decoder(const Decoder &) = delete;
    [[noreturn]] void leave(const char *text) {
        std::snprintf(message, sizeof message, "%s", text);
        std::longjmp(escape, 1);
    }
};

Decoder &decoder_of(j_common_ptr info) { return *static_cast<Decoder *>(info->client_data); }

void leave_with_message(j_common_ptr info) {
    Decoder &decoder = decoder_of(info);
    info->err->format_message(info, decoder.message);
    std::longjmp(decoder.escape, 1);
}

// Level -1 is a warning: the data are damaged or end early, and the library would go on with grey. A damaged file is not
// repaired.
void leave_on_warning(j_common_ptr info, int level) {
    if (level < 0) leave_with_message(info);
}

void count_scans(j_common_ptr info) {
    Decoder &decoder = decoder_of(info);
    if (decoder.info.input_scan_number > kMostScans) decoder.leave("it has too many scans");
}

Decoder::Decoder() {
    info.err = jpeg_std_error(&errors);
    info.client_data = this;
    errors.error_exit = leave_with_message;
    errors.emit_message = leave_on_warning;
    progress.progress_monitor = count_scans;
}

int orientation_of(const jpeg_decompress_struct &info) {
    for (auto *marker = info.marker_list; marker; marker = marker->next) {
        std::string_view data(reinterpret_cast<const char *>(marker->data), marker->data_length);
        constexpr std::string_view kExif("Exif\0\0", 6);
        if (data.starts_with(kExif)) return exif_orientation(data.substr(kExif.size()));
    }
    return 1;
}

bool read_header(Decoder &decoder, std::string_view bytes) {
    if (setjmp(decoder.escape)) return false;
    jpeg_create_decompress(&decoder.info);
    decoder.info.client_data = &decoder;
    decoder.info.progress = &decoder.progress;
    decoder.info.mem->max_memory_to_use = kMostMemory;
    jpeg_mem_src(&decoder.info, reinterpret_cast<const unsigned char *>(bytes.data()), bytes.size());
    jpeg_save_markers(&decoder.info, JPEG_APP0 + 1, 0xffff);
    jpeg_read_header(&decoder.info, TRUE);
    return true;
}

bool start(Decoder &decoder) {
    if (setjmp(decoder.escape)) return false;
    jpeg_start_decompress(&decoder.info);
    return true;
}

// Adobe's files hold the inks inverted: 255 is none.
void ink_to_rgb(const uint8_t *inks, int64_t pixels, bool inverted, uint8_t *to) {
    for (int64_t i = 0; i < pixels; ++i, inks += 4)
        for (int c = 0; c < 3; ++c) {
            int light = inverted ? inks[c] : 255 - inks[c], black = inverted ? inks[3] : 255 - inks[3];
            *to++ = uint8_t((light * black + 127) / 255);
        }
}

bool read_rows(Decoder &decoder) {
    if (setjmp(decoder.escape)) return false;
    jpeg_decompress_struct &info = decoder.info;
    while (info.output_scanline < info.output_height) {
        uint8_t *to = decoder.image.values.data() + int64_t(info.output_scanline) * decoder.image.width * decoder.image.channels;
        uint8_t *row = decoder.inks.empty() ? to : decoder.inks.data();
        jpeg_read_scanlines(&info, &row, 1);
        if (!decoder.inks.empty()) ink_to_rgb(row, info.output_width, info.saw_Adobe_marker, to);
    }
    jpeg_finish_decompress(&info);
    return true;
}

}  // namespace

Image decode_jpeg(std::string_view bytes, const std::string &name, const Frame *frame) {
    Decoder decoder;
    auto damaged = [&] { fail(ExitCode::data, "%s is damaged: %s", name.c_str(), decoder.message); };
    if (!read_header(decoder, bytes)) damaged();
    jpeg_decompress_struct &info = decoder.info;
    int64_t height = info.image_height, width = info.image_width;
    check_pixels(height, width, name);
    if (!info.arith_code && height * width / kMostPixelsPerByte > int64_t(bytes.size()))
        fail(ExitCode::data, "%s is damaged: %lld x %lld pixels cannot be in %zu bytes", name.c_str(), (long long)width,
             (long long)height, bytes.size());
    decoder.orientation = orientation_of(info);
    bool ink = info.jpeg_color_space == JCS_CMYK || info.jpeg_color_space == JCS_YCCK;
    bool grey = info.jpeg_color_space == JCS_GRAYSCALE || (frame && frame->channels == 1 && info.jpeg_color_space == JCS_YCbCr);
    info.out_color_space = ink ? JCS_CMYK : grey ? JCS_GRAYSCALE : JCS_RGB;
    info.dct_method = JDCT_ISLOW;  // the same on every processor
    if (frame) {
        bool turned = decoder.orientation >= 5;
        double most = shrinkage(*frame, turned ? width : height, turned ? height : width) / 2;
        while (info.scale_denom < 8 && 2 * info.scale_denom <= most) info.scale_denom *= 2;
    }
    if (!start(decoder)) damaged();
    decoder.image = {info.output_height, info.output_width, grey ? 1 : 3, {}};
    decoder.image.values.resize(size_t(decoder.image.height * decoder.image.width * decoder.image.channels));
    if (ink) decoder.inks.resize(size_t(decoder.image.width) * 4);
    if (!read_rows(decoder)) damaged();
    return upright(std::move(decoder.image), decoder.orientation);
}

}  // namespace kiln::runtime
