// cifar(files, ..): the binary files of CIFAR-10 and CIFAR-100 (A. Krizhevsky 2009): records of one label byte (CIFAR-100: two,
// coarse and fine), then 32x32 values of red, of green, and of blue.
#include "data/byte_source.h"
#include "data/dataset.h"
#include "support/failure.h"
#include "support/text.h"

#include <algorithm>
#include <array>
#include <memory>

namespace kiln::runtime {
namespace {

constexpr int64_t kSide = 32, kPlane = kSide * kSide, kPixels = 3 * kPlane;

struct Layout {
    const char *kind;
    int64_t labels, label;  ///< label bytes of a record, and which of them counts
};
constexpr Layout kLayouts[] = {{"cifar-10", 1, 0}, {"cifar-100 coarse", 2, 0}, {"cifar-100 fine", 2, 1}};

Layout layout_of(const ReaderRequest &request) {
    const Value *kind = request.argument("kind");
    std::vector<std::string> kinds;
    for (const Layout &layout : kLayouts) {
        if (kind && kind->text == layout.kind) return layout;
        kinds.push_back(layout.kind);
    }
    fail(ExitCode::data, "split %s: cifar has no kind `%s`; it has: %s", request.split.name.c_str(),
         kind ? kind->text.c_str() : "", join(kinds, ", ").c_str());
}

struct Batches {
    std::vector<ByteSource> files;
    std::vector<int64_t> first;  ///< record of each file, and one past the last
    Layout layout{};
    int64_t record_bytes() const { return layout.labels + kPixels; }

    const uint8_t *record(int64_t index) const {
        thread_local std::vector<uint8_t> buffer;
        size_t file = size_t(std::upper_bound(first.begin(), first.end(), index) - first.begin()) - 1;
        return files[file].bytes((index - first[file]) * record_bytes(), record_bytes(), buffer);
    }
};

}  // namespace

Dataset open_cifar(const ReaderRequest &request) {
    const char *split = request.split.name.c_str();
    auto batches = std::make_shared<Batches>();
    batches->layout = layout_of(request);
    const Value *given = request.argument("files");
    std::vector<Value> files = given && given->kind == Value::Kind::list ? given->list
                               : given                                   ? std::vector{*given}
                                                                         : std::vector<Value>();
    const Column *image = nullptr, *label = nullptr;
    size_t image_column = 0, label_column = 0;
    bool others = false;
    for (size_t c = 0; c < request.columns.size(); ++c) {
        const Column &column = request.columns[c];
        const bool is_label = column.is_one_class(), is_picture = column.classes == 0 && column.elements() == kPixels;
        if (!request.wants(c) || (!is_label && !is_picture && request.may_lack(c))) continue;
        others |= (is_label && label) || (!is_label && image);
        (is_label ? label : image) = &column;
        (is_label ? label_column : image_column) = c;
    }
    if (!image || others)
        fail(ExitCode::data,
             "split %s: cifar feeds one picture, f32[32, 32, 3], and one label, class[n]; the model has %zu inputs", split,
             request.columns.size());
    std::vector<std::string> paths;
    batches->first.push_back(0);
    for (const Value &file : files) {
        if (file.kind != Value::Kind::path && file.kind != Value::Kind::string)
            fail(ExitCode::data, "split %s: the `files` of cifar are no paths", split);
        const ByteSource &source = batches->files.emplace_back(request.path(file));
        const char *path = source.path().c_str();
        if (source.compressed()) fail(ExitCode::data, "%s is compressed: `gunzip` it", path);
        if (source.size() == 0 || source.size() % batches->record_bytes() != 0)
            fail(ExitCode::data, "%s is no file of %s: its %lld bytes are not a number of records of %lld bytes", path,
                 batches->layout.kind, (long long)source.size(), (long long)batches->record_bytes());
        batches->first.push_back(batches->first.back() + source.size() / batches->record_bytes());
        paths.push_back(source.path());
    }
    if (files.empty()) fail(ExitCode::data, "split %s: cifar was given no files", split);
    check_shape(*image, {kSide, kSide, 3}, paths[0]);
    int64_t records = batches->first.back();
    for (int64_t i = 0; label && i < records; ++i)
        if (int64_t value = batches->record(i)[batches->layout.label]; value >= label->classes)
            fail(ExitCode::data, "%s: record %lld (counted from 0) has label %lld, but `%s` is class[%lld]: 0 to %lld",
                 join(paths, ", ").c_str(), (long long)i, (long long)value, label->name.c_str(), (long long)label->classes,
                 (long long)(label->classes - 1));

    Dataset data;
    data.records = records;
    data.description = join(paths, ", ");
    if (std::any_of(batches->files.begin(), batches->files.end(), [](const ByteSource &file) { return !file.in_memory(); })) data.cost = Cost::disk;
    data.fills.assign(request.columns.size(), false);
    data.fills[image_column] = true;
    if (label) data.fills[label_column] = true;
    data.read = [batches, image_column, label_column, has_label = label != nullptr, image_dtype = image->dtype,
                 label_dtype = label ? label->dtype : DType::i32](int64_t index, uint8_t *const *rows) {
        const uint8_t *record = batches->record(index), *planes = record + batches->layout.labels;
        std::array<uint8_t, size_t(kPixels)> pixels;
        for (int64_t i = 0; i < kPlane; ++i)
            for (int64_t c = 0; c < 3; ++c) pixels[size_t(3 * i + c)] = planes[c * kPlane + i];
        convert_elements(DType::u8, pixels.data(), image_dtype, rows[image_column], kPixels);
        if (has_label) convert_elements(DType::u8, record + batches->layout.label, label_dtype, rows[label_column], 1);
    };
    return data;
}

}  // namespace kiln::runtime
