#include "image/image.h"
#include "support/failure.h"

#include <png.h>
#include <cerrno>
#include <cstring>

namespace kiln::runtime {

Image read_png(const std::string &path) {
    png_image png{};
    png.version = PNG_IMAGE_VERSION;
    if (!png_image_begin_read_from_file(&png, path.c_str())) fail(ExitCode::data, "%s: %s", path.c_str(), png.message);
    bool colour = png.format & PNG_FORMAT_FLAG_COLOR;
    png.format = colour ? PNG_FORMAT_RGB : PNG_FORMAT_GRAY;
    if (int64_t(png.width) * png.height > (int64_t(1) << 28)) {
        png_image_free(&png);
        fail(ExitCode::data, "%s: %u x %u pixels are too many", path.c_str(), png.width, png.height);
    }
    std::vector<uint8_t> bytes(PNG_IMAGE_SIZE(png));
    png_color black{0, 0, 0};  // what transparent pixels are laid on
    if (!png_image_finish_read(&png, &black, bytes.data(), 0, nullptr)) {
        std::string message = png.message;
        png_image_free(&png);
        fail(ExitCode::data, "%s: %s", path.c_str(), message.c_str());
    }
    return {png.height, png.width, colour ? 3 : 1, {bytes.begin(), bytes.end()}};
}

}  // namespace kiln::runtime
