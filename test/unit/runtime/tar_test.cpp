// Tar archives of pictures as splits: classes, links, shards, damage.
#include "picture_folder.h"

#include <cstring>
#include <map>
#include <random>

namespace kiln::runtime::testing {
namespace {

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
    Dataset open_tar(const Value &shards = path("a.tar"), double bad_files = 0) {
        return numbered({"train", "tar", {{"shards", shards}, {"bad_files", number(bad_files)}}}, kColumns);
    }
    std::string tar_error(const std::string &content, const Value &shards = path("a.tar")) {
        write_text(folder / "a.tar", content);
        return failure_of(ExitCode::data, [&] { open_tar(shards); });
    }
};

TEST_F(Tar, a_hard_link_is_its_file_and_other_links_are_bad) {
    const std::vector<std::pair<std::string, std::string>> files{{"./c/1.jpg", shade(10, false)}, {"d/2.jpg", shade(20, false)}, {"./d/3.jpg", "./c/1.jpg"}};
    write_text(folder / "a.tar", tar(files, {}, {{2, '1'}}));
    write_gz(folder / "b.tar.gz", tar(files, {}, {{2, '1'}}));
    for (const char *name : {"a.tar", "b.tar.gz"}) {
        Dataset dataset = open_tar(path(name));
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
        Dataset dataset = open_tar(path(name));
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
    Dataset dataset = open_tar(path("s-{08..10}.tar"));
    ASSERT_EQ(dataset.records, 4);
    for (int64_t i = 0; i < 4; ++i) EXPECT_NEAR(record(dataset, i).pixels[0], 10 * (i + 1), 1);
    for (int64_t i : {0, 3}) EXPECT_EQ(record(dataset, i).label, 1);
    for (int64_t i : {1, 2}) EXPECT_EQ(record(dataset, i).label, 0);
    EXPECT_NEAR(record(open_tar(list({path("s-10.tar"), path("s-08.tar")})), 0).pixels[0], 40, 1);
    EXPECT_CONTAINS(tar_error("", path("s-{10..08}.tar")), "names no range of shards");
    EXPECT_CONTAINS(tar_error("", path("s-{08..11}.tar")), "cannot open " + (folder / "s-11.tar"));
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

}  // namespace
}  // namespace kiln::runtime::testing
