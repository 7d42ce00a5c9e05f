// npz(file): a .npz archive whose arrays feed the columns of their names, with or without a final s; other arrays are not read.
#include "data/array_file.h"
#include "data/numpy.h"
#include "data/zip.h"
#include "support/failure.h"
#include "support/text.h"

#include <set>

namespace kiln::runtime {
namespace {

// NumPy writes entries with .npy and reads them without it too.
std::string array_name(const ZipEntry &entry) { return entry.name.ends_with(".npy") ? entry.name.substr(0, entry.name.size() - 4) : entry.name; }

}  // namespace

Dataset open_npz(const ReaderRequest &request) {
    const std::string path = request.path_argument("file");
    std::vector<ZipEntry> entries = list_zip(path);
    std::vector<std::string> names;
    std::set<std::string> seen;
    for (const ZipEntry &entry : entries) {
        names.push_back(array_name(entry));
        if (!seen.insert(names.back()).second) fail(ExitCode::data, "%s: `%s` is in the archive twice", path.c_str(), names.back().c_str());
    }
    std::vector<ArrayFile> files;
    for (size_t c = 0; c < request.columns.size(); ++c) {
        const Column &column = request.columns[c];
        const int64_t found = request.wants(c) ? name_for(request, column, names, path) : -1;
        if (!request.wants(c) || (found < 0 && request.may_lack(c))) {
            files.emplace_back();
            continue;
        }
        if (found < 0)
            fail(ExitCode::data, "%s has no array `%s` (nor `%ss`) for the model's input; it has: %s", path.c_str(),
                 column.name.c_str(), column.name.c_str(), names.empty() ? "none" : join(names, ", ").c_str());
        files.push_back(open_numpy(read_zip(path, entries[size_t(found)])));
    }
    return arrays_as_split(request, std::move(files));
}

}  // namespace kiln::runtime
