#include "support/text.h"

#include "support/failure.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <utility>

namespace kiln::runtime {

std::string vformat(const char *format, va_list arguments) {
    va_list again;
    va_copy(again, arguments);
    int length = std::vsnprintf(nullptr, 0, format, arguments);
    std::string text(size_t(std::max(length, 0)), '\0');
    std::vsnprintf(text.data(), text.size() + 1, format, again);
    va_end(again);
    return text;
}

std::string format(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    std::string text = vformat(format, arguments);
    va_end(arguments);
    return text;
}

void fail(ExitCode code, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    std::string text = vformat(format, arguments);
    va_end(arguments);
    throw Failure(code, text);
}

std::string number_text(double value) {
    if (std::isnan(value)) return "nan";  // whatever its sign
    char buffer[32];
    auto [end, error] = std::to_chars(buffer, buffer + sizeof buffer, value);
    return std::string(buffer, end);
}

std::string short_number(double value) { return std::isnan(value) ? "nan" : format("%.4g", value); }

std::string json_number(double value) { return std::isfinite(value) ? number_text(value) : "null"; }

static bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

std::string json_string(std::string_view text) {
    std::string out = "\"";
    for (char c : text) {
        if (c == '"' || c == '\\') {
            out += '\\';
            out += c;
        } else if (is_control(c)) {
            out += format("\\u%04x", static_cast<unsigned>(c));
        } else {
            out += c;
        }
    }
    return out + '"';
}

std::string csv_field(const std::string &text) {
    if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
    std::string quoted = "\"";
    for (char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
    return quoted + "\"";
}

std::string xml_text(const std::string &text) {
    std::string result;
    for (char c : text) {
        if (c == '&') result += "&amp;";
        else if (c == '<') result += "&lt;";
        else if (c == '>') result += "&gt;";
        else if (static_cast<unsigned char>(c) >= ' ') result += c;  // XML has no other control characters
    }
    return result;
}

std::string bytes_text(double bytes) {
    const char *units[] = {"B", "kB", "MB", "GB", "TB"};
    size_t unit = 0;
    while (bytes >= 999.5 && unit + 1 < std::size(units)) bytes /= 1000, ++unit;
    return format(unit == 0 ? "%.0f %s" : "%.3g %s", bytes, units[unit]);
}

std::string duration_text(double seconds) {
    auto total = static_cast<long long>(std::min(std::max(seconds, 0.0), 1e9) + 0.5);
    if (total >= 3600) return format("%lld:%02lld:%02lld", total / 3600, total / 60 % 60, total % 60);
    return format("%lld:%02lld", total / 60, total % 60);
}

std::string grouped(int64_t value) {
    std::string digits = std::to_string(value);
    for (int64_t at = int64_t(digits.size()) - 3; at > (value < 0 ? 1 : 0); at -= 3) digits.insert(size_t(at), 1, ',');
    return digits;
}

std::string shape_text(const std::vector<int64_t> &shape) {
    std::vector<std::string> parts;
    for (int64_t extent : shape) parts.push_back(std::to_string(extent));
    return "[" + join(parts, ", ") + "]";
}

std::string join(const std::vector<std::string> &parts, std::string_view separator) {
    std::string out;
    for (size_t i = 0; i < parts.size(); ++i) {
        if (i) out += separator;
        out += parts[i];
    }
    return out;
}

std::string quoted_name(std::string_view name) {
    std::string out = "`";
    for (char c : name) out += is_control(c) ? format("\\u%04x", static_cast<unsigned>(static_cast<unsigned char>(c))) : std::string(1, c);
    return out + '`';
}

std::string quoted_list(const std::vector<std::string> &names) {
    constexpr size_t kMost = 24, kFirst = 16, kLast = 2;
    std::vector<std::string> quoted;
    for (size_t i = 0; i < names.size(); ++i) {
        if (names.size() > kMost && i == kFirst) quoted.push_back(".."), i = names.size() - kLast;
        quoted.push_back("`" + names[i] + "`");
    }
    if (names.size() > kMost) quoted.back() += format(" (%zu)", names.size());
    return quoted.empty() ? "none" : join(quoted, ", ");
}

// Where a part after a `*` does not fit, that `*` takes a character more; those before it can stay as they are.
int sequence_size(std::string_view text) {
    const auto byte = [&](size_t i) { return uint8_t(text[i]); };
    const uint8_t lead = byte(0);
    if (lead < 0x80) return 1;
    const size_t size = lead >= 0xc2 && lead <= 0xdf ? 2 : lead >= 0xe0 && lead <= 0xef ? 3 : lead >= 0xf0 && lead <= 0xf4 ? 4 : 0;
    if (size == 0) return -1;
    const uint8_t least = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80, most = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    for (size_t i = 1; i < size && i < text.size(); ++i)
        if (byte(i) < (i == 1 ? least : 0x80) || byte(i) > (i == 1 ? most : 0xbf)) return -1;
    return text.size() < size ? 0 : int(size);
}

std::string on_one_line(std::string text) {
    std::replace_if(text.begin(), text.end(), [](char byte) { return (byte >= 0 && byte < ' ') || byte == '\x7f'; }, ' ');
    return text;
}

/// Characters of UTF-8: bytes that do not continue one.
static size_t characters(const std::string &text) {
    return size_t(std::count_if(text.begin(), text.end(), [](char c) { return (uint8_t(c) & 0xc0) != 0x80; }));
}

std::string table(const std::vector<std::vector<std::string>> &rows, const std::vector<size_t> &right) {
    std::vector<size_t> widths;
    for (const auto &row : rows) {
        widths.resize(std::max(widths.size(), row.size()));
        for (size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], characters(row[c]));
    }
    std::string out;
    for (const auto &row : rows) {
        std::string line;
        for (size_t c = 0; c < row.size(); ++c) {
            const std::string cell = on_one_line(row[c]), padding(widths[c] - characters(cell), ' ');
            bool to_right = std::find(right.begin(), right.end(), c) != right.end();
            line += (c ? "  " : "") + (to_right ? padding + cell : cell + padding);
        }
        line.erase(line.find_last_not_of(' ') + 1);
        out += line + "\n";
    }
    return out;
}

}  // namespace kiln::runtime
