// What the batches of a phase that mixes are made of, and the labels in them.
#include "train/label_unlabelled.h"
#include "train/mixture.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <set>

namespace kiln::runtime {
namespace {

// Records of one f32 that counts from `first`; labels are the record's number modulo 3.
Dataset counting(int64_t records, float first) {
    Dataset data;
    data.records = records;
    data.read = [first](int64_t record, uint8_t *const *rows) {
        float value = first + float(record);
        auto label = int32_t(record % 3);
        std::memcpy(rows[0], &value, sizeof value);
        std::memcpy(rows[1], &label, sizeof label);
    };
    return data;
}

struct MixtureTest : ::testing::Test {
    MixtureTest() {
        metadata.batch = 8;
        metadata.columns = {{"x", DType::f32, {}}, {"label", DType::i32, {}, 3}};
        metadata.pseudo_label = 1;
        phase.name = "semi";
        phase.mix = {{"train", 4}, {"extra", 2}, {"unlabelled", 2, true, false, true, 0.5, ""}};
        state.emplace(program, metadata);
        labels.split = "unlabelled";
        for (int i = 0; i < 9; ++i) {
            labels.classes.push_back(2 - i % 3);
            labels.confidence.push_back(i % 2 ? 0.9f : 0.4f);
            for (int k = 0; k < 3; ++k) labels.targets.push_back(k == 2 - i % 3 ? 0.5f : 0.25f);
        }
        state->pseudo_labels = {0, {labels}};
    }

    Dataset train = counting(17, 100), extra = counting(5, 200), unlabelled = counting(9, 300);
    DatasetsByName splits{{"train", &train}, {"extra", &extra}, {"unlabelled", &unlabelled}};
    KilnProgram program{};
    Metadata metadata;
    Phase phase;
    PseudoLabels labels;
    std::optional<ProgramState> state;

    float value(const Mixture &mixture, int64_t record, void *label) const {
        float value = 0;
        uint8_t *rows[] = {reinterpret_cast<uint8_t *>(&value), static_cast<uint8_t *>(label)};
        mixture.dataset().read(record, rows);
        return value;
    }
};

TEST_F(MixtureTest, every_batch_has_exactly_its_shares_in_order) {
    Mixture mixture(*state, phase, splits);
    for (int64_t epoch : {0, 1, 7}) {
        std::vector<int64_t> order = mixture.order(3, epoch, 4);
        ASSERT_EQ(order.size(), 32u);
        std::multiset<float> labelled;
        for (size_t i = 0; i < order.size(); ++i) {
            int32_t label = -1;
            float x = value(mixture, order[i], &label);
            EXPECT_EQ(int(x) / 100, i % 8 < 4 ? 1 : i % 8 < 6 ? 2 : 3) << i;
            int record = int(x) % 100;
            EXPECT_EQ(label, i % 8 < 6 ? record % 3 : 2 - record % 3);
            if (i % 8 < 4) labelled.insert(x);
            if (i % 8 >= 6) {
                EXPECT_EQ(record % 2, 1) << "below the threshold";
            }
        }
        EXPECT_EQ(std::set<float>(labelled.begin(), labelled.end()).size(), 16u) << "an epoch is one pass over the first part";
    }
}

TEST_F(MixtureTest, a_part_begins_again_only_when_it_is_used_up) {
    Mixture mixture(*state, phase, splits);
    std::vector<int64_t> order = mixture.order(3, 0, 4);
    std::map<int64_t, int> extra_draws, pseudo_draws;
    for (size_t i = 0; i < order.size(); ++i) {
        if (i % 8 == 4 || i % 8 == 5) ++extra_draws[order[i]];
        if (i % 8 > 5) ++pseudo_draws[order[i]];
    }
    ASSERT_EQ(extra_draws.size(), 5u);   // 8 draws of 5 records
    ASSERT_EQ(pseudo_draws.size(), 4u);  // 8 draws of the 4 that are sure
    for (auto [record, count] : extra_draws) EXPECT_LE(count, 2);
    for (auto [record, count] : pseudo_draws) EXPECT_EQ(count, 2);
}

TEST_F(MixtureTest, the_order_is_a_function_of_seed_and_epoch) {
    Mixture mixture(*state, phase, splits), again(*state, phase, splits);
    EXPECT_EQ(mixture.order(3, 5, 4), again.order(3, 5, 4));
    EXPECT_NE(mixture.order(3, 5, 4), mixture.order(3, 6, 4));
    EXPECT_NE(mixture.order(3, 5, 4), mixture.order(4, 5, 4));
}

TEST_F(MixtureTest, in_file_order_further_parts_go_on_where_they_were) {
    metadata.shuffle = false;
    Mixture mixture(*state, phase, splits);
    std::vector<int64_t> first = mixture.order(3, 0, 1), second = mixture.order(3, 1, 1);
    EXPECT_EQ((std::vector<int64_t>(first.begin(), first.begin() + 6)), (std::vector<int64_t>{0, 1, 2, 3, 17, 18}));
    EXPECT_EQ((std::vector<int64_t>(second.begin(), second.begin() + 6)), (std::vector<int64_t>{0, 1, 2, 3, 19, 20}));
}

TEST_F(MixtureTest, soft_labels_are_shares_for_all_parts) {
    phase.mix[2].soft = true;
    Mixture mixture(*state, phase, splits);
    EXPECT_EQ(mixture.columns()[1].bytes(), 12);
    float shares[3] = {9, 9, 9};
    value(mixture, 1, shares);
    EXPECT_EQ((std::vector<float>(shares, shares + 3)), (std::vector<float>{0, 1, 0}));
    value(mixture, 17 + 5 + 1, shares);
    EXPECT_EQ((std::vector<float>(shares, shares + 3)), (std::vector<float>{0.25f, 0.5f, 0.25f}));
}

TEST_F(MixtureTest, labelled_only_fills_batches_with_the_first_part) {
    phase.mix[2].soft = true;
    Phase only = labelled_only(phase, 8);
    ASSERT_EQ(only.mix.size(), 1u);
    EXPECT_EQ(only.mix[0].rows, 8);
    EXPECT_TRUE(only.soft());
    EXPECT_EQ(Mixture(*state, only, splits).order(0, 0, 2).size(), 16u);
}

TEST_F(MixtureTest, reports_count_what_is_sure_enough) {
    std::vector<PseudoReport> reports = pseudo_reports(*state, phase);
    ASSERT_EQ(reports.size(), 1u);
    EXPECT_EQ(reports[0].share, 0.25);
    EXPECT_EQ(reports[0].records, 9);
    EXPECT_EQ(reports[0].confident, 4);
    EXPECT_EQ(reports[0].classes, (std::vector<int64_t>{1, 2, 1}));
    EXPECT_FALSE(reports[0].agreement);
}

}  // namespace
}  // namespace kiln::runtime
