#include "checkpoint/checkpoint.h"
#include "commands/commands.h"
#include "commands/given_records.h"
#include "commands/picture_input.h"
#include "commands/prediction.h"
#include "data/dataset.h"
#include "image/image.h"

#include <algorithm>
#include <cstdio>

namespace kiln::runtime {
namespace {

// One record whose inputs stand on the command line.
void predict_given(ProgramState &state, const PredictOptions &options) {
    const Output &output = predicted_output(state, options.output);
    Manifest manifest = load_checkpoint(options.run, options.checkpoint, state, false);
    GivenRecords records(state, options.data.empty() ? manifest.data : options.data);
    GivenRecords::Values given = records.resolved(options.given);
    for (int64_t row = 0; row < state.metadata.batch; ++row) records.fill(given, row);
    records.predict();
    std::printf("%s: %s\n", describe(given, state).c_str(), describe_row(output, entries_of(state, output), output_row(state, output, 0)).c_str());
}

}  // namespace

void predict_command(ProgramState &state, const PredictOptions &options) {
    const Metadata &metadata = state.metadata;
    if (!options.split.empty()) return predict_split(state, options);
    if (!options.given.empty()) return predict_given(state, options);
    const Output &output = predicted_output(state, options.output);
    const PictureInput input = picture_input(metadata);
    const Column &column = metadata.columns[input.column];
    std::vector<std::vector<float>> pictures;
    for (const std::string &file : options.files) pictures.push_back(picture_values(file, options.index, options.invert, column, input.frame));
    load_weights(state, options.run, options.checkpoint);
    const Entries meaning = entries_of(state, output);
    std::optional<PredictionTable> csv;
    if (!options.csv.empty()) csv.emplace(output, meaning.names, options.clip);

    // What no output depends on, labels above all, stays zero.
    std::vector<Memory> memory;
    std::vector<const void *> columns;
    for (const Column &column : metadata.columns) {
        memory.emplace_back(size_t(metadata.batch * column.bytes()));
        columns.push_back(memory.back().data());
    }
    for (size_t first = 0; first < pictures.size(); first += size_t(metadata.batch)) {
        size_t count = std::min(size_t(metadata.batch), pictures.size() - first);
        for (size_t row = 0; row < size_t(metadata.batch); ++row) {
            const std::vector<float> &values = pictures[first + (row < count ? row : 0)];
            convert_elements(DType::f32, reinterpret_cast<const uint8_t *>(values.data()), column.dtype,
                             memory[input.column].data() + int64_t(row) * column.bytes(), column.elements());
        }
        state.set_columns(columns, int64_t(first));
        state.program.predict_step(state.context());
        for (size_t row = 0; row < count; ++row) {
            if (options.art) std::printf("%s", text_art(shown(pictures[first + row], input.frame), 80).c_str());
            const std::string &file = options.files[first + row];
            std::vector<double> entries = output_row(state, output, int64_t(row));
            if (csv) csv->add(file, entries);
            else std::printf("%s: %s\n", file.c_str(), describe_row(output, meaning, entries).c_str());
        }
    }
    if (csv) csv->write(options.csv);
}

}  // namespace kiln::runtime
