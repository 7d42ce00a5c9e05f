// IDX files (Y. LeCun's format of the MNIST files): a magic number 0 0 <type> <rank>, the extents as big-endian u32, then the
// elements, big-endian, row-major. The first extent counts the records.
#pragma once

#include "data/byte_source.h"
#include "program/metadata.h"

#include <string>
#include <vector>

namespace kiln::runtime {

class IdxFile {
public:
    /// Opens and validates: magic, extents, and that the file holds exactly what they promise. Throws Failure (data).
    explicit IdxFile(const std::string &path);

    const std::string &path() const { return source_.path(); }
    int64_t records() const { return records_; }
    const std::vector<int64_t> &record_shape() const { return shape_; }
    DType type() const;  ///< what the elements are read as
    bool in_memory() const { return source_.in_memory(); }
    bool is_bytes() const { return type_ == 0x08; }
    /// Elements of one record converted to `dtype`.
    void read(int64_t record, DType dtype, uint8_t *to) const;

private:
    ByteSource source_;
    int type_ = 0;
    int64_t records_ = 0, header_ = 0, record_bytes_ = 0;
    std::vector<int64_t> shape_;
};

}  // namespace kiln::runtime
