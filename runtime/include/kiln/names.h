/* What the compiler and the executables understand by a name that somebody wrote: patterns of paths, and misspellings. */
#ifndef KILN_NAMES_H
#define KILN_NAMES_H

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kiln {

/// Whether a path has the form of a pattern, in which `*` stands for any characters, `/` included: "Model/conv_*".
inline bool path_matches(std::string_view pattern, std::string_view path) {
    size_t at = 0, star = std::string_view::npos, behind_star = 0;
    for (size_t i = 0; i < path.size();) {
        if (at < pattern.size() && pattern[at] == '*') star = at++, behind_star = i;
        else if (at < pattern.size() && pattern[at] == path[i]) ++at, ++i;
        else if (star != std::string_view::npos) at = star + 1, i = ++behind_star;
        else return false;
    }
    return pattern.find_first_not_of('*', at) == std::string_view::npos;
}

/// Optimal string alignment distance: insertions, deletions, substitutions and swaps of neighbours cost 1 each.
inline int edit_distance(std::string_view a, std::string_view b) {
    const int columns = static_cast<int>(b.size()) + 1;
    std::vector<int> before_previous(columns), previous(columns), current(columns);
    for (int j = 0; j < columns; ++j) previous[j] = j;
    for (int i = 1; i <= static_cast<int>(a.size()); ++i) {
        current[0] = i;
        for (int j = 1; j < columns; ++j) {
            int substitution = previous[j - 1] + (a[i - 1] != b[j - 1]);
            current[j] = std::min({previous[j] + 1, current[j - 1] + 1, substitution});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                current[j] = std::min(current[j], before_previous[j - 2] + 1);
            }
        }
        std::swap(before_previous, previous);
        std::swap(previous, current);
    }
    return previous.back();
}

inline bool equal_but_for_case(std::string_view a, std::string_view b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](unsigned char x, unsigned char y) {
        return std::tolower(x) == std::tolower(y);
    });
}

/// The candidate nearest to `name` by edit distance (a transposition counts as one edit) if near enough to be a likely
/// misspelling, else the shortest that it abbreviates ("abs", "absolute") or that abbreviates it, else "". Of equally near ones the first is taken.
inline std::string nearest_name(std::string_view name, const std::vector<std::string> &candidates) {
    // Every one-letter name is one edit away from every other: nothing can be inferred.
    const int size = static_cast<int>(name.size());
    int limit = size < 2 ? 0 : std::max(1, size / 3);
    int best_distance = limit + 1;
    std::string best;
    for (const std::string &candidate : candidates) {
        int distance;
        if (equal_but_for_case(name, candidate)) {
            distance = candidate == name ? 0 : 1;
            if (size < 2 && best.empty()) return candidate;
        } else if (std::abs(static_cast<int>(candidate.size()) - size) > limit) {
            continue;
        } else {
            distance = edit_distance(name, candidate);
        }
        if (distance < best_distance) {
            best_distance = distance;
            best = candidate;
        }
    }
    if (!best.empty()) return best;
    // An abbreviation of one, or one that is an abbreviation of it.
    constexpr size_t kShortest = 3;
    for (const std::string &candidate : candidates) {
        const size_t common = std::min(name.size(), candidate.size());
        if (common < kShortest || !equal_but_for_case(name.substr(0, common), std::string_view(candidate).substr(0, common))) continue;
        if (best.empty() || candidate.size() < best.size()) best = candidate;
    }
    return best;
}

}  // namespace kiln

#endif
