#include "compiler/driver/files.h"

#include "compiler/driver/failure.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace kiln {

namespace {

[[noreturn]] void fail_to_write(const std::string &path) {
    throw EnvironmentError(fmt::format("cannot write `{}`: {}", path, std::strerror(errno)));
}

bool write_all(int descriptor, std::string_view bytes) {
    while (!bytes.empty()) {
        ssize_t written = ::write(descriptor, bytes.data(), bytes.size());
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return false;
        bytes.remove_prefix(size_t(written));
    }
    return true;
}

}  // namespace

void write_file(const std::string &path, std::string_view bytes, bool executable) {
    struct stat status {};
    bool exists = ::stat(path.c_str(), &status) == 0;
    if (exists && S_ISDIR(status.st_mode)) { errno = EISDIR; fail_to_write(path); }
    if (exists && !S_ISREG(status.st_mode)) {
        int descriptor = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
        if (descriptor < 0) fail_to_write(path);
        bool written = write_all(descriptor, bytes);
        if (::close(descriptor) != 0 || !written) fail_to_write(path);
        return;
    }
    // A symbolic link stays one: its target is replaced.
    std::error_code ignored;
    std::string target = exists ? std::filesystem::canonical(path, ignored).string() : path;
    if (target.empty()) target = path;
    std::string temporary = target + ".kiln-XXXXXX";
    int descriptor = ::mkostemp(temporary.data(), O_CLOEXEC);
    if (descriptor < 0) fail_to_write(path);
    mode_t mask = ::umask(0);
    ::umask(mask);
    mode_t mode = executable ? 0777 & ~mask : exists ? status.st_mode & 07777 : 0666 & ~mask;
    bool written = write_all(descriptor, bytes) && ::fchmod(descriptor, mode) == 0 && ::fsync(descriptor) == 0;
    int problem = errno;
    if (::close(descriptor) != 0 && written) { written = false; problem = errno; }
    if (written && ::rename(temporary.c_str(), target.c_str()) != 0) { written = false; problem = errno; }
    if (!written) {
        ::unlink(temporary.c_str());
        errno = problem;
        fail_to_write(path);
    }
}

void write_stdout(std::string_view text) {
    if (!write_all(STDOUT_FILENO, text)) fail_to_write("standard output");
}

TemporaryFolder::TemporaryFolder() {
    std::error_code problem;
    std::string name = (std::filesystem::temp_directory_path(problem) / "kiln-XXXXXX").string();
    if (problem) throw EnvironmentError(fmt::format("no folder for temporary files: {}", problem.message()));
    if (!::mkdtemp(name.data())) fail_to_write(name);
    path_ = name;
}

TemporaryFolder::~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

}  // namespace kiln
