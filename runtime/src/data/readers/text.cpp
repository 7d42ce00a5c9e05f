// text(file, stride): pieces of a text as classes, one byte after the other.
#include "data/byte_source.h"
#include "data/dataset.h"
#include "support/failure.h"
#include "support/text.h"

#include <algorithm>
#include <memory>

namespace kiln::runtime {
namespace {

constexpr int64_t kMostContent = int64_t(1) << 40;  // of a compressed file

/// The one input that is filled.
size_t target_of(const ReaderRequest &request) {
    std::vector<size_t> found;
    std::vector<std::string> inputs;
    for (size_t c = 0; c < request.columns.size(); ++c) {
        const Column &column = request.columns[c];
        inputs.push_back(column.name + ": " + type_text(column));
        if (request.wants(c) && column.shape.size() == 1 && column.classes > 0) found.push_back(c);
        else if (request.wants(c) && !request.may_lack(c)) found.resize(request.columns.size() + 1);
    }
    if (found.size() != 1)
        fail(ExitCode::data, "split %s: text feeds one input of classes in a row, such as class[256][64]; the model's are %s", request.split.name.c_str(),
             join(inputs, ", ").c_str());
    return found[0];
}

/// Every byte is looked at before anything starts, as labels are.
void check_bytes(const ByteSource &source, const Column &column) {
    if (column.classes > 255) return;
    constexpr int64_t kPiece = 1 << 20;
    std::vector<uint8_t> buffer;
    int64_t line = 1;
    for (int64_t from = 0; from < source.size(); from += kPiece) {
        const int64_t count = std::min(kPiece, source.size() - from);
        const uint8_t *bytes = source.bytes(from, count, buffer);
        for (int64_t i = 0; i < count; ++i) {
            if (bytes[i] >= column.classes)
                fail(ExitCode::data, "%s:%lld: byte %lld of the file is %d, but `%s` is %s: 0 to %lld; class[128] holds ASCII, class[256] any text",
                     source.path().c_str(), (long long)line, (long long)(from + i), int(bytes[i]), column.name.c_str(), type_text(column).c_str(),
                     (long long)(column.classes - 1));
            line += bytes[i] == '\n';
        }
    }
}

}  // namespace

Dataset open_text(const ReaderRequest &request) {
    const char *split = request.split.name.c_str();
    const std::string path = request.path_argument("file");
    const size_t target = target_of(request);
    const Column column = request.columns[target];
    const int64_t length = column.elements();
    int64_t stride = length;
    if (const Value *given = request.argument("stride")) {
        if (given->kind != Value::Kind::number || !(given->number >= 1 && given->number <= double(kMostContent) && given->number == double(int64_t(given->number))))
            fail(ExitCode::data, "split %s: `stride` of text is a number of bytes, 1 or more", split);
        stride = int64_t(given->number);
    }
    auto source = std::make_shared<ByteSource>(path);
    source->expect(kMostContent);
    if (source->size() < length)
        fail(ExitCode::data, "%s has %lld bytes, and a record of `%s: %s` takes %lld", source->path().c_str(), (long long)source->size(), column.name.c_str(),
             type_text(column).c_str(), (long long)length);
    check_bytes(*source, column);
    Dataset data;
    data.records = (source->size() - length) / stride + 1;
    data.description = source->path();
    data.cost = source->in_memory() ? Cost::memory : Cost::disk;
    data.fills.assign(request.columns.size(), false);
    data.fills[target] = true;
    data.name = [source, stride](int64_t record) { return format("%s, byte %lld", source->path().c_str(), (long long)(record * stride)); };
    data.read = [source, stride, length, target, dtype = column.dtype](int64_t record, uint8_t *const *rows) {
        thread_local std::vector<uint8_t> buffer;
        convert_elements(DType::u8, source->bytes(record * stride, length, buffer), dtype, rows[target], length);
    };
    return data;
}

}  // namespace kiln::runtime
