// source |> filter(column, values): the records whose column has one of the values, or with `rest` the others.
#include "data/select.h"
#include "support/failure.h"
#include "support/text.h"

#include <algorithm>

namespace kiln::runtime {

Dataset open_filter(const ReaderRequest &request) {
    const std::string column = text_argument(request, "column");
    const Value *given = request.argument("values");
    std::vector<std::string> values;
    if (given && given->kind != Value::Kind::list) values.push_back(given->kind == Value::Kind::number ? number_text(given->number) : given->text);
    if (given)
        for (const Value &value : given->list) values.push_back(value.kind == Value::Kind::number ? number_text(value.number) : value.text);
    Dataset source = request.open_source("source", {column});
    const TextColumn &key = key_of(request, source, column);
    std::vector<bool> wanted(key.values.size(), false);
    for (const std::string &value : values) {
        auto found = std::find(key.values.begin(), key.values.end(), value);
        if (found == key.values.end())
            fail(ExitCode::data, "split %s: no record of %s has `%s` in column `%s`", request.split.name.c_str(), source.description.c_str(),
                 value.c_str(), column.c_str());
        wanted[size_t(found - key.values.begin())] = true;
    }
    std::vector<bool> chosen;
    for (int32_t value : key.records) chosen.push_back(wanted[size_t(value)]);
    return select_part(request, std::move(source), chosen);
}

}  // namespace kiln::runtime
