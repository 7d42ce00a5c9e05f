// Objects on disk by the text of everything they depend on. An entry holds its key and a checksum: one that is damaged, cut short or
// of another key counts as absent and is written anew.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace kiln {

class ObjectCache {
public:
    /// An empty folder name: nothing is ever found or kept. The folder is made when first written to.
    explicit ObjectCache(std::string folder) : folder_(std::move(folder)) {}

    bool read(const std::string &key, std::vector<uint8_t> &object) const;
    /// Atomic; a folder that cannot be written only costs the caching.
    void write(const std::string &key, const std::vector<uint8_t> &object) const;
    std::string path_of(const std::string &key) const;

private:
    std::string folder_;
};

}  // namespace kiln
