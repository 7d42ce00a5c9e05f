#include "train/training_data.h"

#include "support/hash.h"
#include "train/label_unlabelled.h"

namespace kiln::runtime {

TrainingData::TrainingData(const std::string &folder, const Metadata &metadata, Vocabularies &vocabularies, bool validates)
    : training(open_training_sets(folder, metadata, vocabularies)), unlabelled(open_unlabelled_sets(folder, metadata, vocabularies)), columns_(metadata.columns) {
    for (const auto *sets : {&training, &unlabelled})
        for (const auto &[name, set] : *sets) splits[name] = &set;
    if (!validates || !metadata.find_split("validation")) return;
    require_labels(validation.emplace(open_split(folder, metadata, "validation", vocabularies)), "validation");
    for (const auto &[name, set] : training) check_overlap(set, *validation, "validation");
}

int64_t TrainingData::records() const {
    int64_t records = 0;
    for (const auto &[name, set] : training) records += set.records;
    return records;
}

std::string TrainingData::checksum() const {
    Xxh64 sum;
    for (const auto &[name, set] : splits) {
        const uint64_t part = sample_checksum(*set, columns_);
        sum.update(&part, sizeof part);
    }
    return hash_text(sum.digest());
}

std::string TrainingData::validation_checksum() const { return validation ? hash_text(sample_checksum(*validation, columns_)) : ""; }

}  // namespace kiln::runtime
