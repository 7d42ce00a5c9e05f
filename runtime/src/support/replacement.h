// Replacing what a folder holds by something that takes long to make and may fail.
#pragma once

#include <string>
#include <vector>

namespace kiln::runtime {

/// Entries of a folder that are to be replaced: a run, a scan. They stay where they are until the new ones begin (`put_aside`), then wait in a
/// hidden folder beside them, and are removed when the new ones can stand for themselves (`done`). If this goes before that, the new
/// ones are removed and the old ones are back; what a killed process left, the next one settles the same way. Needs the folder's lock.
class Replacement {
public:
    /// Settles what a killed process left.
    Replacement(const std::string &folder, std::vector<std::string> entries);
    Replacement(const Replacement &) = delete;
    ~Replacement();
    void put_aside();
    void done();
    /// Where an entry would wait; for who only reads after a kill.
    static std::vector<std::string> places(const std::string &folder, const std::string &entry);

private:
    void put_back() const;

    // Each step is a rename, so that a kill at any moment leaves a state that says what to do.
    std::string folder_, moving_, aside_, over_;
    std::vector<std::string> entries_;
};

}  // namespace kiln::runtime
