#include "data/tar_file.h"

#include "support/text.h"

#include <archive.h>
#include <archive_entry.h>
#include <sys/stat.h>
#include <algorithm>
#include <memory>
#include <unordered_map>

namespace kiln::runtime {
namespace {

constexpr int64_t kBlock = 512;  // what an archive is made of
constexpr int64_t kMostMemberBytes = int64_t(1) << 30, kMostUnpacked = int64_t(4) << 30;

// A compression that is not linked in is told by its first bytes, to say what to do.
const char *unpacker_for(const std::string &start) {
    if (start.starts_with(std::string_view("\xfd"
                                           "7zXZ")))
        return "xz -d";
    if (start.starts_with("\x28\xb5\x2f\xfd")) return "zstd -d";
    if (start.starts_with("BZh")) return "bzip2 -d";
    return nullptr;
}

std::string plain_name(std::string name) {
    if (name.starts_with("./")) name.erase(0, 2);
    return name;
}

}  // namespace

TarFile::TarFile(const std::string &path) : path_(path), file_(open_for_reading(path, ExitCode::data)) {
    const char *name = path.c_str();
    struct stat status {};
    ::fstat(file_.number(), &status);
    modified_ = int64_t(status.st_mtim.tv_sec) * 1000000000 + status.st_mtim.tv_nsec;
    std::string start(8, '\0');
    start.resize(read_at(file_, path, start.data(), start.size(), 0, ExitCode::data));
    if (start.empty()) fail(ExitCode::data, "%s is empty", name);
    if (const char *unpacker = unpacker_for(start))
        fail(ExitCode::data, "%s is compressed in a way that is not read here; unpack it: %s", name, unpacker);

    std::unique_ptr<archive, int (*)(archive *)> reader(archive_read_new(), archive_read_free);
    if (!reader) fail(ExitCode::memory, "out of memory");
    archive_read_support_format_tar(reader.get());
    archive_read_support_filter_gzip(reader.get());
    archive_read_set_options(reader.get(), "hdrcharset=BINARY");  // names are bytes, whatever the locale
    auto damaged = [&] {
        const char *reason = archive_error_string(reader.get());
        fail(ExitCode::data, "%s is no tar archive or damaged, after %zu files: %s", name, members_.size(),
             reason ? reason : "unknown");
    };
    if (archive_read_open_fd(reader.get(), file_.number(), 1 << 16) != ARCHIVE_OK) damaged();
    int64_t unpacked = 0, end = 0;  // end: of the last member
    bool knows_end = true;          // of a sparse file it is not known how much is stored
    std::unordered_map<std::string, size_t> places;  // of members, by name
    for (archive_entry *entry = nullptr;;) {
        int result = archive_read_next_header(reader.get(), &entry);
        if (result == ARCHIVE_EOF) break;
        if (result < ARCHIVE_WARN) damaged();
        packed_ = archive_filter_code(reader.get(), 0) != ARCHIVE_FILTER_NONE;
        const char *pathname = archive_entry_pathname(entry);
        if (!pathname) damaged();
        const bool has_content = archive_entry_filetype(entry) == AE_IFREG && !archive_entry_hardlink(entry);
        knows_end &= archive_entry_sparse_count(entry) == 0;
        end = archive_filter_bytes(reader.get(), 0) + (has_content ? (archive_entry_size(entry) + kBlock - 1) / kBlock * kBlock : 0);
        if (archive_entry_filetype(entry) == AE_IFDIR) continue;
        Member member{plain_name(pathname), archive_entry_size(entry), "", 0};
        if (const char *link = archive_entry_hardlink(entry)) {  // GNU tar writes a file of several names once
            if (auto found = places.find(plain_name(link)); found != places.end()) {
                const std::string own = member.name;
                member = members_[found->second];
                member.name = own;
            } else {
                member.error = format("%s: %s is a link to %s, which is not in the archive before it", name, member.name.c_str(), link);
            }
            places[member.name] = members_.size();
            members_.push_back(std::move(member));
            continue;
        }
        if (archive_entry_filetype(entry) != AE_IFREG)
            member.error = format("%s: %s is %s", name, member.name.c_str(), archive_entry_filetype(entry) == AE_IFLNK ? "a symbolic link" : "no file, but a device or the like");
        else if (member.bytes < 0 || member.bytes > kMostMemberBytes)
            member.error = format("%s: %s has %lld bytes: too many", name, member.name.c_str(), (long long)member.bytes);
        else if (archive_entry_sparse_count(entry) > 0)
            member.error = format("%s: %s is a sparse file", name, member.name.c_str());
        else if (!packed_)
            member.offset = archive_filter_bytes(reader.get(), 0);
        else if ((unpacked += member.bytes) > kMostUnpacked)
            fail(ExitCode::data,
                 "%s: its files take more than 4 GiB unpacked, which would have to be in memory; unpack it: gzip -d", name);
        if (member.error.empty() && packed_) {
            std::string content;
            while (int64_t(content.size()) < member.bytes) {  // memory is taken as content arrives
                size_t done = content.size(), want = size_t(std::min<int64_t>(member.bytes - int64_t(done), 1 << 20));
                content.resize(done + want);
                la_ssize_t got = archive_read_data(reader.get(), content.data() + done, want);
                if (got <= 0) damaged();
                content.resize(done + size_t(got));
            }
            member.offset = int64_t(contents_.size());
            contents_.push_back(std::move(content));
        }
        places[member.name] = members_.size();
        members_.push_back(std::move(member));
    }
    if (knows_end) check_end(archive_filter_bytes(reader.get(), 0), end);
}

void TarFile::check_end(int64_t read, int64_t end) const {
    if (read < end + kBlock)
        fail(ExitCode::data, "%s ends after %zu files without the empty blocks that close a tar archive: a part of it is missing", path_.c_str(), members_.size());
    std::string rest(size_t(1) << 16, '\0');
    for (int64_t at = end; !packed_;) {
        const size_t got = read_at(file_, path_, rest.data(), rest.size(), at, ExitCode::data);
        if (got == 0) break;
        if (rest.find_first_not_of('\0') < got)
            fail(ExitCode::data, "%s goes on behind the end of a tar archive, after %zu files: archives that were joined are split again, or given as several shards",
                 path_.c_str(), members_.size());
        at += int64_t(got);
    }
}

std::string TarFile::read(size_t index) const {
    const Member &member = members_[index];
    if (packed_) return contents_[size_t(member.offset)];
    std::string content(size_t(member.bytes), '\0');
    if (read_at(file_, path_, content.data(), content.size(), member.offset, ExitCode::data) != content.size())
        fail(ExitCode::data, "%s: %s ends early", path_.c_str(), member.name.c_str());
    return content;
}

}  // namespace kiln::runtime
