// The commands of `kiln`. Each returns an exit code (failure.h); what is wrong with the user's program is printed to stderr,
// what is wrong with the machine is thrown.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace kiln {

/// What the command line and the environment say; the environment is read in environment.cpp only.
struct CompileOptions {
    std::string input;
    std::map<std::string, std::string> defines;  ///< -D name=value
    int level = 2;
    std::string target = "native";
    std::string cache_folder;                    ///< empty: no cache
    int jobs = 1;
    bool debug_checks = false;
    bool direct_convolutions = false;
    bool colour = false;                         ///< of diagnostics, on stderr
};

struct BuildOptions {
    CompileOptions compile;
    std::string output;
    bool print_times = false;
};
int build(const BuildOptions &options);

struct CheckOptions {
    CompileOptions compile;
    bool verify_diagnostics = false;
};
int check(const CheckOptions &options);

/// The stages `kiln emit` knows, in pipeline order.
const std::vector<std::string> &emit_stages();

struct EmitOptions {
    CompileOptions compile;
    std::string stage;
    std::string output;  ///< empty: standard output
    std::string kernel;  ///< kernels, asm: only the kernel of this name
};
int emit(const EmitOptions &options);

struct OptOptions {
    std::string input;
    std::vector<std::string> passes;
    bool verify_diagnostics = false, verify_roundtrip = false, count_ops = false, print_locations = true;
    bool colour = false;
};
int opt(const OptOptions &options);
/// Names and summaries of the passes, for `kiln help opt`.
std::string describe_passes();

struct FormatOptions {
    std::vector<std::string> files;
    bool check = false;
    bool colour = false;
};
int format(const FormatOptions &options);

struct HelpOptions {
    std::vector<std::string> topics;              ///< names of commands, definitions, parts of the library; .model files
    std::map<std::string, std::string> commands;  ///< the help of each command
    int columns = 0;                              ///< to lay out for; 0: lines are not broken
    bool source = false, colour = false;
};
int help(const HelpOptions &options);

}  // namespace kiln
