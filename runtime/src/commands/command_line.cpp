#include "commands/command_line.h"

#include "commands/command_parser.h"
#include "commands/given_records.h"
#include "support/failure.h"
#include "support/text.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace kiln::runtime {
namespace {

std::string footer(const Metadata &metadata, const std::string &name) {
    std::string text;
    for (const bool generates : {false, true}) {
        std::vector<std::vector<std::string>> rows;
        for (const Hyper &hyper : metadata.hypers) {
            if (hyper.generates != generates) continue;
            rows.push_back(
                {"  " + flag_of(hyper).substr(0, flag_of(hyper).find(',')), kind_text(hyper.kind), "[" + default_text(hyper) + "]", hyper.doc});
        }
        if (!rows.empty()) text += format("Hyper-parameters (flags of %s):\n", generates ? "generate" : "train") + table(rows, {}) + "\n";
    }
    std::vector<std::vector<std::string>> rows;
#define EXIT_CODE(name, value, meaning) rows.push_back({"  " #value, meaning});
    KILN_EXIT_CODES(EXIT_CODE)
#undef EXIT_CODE
    text += "Exit codes:\n" + table(rows, {});
    return text + "\n`" + name + " COMMAND --help` lists a command's flags. Without a command, `train` is meant.";
}

std::string base_name(const std::string &path) {
    size_t slash = path.rfind('/');
    return slash == std::string::npos ? path : path.substr(slash + 1);
}

// An empty value is a script's variable that is not set; it would count as not given. Only a text may be empty.
void refuse_empty_values(const CLI::App &command, const std::vector<const CLI::Option *> &texts) {
    for (const CLI::Option *option : command.get_options()) {
        if (std::find(texts.begin(), texts.end(), option) != texts.end()) continue;
        for (const std::string &value : option->results())
            if (value.empty()) fail(ExitCode::usage, "%s: the value is empty", option->get_name().c_str());
    }
    for (const CLI::App *part : command.get_subcommands()) refuse_empty_values(*part, texts);
}

// The model as it stands in the program: "Digits(image: f32[28, 28, 1], label: class[10])".
std::string signature(const Metadata &metadata) {
    std::vector<std::string> inputs;
    for (const Column &column : metadata.columns)
        inputs.push_back(column.name + ": " + type_text(column));
    return metadata.model + "(" + join(inputs, ", ") + ")";
}

}  // namespace

SaveEvery parse_save_every(const std::string &text) {
    char *end = nullptr;
    double value = std::strtod(text.c_str(), &end);
    std::string unit = end;
    if (end != text.c_str() && std::isfinite(value) && value >= 0) {
        if (unit.empty() && value == std::floor(value) && value < 1e15) return {int64_t(value), 0};
        if (unit == "s") return {0, value};
        if (unit == "m") return {0, value * 60};
        if (unit == "h") return {0, value * 3600};
    }
    fail(ExitCode::usage, "--save-every: `%s` is neither a number of steps (500) nor a time (30s, 5m, 1h)", text.c_str());
}

CommandParser::CommandParser(const std::string &name, const Metadata &metadata)
    : name_(name), metadata_(metadata), trains_(!metadata.phases.empty()), has_inputs_(std::any_of(metadata.columns.begin(), metadata.columns.end(), has_flag)),
      app_(metadata.doc.empty() ? signature(metadata) : metadata.doc + "\n\n" + signature(metadata), name), hypers_(metadata.hypers.size()), inputs_(metadata.columns.size()) {
    app_.footer(footer(metadata, name));
    app_.set_version_flag("--version", name + " (" + metadata.source + "), " + metadata.version);
    app_.require_subcommand(1);
    add_train();
    add_eval();
    add_predict();
    add_generate();
    add_data();
    add_trace();
    add_factors();
    add_scan();
    add_report();
    add_rankings();
    add_command("summary", "layers, parameters and memory", true, [] { return SummaryOptions{}; });
    add_explain();
    add_lr_find();
    add_bench();
}

CLI::App *CommandParser::add_command(const char *name, const char *text, bool is_useful, Finish finish) {
    CLI::App *command = app_.add_subcommand(name, text);
    command->footer("");
    if (!is_useful) command->group("");
    commands_.emplace_back(command, std::move(finish));
    return command;
}

bool CommandParser::knows(const std::string &command) const {
    return std::any_of(commands_.begin(), commands_.end(), [&](const auto &each) { return each.first->get_name() == command; });
}

std::vector<std::string> CommandParser::listed() const {
    std::vector<std::string> names;
    for (const auto &[command, finish] : commands_)
        if (!command->get_group().empty()) names.push_back(command->get_name());
    return names;
}

CommandLine CommandParser::parse(std::vector<std::string> arguments) {
    std::string command;
    const CLI::App *within = &app_;
    for (const std::string &word : arguments) {  // a command, and perhaps one of its own
        const auto inner = within->get_subcommands([&](const CLI::App *app) { return app->get_name() == word; });
        if (inner.empty()) break;
        within = inner[0];
        command += " " + word;
    }
    // CLI11 takes `--flag=` for a flag without its value, and the next word for the value.
    for (size_t i = 0; i < arguments.size() && arguments[i] != "--"; i++) {
        const std::string flag = arguments[i].substr(0, arguments[i].size() - 1);
        if (!arguments[i].starts_with("--") || arguments[i] != flag + "=") continue;
        const CLI::Option *option = within->get_option_no_throw(flag);
        if (option == nullptr || option->get_items_expected_min() == 0) continue;
        arguments[i] = flag;
        arguments.insert(arguments.begin() + long(++i), "");
    }
    std::reverse(arguments.begin(), arguments.end());  // CLI11 takes a vector from its end
    try {
        app_.parse(arguments);
    } catch (const CLI::Success &success) {
        std::ostringstream out, error;
        app_.exit(success, out, error);
        std::fputs(out.str().c_str(), stdout);
        return {Printed{}, 0};
    } catch (const CLI::ParseError &error) {
        fail(ExitCode::usage, "%s\n`%s%s --help` lists the flags", error.what(), name_.c_str(), command.c_str());
    }
    refuse_empty_values(app_, texts_);
    const auto given = std::find_if(commands_.begin(), commands_.end(), [](const auto &each) { return each.first->parsed(); });
    return {given->second(), threads_};
}

CommandLine parse_command_line(int argc, char **argv, const Metadata &metadata) {
    std::string name = argc > 0 ? base_name(argv[0]) : metadata.model;
    std::vector<std::string> arguments(argv + std::min(argc, 1), argv + argc);
    CommandParser parser(name, metadata);
    bool names_command = !arguments.empty() && parser.knows(arguments[0]);
    bool asks_program = !arguments.empty() && (arguments[0] == "--help" || arguments[0] == "-h" || arguments[0] == "--version");
    if (!names_command && !asks_program) {
        if (!arguments.empty() && arguments[0].rfind("-", 0) != 0)
            fail(ExitCode::usage, "there is no command `%s`; commands: %s", arguments[0].c_str(), join(parser.listed(), ", ").c_str());
        arguments.insert(arguments.begin(), "train");
    }
    return parser.parse(std::move(arguments));
}

}  // namespace kiln::runtime
