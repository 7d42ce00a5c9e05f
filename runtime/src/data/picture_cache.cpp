#include "data/picture_cache.h"

#include "support/hash.h"
#include "support/text.h"

#include <fcntl.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include <nlohmann/json.hpp>

namespace kiln::runtime {
namespace {

using Json = nlohmann::json;

constexpr char kMagic[] = "kiln pictures 1";  // with its zero 16 bytes
constexpr std::string_view kKind = "kiln pictures ";  // of any version
constexpr int64_t kHeaderBytes = 64;

struct Header {
    char magic[sizeof kMagic] = {};
    int64_t table_offset = 0, table_bytes = 0;
    uint64_t table_checksum = 0;
    uint8_t unused[kHeaderBytes - sizeof kMagic - 3 * 8] = {};
};
static_assert(sizeof(Header) == kHeaderBytes);

void write_at(const FileDescriptor &file, const std::string &path, const void *bytes, size_t count, int64_t offset) {
    auto *at = static_cast<const char *>(bytes);
    while (count > 0) {
        ssize_t written = ::pwrite(file.number(), at, count, offset);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) fail(ExitCode::disk, "cannot write %s: %s", path.c_str(), std::strerror(errno));
        at += written;
        offset += written;
        count -= size_t(written);
    }
}

// What of a picture's source must not have changed.
Json source_of(const Picture &picture) { return Json::array({picture.name, picture.bytes, picture.modified, picture.error}); }

// Why the table was not made of these pictures, "" if it was.
std::string difference(const Json &table, const std::string &settings, const std::vector<Picture> &pictures) {
    if (table.at("settings") != settings) return "was made with other settings";
    const Json &sources = table.at("sources");
    if (sources.size() != pictures.size())
        return format("is stale: it holds %zu pictures, now there are %zu", sources.size(), pictures.size());
    for (size_t i = 0; i < pictures.size(); ++i)
        if (sources[i] != source_of(pictures[i])) return "is stale: " + pictures[i].name + " is new or has changed";
    return "";
}

}  // namespace

std::unique_ptr<PictureCache> PictureCache::open(const std::string &path, const std::string &settings,
                                                 const std::vector<Picture> &pictures, int64_t record_bytes,
                                                 std::vector<std::string> &errors, std::string &reason) {
    reason.clear();
    if (!exists(path)) return nullptr;
    try {
        std::unique_ptr<PictureCache> cache(new PictureCache);
        cache->path_ = path;
        cache->file_ = open_for_reading(path, ExitCode::data);
        cache->record_bytes_ = record_bytes;
        Header header;
        int64_t size = size_of(cache->file_, path, ExitCode::data);
        read_at(cache->file_, path, &header, sizeof header, 0, ExitCode::data);
        if (std::memcmp(header.magic, kMagic, size_t(std::min<int64_t>(size, kKind.size()))) != 0 || !std::filesystem::is_regular_file(path))
            fail(ExitCode::data, "%s is to be a cache of pictures, but holds something else; remove it, or name another `cache`", path.c_str());
        reason = "is damaged";
        if (std::memcmp(header.magic, kMagic, sizeof kMagic) != 0 || header.table_offset < kHeaderBytes ||
            header.table_offset > size || header.table_bytes != size - header.table_offset)
            return nullptr;
        std::string text(size_t(header.table_bytes), '\0');
        read_at(cache->file_, path, text.data(), text.size(), header.table_offset, ExitCode::data);
        if (xxh64(text.data(), text.size()) != header.table_checksum) return nullptr;
        Json table = Json::parse(text);
        reason = difference(table, settings, pictures);
        if (!reason.empty()) return nullptr;
        reason = "is damaged";
        errors = table.at("errors").get<std::vector<std::string>>();
        cache->checksums_ = table.at("checksums").get<std::vector<uint64_t>>();
        size_t records = pictures.size();
        if (errors.size() != records || cache->checksums_.size() != records ||
            header.table_offset != kHeaderBytes + int64_t(records) * record_bytes)
            return nullptr;
        std::vector<uint8_t> record(static_cast<size_t>(record_bytes));
        for (size_t i = 0; i < records; ++i) {
            if (!errors[i].empty()) continue;
            cache->read(i, record.data());
            if (xxh64(record.data(), record.size()) != cache->checksums_[i]) return nullptr;
        }
        reason.clear();
        return cache;
    } catch (const Json::exception &) {
        reason = "is damaged";
    }
    return nullptr;
}

PictureCache::PictureCache(const std::string &path, const std::string &settings, int64_t record_bytes, size_t records)
    : path_(path),
      temporary_(path + format(".%d.new", int(::getpid()))),
      settings_(settings),
      record_bytes_(record_bytes),
      checksums_(records) {
    file_ = FileDescriptor(::open(temporary_.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
    if (!file_.valid()) fail(ExitCode::disk, "cannot create %s: %s", temporary_.c_str(), std::strerror(errno));
    if (int error = ::posix_fallocate(file_.number(), 0, kHeaderBytes + int64_t(records) * record_bytes)) {
        ::unlink(temporary_.c_str());
        fail(ExitCode::disk, "cannot write %s: %s", temporary_.c_str(), std::strerror(error));
    }
}

PictureCache::~PictureCache() {
    if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void PictureCache::write(size_t record, const uint8_t *bytes) {
    checksums_[record] = xxh64(bytes, size_t(record_bytes_));
    write_at(file_, temporary_, bytes, size_t(record_bytes_), kHeaderBytes + int64_t(record) * record_bytes_);
}

void PictureCache::finish(const std::vector<Picture> &pictures, const std::vector<std::string> &errors) {
    Json table{{"settings", settings_}, {"sources", Json::array()}, {"errors", errors}, {"checksums", checksums_}};
    for (const Picture &picture : pictures) table["sources"].push_back(source_of(picture));
    // Names are bytes of the file system and need not be UTF-8.
    std::string text = table.dump(-1, ' ', false, Json::error_handler_t::replace);
    Header header;
    std::memcpy(header.magic, kMagic, sizeof kMagic);
    header.table_offset = kHeaderBytes + int64_t(pictures.size()) * record_bytes_;
    header.table_bytes = int64_t(text.size());
    header.table_checksum = xxh64(text.data(), text.size());
    write_at(file_, temporary_, text.data(), text.size(), header.table_offset);
    write_at(file_, temporary_, &header, sizeof header, 0);
    flush_to_disk(file_, temporary_);
    if (::rename(temporary_.c_str(), path_.c_str()) != 0)
        fail(ExitCode::disk, "cannot write %s: %s", path_.c_str(), std::strerror(errno));
    temporary_.clear();
}

void PictureCache::read(size_t record, uint8_t *to) const {
    if (read_at(file_, path_, to, size_t(record_bytes_), kHeaderBytes + int64_t(record) * record_bytes_, ExitCode::data) !=
        size_t(record_bytes_))
        fail(ExitCode::data, "%s ends early: it was changed while it was used", path_.c_str());
}

}  // namespace kiln::runtime
