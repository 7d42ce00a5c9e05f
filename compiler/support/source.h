// Source text and positions in it.
//
// A SourceFile is immutable text with a name. A SourceRange names a half-open byte range of one file. Files are owned by
// a SourceMap, which lives as long as the compilation; every range is cheap to copy and valid for that long.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kiln {

/// A longer text is no program: parsers refuse it, and it is read no further. Positions stay well inside 32 bits.
inline constexpr size_t kMaxFileBytes = 64 << 20;

/// What a file is on this machine, whichever of its names it is reached by.
struct FileIdentity {
    uint64_t device = 0, inode = 0;
    bool operator==(const FileIdentity &) const = default;
};

/// One source text. `line_starts[i]` is the byte offset of line i (0-based).
struct SourceFile {
    std::string name;  ///< as shown in messages: "digits.model", "stdlib/nn/dense.model"
    std::string text;
    std::vector<uint32_t> line_starts;
    std::vector<uint32_t> continuation_bytes;  ///< [i]: UTF-8 continuation bytes before byte 1024 i, for columns of long lines
    std::optional<FileIdentity> identity{};    ///< nothing: the text is in no file
};

/// 1-based line and column (columns count Unicode code points).
struct LineColumn {
    int line = 0, column = 0;
};

/// A half-open byte range [begin, end) of a file; `file == nullptr` means "no position known".
struct SourceRange {
    const SourceFile *file = nullptr;
    uint32_t begin = 0, end = 0;
    bool valid() const { return file != nullptr; }
};

/// Where an IR node comes from: file, line and column, kept by value so that IR text can be parsed without its sources.
struct Loc {
    std::string file;
    int line = 0, column = 0;
    bool valid() const { return line > 0; }
    bool operator==(const Loc &) const = default;
};

/// Owns the sources of one compilation.
class SourceMap {
public:
    /// Adds a text; the returned reference stays valid.
    const SourceFile &add(std::string name, std::string text, std::optional<FileIdentity> identity = {});
    /// The file that was read, whatever it was called then; null if it was not.
    const SourceFile *find(const FileIdentity &identity) const;

private:
    std::deque<SourceFile> files_;
};

LineColumn line_column(const SourceFile &file, uint32_t offset);
std::string_view line_text(const SourceFile &file, int line);
Loc to_loc(const SourceRange &range);
/// "digits.model:18:12"
std::string to_string(const Loc &loc);

}  // namespace kiln
