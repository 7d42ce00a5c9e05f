#include "commands/picture_input.h"

#include "data/dataset.h"
#include "data/idx.h"
#include "data/picture_set.h"
#include "support/failure.h"
#include "support/file.h"
#include "support/text.h"

#include <algorithm>
#include <cmath>

namespace kiln::runtime {
namespace {

bool is_idx(const std::string &content) { return content.starts_with(std::string_view("\0\0", 2)) || content.starts_with("\x1f\x8b"); }

// A record of an IDX file, as it is if it has the input's shape.
std::vector<float> idx_values(const std::string &path, int64_t index, const Column &column, const Frame &frame) {
    IdxFile file(path);
    if (index >= file.records())
        fail(ExitCode::data, "%s has %lld records; --index %lld counts from 0", path.c_str(), (long long)file.records(), (long long)index);
    std::vector<int64_t> shape = file.record_shape();
    std::vector<float> values(size_t(element_count(shape)));
    file.read(index, DType::f32, reinterpret_cast<uint8_t *>(values.data()));
    if (shape.size() == 2) shape.push_back(1);
    bool is_picture = file.is_bytes() && shape.size() == 3 && (shape[2] == 1 || shape[2] == 3);
    if (!is_picture || shape == std::vector<int64_t>{frame.height, frame.width, frame.channels}) {
        check_shape(column, file.record_shape(), path);
        return values;
    }
    check_pixels(shape[0], shape[1], path);
    Image image = fit_image({shape[0], shape[1], shape[2], {values.begin(), values.end()}}, frame);
    return {image.values.begin(), image.values.end()};
}

// The `fit` that a reader of pictures was given, also one whose records go through transforms.
void find_fit(const std::vector<std::pair<std::string, Value>> &arguments, Fit &fit) {
    for (const auto &[name, value] : arguments) {
        if (name == "fit") parse_fit(value.text, fit);
        find_fit(value.arguments, fit);
    }
}

}  // namespace

// Fitted as the training split's pictures are.
PictureInput picture_input(const Metadata &metadata) {
    std::vector<std::string> inputs;
    for (size_t i = 0; i < metadata.columns.size(); ++i) {
        const Column &column = metadata.columns[i];
        inputs.push_back(column.name + ": " + type_text(column));
        if (column.classes > 0) continue;
        std::optional<Frame> frame = picture_frame(column);
        if (!frame) continue;
        if (const Split *split = metadata.find_split("train")) find_fit(split->arguments, frame->fit);
        for (const Column &other : metadata.columns)
            if (other.predicts && &other != &column)
                fail(ExitCode::usage, "a picture alone does not tell all that %s predicts from: its inputs `%s` and `%s` come from a split of the data, by --split NAME",
                     metadata.model.c_str(), column.name.c_str(), other.name.c_str());
        return {i, *frame};
    }
    fail(ExitCode::usage, "%s takes no picture: its inputs are %s, and --split NAME gives records of the data", metadata.model.c_str(), join(inputs, ", ").c_str());
}

std::vector<float> picture_values(const std::string &path, int64_t index, bool invert, const Column &column, const Frame &frame) {
    std::vector<float> values;
    std::string content = read_file(path, ExitCode::data);
    if (is_idx(content)) {
        values = idx_values(path, index, column, frame);
    } else {
        Image image = fit_image(decode_image(content, path, &frame), frame);
        values.assign(image.values.begin(), image.values.end());
    }
    if (invert)
        for (float &value : values) value = 255 - value;
    return values;
}

Image shown(const std::vector<float> &values, const Frame &frame) {
    Image image{frame.height, frame.width, frame.channels, {}};
    for (float value : values) image.values.push_back(uint8_t(std::lround(std::clamp(value, 0.0f, 255.0f))));
    return image;
}

}  // namespace kiln::runtime
