// What the classes of an input are to people: bytes of a text, values of a vocabulary, or numbers.
#pragma once

#include "program/state.h"

#include <cstdint>
#include <string>
#include <vector>

namespace kiln::runtime {

class Elements {
public:
    enum class Kind { bytes, words, numbers };

    /// `column` has classes. The vocabularies of `state` are those of the checkpoint.
    Elements(const ProgramState &state, const Column &column);

    Kind kind() const { return kind_; }
    /// Whether these are all classes of the input.
    bool has(const std::vector<double> &values) const;
    /// "bytes", "words", "numbers".
    const char *plural() const;
    /// A text as elements, of any number. Throws Failure (usage), which names `flag`, for what the input cannot have.
    std::vector<int32_t> parse(const std::string &text, const std::string &flag) const;
    /// What an element adds to a text: a byte, a word, a number.
    std::string text(int64_t element) const;
    /// An element by itself, on one line: "e" in quotes, a word, "class 7".
    std::string name(int64_t element) const;
    /// A text of elements, in quotes if they are bytes, else with spaces between.
    std::string describe(const std::vector<int64_t> &elements) const;
    /// What stands in front of a text that is too short: a line break, the padding of words, 0.
    int32_t filler() const;
    /// "3 line breaks", "a padding", "2 zeros".
    std::string filler_text(int64_t count) const;

private:
    const Column *column_;
    const Vocabulary *vocabulary_ = nullptr;
    Kind kind_ = Kind::numbers;
};

}  // namespace kiln::runtime
