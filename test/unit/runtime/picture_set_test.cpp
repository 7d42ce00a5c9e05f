// Folders of pictures as splits: classes, bad files, keeping, caching.
#include "picture_folder.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace kiln::runtime::testing {
namespace {

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
    Dataset kept = open({{"most_kept", number(1)}}), again = open({{"keep", flag(false)}});
    Value cache = path("train.cache");
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
    std::vector<std::pair<std::string, Value>> cache{{"cache", path("train.cache")}};
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
    cache.emplace_back("fit", text("crop"));
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
        EXPECT_CONTAINS(error({{"cache", path("train.cache")}}), "train.cache is to be a cache of pictures, but holds something else");
        EXPECT_EQ(read_text(folder / "train.cache"), content);
    }
    std::filesystem::remove(folder / "train.cache");
    std::filesystem::create_directory(folder / "train.cache");
    EXPECT_EQ(error({{"cache", path("train.cache")}}), (folder / "train.cache") + " is a folder, not a file");
}

TEST_F(PictureFolder, more_than_may_be_kept_is_said) {
    EXPECT_EQ(said({{"most_kept", number(0.002)}}), "");  // 12 pictures of 144 bytes
    EXPECT_CONTAINS(said({{"most_kept", number(0.0016)}}), "12 pictures of 144 bytes are more than most_kept, 0.001599 MiB");
    EXPECT_EQ(said({{"most_kept", number(0)}, {"keep", flag(false)}}), "");
}

TEST_F(PictureFolder, a_cache_remembers_bad_files) {
    write("train/c0/0.jpg", "no picture");
    std::vector<std::pair<std::string, Value>> arguments{{"cache", path("train.cache")},
                                                         {"bad_files", number(0.1)}};
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
    std::string message = error({{"bad_files", number(0.2)}});
    EXPECT_CONTAINS(message, "train/: 3 of 12 pictures are bad; bad_files = 0.2 allows 2:");
    EXPECT_CONTAINS(message, "c0/0.jpg is damaged: Premature end of JPEG file");
    EXPECT_CONTAINS(message, "c1/1.png is no picture");
    EXPECT_CONTAINS(message, "c2/3.png: No such file");
    EXPECT_CONTAINS(error(), "bad_files = 0 allows 0");
    EXPECT_CONTAINS(said({{"bad_files", number(0.25)}}),
                    "warning: " + (folder / "train/") + ": 3 of 12 pictures are bad and left out:");
    Dataset dataset = open({{"bad_files", number(0.25)}});
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
        source.arguments = {{"folder", path("train")}, {"most_kept", number(1)}, {"bad_files", number(bad_files)}};
        return numbered({"train", reader, {{"source", source}, {"share", number(0.5)}, {"rest", flag(rest)}}}, kColumns);
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
    source.arguments = {{"folder", path("train")}, {"most_kept", number(1)}, {"bad_files", number(0.2)}};
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
    std::filesystem::create_symlink("../c1", folder / "train/c0/inside");
    std::filesystem::create_symlink("../c1", folder / "train/nowhere");
    const std::string links = said();
    EXPECT_CONTAINS(links, "1 files are not read, as their names are not those of pictures: notes.txt");
    EXPECT_CONTAINS(links, "1 folders are not read, as they are links inside the folder of a class: c0/inside");
    EXPECT_CONTAINS(links, "1 links are not read, as they lead nowhere: nowhere");
    std::filesystem::create_symlink("c1", folder / "train/c9");
    EXPECT_CONTAINS(error(), "train/: the class folders c1 and c9 are one folder under two names: remove the link");
    std::filesystem::remove(folder / "train/c9");
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
    EXPECT_CONTAINS(error({{"fit", text("zoom")}}), "images has no fit `zoom`; it has: stretch, crop, letterbox");
    EXPECT_CONTAINS(error({{"bad_files", number(1)}}), "`bad_files` of images is 1");
    EXPECT_EQ(open({}, "train", {kColumns[0]}).records, 12);
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
