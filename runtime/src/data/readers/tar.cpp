// tar(shards, ..): pictures in tar archives, plain or gzipped. A picture's class is the text of the file beside it that has its
// name but .cls or .txt (as WebDataset writes them: 0007.jpg, 0007.cls), or, where an archive has no such files, the folder it is
// in. Records are in the order of the shards and of the files in them.
#include "data/picture_set.h"
#include "data/tar_file.h"
#include "support/failure.h"
#include "support/text.h"

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <memory>
#include <unordered_map>
#include <unordered_set>

namespace kiln::runtime {
namespace {

constexpr size_t kShown = 5, kMostShards = 100000, kMostLabelBytes = 256;

/// train-{000..009}.tar -> train-000.tar, .., train-009.tar; a path without braces stays one.
std::vector<std::string> expand(const std::string &path, const std::string &split) {
    size_t open = path.find('{'), dots = path.find("..", open), close = path.find('}', open);
    if (open == std::string::npos || dots == std::string::npos || close == std::string::npos || dots > close) return {path};
    std::string first = path.substr(open + 1, dots - open - 1), last = path.substr(dots + 2, close - dots - 2);
    auto is_number = [](const std::string &text) {
        return !text.empty() && text.size() < 10 &&
               std::all_of(text.begin(), text.end(), [](char c) { return std::isdigit(uint8_t(c)); });
    };
    if (!is_number(first) || !is_number(last) || std::stol(last) < std::stol(first) ||
        std::stol(last) - std::stol(first) >= long(kMostShards))
        fail(ExitCode::data, "split %s: `%s` names no range of shards; an example: train-{000..009}.tar", split.c_str(),
             path.c_str());
    std::vector<std::string> paths;
    for (long i = std::stol(first); i <= std::stol(last); ++i)
        paths.push_back(path.substr(0, open) + format("%0*ld", int(first.size()), i) + path.substr(close + 1));
    return paths;
}

std::vector<std::string> shards_of(const ReaderRequest &request) {
    const Value *shards = request.argument("shards");
    std::vector<Value> values = shards && shards->kind == Value::Kind::list ? shards->list
                                : shards                                    ? std::vector{*shards}
                                                                            : std::vector<Value>();
    std::vector<std::string> paths;
    for (const Value &value : values) {
        if (value.kind != Value::Kind::path && value.kind != Value::Kind::string)
            fail(ExitCode::data, "split %s: the `shards` of tar are no paths", request.split.name.c_str());
        for (std::string &path : expand(request.path(value), request.split.name)) paths.push_back(std::move(path));
    }
    if (paths.empty()) fail(ExitCode::data, "split %s: tar was given no shards", request.split.name.c_str());
    return paths;
}

std::string base_name(const std::string &path) { return path.substr(path.rfind('/') + 1); }

/// What the files of one sample have in common: the path up to the first dot of the name.
std::string key_of(const std::string &path) {
    size_t name = path.rfind('/') + 1;
    return path.substr(0, path.find('.', name));
}

std::string folder_of(const std::string &path) {
    size_t slash = path.rfind('/');
    if (slash == std::string::npos) return "";
    std::string folder = base_name(path.substr(0, slash));
    return folder == "." ? "" : folder;
}

std::string trimmed(const std::string &text) {
    size_t first = text.find_first_not_of(" \t\r\n"), last = text.find_last_not_of(" \t\r\n");
    return first == std::string::npos ? "" : text.substr(first, last - first + 1);
}

/// The pictures of one shard with their classes.
struct Shard {
    std::vector<Picture> pictures;
    std::vector<size_t> members;       ///< by picture
    std::vector<std::string> ignored;  ///< neither pictures nor labels
};

Shard read_shard(const TarFile &file, const std::string &prefix, int64_t modified) {
    Shard shard;
    std::unordered_map<std::string, std::string> labels;  // by key; of .cls rather than .txt
    std::unordered_set<std::string> from_cls, seen;
    const auto &members = file.members();
    for (size_t i = 0; i < members.size(); ++i) {
        const std::string &name = members[i].name;
        if (named_as_picture(name)) {
            Picture picture{prefix + name, "", members[i].bytes, modified, members[i].error};
            if (!seen.insert(name).second) picture.error = file.path() + ": " + name + " is in the archive twice";
            shard.pictures.push_back(std::move(picture));
            shard.members.push_back(i);
        } else if (bool is_cls = name.ends_with(".cls"); is_cls || name.ends_with(".txt")) {
            if (members[i].bytes > int64_t(kMostLabelBytes) || !members[i].error.empty()) continue;  // a caption, not a class
            std::string key = key_of(name);
            if (!is_cls && from_cls.count(key)) continue;
            if (is_cls) from_cls.insert(key);
            labels[key] = trimmed(file.read(i));
        } else {
            shard.ignored.push_back(name);
        }
    }
    for (size_t p = 0; p < shard.pictures.size(); ++p) {
        const std::string &name = members[shard.members[p]].name;
        Picture &picture = shard.pictures[p];
        if (labels.empty()) {
            picture.class_name = folder_of(name);
        } else if (auto found = labels.find(key_of(name)); found != labels.end() && !found->second.empty()) {
            picture.class_name = found->second;
        } else if (picture.error.empty()) {
            picture.error = file.path() + ": " + name + " has no class: there is no " + key_of(name) + ".cls or .txt with one";
        }
    }
    return shard;
}

}  // namespace

Dataset open_tar(const ReaderRequest &request) {
    const std::vector<std::string> paths = shards_of(request);
    struct Member {
        size_t shard, member;
    };
    auto files = std::make_shared<std::vector<TarFile>>();
    auto members = std::make_shared<std::vector<Member>>();
    PictureSource source;
    source.title = paths.size() == 1 ? paths[0] : paths.front() + " .. " + paths.back();
    source.place = paths.size() == 1 ? paths[0] + ": " : "";
    std::vector<std::string> ignored;
    size_t ignored_count = 0, loose = 0;
    for (const std::string &path : paths) {
        TarFile &file = files->emplace_back(path);
        Shard shard = read_shard(file, paths.size() == 1 ? "" : path + ": ", file.modified());
        for (size_t p = 0; p < shard.pictures.size(); ++p) {
            loose += shard.pictures[p].class_name.empty() && shard.pictures[p].error.empty();
            members->push_back({files->size() - 1, shard.members[p]});
            source.pictures.push_back(std::move(shard.pictures[p]));
        }
        ignored_count += shard.ignored.size();
        for (const std::string &name : shard.ignored)
            if (ignored.size() < kShown) ignored.push_back(base_name(path) + ": " + name);
    }
    if (ignored_count > 0)
        std::fprintf(
            stderr, "warning: split %s: %zu files in the archives are not read, as they are neither pictures nor classes: %s%s\n",
            request.split.name.c_str(), ignored_count, join(ignored, ", ").c_str(), ignored_count > kShown ? ", .." : "");
    size_t good = size_t(std::count_if(source.pictures.begin(), source.pictures.end(),
                                       [](const Picture &picture) { return picture.error.empty(); }));
    if (loose > 0 && loose == good) source.no_labels = "its pictures are in no folders and have no .cls or .txt files";
    if (loose > 0 && loose < good)
        for (Picture &picture : source.pictures)
            if (picture.class_name.empty() && picture.error.empty())
                picture.error = source.place + picture.name + " has no class: it is in no folder and has no .cls or .txt file";
    source.read = [files, members](size_t picture) {
        return (*files)[(*members)[picture].shard].read((*members)[picture].member);
    };
    return open_pictures(request, std::move(source));
}

}  // namespace kiln::runtime
