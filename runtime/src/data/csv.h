// CsvFile: the records of a CSV or TSV file (RFC 4180): fields between separators, quoted fields that may hold separators, quotes
// (doubled) and line ends. Lines end in LF, CR LF or CR; empty lines are skipped. A file in gzip is decompressed into memory.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace kiln::runtime {

struct CsvFormat {
    char separator = ',';
    char quote = '"';      ///< 0: none
    bool latin1 = false;   ///< ISO-8859-1, else UTF-8
};

struct CsvRecord {
    int64_t line = 0;                 ///< of its first byte, from 1
    std::vector<std::string> fields;  ///< UTF-8, without quotes
    std::string error;                ///< why the record breaks the format, else empty
};

class CsvFile {
public:
    /// Opens `path` (or `path`.gz) and reads all of it. Throws Failure (data) if there is no such file or it is empty.
    CsvFile(const std::string &path, CsvFormat format);

    const std::string &path() const { return path_; }
    /// The next record, false at the end. Throws Failure (data), with the line, where a quoted field does not end.
    bool next(CsvRecord &record);

private:
    bool at_line_end() const { return content_[at_] == '\n' || content_[at_] == '\r'; }
    void end_line();
    std::string field(CsvRecord &record);
    std::string quoted(CsvRecord &record);

    std::string path_, content_;
    CsvFormat format_;
    size_t at_ = 0;
    int64_t line_ = 1;
};

}  // namespace kiln::runtime
