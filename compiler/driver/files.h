// Files that the driver writes: every failure becomes a message with the file's name and the system's reason.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace kiln {

/// Replaces a file in one step, by renaming a finished temporary beside it; what is no regular file (/dev/stdout, a pipe) is
/// written directly. `executable` sets the x bits; else an existing file keeps its mode. Throws EnvironmentError.
void write_file(const std::string &path, std::string_view bytes, bool executable = false);
inline std::string_view as_text(const std::vector<uint8_t> &bytes) { return {reinterpret_cast<const char *>(bytes.data()), bytes.size()}; }

/// Throws EnvironmentError if not everything could be written.
void write_stdout(std::string_view text);

/// A folder for intermediate files, removed with everything in it.
class TemporaryFolder {
public:
    TemporaryFolder();
    ~TemporaryFolder();
    TemporaryFolder(const TemporaryFolder &) = delete;
    TemporaryFolder &operator=(const TemporaryFolder &) = delete;
    std::string file(const std::string &name) const { return (path_ / name).string(); }

private:
    std::filesystem::path path_;
};

}  // namespace kiln
