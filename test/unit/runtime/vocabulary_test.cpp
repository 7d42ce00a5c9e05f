// Vocabularies: the order of the rows, capacity, unknown values, and what a checkpoint may be used with.
#include "harness.h"

#include "data/vocabulary.h"
#include "support/failure.h"

#include <gtest/gtest.h>

#include <cstring>
#include <functional>

namespace kiln::runtime::testing {
namespace {

struct VocabularyOfCsv : ::testing::Test {
    TemporaryFolder folder;
    Metadata metadata;

    VocabularyOfCsv() {
        metadata.columns = {{"user", DType::i32, {}, 4}, {"size", DType::f32, {}, 0}};
        user().capacity = "users";
        user().vocabulary.emplace();
        for (const char *name : {"train", "validation"}) {
            Value file;
            file.kind = Value::Kind::path;
            file.text = std::string(name) + ".csv";
            metadata.splits.push_back({name, "csv", {{"file", file}}});
        }
    }
    Column &user() { return metadata.columns[0]; }
    void write(const std::string &split, const std::string &rows) { write_text(folder / (split + ".csv"), "user,size\n" + rows); }
    static std::vector<int32_t> rows_of(const Dataset &data) {
        std::vector<int32_t> rows;
        for (int64_t i = 0; i < data.records; ++i) {
            int32_t user = -7;
            float size = 0;
            uint8_t *targets[] = {reinterpret_cast<uint8_t *>(&user), reinterpret_cast<uint8_t *>(&size)};
            data.read(i, targets);
            rows.push_back(user);
        }
        return rows;
    }
};

TEST_F(VocabularyOfCsv, NumbersTheTrainingSplitAndLooksUpInTheOthers) {
    write("train", "bob,1\n10,2\n9,3\nbob,4\n");
    write("validation", "9,0\nbob,0\n");
    Vocabularies vocabularies;
    Dataset train = open_training_split(folder.path(), metadata, vocabularies);
    EXPECT_EQ(vocabularies.at("user").values(), (std::vector<std::string>{"9", "10", "bob"}));
    EXPECT_EQ(rows_of(train), (std::vector<int32_t>{2, 1, 0, 2}));
    EXPECT_EQ(rows_of(open_split(folder.path(), metadata, "validation", vocabularies)), (std::vector<int32_t>{0, 2}));
}

TEST_F(VocabularyOfCsv, DoesNotDependOnTheOrderOfRecords) {
    Vocabularies first, second;
    write("train", "b,1\na,2\n007,3\n7,3\n");
    open_training_split(folder.path(), metadata, first);
    write("train", "7,1\n007,2\nb,3\na,3\nb,1\n");
    open_training_split(folder.path(), metadata, second);
    EXPECT_EQ(first.at("user").values(), (std::vector<std::string>{"7", "007", "a", "b"}));
    EXPECT_EQ(first.at("user").values(), second.at("user").values());
}

TEST(Vocabulary, WordsAreNumberedAndPadded) {
    const Column column{"text", DType::i32, {4}, 9};
    const Vocabulary known({"", "a", "b"}, std::nullopt), open({"", "a", "b"}, "?");
    EXPECT_EQ(words_of(" a\t bc \r\n,d\v"), (std::vector<std::string_view>{"a", "bc", ",d"}));
    EXPECT_TRUE(words_of(" \n").empty());
    // U+0085, 00A0, 1680, 2000, 200A, 2028, 2029, 202F, 205F, 3000 and a byte order mark part words; U+200B, 201C and an accent do not.
    EXPECT_EQ(words_of("\xEF\xBB\xBF" "a\xC2\x85" "b\xC2\xA0" "c\xE1\x9A\x80" "d\xE2\x80\x80" "e\xE2\x80\x8A" "f\xE2\x80\xA8" "g\xE2\x80\xA9" "h\xE2\x80\xAF" "i\xE2\x81\x9F" "j\xE3\x80\x80\xE3\x80\x80"
                       "k\xE2\x80\x8B\xE2\x80\x9C\xC3\xA0\xC2"),
              (std::vector<std::string_view>{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k\xE2\x80\x8B\xE2\x80\x9C\xC3\xA0\xC2"}));
    EXPECT_EQ(rows_of(known, column, "b a"), (std::vector<int32_t>{2, 1, 0, 0}));
    EXPECT_EQ(rows_of(known, column, "a a a a b"), (std::vector<int32_t>{1, 1, 1, 1}));
    EXPECT_EQ(rows_of(known, column, "a c"), (std::vector<int32_t>{1, -1, 0, 0}));
    EXPECT_EQ(rows_of(open, column, "a c"), (std::vector<int32_t>{1, 3, 0, 0}));
    EXPECT_EQ(rows_of(known, column, ""), (std::vector<int32_t>(4, 0)));
    EXPECT_EQ(known.name(0), "(padding)");
}

TEST(Vocabulary, OrdersWholeNumbersOfAnyLengthFirst) {
    std::vector<std::string> ordered{"", "0", "00", "7", "07", "10", "99999999999999999998", "99999999999999999999", "-1", "1.5", "B", "a", "\xc3\xa4"};
    for (size_t i = 0; i < ordered.size(); ++i)
        for (size_t j = 0; j < ordered.size(); ++j) EXPECT_EQ(value_before(ordered[i], ordered[j]), i < j) << ordered[i] << " " << ordered[j];
}

TEST_F(VocabularyOfCsv, MoreValuesThanRowsNameTheDefine) {
    write("train", "a,1\nb,1\nc,1\nd,1\ne,1\n");
    Vocabularies vocabularies;
    auto open = [&] { open_training_split(folder.path(), metadata, vocabularies); };
    EXPECT_CONTAINS(failure_of(ExitCode::data, open), "train.csv: `user` has 5 different values, but it is class[4]: build with -D users=5");
    user().capacity = "";
    user().vocabulary->unknown = "?";
    EXPECT_CONTAINS(failure_of(ExitCode::data, open), "`user` has 6 different values with the unknown one, but it is class[4]: it should be class[6]");
    EXPECT_TRUE(vocabularies.empty());
}

TEST_F(VocabularyOfCsv, UnknownValuesAreNamedByFileAndLine) {
    write("train", "a,1\nb,1\n");
    write("validation", "a,1\nz,1\n\n\"line\nbreak\",1\nz,1\nz,1\nz,1\nz,1\n");
    Vocabularies vocabularies;
    open_training_split(folder.path(), metadata, vocabularies);
    std::string text = failure_of(ExitCode::data, [&] { open_split(folder.path(), metadata, "validation", vocabularies); });
    EXPECT_CONTAINS(text, "6 of 7 records have a `user` that the split train does not have");
    EXPECT_CONTAINS(text, "validation.csv:3: `z`");
    EXPECT_CONTAINS(text, "validation.csv:5: `line\nbreak`");
    EXPECT_CONTAINS(text, "and 1 more");
}

TEST_F(VocabularyOfCsv, UnknownValuesTakeTheRowThatIsDeclaredForThem) {
    write("train", "a,1\nb,1\n");
    write("validation", "z,1\na,1\n?,1\n");
    user().vocabulary->unknown = "?";
    Vocabularies vocabularies;
    open_training_split(folder.path(), metadata, vocabularies);
    EXPECT_EQ(rows_of(open_split(folder.path(), metadata, "validation", vocabularies)), (std::vector<int32_t>{2, 0, 2}));
    EXPECT_EQ(vocabularies.at("user").name(2), "?");
}

TEST_F(VocabularyOfCsv, RareValuesTrainTheUnknownRow) {
    write("train", "a,1\nb,1\nrare,1\na,1\nb,1\n?,1\n?,1\n");
    user().vocabulary->unknown = "?";
    user().vocabulary->at_least = 2;
    Vocabularies vocabularies;
    EXPECT_EQ(rows_of(open_training_split(folder.path(), metadata, vocabularies)), (std::vector<int32_t>{0, 1, 2, 0, 1, 2, 2}));
    user().vocabulary->at_least = 3;
    EXPECT_CONTAINS(failure_of(ExitCode::data, [&] { vocabularies.clear(); open_training_split(folder.path(), metadata, vocabularies); }),
                    "no value of `user` occurs 3 times (at_least); the most frequent one occurs 2 times");
}

TEST_F(VocabularyOfCsv, AnEmptyValueIsMalformedUnlessItIsTheUnknownOne) {
    write("train", "a,1\n,1\n");
    Vocabularies vocabularies;
    EXPECT_CONTAINS(failure_of(ExitCode::data, [&] { open_training_split(folder.path(), metadata, vocabularies); }), "train.csv:3: column `user`: `` is empty");
    user().vocabulary->unknown = "";
    EXPECT_EQ(rows_of(open_training_split(folder.path(), metadata, vocabularies)), (std::vector<int32_t>{0, 1}));
}

TEST_F(VocabularyOfCsv, TrainingGoesOnWithTheSameValuesOnly) {
    write("train", "a,1\nb,1\n");
    Vocabularies vocabularies;
    open_training_split(folder.path(), metadata, vocabularies);
    write("train", "a,1\nc,1\n");
    auto open = [&] { open_training_split(folder.path(), metadata, vocabularies); };
    EXPECT_CONTAINS(failure_of(ExitCode::checkpoint, open), "the vocabulary of `user` is not the checkpoint's: `b` is gone, `c` is new");
    write("train", "a,1\nb,1\nc,1\nd,1\ne,1\n");
    EXPECT_CONTAINS(failure_of(ExitCode::checkpoint, open), "`c` is new");
}

TEST_F(VocabularyOfCsv, ACheckpointFitsTheProgram) {
    Vocabularies vocabularies{{"user", Vocabulary({"1", "2", "3"}, std::nullopt)}};
    auto check = [&] { check_vocabularies(vocabularies, metadata, "run/last"); };
    EXPECT_EQ(failure_of(ExitCode::checkpoint, check), "no error");
    user().classes = 2;
    EXPECT_CONTAINS(failure_of(ExitCode::checkpoint, check), "run/last is of another program: its vocabulary of `user` has 3 rows, but this program's `user` is class[2]: build with -D users=3");
    user().classes = 4;
    user().vocabulary->unknown = "?";
    EXPECT_CONTAINS(failure_of(ExitCode::checkpoint, check), "the unknown row of `user` is none there and one called `?` in this program");
    vocabularies["size"] = Vocabulary({"1"}, std::nullopt);
    EXPECT_CONTAINS(failure_of(ExitCode::checkpoint, check), "it has a vocabulary for `size`, and this program has no such input of class[n]");
    vocabularies.clear();
    EXPECT_CONTAINS(failure_of(ExitCode::checkpoint, check), "it has no vocabulary for `user`, which this program reads as text");
}

TEST(Vocabulary, SurvivesItsFile) {
    Vocabularies vocabularies{{"user", Vocabulary({"1", "\"quoted\"", "\xc3\xa4\n"}, "")}, {"movie", Vocabulary({"x"}, std::nullopt)}};
    Vocabularies read = parse_vocabularies(print(vocabularies), "f");
    EXPECT_EQ(print(read), print(vocabularies));
    EXPECT_EQ(read.at("user").rows(), 4);
    EXPECT_EQ(read.at("user").row("nobody"), 3);
    EXPECT_EQ(read.at("movie").row("nobody"), -1);
    for (const char *text : {"", "[]", "{}", "{\"format\": \"kiln vocabularies\", \"version\": 1, \"inputs\": {\"a\": {\"values\": [1]}}}",
                             "{\"format\": \"kiln vocabularies\", \"version\": 1, \"inputs\": {\"a\": {\"values\": [\"b\", \"a\"]}}}"})
        EXPECT_THROW(parse_vocabularies(text, "f"), Failure) << text;
}

}  // namespace
}  // namespace kiln::runtime::testing
