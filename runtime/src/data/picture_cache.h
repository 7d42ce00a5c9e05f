// PictureCache: decoded pictures in a file, for a split that is opened again and again.
//
// 64 bytes of header, one record of `record_bytes` for each picture, then a table in JSON: the settings the pictures were decoded
// with; name, size and modification time of each source; what was wrong with the bad ones; and an XXH64 of every record. A cache
// that differs from its sources in any of it, or is damaged, is not used.
#pragma once

#include "data/picture_set.h"
#include "support/file.h"

#include <memory>

namespace kiln::runtime {

class PictureCache {
public:
    /// The cache in `path` if it was made of these pictures with these settings and is whole; `errors` receives what is wrong
    /// with each picture, "" for a good one. Else null, and `reason` says why, "" if there is no such file. Throws Failure (data) if the file cannot be
    /// read or is no cache at all, which is nothing to be overwritten.
    static std::unique_ptr<PictureCache> open(const std::string &path, const std::string &settings,
                                              const std::vector<Picture> &pictures, int64_t record_bytes,
                                              std::vector<std::string> &errors, std::string &reason);

    /// Begins a new cache beside `path`, with its space reserved. Throws Failure (disk).
    PictureCache(const std::string &path, const std::string &settings, int64_t record_bytes, size_t records);
    ~PictureCache();
    /// From any thread, each record once.
    void write(size_t record, const uint8_t *bytes);
    /// Puts the file in its place; it can be read from then on.
    void finish(const std::vector<Picture> &pictures, const std::vector<std::string> &errors);

    void read(size_t record, uint8_t *to) const;

private:
    PictureCache() = default;

    std::string path_, temporary_, settings_;  ///< temporary_: the file being written, "" once it is in place
    FileDescriptor file_;
    int64_t record_bytes_ = 0;
    std::vector<uint64_t> checksums_;
};

}  // namespace kiln::runtime
