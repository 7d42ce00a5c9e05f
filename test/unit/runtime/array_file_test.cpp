// NumPy and CIFAR files, good and bad.
#include "harness.h"
#include "values.h"

#include "data/dataset.h"
#include "data/vocabulary.h"
#include "support/failure.h"

#include <gtest/gtest.h>
#include <zlib.h>
#include <bit>
#include <cmath>
#include <limits>
#include <random>

namespace kiln::runtime::testing {
namespace {

std::string little(uint64_t value, int bytes) {
    std::string out;
    for (int i = 0; i < bytes; ++i) out += char(value >> 8 * i);
    return out;
}

// As numpy.save writes it: the header is padded with spaces to a multiple of 64 and ends in a line feed.
std::string npy(const std::string &descr, const std::string &shape, const std::string &elements, bool fortran = false,
                int version = 1) {
    std::string header =
        "{'descr': '" + descr + "', 'fortran_order': " + (fortran ? "True" : "False") + ", 'shape': " + shape + ", }";
    size_t before = version == 1 ? 10 : 12;
    while ((before + header.size() + 1) % 64 != 0) header += ' ';
    header += '\n';
    return "\x93NUMPY" + little(uint64_t(version), 1) + little(0, 1) + little(header.size(), version == 1 ? 2 : 4) + header +
           elements;
}

struct Entry {
    std::string name, content;
    bool deflated = false, zip64 = false;
};

std::string deflate(const std::string &content) {
    z_stream stream{};
    deflateInit2(&stream, 9, Z_DEFLATED, -MAX_WBITS, 9, Z_DEFAULT_STRATEGY);
    std::string out(content.size() + 100, '\0');
    stream.next_in = reinterpret_cast<Bytef *>(const_cast<char *>(content.data()));
    stream.avail_in = uInt(content.size());
    stream.next_out = reinterpret_cast<Bytef *>(out.data());
    stream.avail_out = uInt(out.size());
    ::deflate(&stream, Z_FINISH);
    out.resize(stream.total_out);
    deflateEnd(&stream);
    return out;
}

std::string zip(const std::vector<Entry> &entries) {
    std::string file, directory;
    for (const Entry &entry : entries) {
        std::string packed = entry.deflated ? deflate(entry.content) : entry.content;
        uint64_t crc = ::crc32(0, reinterpret_cast<const Bytef *>(entry.content.data()), uInt(entry.content.size()));
        std::string common = little(entry.deflated ? 8 : 0, 2) + little(0, 4) + little(crc, 4);
        std::string extra = entry.zip64 ? little(1, 2) + little(24, 2) + little(entry.content.size(), 8) +
                                              little(packed.size(), 8) + little(file.size(), 8)
                                        : "";
        std::string sizes = entry.zip64 ? little(0xffffffff, 4) + little(0xffffffff, 4)
                                        : little(packed.size(), 4) + little(entry.content.size(), 4);
        directory += little(0x02014b50, 4) + little(45, 2) + little(45, 2) + little(0, 2) + common + sizes +
                     little(entry.name.size(), 2) + little(extra.size(), 2) + std::string(10, '\0') +
                     little(entry.zip64 ? 0xffffffff : file.size(), 4) + entry.name + extra;
        file += little(0x04034b50, 4) + little(45, 2) + little(0, 2) + common + sizes + little(entry.name.size(), 2) +
                little(extra.size(), 2) + entry.name + extra + packed;
    }
    return file + directory + little(0x06054b50, 4) + little(0, 4) + little(entries.size(), 2) + little(entries.size(), 2) +
           little(directory.size(), 4) + little(file.size(), 4) + little(0, 2);
}

struct Arrays : ::testing::Test {
    TemporaryFolder folder;
    std::vector<Column> columns{{"input", DType::f64, {2}, 0}};

    Dataset open(const Split &split) { return open_split(folder.path(), split, columns); }
    std::string error(const Split &split) {
        return failure_of(ExitCode::data, [&] { open(split); });
    }
    Split npy_split() const { return {"train", "npy", {{"inputs", path("a.npy")}}}; }
    Split npz_split() const { return {"train", "npz", {{"file", path("a.npz")}}}; }
    std::vector<double> values(const Split &split) {
        Dataset dataset = open(split);
        std::vector<double> out, record(size_t(columns[0].elements()));
        for (int64_t i = 0; i < dataset.records; ++i) {
            uint8_t *rows[] = {reinterpret_cast<uint8_t *>(record.data())};
            dataset.read(i, rows);
            out.insert(out.end(), record.begin(), record.end());
        }
        return out;
    }
    std::vector<double> values(const std::string &file) {
        write_text(folder / "a.npy", file);
        return values(npy_split());
    }
    std::string error(const std::string &file) {
        write_text(folder / "a.npy", file);
        return error(npy_split());
    }
};

using Values = std::vector<double>;

TEST_F(Arrays, every_element_type) {
    EXPECT_EQ(values(npy("|u1", "(2, 2)", "\x01\x02\xff\x04")), (Values{1, 2, 255, 4}));
    EXPECT_EQ(values(npy("|i1", "(1, 2)", "\x01\xff")), (Values{1, -1}));
    EXPECT_EQ(values(npy("|b1", "(1, 2)", std::string("\x01\x00", 2))), (Values{1, 0}));
    EXPECT_EQ(values(npy("<u2", "(1, 2)", little(65535, 2) + little(7, 2))), (Values{65535, 7}));
    EXPECT_EQ(values(npy("<i2", "(1, 2)", little(65535, 2) + little(7, 2))), (Values{-1, 7}));
    EXPECT_EQ(values(npy(">i2", "(1, 2)", std::string("\xff\xfe\x01\x00", 4))), (Values{-2, 256}));
    EXPECT_EQ(values(npy("<u4", "(1, 2)", little(4294967295, 4) + little(7, 4))), (Values{4294967295, 7}));
    EXPECT_EQ(values(npy("<i4", "(1, 2)", little(4294967295, 4) + little(7, 4))), (Values{-1, 7}));
    EXPECT_EQ(values(npy("<i8", "(1, 2)", little(uint64_t(-5), 8) + little(7, 8))), (Values{-5, 7}));
    EXPECT_EQ(values(npy("<u8", "(1, 2)", little(5, 8) + little(7, 8))), (Values{5, 7}));
    // Half: 1, -2, the smallest denormal, the largest; float 1.5, double -0.1.
    EXPECT_EQ(values(npy("<f2", "(2, 2)", little(0x3c00, 2) + little(0xc000, 2) + little(1, 2) + little(0x7bff, 2))),
              (Values{1, -2, 0x1p-24, 65504}));
    EXPECT_EQ(values(npy("<f4", "(1, 2)", little(0x3fc00000, 4) + little(0, 4))), (Values{1.5, 0}));
    EXPECT_EQ(values(npy(">f4", "(1, 2)", std::string("\x3f\xc0\0\0\0\0\0\0", 8))), (Values{1.5, 0}));
    EXPECT_EQ(values(npy("<f8", "(1, 2)", little(0xbfb999999999999a, 8) + little(0, 8))), (Values{-0.1, 0}));
    try {
        values(npy("<u8", "(2, 2)", little(5, 8) + little(6, 8) + little(uint64_t(-1), 8) + little(7, 8)));
        ADD_FAILURE() << "a value that does not fit was read";
    } catch (const Failure &failure) {
        EXPECT_EQ(failure.what(), (folder / "a.npy") + ": record 1 (counted from 0) has a value of 18446744073709551615; at most 2^63 - 1 can be read");
    }
}

// As csv refuses them: in a validation split nothing else would say why its loss is no number.
TEST_F(Arrays, numbers_that_the_input_cannot_hold_are_named) {
    auto bits = [](double value) { return little(std::bit_cast<uint64_t>(value), 8); };
    auto floats = [&](std::initializer_list<float> values) {
        std::string out;
        for (float value : values) out += little(std::bit_cast<uint32_t>(value), 4);
        return npy("<f4", "(" + std::to_string(values.size() / 2) + ", 2)", out);
    };
    const std::string place = (folder / "a.npy") + ": record 1 (counted from 0) has the value ";
    const float infinite = std::numeric_limits<float>::infinity();
    EXPECT_EQ(error(floats({1, 2, 3, NAN})), place + "nan, which is no number of f64, as the input `input` needs");
    EXPECT_CONTAINS(error(npy(">f8", "(1, 2)", std::string("\x7f\xf0\0\0\0\0\0\0", 8) + std::string(8, '\0'))), "record 0 (counted from 0) has the value inf");
    EXPECT_CONTAINS(error(npy("<f2", "(1, 2)", little(0x3c00, 2) + little(0xfc00, 2))), "has the value -inf");
    EXPECT_EQ(values(npy("<f8", "(1, 2)", bits(1e39) + bits(-1e-300))), (Values{1e39, -1e-300}));

    columns[0].dtype = DType::f32;
    EXPECT_EQ(error(npy("<f8", "(2, 2)", bits(1) + bits(3.4e38) + bits(0) + bits(1e39))), place + "1e+39, which is no number of f32, as the input `input` needs");
    EXPECT_CONTAINS(error(floats({1, 2, 3, 4, -infinite, 5})), "record 2 (counted from 0) has the value -inf");
    write_text(folder / "a.npy", npy("<f8", "(1, 2)", bits(1e-300) + bits(-3.4e38)));
    EXPECT_EQ(open(npy_split()).records, 1);
    write_text(folder / "a.npz", zip({{"other.npy", floats({NAN, NAN})}, {"inputs.npy", floats({1, 2, infinite, 3})}}));
    EXPECT_CONTAINS(error(npz_split()), "a.npz: inputs.npy: record 1 (counted from 0) has the value inf");
    write_text(folder / "a.idx", std::string("\0\0\x0d\2\0\0\0\1\0\0\0\2\x3f\x80\0\0\x7f\xc0\0\0", 20));
    EXPECT_CONTAINS(error({"train", "idx", {{"inputs", path("a.idx")}}}), "a.idx: record 0 (counted from 0) has the value nan");

    columns[0].dtype = DType::i32;
    EXPECT_CONTAINS(error(floats({1, 2, 3, 4.5f})), place + "4.5, which is no number of i32");
    EXPECT_CONTAINS(error(npy("<f8", "(1, 2)", bits(-2147483648.0) + bits(2147483648.0))), "has the value 2147483648,");
    EXPECT_CONTAINS(error(npy("<i8", "(1, 2)", little(7, 8) + little(uint64_t(-2147483649), 8))), "has the value -2147483649,");
    columns[0].dtype = DType::u8;
    EXPECT_CONTAINS(error(npy("<i4", "(1, 2)", little(255, 4) + little(256, 4))), "has the value 256, which is no number of u8");
    columns[0].dtype = DType::i64;
    EXPECT_CONTAINS(error(floats({-0x1p63f, 0x1p63f})), "has the value 9223372036854775808,");
}

// What stays on the disk may be larger than memory: it is looked at as it is read.
TEST_F(Arrays, numbers_on_the_disk_are_checked_as_they_are_read) {
    columns[0] = {"input", DType::f32, {1 << 20}, 0};
    std::string elements(size_t(17) << 22, '\0');
    elements.replace(elements.size() - 4, 4, little(0x7fc00000, 4));
    write_text(folder / "a.npy", npy("<f4", "(17, 1048576)", elements));
    const Dataset dataset = open(npy_split());
    ASSERT_EQ(dataset.cost, Cost::disk);
    std::vector<float> record(1 << 20, 1);
    uint8_t *rows[] = {reinterpret_cast<uint8_t *>(record.data())};
    dataset.read(15, rows);
    EXPECT_EQ(record[5], 0);
    EXPECT_CONTAINS(failure_of(ExitCode::data, [&] { dataset.read(16, rows); }), "a.npy: record 16 (counted from 0) has the value nan, which is no number of f32");
}

TEST_F(Arrays, shapes_orders_and_versions) {
    EXPECT_EQ(values(npy("|u1", "(3, 2)", std::string("\1\2\3\4\5\6"), true)), (Values{1, 4, 2, 5, 3, 6}));
    columns[0].shape = {2, 2};
    // Element (record, i, j) is 1 + record + 2 i + 4 j in Fortran order.
    EXPECT_EQ(values(npy("|u1", "(2, 2, 2)", std::string("\1\2\3\4\5\6\7\x08"), true)), (Values{1, 5, 3, 7, 2, 6, 4, 8}));
    columns[0].shape = {};
    EXPECT_EQ(values(npy("|u1", "(3,)", "\1\2\3")), (Values{1, 2, 3}));
    EXPECT_EQ(values(npy("|u1", "(3,)", "\1\2\3", false, 2)), (Values{1, 2, 3}));
    EXPECT_EQ(values(npy("|u1", "(3,)", "\1\2\3", false, 3)), (Values{1, 2, 3}));
    write_gz(folder / "a.npy", npy("|u1", "(3,)", "\1\2\3"));
    EXPECT_EQ(values(npy_split()), (Values{1, 2, 3}));
}

TEST_F(Arrays, wrong_npy_files_are_named) {
    EXPECT_CONTAINS(error("PK"), "a.npy is no NumPy file: it has 2 bytes");
    EXPECT_CONTAINS(error("something else"), "a.npy is no NumPy file");
    EXPECT_CONTAINS(error(npy("<U5", "(1, 2)", std::string(40, 'a'))), "elements of type `<U5`");
    EXPECT_CONTAINS(error(npy("|u1", "()", "\1")), "a single value");
    EXPECT_CONTAINS(error(npy("|u1", "(0, 2)", "")), "holds no records");
    EXPECT_CONTAINS(error(npy("|u1", "(2, 0)", "")), "a record would have shape [0]");
    EXPECT_CONTAINS(error(npy("|u1", "(2, 3)", "abcdef")), "a record has shape [3], but the model's input `input` is f64[2]");
    EXPECT_CONTAINS(error(npy("|u1", "(4000000000, 2)", "abcdef")),
                    "is truncated: an array of shape [4000000000, 2] needs 8000000128 bytes, it has 134");
    EXPECT_CONTAINS(error(npy("|u1", "(4000000000, 4000000000, 4000000000, 4000000000)", "abcdef")), "a record would have shape");
    EXPECT_CONTAINS(error(npy("|u1", "(99999999999999999999, 2)", "abcdef")), "is damaged: its header is");
    EXPECT_CONTAINS(error(npy("|u1", "(1, 2)", "abc")), "is oversized");
    EXPECT_CONTAINS(error(npy("|u1", "(1, 2)", std::string("\1\2")).replace(20, 1, "'\n")), "a.npy holds elements of type `\\u000a|u1`");
    std::string good = npy("<f4", "(3, 2)", std::string(24, '\1'));
    for (size_t keep = 0; keep < good.size(); ++keep) EXPECT_CONTAINS(error(good.substr(0, keep)), "a.npy is ");
    std::mt19937 random(1);
    for (int i = 0; i < 3000; ++i) {  // damaged headers are refused or read, and never crash
        std::string bad = good;
        bad[random() % 128] = char(random());
        error(bad);
    }
}

// NumPy takes these three keys, once each, and nothing else.
TEST_F(Arrays, npy_headers_are_read_to_their_end) {
    auto with = [](const std::string &header) { return "\x93NUMPY" + little(1, 1) + little(0, 1) + little(header.size(), 2) + header + "\1\2\3\4"; };
    EXPECT_EQ(values(with("{'descr':'|u1','fortran_order':True,'shape':(2,2)}")), (Values{1, 3, 2, 4}));
    EXPECT_EQ(values(with(" { \"shape\" : ( 2 , 2 , ) , 'descr' : '|u1' , 'fortran_order' : False , } \n")), (Values{1, 2, 3, 4}));
    for (const char *header : {"{'descr': '|u1', 'fortran_order': False, 'shape': (2, 2), } and more", "{'descr': '|u1', 'fortran_order': Truely, 'shape': (2, 2), }",
                               "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 2), 'more': 1}", "{'descr': '|u1', 'descr': '|u1', 'fortran_order': False, 'shape': (2, 2)}",
                               "{'descr': '|u1' 'fortran_order': False, 'shape': (2, 2)}", "'descr': '|u1', 'fortran_order': False, 'shape': (2, 2)",
                               "{'more': \"'shape': (2, 2)\", 'descr': '|u1', 'fortran_order': False}", "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 2)", ""})
        EXPECT_CONTAINS(error(with(header)), "a.npy is damaged: its header is `" + std::string(header) + "`, not {'descr': ..");
}

TEST_F(Arrays, npz_stored_deflated_and_zip64) {
    std::string inputs = npy("<i4", "(2, 2)", little(1, 4) + little(2, 4) + little(3, 4) + little(4, 4)),
                other = npy("|u1", "(1,)", "\1");
    for (bool deflated : {false, true})
        for (bool zip64 : {false, true}) {
            write_text(folder / "a.npz", zip({{"other.npy", other, deflated, zip64}, {"inputs.npy", inputs, deflated, zip64}}));
            EXPECT_EQ(values(npz_split()), (Values{1, 2, 3, 4}));
        }
    write_text(folder / "a.npz", zip({{"other.npy", other}, {"inputs", inputs}}));
    EXPECT_EQ(values(npz_split()), (Values{1, 2, 3, 4})) << "entries need no .npy";
    write_text(folder / "a.npz", zip({{"other.npy", other}}));
    EXPECT_CONTAINS(error(npz_split()), "a.npz has no array `input` (nor `inputs`) for the model's input; it has: other");
    write_text(folder / "a.npz", zip({{"inputs.npy", inputs}, {"inputs", inputs}}));
    EXPECT_CONTAINS(error(npz_split()), "a.npz: `inputs` is in the archive twice");
}

TEST_F(Arrays, two_arrays_for_one_input_are_ambiguous) {
    const std::string ones = npy("|u1", "(1, 2)", "\1\1"), twos = npy("|u1", "(1, 2)", "\2\2");
    write_text(folder / "a.npz", zip({{"inputs.npy", ones}, {"input.npy", twos}}));
    EXPECT_EQ(error(npz_split()), (folder / "a.npz") + " has both `input` and `inputs` for the model's input `input`: leave one out, or give it another name");
    write_text(folder / "a.npy", ones);
    EXPECT_CONTAINS(error({"train", "npy", {{"inputs", path("a.npy")}, {"input", path("a.npy")}}}), "split train: npy has both `input` and `inputs`");
    // Unless each is an input of its own.
    columns.push_back({"inputs", DType::f64, {2}, 0});
    const Dataset dataset = open(npz_split());
    std::vector<double> one(2), other(2);
    uint8_t *rows[] = {reinterpret_cast<uint8_t *>(one.data()), reinterpret_cast<uint8_t *>(other.data())};
    dataset.read(0, rows);
    EXPECT_EQ(one, (Values{2, 2}));
    EXPECT_EQ(other, (Values{1, 1}));
    write_text(folder / "a.npz", zip({{"inputs.npy", ones}}));
    EXPECT_CONTAINS(error(npz_split()), "a.npz has no array `input`");
}

TEST_F(Arrays, tell_how_many_records_there_are_where_no_output_reads_an_input) {
    write_text(folder / "a.npz", zip({{"inputs.npy", npy("|u1", "(3, 2)", "\1\1\2\2\3\3")}, {"other.npy", npy("|u1", "(1,)", "\1")}}));
    Metadata metadata;
    metadata.columns = columns;
    metadata.columns.push_back({"missing", DType::f32, {}, 0});
    metadata.splits = {npz_split()};
    EXPECT_EQ(open_split_to_predict(folder.path(), metadata, "train", {}).records, 3);
    metadata.columns.erase(metadata.columns.begin());
    EXPECT_CONTAINS(failure_of(ExitCode::data, [&] { open_split_to_predict(folder.path(), metadata, "train", {}); }),
                    "split train: npz has nothing for any input of the model that is wanted of it (`missing`), and without one it is not known how many records there are");
}

TEST_F(Arrays, damaged_npz_files_are_named) {
    std::string inputs = npy("<i4", "(2, 2)", std::string(16, '\0'));
    for (bool deflated : {false, true}) {
        std::string good = zip({{"input.npy", inputs, deflated}});
        for (size_t keep = 0; keep < good.size(); ++keep) {
            write_text(folder / "a.npz", good.substr(0, keep));
            EXPECT_CONTAINS(error(npz_split()), "a.npz");
        }
        std::string changed = good;
        changed[60] = char(changed[60] ^ 1);
        write_text(folder / "a.npz", changed);
        EXPECT_CONTAINS(error(npz_split()), "a.npz: input.npy is damaged");
        std::mt19937 random(7);
        for (int i = 0; i < 2000; ++i) {
            std::string bad = good;
            bad[random() % bad.size()] = char(random());
            write_text(folder / "a.npz", bad);
            error(npz_split());
        }
    }
    // A lying size: 8 GiB promised by some bytes.
    std::string file = zip({{"input.npy", inputs, true}});
    size_t directory = file.find("PK\1\2");
    file.replace(directory + 24, 4, little(0xfffffffe, 4));
    write_text(folder / "a.npz", file);
    EXPECT_CONTAINS(error(npz_split()), "4294967294 bytes cannot be in");
}

TEST_F(Arrays, cifar_10_and_100) {
    columns = {{"image", DType::f32, {32, 32, 3}, 0}, {"label", DType::i32, {}, 10}};
    auto record = [](const std::string &labels, int value) {
        std::string bytes = labels;
        for (int c = 0; c < 3; ++c)
            for (int i = 0; i < 1024; ++i) bytes += char(value + c * 50 + i % 32);
        return bytes;
    };
    write_text(folder / "one.bin", record("\3", 1) + record("\4", 2));
    write_text(folder / "two.bin", record("\x09", 3));
    Split split{"train", "cifar", {{"files", list({path("one.bin"), path("two.bin")})}, {"kind", text("cifar-10")}}};
    Dataset dataset = open(split);
    ASSERT_EQ(dataset.records, 3);
    std::vector<float> image(3072);
    int32_t label = 0;
    uint8_t *rows[] = {reinterpret_cast<uint8_t *>(image.data()), reinterpret_cast<uint8_t *>(&label)};
    dataset.read(2, rows);
    EXPECT_EQ(label, 9);
    EXPECT_EQ(image[0], 3);
    EXPECT_EQ(image[1], 53);
    EXPECT_EQ(image[2], 103);
    EXPECT_EQ(image[3 * 5], 8);
    dataset.read(1, rows);
    EXPECT_EQ(label, 4);

    split.arguments[1].second.text = "cifar-100 fine";
    EXPECT_CONTAINS(error(split),
                    "one.bin is no file of cifar-100 fine: its 6146 bytes are not a number of records of 3074 bytes");
    write_text(folder / "one.bin", record("\3\7", 1));
    write_text(folder / "two.bin", record("\3\x63", 1));
    EXPECT_CONTAINS(error(split), "record 1 (counted from 0) has label 99, but `label` is class[10]: 0 to 9");
    columns[1].classes = 100;
    open(split).read(1, rows);
    EXPECT_EQ(label, 99);
    split.arguments[1].second.text = "cifar-100 coarse";
    open(split).read(1, rows);
    EXPECT_EQ(label, 3);
    split.arguments[1].second.text = "cifar";
    EXPECT_CONTAINS(error(split), "cifar has no kind `cifar`; it has: cifar-10, cifar-100 coarse, cifar-100 fine");
}

}  // namespace
}  // namespace kiln::runtime::testing
