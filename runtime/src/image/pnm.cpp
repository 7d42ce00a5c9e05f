#include "image/image.h"
#include "support/failure.h"

#include <cctype>

namespace kiln::runtime {
namespace {

struct Cursor {
    const std::string &path, &content;
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

Image read_pnm(const std::string &path, const std::string &content) {
    char kind = content[1];
    bool text = kind == '2' || kind == '3';
    Image image;
    image.channels = kind == '3' || kind == '6' ? 3 : 1;
    Cursor cursor{path, content};
    image.width = cursor.number();
    image.height = cursor.number();
    int64_t most = cursor.number();
    if (image.width < 1 || image.height < 1 || image.width * image.height > (int64_t(1) << 28) || most < 1 || most > 65535)
        fail(ExitCode::data, "%s: %lld x %lld pixels up to %lld are not supported", path.c_str(), (long long)image.width,
             (long long)image.height, (long long)most);
    auto count = size_t(image.width * image.height * image.channels);
    size_t each = most > 255 ? 2 : 1;
    cursor.at += 1;  // the one white space before the pixels
    if (!text && content.size() < cursor.at + count * each)
        fail(ExitCode::data, "%s is truncated: its pixels need %zu bytes", path.c_str(), count * each);
    float scale = 255.0f / float(most);
    for (size_t i = 0; i < count; ++i) {
        int64_t value;
        if (text) {
            value = cursor.number();
        } else {
            value = uint8_t(content[cursor.at++]);
            if (each == 2) value = value << 8 | uint8_t(content[cursor.at++]);
        }
        image.values.push_back(float(value) * scale);
    }
    return image;
}

}  // namespace kiln::runtime
