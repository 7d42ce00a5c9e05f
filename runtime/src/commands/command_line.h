// The command line, generated from the program's metadata: one flag per hyper, --help from its doc comments.
#pragma once

#include "program/metadata.h"
#include "train/trainer.h"

#include <chrono>
#include <map>
#include <string>
#include <variant>
#include <vector>

namespace kiln::runtime {

struct EvalOptions {
    std::string data, run, split, checkpoint = "last";
    bool json = false;
};

struct PredictOptions {
    std::vector<std::string> files;
    std::string split, data;  ///< a split instead of files
    std::map<std::string, std::string> given;  ///< values of inputs instead of files
    std::string output;       ///< "" for the first one
    std::string csv;          ///< the file to write, "" to print
    double clip = 0;
    std::string run, checkpoint = "last";
    int64_t index = 0;
    bool art = false, invert = false;
};

struct GenerateOptions {
    std::string text;  ///< what is gone on with
    std::map<std::string, std::string> given;  ///< values of the other inputs
    std::map<std::string, std::string> flags;  ///< by input: that of its text or value
    std::map<std::string, double> hypers;
    std::string data, run, checkpoint = "last";
    int64_t length = 300;
    uint64_t seed = 0;
};

struct DataOptions {
    std::string data, split, sheets;  ///< sheets: the folder that contact sheets are written to
    int64_t across = 16;              ///< pictures in a row of a sheet
    bool augmented = false;           ///< also sheets of training pictures as augmentation changes them
    uint64_t seed = 0;
    std::map<std::string, double> hypers;
};

struct FactorsOptions {
    std::string parameter, input;  ///< empty: all tables; of any input
    std::string run, checkpoint = "last", out;
    int64_t components = 3, neighbours = 5, labels = 40;
};

struct ScanOptions {
    std::string data, run;
    std::optional<uint64_t> seed;  ///< of the first of each value's runs; the others have the numbers after it
    std::optional<int64_t> seeds;
    std::optional<std::vector<int64_t>> epochs;  ///< by phase
    std::map<std::string, double> hypers;        ///< those that are not scanned; of a trial, all
    std::string kiln = "kiln";                   ///< the compiler, for settings that are constants
    std::string trial;                           ///< not empty: one run only, in this folder, for the scan that started this program
    int threads = 0;                             ///< as given
    bool resume = false, overwrite = false;
};

/// Of recommend and of similar.
struct RecommendOptions {
    std::map<std::string, std::string> given;  ///< values of inputs
    std::string data, run, checkpoint = "last";
    int64_t top = 10;
    bool all = false;       ///< recommend: also what the split train has
    std::string embedding;  ///< similar: the table, "" for the largest one
    bool similar = false;
};

struct ReportOptions {
    std::string data, run, split, checkpoint = "last", out;
    int64_t worst = 24;  ///< records of each list
};

/// Of bench.
struct BenchOptions {
    std::string data;     ///< empty: random values
    std::string program;  ///< "train", "evaluate", "predict", "augment"; empty: the first of train and predict that there is
    std::string phase;    ///< empty: the first
    std::map<std::string, double> hypers;
    double seconds = 2;   ///< of plain and marked steps together
    int64_t steps = 0;    ///< > 0: so many of each instead
    bool json = false;
    std::chrono::steady_clock::time_point start{};  ///< of the program
};

struct SummaryOptions {};

struct ExplainScheduleOptions {
    std::string data;
    std::map<std::string, double> hypers;
    std::optional<std::vector<int64_t>> epochs;
    int64_t steps_per_epoch = 0;  ///< 0: from the data
    int64_t every = 0;            ///< 0: some 20 rows a phase
    std::string csv, picture;     ///< files to write; empty: none
};

struct TraceOptions {
    std::string file, run, checkpoint = "last", out;
    std::string split, data;  ///< a record of a split instead of a file
    std::string init;  ///< safetensors file in place of a checkpoint; empty: none
    int64_t index = 0;
    bool invert = false;
};

struct LrFindOptions {
    std::string data, run, phase;
    std::string start = "initial";  ///< or the checkpoint `last` or `best`
    std::map<std::string, double> hypers;
    uint64_t seed = 0;
    double from = 1e-7, to = 10;
    int64_t steps = 100;
    std::string csv, picture;
};

/// Nothing to do: help or version was printed.
struct Printed {};

struct CommandLine {
    std::variant<Printed, TrainOptions, EvalOptions, PredictOptions, GenerateOptions, DataOptions, RecommendOptions, FactorsOptions, ScanOptions, ReportOptions, SummaryOptions, BenchOptions, ExplainScheduleOptions,
                 LrFindOptions, TraceOptions>
        command;
    int threads = 0;  ///< 0: as many as there are processors
};

/// Throws Failure (usage), whose message may be several lines.
CommandLine parse_command_line(int argc, char **argv, const Metadata &metadata);

/// "30s", "5m", "2h" -> seconds; "500" -> steps; "0" -> neither. Throws Failure (usage).
SaveEvery parse_save_every(const std::string &text);

}  // namespace kiln::runtime
