#include "data/numpy.h"

#include "support/failure.h"
#include "support/text.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>
#include <string_view>

namespace kiln::runtime {
namespace {

constexpr int64_t kMostHeader = 1 << 16;

struct ElementType {
    const char *code;
    int bytes;
    DType dtype;  ///< what it is read as: the narrowest that holds its values
};

constexpr ElementType kTypes[] = {{"b1", 1, DType::boolean}, {"u1", 1, DType::u8},  {"i1", 1, DType::i32}, {"u2", 2, DType::i32},
                                  {"i2", 2, DType::i32},     {"u4", 4, DType::i64}, {"i4", 4, DType::i32}, {"u8", 8, DType::i64},
                                  {"i8", 8, DType::i64},     {"f2", 2, DType::f32}, {"f4", 4, DType::f32}, {"f8", 8, DType::f64}};

struct Header {
    const ElementType *type = nullptr;
    bool swapped = false, fortran = false;
    std::vector<int64_t> shape;
    int64_t bytes = 0;  ///< magic and dictionary: where the elements begin
};

/// Reads the dictionary, of which NumPy writes this subset: {'descr': '<f4', 'fortran_order': False, 'shape': (60, 28), }. As NumPy does, it takes these
/// three keys and no other, in any order, and nothing after the dictionary. (Blanks that pad it are cut off before.)
class Dictionary {
public:
    Dictionary(std::string_view text) : text_(text) {}

    std::optional<std::string> descr;
    std::optional<bool> fortran;
    std::optional<std::vector<int64_t>> shape;

    /// False: it is none.
    bool read() {
        if (!accept('{')) return false;
        while (!accept('}')) {
            const std::optional<std::string> key = string();
            if (!key || !accept(':') || !value_of(*key)) return false;
            if (!accept(',') && !next_is('}')) return false;
        }
        return at_ == text_.size() && descr && fortran && shape;
    }

private:
    bool value_of(const std::string &key) {
        if (key == "descr" && !descr) return bool(descr = string());
        if (key == "fortran_order" && !fortran) return bool(fortran = boolean());
        return key == "shape" && !shape && (shape = tuple());
    }
    std::optional<std::string> string() {
        skip();
        if (at_ == text_.size() || (text_[at_] != '\'' && text_[at_] != '"')) return {};
        const size_t begin = at_ + 1, end = text_.find(text_[at_], begin);
        if (end == std::string_view::npos) return {};
        at_ = end + 1;
        return std::string(text_.substr(begin, end - begin));
    }
    std::optional<bool> boolean() {
        skip();
        for (const std::string_view word : {"True", "False"})
            if (text_.substr(at_).starts_with(word)) {
                at_ += word.size();
                return word == "True";
            }
        return {};
    }
    std::optional<std::vector<int64_t>> tuple() {
        if (!accept('(')) return {};
        std::vector<int64_t> values;
        while (!accept(')')) {
            if (!values.empty() && !accept(',')) return {};
            if (accept(')')) break;
            size_t begin = at_;
            int64_t value = 0;
            for (; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_) {
                if (value > (int64_t(1) << 58) / 10) return {};
                value = value * 10 + (text_[at_] - '0');
            }
            if (at_ == begin) return {};
            values.push_back(value);
        }
        return values;
    }
    void skip() {
        while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
    }
    bool next_is(char c) {
        skip();
        return at_ < text_.size() && text_[at_] == c;
    }
    bool accept(char c) {
        if (!next_is(c)) return false;
        ++at_;
        return true;
    }
    std::string_view text_;
    size_t at_ = 0;
};

Header read_header(ByteSource &source) {
    const char *path = source.path().c_str();
    constexpr std::string_view kMagic("\x93NUMPY");
    char start[12] = {};
    if (source.size() < 10) fail(ExitCode::data, "%s is no NumPy file: it has %lld bytes", path, (long long)source.size());
    source.read(0, 10, reinterpret_cast<uint8_t *>(start));
    if (std::string_view(start, 6) != kMagic)
        fail(ExitCode::data, "%s is no NumPy file: it does not begin with \\x93NUMPY", path);
    int version = start[6];
    if (version < 1 || version > 3) fail(ExitCode::data, "%s: version %d of the format is not known", path, version);
    int64_t begin = version == 1 ? 10 : 12;
    source.read(0, begin, reinterpret_cast<uint8_t *>(start));
    int64_t length = 0;
    for (int64_t i = begin - 1; i >= 8; --i) length = length << 8 | uint8_t(start[i]);
    if (length > kMostHeader) fail(ExitCode::data, "%s is damaged: its header has %lld bytes", path, (long long)length);
    source.expect(begin + length);
    if (source.size() < begin + length) fail(ExitCode::data, "%s is truncated: it ends in its header", path);
    std::string text(size_t(length), '\0');
    source.read(begin, length, reinterpret_cast<uint8_t *>(text.data()));

    text.erase(text.find_last_not_of(" \n") + 1);  // the padding
    Dictionary dictionary(text);
    if (text.find("'descr': [") != std::string::npos)
        fail(ExitCode::data, "%s holds records with fields; an array of booleans or numbers is needed", path);
    if (!dictionary.read() || dictionary.descr->empty())
        fail(ExitCode::data, "%s is damaged: its header is %s, not {'descr': .., 'fortran_order': .., 'shape': ..}", path,
             quoted_name(std::string_view(text).substr(0, 200)).c_str());
    const std::string &descr = *dictionary.descr;
    Header header{nullptr, false, *dictionary.fortran, *dictionary.shape, begin + length};
    char order = descr[0];
    bool has_order = std::string_view("<>|=").find(order) != std::string_view::npos;
    std::string code = descr.substr(has_order);
    header.swapped = order == (std::endian::native == std::endian::little ? '>' : '<');
    for (const ElementType &type : kTypes)
        if (code == type.code) header.type = &type;
    if (!header.type)
        fail(ExitCode::data, "%s holds elements of type %s; booleans, integers and floats can be read", path, quoted_name(descr).c_str());
    if (header.shape.empty()) fail(ExitCode::data, "%s holds a single value, not an array of records", path);
    return header;
}

// Elements of a record in this machine's byte order -> elements of type.dtype.
void widen(const ElementType &type, const uint8_t *from, uint8_t *to, int64_t count, const std::string &path, int64_t record) {
    auto each = [&](auto narrow, auto wide, auto convert) {
        for (int64_t i = 0; i < count; ++i) {
            std::memcpy(&narrow, from + i * int64_t(sizeof narrow), sizeof narrow);
            wide = convert(narrow);
            std::memcpy(to + i * int64_t(sizeof wide), &wide, sizeof wide);
        }
    };
    auto same = [](auto value) { return value; };
    std::string_view code = type.code;
    if (code == "i1")
        each(int8_t(), int32_t(), same);
    else if (code == "u2")
        each(uint16_t(), int32_t(), same);
    else if (code == "i2")
        each(int16_t(), int32_t(), same);
    else if (code == "u4")
        each(uint32_t(), int64_t(), same);
    else if (code == "u8")
        each(uint64_t(), int64_t(), [&](uint64_t value) {
            if (value > INT64_MAX)
                fail(ExitCode::data, "%s: record %lld (counted from 0) has a value of %llu; at most 2^63 - 1 can be read", path.c_str(), (long long)record, (unsigned long long)value);
            return int64_t(value);
        });
    else if (code == "f2")
        each(uint16_t(), float(), from_half);
    else
        std::memcpy(to, from, size_t(count * type.bytes));
}

struct Array {
    std::shared_ptr<ByteSource> source;
    Header header;
    int64_t per_record = 1;

    int64_t record_bytes() const { return per_record * header.type->bytes; }
    void fetch(int64_t record, std::vector<uint8_t> &raw) const {
        const ElementType &type = *header.type;
        raw.resize(size_t(record_bytes()));
        if (!header.fortran) {
            source->read(header.bytes + record * record_bytes(), record_bytes(), raw.data());
        } else {
            // Column-major: element (record, i, j, ..) is at record + records * (i + extent_1 * (j + ..)).
            std::vector<int64_t> index(header.shape.size(), 0);
            for (int64_t element = 0; element < per_record; ++element) {
                int64_t at = 0;
                for (size_t axis = index.size(); axis-- > 1;) at = at * header.shape[axis] + index[axis];
                at = at * header.shape[0] + record;
                source->read(header.bytes + at * type.bytes, type.bytes, raw.data() + element * type.bytes);
                for (size_t axis = index.size(); axis-- > 1;) {
                    if (++index[axis] < header.shape[axis]) break;
                    index[axis] = 0;
                }
            }
        }
        if (header.swapped)
            for (int64_t i = 0; i < per_record; ++i) std::reverse(raw.data() + i * type.bytes, raw.data() + (i + 1) * type.bytes);
    }
    void read(int64_t record, DType dtype, uint8_t *to) const {
        thread_local std::vector<uint8_t> raw, wide;
        fetch(record, raw);
        wide.resize(size_t(per_record * size_of(header.type->dtype)));
        widen(*header.type, raw.data(), wide.data(), per_record, source->path(), record);
        convert_elements(header.type->dtype, wide.data(), dtype, to, per_record);
    }
};

}  // namespace

ArrayFile open_numpy(std::shared_ptr<ByteSource> source) {
    auto array = std::make_shared<Array>();
    array->source = source;
    array->header = read_header(*source);
    const Header &header = array->header;
    const char *path = source->path().c_str();
    std::vector<int64_t> record_shape(header.shape.begin() + 1, header.shape.end());
    __int128 bytes = header.type->bytes;
    for (int64_t extent : record_shape) {
        bytes *= extent;
        if (extent == 0 || bytes > (int64_t(1) << 40))
            fail(ExitCode::data, "%s: a record would have shape %s", path, shape_text(record_shape).c_str());
    }
    array->per_record = element_count(record_shape);
    int64_t records = header.shape[0];
    if (records == 0) fail(ExitCode::data, "%s holds no records", path);
    bytes *= records;
    if (bytes > (int64_t(1) << 60))
        fail(ExitCode::data, "%s: an array of shape %s cannot be", path, shape_text(header.shape).c_str());
    int64_t expected = header.bytes + int64_t(bytes);
    source->expect(expected);
    if (source->size() != expected)
        fail(ExitCode::data, "%s is %s: an array of shape %s needs %lld bytes, it has %s", path,
             source->size() < expected ? "truncated" : "oversized", shape_text(header.shape).c_str(), (long long)expected,
             source->compressed() && source->size() > expected ? "more" : std::to_string(source->size()).c_str());
    return {source->path(), records, record_shape, header.type->dtype, source->in_memory(),
            [array](int64_t record, DType dtype, uint8_t *to) { array->read(record, dtype, to); }};
}

}  // namespace kiln::runtime
