// Data: IDX files good and bad, shuffling, batches.
#include "harness.h"
#include "values.h"

#include "data/batch_stream.h"
#include "data/dataset.h"
#include "data/shuffle.h"
#include "support/failure.h"
#include "threads/team.h"

#include <gtest/gtest.h>
#include <algorithm>
#include <cstring>
#include <map>
#include <numeric>

namespace kiln::runtime::testing {
namespace {

const std::vector<Column> kColumns{{"image", DType::f32, {4, 4, 1}, 0}, {"label", DType::i32, {}, 3}};
const Split kSplit{"train", "idx", {{"images", path("train-images")}, {"labels", path("train-labels")}}};

struct Data : ::testing::Test {
    TemporaryFolder folder;
    void SetUp() override { write_data(folder.path()); }

    Dataset open(const std::vector<Column> &columns = kColumns, const Split &split = kSplit) {
        return open_split(folder.path(), split, columns);
    }
    // The message of the failure that opening ends with; its code must be `data`.
    std::string error(const std::vector<Column> &columns = kColumns, const Split &split = kSplit) {
        return failure_of(ExitCode::data, [&] { open(columns, split); });
    }
    void images(const std::string &content) { write_text(folder / "train-images", content); }
    void labels(const std::string &content) { write_text(folder / "train-labels", content); }
};

TEST_F(Data, pixels_arrive_as_they_are) {
    Dataset data = open();
    ASSERT_EQ(data.records, 100);
    std::string file = idx_images(100, 1);
    for (int record : {0, 41, 99}) {
        float image[16];
        int32_t label = -1;
        uint8_t *rows[] = {reinterpret_cast<uint8_t *>(image), reinterpret_cast<uint8_t *>(&label)};
        data.read(record, rows);
        for (int i = 0; i < 16; ++i) EXPECT_EQ(image[i], float(uint8_t(file[size_t(16 + record * 16 + i)])));
        EXPECT_EQ(label, idx_labels(100, 1)[size_t(8 + record)]);
    }
}

TEST_F(Data, gz_is_found_and_read_like_plain) {
    write_gz(folder / "train-images.gz", idx_images(100, 1));
    std::filesystem::remove(folder / "train-images");
    Dataset data = open();
    EXPECT_EQ(data.records, 100);
    EXPECT_CONTAINS(data.description, "train-images.gz");
    float image[16];
    int32_t label;
    uint8_t *rows[] = {reinterpret_cast<uint8_t *>(image), reinterpret_cast<uint8_t *>(&label)};
    data.read(99, rows);
    EXPECT_EQ(image[15], float(uint8_t(idx_images(100, 1).back())));

    Split split = kSplit;
    split.arguments[1].second.text = "train-labels.gz";  // only the plain file exists
    EXPECT_EQ(open(kColumns, split).records, 100);
}

TEST_F(Data, plain_files_are_kept_in_memory_and_large_ones_stay_on_the_disk) {
    for (int mebibytes : {17, 65}) {
        const int count = (mebibytes << 20) / 16;
        const std::string content = idx_images(count, 1);
        images(content);
        labels(idx_labels(count, 1));
        Dataset data = open();
        float image[16];
        int32_t label;
        uint8_t *rows[] = {reinterpret_cast<uint8_t *>(image), reinterpret_cast<uint8_t *>(&label)};
        data.read(count - 1, rows);
        EXPECT_EQ(image[15], float(uint8_t(content.back())));
        std::filesystem::resize_file(folder / "train-images", 1 << 20);
        if (mebibytes == 17) data.read(count - 1, rows);
        else EXPECT_THROW(data.read(count - 1, rows), Failure);
    }
}

TEST_F(Data, other_element_types_are_big_endian) {
    std::string file("\x00\x00\x0d\x02\x00\x00\x00\x02\x00\x00\x00\x02", 12);
    file += std::string("\x3f\x80\x00\x00\xc0\x00\x00\x00\x00\x00\x00\x00\x42\x28\x00\x00", 16);  // 1, -2, 0, 42
    images(file);
    std::vector<Column> columns{{"image", DType::f64, {2}, 0}};
    Dataset data = open(columns);
    double values[2];
    uint8_t *rows[] = {reinterpret_cast<uint8_t *>(values)};
    data.read(0, rows);
    EXPECT_EQ(values[0], 1);
    EXPECT_EQ(values[1], -2);
    data.read(1, rows);
    EXPECT_EQ(values[1], 42);

    images(std::string("\x00\x00\x0b\x02\x00\x00\x00\x01\x00\x00\x00\x02\xff\xfe\x01\x00", 16));
    open(columns).read(0, rows);
    EXPECT_EQ(values[0], -2);
    EXPECT_EQ(values[1], 256);
}

TEST_F(Data, missing_file) {
    std::filesystem::remove(folder / "train-labels");
    EXPECT_CONTAINS(error(), "there is no file " + (folder / "train-labels") + " (nor one with .gz at the end)");
}

TEST_F(Data, a_folder_in_place_of_a_file) {
    std::filesystem::remove(folder / "train-labels");
    std::filesystem::create_directory(folder / "train-labels");
    EXPECT_CONTAINS(error(), "is a folder");
}

TEST_F(Data, truncated) {
    images(idx_images(100, 1).substr(0, 16 + 16 * 41 + 3));
    EXPECT_CONTAINS(error(),
                    "train-images is truncated: 100 records of 16 bytes need 1616 bytes, it has 675 and ends in record 41");
    for (size_t bytes : {0, 1, 3, 4, 9, 15}) {
        images(idx_images(100, 1).substr(0, bytes));
        EXPECT_CONTAINS(error(), "train-images is ");
    }
}

TEST_F(Data, oversized) {
    images(idx_images(100, 1) + "xy");
    EXPECT_CONTAINS(error(), "train-images is oversized: 100 records of 16 bytes need 1616 bytes, it has 1618");
    write_gz(folder / "train-images", idx_images(100, 1) + "x");  // compressed despite its name
    EXPECT_CONTAINS(error(), "is oversized");
}

TEST_F(Data, truncated_or_corrupted_gz) {
    write_gz(folder / "train-images", idx_images(100, 1));
    std::string gz = read_text(folder / "train-images");
    for (size_t keep : {size_t(3), size_t(20), gz.size() / 2, gz.size() - 5}) {
        images(gz.substr(0, keep));
        EXPECT_CONTAINS(error(), "train-images is ");
    }
    for (size_t at = 10; at < gz.size(); at += 7) {
        std::string bad = gz;
        bad[at] = char(bad[at] ^ 0x10);
        images(bad);
        EXPECT_NE(error(), "no error") << at;
    }
}

TEST_F(Data, wrong_magic) {
    images("\x89PNG....");
    EXPECT_CONTAINS(error(), "train-images is no IDX file: it begins with 89 50 4e 47");
    images(std::string("\x00\x00\x07\x01\x00\x00\x00\x01\x00", 9));
    EXPECT_CONTAINS(error(), "is no IDX file");
    images(std::string("\x00\x00\x08\x00\x00\x00\x00\x01\x00", 9));
    EXPECT_CONTAINS(error(), "rank 0");
}

TEST_F(Data, absurd_extents) {
    images(std::string("\x00\x00\x08\x05", 4) + std::string(20, '\xff'));
    EXPECT_CONTAINS(error(), "a record would have shape");
    images(std::string("\x00\x00\x08\x02\xff\xff\xff\xff\x00\x00\x00\x10", 12));
    EXPECT_CONTAINS(error(), "is truncated");
    images(std::string("\x00\x00\x08\x01\x00\x00\x00\x00", 8));
    EXPECT_CONTAINS(error(), "holds no records");
}

TEST_F(Data, counts_differ) {
    labels(idx_labels(99, 1));
    EXPECT_CONTAINS(error(), "train-images holds 100 records, but ");
    EXPECT_CONTAINS(error(), "train-labels holds 99");
}

TEST_F(Data, label_out_of_range) {
    std::string bad = idx_labels(100, 1);
    bad[8 + 17] = 3;
    labels(bad);
    EXPECT_CONTAINS(error(), "train-labels: record 17 (counted from 0) has label 3, but `label` is class[3]: 0 to 2");
    bad[8 + 17] = '\xff';
    bad[2] = 0x09;  // signed
    labels(bad);
    EXPECT_CONTAINS(error(), "has label -1");
}

TEST_F(Data, shapes_must_agree_but_for_ones) {
    EXPECT_EQ(open({{"image", DType::f32, {4, 4}, 0}}).records, 100);
    EXPECT_EQ(open({{"image", DType::f32, {16}, 0}}).records, 100);
    EXPECT_EQ(open({{"image", DType::f32, {1, 4, 4}, 0}}).records, 100);
    EXPECT_CONTAINS(error({{"image", DType::f32, {28, 28, 1}, 0}}),
                    "a record has shape [4, 4], but the model's input `image` is f32[28, 28, 1]");
    EXPECT_CONTAINS(error({{"image", DType::f32, {2, 8}, 0}}), "f32[2, 8]");
}

TEST_F(Data, a_column_without_a_file) {
    EXPECT_CONTAINS(error({{"picture", DType::f32, {4, 4}, 0}}),
                    "no file for the model's input `picture`: idx was given images, labels");
    Split split = kSplit;
    split.reader = "parquet";
    EXPECT_CONTAINS(error(kColumns, split), "there is no reader parquet; readers: ");
}

TEST(Philox, known_answers) {
    EXPECT_EQ(philox({0, 0, 0, 0}, {0, 0}), (std::array<uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
    EXPECT_EQ(philox({~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}),
              (std::array<uint32_t, 4>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
}

TEST(Shuffle, is_a_permutation_that_depends_on_seed_and_epoch) {
    auto a = shuffled_order(1000, 1, 0), sorted = a;
    std::sort(sorted.begin(), sorted.end());
    std::vector<int64_t> all(1000);
    std::iota(all.begin(), all.end(), 0);
    EXPECT_EQ(sorted, all);
    EXPECT_EQ(a, shuffled_order(1000, 1, 0));
    EXPECT_NE(a, all);
    EXPECT_NE(a, shuffled_order(1000, 1, 1));
    EXPECT_NE(a, shuffled_order(1000, 2, 0));
}

TEST(Shuffle, is_uniform) {
    // Each of the 6 orders of 3 records, 6000 times: 1000 each, standard deviation 29.
    std::map<std::vector<int64_t>, int> counts;
    for (uint64_t epoch = 0; epoch < 6000; ++epoch) counts[shuffled_order(3, 9, epoch)] += 1;
    ASSERT_EQ(counts.size(), 6u);
    for (const auto &[order, count] : counts) EXPECT_NEAR(count, 1000, 150);
}

TEST_F(Data, batches_follow_the_order_and_the_last_is_padded_with_its_first_record) {
    std::string expected = idx_labels(100, 1).substr(8);
    Dataset in_memory = open(), slow = in_memory;
    slow.cost = Cost::decoding;
    slow.read = [&](int64_t record, uint8_t *const *rows) {
        const int32_t label = expected[size_t(record)];
        std::memcpy(rows[1], &label, sizeof label);
    };
    std::vector<int64_t> order(100);
    for (int i = 0; i < 100; ++i) order[size_t(i)] = 99 - i;
    for (const Dataset *data : {&in_memory, &slow}) {
        BatchStream stream(*data, kColumns, 8, order, {1, 13});
        for (int number = 1; number < 13; ++number) {
            const Batch *batch = stream.next();
            ASSERT_NE(batch, nullptr);
            auto *labels = static_cast<const int32_t *>(batch->columns[1]);
            EXPECT_EQ(batch->valid, number == 12 ? 4 : 8);
            for (int row = 0; row < 8; ++row)
                EXPECT_EQ(labels[row], expected[size_t(99 - (8 * number + (row < batch->valid ? row : 0)))]);
            EXPECT_EQ(reinterpret_cast<uintptr_t>(batch->columns[0]) % 64, 0u);
        }
        EXPECT_EQ(stream.next(), nullptr);
        EXPECT_EQ(stream.next(), nullptr);
    }
}

TEST_F(Data, an_error_in_reading_surfaces_at_its_batch) {
    for (Cost cost : {Cost::memory, Cost::disk, Cost::decoding}) {
        Dataset data{100, "broken", [](int64_t record, uint8_t *const *) {
                         if (record == 20) fail(ExitCode::data, "record 20 is broken");
                     }};
        data.cost = cost;
        BatchStream stream(data, kColumns, 8, {}, {0, 12});
        EXPECT_NE(stream.next(), nullptr);
        EXPECT_NE(stream.next(), nullptr);
        EXPECT_THROW(stream.next(), Failure);
    }
}

TEST_F(Data, a_team_shares_a_large_batch) {
    const std::vector<Column> columns{{.name = "picture", .dtype = DType::f32, .shape = {1024}}};
    Dataset data{100, "numbers", [](int64_t record, uint8_t *const *rows) {
                     if (record == 77) fail(ExitCode::data, "record 77 is broken");
                     for (int64_t i = 0; i < 1024; ++i) reinterpret_cast<float *>(rows[0])[i] = float(record + i);
                 }};
    ThreadTeam team(3);
    BatchStream stream(data, columns, 32, {}, {0, 3});
    for (int64_t number = 0; number < 2; ++number) {
        const auto *pictures = static_cast<const float *>(stream.next()->columns[0]);
        for (int64_t i = 0; i < 32 * 1024; ++i) ASSERT_EQ(pictures[i], float(32 * number + i / 1024 + i % 1024));
    }
    EXPECT_THROW(stream.next(), Failure);
}

TEST_F(Data, a_stream_can_be_dropped_early) {
    Dataset data{100, "anything", [](int64_t, uint8_t *const *) {}};
    data.cost = Cost::disk;
    BatchStream untouched(data, kColumns, 8, {}, {0, 12});
    BatchStream begun(data, kColumns, 8, {}, {0, 12});
    begun.next();
}

}  // namespace
}  // namespace kiln::runtime::testing
