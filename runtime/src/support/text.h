// Text for messages, tables, JSON, CSV and XML, without the weight of a formatting library.
#pragma once

#include <cstdarg>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kiln::runtime {

/// printf into a string.
std::string format(const char *format, ...) __attribute__((format(printf, 1, 2)));
std::string vformat(const char *format, va_list arguments);

/// The shortest text that reads back as the same double: "0.001", "1e+308", "inf", "nan".
std::string number_text(double value);
/// Four significant digits, for people.
std::string short_number(double value);
/// A number as JSON: null if it is not finite.
std::string json_number(double value);
std::string json_string(std::string_view text);
/// A field of a CSV line, in quotes if it needs them (RFC 4180).
std::string csv_field(const std::string &text);
/// The content of an XML element, such as a text of an SVG picture.
std::string xml_text(const std::string &text);

/// "12.3 MB", "1.2 kB": powers of 1000.
std::string bytes_text(double bytes);
/// "0:07", "1:02:03".
std::string duration_text(double seconds);
/// 1234567 -> "1,234,567".
std::string grouped(int64_t value);
/// "[28, 28, 1]"
std::string shape_text(const std::vector<int64_t> &shape);
/// "`a`": a name that a file has, in a message: control characters are written as "\u0000", so that none ends or garbles it.
std::string quoted_name(std::string_view name);
/// "`a`, `b`": names in a message, of many the first and the last; "none" if there are none.
std::string quoted_list(const std::vector<std::string> &names);
/// Of the UTF-8 sequence that a text, not an empty one, begins with: how many bytes it has; 0 if the text ends within it, -1 if it is none (RFC 3629: no overlong
/// forms, no surrogates, at most U+10FFFF).
int sequence_size(std::string_view text);

/// Control characters become spaces: text of the data, in what is printed for people.
std::string on_one_line(std::string text);
std::string join(const std::vector<std::string> &parts, std::string_view separator);

/// A text table: columns padded to their widest cell, two spaces between; columns in `right` (by index) are right-aligned.
std::string table(const std::vector<std::vector<std::string>> &rows, const std::vector<size_t> &right);

}  // namespace kiln::runtime
