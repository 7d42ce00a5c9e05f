// Folders of pictures as splits: classes, bad files, keeping, caching.
#include "harness.h"
#include "pictures.h"

#include "data/dataset.h"
#include "data/vocabulary.h"
#include "support/failure.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <cstring>
#include <filesystem>
#include <map>
#include <random>

namespace kiln::runtime::testing {
namespace {

#define EXPECT_CONTAINS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

Value text_value(const std::string &text, Value::Kind kind = Value::Kind::string) {
    Value value;
    value.kind = kind;
    value.text = text;
    return value;
}
Value number_value(double number) {
    Value value;
    value.number = number;
    return value;
}
Value boolean_value(bool boolean) {
    Value value;
    value.kind = Value::Kind::boolean;
    value.boolean = boolean;
    return value;
}

const std::vector<Column> kColumns{{"image", DType::f32, {6, 8, 3}, 0}, {"label", DType::i32, {}, 3}};

struct PictureFolder : ::testing::Test {
    TemporaryFolder folder;

    // Three classes of four pictures; the shade tells the class and the picture.
    void SetUp() override {
        for (int c = 0; c < 3; ++c)
            for (int i = 0; i < 4; ++i)
                write("train/c" + std::to_string(c) + "/" + std::to_string(i) + (i % 2 ? ".png" : ".jpg"),
                      shade(60 * c + 10 * i, i % 2));
    }
    static std::string shade(int value, bool as_png) {
        Image image{12, 16, 3, std::vector<uint8_t>(12 * 16 * 3, uint8_t(value))};
        return as_png ? encode_png(image) : jpeg(image);
    }
    void write(const std::string &name, const std::string &content) {
        std::filesystem::create_directories(std::filesystem::path(folder / name).parent_path());
        write_text(folder / name, content);
    }

    Dataset open(std::vector<std::pair<std::string, Value>> arguments = {}, const std::string &name = "train",
                 const std::vector<Column> &columns = kColumns) {
        arguments.emplace_back("folder", text_value(name, Value::Kind::path));
        if (std::none_of(arguments.begin(), arguments.end(), [](const auto &argument) { return argument.first == "most_kept"; }))
            arguments.emplace_back("most_kept", number_value(1));
        return numbered({name, "images", arguments}, columns);
    }
    // The split with its classes numbered by itself.
    Dataset numbered(Split split, const std::vector<Column> &columns) {
        Metadata metadata;
        metadata.columns = columns;
        split.name = "train";
        metadata.splits = {split};
        Vocabularies vocabularies;
        return open_training_split(folder.path(), metadata, vocabularies);
    }
    // The message of the failure that opening ends with; its code must be `data`.
    std::string error(std::vector<std::pair<std::string, Value>> arguments = {}, const std::string &name = "train",
                      const std::vector<Column> &columns = kColumns) {
        try {
            open(std::move(arguments), name, columns);
        } catch (const Failure &failure) {
            EXPECT_EQ(failure.code, ExitCode::data) << failure.what();
            return failure.what();
        }
        return "no error";
    }
    struct Record {
        std::vector<float> pixels = std::vector<float>(6 * 8 * 3);
        int32_t label = -1;
    };
    static Record record(const Dataset &dataset, int64_t index) {
        Record record;
        uint8_t *rows[] = {reinterpret_cast<uint8_t *>(record.pixels.data()), reinterpret_cast<uint8_t *>(&record.label)};
        dataset.read(index, rows);
        return record;
    }
    // What opening prints as warnings and notes.
    std::string said(std::vector<std::pair<std::string, Value>> arguments = {}, const std::string &name = "train") {
        ::testing::internal::CaptureStderr();
        open(std::move(arguments), name);
        return ::testing::internal::GetCapturedStderr();
    }
};

TEST_F(PictureFolder, a_class_for_each_folder_in_the_order_of_names) {
    Dataset dataset = open();
    ASSERT_EQ(dataset.records, 12);
    for (int64_t i = 0; i < 12; ++i) {
        Record r = record(dataset, i);
        EXPECT_EQ(r.label, i / 4);
        for (float value : r.pixels) EXPECT_NEAR(value, 60 * (i / 4) + 10 * (i % 4), 1);
    }
    EXPECT_EQ(dataset.name(5), "c1/1.png");
}

TEST_F(PictureFolder, kept_cached_and_decoded_each_time_are_the_same) {
    Image image = gradient(31, 47);
    write("train/c0/0.jpg", jpeg(image));
    Dataset kept = open({{"most_kept", number_value(1)}}), again = open({{"keep", boolean_value(false)}});
    Value cache = text_value("train.cache", Value::Kind::path);
    Dataset made = open({{"cache", cache}}), cached = open({{"cache", cache}});
    for (int64_t i = 0; i < 12; ++i)
        for (const Dataset *other : {&again, &made, &cached}) {
            EXPECT_EQ(record(kept, i).pixels, record(*other, i).pixels);
            EXPECT_EQ(record(kept, i).label, record(*other, i).label);
        }
    // What was kept or cached needs the files no more.
    std::filesystem::remove(folder / "train/c0/0.jpg");
    record(kept, 0);
    record(cached, 0);
    EXPECT_THROW(record(again, 0), Failure);
}

TEST_F(PictureFolder, a_stale_or_damaged_cache_is_made_again) {
    std::vector<std::pair<std::string, Value>> cache{{"cache", text_value("train.cache", Value::Kind::path)}};
    EXPECT_EQ(said(cache), "");
    std::string path = folder / "train.cache", good = read_text(path);
    EXPECT_EQ(said(cache), "");
    EXPECT_EQ(read_text(path), good);

    write("train/c1/2.jpg", shade(200, false));
    struct timespec times[2] = {{1000, 0}, {1000, 5}};
    ::utimensat(AT_FDCWD, (folder / "train/c1/2.jpg").c_str(), times, 0);
    EXPECT_CONTAINS(said(cache), "train.cache is stale: c1/2.jpg is new or has changed; it is made again");
    EXPECT_NEAR(record(open(cache), 6).pixels[0], 200, 1);
    times[1].tv_nsec = 6;
    ::utimensat(AT_FDCWD, (folder / "train/c1/2.jpg").c_str(), times, 0);
    EXPECT_CONTAINS(said(cache), "is stale");
    write("train/c1/9.jpg", shade(200, false));
    EXPECT_CONTAINS(said(cache), "is stale: it holds 12 pictures, now there are 13");
    std::filesystem::remove(folder / "train/c1/9.jpg");
    EXPECT_CONTAINS(said(cache), "is stale");
    cache.emplace_back("fit", text_value("crop"));
    EXPECT_CONTAINS(said(cache), "was made with other settings");

    good = read_text(path);
    for (size_t at = 14; at < good.size(); at += 97) {
        if (at >= 40 && at < 64) continue;  // unused bytes of the header
        std::string bad = good;
        bad[at] = char(bad[at] ^ 0x10);
        write_text(path, bad);
        EXPECT_CONTAINS(said(cache), "is damaged; it is made again") << at;
    }
    for (size_t keep : {size_t(0), size_t(10), size_t(63), size_t(64), good.size() / 2, good.size() - 1}) {
        write_text(path, good.substr(0, keep));
        EXPECT_CONTAINS(said(cache), "is damaged; it is made again") << keep;
        EXPECT_EQ(read_text(path), good);
    }
    EXPECT_EQ(said(cache), "");
    // A link to a cache stays one.
    std::filesystem::rename(path, folder / "elsewhere");
    std::filesystem::create_symlink("elsewhere", path);
    write_text(folder / "elsewhere", "");
    EXPECT_CONTAINS(said(cache), "is damaged; it is made again");
    EXPECT_TRUE(std::filesystem::is_symlink(path));
    std::filesystem::rename(folder / "elsewhere", path);
    // No half-written file stays.
    EXPECT_EQ(names_in(folder.path()), (std::vector<std::string>{"train", "train.cache"}));
}

TEST_F(PictureFolder, what_is_no_cache_is_not_overwritten) {
    for (const char *content : {"1", "a diary", "kiln picture books, with their titles, their authors and what they are about"}) {
        write_text(folder / "train.cache", content);
        EXPECT_CONTAINS(error({{"cache", text_value("train.cache", Value::Kind::path)}}), "train.cache is to be a cache of pictures, but holds something else");
        EXPECT_EQ(read_text(folder / "train.cache"), content);
    }
    std::filesystem::remove(folder / "train.cache");
    std::filesystem::create_directory(folder / "train.cache");
    EXPECT_EQ(error({{"cache", text_value("train.cache", Value::Kind::path)}}), (folder / "train.cache") + " is a folder, not a file");
}

TEST_F(PictureFolder, more_than_may_be_kept_is_said) {
    EXPECT_EQ(said({{"most_kept", number_value(0.002)}}), "");  // 12 pictures of 144 bytes
    EXPECT_CONTAINS(said({{"most_kept", number_value(0.0016)}}), "12 pictures of 144 bytes are more than most_kept, 0.001599 MiB");
    EXPECT_EQ(said({{"most_kept", number_value(0)}, {"keep", boolean_value(false)}}), "");
}

TEST_F(PictureFolder, a_cache_remembers_bad_files) {
    write("train/c0/0.jpg", "no picture");
    std::vector<std::pair<std::string, Value>> arguments{{"cache", text_value("train.cache", Value::Kind::path)},
                                                         {"bad_files", number_value(0.1)}};
    for (int i = 0; i < 2; ++i) {
        EXPECT_CONTAINS(said(arguments), "train/c0/0.jpg is no picture");
        EXPECT_EQ(open(arguments).records, 11);
    }
}

TEST_F(PictureFolder, bad_files_are_named_counted_and_limited) {
    std::string good = read_text(folder / "train/c0/0.jpg");
    write("train/c0/0.jpg", good.substr(0, good.size() - 10));
    write("train/c1/1.png", "a text");
    std::filesystem::remove(folder / "train/c2/3.png");
    std::filesystem::create_symlink("nowhere", folder / "train/c2/3.png");
    std::string message = error({{"bad_files", number_value(0.2)}});
    EXPECT_CONTAINS(message, "train/: 3 of 12 pictures are bad; bad_files = 0.2 allows 2:");
    EXPECT_CONTAINS(message, "c0/0.jpg is damaged: Premature end of JPEG file");
    EXPECT_CONTAINS(message, "c1/1.png is no picture");
    EXPECT_CONTAINS(message, "c2/3.png: No such file");
    EXPECT_CONTAINS(error(), "bad_files = 0 allows 0");
    EXPECT_CONTAINS(said({{"bad_files", number_value(0.25)}}),
                    "warning: " + (folder / "train/") + ": 3 of 12 pictures are bad and left out:");
    Dataset dataset = open({{"bad_files", number_value(0.25)}});
    ASSERT_EQ(dataset.records, 9);
    EXPECT_EQ(dataset.name(0), "c0/1.png");
    EXPECT_EQ(record(dataset, 3).label, 1);
    EXPECT_EQ(dataset.name(3), "c1/0.jpg");
}

// Transforms choose before anything is decoded: what they leave out may be as bad as it likes.
TEST_F(PictureFolder, only_what_transforms_leave_is_decoded) {
    auto sample = [&](bool rest, double bad_files, const std::string &reader = "sample") {
        Value source;
        source.kind = Value::Kind::call;
        source.text = "images";
        source.arguments = {{"folder", text_value("train", Value::Kind::path)}, {"most_kept", number_value(1)}, {"bad_files", number_value(bad_files)}};
        return numbered({"train", reader, {{"source", source}, {"share", number_value(0.5)}, {"rest", boolean_value(rest)}}}, kColumns);
    };
    std::vector<std::string> chosen;
    std::vector<Record> before;
    Dataset part = sample(false, 0);
    ASSERT_EQ(part.records, 6);
    EXPECT_EQ(part.cost, Cost::memory);  // kept
    for (int64_t i = 0; i < part.records; ++i) {
        chosen.push_back(part.name(i));
        before.push_back(record(part, i));
    }
    std::vector<std::string> others;
    Dataset rest = sample(true, 0);
    for (int64_t i = 0; i < rest.records; ++i) others.push_back(rest.name(i));
    for (const std::string &name : others) write("train/" + name, "no picture");

    part = sample(false, 0);
    ASSERT_EQ(part.records, 6);
    for (int64_t i = 0; i < part.records; ++i) {
        EXPECT_EQ(part.name(i), chosen[size_t(i)]);
        EXPECT_EQ(record(part, i).pixels, before[size_t(i)].pixels);
        EXPECT_EQ(record(part, i).label, before[size_t(i)].label);
    }
    try {
        sample(true, 0.5);
        ADD_FAILURE() << "no error";
    } catch (const Failure &failure) {
        EXPECT_CONTAINS(std::string(failure.what()), "6 of 6 pictures are bad; bad_files = 0.5 allows 3:");
    }
    // A bad one among the chosen is left out, and the others stay who they are.
    write("train/" + chosen[2], "no picture");
    ::testing::internal::CaptureStderr();
    part = sample(false, 0.2);
    EXPECT_CONTAINS(::testing::internal::GetCapturedStderr(), "1 of 6 pictures is bad and left out:");
    ASSERT_EQ(part.records, 5);
    for (int64_t i = 0; i < part.records; ++i) {
        const auto was = size_t(i < 2 ? i : i + 1);
        EXPECT_EQ(part.name(i), chosen[was]);
        EXPECT_EQ(record(part, i).pixels, before[was].pixels);
        EXPECT_EQ(record(part, i).label, before[was].label);
    }
}

// A picture that stands for several records is decoded once, and left out wherever it stands.
TEST_F(PictureFolder, balanced_pictures_may_be_bad) {
    for (int i = 1; i < 4; ++i)
        for (const char *ending : {".png", ".jpg"}) std::filesystem::remove(folder / ("train/c0/" + std::to_string(i) + ending));
    write("train/c1/0.jpg", "no picture");
    Value source;
    source.kind = Value::Kind::call;
    source.text = "images";
    source.arguments = {{"folder", text_value("train", Value::Kind::path)}, {"most_kept", number_value(1)}, {"bad_files", number_value(0.2)}};
    ::testing::internal::CaptureStderr();
    Dataset balanced = numbered({"train", "balanced", {{"source", source}}}, kColumns);
    EXPECT_CONTAINS(::testing::internal::GetCapturedStderr(), "1 of 9 pictures is bad and left out:");
    ASSERT_EQ(balanced.records, 11);
    for (int64_t i = 0; i < 4; ++i) {
        EXPECT_EQ(balanced.name(i).substr(0, 4), "c0/0");
        EXPECT_EQ(record(balanced, i).pixels, record(balanced, 0).pixels);
        EXPECT_EQ(record(balanced, i).label, 0);
    }
    for (int64_t i = 4; i < 11; ++i) EXPECT_EQ(record(balanced, i).label, i < 7 ? 1 : 2);
}

TEST_F(PictureFolder, special_and_unreadable_files) {
    ::mkfifo((folder / "train/c0/pipe.jpg").c_str(), 0600);
    EXPECT_CONTAINS(error(), "c0/pipe.jpg is no file");
    std::filesystem::remove(folder / "train/c0/pipe.jpg");
    write("train/c0/huge.png", "");
    std::filesystem::resize_file(folder / "train/c0/huge.png", uint64_t(3) << 30);
    EXPECT_CONTAINS(error(), "c0/huge.png has 3221225472 bytes: too many for a picture");
    std::filesystem::remove(folder / "train/c0/huge.png");
    if (::geteuid() != 0) {  // root reads everything
        std::filesystem::permissions(folder / "train/c0/0.jpg", std::filesystem::perms::none);
        EXPECT_CONTAINS(error(), "cannot open " + (folder / "train/c0/0.jpg") + ": Permission denied");
    }
}

TEST_F(PictureFolder, folders_that_are_no_data) {
    EXPECT_CONTAINS(error({}, "nowhere"), "there is no folder " + (folder / "nowhere"));
    write("file/x", "");
    EXPECT_CONTAINS(error({}, "file/x"), "is no folder");
    std::filesystem::create_directories(folder / "empty");
    EXPECT_CONTAINS(error({}, "empty"), "holds no pictures");
    std::filesystem::create_directories(folder / "train/c7");
    EXPECT_CONTAINS(error(), "no pictures are in the class folder c7");
    std::filesystem::remove(folder / "train/c7");
    write("train/notes.txt", "notes");
    EXPECT_CONTAINS(said(), "1 files are not read, as their names are not those of pictures: notes.txt");
    write("train/loose.jpg", shade(1, false));
    EXPECT_CONTAINS(error(), "12 pictures are in class folders and 1 in none, such as loose.jpg");
}

TEST_F(PictureFolder, pictures_without_classes_have_no_labels) {
    write("unlabelled/a.jpg", shade(5, false));
    Dataset dataset = open({}, "unlabelled");
    EXPECT_EQ(dataset.records, 1);
    EXPECT_THROW(require_labels(dataset, "unlabelled"), Failure);
    EXPECT_EQ(record(dataset, 0).label, 0);
}

TEST_F(PictureFolder, too_many_classes_one_class_and_a_class_too_few) {
    write("train/c3/1.jpg", shade(1, false));
    EXPECT_CONTAINS(error(), "`label` has 4 different values, but it is class[3]: it should be class[4]");
    std::filesystem::remove_all(folder / "train/c3");
    std::filesystem::remove_all(folder / "train/c2");
    EXPECT_CONTAINS(said(), "train/ has pictures of 2 classes, but `label` is class[3]");
    std::filesystem::remove_all(folder / "train/c1");
    EXPECT_CONTAINS(error(), "all pictures are of one class, c0");
}

TEST_F(PictureFolder, the_models_inputs_must_be_a_picture_and_a_label) {
    std::vector<Column> columns = kColumns;
    columns.push_back({"speed", DType::f32, {5}, 0});
    EXPECT_CONTAINS(error({}, "train", columns), "the model's inputs are image: f32[6, 8, 3], label: class[3], speed: f32[5]");
    EXPECT_CONTAINS(error({}, "train", {kColumns[1]}), "feeds one picture");
    EXPECT_CONTAINS(error({{"fit", text_value("zoom")}}), "images has no fit `zoom`; it has: stretch, crop, letterbox");
    EXPECT_CONTAINS(error({{"bad_files", number_value(1)}}), "`bad_files` of images is 1");
    EXPECT_EQ(open({}, "train", {kColumns[0]}).records, 12);
}

// A ustar archive of (name, content) pairs; `sizes` overrides what a header says, those in `links` are of that type, and their content is what they lead to.
std::string tar(const std::vector<std::pair<std::string, std::string>> &files, const std::map<size_t, uint64_t> &sizes = {}, const std::map<size_t, char> &links = {}) {
    std::string out;
    for (size_t i = 0; i < files.size(); ++i) {
        const auto &[name, target] = files[i];
        const std::string content = links.contains(i) ? "" : target;
        char header[512] = {};
        uint64_t size = sizes.count(i) ? sizes.at(i) : content.size();
        std::snprintf(header, 100, "%s", name.c_str());
        std::snprintf(header + 100, 8, "%07o", 0644);
        std::snprintf(header + 124, 12, "%011llo", (unsigned long long)size);
        std::snprintf(header + 136, 12, "%011o", 0);
        std::memcpy(header + 148, "        ", 8);
        header[156] = links.contains(i) ? links.at(i) : '0';
        if (links.contains(i)) std::snprintf(header + 157, 100, "%s", target.c_str());
        std::memcpy(header + 257, "ustar\00000", 8);
        unsigned sum = 0;
        for (char c : header) sum += uint8_t(c);
        std::snprintf(header + 148, 8, "%06o", sum);
        out.append(header, sizeof header).append(content).append((512 - content.size() % 512) % 512, '\0');
    }
    return out.append(1024, '\0');
}

struct Tar : PictureFolder {
    Dataset open_tar(const Value &shards = text_value("a.tar", Value::Kind::path), double bad_files = 0) {
        return numbered({"train", "tar", {{"shards", shards}, {"bad_files", number_value(bad_files)}}}, kColumns);
    }
    std::string tar_error(const std::string &content, const Value &shards = text_value("a.tar", Value::Kind::path)) {
        write_text(folder / "a.tar", content);
        try {
            open_tar(shards);
        } catch (const Failure &failure) {
            EXPECT_EQ(failure.code, ExitCode::data) << failure.what();
            return failure.what();
        }
        return "no error";
    }
};

TEST_F(Tar, a_hard_link_is_its_file_and_other_links_are_bad) {
    const std::vector<std::pair<std::string, std::string>> files{{"./c/1.jpg", shade(10, false)}, {"d/2.jpg", shade(20, false)}, {"./d/3.jpg", "./c/1.jpg"}};
    write_text(folder / "a.tar", tar(files, {}, {{2, '1'}}));
    write_gz(folder / "b.tar.gz", tar(files, {}, {{2, '1'}}));
    for (const char *name : {"a.tar", "b.tar.gz"}) {
        Dataset dataset = open_tar(text_value(name, Value::Kind::path));
        ASSERT_EQ(dataset.records, 3);
        EXPECT_EQ(record(dataset, 2).pixels, record(dataset, 0).pixels);
    }
    EXPECT_CONTAINS(tar_error(tar(files, {}, {{2, '2'}})), (folder / "a.tar") + ": 1 of 3 pictures is bad; bad_files = 0 allows 0:\n  " + (folder / "a.tar") + ": d/3.jpg is a symbolic link");
    EXPECT_CONTAINS(tar_error(tar({files[2], files[0], files[1]}, {}, {{0, '1'}})), "a.tar: d/3.jpg is a link to ./c/1.jpg, which is not in the archive before it");
    EXPECT_CONTAINS(tar_error(tar(files, {}, {{2, '3'}})), "a.tar: d/3.jpg is no file");
    // What is cut off between two files, or joined to another, is no whole archive.
    const std::string first = tar({files[0]}), second = tar({files[1]});
    EXPECT_CONTAINS(tar_error(first.substr(0, first.size() - 1024)), "a.tar ends after 1 files without the empty blocks that close a tar archive");
    EXPECT_CONTAINS(tar_error(first + second), "a.tar goes on behind the end of a tar archive, after 1 files");
}

TEST_F(Tar, classes_from_folders_plain_and_gzipped) {
    std::string content = tar(
        {{"./train/cat/1.jpg", shade(10, false)}, {"train/dog/1.png", shade(20, true)}, {"train/cat/2.JPG", shade(30, false)}});
    write_text(folder / "a.tar", content);
    write_gz(folder / "b.tar.gz", content);
    for (const char *name : {"a.tar", "b.tar.gz"}) {
        Dataset dataset = open_tar(text_value(name, Value::Kind::path));
        ASSERT_EQ(dataset.records, 3);
        EXPECT_EQ(dataset.name(0), "train/cat/1.jpg");
        for (int64_t i = 0; i < 3; ++i) {
            EXPECT_NEAR(record(dataset, i).pixels[0], 10 * (i + 1), 1);
            EXPECT_EQ(record(dataset, i).label, i % 2);
        }
    }
}

TEST_F(Tar, classes_from_files_beside_the_pictures_and_shards) {
    write_text(folder / "s-08.tar",
               tar({{"1.jpg", shade(10, false)}, {"1.cls", "dog\n"}, {"2.left.jpg", shade(20, false)}, {"2.txt", "cat"}}));
    write_text(folder / "s-09.tar",
               tar({{"1.txt", "a caption that is no class, but .cls is there"}, {"1.cls", "cat"}, {"1.jpg", shade(30, false)}}));
    write_text(folder / "s-10.tar", tar({{"x/1.cls", "dog"}, {"x/1.jpg", shade(40, false)}}));
    Dataset dataset = open_tar(text_value("s-{08..10}.tar", Value::Kind::path));
    ASSERT_EQ(dataset.records, 4);
    for (int64_t i = 0; i < 4; ++i) EXPECT_NEAR(record(dataset, i).pixels[0], 10 * (i + 1), 1);
    for (int64_t i : {0, 3}) EXPECT_EQ(record(dataset, i).label, 1);
    for (int64_t i : {1, 2}) EXPECT_EQ(record(dataset, i).label, 0);
    Value list;
    list.kind = Value::Kind::list;
    list.list = {text_value("s-10.tar", Value::Kind::path), text_value("s-08.tar", Value::Kind::path)};
    EXPECT_NEAR(record(open_tar(list), 0).pixels[0], 40, 1);
    EXPECT_CONTAINS(tar_error("", text_value("s-{10..08}.tar", Value::Kind::path)), "names no range of shards");
    EXPECT_CONTAINS(tar_error("", text_value("s-{08..11}.tar", Value::Kind::path)), "cannot open " + (folder / "s-11.tar"));
}

TEST_F(Tar, pictures_without_a_class_or_with_two) {
    EXPECT_CONTAINS(tar_error(tar({{"1.jpg", shade(10, false)}, {"1.cls", "dog"}, {"2.jpg", shade(20, false)}})),
                    "1 of 2 pictures is bad; bad_files = 0 allows 0:\n  " + (folder / "a.tar") +
                        ": 2.jpg has no class: there is no 2.cls or .txt with one");
    EXPECT_CONTAINS(tar_error(tar({{"c/1.jpg", shade(10, false)}, {"2.jpg", shade(20, false)}})),
                    "a.tar: 2.jpg has no class: it is in no folder");
    EXPECT_CONTAINS(tar_error(tar({{"c/1.jpg", shade(10, false)}, {"c/1.jpg", shade(20, false)}})),
                    "c/1.jpg is in the archive twice");
    write_text(folder / "a.tar", tar({{"1.jpg", shade(10, false)}, {"2.jpg", shade(20, false)}}));
    EXPECT_THROW(require_labels(open_tar(), "train"), Failure);
}

TEST_F(Tar, damaged_archives_are_named) {
    EXPECT_CONTAINS(tar_error(""), "a.tar is empty");
    EXPECT_CONTAINS(tar_error(std::string("\xfd"
                                          "7zXZ\0 whatever",
                                          15)),
                    "unpack it: xz -d");
    EXPECT_CONTAINS(tar_error(std::string(3000, 'x')), "a.tar is no tar archive or damaged, after 0 files");
    EXPECT_EQ(tar_error(tar({})), (folder / "a.tar") + " holds no pictures");
    EXPECT_CONTAINS(tar_error(tar({{"c/1.jpg", "no picture"}})), "c/1.jpg is no picture");
    // A header that promises 7 GiB takes no memory.
    EXPECT_CONTAINS(tar_error(tar({{"c/1.jpg", shade(1, false)}}, {{0, uint64_t(7) << 30}})), "a.tar");
    std::string good = tar({{"c/1.jpg", shade(10, false)}, {"d/2.jpg", shade(20, false)}});
    for (size_t keep = 0; keep < good.size() - 1024; keep += 50) EXPECT_NE(tar_error(good.substr(0, keep)), "no error") << keep;
    std::mt19937 random(3);
    for (int i = 0; i < 1000; ++i) {
        std::string bad = good;
        for (unsigned changes = 1 + random() % 3; changes > 0; --changes) bad[random() % bad.size()] = char(random());
        tar_error(bad);
        if (i % 10 == 0) {
            write_gz(folder / "a.tar", bad);
            std::string packed = read_text(folder / "a.tar");
            packed[random() % packed.size()] = char(random());
            tar_error(packed);
        }
    }
}

TEST_F(PictureFolder, the_same_picture_in_two_splits_is_an_error) {
    write("validation/c0/7.jpg", shade(33, false));
    write("validation/c1/2.jpg", read_text(folder / "train/c1/2.jpg"));
    Dataset training = open(), validation = open({}, "validation");
    try {
        check_overlap(training, validation, "validation");
        FAIL();
    } catch (const Failure &failure) {
        EXPECT_EQ(std::string(failure.what()),
                  "1 of 2 records of split validation is also in split train, so that what was trained on would be measured:\n  "
                  "c1/2.jpg and c1/2.jpg");
    }
    write("validation/c1/2.jpg", shade(77, false));
    ::testing::internal::CaptureStderr();
    check_overlap(training, open({}, "validation"), "validation");
    EXPECT_CONTAINS(::testing::internal::GetCapturedStderr(),
                    "warning: 1 of 2 records of split validation is named like records of split train, with another content:");
}

}  // namespace
}  // namespace kiln::runtime::testing
