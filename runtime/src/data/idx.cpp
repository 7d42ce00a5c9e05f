#include "data/idx.h"

#include "data/dataset.h"
#include "support/text.h"

#include <cstring>

namespace kiln::runtime {
namespace {

struct ElementType {
    int code;
    int bytes;
    DType dtype;  ///< what it is read as
};

// i8 (0x09) and i16 (0x0b) have no DType of their own and are widened to i32.
constexpr ElementType kTypes[] = {{0x08, 1, DType::u8},  {0x09, 1, DType::i32}, {0x0b, 2, DType::i32},
                                  {0x0c, 4, DType::i32}, {0x0d, 4, DType::f32}, {0x0e, 8, DType::f64}};

const ElementType *find_type(int code) {
    for (const ElementType &type : kTypes)
        if (type.code == code) return &type;
    return nullptr;
}

int64_t big_endian_u32(const uint8_t *at) { return int64_t(at[0]) << 24 | at[1] << 16 | at[2] << 8 | at[3]; }

// Big-endian elements of the file -> elements of type.dtype in this machine's order.
void to_native(const ElementType &type, const uint8_t *raw, uint8_t *to, int64_t count) {
    if (type.code == 0x08) {
        std::memcpy(to, raw, size_t(count));
    } else if (type.code == 0x09) {
        for (int64_t i = 0; i < count; ++i) reinterpret_cast<int32_t *>(to)[i] = int8_t(raw[i]);
    } else if (type.code == 0x0b) {
        for (int64_t i = 0; i < count; ++i) reinterpret_cast<int32_t *>(to)[i] = int16_t(raw[2 * i] << 8 | raw[2 * i + 1]);
    } else {
        for (int64_t i = 0; i < count; ++i)
            for (int b = 0; b < type.bytes; ++b) to[i * type.bytes + b] = raw[i * type.bytes + type.bytes - 1 - b];
    }
}

}  // namespace

IdxFile::IdxFile(const std::string &path) : source_(path) {
    const char *name = source_.path().c_str();
    if (source_.size() < 4) fail(ExitCode::data, "%s is no IDX file: it has %lld bytes", name, (long long)source_.size());
    uint8_t magic[4];
    source_.read(0, 4, magic);
    const ElementType *type = find_type(magic[2]);
    if (magic[0] != 0 || magic[1] != 0 || !type)
        fail(ExitCode::data, "%s is no IDX file: it begins with %02x %02x %02x %02x, not 00 00 <type 08..0e> <rank>", name,
             magic[0], magic[1], magic[2], magic[3]);
    int rank = magic[3];
    if (rank < 1 || rank > 8) fail(ExitCode::data, "%s: rank %d; 1 to 8 are supported", name, rank);
    type_ = type->code;
    header_ = 4 + 4 * rank;
    if (source_.size() < header_)
        fail(ExitCode::data, "%s is truncated: its header needs %lld bytes, it has %lld", name, (long long)header_,
             (long long)source_.size());
    __int128 record_bytes = type->bytes;
    for (int axis = 0; axis < rank; ++axis) {
        uint8_t bytes[4];
        source_.read(4 + 4 * axis, 4, bytes);
        int64_t extent = big_endian_u32(bytes);
        if (axis == 0) {
            records_ = extent;
        } else {
            shape_.push_back(extent);
            record_bytes *= extent;
            if (extent == 0 || record_bytes > (int64_t(1) << 40))
                fail(ExitCode::data, "%s: a record would have shape %s", name, shape_text(shape_).c_str());
        }
    }
    if (records_ == 0) fail(ExitCode::data, "%s holds no records", name);
    record_bytes_ = int64_t(record_bytes);
    if (record_bytes * records_ > (int64_t(1) << 60))
        fail(ExitCode::data, "%s: %lld records of %lld bytes cannot be", name, (long long)records_, (long long)record_bytes_);
    int64_t expected = header_ + records_ * record_bytes_;
    source_.expect(expected);
    if (source_.size() < expected)
        fail(ExitCode::data,
             "%s is truncated: %lld records of %lld bytes need %lld bytes, it has %lld and ends in record %lld (counted from 0)",
             name, (long long)records_, (long long)record_bytes_, (long long)expected, (long long)source_.size(),
             (long long)((source_.size() - header_) / record_bytes_));
    if (source_.size() > expected)
        fail(ExitCode::data, "%s is oversized: %lld records of %lld bytes need %lld bytes, it has %s", name, (long long)records_,
             (long long)record_bytes_, (long long)expected,
             source_.compressed() ? "more" : std::to_string(source_.size()).c_str());
}

DType IdxFile::type() const { return find_type(type_)->dtype; }

void IdxFile::read(int64_t record, DType dtype, uint8_t *to) const {
    const ElementType &type = *find_type(type_);
    thread_local std::vector<uint8_t> buffer, wide;
    const uint8_t *raw = source_.bytes(header_ + record * record_bytes_, record_bytes_, buffer);
    int64_t count = record_bytes_ / type.bytes;
    if (type.code == 0x08) return convert_elements(DType::u8, raw, dtype, to, count);
    wide.resize(size_t(count * size_of(type.dtype)));
    to_native(type, raw, wide.data(), count);
    convert_elements(type.dtype, wide.data(), dtype, to, count);
}

}  // namespace kiln::runtime
