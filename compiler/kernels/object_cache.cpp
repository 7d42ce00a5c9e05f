#include "compiler/kernels/object_cache.h"

#include <fmt/format.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <unistd.h>

namespace kiln {

namespace {

constexpr char kMagic[8] = {'k', 'i', 'l', 'n', 'o', 'b', 'j', '1'};

/// FNV-1a, 64 bits.
uint64_t hash(std::string_view text, uint64_t state = 0xcbf29ce484222325u) {
    for (unsigned char c : text) state = (state ^ c) * 0x100000001b3u;
    return state;
}

struct Header {
    char magic[8];
    uint64_t key_size, object_size, checksum;  ///< of key and object
};

std::string_view as_text(const std::vector<uint8_t> &bytes) { return {reinterpret_cast<const char *>(bytes.data()), bytes.size()}; }

}  // namespace

std::string ObjectCache::path_of(const std::string &key) const {
    return fmt::format("{}/{:016x}{:016x}.o", folder_, hash(key), hash(key, 0x9ae16a3b2f90404fu));
}

bool ObjectCache::read(const std::string &key, std::vector<uint8_t> &object) const {
    if (folder_.empty()) return false;
    std::ifstream in(path_of(key), std::ios::binary | std::ios::ate);
    if (!in) return false;
    const uint64_t size = uint64_t(in.tellg());
    Header header;
    in.seekg(0);
    if (!in.read(reinterpret_cast<char *>(&header), sizeof header)) return false;
    if (memcmp(header.magic, kMagic, sizeof kMagic) != 0 || header.key_size != key.size() || header.object_size > size ||
        size != sizeof header + header.key_size + header.object_size)
        return false;
    std::string stored_key(key.size(), 0);
    std::vector<uint8_t> bytes(header.object_size);
    if (!in.read(stored_key.data(), long(stored_key.size())) || !in.read(reinterpret_cast<char *>(bytes.data()), long(bytes.size()))) return false;
    if (stored_key != key || hash(as_text(bytes), hash(key)) != header.checksum) return false;
    object = std::move(bytes);
    return true;
}

void ObjectCache::write(const std::string &key, const std::vector<uint8_t> &object) const {
    if (folder_.empty()) return;
    std::error_code error;
    std::filesystem::create_directories(folder_, error);
    if (error) return;
    const std::string path = path_of(key), temporary = fmt::format("{}.{}.tmp", path, getpid());
    Header header{{}, key.size(), object.size(), hash(as_text(object), hash(key))};
    memcpy(header.magic, kMagic, sizeof kMagic);
    {
        std::ofstream out(temporary, std::ios::binary | std::ios::trunc);
        out.write(reinterpret_cast<const char *>(&header), sizeof header);
        out.write(key.data(), long(key.size()));
        out.write(reinterpret_cast<const char *>(object.data()), long(object.size()));
        out.close();
        if (out) {
            std::filesystem::rename(temporary, path, error);
            if (!error) return;
        }
    }
    std::filesystem::remove(temporary, error);
}

}  // namespace kiln
