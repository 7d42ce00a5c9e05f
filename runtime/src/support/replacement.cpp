#include "support/replacement.h"

#include "support/failure.h"
#include "support/file.h"

#include <cstdio>

namespace kiln::runtime {
namespace {

constexpr const char *kMoving = "/.replaced.moving", *kAside = "/.replaced", *kOver = "/.replaced.over";

}  // namespace

Replacement::Replacement(const std::string &folder, std::vector<std::string> entries)
    : folder_(folder), moving_(folder + kMoving), aside_(folder + kAside), over_(folder + kOver), entries_(std::move(entries)) {
    put_back();
    remove_all(over_);
}

Replacement::~Replacement() {
    try {
        put_back();
    } catch (const Failure &failure) {
        std::fprintf(stderr, "warning: what was to be replaced waits in %s: %s\n", folder_.c_str(), failure.what());
    }
}

void Replacement::put_aside() {
    make_folders(moving_);
    for (const std::string &entry : entries_)
        if (exists(folder_ + "/" + entry)) rename_file(folder_ + "/" + entry, moving_ + "/" + entry);
    rename_file(moving_, aside_);
}

void Replacement::done() {
    if (!exists(aside_)) return;
    rename_file(aside_, over_);
    remove_all(over_);
}

std::vector<std::string> Replacement::places(const std::string &folder, const std::string &entry) {
    return {folder + kMoving + "/" + entry, folder + kAside + "/" + entry};
}

void Replacement::put_back() const {
    if (exists(aside_)) {
        for (const std::string &entry : entries_) remove_all(folder_ + "/" + entry);
        rename_file(aside_, moving_);
    }
    if (!exists(moving_)) return;
    for (const std::string &entry : entries_)
        if (exists(moving_ + "/" + entry)) rename_file(moving_ + "/" + entry, folder_ + "/" + entry);
    remove_all(moving_);
}

}  // namespace kiln::runtime
