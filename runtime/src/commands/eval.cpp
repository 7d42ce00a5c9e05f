#include "checkpoint/checkpoint.h"
#include "commands/commands.h"
#include "support/failure.h"
#include "support/text.h"
#include "train/evaluate.h"
#include "train/progress.h"

#include <cstdio>

namespace kiln::runtime {
void eval_command(ProgramState &state, const EvalOptions &options) {
    const Metadata &metadata = state.metadata;
    if (!state.program.eval_step || metadata.samples.empty())
        fail(ExitCode::usage, "%s declares no loss and no metric to measure", metadata.source.c_str());
    Manifest manifest = load_checkpoint(options.run, options.checkpoint, state, false);
    std::string split = options.split.empty() ? measured_split(metadata) : options.split;
    Dataset dataset = open_split(options.data.empty() ? manifest.data : options.data, metadata, split, state.vocabularies);
    require_labels(dataset, split);
    Evaluation result = *evaluate(state, dataset, [] { return false; });
    std::printf("%s of %s/%s, step %lld: %s  (%lld records, %.0f samples/s)\n", split.c_str(), options.run.c_str(),
                options.checkpoint.c_str(), (long long)manifest.position.step,
                metrics_text(metadata.samples, result.values).c_str(), (long long)result.records,
                double(result.records) / std::max(result.seconds, 1e-9));
    if (!options.json) return;
    std::vector<std::string> fields;
    for (size_t i = 0; i < metadata.samples.size(); ++i)
        fields.push_back(json_string(metadata.samples[i]) + ": " + json_number(result.values[i]));
    std::printf("{%s}\n", join(fields, ", ").c_str());
}

}  // namespace kiln::runtime
