#include "data/csv.h"

#include "data/byte_source.h"
#include "support/failure.h"
#include "support/text.h"

#include <limits>

namespace kiln::runtime {
namespace {

bool is_utf8(const std::string &text) {
    for (size_t at = 0; at < text.size();) {
        const bool is_ascii = uint8_t(text[at]) < 0x80;
        const int size = is_ascii ? 1 : sequence_size(std::string_view(text).substr(at));
        if (size <= 0) return false;
        at += size_t(size);
    }
    return true;
}

std::string from_latin1(const std::string &text) {
    std::string result;
    for (char c : text) {
        auto byte = uint8_t(c);
        if (byte < 0x80) {
            result += c;
        } else {
            result += char(0xc0 | byte >> 6);
            result += char(0x80 | (byte & 0x3f));
        }
    }
    return result;
}

}  // namespace

CsvFile::CsvFile(const std::string &path, CsvFormat format) : format_(format) {
    ByteSource source(path);
    path_ = source.path();
    source.expect(std::numeric_limits<int64_t>::max() - 1);
    content_.resize(size_t(source.size()));
    source.read(0, source.size(), reinterpret_cast<uint8_t *>(content_.data()));
    if (content_.empty()) fail(ExitCode::data, "%s is empty", path_.c_str());
    if (!format_.latin1 && content_.starts_with("\xef\xbb\xbf")) at_ = 3;
}

void CsvFile::end_line() {
    if (at_ >= content_.size()) return;
    bool two = content_[at_] == '\r' && at_ + 1 < content_.size() && content_[at_ + 1] == '\n';
    at_ += two ? 2 : 1;
    ++line_;
}

std::string CsvFile::quoted(CsvRecord &record) {
    const int64_t opened = line_;
    std::string text;
    for (++at_; at_ < content_.size(); ++at_) {
        char c = content_[at_];
        if (c == format_.quote) {
            bool doubled = at_ + 1 < content_.size() && content_[at_ + 1] == format_.quote;
            if (!doubled) break;
            ++at_;
        } else if (c == '\n' || (c == '\r' && !(at_ + 1 < content_.size() && content_[at_ + 1] == '\n'))) {
            ++line_;
        }
        text += c;
    }
    if (at_ >= content_.size())
        fail(ExitCode::data, "%s:%lld: the quote that is opened here does not end: the file is truncated, or `quote` is not its quote",
             path_.c_str(), (long long)opened);
    ++at_;
    if (at_ < content_.size() && !at_line_end() && content_[at_] != format_.separator) {
        record.error = "text follows a closing quote";
        while (at_ < content_.size() && !at_line_end() && content_[at_] != format_.separator) ++at_;
    }
    return text;
}

std::string CsvFile::field(CsvRecord &record) {
    std::string text;
    if (format_.quote && at_ < content_.size() && content_[at_] == format_.quote) {
        text = quoted(record);
    } else {
        size_t begin = at_;
        while (at_ < content_.size() && !at_line_end() && content_[at_] != format_.separator) ++at_;
        text = content_.substr(begin, at_ - begin);
        if (format_.quote && text.find(format_.quote) != std::string::npos) record.error = "a quote stands inside a field that is not quoted";
    }
    if (format_.latin1) return from_latin1(text);
    if (!is_utf8(text)) record.error = "a field is not UTF-8 (encoding = \"iso-8859-1\" reads the other common one)";
    return text;
}

bool CsvFile::next(CsvRecord &record) {
    record = {};
    while (at_ < content_.size() && at_line_end()) end_line();
    if (at_ >= content_.size()) return false;
    record.line = line_;
    record.fields.push_back(field(record));
    while (at_ < content_.size() && content_[at_] == format_.separator) {
        ++at_;
        record.fields.push_back(field(record));
    }
    end_line();
    return true;
}

}  // namespace kiln::runtime
