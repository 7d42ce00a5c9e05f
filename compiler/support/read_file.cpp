#include "compiler/support/read_file.h"

#include "compiler/support/diagnostic_codes.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace kiln {

std::optional<FileIdentity> identity_of(const std::string &path) {
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) return std::nullopt;
    return FileIdentity{status.st_dev, status.st_ino};
}

std::optional<std::string> read_file(const std::string &path, size_t most) {
    int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) return std::nullopt;
    std::string text;
    char block[1 << 16];
    while (text.size() < most) {
        ssize_t count = ::read(descriptor, block, std::min(sizeof block, most - text.size()));
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) {
            int problem = errno;
            ::close(descriptor);
            errno = problem;
            return std::nullopt;
        }
        if (count == 0) break;
        text.append(block, size_t(count));
    }
    ::close(descriptor);
    return text;
}

const SourceFile *read_source(const std::string &path, SourceMap &sources, Diagnostics &diagnostics, SourceRange range) {
    std::optional<std::string> text = read_file(path, kMaxFileBytes + 1);
    if (text) return &sources.add(path, std::move(*text), identity_of(path));
    diagnostics.report(DiagnosticCode::cannot_read_file, range, {path, std::strerror(errno)});
    return nullptr;
}

}  // namespace kiln
