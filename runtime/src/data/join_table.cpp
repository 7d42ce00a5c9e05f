#include "data/join_table.h"

#include "data/select.h"
#include "support/failure.h"

namespace kiln::runtime {

JoinTable::JoinTable(const ReaderRequest &request) {
    std::string key = text_argument(request, "key"), on = text_argument(request, "on");
    if (key.empty()) key = on;
    ReaderRequest of_table = request;
    of_table.partial = true;
    of_table.wanted.assign(request.columns.size(), true);
    // The key belongs to the records that are joined to.
    for (size_t c = 0; c < request.columns.size(); ++c) of_table.wanted[c] = request.wants(c) && request.columns[c].name != on && request.columns[c].name != key;
    data_ = prepared(of_table.open_source("table", {key}));
    const TextColumn &column = key_of(request, data_, key);
    for (int64_t record = 0; record < data_.records; ++record) {
        const std::string &value = column.values[size_t(column.records[size_t(record)])];
        auto [first, is_new] = records_.emplace(value, record);
        if (!is_new)
            fail(ExitCode::data, "%s: `%s` is `%s`, which is also the key of %s", record_name(data_, record).c_str(), key.c_str(), value.c_str(),
                 record_name(data_, first->second).c_str());
    }
}

int64_t JoinTable::find(const std::string &key) const {
    auto found = records_.find(key);
    return found == records_.end() ? -1 : found->second;
}

}  // namespace kiln::runtime
