#include "harness.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>

namespace kiln::runtime::testing {
namespace {

std::string big_endian(uint32_t value) { return {char(value >> 24), char(value >> 16), char(value >> 8), char(value)}; }

uint32_t next(uint32_t &state) { return state = state * 1664525 + 1013904223; }

int class_of(int record, int seed) { return (record * 7 + seed) % 3; }

}  // namespace

// In memory where possible: the tests checkpoint after every step, and a busy disk takes its time to flush.
TemporaryFolder::TemporaryFolder() {
    std::filesystem::path parent = ::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : std::filesystem::temp_directory_path();
    std::string pattern = (parent / "kiln_runtime_XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
}

TemporaryFolder::~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

Process::Process(const std::vector<std::string> &arguments, const FakeOptions &options, const std::string &out_path)
    : out_path_(out_path.empty() ? folder_ / "out" : out_path) {
    std::string metadata = fake_metadata(options);
    std::fflush(stdout);  // else the child says again what the tests have said so far
    pid_ = ::fork();
    if (pid_ != 0) return;
    int out = ::open(out_path_.c_str(), O_WRONLY | O_CREAT, 0600),
        error = ::open((folder_ / "error").c_str(), O_WRONLY | O_CREAT, 0600);
    for (int signal : {SIGINT, SIGTERM, SIGHUP}) std::signal(signal, SIG_DFL);  // tests may run where they are ignored
    ::dup2(out, 1);
    ::dup2(error, 2);
    KilnProgram program = fake_program(metadata);
    std::vector<std::string> all{"./fake"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    std::vector<char *> argv;
    for (std::string &argument : all) argv.push_back(argument.data());
    ::_exit(kiln_main(int(argv.size()), argv.data(), &program));
}

Process::~Process() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
}

void Process::kill(int signal) const { ::kill(pid_, signal); }

Outcome Process::wait() {
    int status = 0;
    ::waitpid(pid_, &status, 0);
    pid_ = -1;
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status), out_path_ == "/dev/full" ? "" : read_text(out_path_),
            read_text(folder_ / "error")};
}

Outcome run(const std::vector<std::string> &arguments, const FakeOptions &options) { return Process(arguments, options).wait(); }

std::string safetensors(const std::string &json, size_t bytes) {
    const uint64_t length = json.size();
    std::string header(8, '\0');
    std::memcpy(header.data(), &length, 8);
    return header + json + std::string(bytes, 'x');
}

std::string failure_of(ExitCode code, const std::function<void()> &action) {
    try {
        action();
    } catch (const Failure &failure) {
        EXPECT_EQ(failure.code, code) << failure.what();
        return failure.what();
    }
    return "no error";
}

std::string read_text(const std::string &path) {
    std::ifstream in(path, std::ios::binary);
    std::ostringstream out;
    out << in.rdbuf();
    return out.str();
}

void write_text(const std::string &path, const std::string &content) { std::ofstream(path, std::ios::binary) << content; }

void write_gz(const std::string &path, const std::string &content) {
    gzFile file = ::gzopen(path.c_str(), "wb");
    ::gzwrite(file, content.data(), unsigned(content.size()));
    ::gzclose(file);
}

std::vector<std::string> names_in(const std::string &folder) {
    std::vector<std::string> names;
    for (const auto &entry : std::filesystem::directory_iterator(folder)) names.push_back(entry.path().filename().string());
    std::sort(names.begin(), names.end());
    return names;
}

std::string idx_images(int count, int seed) {
    std::string out = big_endian(0x00000803) + big_endian(uint32_t(count)) + big_endian(4) + big_endian(4);
    uint32_t state = uint32_t(seed) + 1;
    for (int record = 0; record < count; ++record)
        for (int i = 0; i < 16; ++i) out += char((i % 3 == class_of(record, seed) ? 110 : 60) + next(state) % 90);
    return out;
}

std::string idx_labels(int count, int seed, int classes) {
    std::string out = big_endian(0x00000801) + big_endian(uint32_t(count));
    for (int record = 0; record < count; ++record) out += char(class_of(record, seed) % classes);
    return out;
}

void write_data(const std::string &folder, int train, int validation) {
    write_text(folder + "/train-images", idx_images(train, 1));
    write_text(folder + "/train-labels", idx_labels(train, 1));
    write_text(folder + "/validation-images", idx_images(validation, 2));
    write_text(folder + "/validation-labels", idx_labels(validation, 2));
}

}  // namespace kiln::runtime::testing
