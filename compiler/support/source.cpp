#include "compiler/support/source.h"

#include <fmt/format.h>

#include <algorithm>

namespace kiln {
namespace {

constexpr uint32_t kStride = 1024;  ///< bytes per entry of SourceFile::continuation_bytes

bool is_continuation(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) == 0x80; }

uint32_t continuation_bytes_before(const SourceFile &file, uint32_t offset) {
    uint32_t count = file.continuation_bytes[offset / kStride];
    for (uint32_t i = offset / kStride * kStride; i < offset; ++i) count += is_continuation(file.text[i]);
    return count;
}

}  // namespace

const SourceFile &SourceMap::add(std::string name, std::string text, std::optional<FileIdentity> identity) {
    SourceFile &file = files_.emplace_back();
    file.name = std::move(name);
    file.text = std::move(text);
    file.identity = identity;
    file.line_starts.push_back(0);
    uint32_t continuation_bytes = 0;
    for (size_t i = 0; i <= file.text.size(); ++i) {
        if (i % kStride == 0) file.continuation_bytes.push_back(continuation_bytes);
        if (i == file.text.size()) break;
        continuation_bytes += is_continuation(file.text[i]);
        if (file.text[i] == '\n') file.line_starts.push_back(static_cast<uint32_t>(i + 1));
    }
    return file;
}

const SourceFile *SourceMap::find(const FileIdentity &identity) const {
    auto found = std::find_if(files_.begin(), files_.end(), [&](const SourceFile &file) { return file.identity == identity; });
    return found == files_.end() ? nullptr : &*found;
}

LineColumn line_column(const SourceFile &file, uint32_t offset) {
    offset = std::min<uint32_t>(offset, file.text.size());
    auto next = std::upper_bound(file.line_starts.begin(), file.line_starts.end(), offset);
    int line = static_cast<int>(next - file.line_starts.begin());
    uint32_t start = file.line_starts[line - 1];
    uint32_t code_points = offset - start - (continuation_bytes_before(file, offset) - continuation_bytes_before(file, start));
    int column = static_cast<int>(code_points) + 1;
    return {line, column};
}

std::string_view line_text(const SourceFile &file, int line) {
    if (line < 1 || line > static_cast<int>(file.line_starts.size())) return {};
    size_t begin = file.line_starts[line - 1];
    size_t end = line < static_cast<int>(file.line_starts.size()) ? file.line_starts[line] - 1 : file.text.size();
    std::string_view text = std::string_view(file.text).substr(begin, end - begin);
    if (!text.empty() && text.back() == '\r') text.remove_suffix(1);
    return text;
}

Loc to_loc(const SourceRange &range) {
    if (!range.valid()) return {};
    LineColumn position = line_column(*range.file, range.begin);
    return {range.file->name, position.line, position.column};
}

std::string to_string(const Loc &loc) {
    if (!loc.valid()) return loc.file;
    return fmt::format("{}:{}:{}", loc.file, loc.line, loc.column);
}

}  // namespace kiln
