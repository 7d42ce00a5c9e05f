// The commands of a program and their flags. What each command takes stands in command_flags.cpp.
#pragma once

#include "commands/command_line.h"

#include <CLI/CLI.hpp>

#include <functional>

namespace kiln::runtime {

class CommandParser {
public:
    CommandParser(const std::string &name, const Metadata &metadata);
    bool knows(const std::string &command) const;
    /// The commands that this model has a use for.
    std::vector<std::string> listed() const;
    /// The first argument is a command, or asks about the program.
    CommandLine parse(std::vector<std::string> arguments);

private:
    using Command = decltype(CommandLine::command);
    /// Options of what was given. Throws Failure (usage).
    using Finish = std::function<Command()>;

    /// A command that this model has no use for is not listed; who calls it is told why.
    CLI::App *add_command(const char *name, const char *text, bool is_useful, Finish finish);
    void add_train();
    void add_eval();
    void add_predict();
    void add_generate();
    void add_data();
    void add_trace();
    void add_factors();
    void add_scan();
    void add_report();
    void add_rankings();
    void add_explain();
    void add_lr_find();
    void add_bench();

    // Flags that several commands have.
    void add_data_flag(CLI::App *command, std::string &data, const char *otherwise = nullptr);
    void add_run_flag(CLI::App *command, std::string &run, const char *text = "run folder");
    void add_checkpoint_flag(CLI::App *command, std::string &checkpoint);
    CLI::Option *add_number(CLI::App *command, const char *flag, int64_t &number, int64_t least, int64_t most, const char *text);
    CLI::Option *add_seed(CLI::App *command, uint64_t &seed, const char *text = "seed of all randomness");
    void add_record_flags(CLI::App *command, int64_t &index, bool &invert, bool *art);
    void add_epochs(CLI::App *command, const char *text, bool shows_own);
    void add_threads(CLI::App *command);
    /// Those of the training, or those that `generate` alone depends on.
    void add_hypers(CLI::App *command, bool generates = false);
    void add_inputs(CLI::App *command);

    std::optional<std::vector<int64_t>> given_epochs() const;
    std::map<std::string, double> given_hypers() const;
    std::map<std::string, std::string> given_inputs() const;

    const std::string name_;
    const Metadata &metadata_;
    const bool trains_, has_inputs_;
    CLI::App app_;
    std::vector<std::pair<CLI::App *, Finish>> commands_;
    std::string epochs_;
    int threads_ = 0;
    std::vector<std::string> hypers_;                 ///< empty: not given
    std::vector<std::optional<std::string>> inputs_;  ///< by column
    std::vector<const CLI::Option *> texts_;          ///< of inputs whose values are words, perhaps none
};

/// The flag of `train` for a hyper.
std::string flag_of(const Hyper &hyper);
const char *kind_text(HyperKind kind);
std::string default_text(const Hyper &hyper);

}  // namespace kiln::runtime
