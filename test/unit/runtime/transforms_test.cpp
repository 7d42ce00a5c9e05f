// Transforms: parts are disjoint and together the whole, groups stay together, joins find every key, whatever the reader.
#include "harness.h"
#include "values.h"

#include "data/dataset.h"
#include "support/failure.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

namespace kiln::runtime::testing {
namespace {

Value csv(const std::string &file) { return call("csv", {{"file", path(file)}}); }

struct Transforms : ::testing::Test {
    TemporaryFolder folder;
    std::vector<Column> columns{{"id", DType::i32, {}, 0}, {"label", DType::i32, {}, 3}};

    /// 90 records: `id` counts them, a third of the labels is 0 or 2 of 9, drivers have 1 to 12 records each.
    Transforms() {
        std::string rows = "id,label,driver,fold\n";
        for (int i = 0, driver = 0, left = 1; i < 90; ++i, --left) {
            if (left == 0) left = ++driver + 1;
            rows += std::to_string(i) + "," + std::to_string(i % 9 == 0 ? 2 : i % 3 == 0 ? 1 : 0) + ",d" + std::to_string(driver) + "," + std::to_string(i % 4) + "\n";
        }
        write_text(folder / "t.csv", rows);
    }
    Dataset open(const Value &source) { return open_split(folder.path(), Split{"train", source.text, source.arguments}, columns); }
    struct Record {
        int32_t id = -1, label = -1;
    };
    static std::vector<Record> records(const Dataset &data) {
        std::vector<Record> all(static_cast<size_t>(data.records));
        for (size_t i = 0; i < all.size(); ++i) {
            uint8_t *rows[] = {reinterpret_cast<uint8_t *>(&all[i].id), reinterpret_cast<uint8_t *>(&all[i].label)};
            data.read(int64_t(i), rows);
        }
        return all;
    }
    std::vector<int32_t> ids(const Value &source) {
        std::vector<int32_t> result;
        for (const Record &record : records(open(source))) result.push_back(record.id);
        return result;
    }
    std::string error(const Value &source) {
        return failure_of(ExitCode::data, [&] { open(source); });
    }
    /// Both parts of a transform: each record is in one of them, and each part is in file order.
    std::pair<std::vector<int32_t>, std::vector<int32_t>> parts(const std::string &reader, Arguments arguments, int total = 90) {
        std::vector<int32_t> part = ids(call(reader, arguments));
        arguments.emplace_back("rest", flag(true));
        std::vector<int32_t> rest = ids(call(reader, arguments));
        EXPECT_TRUE(std::is_sorted(part.begin(), part.end()) && std::is_sorted(rest.begin(), rest.end()));
        std::set<int32_t> all(part.begin(), part.end());
        all.insert(rest.begin(), rest.end());
        EXPECT_EQ(all.size(), size_t(total));
        EXPECT_EQ(part.size() + rest.size(), size_t(total));
        return {part, rest};
    }
};

TEST_F(Transforms, SplitsAreDisjointCompleteAndSeeded) {
    std::set<std::vector<int32_t>> different;
    for (double seed : {0.0, 1.0, 7e9})
        for (double share : {0.001, 0.1, 0.5, 0.9, 0.999}) {
            auto [part, rest] = parts("split", {{"source", csv("t.csv")}, {"share", number(share)}, {"seed", number(seed)}});
            EXPECT_EQ(part.size(), size_t(std::clamp(std::lround(share * 90), 1L, 89L)));
            if (share == 0.5) different.insert(part);
        }
    EXPECT_EQ(different.size(), 3u);
}

TEST_F(Transforms, GroupsStandOnOneSideOnly) {
    auto driver_of = [](int32_t id) {
        int driver = 0;
        for (int first = 0, size = 1; id >= first + size; first += size, size = driver + 1) ++driver;
        return driver;
    };
    for (double seed : {0.0, 1.0, 2.0, 3.0})
        for (double share : {0.05, 0.3, 0.7, 0.95}) {
            auto [part, rest] = parts("split", {{"source", csv("t.csv")}, {"share", number(share)}, {"seed", number(seed)}, {"group", text("driver")}});
            std::set<int> drivers;
            for (int32_t id : part) drivers.insert(driver_of(id));
            for (int32_t id : rest) EXPECT_FALSE(drivers.count(driver_of(id))) << id;
            EXPECT_NEAR(double(part.size()), share * 90, 13);  // the largest driver has 13
        }
}

TEST_F(Transforms, GroupsMayComeFromAnotherFile) {
    std::string rows = "number,subject\n";
    for (int i = 0; i < 90; ++i) rows += std::to_string(i) + ",s" + std::to_string(i / 30) + "\n";
    write_text(folder / "subjects.csv", rows);
    Value joined = call("join", {{"source", csv("t.csv")}, {"table", csv("subjects.csv")}, {"on", text("id")}, {"key", text("number")}});
    auto [part, rest] = parts("split", {{"source", joined}, {"share", number(0.7)}, {"group", text("subject")}});
    EXPECT_EQ(part.size(), 60u);
    EXPECT_EQ(part.front() / 30, (part.front() + 29) / 30);
}

TEST_F(Transforms, SamplesTakeTheSameShareOfEachClass) {
    std::map<int, int> counts;
    for (const Record &record : records(open(call("sample", {{"source", csv("t.csv")}, {"share", number(0.2)}})))) ++counts[record.label];
    EXPECT_EQ(counts, (std::map<int, int>{{0, 12}, {1, 4}, {2, 2}}));
    counts.clear();
    for (const Record &record : records(open(call("sample", {{"source", csv("t.csv")}, {"share", number(0.001)}})))) ++counts[record.label];
    EXPECT_EQ(counts, (std::map<int, int>{{0, 1}, {1, 1}, {2, 1}}));
    EXPECT_EQ(ids(call("sample", {{"source", csv("t.csv")}, {"share", number(1)}})).size(), 90u);
    auto of_seed = [&](double seed) { return ids(call("sample", {{"source", csv("t.csv")}, {"share", number(0.3)}, {"seed", number(seed)}})); };
    EXPECT_EQ(of_seed(4), of_seed(4));
    EXPECT_NE(of_seed(4), of_seed(5));
}

TEST_F(Transforms, FiltersByTheValuesOfAColumn) {
    auto [part, rest] = parts("filter", {{"source", csv("t.csv")}, {"column", text("fold")}, {"values", list({number(1), text("3")})}});
    for (int32_t id : part) EXPECT_EQ(id % 2, 1);
    EXPECT_EQ(part.size(), 45u);
    EXPECT_EQ(parts("filter", {{"source", csv("t.csv")}, {"column", text("label")}, {"values", number(2)}}).first.size(), 10u);
    EXPECT_CONTAINS(error(call("filter", {{"source", csv("t.csv")}, {"column", text("fold")}, {"values", number(9)}})), "has `9` in column `fold`");
    EXPECT_CONTAINS(error(call("filter", {{"source", csv("t.csv")}, {"column", text("folds")}, {"values", number(1)}})),
                    "filter needs a column `folds`, which " + folder.path() + "/t.csv does not have; it has `id`, `label`, `driver`, `fold`, `record`");
}

TEST_F(Transforms, ListsNameTheirRecords) {
    write_text(folder / "part.txt", "3\r\n0\n\n89");
    auto [part, rest] = parts("listed", {{"source", csv("t.csv")}, {"file", path("part.txt")}, {"column", text("record")}});
    EXPECT_EQ(part, (std::vector<int32_t>{0, 3, 89}));
    write_text(folder / "part.txt", "d1\nd2\n");
    Value by_driver = call("listed", {{"source", csv("t.csv")}, {"file", path("part.txt")}, {"column", text("driver")}});
    EXPECT_EQ(ids(by_driver), (std::vector<int32_t>{1, 2, 3, 4, 5}));
    write_text(folder / "part.txt", "d1\n\nD2\nd1000\n");
    EXPECT_CONTAINS(error(by_driver), "2 lines are the `driver` of no record");
    EXPECT_CONTAINS(error(by_driver), "part.txt:3: `D2`");
    write_text(folder / "part.txt", "d1\nd2\nd1\n");
    EXPECT_CONTAINS(error(by_driver), "part.txt:3: `d1` is also line 1");
    write_text(folder / "part.txt", "\n");
    EXPECT_CONTAINS(error(by_driver), "part.txt lists nothing");
}

TEST_F(Transforms, JoinsFillWhatTheSourceLacks) {
    write_text(folder / "left.csv", "id,k\n1,a\n2,b\n3,a\n");
    write_text(folder / "right.csv", "key,label\nb,2\na,1\nunused,0\n");
    Value joined = call("join", {{"source", csv("left.csv")}, {"table", csv("right.csv")}, {"on", text("k")}, {"key", text("key")}});
    std::vector<int32_t> labels;
    for (const Record &record : records(open(joined))) labels.push_back(record.label);
    EXPECT_EQ(labels, (std::vector<int32_t>{1, 2, 1}));
    EXPECT_EQ(ids(call("filter", {{"source", joined}, {"column", text("label")}, {"values", number(1)}})), (std::vector<int32_t>{1, 3}));

    write_text(folder / "right.csv", "key,label\nb,2\nb,1\n");
    EXPECT_CONTAINS(error(joined), "right.csv:3: `key` is `b`, which is also the key of " + folder.path() + "/right.csv:2");
    write_text(folder / "right.csv", "key,label\nb,2\n");
    EXPECT_CONTAINS(error(joined), "right.csv does not have the `k` of 2 of 3 records");
    EXPECT_CONTAINS(error(joined), "left.csv:2: `a`");
    write_text(folder / "right.csv", "key,label,id\nb,2,1\na,1,1\n");
    EXPECT_CONTAINS(error(joined), "give the input `id`");
    write_text(folder / "right.csv", "key,lable\nb,2\na,1\n");
    EXPECT_CONTAINS(error(joined), "gives the input `label`");
}

TEST_F(Transforms, BalancedHasAsManyRecordsOfEachClass) {
    // 60, 20 and 10 records.
    const Value source = call("balanced", {{"source", csv("t.csv")}});
    std::map<int, int> of_class, of_record;
    for (const Record &record : records(open(source))) ++of_class[record.label], ++of_record[record.id];
    EXPECT_EQ(of_class, (std::map<int, int>{{0, 60}, {1, 60}, {2, 60}}));
    EXPECT_EQ(of_record.size(), 90u);
    // 40 of 50 records stand there twice where 90 are asked for.
    write_text(folder / "odd.csv", [] {
        std::string rows = "id,label\n";
        for (int i = 0; i < 140; ++i) rows += std::to_string(i) + "," + (i < 50 ? "1" : "0") + "\n";
        return rows;
    }());
    auto once_more = [&](double seed) {
        std::map<int, int> count;
        for (int32_t id : ids(call("balanced", {{"source", csv("odd.csv")}, {"seed", number(seed)}}))) ++count[id];
        std::set<int> twice;
        for (auto [id, n] : count) {
            EXPECT_LE(n, 2);
            if (n == 2) twice.insert(id);
        }
        EXPECT_EQ(count.size(), 140u);
        EXPECT_EQ(twice.size(), 40u);
        return twice;
    };
    EXPECT_EQ(once_more(3), once_more(3));
    EXPECT_NE(once_more(3), once_more(4));
}

TEST_F(Transforms, ClassWeightsMakeEveryClassCountTheSame) {
    for (DType dtype : {DType::f32, DType::f64}) {
        columns = {{"id", DType::i32, {}, 0}, {"label", DType::i32, {}, 3}, {"weight", dtype, {}, 0}};
        const Dataset data = open(call("class_weights", {{"source", csv("t.csv")}, {"input", text("weight")}}));
        std::map<int, double> sums;
        for (int64_t i = 0; i < data.records; ++i) {
            int32_t id = -1, label = -1;
            double weight = 0;
            float narrow = 0;
            uint8_t *rows[] = {reinterpret_cast<uint8_t *>(&id), reinterpret_cast<uint8_t *>(&label),
                               dtype == DType::f64 ? reinterpret_cast<uint8_t *>(&weight) : reinterpret_cast<uint8_t *>(&narrow)};
            data.read(i, rows);
            sums[label] += dtype == DType::f64 ? weight : double(narrow);
        }
        for (int label : {0, 1, 2}) EXPECT_NEAR(sums[label], 30, 1e-5);
    }
}

TEST_F(Transforms, ClassesMustBeKnownToBeBalanced) {
    EXPECT_CONTAINS(error(call("class_weights", {{"source", csv("t.csv")}, {"input", text("weight")}})), "class_weights gives the input `weight`, and the model has no such input");
    EXPECT_CONTAINS(error(call("class_weights", {{"source", csv("t.csv")}, {"input", text("label")}})), "that of the model is no single number");
    EXPECT_CONTAINS(error(call("balanced", {{"source", csv("t.csv")}, {"by", text("colour")}})), "needs a column `colour`");
    EXPECT_CONTAINS(error(call("balanced", {{"source", call("without_labels", {{"source", csv("t.csv")}})}})), "balanced needs labels");
    columns.push_back({"weight", DType::f32, {}, 0});
    write_text(folder / "own.csv", "id,label,weight\n1,0,3\n");
    EXPECT_CONTAINS(error(call("class_weights", {{"source", csv("own.csv")}, {"input", text("weight")}})), "has an input `weight` of its own");
    columns = {{"id", DType::i32, {}, 0}};
    EXPECT_CONTAINS(error(call("balanced", {{"source", csv("t.csv")}})), "balanced needs the column of the classes, `by`");
}

TEST_F(Transforms, LabelsThatAreLeftOutNeedNotBeThere) {
    write_text(folder / "ids.csv", "id\n7\n9\n");
    const Dataset data = open(call("without_labels", {{"source", csv("ids.csv")}}));
    ASSERT_EQ(data.records, 2);
    int32_t id = -1, label = -1;
    uint8_t *rows[] = {reinterpret_cast<uint8_t *>(&id), reinterpret_cast<uint8_t *>(&label)};
    data.read(1, rows);
    EXPECT_EQ(id, 9);
    EXPECT_EQ(label, 0);
    EXPECT_NE(data.no_labels, "");
    write_text(folder / "colours.csv", "colour\nred\n");
    EXPECT_CONTAINS(error(call("without_labels", {{"source", csv("colours.csv")}})), "colours.csv does not give the input `id`");
}

TEST_F(Transforms, WorkForEveryReader) {
    write_data(folder.path(), 40, 10);
    columns = {{"image", DType::f32, {4, 4, 1}, 0}, {"label", DType::i32, {}, 3}};
    auto idx = [](const char *split) {
        return call("idx", {{"images", text(std::string(split) + "-images", Value::Kind::path)}, {"labels", text(std::string(split) + "-labels", Value::Kind::path)}});
    };
    EXPECT_EQ(open(call("sample", {{"source", idx("train")}, {"share", number(0.5)}})).records, 21);
    EXPECT_EQ(open(call("filter", {{"source", idx("train")}, {"column", text("label")}, {"values", number(1)}})).records, 14);
    EXPECT_LE(open(call("split", {{"source", idx("train")}, {"share", number(0.25)}, {"group", text("label")}})).records, 14);
}

TEST_F(Transforms, RefuseWhatLeavesNothing) {
    write_text(folder / "one.csv", "id,label,driver\n1,0,x\n");
    EXPECT_CONTAINS(error(call("split", {{"source", csv("one.csv")}, {"share", number(0.5)}})), "has one record, which cannot be split");
    EXPECT_CONTAINS(error(call("split", {{"source", csv("one.csv")}, {"share", number(0.5)}, {"group", text("driver")}})), "have the same `driver`");
    EXPECT_CONTAINS(error(call("filter", {{"source", csv("one.csv")}, {"column", text("label")}, {"values", number(0)}, {"rest", flag(true)}})),
                    "filter leaves none of the 1 records");
    for (double share : {0.0, 1.0, -1.0, 2.0})
        EXPECT_CONTAINS(error(call("split", {{"source", csv("t.csv")}, {"share", number(share)}})), "it should be above 0 and below 1");
    EXPECT_CONTAINS(error(call("sample", {{"source", csv("t.csv")}, {"share", number(0)}})), "it should be above 0 and at most 1");
    EXPECT_CONTAINS(error(call("sample", {{"source", csv("t.csv")}, {"share", number(0.5)}, {"seed", number(-1)}})), "it should be a whole number from 0 to 2^53");
    EXPECT_CONTAINS(error(call("sample", {{"share", number(0.5)}})), "the `source` of sample is no call of a reader");
}

}  // namespace
}  // namespace kiln::runtime::testing
