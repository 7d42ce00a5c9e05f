#include "train/evaluate.h"

#include "data/batch_stream.h"

#include <algorithm>
#include <chrono>

namespace kiln::runtime {

std::optional<Evaluation> evaluate(ProgramState &state, const Dataset &dataset, const std::function<bool()> &stop) {
    auto start = std::chrono::steady_clock::now();
    int64_t batch = state.metadata.batch;
    std::vector<double> training_sums = state.sums();
    std::fill(state.sums().begin(), state.sums().end(), 0.0);
    BatchStream stream(dataset, state.metadata.columns, batch, {}, {0, (dataset.records + batch - 1) / batch});
    bool stopped = false;
    for (int64_t record = 0; const Batch *next = stream.next(); record += batch) {
        state.set_columns(next->columns, record);
        state.program.eval_step(state.context(), next->valid);
        if ((stopped = stop())) break;
    }
    Evaluation result{dataset.records, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(),
                      reported(state, state.sums(), double(dataset.records))};
    std::copy(training_sums.begin(), training_sums.end(), state.sums().begin());
    state.set("record", 0);  // as it is in training: checkpoints hold it
    if (stopped) return std::nullopt;
    return result;
}

}  // namespace kiln::runtime
