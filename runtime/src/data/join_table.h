// JoinTable: records of a table found by a key, such as what is known of a user beside each of the user's ratings.
#pragma once

#include "data/dataset.h"

#include <string>
#include <unordered_map>

namespace kiln::runtime {

class JoinTable {
public:
    /// Opens the `table` of a call of join, for the inputs and keys that `request` wants and the table has. Throws Failure (data) if two
    /// of its records have the same key.
    explicit JoinTable(const ReaderRequest &request);

    const Dataset &data() const { return data_; }
    /// The record with this key, -1 if there is none.
    int64_t find(const std::string &key) const;

private:
    Dataset data_;
    std::unordered_map<std::string, int64_t> records_;
};

}  // namespace kiln::runtime
