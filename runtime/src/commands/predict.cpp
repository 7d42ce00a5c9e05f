#include "checkpoint/checkpoint.h"
#include "commands/commands.h"
#include "data/dataset.h"
#include "image/image.h"
#include "support/failure.h"
#include "support/text.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>

namespace kiln::runtime {
namespace {

struct Frame {
    size_t column = 0;
    int64_t height = 0, width = 0, channels = 1;
};

// The first input that a picture fits: [h, w], [h, w, 1], [h, w, 3], or a flat one with a square number of elements.
Frame picture_frame(const Metadata &metadata) {
    std::vector<std::string> inputs;
    for (size_t i = 0; i < metadata.columns.size(); ++i) {
        const Column &column = metadata.columns[i];
        const auto &s = column.shape;
        inputs.push_back(column.name + ": " + type_text(column.dtype, s));
        if (column.classes > 0) continue;
        if (s.size() == 2) return {i, s[0], s[1], 1};
        if (s.size() == 3 && (s[2] == 1 || s[2] == 3)) return {i, s[0], s[1], s[2]};
        if (s.size() == 1) {
            auto side = int64_t(std::lround(std::sqrt(double(s[0]))));
            if (side > 1 && side * side == s[0]) return {i, side, side, 1};
        }
    }
    fail(ExitCode::usage, "%s takes no picture: its inputs are %s", metadata.model.c_str(), join(inputs, ", ").c_str());
}

// "class 7, probability 0.998": the largest entry of the row; a row of one entry is printed as it is.
std::string describe_row(const Output &output, const uint8_t *values, int64_t row) {
    int64_t width = element_count(output.shape) / output.shape[0];
    std::vector<double> entries(static_cast<size_t>(width));
    convert_elements(output.dtype, values + row * width * size_of(output.dtype), DType::f64,
                     reinterpret_cast<uint8_t *>(entries.data()), width);
    if (width == 1) return output.name + " " + short_number(entries[0]);
    auto best = std::max_element(entries.begin(), entries.end());
    bool probabilities = output.name.find("probab") != std::string::npos;
    return format("class %lld, %s %.4f", (long long)(best - entries.begin()), probabilities ? "probability" : output.name.c_str(),
                  *best);
}

}  // namespace

void predict_command(ProgramState &state, const PredictOptions &options) {
    const Metadata &metadata = state.metadata;
    if (!state.program.predict_step || metadata.outputs.empty())
        fail(ExitCode::usage, "%s declares no output to predict", metadata.source.c_str());
    const Output &output = metadata.outputs.front();
    if (output.shape.empty() || output.shape[0] != metadata.batch)
        fail(ExitCode::usage, "output %s is %s: not one value or row a sample", output.name.c_str(),
             type_text(output.dtype, output.shape).c_str());
    Frame frame = picture_frame(metadata);
    std::vector<Image> pictures;
    for (const std::string &file : options.files) {
        Image image = read_image(file, options.index);
        if (options.invert) image = inverted(std::move(image));
        pictures.push_back(resize(with_channels(image, frame.channels), frame.height, frame.width));
    }
    load_checkpoint(options.run, options.checkpoint, state, false);

    // Columns that are no picture, labels above all, stay zero: an output cannot depend on them sensibly.
    std::vector<Memory> memory;
    std::vector<const void *> columns;
    for (const Column &column : metadata.columns) {
        memory.emplace_back(size_t(metadata.batch * column.bytes()));
        columns.push_back(memory.back().data());
    }
    state.set_columns(columns);
    const Column &column = metadata.columns[frame.column];
    for (size_t first = 0; first < pictures.size(); first += size_t(metadata.batch)) {
        size_t count = std::min(size_t(metadata.batch), pictures.size() - first);
        for (size_t row = 0; row < size_t(metadata.batch); ++row) {
            const Image &image = pictures[first + (row < count ? row : 0)];
            convert_elements(DType::f32, reinterpret_cast<const uint8_t *>(image.values.data()), column.dtype,
                             memory[frame.column].data() + int64_t(row) * column.bytes(), column.elements());
        }
        state.program.predict_step(state.context());
        for (size_t row = 0; row < count; ++row) {
            if (options.art) std::printf("%s", text_art(pictures[first + row], 80).c_str());
            std::printf("%s: %s\n", options.files[first + row].c_str(),
                        describe_row(output, state.output(output), int64_t(row)).c_str());
        }
    }
}

}  // namespace kiln::runtime
