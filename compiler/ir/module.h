// A Module is a whole experiment after elaboration: its graphs and everything they refer to by name.
//
// Graphs, by name. All may be absent but `predict`; scalar-only graphs ("rules") become LLVM code, the others kernels.
//   init          storage initial values                      reads scalar seed; stores every param, buffer, state
//   augment       a batch as it was read -> what train reads   data inputs; `output` results by the name of the column. Labels that
//                                                             it mixes become f32[batch, classes] there and in train
//   train         one step: forward, loss, gradients          stores arena "gradient"'s pieces "gradient:<param path>" and
//                                                             buffers; `loss` result. After differentiate().
//   update        one optimizer step                          reads and stores arenas or single storages
//   train.<n>, update.<n>, augment.<n>                        those of phase n, where it differs from what has no number
//   evaluate      forward in inference form on a batch        `sample` results "loss" and of each metric what it takes the mean of, or, of
//                                                             several means, "<metric>", "<metric>.2" and so on
//   predict       forward in inference form                   `output` results
//   trace         likewise on one sample: its data are [1, ..]   `output` results, in order: what layers compute on the way
//   generate      likewise on one sample                      one `output` result, the classes that are drawn: "text[1:65]", the elements 1 to 64
//                                                             of the column, each from those before it; "text[8:9]" is one, [1] or [1, 1]
//   rules.step    before each step: the rate, from step, epoch, progress, hypers   `scalar` results
//   rules.epoch   after each epoch                            `scalar` results (globals, rate)
//   rules.require what scalars must meet; results are conditions, named "<phase>.<index>:<message>": phase -1 if hypers
//                 alone decide, else that whose length phase_steps and steps_per_epoch tell
//   rules.report  means over the samples -> reported metrics  reads scalars "mean:<name of a sample result>"; `scalar` results "<metric>"
//
// Scalars are f64[], except `seed`, `step` (1-based, over the whole run) and `record` (of inference: the first one's of the batch in its split, from 0) which
// are i64[]. Always there: seed, step, record, epoch (0-based), progress (0..1 over the phase), steps_per_epoch, phase_step (0-based), phase_steps, rate, loss (of the step
// just computed; in rules.epoch the epoch's mean). Further ones: every hyper, every global, statistics.
//
// Storage is laid out in arenas, one vector each: "param", "gradient" (same layout as param), "buffer", and "state.<name>" for each
// optimizer state (same layout as param). Offsets are in elements, each tensor starting at a multiple of 16 elements;
// padding is zero. An update that is elementwise over parameters of one group is written over the arena's range
// instead of each parameter: input {kind = arena, name = "param[0:2048]"}. An update may also read "touched[0:2048]" or "touched:<param path>"
// (bool): the rows that the step looked up; passes/row_updates.h replaces it. In place of a gradient its factors may lie: passes/products_in_updates.h.
#pragma once

#include "compiler/ir/graph.h"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace kiln {

enum class ScalarKind { real, integer, boolean };

/// A run-time scalar that becomes a flag of the executable.
struct Hyper {
    std::string name;
    ScalarKind kind = ScalarKind::real;
    double default_value = 0;
    std::string doc;
    Loc loc;
};

/// A value in the description of a data set: what a reader is called with.
struct ReaderValue {
    enum class Kind { number, boolean, string, path, list, call } kind = Kind::number;
    double number = 0;
    bool boolean = false;
    std::string text;                 ///< string, a path relative to the data folder, or the reader that is called
    std::vector<ReaderValue> list;
    std::vector<std::pair<std::string, ReaderValue>> arguments;  ///< of a call, by parameter name
};

/// A per-sample input of the model: a column of the data.
struct Column {
    std::string name;
    Type type;            ///< per sample, without batch
    int64_t classes = 0;  ///< > 0: an i32 label in [0, classes)
    std::string capacity; ///< the `const` that gives the number of classes, "" if a literal does
    std::optional<ReaderValue> vocabulary{};  ///< a call: the values are text, numbered by the training split
    Loc loc{};
};

enum class StorageKind { param, buffer, state };

struct Storage {
    std::string path;     ///< "Digits/conv_1/W"; state of an optimizer: "Digits/conv_1/W.m"
    StorageKind kind = StorageKind::param;
    Type type;
    std::string arena;    ///< "param", "buffer", "state.m"
    int64_t offset = 0;   ///< in elements of the arena
    Loc loc;
};

/// A scalar that persists from step to step and is part of a checkpoint.
struct Global {
    std::string name;
    double initial_value = 0;
};

/// `train = idx(dir / "images", dir / "labels")`: split name, reader, arguments by parameter name.
struct Split {
    std::string name;
    std::string reader;
    std::vector<std::pair<std::string, ReaderValue>> arguments;
    Loc loc;
};

/// A part of every batch of a phase that mixes: so many records of a split, with its labels or with those that the model gives them.
struct MixPart {
    std::string split;
    int64_t rows = 0;          ///< of each batch
    bool pseudo = false;       ///< labelled by the model; what follows is about that
    bool soft = false;         ///< the probabilities are the target, not the likeliest class
    bool every_epoch = false;  ///< labels are made anew before every epoch; else once, before the first of the phase
    double above = 0;          ///< records whose likeliest class has a smaller probability are not drawn
    std::string above_hyper;   ///< the hyper that says so instead; "" if none does
};

/// Part of an arena, in elements: "param[0:2048]".
struct ArenaRange {
    std::string arena;
    int64_t begin = 0, end = 0;
};

/// Part of a row, in elements: "text[1:65]".
struct ColumnRange {
    size_t column = 0;
    int64_t begin = 0, end = 0;
};

/// One phase of training. Its own rate rule etc. are selected in rules.step by the scalar `phase`.
struct Phase {
    std::string name;
    int64_t epochs = 1;
    std::vector<std::string> frozen;  ///< parameter paths that keep their values
    int64_t patience = 0;             ///< > 0: the phase is over after so many epochs without a better best_metric
    bool restore_best = false;        ///< it ends with the state of the best epoch so far
    std::string split = "train";      ///< what it trains on
    std::vector<MixPart> mix{};       ///< what each batch is made of, in order; empty: records of `split`
};

/// What `./x scan` tries: every value of each setting alone, the others at the first of theirs, then the best together.
struct Scan {
    struct Value {
        double number = 0;             ///< of a hyper
        std::string text;              ///< as written
        std::string define = {};       ///< of a const: after `-D name=`
    };
    struct Setting {
        std::string name;              ///< of a hyper, or of a const, each of whose values needs an executable of its own
        std::vector<Value> values;     ///< the first is what the others are compared with
        int64_t begin = 0, end = 0;    ///< bytes of its value in `source`
        bool regularizes = false;      ///< and the training set is a sample: the result misleads
        bool constant = false;
        int64_t built = -1;            ///< of a const: which of the values this program is compiled with; -1: none of them
    };
    Split training;                    ///< what is trained on
    std::vector<Setting> settings;
    std::string on, metric;            ///< the split and the metric (or "loss") that decide
    bool higher_is_better = true;
    int64_t seeds = 3;
    int64_t epochs = 0;                ///< 0: as many as `train` says
    std::string source;                ///< the .model file with imported files and -D values in their places: it builds alone
};

struct Metric {
    std::string name;
    bool higher_is_better = true;
};

/// Tensors of an arena begin at multiples of so many elements.
inline constexpr int64_t kArenaAlignment = 16;
/// From a place in an arena to where a tensor may begin.
constexpr int64_t aligned_in_arena(int64_t elements) { return (elements + kArenaAlignment - 1) / kArenaAlignment * kArenaAlignment; }

struct Module {
    std::string name;                  ///< of the model
    std::string doc;
    std::string source_name;
    DType float_type = DType::f32;
    int64_t batch = 0;
    bool shuffle = true;
    std::vector<Hyper> hypers;
    std::vector<Column> columns;
    std::vector<Storage> storages;
    std::vector<Global> globals;
    std::vector<Split> splits;
    std::vector<Phase> phases;
    std::string pseudo_label;          ///< the column that pseudo-labels are for; "" if no phase has any
    std::vector<Metric> metrics;       ///< reported after "loss"
    std::string best_metric;           ///< chooses best/: a metric, or "loss"
    std::optional<Scan> scan;
    std::map<std::string, Graph> graphs;

    const Storage *find_storage(std::string_view path) const;
    /// "train.1" if phase 1 has a training graph of its own, else "train".
    std::string graph_of_phase(std::string_view name, size_t phase) const;
    /// Whether nothing but the graph "generate" depends on a hyper: it may then have another value each time, and has no part in training.
    bool only_generates(const Hyper &hyper) const;
    /// Elements of an arena, padding included; a multiple of 16.
    int64_t arena_elements(std::string_view arena) const;
    /// What "param[0:2048]" names; nothing if there is no such arena or it has fewer elements.
    std::optional<ArenaRange> arena_range(std::string_view name) const;
    /// What "text[1:65]" names; nothing if there is no such column, or it is no row or a shorter one.
    std::optional<ColumnRange> column_range(std::string_view name) const;
};

/// What a metric takes a mean of, by index of the mean: "f1", "f1.2", "f1.3".
std::string mean_of_metric(const std::string &metric, size_t index);
/// The scalar of a mean, in rules.report: "mean:f1.2".
inline constexpr std::string_view kMeanOf = "mean:";
/// The means that rules.report reads, without "mean:".
std::vector<std::string> means_read_by(const Graph &report);
/// Whether a graph has such an input.
bool reads(const Graph &graph, InputKind kind, std::string_view name);
/// "train.1": a graph for one phase.
std::string own_graph_of_phase(std::string_view name, size_t phase);
/// The scalars that every program has.
const std::vector<std::string> &builtin_scalars();
/// Whether a graph is `name` or that of one phase.
bool is_graph_of(std::string_view graph, std::string_view name);

}  // namespace kiln
