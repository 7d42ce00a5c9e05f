// What a trained model makes of every record of a split: its loss, and its prediction beside what is true.
#pragma once

#include "data/dataset.h"
#include "program/state.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace kiln::runtime {

/// What predictions are compared with.
enum class Comparison {
    classes,  ///< the largest entry of the output, or whether its one entry reaches 1/2, with a label
    values,   ///< the output, one number, with an input that no output depends on
    none,     ///< there is no such input, or no output
};

struct Task {
    Comparison comparison = Comparison::none;
    size_t target = 0;               ///< the input that is compared with, by index in metadata.columns
    const Output *output = nullptr;  ///< null: none that has a value or row a sample
};

/// What the first output of a program is compared with.
Task task_of(const Metadata &metadata);

struct Measured {
    /// One record; what does not apply is 0.
    struct Record {
        double loss = 0;
        double target = 0, value = 0;           ///< numbers, or classes
        double confidence = 0, probability = 0;  ///< entries of the output for the class it takes the record for, and for its class
    };
    std::vector<Record> records;
    bool has_loss = false;
    std::vector<double> metrics;  ///< reported, by index in metadata.samples; empty if nothing is measured
    std::vector<double> least, greatest;  ///< by column: of the inputs' values
};

/// By the program's own evaluation and prediction, every record once. The split has labels.
Measured measure(ProgramState &state, const Dataset &dataset, const Task &task);

/// Records taken for each class, and what follows from them.
struct ClassRow {
    int64_t count = 0, taken = 0, right = 0;
    std::optional<double> precision() const;  ///< right / taken; none if nothing was taken for the class
    std::optional<double> recall() const;     ///< right / count; none if there are no records of the class
    std::optional<double> f1() const;         ///< 2 right / (count + taken); none if both are 0
};
std::vector<ClassRow> class_rows(const Measured &measured, int64_t classes);

/// Quantile by linear interpolation between neighbours of sorted values; `share` from 0 to 1.
double quantile(const std::vector<double> &sorted, double share);

}  // namespace kiln::runtime
