// TarFile: the files in a tar archive (ustar, pax, GNU), by libarchive; a hard link is the file that it is a name of. Of a plain archive the members are read from
// where they stand, so that its size does not matter; the members of a gzipped one are unpacked into memory, as their compressed
// bytes are no place to jump to.
#pragma once

#include "support/file.h"

#include <cstdint>
#include <string>
#include <vector>

namespace kiln::runtime {

class TarFile {
public:
    struct Member {
        std::string name;  ///< without a leading ./
        int64_t bytes = 0;
        std::string error;   ///< why it cannot be read, else empty
        int64_t offset = 0;  ///< of the content: in the archive, or its index in memory
    };

    /// Lists the archive. Throws Failure (data) where it is damaged, is no tar archive, or would need more than 4 GiB of memory.
    explicit TarFile(const std::string &path);

    const std::string &path() const { return path_; }
    int64_t modified() const { return modified_; }  ///< nanoseconds
    const std::vector<Member> &members() const { return members_; }
    /// The content of a member; from any thread.
    std::string read(size_t member) const;

private:
    /// Throws Failure (data) unless the archive is closed behind its last member, which ends at `end`, and nothing follows. `read`: bytes so far.
    void check_end(int64_t read, int64_t end) const;

    std::string path_;
    FileDescriptor file_;
    int64_t modified_ = 0;
    std::vector<Member> members_;
    std::vector<std::string> contents_;  ///< of a gzipped archive
    bool packed_ = false;
};

}  // namespace kiln::runtime
