#include "commands/commands.h"
#include "support/text.h"

#include <cstdio>

namespace kiln::runtime {

void summary_command(const Metadata &metadata) {
    std::printf("%s  (%s, %s, batch %lld, %s)\n", metadata.model.c_str(), metadata.source.c_str(), metadata.float_type.c_str(),
                (long long)metadata.batch, metadata.version.c_str());
    if (!metadata.doc.empty()) std::printf("%s\n", metadata.doc.c_str());
    std::vector<std::vector<std::string>> rows{{"layer", "output", "parameters"}};
    for (const Column &column : metadata.columns) {
        std::vector<int64_t> shape{metadata.batch};
        shape.insert(shape.end(), column.shape.begin(), column.shape.end());
        rows.push_back({column.name + (column.classes > 0 ? format(": class[%lld]", (long long)column.classes) : ""),
                        type_text(column.dtype, shape), ""});
    }
    for (const Layer &layer : metadata.layers)
        rows.push_back({layer.path, layer.output, layer.parameters ? grouped(layer.parameters) : "0"});
    std::printf("\n%s\n", table(rows, {2}).c_str());

    rows.clear();
    rows.push_back({"parameters", grouped(metadata.parameters)});
    std::vector<std::string> outputs;
    for (const Output &output : metadata.outputs) outputs.push_back(output.name + ": " + type_text(output.dtype, output.shape));
    if (!outputs.empty()) rows.push_back({outputs.size() == 1 ? "output" : "outputs", join(outputs, ", ")});
    if (metadata.flops_per_sample > 0)
        rows.push_back({"floating-point operations", short_number(metadata.flops_per_sample) + " a sample"});
    std::vector<std::string> arenas;
    int64_t total = 0;
    for (const Arena &arena : metadata.arenas) {
        arenas.push_back(arena.name + " " + bytes_text(double(arena.bytes)));
        total += arena.bytes;
    }
    rows.push_back(
        {"memory", bytes_text(double(metadata.peak_bytes ? metadata.peak_bytes : total)) + " (" + join(arenas, ", ") + ")"});
    std::printf("%s", table(rows, {}).c_str());
}

}  // namespace kiln::runtime
