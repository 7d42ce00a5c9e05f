// What the printer and the parser of the text form share: names of enumerators and the letters of a word.
#pragma once

#include "compiler/ir/module.h"

#include <cctype>
#include <string_view>
#include <vector>

namespace kiln::text {

/// Names by enumerator value, in the order of the enum.
const std::vector<const char *> &names_of(InputKind);
const std::vector<const char *> &names_of(Fill);
const std::vector<const char *> &names_of(ResultKind);
const std::vector<const char *> &names_of(ScalarKind);
const std::vector<const char *> &names_of(StorageKind);
const std::vector<const char *> &names_of(Reducer);

template <typename Enum> const char *name_of_enumerator(Enum value) { return names_of(value)[size_t(value)]; }

inline bool is_word_character(char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.' || c == '/' || c == '-';
}
/// Whether a name may be written without quotes.
bool is_plain_word(std::string_view word);

}  // namespace kiln::text
