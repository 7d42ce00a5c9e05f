// After PKWARE's APPNOTE.TXT: 4.3.7 local header, 4.3.12 central directory, 4.3.14 to 4.3.16 its end records, 4.5.3 zip64's
// sizes.
#include "data/zip.h"

#include "support/failure.h"
#include "support/file.h"

#include <zlib.h>
#include <algorithm>
#include <cstring>

namespace kiln::runtime {
namespace {

constexpr int64_t kMostEntries = 1 << 16, kMostDirectory = int64_t(64) << 20;
constexpr int64_t kMostDeflation = 1032;  // bytes that come out of one that went in
constexpr uint32_t kLocal = 0x04034b50, kCentral = 0x02014b50, kEnd = 0x06054b50, kEnd64 = 0x06064b50, kLocator64 = 0x07064b50;
constexpr int64_t kLocalBytes = 30, kCentralBytes = 46, kEndBytes = 22, kEnd64Bytes = 56, kLocator64Bytes = 20;

int64_t number(const std::string &bytes, size_t at, size_t count) {
    uint64_t value = 0;
    for (size_t i = count; i-- > 0;) value = value << 8 | uint8_t(bytes[at + i]);
    return int64_t(std::min<uint64_t>(value, INT64_MAX));
}

struct File {
    std::string path;
    FileDescriptor file;
    int64_t size;

    explicit File(const std::string &path)
        : path(path), file(open_for_reading(path, ExitCode::data)), size(size_of(file, path, ExitCode::data)) {}
    [[noreturn]] void damaged(const char *what) const {
        fail(ExitCode::data, "%s is no zip archive or damaged: %s", path.c_str(), what);
    }
    std::string read(int64_t offset, int64_t count) const {
        if (offset < 0 || count < 0 || offset > size || count > size - offset) damaged("it ends early");
        std::string bytes(size_t(count), '\0');
        if (read_at(file, path, bytes.data(), bytes.size(), offset, ExitCode::data) != bytes.size()) damaged("it ends early");
        return bytes;
    }
};

struct Directory {
    int64_t entries = 0, bytes = 0, offset = 0;
};

Directory find_directory(const File &file) {
    int64_t tail = std::min<int64_t>(file.size, kEndBytes + 65535);
    std::string bytes = file.read(file.size - tail, tail);
    for (int64_t at = tail - kEndBytes; at >= 0; --at) {
        if (number(bytes, size_t(at), 4) != kEnd) continue;
        Directory directory{number(bytes, size_t(at + 10), 2), number(bytes, size_t(at + 12), 4),
                            number(bytes, size_t(at + 16), 4)};
        int64_t locator = file.size - tail + at - kLocator64Bytes;
        if ((directory.entries == 0xffff || directory.bytes == 0xffffffff || directory.offset == 0xffffffff) && locator >= 0) {
            std::string where = file.read(locator, kLocator64Bytes);
            if (number(where, 0, 4) == kLocator64) {
                std::string end = file.read(number(where, 8, 8), kEnd64Bytes);
                if (number(end, 0, 4) != kEnd64) file.damaged("its end record is missing");
                directory = {number(end, 32, 8), number(end, 40, 8), number(end, 48, 8)};
            }
        }
        return directory;
    }
    file.damaged("it has no directory");
}

// The fields that are all ones are in the extra field 1, in this order (4.5.3).
void read_zip64(const std::string &extra, ZipEntry &entry) {
    for (size_t at = 0; at + 4 <= extra.size();) {
        int64_t id = number(extra, at, 2);
        auto length = size_t(number(extra, at + 2, 2));
        size_t from = at + 4, end = std::min(from + length, extra.size());
        at = from + length;
        if (id != 1) continue;
        for (int64_t *field : {&entry.size, &entry.packed, &entry.header})
            if (*field == 0xffffffff && from + 8 <= end) {
                *field = number(extra, from, 8);
                from += 8;
            }
    }
}

}  // namespace

std::vector<ZipEntry> list_zip(const std::string &path) {
    File file(path);
    Directory directory = find_directory(file);
    if (directory.entries > kMostEntries || directory.bytes > kMostDirectory) file.damaged("its directory is too large");
    std::string bytes = file.read(directory.offset, directory.bytes);
    std::vector<ZipEntry> entries;
    size_t at = 0;
    for (int64_t i = 0; i < directory.entries; ++i) {
        if (at + kCentralBytes > bytes.size() || number(bytes, at, 4) != kCentral) file.damaged("its directory is damaged");
        auto name = size_t(number(bytes, at + 28, 2)), extra = size_t(number(bytes, at + 30, 2)),
             comment = size_t(number(bytes, at + 32, 2));
        if (at + kCentralBytes + name + extra + comment > bytes.size()) file.damaged("its directory ends early");
        ZipEntry entry{bytes.substr(at + kCentralBytes, name),
                       int(number(bytes, at + 10, 2)),
                       int(number(bytes, at + 8, 2)),
                       uint32_t(number(bytes, at + 16, 4)),
                       number(bytes, at + 20, 4),
                       number(bytes, at + 24, 4),
                       number(bytes, at + 42, 4)};
        read_zip64(bytes.substr(at + kCentralBytes + name, extra), entry);
        entries.push_back(std::move(entry));
        at += kCentralBytes + name + extra + comment;
    }
    return entries;
}

std::shared_ptr<ByteSource> read_zip(const std::string &path, const ZipEntry &entry) {
    File file(path);
    std::string label = path + ": " + entry.name;
    constexpr int kEncrypted = 1, kStored = 0, kDeflated = 8;
    if (entry.flags & kEncrypted) fail(ExitCode::data, "%s is encrypted", label.c_str());
    if (entry.method != kStored && entry.method != kDeflated)
        fail(ExitCode::data, "%s is packed by method %d; 0 (stored) and 8 (deflate) can be read", label.c_str(), entry.method);
    std::string local = file.read(entry.header, kLocalBytes);
    if (number(local, 0, 4) != kLocal) file.damaged("an entry is not where the directory says");
    int64_t begin = entry.header + kLocalBytes + number(local, 26, 2) + number(local, 28, 2);
    if (begin > file.size || entry.packed > file.size - begin) file.damaged("it ends early");
    auto check = [&](uint32_t crc) {
        if (crc != entry.crc) fail(ExitCode::data, "%s is damaged: its checksum differs", label.c_str());
    };
    if (entry.method == kStored) {
        if (entry.packed != entry.size) fail(ExitCode::data, "%s is damaged: its sizes differ", label.c_str());
        uLong crc = 0;
        for (int64_t done = 0; done < entry.size;) {
            std::string piece = file.read(begin + done, std::min<int64_t>(entry.size - done, 1 << 20));
            crc = ::crc32(crc, reinterpret_cast<const Bytef *>(piece.data()), uInt(piece.size()));
            done += int64_t(piece.size());
        }
        check(uint32_t(crc));
        return std::make_shared<ByteSource>(path, begin, entry.size, label);
    }
    if (entry.size / kMostDeflation > entry.packed)
        fail(ExitCode::data, "%s is damaged: %lld bytes cannot be in %lld", label.c_str(), (long long)entry.size,
             (long long)entry.packed);
    std::vector<uint8_t> content(static_cast<size_t>(entry.size));
    z_stream stream{};
    if (::inflateInit2(&stream, -MAX_WBITS) != Z_OK) fail(ExitCode::memory, "%s: cannot start decompression", label.c_str());
    int result = Z_OK;
    int64_t taken = 0, made = 0;
    std::string piece;
    uint8_t excess = 0;  // where a byte too many would go
    while (result == Z_OK && (taken < entry.packed || stream.avail_in > 0)) {
        if (stream.avail_in == 0) {
            piece = file.read(begin + taken, std::min<int64_t>(entry.packed - taken, 1 << 20));
            taken += int64_t(piece.size());
            stream.next_in = reinterpret_cast<Bytef *>(piece.data());
            stream.avail_in = uInt(piece.size());
        }
        int64_t room = entry.size - made;
        stream.next_out = room > 0 ? content.data() + made : &excess;
        stream.avail_out = uInt(std::clamp<int64_t>(room, 1, 1 << 30));
        uInt before = stream.avail_out;
        result = ::inflate(&stream, Z_NO_FLUSH);
        made += int64_t(before - stream.avail_out);
        if (made > entry.size) break;
    }
    ::inflateEnd(&stream);
    if (result != Z_STREAM_END || made != entry.size) fail(ExitCode::data, "%s is damaged: it cannot be unpacked", label.c_str());
    uLong crc = 0;
    for (int64_t done = 0; done < entry.size; done += 1 << 30)
        crc = ::crc32(crc, content.data() + done, uInt(std::min<int64_t>(entry.size - done, 1 << 30)));
    check(uint32_t(crc));
    return std::make_shared<ByteSource>(std::move(content), label);
}

}  // namespace kiln::runtime
