// The flags of each command.
#include "commands/command_parser.h"
#include "commands/given_records.h"
#include "support/failure.h"
#include "support/text.h"

#include <algorithm>
#include <cerrno>
#include <cmath>

namespace kiln::runtime {
namespace {

constexpr double kLargestInteger = 9007199254740992;  // 2^53: exact as a double

// Flags of `train` that a hyper of the same name must not hide.
constexpr const char *kTrainFlags[] = {"data",   "run",       "epochs", "seed",       "threads",
                                       "resume", "overwrite", "quiet",  "save-every", "help", "init", "init-only"};

std::string with_dashes(std::string name) {
    std::replace(name.begin(), name.end(), '_', '-');
    return name;
}

double parse_hyper(const Hyper &hyper, const std::string &text) {
    const char *flag = hyper.name.c_str();
    if (hyper.kind == HyperKind::boolean) {
        if (text == "true" || text == "1") return 1;
        if (text == "false" || text == "0") return 0;
        fail(ExitCode::usage, "--%s: `%s` is neither true nor false", flag, text.c_str());
    }
    char *end = nullptr;
    errno = 0;
    double value = std::strtod(text.c_str(), &end);
    if (text.empty() || *end != '\0' || !std::isfinite(value))
        fail(ExitCode::usage, "--%s: `%s` is not a number", flag, text.c_str());
    if (value == 0 && errno == ERANGE)
        fail(ExitCode::usage, "--%s: `%s` is not 0, but nearer to it than any other number: write 0 if that is meant", flag, text.c_str());
    if (hyper.kind == HyperKind::integer && (value != std::floor(value) || std::abs(value) > kLargestInteger))
        fail(ExitCode::usage, "--%s: `%s` is not a whole number", flag, text.c_str());
    return value;
}

std::vector<int64_t> parse_epochs(const std::string &text) {
    std::vector<int64_t> epochs;
    size_t begin = 0;
    while (begin <= text.size()) {
        size_t end = std::min(text.find(',', begin), text.size());
        std::string part = text.substr(begin, end - begin);
        char *after = nullptr;
        long long value = std::strtoll(part.c_str(), &after, 10);
        if (part.empty() || *after != '\0' || value < 0 || value > 1000000000)
            fail(ExitCode::usage, "--epochs: `%s` is not a number of epochs", text.c_str());
        epochs.push_back(value);
        begin = end + 1;
    }
    return epochs;
}

// CLI::Range lets NaN pass.
template <typename Number>
CLI::Validator between(Number least, Number most) {
    return {[=](std::string &text) {
                Number value{};
                if (CLI::detail::lexical_cast(text, value) && value >= least && value <= most) return std::string();
                return format("`%s` is not a number from %s to %s", text.c_str(), CLI::detail::to_string(least).c_str(), CLI::detail::to_string(most).c_str());
            },
            ""};
}

CLI::Validator at_least(int64_t least) {
    return {[=](std::string &text) {
                int64_t value = 0;
                if (CLI::detail::lexical_cast(text, value) && value >= least) return std::string();
                return format("`%s` is not a whole number of at least %lld", text.c_str(), (long long)least);
            },
            ""};
}

}  // namespace

std::string flag_of(const Hyper &hyper) {
    std::string name = with_dashes(hyper.name);
    bool taken = std::find(std::begin(kTrainFlags), std::end(kTrainFlags), name) != std::end(kTrainFlags);
    std::string flag = (taken ? "--hyper-" : "--") + name;
    return name == hyper.name || taken ? flag : flag + ",--" + hyper.name;
}

const char *kind_text(HyperKind kind) {
    switch (kind) {
        case HyperKind::real: return "REAL";
        case HyperKind::integer: return "INTEGER";
        case HyperKind::boolean: return "BOOLEAN";
    }
    return "";
}

std::string default_text(const Hyper &hyper) {
    if (hyper.kind == HyperKind::boolean) return hyper.default_value != 0 ? "true" : "false";
    return number_text(hyper.default_value);
}

void CommandParser::add_data_flag(CLI::App *command, std::string &data, const char *otherwise) {
    command->add_option("--data", data, std::string("folder of the data files") + (otherwise != nullptr ? otherwise : ""))->type_name("DIR");
}

void CommandParser::add_run_flag(CLI::App *command, std::string &run, const char *text) {
    if (run.empty()) run = name_ + ".run";
    command->add_option("--run", run, text)->type_name("DIR")->capture_default_str();
}

void CommandParser::add_checkpoint_flag(CLI::App *command, std::string &checkpoint) {
    command->add_option("--checkpoint", checkpoint, "which checkpoint")->check(CLI::IsMember({"last", "best"}))->capture_default_str();
}

CLI::Option *CommandParser::add_number(CLI::App *command, const char *flag, int64_t &number, int64_t least, int64_t most, const char *text) {
    return command->add_option(flag, number, text)->check(between(least, most))->type_name("N")->capture_default_str();
}

CLI::Option *CommandParser::add_seed(CLI::App *command, uint64_t &seed, const char *text) {
    return command->add_option("--seed", seed, text)->check(between(uint64_t(0), uint64_t(kLargestInteger)))->type_name("N")->capture_default_str();
}

void CommandParser::add_record_flags(CLI::App *command, int64_t &index, bool &invert, bool *art) {
    command->add_option("--index", index, "which record of an IDX file, counted from 0")->check(at_least(0))->type_name("N")->capture_default_str();
    if (art != nullptr) command->add_flag("--art", *art, "also show the picture as the model sees it, as text");
    command->add_flag("--invert", invert, "exchange black and white first");
}

void CommandParser::add_epochs(CLI::App *command, const char *text, bool shows_own) {
    CLI::Option *option = command->add_option("--epochs", epochs_, text)->type_name("N");
    std::vector<std::string> of_phases;
    for (const Phase &phase : metadata_.phases) of_phases.push_back(std::to_string(phase.epochs));
    if (shows_own) option->default_str(join(of_phases, ","));
}

void CommandParser::add_threads(CLI::App *command) {
    command->add_option("--threads", threads_, "threads to compute with; any number gives the same numbers [all processors]")->check(between(1, 1024))->type_name("N");
}

void CommandParser::add_hypers(CLI::App *command, bool generates) {
    for (size_t i = 0; i < metadata_.hypers.size(); ++i) {
        const Hyper &hyper = metadata_.hypers[i];
        if (hyper.generates != generates) continue;
        // A flag of this command alone hides no hyper either.
        const std::string name = with_dashes(hyper.name);
        const bool taken = command->get_option_no_throw("--" + name) != nullptr;
        command->add_option(taken ? "--hyper-" + name : flag_of(hyper), hypers_[i], hyper.doc)
            ->type_name(kind_text(hyper.kind))
            ->group("Hyper-parameters")
            ->default_str(default_text(hyper));
    }
}

void CommandParser::add_inputs(CLI::App *command) {
    for (size_t c = 0; c < metadata_.columns.size(); ++c) {
        const Column &column = metadata_.columns[c];
        if (!has_flag(column)) continue;
        const bool is_text = column.vocabulary && !column.is_one_class();
        const char *meaning = is_text ? "words of this input" : column.vocabulary ? "a value of this input, or its name" : "a value of this input";
        // By a function, because an empty text is given, too.
        CLI::Option *option = command->add_option_function<std::string>(input_flag(column), [this, c](const std::string &given) { inputs_[c] = given; }, meaning)
            ->type_name(is_text ? "TEXT" : column.vocabulary ? "NAME" : "NUMBER")
            ->group("Inputs");
        if (is_text) texts_.push_back(option);
    }
}

std::optional<std::vector<int64_t>> CommandParser::given_epochs() const {
    if (epochs_.empty()) return std::nullopt;
    return parse_epochs(epochs_);
}

std::map<std::string, double> CommandParser::given_hypers() const {
    std::map<std::string, double> values;
    for (size_t i = 0; i < hypers_.size(); ++i)
        if (!hypers_[i].empty()) values[metadata_.hypers[i].name] = parse_hyper(metadata_.hypers[i], hypers_[i]);
    return values;
}

std::map<std::string, std::string> CommandParser::given_inputs() const {
    std::map<std::string, std::string> values;
    for (size_t c = 0; c < inputs_.size(); ++c)
        if (inputs_[c]) values[metadata_.columns[c].name] = *inputs_[c];
    return values;
}

void CommandParser::add_train() {
    struct Given {
        TrainOptions options;
        std::string save_every = "30s";
    };
    auto given = std::make_shared<Given>();
    CLI::App *train = add_command("train", "train the model and save it in the run folder", trains_, [this, given] {
        TrainOptions &options = given->options;
        options.epochs = given_epochs();
        if (options.resume && options.overwrite) fail(ExitCode::usage, "--resume and --overwrite exclude each other");
        if (!options.init_only.empty() && options.init.empty()) fail(ExitCode::usage, "--init-only goes with --init");
        options.save_every = parse_save_every(given->save_every);
        options.hypers = given_hypers();
        return options;
    });
    TrainOptions &options = given->options;
    add_data_flag(train, options.data);
    add_run_flag(train, options.run, "folder of checkpoints and metrics");
    add_epochs(train, "epochs to train; of several phases, one number each: 1,3", true);
    train->add_option("--seed", options.seed, "seed of all randomness")->check(between(uint64_t(0), uint64_t(kLargestInteger)))->type_name("N")->default_str("0");
    train->add_option("--init", options.init, "initial weights: a safetensors file, such as another run's last/weights.safetensors; what it lacks begins as usual")->type_name("FILE");
    train->add_option("--init-only", options.init_only, "of the --init file take only tensors whose path, without the model's name in front, matches: \"conv_*\"; may be given several times")
        ->type_name("PATTERN")
        ->allow_extra_args(false);
    train->add_flag("--resume", options.resume, "go on where the run folder's last checkpoint stands, exactly; start if there is none");
    train->add_flag("--overwrite", options.overwrite, "replace the run that the run folder holds");
    train->add_flag("--quiet", options.quiet, "print nothing but errors and warnings");
    train->add_option("--save-every", given->save_every, "checkpoint also within an epoch: a time (30s, 5m) or a number of steps; 0: do not")->type_name("TIME|N")->capture_default_str();
    add_threads(train);
    add_hypers(train);
}

void CommandParser::add_eval() {
    auto options = std::make_shared<EvalOptions>();
    CLI::App *eval = add_command("eval", "measure the trained model on a split", trains_, [options] { return *options; });
    add_data_flag(eval, options->data, " [the one trained on]");
    add_run_flag(eval, options->run);
    eval->add_option("--split", options->split, "split to measure on [test, else validation, else train]")->type_name("NAME");
    add_checkpoint_flag(eval, options->checkpoint);
    eval->add_flag("--json", options->json, "end with one line of JSON: every metric under its name");
    add_threads(eval);
}

void CommandParser::add_predict() {
    auto options = std::make_shared<PredictOptions>();
    CLI::App *predict = add_command("predict", "apply the trained model to pictures", true, [this, options] {
        options->given = given_inputs();
        if (options->files.empty() + options->split.empty() + options->given.empty() != 2)
            fail(ExitCode::usage, "predict takes either FILEs or --split NAME%s", has_inputs_ ? ", or values of inputs" : "");
        if (!options->data.empty() && !options->files.empty()) fail(ExitCode::usage, "--data of predict does not go with FILEs");
        if (!options->csv.empty() && !options->given.empty()) fail(ExitCode::usage, "--csv does not go with values of inputs");
        if (options->clip > 0 && options->csv.empty()) fail(ExitCode::usage, "--clip goes with --csv");
        if (options->files.empty() && (options->index > 0 || options->art || options->invert))
            fail(ExitCode::usage, "--index, --art and --invert are about FILEs");
        return *options;
    });
    predict->add_option("FILE", options->files, "JPEG, PNG, PGM or PPM pictures of any size, or IDX files (see --index)");
    add_inputs(predict);
    predict->add_option("--split", options->split, "predict the records of a split instead of files")->type_name("NAME");
    add_data_flag(predict, options->data, ", for --split and for what is looked up [the one trained on]");
    std::vector<std::string> outputs;
    for (const Output &output : metadata_.outputs) outputs.push_back(output.name);
    predict->add_option("--output", options->output, "the output to predict, one of " + quoted_list(outputs))->type_name("NAME")->default_str(outputs.empty() ? "" : outputs[0]);
    predict->add_option("--csv", options->csv, "write every entry of the output to this file, a line for each picture or record")->type_name("FILE");
    predict->add_option("--clip", options->clip, "in the CSV file keep probabilities between C / (classes - 1) and 1 - C, since certain mistakes cost the log loss dearly")
        ->check(between(0.0, 0.5))
        ->type_name("C");
    add_run_flag(predict, options->run);
    add_checkpoint_flag(predict, options->checkpoint);
    add_record_flags(predict, options->index, options->invert, &options->art);
    add_threads(predict);
}

void CommandParser::add_generate() {
    auto options = std::make_shared<GenerateOptions>();
    CLI::App *generate = add_command("generate", "go on with a text, an element after the other", metadata_.generates.has_value(), [this, options] {
        options->given = given_inputs();
        options->hypers = given_hypers();
        return *options;
    });
    add_number(generate, "--length", options->length, 1, 1000000000, "elements to add, such as bytes or words; a text of words may end before");
    add_seed(generate, options->seed, "seed of the draws: another one gives another text, the same one the same");
    add_run_flag(generate, options->run);
    add_checkpoint_flag(generate, options->checkpoint);
    add_threads(generate);
    if (!metadata_.generates) return;
    // What the model names comes last: a flag of the command hides no input.
    const auto free_flag = [&](const Column &column) {
        const bool taken = generate->get_option_no_throw("--" + with_dashes(column.name)) != nullptr;
        return (taken ? "--input-" : "--") + with_dashes(column.name);
    };
    const Generation &what = *metadata_.generates;
    const Column &column = metadata_.columns[what.column];
    add_data_flag(generate, options->data, ", for what is looked up [the one trained on]");
    const std::string &text_flag = options->flags[column.name] = free_flag(column);
    generate->add_option(text_flag, options->text, format("what to go on with; its last %lld elements are read", (long long)what.end - 1))->type_name("TEXT")->group("Inputs");
    for (const size_t input : what.inputs) {
        const Column &other = metadata_.columns[input];
        if (!has_flag(other)) continue;
        const std::string &flag = options->flags[other.name] = free_flag(other);
        generate->add_option(flag, inputs_[input], "a value of this input")->type_name("VALUE")->group("Inputs");
    }
    add_hypers(generate, true);
}

void CommandParser::add_data() {
    auto options = std::make_shared<DataOptions>();
    CLI::App *data = add_command("data", "what the splits hold: counts, means, deviations, classes, and contact sheets of pictures", true, [this, options] {
        options->hypers = given_hypers();
        return *options;
    });
    options->sheets = name_ + ".data";
    add_data_flag(data, options->data);
    data->add_option("--split", options->split, "one split only")->type_name("NAME");
    data->add_option("--sheets", options->sheets, "folder to write the contact sheets to, a PNG for each split")->type_name("DIR")->capture_default_str();
    add_number(data, "--across", options->across, 1, 1000, "pictures in a row of a sheet");
    CLI::Option *augmented = data->add_flag("--augmented", options->augmented, "also sheets of training pictures, each followed by what augmentation makes of it");
    add_seed(data, options->seed, "seed of the augmentation")->needs(augmented);
    add_hypers(data);
}

void CommandParser::add_trace() {
    auto options = std::make_shared<TraceOptions>();
    CLI::App *trace = add_command("trace", "everything the model computes from one picture or record, as CSV files and as a picture", true, [options] {
        if (options->file.empty() == options->split.empty()) fail(ExitCode::usage, "trace takes either an IMAGE or --split NAME");
        if (options->split.empty() && !options->data.empty()) fail(ExitCode::usage, "--data of trace goes with --split");
        if (!options->split.empty() && options->invert) fail(ExitCode::usage, "--invert is about an IMAGE");
        return *options;
    });
    options->out = name_ + ".trace";
    trace->add_option("IMAGE", options->file, "a PNG, JPEG or PGM picture, or an IDX file (see --index)");
    trace->add_option("--split", options->split, "trace a record of a split instead, that of --index")->type_name("NAME");
    add_data_flag(trace, options->data, ", for --split [the one trained on]");
    trace->add_option("--out", options->out, "folder to write")->type_name("DIR")->capture_default_str();
    add_run_flag(trace, options->run, "run folder; a model that is not trained has its initial weights");
    trace->add_option("--init", options->init, "weights from a safetensors file instead of a run; those it lacks are the initial ones")
        ->type_name("FILE")
        ->excludes(trace->get_option("--run"))
        ->excludes(trace->get_option("--split"));  // what its texts are numbered by is in the run
    add_checkpoint_flag(trace, options->checkpoint);
    add_record_flags(trace, options->index, options->invert, nullptr);
    trace->get_option("--index")->description("which record of an IDX file or of the split, counted from 0");
    add_threads(trace);
}

void CommandParser::add_factors() {
    auto options = std::make_shared<FactorsOptions>();
    CLI::App *factors = add_command("factors", "what tables (embeddings, biases) have learned: principal components as CSV, SVG and PNG, and the nearest rows of each",
                                    !metadata_.embeddings.empty(), [options] { return *options; });
    options->out = name_ + ".factors";
    factors->add_option("PARAMETER", options->parameter, "one table, by its path [all with a row for each class of an input]");
    factors->add_option("--input", options->input, "only tables with the rows of this input, and their names from its vocabulary")->type_name("NAME");
    add_run_flag(factors, options->run);
    add_checkpoint_flag(factors, options->checkpoint);
    factors->add_option("--out", options->out, "folder to write to")->type_name("DIR")->capture_default_str();
    add_number(factors, "--components", options->components, 1, 1000, "components in the table; the pictures show the first two");
    add_number(factors, "--neighbours", options->neighbours, 0, 1000, "nearest rows of each: by the cosine, of biases by the difference");
    add_number(factors, "--labels", options->labels, 0, 1000, "names written into the pictures, at most");
}

void CommandParser::add_scan() {
    struct Given {
        ScanOptions options;
        std::vector<std::string> trial_values;  // what a scan tells the programs that it builds
    };
    auto given = std::make_shared<Given>();
    CLI::App *scan = add_command("scan", "try the values of the model's scan block, each alone and the best together", metadata_.scan.has_value(), [this, given] {
        ScanOptions &options = given->options;
        if (!metadata_.scan) fail(ExitCode::usage, "%s has no `scan` block", metadata_.source.c_str());
        if (options.resume && options.overwrite) fail(ExitCode::usage, "--resume and --overwrite exclude each other");
        options.hypers = given_hypers();
        for (const Scan::Setting &setting : metadata_.scan->settings)
            if (options.hypers.count(setting.name)) fail(ExitCode::usage, "--%s: the scan sets it", setting.name.c_str());
        for (const std::string &text : given->trial_values) {
            const size_t equals = text.find('=');
            auto hyper = std::find_if(metadata_.hypers.begin(), metadata_.hypers.end(), [&](const Hyper &each) { return each.name == text.substr(0, equals); });
            if (equals == std::string::npos || hyper == metadata_.hypers.end()) fail(ExitCode::usage, "--with: `%s` is no value of a hyper", text.c_str());
            options.hypers[hyper->name] = std::strtod(text.c_str() + equals + 1, nullptr);
        }
        options.epochs = given_epochs();
        if (options.epochs && options.epochs->size() != metadata_.phases.size())
            fail(ExitCode::usage, "--epochs gives %zu numbers, but the training has %zu phases", options.epochs->size(), metadata_.phases.size());
        options.threads = threads_;
        return options;
    });
    ScanOptions &options = given->options;
    options.run = name_ + ".scan";
    add_data_flag(scan, options.data);
    add_run_flag(scan, options.run, "folder of the trials and what comes of them");
    scan->add_option("--seed", options.seed, "seed of the first run of each value; the others have the next ones")
        ->check(between(uint64_t(0), uint64_t(kLargestInteger) / 2))
        ->type_name("N")
        ->default_str("0");
    scan->add_option("--seeds", options.seeds, "runs of each value, with a seed each [as the scan block says]")->check(between(1, 1000))->type_name("N");
    add_epochs(scan, "epochs of each run; of several phases, one number each: 1,3 [as the scan block says]", false);
    scan->add_option("--kiln", options.kiln, "the compiler, if the scan sets constants: each value needs a program of its own")->envname("KILN")->type_name("FILE")->capture_default_str();
    scan->add_option("--trial", options.trial)->group("");
    scan->add_option("--with", given->trial_values)->group("")->allow_extra_args(false);
    scan->add_flag("--resume", options.resume, "go on with the scan that the folder holds");
    scan->add_flag("--overwrite", options.overwrite, "replace the scan that the folder holds");
    add_threads(scan);
    add_hypers(scan);
}

void CommandParser::add_report() {
    auto options = std::make_shared<ReportOptions>();
    CLI::App *report = add_command("report", "one HTML file about a trained model: settings, curves, what it confuses, its worst mistakes", true, [options] { return *options; });
    options->out = name_ + ".report.html";
    add_data_flag(report, options->data, " [the one trained on]");
    add_run_flag(report, options->run);
    report->add_option("--split", options->split, "split to look at [test, else validation, else train]")->type_name("NAME");
    add_checkpoint_flag(report, options->checkpoint);
    report->add_option("-o,--out", options->out, "the file to write")->type_name("FILE")->capture_default_str();
    add_number(report, "--worst", options->worst, 0, 1000, "records in each list of mistakes, at most");
    add_threads(report);
}

void CommandParser::add_rankings() {
    auto options = std::make_shared<RecommendOptions>();
    const auto finish = [this, options](bool similar) {
        options->given = given_inputs();
        options->similar = similar;
        return *options;
    };
    CLI::App *recommend = add_command("recommend", "rank the values of an input by the output for those that are given", has_inputs_, [finish] { return finish(false); });
    CLI::App *similar = add_command("similar", "rank the values of an input by the cosine of their factors with those of one of them", !metadata_.embeddings.empty(), [finish] { return finish(true); });
    for (CLI::App *each : {recommend, similar}) {
        add_inputs(each);
        each->add_option("--top", options->top, "how many to print")->check(at_least(1))->type_name("N")->capture_default_str();
        add_run_flag(each, options->run);
        add_checkpoint_flag(each, options->checkpoint);
        add_threads(each);
    }
    add_data_flag(recommend, options->data, " [the one trained on]");
    recommend->add_flag("--all", options->all, "also what the split train has with what is given");
    similar->add_option("--embedding", options->embedding, "the table of factors [the largest of the input]")->type_name("PATH");
}

void CommandParser::add_explain() {
    auto options = std::make_shared<ExplainScheduleOptions>();
    CLI::App *explain = add_command("explain", "explain schedule: the learning rate of each step, without training", trains_, [this, options] {
        options->epochs = given_epochs();
        options->hypers = given_hypers();
        return *options;
    });
    explain->require_subcommand(1);
    CLI::App *schedule = explain->add_subcommand("schedule", "the learning rate of each step; rules that watch the training keep their initial state");
    schedule->footer("");
    add_data_flag(schedule, options->data, ", for the steps an epoch has");
    schedule->add_option("--steps-per-epoch", options->steps_per_epoch, "steps an epoch has, instead of --data")->check(at_least(1))->type_name("N");
    add_epochs(schedule, "as for train", false);
    schedule->add_option("--every", options->every, "print every Nth step [some 20 rows a phase]")->check(at_least(1))->type_name("N");
    schedule->add_option("--csv", options->csv, "write every step to this file")->type_name("FILE");
    schedule->add_option("--picture", options->picture, "draw the plot to this PNG file")->type_name("FILE");
    add_hypers(schedule);
}

void CommandParser::add_lr_find() {
    auto options = std::make_shared<LrFindOptions>();
    CLI::App *find = add_command("lr-find", "suggest a learning rate: train a few steps at rates that grow until the loss explodes", trains_, [this, options] {
        options->hypers = given_hypers();
        return *options;
    });
    options->csv = name_ + ".lr-find.csv";
    options->picture = name_ + ".lr-find.png";
    add_data_flag(find, options->data);
    find->add_option("--from", options->from, "the first rate")->type_name("RATE")->capture_default_str();
    find->add_option("--to", options->to, "the last rate")->type_name("RATE")->capture_default_str();
    add_number(find, "--steps", options->steps, 10, 1000000, "steps from one to the other");
    find->add_option("--phase", options->phase, "the phase whose optimizer and frozen parameters are meant [the first]")->type_name("NAME");
    find->add_option("--start", options->start, "weights to begin with: initial ones, or a checkpoint of --run, which is left as it is")
        ->check(CLI::IsMember({"initial", "last", "best"}))
        ->capture_default_str();
    add_run_flag(find, options->run);
    add_seed(find, options->seed);
    find->add_option("--csv", options->csv, "file of every step's rate and loss")->type_name("FILE")->capture_default_str();
    find->add_option("--picture", options->picture, "PNG file of the plot")->type_name("FILE")->capture_default_str();
    add_threads(find);
    add_hypers(find);
}

void CommandParser::add_bench() {
    auto options = std::make_shared<BenchOptions>();
    CLI::App *bench = add_command("bench", "how long each kernel of a step takes, and its share of what the processor can do; nothing is saved", true, [this, options] {
        options->hypers = given_hypers();
        return *options;
    });
    add_data_flag(bench, options->data, ", for the first records of the training split [random values]");
    bench->add_option("--program", options->program, "what to run [train, else predict]")->check(CLI::IsMember({"train", "evaluate", "predict", "generate", "augment"}));
    bench->add_option("--phase", options->phase, "the phase that is meant [the first]")->type_name("NAME");
    CLI::Option *seconds = bench->add_option("--seconds", options->seconds, "how long to measure")->check(between(0.01, 3600.0))->type_name("S")->capture_default_str();
    bench->add_option("--steps", options->steps, "measure so many steps, however long they take")->check(between(1, 1000000))->type_name("N")->excludes(seconds);
    bench->add_flag("--json", options->json, "print one JSON object instead of tables");
    add_threads(bench);
    add_hypers(bench);
}

}  // namespace kiln::runtime
