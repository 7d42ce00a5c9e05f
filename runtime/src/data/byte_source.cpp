#include "data/byte_source.h"

#include <unistd.h>
#include <zlib.h>
#include <algorithm>
#include <cstring>
#include <memory>

namespace kiln::runtime {
namespace {

constexpr int64_t kInMemory = int64_t(64) << 20;
constexpr int64_t kHeader = 64;  // enough for the header of a format

std::string find_file(const std::string &path) {
    if (exists(path)) return path;
    if (exists(path + ".gz")) return path + ".gz";
    if (path.ends_with(".gz") && exists(path.substr(0, path.size() - 3))) return path.substr(0, path.size() - 3);
    fail(ExitCode::data, "there is no file %s%s", path.c_str(), path.ends_with(".gz") ? "" : " (nor one with .gz at the end)");
}

}  // namespace

ByteSource::ByteSource(const std::string &path) : path_(find_file(path)), file_(open_for_reading(path_, ExitCode::data)) {
    size_ = size_of(file_, path_, ExitCode::data);
    uint8_t magic[2] = {};
    read_at(file_, path_, magic, 2, 0, ExitCode::data);
    compressed_ = magic[0] == 0x1f && magic[1] == 0x8b;
    if (compressed_) {
        inflate_up_to(kHeader);
    } else {
        read_into_memory();
    }
}

ByteSource::ByteSource(const std::string &path, int64_t offset, int64_t size, const std::string &name)
    : path_(name), file_(open_for_reading(path, ExitCode::data)), offset_(offset), size_(size) {
    read_into_memory();
}

void ByteSource::read_into_memory() {
    if (size_ > kInMemory) return;
    // A vector would be filled with zeros first.
    if (size_t(size_) >= kLargeMemory) pages_.emplace(size_t(size_));
    else content_.resize(size_t(size_));
    size_ = int64_t(read_at(file_, path_, pages_ ? pages_->data() : content_.data(), size_t(size_), offset_, ExitCode::data));
    in_memory_ = true;
}

ByteSource::ByteSource(std::vector<uint8_t> content, const std::string &name)
    : path_(name), in_memory_(true), size_(int64_t(content.size())), content_(std::move(content)) {}

void ByteSource::expect(int64_t bytes) {
    if (compressed_) inflate_up_to(bytes + 1);
}

// Starts over rather than keeping a half-read stream: the first call reads a header only.
void ByteSource::inflate_up_to(int64_t bytes) {
    int copy = ::dup(file_.number());
    ::lseek(copy, 0, SEEK_SET);
    gzFile raw = ::gzdopen(copy, "rb");
    if (!raw) {
        ::close(copy);
        fail(ExitCode::memory, "%s: cannot start decompression", path_.c_str());
    }
    std::unique_ptr<gzFile_s, int (*)(gzFile)> stream(raw, ::gzclose);
    ::gzbuffer(raw, 1 << 17);
    content_.clear();
    in_memory_ = true;
    // What a header promises is not believed: deflate shrinks at most 1032-fold, and memory is touched as content arrives.
    int64_t most = size_of(file_, path_, ExitCode::data) * 1032;
    content_.reserve(size_t(std::min(bytes, most)));
    while (int64_t(content_.size()) < bytes) {
        size_t done = content_.size();
        auto want = size_t(std::min<int64_t>(bytes - int64_t(done), 1 << 20));
        content_.resize(done + want);
        int got = ::gzread(raw, content_.data() + done, unsigned(want));
        content_.resize(done + size_t(std::max(got, 0)));
        if (got == int(want)) continue;
        int error = Z_OK;
        const char *message = ::gzerror(raw, &error);
        if (error == Z_BUF_ERROR)
            fail(ExitCode::data, "%s is truncated: the compressed data end after %zu bytes of content", path_.c_str(),
                 content_.size());
        if (error != Z_OK && error != Z_STREAM_END)
            fail(ExitCode::data, "%s is corrupted after %zu bytes of content: %s", path_.c_str(), content_.size(),
                 error == Z_ERRNO ? std::strerror(errno) : message);
        break;
    }
    size_ = int64_t(content_.size());
}

void ByteSource::read(int64_t offset, int64_t count, uint8_t *to) const {
    if (in_memory_ && holds(offset, count)) {
        std::memcpy(to, content() + offset, size_t(count));
        return;
    }
    if (!holds(offset, count) || read_at(file_, path_, to, size_t(count), offset_ + offset, ExitCode::data) != size_t(count))
        fail(ExitCode::data, "%s ends before byte %lld", path_.c_str(), static_cast<long long>(offset + count));
}

const uint8_t *ByteSource::bytes(int64_t offset, int64_t count, std::vector<uint8_t> &buffer) const {
    if (in_memory_ && holds(offset, count)) return content() + offset;
    buffer.resize(size_t(count));
    read(offset, count, buffer.data());
    return buffer.data();
}

}  // namespace kiln::runtime
