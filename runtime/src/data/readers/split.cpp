// source |> split(share): a random part of the records, or with `rest` the others. With `group` records of the same value of that column
// stay together.
#include "data/select.h"
#include "support/failure.h"

#include <algorithm>
#include <cmath>

namespace kiln::runtime {
namespace {

/// Whole groups in random order until the next one would lead further away from the share than it brings nearer.
std::vector<bool> choose_groups(const std::vector<std::vector<int64_t>> &groups, double target, int64_t records, uint64_t seed) {
    std::vector<bool> chosen(size_t(records), false);
    double taken = 0;
    size_t left = groups.size();
    for (int64_t g : random_order(int64_t(groups.size()), seed, 0)) {
        const auto size = double(groups[size_t(g)].size());
        bool first = taken == 0, last = --left == 0;
        bool takes = first || (!last && std::abs(taken + size - target) < std::abs(taken - target));
        if (!takes) continue;
        taken += size;
        for (int64_t record : groups[size_t(g)]) chosen[size_t(record)] = true;
    }
    return chosen;
}

}  // namespace

Dataset open_split(const ReaderRequest &request) {
    const double share = share_argument(request, "share", false);
    const uint64_t seed = seed_argument(request);
    const std::string group = text_argument(request, "group");
    Dataset source = request.open_source("source", group.empty() ? std::vector<std::string>{} : std::vector<std::string>{group});
    const double target = share * double(source.records);
    if (group.empty()) {
        if (source.records < 2)
            fail(ExitCode::data, "split %s: %s has one record, which cannot be split", request.split.name.c_str(), source.description.c_str());
        const auto count = std::clamp<int64_t>(std::llround(target), 1, source.records - 1);
        return select_part(request, std::move(source), random_choice(count, source.records, seed, 0));
    }
    std::vector<std::vector<int64_t>> groups = records_by_value(key_of(request, source, group));
    if (groups.size() < 2)
        fail(ExitCode::data, "split %s: all records of %s have the same `%s`, so they cannot be split by it", request.split.name.c_str(),
             source.description.c_str(), group.c_str());
    const int64_t records = source.records;
    return select_part(request, std::move(source), choose_groups(groups, target, records, seed));
}

}  // namespace kiln::runtime
