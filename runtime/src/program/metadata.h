// What the executable tells about itself (program.h, `metadata`), parsed once at start.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kiln::runtime {

enum class DType : uint8_t { f32, f64, i32, i64, u8, boolean };
int64_t size_of(DType dtype);
const char *name_of(DType dtype);  ///< "f32", ..., "bool"
int64_t element_count(const std::vector<int64_t> &shape);
/// "f32[28, 28]"
std::string type_text(DType dtype, const std::vector<int64_t> &shape);
struct Column;
/// As the model declares it: "f32[28, 28]", "class[10]", "class[10][64]".
std::string type_text(const Column &column);

enum class HyperKind { real, integer, boolean };

struct Hyper {
    std::string name;
    HyperKind kind = HyperKind::real;
    double default_value = 0;
    std::string doc;
    size_t scalar = 0;  ///< index in scalars
    bool generates = false;  ///< nothing but generate_step depends on it
};

struct Global {
    std::string name;
    double initial = 0;
    size_t scalar = 0;
};

/// An argument of a reader.
struct Value {
    enum class Kind { number, boolean, string, path, list, call } kind = Kind::number;
    double number = 0;
    bool boolean = false;
    std::string text;  ///< string, a path relative to the data folder, or the reader that is called
    std::vector<Value> list;
    std::vector<std::pair<std::string, Value>> arguments;  ///< of a call
};

/// What the `data` block says of an input whose values are text.
struct VocabularyDeclaration {
    std::optional<std::string> unknown;  ///< what the row of unknown values is called; none: they are errors
    int64_t at_least = 1;                ///< records that a value needs for a row of its own
    std::optional<Value> names;          ///< a call: the table that has what values are called
    std::string key, name;               ///< its columns: the value, and what it is called
};

/// A per-sample input of the model.
struct Column {
    std::string name;
    DType dtype = DType::f32;
    std::vector<int64_t> shape;  ///< per sample
    int64_t classes = 0;         ///< > 0: elements in [0, classes)
    std::string capacity{};      ///< the `const` that gives the number of classes, if one does
    std::optional<VocabularyDeclaration> vocabulary{};  ///< text, by the `data` block
    bool predicts = false;       ///< an output depends on it
    int64_t elements() const { return element_count(shape); }
    int64_t bytes() const { return elements() * size_of(dtype); }
    int64_t fields() const { return vocabulary ? 1 : elements(); }              ///< of a table, from which it is read
    bool is_one_class() const { return classes > 0 && shape.empty(); }  ///< as a label is, or an id
};

struct Arena {
    std::string name;
    int64_t bytes = 0;
};

enum class StorageKind { param, buffer, state };

/// A tensor that persists from step to step: it is in every checkpoint.
struct Storage {
    std::string path;
    StorageKind kind = StorageKind::param;
    DType dtype = DType::f32;
    std::vector<int64_t> shape;
    size_t arena = 0;
    int64_t offset = 0;  ///< bytes
    int64_t bytes() const { return element_count(shape) * size_of(dtype); }
};

struct Split {
    std::string name, reader;
    std::vector<std::pair<std::string, Value>> arguments;
};

/// A part of every batch of a phase that mixes: so many records of a split, with its labels or with those the model gives it.
struct MixPart {
    std::string split;
    int64_t rows = 0;
    bool pseudo = false;       ///< labelled by the model; what follows is about that
    bool soft = false;         ///< the probabilities are the target, not the likeliest class
    bool every_epoch = false;  ///< labels are made anew before every epoch; else once, before the first of the phase
    double above = 0;          ///< records whose likeliest class has a smaller probability are not drawn
    std::string above_hyper{}; ///< the hyper that says so instead
};

struct Phase {
    std::string name;
    int64_t epochs = 1;
    int64_t patience = 0;       ///< > 0: over after so many epochs without a better best_metric
    bool restore_best = false;  ///< ends with the state of the best epoch so far
    std::string split;          ///< what it trains on
    std::vector<size_t> augmented;  ///< columns that `augment` makes anew in this phase
    std::vector<MixPart> mix;       ///< what each batch is made of, in order; empty: records of `split`
    /// The label of its batches are shares of the classes, f32[batch, classes].
    bool soft() const;
    /// Records of `split` in each batch, of so many; an epoch is one pass over them.
    int64_t labelled_rows(int64_t batch) const { return mix.empty() ? batch : first_labelled().rows; }
    const MixPart &first_labelled() const;
};

/// A column as the training step reads it after `augment`.
struct Augmented {
    DType dtype = DType::f32;
    std::vector<int64_t> shape;  ///< [batch, ..]
    int64_t bytes() const { return element_count(shape) * size_of(dtype); }
};

/// What `scan` tries (see the language reference): each value of each setting alone, the others at their first, then the best together.
struct Scan {
    struct Value {
        double number = 0;   ///< of a hyper
        std::string text;    ///< as it is written in the source
        std::string define;  ///< of a const: as -D takes it
    };
    struct Setting {
        std::string name;
        bool constant = false;  ///< of a const: each value needs a program of its own
        int64_t built = -1;     ///< of a const: which value this program has, -1 for another one
        std::vector<Value> values;
        size_t begin = 0, end = 0;  ///< bytes of the setting's value in `source`; 0, 0: not there
        bool regularizes = false;
    };
    Split training;
    std::vector<Setting> settings;
    std::string on, metric;  ///< the split and the sample that decide
    bool higher_is_better = true;
    int64_t seeds = 3, epochs = 0;
    std::string source;  ///< needs no other file
    std::vector<std::string> build;  ///< arguments of the compiler that made this program
};

struct Metric {
    std::string name;
    bool higher_is_better = true;
};

struct Output {
    std::string name;
    DType dtype = DType::f32;
    std::vector<int64_t> shape;  ///< [batch, ..]
    size_t arena = 0;
    int64_t offset = 0;  ///< bytes
};

/// What generate_step draws: elements begin .. end - 1 of a column that is a row of classes, each from those before it.
struct Generation {
    size_t column = 0;
    int64_t begin = 0, end = 0;
    std::vector<size_t> inputs;  ///< further columns that are read
    Output drawn;
};

/// A condition on scalars.
struct Requirement {
    std::string message;
    int phase = -1;                    ///< the phase whose length it is about; -1: hypers alone
    std::vector<std::string> scalars;  ///< those it looks at
};

/// A table of which an input says which rows are read, in prediction or in training alone.
struct Embedding {
    std::string input;
    size_t storage = 0;  ///< index in storages
};

struct Layer {
    std::string path, output;
    int64_t parameters = 0;
};

/// One kernel of a function of the program.
struct ProfiledCall {
    std::string kernel, at, scope, type;  ///< family, place in the source, layer, type of its first result
    int64_t flops = 0, bytes = 0;         ///< bytes: of arguments and results, each once
};

/// The kernels that a function of the program runs, in order.
struct Profile {
    std::string program;          ///< "train", "evaluate", "predict", "augment"
    std::vector<int64_t> phases;  ///< of train and augment: those in which it runs these
    std::vector<ProfiledCall> calls;
};

struct Metadata {
    std::string model, doc, source, version, float_type;
    int64_t batch = 1;
    bool shuffle = true;
    std::vector<std::string> scalars;
    std::vector<Hyper> hypers;
    std::vector<Global> globals;
    std::vector<Column> columns;
    std::vector<Arena> arenas;
    std::vector<Storage> storages;
    std::vector<Split> splits;
    std::vector<Phase> phases;
    std::optional<Scan> scan;
    std::vector<std::optional<Augmented>> augmented;  ///< by column; none: no phase augments it
    std::vector<std::string> samples, means;
    std::vector<Output> sample_values;  ///< what eval_step added up: shape [batch], or [] for one that all samples share
    std::vector<bool> in_training;  ///< by index in samples: train_step adds to it
    std::vector<Metric> metrics;
    std::string best_metric;
    std::optional<size_t> pseudo_label;  ///< the column that pseudo-labels are for
    std::vector<Output> outputs;
    std::vector<Requirement> requirements;
    std::optional<Generation> generates;
    std::vector<Output> traces;  ///< of one sample: shape [1, ..]
    std::vector<Layer> layers;
    std::vector<Embedding> embeddings;
    std::vector<Profile> profiles;
    int64_t parameters = 0, peak_bytes = 0;
    double flops_per_sample = 0;

    /// Index in scalars, -1 if there is none of this name.
    int scalar(std::string_view name) const;
    const Split *find_split(std::string_view name) const;
    bool higher_is_better(std::string_view metric) const;
    /// XXH64 over what a checkpoint must agree on: names, dtypes and shapes of storages, names of scalars that training may depend on.
    std::string fingerprint() const;
};

/// Parses and checks metadata; throws Failure (internal) where it does not follow program.h.
Metadata parse_metadata(const char *json);

}  // namespace kiln::runtime
