#include "report/page.h"

#include "support/failure.h"

#include <zlib.h>
#include <cstdint>

namespace kiln::runtime {
namespace {

std::string inflated(const PagePart &part) {
    std::string content(part.size, '\0');
    z_stream stream{};
    if (::inflateInit2(&stream, 16 + MAX_WBITS) != Z_OK) fail(ExitCode::memory, "cannot start decompression");
    stream.next_in = const_cast<Bytef *>(part.bytes);
    stream.avail_in = uInt(part.compressed);
    stream.next_out = reinterpret_cast<Bytef *>(content.data());
    stream.avail_out = uInt(content.size());
    int result = ::inflate(&stream, Z_FINISH);
    ::inflateEnd(&stream);
    if (result != Z_STREAM_END || stream.avail_out != 0) fail(ExitCode::internal, "a part of the report's page is damaged");
    return content;
}

void put(std::string &page, const std::string &place, const std::string &text) {
    size_t at = page.find(place);
    if (at == std::string::npos) fail(ExitCode::internal, "the report's page has no %s", place.c_str());
    page.replace(at, place.size(), text);
}

// Nothing in a string can end the script element.
std::string in_script(const std::string &json) {
    std::string text;
    for (char c : json) text += c == '<' ? std::string("\\u003c") : std::string(1, c);
    return text;
}

}  // namespace

std::string report_page(const std::string &json) {
    std::string page = inflated(kPage_PAGE);
    // From the end, so that no place is looked for in what was put in.
    put(page, "@SCRIPT@", inflated(kPage_SCRIPT));
    put(page, "@DATA@", in_script(json));
    put(page, "@CHART@", inflated(kPage_CHART));
    return page;
}

std::string data_address(const std::string &media_type, const std::string &content) {
    static constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string text = "data:" + media_type + ";base64,";
    for (size_t i = 0; i < content.size(); i += 3) {
        uint32_t group = 0;
        size_t count = std::min<size_t>(3, content.size() - i);
        for (size_t k = 0; k < 3; ++k) group = group << 8 | (k < count ? uint8_t(content[i + k]) : 0);
        for (size_t k = 0; k < 4; ++k) text += k <= count ? kDigits[group >> (18 - 6 * k) & 63] : '=';
    }
    return text;
}

}  // namespace kiln::runtime
