// source |> listed(file): the records whose value of a column is a line of a text file, or with `rest` the others.
#include "data/select.h"
#include "support/failure.h"
#include "support/file.h"
#include "support/text.h"

#include <algorithm>
#include <unordered_map>

namespace kiln::runtime {
namespace {

constexpr size_t kShown = 5;

/// The lines of a file that are not empty, with their numbers; a value that is there twice is an error.
std::unordered_map<std::string, int64_t> lines_of(const std::string &path) {
    const std::string content = read_file(path, ExitCode::data);
    std::unordered_map<std::string, int64_t> lines;
    int64_t number = 0;
    for (size_t at = content.starts_with("\xef\xbb\xbf") ? 3 : 0; at < content.size();) {
        size_t end = std::min(content.find('\n', at), content.size());
        std::string line = content.substr(at, end - at);
        at = end + 1;
        ++number;
        if (!line.empty() && line.back() == '\r') line.pop_back();
        if (line.empty()) continue;
        auto [first, is_new] = lines.emplace(std::move(line), number);
        if (!is_new) fail(ExitCode::data, "%s:%lld: `%s` is also line %lld", path.c_str(), (long long)number, first->first.c_str(), (long long)first->second);
    }
    if (lines.empty()) fail(ExitCode::data, "%s lists nothing", path.c_str());
    return lines;
}

}  // namespace

Dataset open_listed(const ReaderRequest &request) {
    const std::string column = text_argument(request, "column"), path = request.path(*request.argument("file"));
    std::unordered_map<std::string, int64_t> lines = lines_of(path);
    Dataset source = request.open_source("source", {column});
    const TextColumn &key = key_of(request, source, column);
    std::vector<bool> wanted;
    for (const std::string &value : key.values) wanted.push_back(lines.erase(value) > 0);
    if (!lines.empty()) {
        std::vector<std::pair<int64_t, std::string>> missing;
        for (const auto &[value, line] : lines) missing.emplace_back(line, value);
        std::sort(missing.begin(), missing.end());
        std::vector<std::string> shown;
        for (size_t i = 0; i < std::min(kShown, missing.size()); ++i)
            shown.push_back(format("%s:%lld: `%s`", path.c_str(), (long long)missing[i].first, missing[i].second.c_str()));
        fail(ExitCode::data, "split %s: %zu line%s the `%s` of no record of %s:\n  %s%s", request.split.name.c_str(), missing.size(),
             missing.size() == 1 ? " is" : "s are", column.c_str(), source.description.c_str(), join(shown, "\n  ").c_str(),
             missing.size() > kShown ? format("\n  and %zu more", missing.size() - kShown).c_str() : "");
    }
    std::vector<bool> chosen;
    for (int32_t value : key.records) chosen.push_back(wanted[size_t(value)]);
    return select_part(request, std::move(source), chosen);
}

}  // namespace kiln::runtime
