// source |> without_labels(): the records without their label, as if nobody had told it. For pseudo-labels of data whose labels are known.
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
    Dataset data = request.open_source("source", {});
    auto column = std::find_if(request.columns.begin(), request.columns.end(), [&](const Column &c) { return c.name == label; });
    data.no_labels = "without_labels left them out";
    std::erase_if(data.texts, [&](const TextColumn &text) { return text.name == label; });
    data.read = [read = std::move(data.read), at = size_t(column - request.columns.begin()), bytes = size_t(column->bytes())](int64_t record, uint8_t *const *rows) {
        read(record, rows);
        std::memset(rows[at], 0, bytes);
    };
    return data;
}

}  // namespace kiln::runtime
