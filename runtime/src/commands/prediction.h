// What the ways to predict have in common: the output that is shown, what its entries are called, and the lines and CSV files
// they go to.
#pragma once

#include "commands/command_line.h"
#include "commands/elements.h"
#include "program/output.h"
#include "program/state.h"

#include <optional>
#include <string>
#include <vector>

namespace kiln::runtime {

/// What the entries of an output's row are.
struct Entries {
    bool are_classes = false;           ///< there is a label, a `class[n]` that the outputs do not depend on, of as many classes as the last axis
    const Vocabulary *names = nullptr;  ///< that of the label, if there is one; null if the classes have numbers only
    /// Of the one input whose classes the last axis can be of, or an element of a row of integers; nothing if there is none.
    std::optional<Elements> classes{};
};
Entries entries_of(const ProgramState &state, const Output &output);

/// "class 7, probability 0.998", or "class cat, probability 0.998": the largest entry of a row of classes. The most probable ones of the classes of
/// another input, "next "e" 0.4, "a" 0.2"; of several such rows the most probable class of each, and rows of classes as they are, "guesses "abcab"". Of
/// others, and of a row of one entry, the entries themselves, "y 0.25 -1.5", the first ones of many.
std::string describe_row(const Output &output, const Entries &meaning, const std::vector<double> &entries);

/// Predictions as CSV: a line for each sample, its name and then every entry of the output, under the names of the classes.
class PredictionTable {
public:
    /// `clip` > 0 keeps each of n probabilities between clip / (n - 1) and 1 - clip: a certain mistake costs any measure of the
    /// logarithm dearly.
    PredictionTable(const Output &output, const Vocabulary *names, double clip);
    /// Throws Failure (usage) for entries that are no probabilities, if those are to be clipped.
    void add(const std::string &name, std::vector<double> entries);
    /// Throws Failure (disk).
    void write(const std::string &path) const;

private:
    std::string output_;
    double clip_;
    int digits_ = 7;  ///< of a number
    std::string text_;
};

/// predict --split: every record of a split, in its order.
void predict_split(ProgramState &state, const PredictOptions &options);

}  // namespace kiln::runtime
