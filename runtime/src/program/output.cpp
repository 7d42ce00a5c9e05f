#include "program/output.h"

#include "data/dataset.h"
#include "support/failure.h"
#include "support/text.h"
#include "kiln/names.h"

#include <algorithm>

namespace kiln::runtime {
namespace {

const Output &output_named(const Metadata &metadata, const std::string &name) {
    const auto found = std::find_if(metadata.outputs.begin(), metadata.outputs.end(), [&](const Output &output) { return output.name == name; });
    if (found != metadata.outputs.end()) return *found;
    std::vector<std::string> names;
    for (const Output &output : metadata.outputs) names.push_back(output.name);
    const std::string nearest = nearest_name(name, names);
    fail(ExitCode::usage, "--output: %s declares no output %s; it has: %s%s", metadata.source.c_str(), quoted_name(name).c_str(), quoted_list(names).c_str(),
         nearest.empty() ? "" : (". Is " + quoted_name(nearest) + " meant?").c_str());
}

}  // namespace

const Output &predicted_output(const ProgramState &state, const std::string &name) {
    const Metadata &metadata = state.metadata;
    if (!state.program.predict_step || metadata.outputs.empty())
        fail(ExitCode::usage, "%s declares no output to predict", metadata.source.c_str());
    const Output &output = name.empty() ? metadata.outputs.front() : output_named(metadata, name);
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
