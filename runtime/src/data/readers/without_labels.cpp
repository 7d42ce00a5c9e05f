// source |> without_labels(): the records without their label, as if nobody had told it. For pseudo-labels of data whose labels are known, or of files that
// have the columns of the other inputs alone.
#include "data/dataset.h"
#include "data/select.h"
#include "support/failure.h"

#include <algorithm>
#include <cstring>

namespace kiln::runtime {

Dataset open_without_labels(const ReaderRequest &request) {
    const std::string label = label_of(request.columns);
    if (label.empty())
        fail(ExitCode::data, "split %s: without_labels needs one label, an input class[n] that no output depends on", request.split.name.c_str());
    // The label need not be there; what else is missing is the next one's to find, if there is one.
    ReaderRequest of_source = request;
    of_source.partial = true;
    Dataset data = of_source.open_source("source", {});
    for (size_t c = 0; c < request.columns.size(); ++c)
        if (const std::string &name = request.columns[c].name; name != label && request.wants(c) && !request.may_lack(c) && !data.gives(c))
            fail(ExitCode::data, "split %s: %s does not give the input `%s`", request.split.name.c_str(), data.description.c_str(), name.c_str());
    auto column = std::find_if(request.columns.begin(), request.columns.end(), [&](const Column &c) { return c.name == label; });
    data.no_labels = "without_labels left them out";
    if (!data.fills.empty()) data.fills[size_t(column - request.columns.begin())] = true;
    std::erase_if(data.texts, [&](const TextColumn &text) { return text.name == label; });
    data.read = [read = std::move(data.read), at = size_t(column - request.columns.begin()), bytes = size_t(column->bytes())](int64_t record, uint8_t *const *rows) {
        read(record, rows);
        std::memset(rows[at], 0, bytes);
    };
    return data;
}

}  // namespace kiln::runtime
