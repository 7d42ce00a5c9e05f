// Runs executables made of the fake program: each in a child process, as a user would.
#pragma once

#include "fake_program.h"
#include "support/failure.h"

#include <gtest/gtest.h>
#include <sys/types.h>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

/// That a text has a part.
#define EXPECT_CONTAINS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

namespace kiln::runtime::testing {

struct Outcome {
    int code = -1;  ///< exit code, or -signal
    std::string out, error;
};

/// A folder that is removed at the end.
class TemporaryFolder {
public:
    TemporaryFolder();
    ~TemporaryFolder();
    std::string operator/(const std::string &name) const { return path_ + "/" + name; }
    const std::string &path() const { return path_; }

private:
    std::string path_;
};

/// A running executable.
class Process {
public:
    Process(const std::vector<std::string> &arguments, const FakeOptions &options = {}, const std::string &out_path = "");
    ~Process();
    void kill(int signal) const;
    Outcome wait();

private:
    pid_t pid_ = -1;
    TemporaryFolder folder_;
    std::string out_path_;
};

Outcome run(const std::vector<std::string> &arguments, const FakeOptions &options = {});

/// A safetensors file with this header and so many bytes of data.
std::string safetensors(const std::string &json, size_t bytes = 8);

/// The message of the failure that the action ends with, which must have this code; "no error" if it ends with none.
std::string failure_of(ExitCode code, const std::function<void()> &action);

std::string read_text(const std::string &path);
void write_text(const std::string &path, const std::string &content);
void write_gz(const std::string &path, const std::string &content);
/// Names below a folder, sorted.
std::vector<std::string> names_in(const std::string &folder);

/// The bytes of IDX files: pictures of 4x4 whose class is the brightest third, with noise.
std::string idx_images(int count, int seed);
std::string idx_labels(int count, int seed, int classes = 3);
/// Writes train-images, train-labels, validation-images, validation-labels.
void write_data(const std::string &folder, int train = 100, int validation = 27);

}  // namespace kiln::runtime::testing
