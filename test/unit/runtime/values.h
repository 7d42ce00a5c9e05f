// What a `data` block may give a reader, as the metadata has it.
#pragma once

#include "program/metadata.h"

#include <string>
#include <utility>
#include <vector>

namespace kiln::runtime::testing {

using Arguments = std::vector<std::pair<std::string, Value>>;

inline Value number(double number) {
    Value value;
    value.number = number;
    return value;
}
inline Value flag(bool boolean) {
    Value value;
    value.kind = Value::Kind::boolean;
    value.boolean = boolean;
    return value;
}
inline Value text(const std::string &text, Value::Kind kind = Value::Kind::string) {
    Value value;
    value.kind = kind;
    value.text = text;
    return value;
}
inline Value path(const std::string &path) { return text(path, Value::Kind::path); }
inline Value list(std::vector<Value> values) {
    Value value;
    value.kind = Value::Kind::list;
    value.list = std::move(values);
    return value;
}
inline Value call(const std::string &reader, Arguments arguments) {
    Value value;
    value.kind = Value::Kind::call;
    value.text = reader;
    value.arguments = std::move(arguments);
    return value;
}

}  // namespace kiln::runtime::testing
