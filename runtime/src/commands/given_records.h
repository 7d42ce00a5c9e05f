// GivenRecords: records made of what a person writes on the command line, `--user 17 --movie "Alien (1979)"`, instead of a file. What the
// model needs beside it, such as the user's age, comes from the tables that the split `train` joins to its records.
#pragma once

#include "data/join_table.h"
#include "program/state.h"

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace kiln::runtime {

/// The inputs that have a flag: those of one element, or of words, that an output depends on.
bool has_flag(const Column &column);
/// "--user", or "--input-run" for an input whose name is that of a flag.
std::string input_flag(const Column &column);

class GivenRecords {
public:
    /// By input: what was written.
    using Values = std::map<std::string, std::string>;

    /// `data_folder`: of the tables. The batch of `state` is this object's from here on.
    GivenRecords(ProgramState &state, const std::string &data_folder);

    /// Whether a table gives the input.
    bool comes_from_table(size_t column) const;
    /// Names of vocabularies become their values, so that what is written is what stands in the data. Throws Failure (usage).
    Values resolved(Values given) const;
    /// Fills a row of the batch. Throws Failure (usage) for what is missing or unsuitable, (data) for keys that a table lacks.
    void fill(const Values &given, int64_t row);
    /// One column of a row.
    void fill(const Values &given, size_t column, int64_t row);
    /// Where a column of a row lies, for who fills it otherwise.
    uint8_t *row(size_t column, int64_t row) { return memory_[column].data() + row * state_.metadata.columns[column].bytes(); }
    /// Inference on the batch.
    void predict();

private:
    struct Table {
        std::string on;  ///< the input whose value is the key
        std::unique_ptr<JoinTable> table;
    };
    void add_tables(const std::string &data_folder, const Split &call);
    void fill_from_tables(const Values &given, size_t column, uint8_t *row);

    ProgramState &state_;
    std::vector<Memory> memory_;
    std::vector<Table> tables_;
    std::vector<std::vector<uint8_t>> scratch_;  ///< a record of a table, by column
};

/// "user 17, movie Alien (1979)": what was given, by its names.
std::string describe(const GivenRecords::Values &given, const ProgramState &state);

}  // namespace kiln::runtime
