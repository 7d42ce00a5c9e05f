// idx(images, labels): one IDX file per column. The argument `images` feeds the column `image`, `labels` the column `label`; in
// general an argument feeds the column of its own name, with or without a final s.
#include "data/array_file.h"
#include "data/idx.h"

#include <memory>

namespace kiln::runtime {

Dataset open_idx(const ReaderRequest &request) {
    return open_arrays(request, [](const std::string &path) {
        auto file = std::make_shared<IdxFile>(path);
        return ArrayFile{file->path(), file->records(), file->record_shape(), file->type(), file->in_memory(),
                         [file](int64_t record, DType dtype, uint8_t *to) { file->read(record, dtype, to); }};
    });
}

}  // namespace kiln::runtime
