#include "image/image.h"
#include "support/failure.h"

#include <cctype>

namespace kiln::runtime {
namespace {

struct Cursor {
    const std::string &path;
    std::string_view content;
    size_t at = 2;

    // The next number, over white space and # comments.
    int64_t number() {
        while (at < content.size() && (std::isspace(uint8_t(content[at])) || content[at] == '#')) {
            if (content[at] == '#')
                while (at < content.size() && content[at] != '\n') ++at;
            else
                ++at;
        }
        if (at >= content.size() || !std::isdigit(uint8_t(content[at])))
            fail(ExitCode::data, "%s: a number is missing at byte %zu", path.c_str(), at);
        int64_t value = 0;
        for (; at < content.size() && std::isdigit(uint8_t(content[at])); ++at) {
            value = value * 10 + (content[at] - '0');
            if (value > 1000000000) fail(ExitCode::data, "%s: a number is too large at byte %zu", path.c_str(), at);
        }
        return value;
    }
};

}  // namespace

Image decode_pnm(std::string_view content, const std::string &path) {
    char kind = content[1];
    bool text = kind == '2' || kind == '3';
    Image image;
    image.channels = kind == '3' || kind == '6' ? 3 : 1;
    Cursor cursor{path, content};
    image.width = cursor.number();
    image.height = cursor.number();
    int64_t most = cursor.number();
    check_pixels(image.height, image.width, path);
    if (most < 1 || most > 65535) fail(ExitCode::data, "%s: values up to %lld are not supported", path.c_str(), (long long)most);
    auto count = size_t(image.width * image.height * image.channels);
    size_t each = most > 255 ? 2 : 1;
    cursor.at += 1;  // the one white space before the pixels
    // A number as text takes a digit and, but for the last, a separator.
    if (content.size() < cursor.at + (text ? 2 * count - 1 : count * each))
        fail(ExitCode::data, "%s is truncated: its %zu values cannot be in %zu bytes", path.c_str(), count, content.size());
    image.values.reserve(count);
    for (size_t i = 0; i < count; ++i) {
        int64_t value;
        if (text) {
            value = cursor.number();
        } else {
            value = uint8_t(content[cursor.at++]);
            if (each == 2) value = value << 8 | uint8_t(content[cursor.at++]);
        }
        if (value > most) fail(ExitCode::data, "%s: a value is %lld, above its greatest, %lld", path.c_str(), (long long)value, (long long)most);
        image.values.push_back(uint8_t((value * 255 + most / 2) / most));
    }
    return image;
}

}  // namespace kiln::runtime
