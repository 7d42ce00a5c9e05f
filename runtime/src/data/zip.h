// The files in a zip archive, as NumPy writes them (.npz): stored or deflated, with zip64's sizes, neither encrypted nor in
// several parts.
#pragma once

#include "data/byte_source.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace kiln::runtime {

struct ZipEntry {
    std::string name;
    int method = 0, flags = 0;
    uint32_t crc = 0;
    int64_t packed = 0, size = 0;  ///< bytes in the archive, and unpacked
    int64_t header = 0;            ///< where its local header begins
};

/// The entries, from the archive's central directory. Throws Failure (data).
std::vector<ZipEntry> list_zip(const std::string &path);

/// The content of an entry, its checksum verified. Stored content above 64 MiB stays on the disk; deflated content is unpacked
/// into memory, of which no more is taken than deflate can make of the bytes that are there. Throws Failure (data).
std::shared_ptr<ByteSource> read_zip(const std::string &path, const ZipEntry &entry);

}  // namespace kiln::runtime
