// images(folder, ..): a folder with a folder of pictures for each class, or, for pictures without labels, a folder of pictures.
// Records are in the order of their names below the folder.
#include "data/picture_set.h"
#include "support/failure.h"
#include "support/file.h"
#include "support/text.h"

#include <sys/stat.h>
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <map>
#include <memory>

namespace kiln::runtime {
namespace {

constexpr size_t kShown = 5;
constexpr int64_t kMostBytes = int64_t(1) << 30;  // of a file

// The names in a folder but for hidden ones, sorted by their bytes.
std::vector<std::string> names_in(const std::string &folder) {
    std::vector<std::string> names;
    std::error_code error;
    for (std::filesystem::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
        std::string name = at->path().filename().string();
        if (!name.starts_with('.')) names.push_back(name);
    }
    if (error) fail(ExitCode::data, "cannot read the folder %s: %s", folder.c_str(), error.message().c_str());
    std::sort(names.begin(), names.end());
    return names;
}

bool is_folder(const std::string &path) {
    struct stat status {};
    return ::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

struct Listing {
    std::string root;
    std::vector<Picture> pictures;
    std::vector<std::string> ignored;  ///< by name they are no pictures
    std::vector<std::string> links;    ///< to folders, inside class folders: they are not followed
    std::vector<std::string> broken;   ///< links that lead nowhere and are by name no pictures
    size_t loose = 0;                  ///< pictures in no class folder
    std::vector<std::string> empty;    ///< class folders without pictures

    void add_file(const std::string &name, const std::string &class_name) {
        if (!named_as_picture(name)) return (exists(root + name) ? ignored : broken).push_back(name);
        Picture picture{name, class_name, 0, 0, ""};
        struct stat status {};
        std::string path = root + name;
        if (::stat(path.c_str(), &status) != 0)
            picture.error = format("cannot open %s: %s", path.c_str(), std::strerror(errno));
        else if (!S_ISREG(status.st_mode))
            picture.error = path + " is no file";
        else if (status.st_size > kMostBytes)
            picture.error = format("%s has %lld bytes: too many for a picture", path.c_str(), (long long)status.st_size);
        picture.bytes = status.st_size;
        picture.modified = int64_t(status.st_mtim.tv_sec) * 1000000000 + status.st_mtim.tv_nsec;
        pictures.push_back(std::move(picture));
    }
    // Pictures below a class's folder may lie in folders of their own. Links to folders are followed only at the top, where they
    // cannot lead in a circle.
    void add_class_folder(const std::string &below, const std::string &class_name) {
        for (const std::string &name : names_in(root + below)) {
            std::string path = below + "/" + name;
            if (!is_folder(root + path))
                add_file(path, class_name);
            else if (!std::filesystem::is_symlink(root + path))
                add_class_folder(path, class_name);
            else
                links.push_back(path);
        }
    }
};

// A link to another class's folder would give each of its pictures two classes.
void check_class_folders(const Listing &listing, const std::vector<std::string> &folders) {
    std::map<std::filesystem::path, std::string> known;
    for (const std::string &name : folders) {
        std::error_code error;
        const auto [first, is_new] = known.try_emplace(std::filesystem::canonical(listing.root + name, error), name);
        if (!is_new && !error)
            fail(ExitCode::data, "%s: the class folders %s and %s are one folder under two names: remove the link", listing.root.c_str(), first->second.c_str(), name.c_str());
    }
}

Listing list(const std::string &folder) {
    Listing listing;
    listing.root = folder + (folder.ends_with('/') ? "" : "/");
    if (!exists(folder)) fail(ExitCode::data, "there is no folder %s", folder.c_str());
    if (!is_folder(folder)) fail(ExitCode::data, "%s is no folder", folder.c_str());
    std::vector<std::string> class_folders;
    for (const std::string &name : names_in(folder)) {
        size_t before = listing.pictures.size();
        if (!is_folder(listing.root + name)) {
            listing.add_file(name, "");
            listing.loose += listing.pictures.size() - before;
        } else {
            class_folders.push_back(name);
            listing.add_class_folder(name, name);
            if (listing.pictures.size() == before) listing.empty.push_back(name);
        }
    }
    check_class_folders(listing, class_folders);
    return listing;
}

void warn_of(const std::string &root, const std::vector<std::string> &names, const char *what, const char *why) {
    if (names.empty()) return;
    const std::vector<std::string> shown(names.begin(), names.begin() + int64_t(std::min(names.size(), kShown)));
    std::fprintf(stderr, "warning: %s: %zu %s are not read, as %s: %s%s\n", root.c_str(), names.size(), what, why, join(shown, ", ").c_str(),
                 names.size() > kShown ? ", .." : "");
}

}  // namespace

Dataset open_images(const ReaderRequest &request) {
    Listing listing = list(request.path_argument("folder"));
    const char *root = listing.root.c_str();
    warn_of(listing.root, listing.ignored, "files", "their names are not those of pictures");
    warn_of(listing.root, listing.links, "folders", "they are links inside the folder of a class");
    warn_of(listing.root, listing.broken, "links", "they lead nowhere");
    if (!listing.empty.empty())
        fail(ExitCode::data, "%s: no pictures are in the class folder%s %s", root, listing.empty.size() == 1 ? "" : "s",
             join(listing.empty, ", ").c_str());
    if (listing.loose > 0 && listing.loose < listing.pictures.size())
        fail(ExitCode::data, "%s: %zu pictures are in class folders and %zu in none, such as %s", root,
             listing.pictures.size() - listing.loose, listing.loose,
             std::find_if(listing.pictures.begin(), listing.pictures.end(), [](const Picture &picture) {
                 return picture.class_name.empty();
             })->name.c_str());
    PictureSource source;
    source.title = source.place = listing.root;
    if (listing.loose > 0) source.no_labels = "its pictures are in no class folders";
    source.pictures = std::move(listing.pictures);
    auto names = std::make_shared<std::vector<std::string>>();
    for (const Picture &picture : source.pictures) names->push_back(listing.root + picture.name);
    source.read = [names](size_t picture) { return read_file((*names)[picture], ExitCode::data); };
    return open_pictures(request, std::move(source));
}

}  // namespace kiln::runtime
