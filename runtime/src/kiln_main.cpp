#include "kiln/program.h"

#include "commands/commands.h"
#include "support/background.h"
#include "support/failure.h"
#include "support/text.h"
#include "threads/team.h"

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <new>

namespace kiln::runtime {
namespace {

template <typename... Cases>
struct Overloaded : Cases... {
    using Cases::operator()...;
};

using Clock = std::chrono::steady_clock;

ExitCode run_command(Clock::time_point start, int argc, char **argv, const KilnProgram &program) {
    if (program.abi_version != KILN_ABI_VERSION)
        fail(ExitCode::internal, "the program was made for runtime version %d, this is %d", program.abi_version,
             int(KILN_ABI_VERSION));
    Metadata metadata = parse_metadata(program.metadata);
    CommandLine line = parse_command_line(argc, argv, metadata);
    if (std::holds_alternative<Printed>(line.command)) return ExitCode::ok;
    if (std::holds_alternative<SummaryOptions>(line.command)) {
        summary_command(metadata);
        return ExitCode::ok;
    }
    if (auto *options = std::get_if<BenchOptions>(&line.command)) options->start = start;
    ThreadTeam team(line.threads > 0 ? line.threads : available_processors());
    if (const auto *options = std::get_if<ScanOptions>(&line.command)) return scan_command(program, metadata, *options);
    ProgramState state(program, metadata);
    ExitCode code = ExitCode::ok;
    std::visit(Overloaded{[](const Printed &) {}, [](const SummaryOptions &) {}, [](const ScanOptions &) {},
                          [&](const TrainOptions &options) { code = train(state, options); },
                          [&](const EvalOptions &options) { eval_command(state, options); },
                          [&](const PredictOptions &options) { predict_command(state, options); },
                          [&](const GenerateOptions &options) { code = generate_command(state, options); },
                          [&](const FactorsOptions &options) { factors_command(state, options); },
                          [&](const ReportOptions &options) { report_command(state, options); },
                          [&](const DataOptions &options) { data_command(state, options); },
                          [&](const RecommendOptions &options) { (options.similar ? similar_command : recommend_command)(state, options); },
                          [&](const ExplainScheduleOptions &options) { explain_schedule_command(state, options); },
                          [&](const BenchOptions &options) { bench_command(state, options); },
                          [&](const LrFindOptions &options) { lr_find_command(state, options); },
                          [&](const TraceOptions &options) { trace_command(state, options); }},
               line.command);
    return code;
}

int report(const char *name, ExitCode code, const std::string &message) {
    std::fflush(stdout);
    std::fprintf(stderr, "%s: error: %s\n", name, message.c_str());
    return int(code);
}

}  // namespace
}  // namespace kiln::runtime

int kiln_main(int argc, char **argv, const KilnProgram *program) {
    using namespace kiln::runtime;
    const auto start = Clock::now();
    const char *name = argc > 0 ? argv[0] : "kiln";
    try {
        ExitCode code = run_command(start, argc, argv, *program);
        // Whatever was computed is worth nothing to a caller who cannot read it.
        errno = 0;  // of a write that failed earlier the reason is gone
        bool written = std::fflush(stdout) == 0 && !std::ferror(stdout);
        if (!written && code == ExitCode::ok)
            return report(name, ExitCode::disk, std::string("cannot write to the standard output") + (errno != 0 ? std::string(": ") + std::strerror(errno) : ""));
        return int(code);
    } catch (const Failure &failure) {
        return report(name, failure.code, failure.what());
    } catch (const std::bad_alloc &) {
        return report(name, ExitCode::memory, "out of memory");
    } catch (const std::exception &error) {
        return report(name, ExitCode::internal, error.what());
    }
}
