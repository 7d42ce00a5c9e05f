// ByteSource: random access to the content of a file, gzip-compressed or not.
//
// A plain file of up to 64 MiB is read into memory; a larger one stays on the disk and is read piece by piece, so that its
// size does not matter. A compressed file is decompressed into memory whole (gzip has no random access): decompress files that
// do not fit with `gunzip` once.
#pragma once

#include "support/file.h"
#include "support/memory.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace kiln::runtime {

class ByteSource {
public:
    /// Opens `path`, or `path`.gz, or `path` without its .gz, whichever exists. A compressed file is told by its first bytes.
    explicit ByteSource(const std::string &path);
    /// A part of a file, as it is, and bytes that are in memory already; `name` is what messages call them.
    ByteSource(const std::string &path, int64_t offset, int64_t size, const std::string &name);
    ByteSource(std::vector<uint8_t> content, const std::string &name);

    const std::string &path() const { return path_; }  ///< the file that was found
    bool compressed() const { return compressed_; }
    /// Bytes of content that can be read; of a compressed file, as much as expect() asked for, plus one.
    int64_t size() const { return size_; }
    /// Reads a compressed file up to `bytes` bytes of content and one more, if there is one. Of a plain file, nothing to do.
    void expect(int64_t bytes);
    /// Throws Failure (data) if the range is not there.
    void read(int64_t offset, int64_t count, uint8_t *to) const;
    /// The same where it lies, or else read into `buffer`.
    const uint8_t *bytes(int64_t offset, int64_t count, std::vector<uint8_t> &buffer) const;
    bool in_memory() const { return in_memory_; }

private:
    bool holds(int64_t offset, int64_t count) const { return offset >= 0 && count >= 0 && offset <= size_ - count; }
    void inflate_up_to(int64_t bytes);
    /// Of a plain file, if it is not too large.
    void read_into_memory();
    const uint8_t *content() const { return pages_ ? pages_->data() : content_.data(); }

    std::string path_;
    FileDescriptor file_;
    bool compressed_ = false, in_memory_ = false;
    int64_t offset_ = 0, size_ = 0;
    std::vector<uint8_t> content_;
    std::optional<Memory> pages_;  ///< of a large one
};

}  // namespace kiln::runtime
