#include "commands/command_line.h"

#include "commands/given_records.h"
#include "support/failure.h"
#include "support/text.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>

namespace kiln::runtime {
namespace {

constexpr const char *kCommands[] = {"train", "eval", "predict", "data", "recommend", "similar", "factors", "scan", "report", "summary", "explain", "lr-find", "trace", "bench"};
constexpr double kLargestInteger = 9007199254740992;  // 2^53: exact as a double

// Flags of `train` that a hyper of the same name must not hide.
constexpr const char *kTrainFlags[] = {"data",   "run",       "epochs", "seed",       "threads",
                                       "resume", "overwrite", "quiet",  "save-every", "help", "init"};

std::string with_dashes(std::string name) {
    std::replace(name.begin(), name.end(), '_', '-');
    return name;
}

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

double parse_hyper(const Hyper &hyper, const std::string &text) {
    const char *flag = hyper.name.c_str();
    if (hyper.kind == HyperKind::boolean) {
        if (text == "true" || text == "1") return 1;
        if (text == "false" || text == "0") return 0;
        fail(ExitCode::usage, "--%s: `%s` is neither true nor false", flag, text.c_str());
    }
    char *end = nullptr;
    double value = std::strtod(text.c_str(), &end);
    if (text.empty() || *end != '\0' || !std::isfinite(value))
        fail(ExitCode::usage, "--%s: `%s` is not a number", flag, text.c_str());
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

std::string footer(const Metadata &metadata, const std::string &name) {
    std::string text;
    if (!metadata.hypers.empty()) {
        std::vector<std::vector<std::string>> rows;
        for (const Hyper &hyper : metadata.hypers) {
            std::string value = hyper.kind == HyperKind::boolean ? (hyper.default_value != 0 ? "true" : "false")
                                                                 : number_text(hyper.default_value);
            rows.push_back(
                {"  " + flag_of(hyper).substr(0, flag_of(hyper).find(',')), kind_text(hyper.kind), "[" + value + "]", hyper.doc});
        }
        text += "Hyper-parameters (flags of train):\n" + table(rows, {}) + "\n";
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

// The model as it stands in the program: "Digits(image: f32[28, 28, 1], label: class[10])".
std::string signature(const Metadata &metadata) {
    std::vector<std::string> inputs;
    for (const Column &column : metadata.columns)
        inputs.push_back(
            column.name + ": " +
            (column.classes > 0 ? format("class[%lld]", (long long)column.classes) : type_text(column.dtype, column.shape)));
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

CommandLine parse_command_line(int argc, char **argv, const Metadata &metadata) {
    std::string name = argc > 0 ? base_name(argv[0]) : metadata.model;
    std::vector<std::string> arguments(argv + std::min(argc, 1), argv + argc);
    bool names_command =
        !arguments.empty() && std::find(std::begin(kCommands), std::end(kCommands), arguments[0]) != std::end(kCommands);
    bool asks_program = !arguments.empty() && (arguments[0] == "--help" || arguments[0] == "-h" || arguments[0] == "--version");
    if (!names_command && !asks_program) {
        if (!arguments.empty() && arguments[0].rfind("-", 0) != 0)
            fail(ExitCode::usage, "there is no command `%s`; commands: train, eval, predict, data, recommend, similar, factors, scan, report, summary, explain, lr-find, trace, bench",
                 arguments[0].c_str());
        arguments.insert(arguments.begin(), "train");
    }

    CLI::App app(metadata.doc.empty() ? signature(metadata) : metadata.doc + "\n\n" + signature(metadata), name);
    app.footer(footer(metadata, name));
    app.set_version_flag("--version", name + " (" + metadata.source + "), " + metadata.version);
    app.require_subcommand(1);
    std::string command = arguments[0].rfind("-", 0) == 0 ? "" : " " + arguments[0];
    CommandLine result;
    std::string default_run = name + ".run";

    TrainOptions training;
    training.run = default_run;
    std::string epochs, save_every = "30s";
    uint64_t seed = 0;
    std::vector<std::string> values(metadata.hypers.size());
    auto add_hypers = [&](CLI::App *command) {
        for (size_t i = 0; i < metadata.hypers.size(); ++i) {
            const Hyper &hyper = metadata.hypers[i];
            // A flag of this command alone hides no hyper either.
            std::string name = with_dashes(hyper.name);
            bool taken = command->get_option_no_throw("--" + name) != nullptr;
            CLI::Option *option = command->add_option(taken ? "--hyper-" + name : flag_of(hyper), values[i], hyper.doc)
                                      ->type_name(kind_text(hyper.kind))
                                      ->group("Hyper-parameters");
            option->default_str(hyper.kind == HyperKind::boolean ? (hyper.default_value != 0 ? "true" : "false")
                                                                 : number_text(hyper.default_value));
        }
    };
    auto add_threads = [&](CLI::App *command) {
        command
            ->add_option("--threads", result.threads,
                         "threads to compute with; any number gives the same numbers [all processors]")
            ->check(CLI::Range(1, 1024).description(""))
            ->type_name("N");
    };
    auto *train = app.add_subcommand("train", "train the model and save it in the run folder");
    train->add_option("--data", training.data, "folder of the data files")->type_name("DIR");
    train->add_option("--run", training.run, "folder of checkpoints and metrics")->type_name("DIR")->capture_default_str();
    std::vector<std::string> phase_epochs;
    for (const Phase &phase : metadata.phases) phase_epochs.push_back(std::to_string(phase.epochs));
    train->add_option("--epochs", epochs, "epochs to train; of several phases, one number each: 1,3")
        ->type_name("N")
        ->default_str(join(phase_epochs, ","));
    auto *seed_option = train->add_option("--seed", seed, "seed of all randomness")
                            ->check(CLI::Range(uint64_t(0), uint64_t(kLargestInteger)).description(""))
                            ->type_name("N")
                            ->default_str("0");
    train->add_option("--init", training.init, "initial weights: a safetensors file, such as another run's last/weights.safetensors; what it lacks begins as usual")
        ->type_name("FILE");
    train->add_flag("--resume", training.resume, "go on where the run folder's last checkpoint stands, exactly");
    train->add_flag("--overwrite", training.overwrite, "replace the run that the run folder holds");
    train->add_flag("--quiet", training.quiet, "print nothing but errors");
    train
        ->add_option("--save-every", save_every,
                     "checkpoint also within an epoch: a time (30s, 5m) or a number of steps; 0: do not")
        ->type_name("TIME|N")
        ->capture_default_str();
    add_threads(train);
    add_hypers(train);

    EvalOptions evaluation;
    evaluation.run = default_run;
    auto *eval = app.add_subcommand("eval", "measure the trained model on a split");
    eval->add_option("--data", evaluation.data, "folder of the data files [the one trained on]")->type_name("DIR");
    eval->add_option("--run", evaluation.run, "run folder")->type_name("DIR")->capture_default_str();
    eval->add_option("--split", evaluation.split, "split to measure on [test, else validation, else train]")->type_name("NAME");
    eval->add_option("--checkpoint", evaluation.checkpoint, "which checkpoint")
        ->check(CLI::IsMember({"last", "best"}))
        ->capture_default_str();
    eval->add_flag("--json", evaluation.json, "end with one line of JSON: every metric under its name");
    add_threads(eval);

    PredictOptions prediction;
    prediction.run = default_run;
    auto *predict = app.add_subcommand("predict", "apply the trained model to pictures");
    predict->add_option("FILE", prediction.files, "JPEG, PNG, PGM or PPM pictures of any size, or IDX files (see --index)");
    std::vector<std::string> given(metadata.columns.size());
    auto add_inputs = [&](CLI::App *command) {
        for (size_t c = 0; c < metadata.columns.size(); ++c) {
            const Column &column = metadata.columns[c];
            if (!has_flag(column)) continue;
            command->add_option(input_flag(column), given[c], column.vocabulary ? "a value of this input, or its name" : "a value of this input")
                ->type_name(column.vocabulary ? "NAME" : "NUMBER")
                ->group("Inputs");
        }
    };
    add_inputs(predict);
    predict->add_option("--split", prediction.split, "predict the records of a split instead of files")->type_name("NAME");
    predict->add_option("--data", prediction.data, "folder of the data files, for --split and for what is looked up [the one trained on]")->type_name("DIR");
    predict->add_option("--csv", prediction.csv, "write every entry of the output to this file, a line for each picture or record")->type_name("FILE");
    predict
        ->add_option("--clip", prediction.clip,
                     "in the CSV file keep probabilities between C / (classes - 1) and 1 - C, since certain mistakes cost the log loss dearly")
        ->check(CLI::Range(0.0, 0.5).description(""))
        ->type_name("C");
    predict->add_option("--run", prediction.run, "run folder")->type_name("DIR")->capture_default_str();
    predict->add_option("--checkpoint", prediction.checkpoint, "which checkpoint")
        ->check(CLI::IsMember({"last", "best"}))
        ->capture_default_str();
    predict->add_option("--index", prediction.index, "which record of an IDX file, counted from 0")
        ->check(CLI::NonNegativeNumber)
        ->type_name("N")
        ->capture_default_str();
    predict->add_flag("--art", prediction.art, "also show the picture as the model sees it, as text");
    predict->add_flag("--invert", prediction.invert, "exchange black and white first");
    add_threads(predict);

    DataOptions contents;
    contents.sheets = name + ".data";
    auto *data = app.add_subcommand("data", "what the splits hold: counts, means, deviations, classes, and contact sheets of pictures");
    data->add_option("--data", contents.data, "folder of the data files")->type_name("DIR");
    data->add_option("--split", contents.split, "one split only")->type_name("NAME");
    data->add_option("--sheets", contents.sheets, "folder to write the contact sheets to, a PNG for each split")->type_name("DIR")->capture_default_str();
    data->add_option("--across", contents.across, "pictures in a row of a sheet")->check(CLI::Range(1, 1000).description(""))->type_name("N")->capture_default_str();
    auto *augmented = data->add_flag("--augmented", contents.augmented, "also sheets of training pictures, each followed by what augmentation makes of it");
    data->add_option("--seed", contents.seed, "seed of the augmentation")
        ->check(CLI::Range(uint64_t(0), uint64_t(kLargestInteger)).description(""))
        ->type_name("N")
        ->needs(augmented)
        ->capture_default_str();
    add_hypers(data);

    TraceOptions tracing;
    tracing.run = default_run;
    tracing.out = name + ".trace";
    auto *trace = app.add_subcommand("trace", "everything the model computes from one picture, as CSV files and as a picture");
    trace->add_option("IMAGE", tracing.file, "a PNG, JPEG or PGM picture, or an IDX file (see --index)")->required();
    trace->add_option("--out", tracing.out, "folder to write")->type_name("DIR")->capture_default_str();
    auto *trace_run = trace->add_option("--run", tracing.run, "run folder; a model that is not trained has its initial weights")
                          ->type_name("DIR")
                          ->capture_default_str();
    trace->add_option("--init", tracing.init, "weights from a safetensors file instead of a run; those it lacks are the initial ones")
        ->type_name("FILE")
        ->excludes(trace_run);
    trace->add_option("--checkpoint", tracing.checkpoint, "which checkpoint")
        ->check(CLI::IsMember({"last", "best"}))
        ->capture_default_str();
    trace->add_option("--index", tracing.index, "which record of an IDX file, counted from 0")
        ->check(CLI::NonNegativeNumber)
        ->type_name("N")
        ->capture_default_str();
    trace->add_flag("--invert", tracing.invert, "exchange black and white first");
    add_threads(trace);

    FactorsOptions factors;
    factors.run = default_run;
    factors.out = name + ".factors";
    auto *factor = app.add_subcommand("factors", "what tables (embeddings, biases) have learned: principal components as CSV, SVG and PNG, and the nearest rows of each");
    factor->add_option("PARAMETER", factors.parameter, "one table, by its path [all with a row for each class of an input]");
    factor->add_option("--input", factors.input, "only tables with the rows of this input, and their names from its vocabulary")->type_name("NAME");
    factor->add_option("--run", factors.run, "run folder")->type_name("DIR")->capture_default_str();
    factor->add_option("--checkpoint", factors.checkpoint, "which checkpoint")->check(CLI::IsMember({"last", "best"}))->capture_default_str();
    factor->add_option("--out", factors.out, "folder to write to")->type_name("DIR")->capture_default_str();
    auto counted = [&](const char *flag, int64_t &count, int64_t least, const char *text) {
        factor->add_option(flag, count, text)->check(CLI::Range(least, int64_t(1000)).description(""))->type_name("N")->capture_default_str();
    };
    counted("--components", factors.components, 1, "components in the table; the pictures show the first two");
    counted("--neighbours", factors.neighbours, 0, "nearest rows of each: by the cosine, of biases by the difference");
    counted("--labels", factors.labels, 0, "names written into the pictures, at most");

    ScanOptions scanning;
    scanning.run = name + ".scan";
    int64_t scan_seeds = 0;
    auto *scan = app.add_subcommand("scan", "try the values of the model's scan block, each alone and the best together");
    scan->add_option("--data", scanning.data, "folder of the data files")->type_name("DIR");
    scan->add_option("--run", scanning.run, "folder of the trials and what comes of them")->type_name("DIR")->capture_default_str();
    auto *scan_seed = scan->add_option("--seed", seed, "seed of the first run of each value; the others have the next ones")
                          ->check(CLI::Range(uint64_t(0), uint64_t(kLargestInteger) / 2).description(""))
                          ->type_name("N")
                          ->default_str("0");
    auto *seeds_option = scan->add_option("--seeds", scan_seeds, "runs of each value, with a seed each [as the scan block says]")
                             ->check(CLI::Range(1, 1000).description(""))
                             ->type_name("N");
    scan->add_option("--epochs", epochs, "epochs of each run; of several phases, one number each: 1,3 [as the scan block says]")->type_name("N");
    scan->add_option("--kiln", scanning.kiln, "the compiler, if the scan sets constants: each value needs a program of its own")
        ->envname("KILN")
        ->type_name("FILE")
        ->capture_default_str();
    std::vector<std::string> trial_values;  // what a scan tells the programs that it builds
    scan->add_option("--trial", scanning.trial)->group("");
    scan->add_option("--with", trial_values)->group("")->allow_extra_args(false);
    scan->add_flag("--resume", scanning.resume, "go on with the scan that the folder holds");
    scan->add_flag("--overwrite", scanning.overwrite, "replace the scan that the folder holds");
    add_threads(scan);
    add_hypers(scan);

    ReportOptions reporting;
    reporting.run = default_run;
    reporting.out = name + ".report.html";
    auto *report = app.add_subcommand("report", "one HTML file about a trained model: settings, curves, what it confuses, its worst mistakes");
    report->add_option("--data", reporting.data, "folder of the data files [the one trained on]")->type_name("DIR");
    report->add_option("--run", reporting.run, "run folder")->type_name("DIR")->capture_default_str();
    report->add_option("--split", reporting.split, "split to look at [test, else validation, else train]")->type_name("NAME");
    report->add_option("--checkpoint", reporting.checkpoint, "which checkpoint")->check(CLI::IsMember({"last", "best"}))->capture_default_str();
    report->add_option("-o,--out", reporting.out, "the file to write")->type_name("FILE")->capture_default_str();
    report->add_option("--worst", reporting.worst, "records in each list of mistakes, at most")->check(CLI::Range(0, 1000).description(""))->type_name("N")->capture_default_str();
    add_threads(report);

    RecommendOptions ranking;
    ranking.run = default_run;
    auto *recommend = app.add_subcommand("recommend", "rank the values of an input by the output for those that are given");
    auto *similar = app.add_subcommand("similar", "rank the values of an input by the cosine of their factors with those of one of them");
    for (CLI::App *each : {recommend, similar}) {
        add_inputs(each);
        each->add_option("--top", ranking.top, "how many to print")->check(CLI::PositiveNumber)->type_name("N")->capture_default_str();
        each->add_option("--run", ranking.run, "run folder")->type_name("DIR")->capture_default_str();
        each->add_option("--checkpoint", ranking.checkpoint, "which checkpoint")->check(CLI::IsMember({"last", "best"}))->capture_default_str();
        add_threads(each);
    }
    recommend->add_option("--data", ranking.data, "folder of the data files [the one trained on]")->type_name("DIR");
    recommend->add_flag("--all", ranking.all, "also what the split train has with what is given");
    similar->add_option("--embedding", ranking.embedding, "the table of factors [the largest of the input]")->type_name("PATH");
    const bool has_inputs = std::any_of(metadata.columns.begin(), metadata.columns.end(), has_flag);
    auto given_values = [&] {
        std::map<std::string, std::string> values;
        for (size_t c = 0; c < given.size(); ++c)
            if (!given[c].empty()) values[metadata.columns[c].name] = given[c];
        return values;
    };

    app.add_subcommand("summary", "layers, parameters and memory");

    ExplainScheduleOptions explanation;
    auto *explain = app.add_subcommand("explain", "explain schedule: the learning rate of each step, without training");
    explain->require_subcommand(1);
    auto *schedule = explain->add_subcommand(
        "schedule", "the learning rate of each step; rules that watch the training keep their initial state");
    schedule->add_option("--data", explanation.data, "folder of the data files, for the steps an epoch has")->type_name("DIR");
    schedule->add_option("--steps-per-epoch", explanation.steps_per_epoch, "steps an epoch has, instead of --data")
        ->check(CLI::PositiveNumber)
        ->type_name("N");
    schedule->add_option("--epochs", epochs, "as for train")->type_name("N");
    schedule->add_option("--every", explanation.every, "print every Nth step [some 20 rows a phase]")
        ->check(CLI::PositiveNumber)
        ->type_name("N");
    schedule->add_option("--csv", explanation.csv, "write every step to this file")->type_name("FILE");
    schedule->add_option("--picture", explanation.picture, "draw the plot to this PNG file")->type_name("FILE");
    add_hypers(schedule);

    LrFindOptions search;
    search.run = default_run;
    search.csv = name + ".lr-find.csv";
    search.picture = name + ".lr-find.png";
    auto *find = app.add_subcommand("lr-find", "suggest a learning rate: train a few steps at rates that grow until the loss explodes");
    find->add_option("--data", search.data, "folder of the data files")->type_name("DIR");
    find->add_option("--from", search.from, "the first rate")->type_name("RATE")->capture_default_str();
    find->add_option("--to", search.to, "the last rate")->type_name("RATE")->capture_default_str();
    find->add_option("--steps", search.steps, "steps from one to the other")
        ->check(CLI::Range(10, 1000000).description(""))
        ->type_name("N")
        ->capture_default_str();
    find->add_option("--phase", search.phase, "the phase whose optimizer and frozen parameters are meant [the first]")
        ->type_name("NAME");
    find->add_option("--start", search.start, "weights to begin with: initial ones, or a checkpoint of --run, which is left as it is")
        ->check(CLI::IsMember({"initial", "last", "best"}))
        ->capture_default_str();
    find->add_option("--run", search.run, "run folder")->type_name("DIR")->capture_default_str();
    find->add_option("--seed", search.seed, "seed of all randomness")
        ->check(CLI::Range(uint64_t(0), uint64_t(kLargestInteger)).description(""))
        ->type_name("N")
        ->capture_default_str();
    find->add_option("--csv", search.csv, "file of every step's rate and loss")->type_name("FILE")->capture_default_str();
    find->add_option("--picture", search.picture, "PNG file of the plot")->type_name("FILE")->capture_default_str();
    add_threads(find);
    add_hypers(find);

    BenchOptions benchmark;
    auto *bench = app.add_subcommand("bench", "how long each kernel of a step takes, and its share of what the processor can do; nothing is saved");
    bench->add_option("--data", benchmark.data, "folder of the data files, for the first records of the training split [random values]")->type_name("DIR");
    bench->add_option("--program", benchmark.program, "what to run [train, else predict]")->check(CLI::IsMember({"train", "evaluate", "predict", "augment"}));
    bench->add_option("--phase", benchmark.phase, "the phase that is meant [the first]")->type_name("NAME");
    auto *bench_seconds = bench->add_option("--seconds", benchmark.seconds, "how long to measure")
                              ->check(CLI::Range(0.01, 3600.0).description(""))
                              ->type_name("S")
                              ->capture_default_str();
    bench->add_option("--steps", benchmark.steps, "measure so many steps, however long they take")
        ->check(CLI::Range(1, 1000000).description(""))
        ->type_name("N")
        ->excludes(bench_seconds);
    bench->add_flag("--json", benchmark.json, "print one JSON object instead of tables");
    add_threads(bench);
    add_hypers(bench);

    // What this model has no use for is not listed; who calls it is told why.
    const bool trains = !metadata.phases.empty();
    for (CLI::App *each : {train, eval, explain, find})
        if (!trains) each->group("");
    if (!metadata.scan) scan->group("");
    if (metadata.embeddings.empty())
        for (CLI::App *each : {factor, similar}) each->group("");
    if (!has_inputs) recommend->group("");

    for (CLI::App *each : app.get_subcommands([](CLI::App *) { return true; })) each->footer("");
    schedule->footer("");
    std::reverse(arguments.begin(), arguments.end());  // CLI11 takes a vector from its end
    try {
        app.parse(arguments);
    } catch (const CLI::Success &success) {
        std::ostringstream out, error;
        app.exit(success, out, error);
        std::fputs(out.str().c_str(), stdout);
        return {Printed{}, 0};
    } catch (const CLI::ParseError &error) {
        fail(ExitCode::usage, "%s\n`%s%s --help` lists the flags", error.what(), name.c_str(), command.c_str());
    }
    std::map<std::string, double> hypers;
    for (size_t i = 0; i < values.size(); ++i)
        if (!values[i].empty()) hypers[metadata.hypers[i].name] = parse_hyper(metadata.hypers[i], values[i]);
    if (train->parsed()) {
        if (!epochs.empty()) training.epochs = parse_epochs(epochs);
        if (seed_option->count() > 0) training.seed = seed;
        if (training.resume && training.overwrite) fail(ExitCode::usage, "--resume and --overwrite exclude each other");
        training.save_every = parse_save_every(save_every);
        training.hypers = std::move(hypers);
        result.command = std::move(training);
    } else if (eval->parsed()) {
        result.command = std::move(evaluation);
    } else if (predict->parsed()) {
        prediction.given = given_values();
        if (prediction.files.empty() + prediction.split.empty() + prediction.given.empty() != 2)
            fail(ExitCode::usage, "predict takes either FILEs or --split NAME%s", has_inputs ? ", or values of inputs" : "");
        if (!prediction.data.empty() && !prediction.files.empty()) fail(ExitCode::usage, "--data of predict does not go with FILEs");
        if (!prediction.csv.empty() && !prediction.given.empty()) fail(ExitCode::usage, "--csv does not go with values of inputs");
        if (prediction.clip > 0 && prediction.csv.empty()) fail(ExitCode::usage, "--clip goes with --csv");
        result.command = std::move(prediction);
    } else if (recommend->parsed() || similar->parsed()) {
        ranking.given = given_values();
        ranking.similar = similar->parsed();
        result.command = std::move(ranking);
    } else if (data->parsed()) {
        contents.hypers = std::move(hypers);
        result.command = std::move(contents);
    } else if (factor->parsed()) {
        result.command = std::move(factors);
    } else if (report->parsed()) {
        result.command = std::move(reporting);
    } else if (scan->parsed()) {
        if (!metadata.scan) fail(ExitCode::usage, "%s has no `scan` block", metadata.source.c_str());
        if (scanning.resume && scanning.overwrite) fail(ExitCode::usage, "--resume and --overwrite exclude each other");
        for (const Scan::Setting &setting : metadata.scan->settings)
            if (hypers.count(setting.name)) fail(ExitCode::usage, "--%s: the scan sets it", setting.name.c_str());
        for (const std::string &text : trial_values) {
            const size_t equals = text.find('=');
            auto hyper = std::find_if(metadata.hypers.begin(), metadata.hypers.end(), [&](const Hyper &each) { return each.name == text.substr(0, equals); });
            if (equals == std::string::npos || hyper == metadata.hypers.end()) fail(ExitCode::usage, "--with: `%s` is no value of a hyper", text.c_str());
            hypers[hyper->name] = std::strtod(text.c_str() + equals + 1, nullptr);
        }
        if (scan_seed->count() > 0) scanning.seed = seed;
        if (seeds_option->count() > 0) scanning.seeds = scan_seeds;
        if (!epochs.empty()) scanning.epochs = parse_epochs(epochs);
        if (scanning.epochs && scanning.epochs->size() != metadata.phases.size())
            fail(ExitCode::usage, "--epochs gives %zu numbers, but the training has %zu phases", scanning.epochs->size(), metadata.phases.size());
        scanning.hypers = std::move(hypers);
        scanning.threads = result.threads;
        result.command = std::move(scanning);
    } else if (explain->parsed()) {
        if (!epochs.empty()) explanation.epochs = parse_epochs(epochs);
        explanation.hypers = std::move(hypers);
        result.command = std::move(explanation);
    } else if (trace->parsed()) {
        result.command = std::move(tracing);
    } else if (bench->parsed()) {
        benchmark.hypers = std::move(hypers);
        result.command = std::move(benchmark);
    } else if (find->parsed()) {
        search.hypers = std::move(hypers);
        result.command = std::move(search);
    } else {
        result.command = SummaryOptions{};
    }
    return result;
}

}  // namespace kiln::runtime
