#include "data/pseudo_labels.h"

namespace kiln::runtime {

const PseudoLabels *PseudoLabelSets::find(const std::string &split) const {
    for (const PseudoLabels &set : sets)
        if (set.split == split) return &set;
    return nullptr;
}

std::vector<int64_t> confident_records(const PseudoLabels &labels, double above) {
    std::vector<int64_t> records;
    for (size_t i = 0; i < labels.confidence.size(); ++i)
        if (double(labels.confidence[i]) >= above) records.push_back(int64_t(i));
    return records;
}

std::vector<int64_t> class_counts(const PseudoLabels &labels, const std::vector<int64_t> &records, int64_t classes) {
    std::vector<int64_t> counts(static_cast<size_t>(classes));
    for (int64_t record : records) counts[size_t(labels.classes[size_t(record)])] += 1;
    return counts;
}

}  // namespace kiln::runtime
