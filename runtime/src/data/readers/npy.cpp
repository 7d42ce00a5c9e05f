// npy(images, labels): one NumPy file (.npy) per column, as idx does it with IDX files.
#include "data/array_file.h"
#include "data/numpy.h"

namespace kiln::runtime {

Dataset open_npy(const ReaderRequest &request) {
    return open_arrays(request, [](const std::string &path) { return open_numpy(std::make_shared<ByteSource>(path)); });
}

}  // namespace kiln::runtime
