// The command line of `kiln`.
#include "compiler/driver/commands.h"
#include "compiler/driver/environment.h"
#include "compiler/driver/failure.h"
#include "compiler/driver/files.h"
#include "compiler/driver/reproducer.h"
#include "compiler/support/diagnostics.h"
#include "kiln/names.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <functional>

namespace {

using namespace kiln;

constexpr const char *kFooter =
    "Exit codes: 0 fine; 1 the program is wrong, or `fmt --check` and `--verify-diagnostics` found differences; 2 wrong command\n"
    "line; 3 the machine (no linker, a full or read-only disk); 4 an internal error, with a reproducer in the folder for temporary files.";

/// Options of every command that compiles; the environment gives defaults.
struct CompileFlags {
    CompileOptions options;
    std::vector<std::string> defines;
    std::string level = "2";
    bool no_cache = false;

    void add_to(CLI::App *command) {
        options.cache_folder = default_cache_folder();
        options.jobs = processor_count();
        options.colour = stderr_wants_colour();
        command->add_option("file", options.input, "a .model file, or .graph: a module as `kiln emit graph`, `grad` or `optimized` prints it, which goes on from there")->required()->type_name("FILE");
        command->add_option("-D", defines, "value of a `const` of the file")->type_name("NAME=VALUE")->allow_extra_args(false);
        command->add_option("-O", level, "optimization: 0 (each operation a kernel of its own) to 3")->type_name("LEVEL")->check(CLI::IsMember({"0", "1", "2", "3"}));
        command->add_option("--target", options.target, "processor: native, x86-64-v2, x86-64-v3, x86-64-v4")
            ->type_name("NAME")->check(CLI::IsMember({"native", "x86-64-v2", "x86-64-v3", "x86-64-v4"}));
        command->add_option("--cache", options.cache_folder, "folder of compiled kernels (default: $XDG_CACHE_HOME/kiln or ~/.cache/kiln)")->type_name("DIR");
        command->add_flag("--no-cache", no_cache, "compile every kernel");
        command->add_option("-j,--jobs", options.jobs, "kernels compiled at once (default: the processors)")->type_name("N")->check(CLI::Range(1, 1024));
        command->add_flag("--direct-convolutions", options.direct_convolutions,
                          "3x3 convolutions without minimal filtering (Winograd): two to three times the arithmetic, errors of a few roundings less");
        command->add_flag("--debug-checks", options.debug_checks, "keep the assertions of kernels");
    }

    CompileOptions finish() {
        options.level = level[0] - '0';
        if (no_cache) options.cache_folder.clear();
        for (const std::string &define : defines) {
            size_t equals = define.find('=');
            if (equals == std::string::npos || equals == 0) throw UsageError(fmt::format("-D {}: expected NAME=VALUE", define));
            if (std::filesystem::path(options.input).extension() == ".graph") throw UsageError(fmt::format("-D {}: graphs have no `const`; give it where {} is made of a .model file", define, options.input));
            if (!options.defines.emplace(define.substr(0, equals), define.substr(equals + 1)).second)
                throw UsageError(fmt::format("-D {}: given twice", define.substr(0, equals)));
        }
        return options;
    }
};

std::vector<std::string> split_at_commas(const std::vector<std::string> &lists) {
    std::vector<std::string> result;
    for (const std::string &list : lists)
        for (const std::string &name : CLI::detail::split(list, ','))
            if (!name.empty()) result.push_back(name);
    return result;
}

int run(int argc, char **argv) {
    CLI::App app("Kiln: a small language for machine-learning experiments. A .model file becomes one native executable.", "kiln");
    app.set_version_flag("--version", "kiln " KILN_VERSION);
    app.require_subcommand(1);
    app.footer(kFooter);
    std::function<int()> chosen;

    auto *build_command = app.add_subcommand("build", "compile a .model file into an executable");
    CompileFlags build_flags;
    BuildOptions build_options;
    build_flags.add_to(build_command);
    build_command->add_option("-o,--output", build_options.output, "the executable (default: the file's name without .model)")->type_name("FILE");
    build_command->add_flag("--time", build_options.print_times, "say on stderr how long each part took");
    build_command->callback([&] {
        build_options.compile = build_flags.finish();
        if (build_options.output.empty()) {
            std::filesystem::path input = build_options.compile.input;
            if (input.extension() != ".model" && input.extension() != ".graph") throw UsageError(fmt::format("`{}` does not end in .model or .graph: say -o FILE", input.string()));
            build_options.output = input.stem().string();
        }
        chosen = [&] { return build(build_options); };
    });

    auto *check_command = app.add_subcommand("check", "report what is wrong, or print layers, parameters, FLOPs and memory");
    CompileFlags check_flags;
    CheckOptions check_options;
    check_flags.add_to(check_command);
    check_command->add_flag("--verify-diagnostics", check_options.verify_diagnostics, "compare the diagnostics with `expected-error {{..}}` comments of the file");
    check_command->callback([&] {
        check_options.compile = check_flags.finish();
        chosen = [&] { return check(check_options); };
    });

    auto *emit_command = app.add_subcommand("emit", "print a stage of the compilation");
    CompileFlags emit_flags;
    EmitOptions emit_options;
    emit_command->add_option("stage", emit_options.stage, "ast graph grad optimized plan kernels llvm asm obj")->required()->type_name("STAGE")->check(CLI::IsMember(emit_stages()));
    emit_flags.add_to(emit_command);
    emit_command->add_option("-o,--output", emit_options.output, "write to a file; `kernels` becomes HTML if it ends in .html")->type_name("FILE");
    emit_command->add_option("--kernel", emit_options.kernel, "kernels and asm: this kernel only")->type_name("NAME");
    emit_command->callback([&] {
        emit_options.compile = emit_flags.finish();
        if (!emit_options.kernel.empty() && emit_options.stage != "kernels" && emit_options.stage != "asm") throw UsageError(fmt::format("--kernel: `{}` is not of one kernel, only kernels and asm are", emit_options.stage));
        chosen = [&] { return emit(emit_options); };
    });

    auto *opt_command = app.add_subcommand("opt", "run passes over graphs in text form and print the result");
    OptOptions opt_options;
    std::vector<std::string> passes;
    bool no_locations = false;
    opt_options.colour = stderr_wants_colour();
    opt_command->add_option("file", opt_options.input, "graphs, as `kiln emit graph` prints them")->required()->type_name("FILE");
    opt_command->add_option("--pass", passes, "passes in this order, separated by commas")->type_name("NAMES")->allow_extra_args(false);
    opt_command->add_flag("--verify-diagnostics", opt_options.verify_diagnostics, "compare the diagnostics with `expected-error {{..}}` comments of the file");
    opt_command->add_flag("--verify-roundtrip", opt_options.verify_roundtrip, "check that the result prints, parses and prints the same");
    opt_command->add_flag("--count-ops", opt_options.count_ops, "print how many nodes of each op there are instead of the graphs");
    opt_command->add_flag("--no-locations", no_locations, "print without source places");
    opt_command->footer("Passes:\n" + describe_passes());
    opt_command->callback([&] {
        opt_options.passes = split_at_commas(passes);
        opt_options.print_locations = !no_locations;
        chosen = [&] { return opt(opt_options); };
    });

    auto *format_command = app.add_subcommand("fmt", "rewrite .model files in canonical layout");
    FormatOptions format_options;
    format_options.colour = stderr_wants_colour();
    format_command->add_option("files", format_options.files, ".model files")->required()->type_name("FILE.model");
    format_command->add_flag("--check", format_options.check, "change nothing; list the files that would change, and exit with 1 if there are any");
    format_command->callback([&] { chosen = [&] { return format(format_options); }; });

    std::vector<std::string> commands;
    auto check_command_name = [&](const std::string &name) {
        if (std::find(commands.begin(), commands.end(), name) != commands.end()) return;
        std::string near = nearest_name(name, commands);
        throw UsageError(fmt::format("no command `{}`{}; `kiln help` lists them", name, near.empty() ? "" : fmt::format(", did you mean `{}`?", near)));
    };
    auto *help_command = app.add_subcommand("help", "explain a command, what the library offers (kiln help library, kiln help Conv), or what a file defines (kiln help FILE.model)");
    HelpOptions help_options;
    std::string overview;
    help_options.colour = stderr_wants_colour();
    help_options.columns = stdout_columns();
    help_command->add_option("topics", help_options.topics, "a command; `library`; a definition, or a kind or a file of them: Conv, layers, nn/conv; a .model file, whose own definitions are explained")
        ->type_name("TOPIC");
    help_command->add_flag("--source", help_options.source, "show definitions with their source");
    help_command->add_option("--columns", help_options.columns, "break lines at this width (default: that of the terminal; lines of a pipe are not broken)")->type_name("N")->check(CLI::Range(40, 1000));
    help_command->callback([&] {
        chosen = [&] {
            if (help_options.topics.empty()) { write_stdout(overview); return int(kExitOk); }
            for (const std::string &name : commands) help_options.commands[name] = app.get_subcommand(name)->help("kiln");
            return help(help_options);
        };
    });

    for (const CLI::App *command : app.get_subcommands({})) commands.push_back(command->get_name());
    overview = app.help();  // once a command is parsed, CLI11 gives that command's help instead
    if (argc < 2) {
        fmt::print(stderr, "{}", overview);
        return kExitUsage;
    }
    if (argv[1][0] != '-') check_command_name(argv[1]);

    try {
        app.parse(argc, argv);
    } catch (const CLI::Success &help_or_version) {
        std::ostringstream text;
        app.exit(help_or_version, text, text);
        write_stdout(text.str());
        return kExitOk;
    } catch (const CLI::ParseError &error) {
        fmt::print(stderr, "kiln: {}\nRun `kiln help` for the commands and `kiln help COMMAND` for one of them.\n", error.what());
        return kExitUsage;
    }
    return chosen();
}

}  // namespace

int main(int argc, char **argv) {
    std::signal(SIGPIPE, SIG_IGN);  // a closed pipe is a failed write, with a message
    try {
        return run(argc, argv);
    } catch (const UsageError &error) {
        fmt::print(stderr, "kiln: {}\n", error.what());
        return kExitUsage;
    } catch (const EnvironmentError &error) {
        fmt::print(stderr, "kiln: {}\n", error.what());
        return kExitEnvironment;
    } catch (const std::bad_alloc &) {
        fmt::print(stderr, "kiln: out of memory\n");
        return kExitEnvironment;
    } catch (const std::exception &error) {
        std::string path = write_reproducer(std::vector<std::string>(argv + 1, argv + argc), error.what());
        fmt::print(stderr, "kiln: internal error: {}\nThis is a bug of the compiler.{}\n", error.what(),
                   path.empty() ? "" : fmt::format(" A reproducer is in {}", path));
        return kExitInternal;
    }
}
