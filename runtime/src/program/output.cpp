#include "program/output.h"

#include "data/dataset.h"
#include "support/failure.h"

namespace kiln::runtime {

const Output &predicted_output(const ProgramState &state) {
    const Metadata &metadata = state.metadata;
    if (!state.program.predict_step || metadata.outputs.empty())
        fail(ExitCode::usage, "%s declares no output to predict", metadata.source.c_str());
    const Output &output = metadata.outputs.front();
    if (output.shape.empty() || output.shape[0] != metadata.batch)
        fail(ExitCode::usage, "output %s is %s: not one value or row a sample", output.name.c_str(),
             type_text(output.dtype, output.shape).c_str());
    return output;
}

std::vector<double> output_row(const ProgramState &state, const Output &output, int64_t row) {
    int64_t width = element_count(output.shape) / output.shape[0];
    std::vector<double> entries(static_cast<size_t>(width));
    convert_elements(output.dtype, state.output(output) + row * width * size_of(output.dtype), DType::f64,
                     reinterpret_cast<uint8_t *>(entries.data()), width);
    return entries;
}

}  // namespace kiln::runtime
