// source |> join(table, on): each record of the source with the record of the table that has the same key. What the source does not give,
// inputs of the model and columns for later transforms, comes from the table.
#include "data/join_table.h"
#include "data/select.h"
#include "support/failure.h"
#include "support/text.h"

#include <algorithm>
#include <memory>

namespace kiln::runtime {
namespace {

constexpr size_t kShown = 5;

/// The table's record of each record of the source. All that have none are found before the message is made.
std::vector<int64_t> match(const ReaderRequest &request, const Dataset &source, const JoinTable &table, const TextColumn &key) {
    std::vector<int64_t> of_value, of_record;
    for (const std::string &value : key.values) of_value.push_back(table.find(value));
    std::vector<std::string> shown;
    size_t missing = 0;
    for (size_t i = 0; i < key.records.size(); ++i) {
        of_record.push_back(of_value[size_t(key.records[i])]);
        if (of_record.back() >= 0 || ++missing > kShown) continue;
        shown.push_back(format("%s: `%s`", record_name(source, int64_t(i)).c_str(), key.values[size_t(key.records[i])].c_str()));
    }
    if (missing > 0)
        fail(ExitCode::data, "split %s: %s does not have the `%s` of %zu of %zu records:\n  %s%s", request.split.name.c_str(),
             table.data().description.c_str(), key.name.c_str(), missing, key.records.size(), join(shown, "\n  ").c_str(),
             missing > kShown ? format("\n  and %zu more", missing - kShown).c_str() : "");
    return of_record;
}

/// Adds the table's columns of text to those of the source, under which a name stays the source's.
void add_columns(std::vector<TextColumn> &to, const std::vector<TextColumn> &from, const std::vector<int64_t> &records) {
    for (const TextColumn &column : from) {
        if (std::any_of(to.begin(), to.end(), [&](const TextColumn &c) { return c.name == column.name; })) continue;
        TextColumn &added = to.emplace_back(TextColumn{column.name, column.values, {}});
        for (int64_t record : records) added.records.push_back(column.records[size_t(record)]);
    }
}

}  // namespace

Dataset open_join(const ReaderRequest &request) {
    const std::string on = text_argument(request, "on");
    auto table = std::make_shared<JoinTable>(request);
    ReaderRequest of_source = request;
    of_source.partial = true;
    Dataset source = of_source.open_source("source", {on});
    auto records = std::make_shared<std::vector<int64_t>>(match(request, source, *table, key_of(request, source, on)));

    std::vector<bool> filled(request.columns.size(), false);
    const bool without_labels = !source.no_labels.empty();
    for (size_t c = 0; c < request.columns.size(); ++c) {
        if (!request.wants(c)) continue;
        const bool in_source = source.gives(c), in_table = table->data().gives(c);
        const char *name = request.columns[c].name.c_str(), *first = source.description.c_str(), *second = table->data().description.c_str();
        if (in_source && in_table) fail(ExitCode::data, "split %s: both %s and %s give the input `%s`", request.split.name.c_str(), first, second, name);
        // Pictures that are in no folders of their classes have none, unless the table has.
        const bool unlabelled = without_labels && request.columns[c].is_one_class();
        if (unlabelled && in_table) source.no_labels.clear();
        filled[c] = in_source || in_table || unlabelled;
        if (!filled[c] && !request.may_lack(c))
            fail(ExitCode::data, "split %s: neither %s nor %s gives the input `%s`", request.split.name.c_str(), first, second, name);
    }
    Dataset joined = std::move(source);
    joined.description += ", " + table->data().description;
    joined.fills = std::move(filled);
    for (const std::string &offer : table->data().offers)
        if (std::find(joined.offers.begin(), joined.offers.end(), offer) == joined.offers.end()) joined.offers.push_back(offer);
    add_columns(joined.texts, table->data().texts, *records);
    add_columns(joined.keys, table->data().keys, *records);
    joined.read = [source = std::move(joined.read), table, records](int64_t record, uint8_t *const *rows) {
        source(record, rows);
        table->data().read((*records)[size_t(record)], rows);
    };
    return joined;
}

}  // namespace kiln::runtime
