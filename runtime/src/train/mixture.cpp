#include "train/mixture.h"

#include "data/shuffle.h"
#include "train/label_unlabelled.h"

#include <algorithm>
#include <cstring>
#include <memory>

namespace kiln::runtime {
namespace {

// Draws of further parts, and of further passes over one, are apart from each other and from the epochs of the first.
uint64_t stream_of(size_t part, int64_t pass, int64_t epoch) { return uint64_t(part + 1) << 60 | uint64_t(pass) << 32 | uint64_t(epoch); }

}  // namespace

void write_shares(int32_t label, int64_t classes, float *shares) {
    std::fill(shares, shares + classes, 0.0f);
    shares[label] = 1;
}

Mixture::Mixture(const ProgramState &state, const Phase &phase, const DatasetsByName &splits) : shuffle_(state.metadata.shuffle), columns_(state.metadata.columns) {
    struct Source {
        const Dataset *dataset;
        int64_t first;
        std::shared_ptr<const PseudoLabels> labels;
    };
    std::vector<MixPart> mix = phase.mix;
    if (mix.empty()) mix.push_back({phase.split, state.metadata.batch});
    std::vector<Source> sources;
    bool has_lead = false;
    for (const MixPart &part : mix) {
        const Dataset *dataset = splits.at(part.split);
        std::shared_ptr<const PseudoLabels> labels;
        std::vector<int64_t> eligible;
        if (part.pseudo) {
            labels = std::make_shared<const PseudoLabels>(*state.pseudo_labels.find(part.split));
            eligible = confident_records(*labels, threshold(state, part));
        } else if (!has_lead) {
            lead_ = parts_.size();
            has_lead = true;
        }
        parts_.push_back({dataset, part.rows, dataset_.records, std::move(eligible), part.pseudo});
        sources.push_back({dataset, dataset_.records, labels});
        dataset_.records += dataset->records;
        dataset_.cost = std::max(dataset_.cost, dataset->cost);
        dataset_.description += (dataset_.description.empty() ? "" : ", ") + dataset->description;
    }
    const bool soft = phase.soft();
    const size_t label = state.metadata.pseudo_label.value_or(0);
    const int64_t classes = columns_.empty() ? 0 : columns_[label].classes;
    if (soft) {
        columns_[label].dtype = DType::f32;
        columns_[label].shape = {classes};
        columns_[label].classes = 0;
    }
    dataset_.read = [sources = std::move(sources), soft, label, classes, columns = columns_.size()](int64_t record, uint8_t *const *rows) {
        size_t s = sources.size() - 1;
        while (record < sources[s].first) --s;
        const Source &source = sources[s];
        record -= source.first;
        if (!source.labels && !soft) return source.dataset->read(record, rows);
        int32_t own = 0;
        std::vector<uint8_t *> targets(rows, rows + columns);
        targets[label] = reinterpret_cast<uint8_t *>(&own);
        source.dataset->read(record, targets.data());
        if (source.labels) own = source.labels->classes[size_t(record)];
        if (!soft) std::memcpy(rows[label], &own, sizeof own);
        else if (!source.labels || source.labels->targets.empty()) write_shares(own, classes, reinterpret_cast<float *>(rows[label]));
        else std::memcpy(rows[label], source.labels->targets.data() + record * classes, size_t(classes) * sizeof(float));
    };
}

std::vector<int64_t> Mixture::order(uint64_t seed, int64_t epoch, int64_t batches) const {
    int64_t batch = 0;
    for (const Part &part : parts_) batch += part.rows;
    std::vector<int64_t> order(size_t(batch * batches));
    int64_t row = 0;
    for (size_t p = 0; p < parts_.size(); row += parts_[p].rows, ++p) {
        const Part &part = parts_[p];
        const int64_t available = part.pseudo ? int64_t(part.eligible.size()) : part.dataset->records;
        std::vector<int64_t> pass;
        for (int64_t i = 0; i < part.rows * batches; ++i) {
            const int64_t at = i % available;
            if (at == 0 && shuffle_) pass = shuffled_order(available, seed, p == lead_ ? uint64_t(epoch) : stream_of(p, i / available, epoch));
            // In file order the further parts go on where the epoch before left them.
            int64_t record = shuffle_ ? pass[size_t(at)] : p == lead_ ? at : (epoch * part.rows * batches + i) % available;
            if (part.pseudo) record = part.eligible[size_t(record)];
            order[size_t(i / part.rows * batch + row + i % part.rows)] = part.first + record;
        }
    }
    return order;
}

Phase labelled_only(const Phase &phase, int64_t batch) {
    Phase result = phase;
    if (result.mix.empty()) return result;
    MixPart labelled = phase.first_labelled();
    labelled.rows = batch;
    labelled.soft = phase.soft();
    result.mix = {labelled};
    return result;
}

}  // namespace kiln::runtime
