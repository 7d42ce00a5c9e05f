#include "support/file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

namespace kiln::runtime {
namespace {

[[noreturn]] void fail_disk(const char *action, const std::string &path) {
    fail(ExitCode::disk, "cannot %s %s: %s", action, path.c_str(), std::strerror(errno));
}

std::string fresh_name(const std::string &path, int number) { return path + "." + std::to_string(number) + ".new"; }

// A file of a name that nothing has.
FileDescriptor create_beside(const std::string &path, std::string &name) {
    for (int number = 0;; ++number) {
        name = fresh_name(path, number);
        FileDescriptor file(::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
        if (file.valid()) return file;
        if (errno != EEXIST) fail_disk("create", path);
    }
}

}  // namespace

FileDescriptor &FileDescriptor::operator=(FileDescriptor &&other) noexcept {
    std::swap(number_, other.number_);
    return *this;
}

FileDescriptor::~FileDescriptor() {
    if (number_ >= 0) ::close(number_);
}

FileDescriptor open_for_reading(const std::string &path, ExitCode code) {
    FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file.valid()) fail(code, "cannot open %s: %s", path.c_str(), std::strerror(errno));
    struct stat status {};
    if (::fstat(file.number(), &status) == 0 && S_ISDIR(status.st_mode)) fail(code, "%s is a folder, not a file", path.c_str());
    return file;
}

FileDescriptor create_file(const std::string &path) {
    FileDescriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
    if (!file.valid()) fail_disk("create", path);
    return file;
}

FileDescriptor open_for_appending(const std::string &path) {
    FileDescriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666));
    if (!file.valid()) fail_disk("open", path);
    return file;
}

size_t read_at(const FileDescriptor &file, const std::string &path, void *to, size_t count, int64_t offset, ExitCode code) {
    size_t done = 0;
    while (done < count) {
        ssize_t got = ::pread(file.number(), static_cast<char *>(to) + done, count - done, offset + int64_t(done));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) fail(code, "cannot read %s: %s", path.c_str(), std::strerror(errno));
        if (got == 0) break;
        done += size_t(got);
    }
    return done;
}

int64_t size_of(const FileDescriptor &file, const std::string &path, ExitCode code) {
    struct stat status {};
    if (::fstat(file.number(), &status) != 0) fail(code, "cannot examine %s: %s", path.c_str(), std::strerror(errno));
    return status.st_size;
}

/// What has no size before it is read, such as a pipe.
static std::string read_stream(const FileDescriptor &file, const std::string &path, ExitCode code) {
    constexpr size_t kMost = size_t(1) << 30, kPart = size_t(1) << 16;
    std::string content;
    for (;;) {
        const size_t before = content.size();
        content.resize(before + kPart);
        const ssize_t got = ::read(file.number(), content.data() + before, kPart);
        content.resize(before + size_t(std::max<ssize_t>(got, 0)));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) fail(code, "cannot read %s: %s", path.c_str(), std::strerror(errno));
        if (got == 0) return content;
        if (content.size() > kMost) fail(code, "%s has more than 1 GiB, and goes on", path.c_str());
    }
}

std::string read_file(const std::string &path, ExitCode code) {
    FileDescriptor file = open_for_reading(path, code);
    const int64_t size = size_of(file, path, code);
    if (size == 0) return read_stream(file, path, code);
    std::string content(size_t(size), '\0');
    content.resize(read_at(file, path, content.data(), content.size(), 0, code));
    return content;
}

void write_all(const FileDescriptor &file, const std::string &path, const void *bytes, size_t count) {
    auto *at = static_cast<const char *>(bytes);
    while (count > 0) {
        ssize_t written = ::write(file.number(), at, count);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) fail_disk("write", path);
        at += written;
        count -= size_t(written);
    }
}

void flush_to_disk(const FileDescriptor &file, const std::string &path) {
    // EINVAL: something without storage behind it, such as /dev/full or a pipe.
    if (::fsync(file.number()) != 0 && errno != EINVAL) fail_disk("write", path);
}

void flush_folder(const std::string &path) {
    FileDescriptor folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!folder.valid()) fail_disk("open", path);
    flush_to_disk(folder, path);
}

void replace_file(const std::string &path, std::string_view content) {
    struct stat status {}, output {};
    const bool present = ::stat(path.c_str(), &status) == 0;
    if (!present && errno != ENOENT) fail_disk("write", path);
    // Through the descriptor the content comes behind what was printed, be it a file, a pipe or a socket.
    if (present && ::fstat(STDOUT_FILENO, &output) == 0 && output.st_dev == status.st_dev && output.st_ino == status.st_ino) {
        std::fflush(stdout);
        FileDescriptor file(::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0));
        return write_all(file, path, content.data(), content.size());
    }
    // Devices and pipes stay what they are; a folder fails to open.
    if (present && !S_ISREG(status.st_mode)) {
        FileDescriptor file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
        if (!file.valid()) fail_disk("write", path);
        return write_all(file, path, content.data(), content.size());
    }
    const std::string target = behind_links(path);
    std::string fresh;
    FileDescriptor file = create_beside(target, fresh);
    try {
        if (present) ::fchmod(file.number(), status.st_mode & 07777);
        write_all(file, path, content.data(), content.size());
        flush_to_disk(file, path);
        if (::rename(fresh.c_str(), target.c_str()) != 0) fail_disk("replace", path);
    } catch (...) {
        ::unlink(fresh.c_str());
        throw;
    }
}

void remove_unfinished(const std::string &path) {
    const std::string target = behind_links(path);
    for (int number = 0; exists(fresh_name(target, number)); ++number) remove_all(fresh_name(target, number));
}

std::string behind_links(const std::string &path) {
    std::filesystem::path target = path;
    while (std::filesystem::is_symlink(target)) target = target.parent_path() / std::filesystem::read_symlink(target);
    return target.string();
}

bool exists(const std::string &path) {
    struct stat status {};
    return ::stat(path.c_str(), &status) == 0;
}

void rename_file(const std::string &from, const std::string &to) {
    if (::rename(from.c_str(), to.c_str()) != 0)
        fail(ExitCode::disk, "cannot rename %s to %s: %s", from.c_str(), to.c_str(), std::strerror(errno));
}

void make_folders(const std::string &path) {
    std::error_code error;
    std::filesystem::create_directories(path, error);
    if (error) fail(ExitCode::disk, "cannot create the folder %s: %s", path.c_str(), error.message().c_str());
    if (!std::filesystem::is_directory(path, error)) fail(ExitCode::disk, "%s exists and is not a folder", path.c_str());
}

FileDescriptor lock_folder(const std::string &path) {
    make_folders(path);
    FileDescriptor folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!folder.valid()) fail_disk("open the folder", path);
    return ::flock(folder.number(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK ? FileDescriptor() : std::move(folder);
}

void remove_all(const std::string &path) {
    std::error_code error;
    std::filesystem::remove_all(path, error);
    if (error) fail(ExitCode::disk, "cannot remove %s: %s", path.c_str(), error.message().c_str());
}

}  // namespace kiln::runtime
