#include "compiler/driver/link.h"

#include "compiler/driver/failure.h"
#include "compiler/driver/files.h"
#include "compiler/support/read_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

extern char **environ;

namespace kiln {

namespace {

constexpr const char *kLinkerPackages = "apt-get install g++ libjpeg-dev libpng-dev libarchive-dev zlib1g-dev";

/// The folder of libkiln_runtime.a: beside the tools in a build folder (bin/../lib), or installed (bin/../lib/kiln).
std::filesystem::path runtime_folder() {
    std::error_code problem;
    auto bin = std::filesystem::read_symlink("/proc/self/exe", problem).parent_path();
    for (const char *place : {"../lib/kiln", "../lib"}) {
        auto folder = bin / place;
        if (std::filesystem::exists(folder / "libkiln_runtime.a", problem)) return folder.lexically_normal();
    }
    throw EnvironmentError(fmt::format("no libkiln_runtime.a below {}: build it with `./dev build`", (bin / "../lib").lexically_normal().string()));
}

/// What else the runtime needs, one argument of the linker a line; written by the runtime's build.
std::vector<std::string> runtime_libraries(const std::filesystem::path &folder) {
    std::ifstream file(folder / "kiln_runtime.link");
    std::vector<std::string> arguments;
    for (std::string line; std::getline(file, line);)
        if (!line.empty()) arguments.push_back(line);
    return arguments;
}

struct Outcome {
    bool started = false;
    int status = 0;
    std::string errors;
};

Outcome run(const std::vector<std::string> &command, const std::string &error_file) {
    std::vector<char *> arguments;
    for (const std::string &argument : command) arguments.push_back(const_cast<char *>(argument.c_str()));
    arguments.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, error_file.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
    pid_t process = 0;
    int problem = posix_spawnp(&process, arguments[0], &actions, nullptr, arguments.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    if (problem != 0) return {false, problem, std::strerror(problem)};
    int status = 0;
    while (waitpid(process, &status, 0) < 0 && errno == EINTR) {}
    std::ifstream file(error_file);
    std::stringstream errors;
    errors << file.rdbuf();
    return {true, status, errors.str()};
}

void link(std::vector<std::string> command, const TemporaryFolder &folder) {
    Outcome outcome = run(command, folder.file("errors"));
    if (!outcome.started && (outcome.status == ENOENT || outcome.status == EACCES))
        throw EnvironmentError(fmt::format("cannot run the linker driver `cc`: {}\ninstall it: {}", outcome.errors, kLinkerPackages));
    if (!outcome.started) throw EnvironmentError(fmt::format("cannot run `cc`: {}", outcome.errors));
    if (outcome.status == 0) return;
    // Two ways of saying that a library or a start file is not there, of ld and of mold.
    bool missing = false;
    for (const char *sign : {"cannot find", "library not found", "No such file or directory", "cannot open"})
        missing = missing || outcome.errors.find(sign) != std::string::npos;
    throw EnvironmentError(fmt::format("linking failed:\n{}{}", outcome.errors,
                                       missing ? fmt::format("install what is missing: {}", kLinkerPackages) : std::string()));
}

std::vector<std::string> write_objects(const std::vector<ObjectFile> &objects, const TemporaryFolder &folder) {
    std::vector<std::string> files;
    for (const ObjectFile &object : objects) {
        files.push_back(folder.file(object.name + ".o"));
        std::ofstream file(files.back(), std::ios::binary);
        file.write(reinterpret_cast<const char *>(object.bytes.data()), std::streamsize(object.bytes.size()));
        file.close();
        if (!file) throw EnvironmentError(fmt::format("cannot write `{}`: {}", files.back(), std::strerror(errno)));
    }
    return files;
}

std::string read_back(const std::string &path) {
    auto bytes = read_file(path, SIZE_MAX);
    if (!bytes) throw EnvironmentError(fmt::format("cannot read `{}`: {}", path, std::strerror(errno)));
    return *bytes;
}

}  // namespace

void link_executable(const std::vector<ObjectFile> &objects, const std::string &output) {
    TemporaryFolder folder;
    auto runtime = runtime_folder();
    // Kernels keep their names for profilers and debuggers; those of functions local to a file of the runtime would be a twelfth of the file.
    std::vector<std::string> command = {"cc", "-o", folder.file("executable"), "-pie", "-static-libgcc", "-Wl,--discard-all"};
    for (const std::string &file : write_objects(objects, folder)) command.push_back(file);
    command.push_back((runtime / "libkiln_runtime.a").string());
    for (std::string argument : runtime_libraries(runtime)) command.push_back(argument == "-lstdc++" ? "-l:libstdc++.a" : argument);
    link(command, folder);
    write_file(output, read_back(folder.file("executable")), true);
}

std::vector<uint8_t> link_relocatable(const std::vector<ObjectFile> &objects) {
    TemporaryFolder folder;
    std::vector<std::string> command = {"cc", "-r", "-nostdlib", "-o", folder.file("object")};
    for (const std::string &file : write_objects(objects, folder)) command.push_back(file);
    link(command, folder);
    std::string bytes = read_back(folder.file("object"));
    return {bytes.begin(), bytes.end()};
}

}  // namespace kiln
