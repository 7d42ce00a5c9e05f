// A folder of pictures, opened as a split.
#pragma once

#include "harness.h"
#include "pictures.h"
#include "values.h"

#include "data/dataset.h"
#include "data/vocabulary.h"
#include "support/failure.h"

#include <gtest/gtest.h>
#include <algorithm>
#include <filesystem>

namespace kiln::runtime::testing {

/// Of the model that the splits are opened for.
inline const std::vector<Column> kColumns{{"image", DType::f32, {6, 8, 3}, 0}, {"label", DType::i32, {}, 3}};

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

    Dataset open(Arguments arguments = {}, const std::string &name = "train",
                 const std::vector<Column> &columns = kColumns) {
        arguments.emplace_back("folder", path(name));
        if (std::none_of(arguments.begin(), arguments.end(), [](const auto &argument) { return argument.first == "most_kept"; }))
            arguments.emplace_back("most_kept", number(1));
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
    std::string error(Arguments arguments = {}, const std::string &name = "train",
                      const std::vector<Column> &columns = kColumns) {
        return failure_of(ExitCode::data, [&] { open(std::move(arguments), name, columns); });
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
    std::string said(Arguments arguments = {}, const std::string &name = "train") {
        ::testing::internal::CaptureStderr();
        open(std::move(arguments), name);
        return ::testing::internal::GetCapturedStderr();
    }
};

}  // namespace kiln::runtime::testing
