// source |> sample(share): some of the records, of each class the same share and at least one, by a seed of its own.
#include "data/select.h"
#include "support/failure.h"

#include <algorithm>
#include <cmath>

namespace kiln::runtime {
Dataset open_sample(const ReaderRequest &request) {
    const double share = share_argument(request, "share", true);
    const uint64_t seed = seed_argument(request);
    std::string by = text_argument(request, "by");
    if (by.empty()) by = label_of(request.columns);
    Dataset source = request.open_source("source", by.empty() ? std::vector<std::string>{} : std::vector<std::string>{by});
    std::vector<std::vector<int64_t>> classes(1);
    if (!by.empty() && source.no_labels.empty()) classes = records_by_value(key_of(request, source, by));
    else for (int64_t i = 0; i < source.records; ++i) classes[0].push_back(i);
    std::vector<bool> chosen(size_t(source.records), false);
    for (size_t c = 0; c < classes.size(); ++c) {
        const auto size = int64_t(classes[c].size());
        const auto count = std::max<int64_t>(1, std::llround(share * double(size)));
        std::vector<bool> of_class = random_choice(std::min(count, size), size, seed, c);
        for (size_t i = 0; i < of_class.size(); ++i)
            if (of_class[i]) chosen[size_t(classes[c][i])] = true;
    }
    return select_part(request, std::move(source), chosen);
}

}  // namespace kiln::runtime
