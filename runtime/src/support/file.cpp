#include "support/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cerrno>
#include <cstring>
#include <filesystem>

namespace kiln::runtime {
namespace {

[[noreturn]] void fail_disk(const char *action, const std::string &path) {
    fail(ExitCode::disk, "cannot %s %s: %s", action, path.c_str(), std::strerror(errno));
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

std::string read_file(const std::string &path, ExitCode code) {
    FileDescriptor file = open_for_reading(path, code);
    std::string content(size_t(size_of(file, path, code)), '\0');
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
    std::string fresh = path + ".new";
    {
        FileDescriptor file = create_file(fresh);
        write_all(file, fresh, content.data(), content.size());
        flush_to_disk(file, fresh);
    }
    if (::rename(fresh.c_str(), path.c_str()) != 0) fail_disk("replace", path);
}

bool exists(const std::string &path) {
    struct stat status {};
    return ::stat(path.c_str(), &status) == 0;
}

void make_folders(const std::string &path) {
    std::error_code error;
    std::filesystem::create_directories(path, error);
    if (error) fail(ExitCode::disk, "cannot create the folder %s: %s", path.c_str(), error.message().c_str());
    if (!std::filesystem::is_directory(path, error)) fail(ExitCode::disk, "%s exists and is not a folder", path.c_str());
}

void remove_all(const std::string &path) {
    std::error_code error;
    std::filesystem::remove_all(path, error);
    if (error) fail(ExitCode::disk, "cannot remove %s: %s", path.c_str(), error.message().c_str());
}

}  // namespace kiln::runtime
