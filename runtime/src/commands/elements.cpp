#include "commands/elements.h"

#include "support/failure.h"
#include "support/terminal.h"
#include "support/text.h"

#include <algorithm>
#include <charconv>

namespace kiln::runtime {
namespace {

/// Whether the records come from the reader of texts, perhaps through transforms.
bool reads_text(const std::string &reader, const std::vector<std::pair<std::string, Value>> &arguments) {
    return reader == "text" || std::any_of(arguments.begin(), arguments.end(), [](const auto &argument) {
               const Value &value = argument.second;
               return value.kind == Value::Kind::call && reads_text(value.text, value.arguments);
           });
}

/// The bytes of a text, in quotes; those that cannot be seen as in a program: "\n", "\xc3".
std::string quoted_bytes(const std::vector<int64_t> &bytes) {
    const std::string plain(bytes.begin(), bytes.end());
    std::string text = "\"";
    for (size_t at = 0; at < plain.size();) {
        const int size = character_size(std::string_view(plain).substr(at));
        const char c = plain[at];
        if (c == '\n') text += "\\n";
        else if (c == '\t') text += "\\t";
        else if (c == '"' || c == '\\') text += {'\\', c};
        else if (size > 0) text += plain.substr(at, size_t(size));
        else text += format("\\x%02x", unsigned(uint8_t(c)));
        at += size_t(std::max(size, 1));
    }
    return text + "\"";
}

}  // namespace

Elements::Elements(const ProgramState &state, const Column &column) : column_(&column) {
    const auto found = state.vocabularies.find(column.name);
    const Split *train = state.metadata.find_split("train");
    if (found != state.vocabularies.end()) {
        vocabulary_ = &found->second;
        kind_ = Kind::words;
    } else if (column.classes <= 256 && column.shape.size() == 1 && train && reads_text(train->reader, train->arguments)) {
        kind_ = Kind::bytes;
    }
}

bool Elements::has(const std::vector<double> &values) const {
    return std::all_of(values.begin(), values.end(), [&](double value) { return value >= 0 && value < double(column_->classes); });
}

const char *Elements::plural() const {
    switch (kind_) {
        case Kind::bytes: return "bytes";
        case Kind::words: return "words";
        case Kind::numbers: return "numbers";
    }
    return "";
}

std::vector<int32_t> Elements::parse(const std::string &text, const std::string &flag) const {
    std::vector<int32_t> elements;
    if (kind_ == Kind::bytes) {
        for (const char c : text) {
            const uint8_t byte = uint8_t(c);
            if (byte >= column_->classes)
                fail(ExitCode::usage, "%s: the byte %d is none of those that `%s: %s` can have, 0 to %lld", flag.c_str(), int(byte), column_->name.c_str(), type_text(*column_).c_str(),
                     (long long)(column_->classes - 1));
            elements.push_back(byte);
        }
        return elements;
    }
    for (const std::string_view word : words_of(text)) {
        if (kind_ == Kind::words) {
            elements.push_back(int32_t(vocabulary_->find(std::string(word), flag)));
            continue;
        }
        int32_t number = -1;
        const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
        if (error != std::errc() || end != word.data() + word.size() || number < 0 || number >= column_->classes)
            fail(ExitCode::usage, "%s: `%s` should be a whole number from 0 to %lld; `%s` is %s", flag.c_str(), std::string(word).c_str(), (long long)(column_->classes - 1),
                 column_->name.c_str(), type_text(*column_).c_str());
        elements.push_back(number);
    }
    return elements;
}

std::string Elements::text(int64_t element) const {
    switch (kind_) {
        case Kind::bytes: return std::string(1, char(element));
        case Kind::words: return element < vocabulary_->rows() ? on_one_line(vocabulary_->name(element)) : "-";
        case Kind::numbers: return std::to_string(element);
    }
    return "";
}

std::string Elements::name(int64_t element) const {
    return kind_ == Kind::bytes ? quoted_bytes({element}) : kind_ == Kind::words ? text(element) : "class " + text(element);
}

std::string Elements::describe(const std::vector<int64_t> &elements) const {
    if (kind_ == Kind::bytes) return quoted_bytes(elements);
    std::vector<std::string> parts;
    for (const int64_t element : elements) parts.push_back(text(element));
    return join(parts, " ");
}

int32_t Elements::filler() const { return kind_ == Kind::bytes && column_->classes > '\n' ? '\n' : 0; }

std::string Elements::filler_text(int64_t count) const {
    const char *what = kind_ == Kind::words ? "padding" : filler() == '\n' ? "line break" : "zero";
    return count == 1 ? std::string("a ") + what : format("%lld %ss", (long long)count, what);
}

}  // namespace kiln::runtime
