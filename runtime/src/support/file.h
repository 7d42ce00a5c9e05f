// Files: descriptors that close themselves, whole-file reads, and writes that are on the disk when they return.
// Every error throws a Failure naming the path: ExitCode::disk for writing, the caller's code for reading.
#pragma once

#include "support/failure.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kiln::runtime {

class FileDescriptor {
public:
    FileDescriptor() = default;
    explicit FileDescriptor(int number) : number_(number) {}
    FileDescriptor(FileDescriptor &&other) noexcept : number_(other.number_) { other.number_ = -1; }
    FileDescriptor &operator=(FileDescriptor &&other) noexcept;
    ~FileDescriptor();
    int number() const { return number_; }
    bool valid() const { return number_ >= 0; }

private:
    int number_ = -1;
};

FileDescriptor open_for_reading(const std::string &path, ExitCode code);
FileDescriptor create_file(const std::string &path);
FileDescriptor open_for_appending(const std::string &path);

/// Reads up to `count` bytes at `offset`; fewer only at the end of the file.
size_t read_at(const FileDescriptor &file, const std::string &path, void *to, size_t count, int64_t offset, ExitCode code);
int64_t size_of(const FileDescriptor &file, const std::string &path, ExitCode code);
std::string read_file(const std::string &path, ExitCode code);

void write_all(const FileDescriptor &file, const std::string &path, const void *bytes, size_t count);
void flush_to_disk(const FileDescriptor &file, const std::string &path);
/// Makes the names in a folder durable.
void flush_folder(const std::string &path);
/// Replaces `path`, or what a symbolic link of that name leads to, by a file with this content, atomically. What is no regular file (a device, a pipe), and the
/// standard output whatever it is, is written to instead.
void replace_file(const std::string &path, std::string_view content);
/// Removes what processes that were killed in replace_file left beside `path`. Needs the right to write there alone.
void remove_unfinished(const std::string &path);
/// What the symbolic links of this name lead to, be it there or not, which a new file is to replace in place of the link.
std::string behind_links(const std::string &path);

bool exists(const std::string &path);
void rename_file(const std::string &from, const std::string &to);
void make_folders(const std::string &path);
/// Makes the folder if need be and locks it for as long as the descriptor lives; not valid if another process has locked it.
FileDescriptor lock_folder(const std::string &path);
/// Removes a folder and all in it, or a file; nothing if it does not exist.
void remove_all(const std::string &path);

}  // namespace kiln::runtime
