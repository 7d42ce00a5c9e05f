// csv(file, ..): one CSV or TSV file whose columns feed the model's inputs of the same names; other columns are not read. An input of
// n elements is fed by the columns name_1 .. name_n, in row-major order. All values are converted when the file is opened.
#include "data/csv.h"
#include "data/dataset.h"
#include "support/failure.h"
#include "support/text.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <memory>

namespace kiln::runtime {
namespace {

constexpr size_t kShown = 5;  // malformed rows that a message names one by one

struct Options {
    std::string file;
    CsvFormat format;
    bool header = true;
    std::vector<std::string> columns;  ///< one for each field; empty: the header's
    bool more_fields = false;          ///< after those in `columns` others may follow
    double bad_rows = 0;
};

/// One number of a record: field `field` becomes element `element` of column `column`.
struct Cell {
    size_t field = 0, column = 0;
    int64_t element = 0;
};

char one_character(const ReaderRequest &request, const char *name, char otherwise, bool may_be_empty) {
    const Value *value = request.argument(name);
    if (!value) return otherwise;
    bool fits = value->kind == Value::Kind::string && (value->text.size() == 1 || (value->text.empty() && may_be_empty));
    if (fits && value->text.empty()) return 0;
    if (!fits || value->text[0] == '\n' || value->text[0] == '\r' || uint8_t(value->text[0]) >= 0x80)
        fail(ExitCode::data, "split %s: `%s` of csv is `%s`; it should be one ASCII character%s", request.split.name.c_str(), name,
             value->text.c_str(), may_be_empty ? " or \"\"" : "");
    return value->text[0];
}

/// An input of n elements stands for n fields one after the other, unless they are the words of one.
std::vector<std::string> one_for_each_field(const std::vector<std::string> &names, const std::vector<Column> &inputs) {
    std::vector<std::string> fields;
    for (const std::string &name : names) {
        auto input = std::find_if(inputs.begin(), inputs.end(), [&](const Column &column) { return column.name == name && column.fields() > 1; });
        if (input == inputs.end()) fields.push_back(name);
        else for (int64_t e = 0; e < input->fields(); ++e) fields.push_back(name + "_" + std::to_string(e + 1));
    }
    return fields;
}

Options options_of(const ReaderRequest &request) {
    Options options;
    const char *split = request.split.name.c_str();
    options.file = request.path_argument("file");
    options.format.separator = one_character(request, "separator", ',', false);
    options.format.quote = one_character(request, "quote", '"', true);
    if (options.format.separator == options.format.quote)
        fail(ExitCode::data, "split %s: `separator` and `quote` of csv are both `%c`", split, options.format.quote);
    if (const Value *encoding = request.argument("encoding")) {
        options.format.latin1 = encoding->text == "iso-8859-1";
        if (!options.format.latin1 && encoding->text != "utf-8")
            fail(ExitCode::data, "split %s: csv has no encoding `%s`; it has: utf-8, iso-8859-1", split, encoding->text.c_str());
    }
    if (const Value *header = request.argument("header")) options.header = header->boolean;
    if (const Value *columns = request.argument("columns")) {
        for (const Value &column : columns->list) {
            if (column.kind != Value::Kind::string) fail(ExitCode::data, "split %s: `columns` of csv is not a list of names", split);
            options.columns.push_back(column.text);
        }
        if (options.columns.empty()) fail(ExitCode::data, "split %s: `columns` of csv is not a list of names", split);
        options.more_fields = options.columns.back() == "..";
        if (options.more_fields) options.columns.pop_back();
        options.columns = one_for_each_field(options.columns, request.columns);
    }
    if (!options.header && options.columns.empty())
        fail(ExitCode::data, "split %s: without a header csv needs `columns = [..]`, the names of the file's columns", split);
    if (const Value *share = request.argument("bad_rows")) {
        options.bad_rows = share->number;
        if (share->kind != Value::Kind::number || !(share->number >= 0 && share->number < 1))
            fail(ExitCode::data, "split %s: `bad_rows` of csv is %s; it is a share of the rows: from 0 to below 1", split,
                 number_text(share->number).c_str());
    }
    return options;
}

std::string field_of(const Column &column, int64_t element) {
    return column.fields() == 1 ? column.name : column.name + "_" + std::to_string(element + 1);
}

/// Whether the file has what an input needs. Where others may have it, a part is still an error, which match_columns reports.
bool is_there(const Column &column, const std::vector<std::string> &names) {
    for (int64_t e = 0; e < column.fields(); ++e)
        if (std::find(names.begin(), names.end(), field_of(column, e)) != names.end()) return true;
    return false;
}

/// Where each element of each input comes from. A missing or ambiguous column is an error that shows both sides.
std::vector<Cell> match_columns(const ReaderRequest &request, const std::string &place, const std::vector<std::string> &names, bool listed) {
    std::vector<Cell> cells;
    std::vector<std::string> wanted;
    for (size_t c = 0; c < request.columns.size(); ++c) {
        const Column &column = request.columns[c];
        if (!request.wants(c) || (request.may_lack(c) && !is_there(column, names))) continue;
        for (int64_t e = 0; e < column.fields(); ++e) {
            wanted.push_back(field_of(column, e));
            cells.push_back({0, c, e});
        }
    }
    for (size_t i = 0; i < wanted.size(); ++i) {
        auto found = std::find(names.begin(), names.end(), wanted[i]);
        if (found == names.end())
            fail(ExitCode::data, "%s: there is no column `%s` for the model's input `%s`; columns: %s; inputs need: %s", place.c_str(),
                 wanted[i].c_str(), request.columns[cells[i].column].name.c_str(), quoted_list(names).c_str(), quoted_list(wanted).c_str());
        if (std::find(found + 1, names.end(), wanted[i]) != names.end())
            fail(ExitCode::data, "%s: two columns are named `%s`; columns: %s", place.c_str(), wanted[i].c_str(), quoted_list(names).c_str());
        cells[i].field = size_t(found - names.begin());
    }
    // A header may hold more than the model reads; a list in the model's own file may not, `_` stands for what is not read.
    std::vector<std::string> known;
    for (const Column &column : request.columns)
        for (int64_t e = 0; e < column.fields(); ++e) known.push_back(field_of(column, e));
    if (listed && !request.partial && request.keys.empty())
        for (const std::string &name : names)
            if (name != "_" && std::find(known.begin(), known.end(), name) == known.end())
                fail(ExitCode::data, "split %s: `columns` of csv names `%s`, which is no input of the model (`_` skips a column); columns: %s; inputs need: %s",
                     request.split.name.c_str(), name.c_str(), quoted_list(names).c_str(), quoted_list(wanted).c_str());
    return cells;
}

template <typename Number>
bool parse(std::string_view text, Number &number) {
    if (text.size() > 1 && text[0] == '+' && text[1] != '-') text.remove_prefix(1);
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (end != text.data() + text.size()) return false;
    if constexpr (std::is_floating_point_v<Number>)
        if (error == std::errc::result_out_of_range) {  // so it is called also what is nearer to 0 than the type can tell from it
            const double value = std::strtod(std::string(text).c_str(), nullptr);
            number = Number(value);
            return std::abs(value) < 1;
        }
    return error == std::errc();
}

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
    return text;
}

template <typename Number>
std::string store_real(std::string_view text, uint8_t *to) {
    Number number = 0;
    if (!parse(text, number) || !std::isfinite(number)) return format("is no number of %s", sizeof(Number) == 8 ? "f64" : "f32");
    std::memcpy(to, &number, sizeof number);
    return "";
}

template <typename Number>
std::string store_integer(std::string_view text, int64_t least, int64_t most, uint8_t *to) {
    int64_t number = 0;
    if (!parse(text, number)) return "is no integer";
    if (number < least || number > most) return format("is not in %lld to %lld", (long long)least, (long long)most);
    auto narrow = Number(number);
    std::memcpy(to, &narrow, sizeof narrow);
    return "";
}

/// Converts one field; returns what is wrong with it.
std::string store(std::string_view text, const Column &column, uint8_t *to) {
    int64_t least = column.classes > 0 ? 0 : INT64_MIN, most = column.classes > 0 ? column.classes - 1 : INT64_MAX;
    switch (column.dtype) {
        case DType::f32: return store_real<float>(text, to);
        case DType::f64: return store_real<double>(text, to);
        case DType::i32:
            return store_integer<int32_t>(text, std::max<int64_t>(least, INT32_MIN), std::min<int64_t>(most, INT32_MAX), to);
        case DType::i64: return store_integer<int64_t>(text, least, most, to);
        case DType::u8: return store_integer<uint8_t>(text, 0, std::min<int64_t>(most, 255), to);
        case DType::boolean: return store_integer<uint8_t>(text, 0, 1, to);
    }
    return "";
}

}  // namespace

Dataset open_csv(const ReaderRequest &request) {
    const Options options = options_of(request);
    CsvFile file(options.file, options.format);
    if (request.columns.empty()) fail(ExitCode::data, "split %s: the model has no inputs", request.split.name.c_str());

    CsvRecord record;
    std::vector<std::string> names = options.columns;
    if (options.header) {
        if (!file.next(record)) fail(ExitCode::data, "%s is empty: it has no header", file.path().c_str());
        if (!record.error.empty())
            fail(ExitCode::data, "%s:%lld: the header cannot be read: %s", file.path().c_str(), (long long)record.line, record.error.c_str());
        if (names.empty())
            for (const std::string &name : record.fields) names.emplace_back(trimmed(name));
        else if (options.more_fields ? names.size() > record.fields.size() : names.size() != record.fields.size())
            fail(ExitCode::data, "%s:%lld: the header has %zu columns (%s), but `columns` names %zu (%s)", file.path().c_str(),
                 (long long)record.line, record.fields.size(), quoted_list(record.fields).c_str(), names.size(), quoted_list(names).c_str());
    }
    const std::vector<Cell> cells = match_columns(request, file.path(), names, !options.columns.empty());
    std::vector<std::unique_ptr<TextBuilder>> texts(request.columns.size());  // by column; null: numbers
    std::vector<bool> fills(request.columns.size(), false);
    for (const Cell &cell : cells) {
        const Column &column = request.columns[cell.column];
        fills[cell.column] = true;
        if (column.vocabulary) texts[cell.column] = std::make_unique<TextBuilder>(column.name);
    }
    std::vector<std::pair<size_t, TextBuilder>> keys;  // with the field
    for (const std::string &key : request.keys)
        if (auto found = std::find(names.begin(), names.end(), key); found != names.end()) keys.emplace_back(size_t(found - names.begin()), TextBuilder(key));

    std::vector<size_t> offsets;
    size_t row_bytes = 0;
    for (const Column &column : request.columns) {
        offsets.push_back(row_bytes);
        row_bytes += size_t(column.bytes());
    }
    auto rows = std::make_shared<std::vector<uint8_t>>();
    auto lines = std::make_shared<std::vector<int64_t>>();
    std::vector<std::string> shown;
    int64_t records = 0, bad = 0;
    while (file.next(record)) {
        std::string error = record.error;
        if (error.empty() && (options.more_fields ? record.fields.size() < names.size() : record.fields.size() != names.size()))
            error = format("%zu fields, but there are %s%zu columns: %s", record.fields.size(), options.more_fields ? "at least " : "", names.size(),
                           quoted_list(names).c_str());
        rows->resize(size_t(records + 1) * row_bytes);
        uint8_t *row = rows->data() + size_t(records) * row_bytes;
        for (size_t i = 0; i < cells.size() && error.empty(); ++i) {
            const Column &column = request.columns[cells[i].column];
            std::string_view text = trimmed(record.fields[cells[i].field]);
            std::string wrong;
            if (!texts[cells[i].column]) wrong = store(text, column, row + offsets[cells[i].column] + size_t(cells[i].element * size_of(column.dtype)));
            else if (text.empty() && column.is_one_class() && column.vocabulary->unknown != "") wrong = "is empty: a value of a vocabulary has a name";
            if (!wrong.empty())
                error = format("column `%s`: `%.40s` %s%s", names[cells[i].field].c_str(), std::string(text).c_str(), wrong.c_str(),
                               column.classes > 0 && !column.vocabulary ? format(" (class[%lld])", (long long)column.classes).c_str() : "");
        }
        if (error.empty()) {
            ++records;
            lines->push_back(record.line);
            for (const Cell &cell : cells)
                if (texts[cell.column]) texts[cell.column]->add(std::string(trimmed(record.fields[cell.field])));
            for (auto &[field, text] : keys) text.add(std::string(trimmed(record.fields[field])));
        } else if (++bad; shown.size() < kShown) {
            shown.push_back(format("%s:%lld: %s", file.path().c_str(), (long long)record.line, error.c_str()));
        }
    }
    rows->resize(size_t(records) * row_bytes);
    const int64_t total = records + bad;
    if (total == 0) fail(ExitCode::data, "%s holds no rows%s", file.path().c_str(), options.header ? " after its header" : "");
    if (bad > 0) {
        std::string list = join(shown, "\n  ") + (bad > int64_t(shown.size()) ? format("\n  and %lld more", (long long)(bad - int64_t(shown.size()))) : "");
        std::string count = format("%s: %lld of %lld rows %s malformed", file.path().c_str(), (long long)bad, (long long)total, bad == 1 ? "is" : "are");
        if (records == 0 || double(bad) > options.bad_rows * double(total))
            fail(ExitCode::data, "%s; bad_rows = %s allows %lld:\n  %s", count.c_str(), number_text(options.bad_rows).c_str(),
                 (long long)(options.bad_rows * double(total)), list.c_str());
        std::fprintf(stderr, "warning: %s and left out:\n  %s\n", count.c_str(), list.c_str());
    }
    std::vector<size_t> sizes;  // 0 for what is text, or not in the file
    for (size_t c = 0; c < fills.size(); ++c) sizes.push_back(fills[c] && !texts[c] ? size_t(request.columns[c].bytes()) : 0);
    Dataset data;
    data.records = records;
    data.description = file.path();
    data.read = [rows, row_bytes, offsets, sizes](int64_t index, uint8_t *const *targets) {
        const uint8_t *row = rows->data() + size_t(index) * row_bytes;
        for (size_t c = 0; c < sizes.size(); ++c)
            if (sizes[c] > 0) std::memcpy(targets[c], row + offsets[c], sizes[c]);
    };
    for (auto &text : texts)
        if (text) data.texts.push_back(text->finish());
    for (auto &[field, text] : keys) data.keys.push_back(text.finish());
    for (const std::string &name : names)
        if (name != "_") data.offers.push_back(name);
    data.fills = std::move(fills);
    data.name = [path = file.path(), lines](int64_t index) { return format("%s:%lld", path.c_str(), (long long)(*lines)[size_t(index)]); };
    return data;
}

}  // namespace kiln::runtime
