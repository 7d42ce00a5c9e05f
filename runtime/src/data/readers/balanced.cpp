// source |> balanced(): as many records of each class as the largest has. Those of a smaller class stand there several times; which of
// them once more than the others, a seed of its own decides.
#include "data/select.h"
#include "support/failure.h"

#include <algorithm>

namespace kiln::runtime {
Dataset open_balanced(const ReaderRequest &request) {
    const uint64_t seed = seed_argument(request);
    const std::string by = class_argument(request);
    Dataset source = request.open_source("source", {by});
    const std::vector<std::vector<int64_t>> classes = records_by_class(request, source, by);
    size_t largest = 0;
    for (const std::vector<int64_t> &records : classes) largest = std::max(largest, records.size());
    std::vector<int64_t> chosen;
    for (size_t c = 0; c < classes.size(); ++c) {
        const size_t size = classes[c].size();
        for (size_t i = 0; i < largest / size * size; ++i) chosen.push_back(classes[c][i % size]);
        const std::vector<bool> once_more = random_choice(int64_t(largest % size), int64_t(size), seed, c);
        for (size_t i = 0; i < size; ++i)
            if (once_more[i]) chosen.push_back(classes[c][i]);
    }
    return select_records(std::move(source), std::move(chosen));
}

}  // namespace kiln::runtime
