#include "train/run_folder.h"

#include "checkpoint/checkpoint.h"
#include "checkpoint/initial_weights.h"
#include "support/text.h"
#include "train/progress.h"

#include <algorithm>
#include <filesystem>

namespace kiln::runtime {
namespace {

FileDescriptor locked(const std::string &run) {
    refuse_within_checkpoint(run);
    FileDescriptor folder = lock_folder(run);
    if (!folder.valid()) fail(ExitCode::checkpoint, "another training is writing to %s", run.c_str());
    return folder;
}

bool holds_run(const std::string &run) { return has_checkpoint(run, "last") || has_checkpoint(run, "best"); }

// So that `eval` finds the data from another folder too.
std::string absolute(const std::string &path) {
    return path.empty() ? path : std::filesystem::absolute(path).lexically_normal().string();
}

std::vector<int64_t> epochs_of(const Metadata &metadata, const TrainOptions &options, const std::vector<int64_t> &otherwise) {
    if (!options.epochs) return otherwise;
    if (options.epochs->size() != metadata.phases.size()) {
        std::vector<std::string> names;
        for (const Phase &phase : metadata.phases) names.push_back(phase.name);
        fail(ExitCode::usage,
             "--epochs gives %zu numbers, but this run has %zu phases (%s): one number for each, such as --epochs 1,3",
             options.epochs->size(), metadata.phases.size(), join(names, ", ").c_str());
    }
    return *options.epochs;
}

Manifest new_run(ProgramState &state, const TrainOptions &options) {
    const Metadata &metadata = state.metadata;
    Manifest manifest;
    manifest.model = metadata.model;
    manifest.fingerprint = metadata.fingerprint();
    manifest.program = metadata.version;
    manifest.batch = metadata.batch;
    manifest.seed = options.seed.value_or(0);
    manifest.data = absolute(options.data);
    std::vector<int64_t> epochs;
    for (const Phase &phase : metadata.phases) epochs.push_back(phase.epochs);
    manifest.epochs = epochs_of(metadata, options, epochs);
    state.set_hypers(options.hypers);
    for (const Hyper &hyper : metadata.hypers)
        if (!hyper.generates) manifest.hypers[hyper.name] = state.scalars()[hyper.scalar];
    state.set("seed", double(manifest.seed));
    if (state.program.init) state.program.init(state.context());
    return manifest;
}

// What tells two checkpoints apart as those of different runs, of all that a run keeps from its start to its end: "seed 7, not 0". "" if nothing does.
std::string difference(const Manifest &a, const Manifest &b) {
    if (a.fingerprint != b.fingerprint) return "of another version of the model";
    if (a.batch != b.batch) return format("batches of %lld, not %lld", (long long)a.batch, (long long)b.batch);
    if (a.seed != b.seed) return format("seed %llu, not %llu", (unsigned long long)a.seed, (unsigned long long)b.seed);
    for (const auto &[name, value] : a.hypers)
        if (auto other = b.hypers.find(name); other != b.hypers.end() && other->second != value)
            return format("%s %s, not %s", name.c_str(), number_text(value).c_str(), number_text(other->second).c_str());
    auto differ = [](const std::string &one, const std::string &other) { return !one.empty() && !other.empty() && one != other; };
    if (a.records != b.records || differ(a.data_checksum, b.data_checksum)) return "other training data";
    return differ(a.validation_checksum, b.validation_checksum) ? "other validation data" : "";
}

std::string text_of(const BestSoFar &best) { return format("epoch %lld, %s %s", (long long)best.epoch, best.metric.c_str(), number_text(best.value).c_str()); }

// Found at the start, not after the epochs that are left of a phase.
void check_best_to_restore(const std::string &run, const Manifest &manifest, const Metadata &metadata) {
    const bool restores = std::any_of(metadata.phases.begin() + manifest.position.phase, metadata.phases.end(), [](const Phase &phase) { return phase.restore_best; });
    if (restores && manifest.best) check_best(run, manifest, metadata);
}

// More epochs for the current phase or later ones; the past cannot change.
void change_epochs(Manifest &manifest, const std::vector<int64_t> &epochs, const Metadata &metadata) {
    Position &position = manifest.position;
    bool complete = position.phase == int64_t(manifest.epochs.size());
    int64_t current = complete ? position.phase - 1 : position.phase;
    for (int64_t i = 0; i < current; ++i)
        if (epochs[size_t(i)] != manifest.epochs[size_t(i)])
            fail(ExitCode::usage, "--epochs: phase %s is over after %lld epochs; that cannot be changed on resume",
                 metadata.phases[size_t(i)].name.c_str(), (long long)manifest.epochs[size_t(i)]);
    int64_t done = complete ? manifest.trained.back() : position.epoch_in_phase;
    int64_t now = epochs[size_t(current)];
    if (now < done + (!complete && position.batch > 0))
        fail(ExitCode::usage, "--epochs %lld: phase %s has already had more", (long long)now,
             metadata.phases[size_t(current)].name.c_str());
    // A phase that ran out of patience stays over, unless it is given more epochs than it had.
    if (complete && now > manifest.epochs.back()) {
        position.phase = current;
        position.epoch_in_phase = done;
        manifest.trained.pop_back();
    }
    manifest.epochs = epochs;
}

Manifest resumed_run(ProgramState &state, const TrainOptions &options, const std::string &from) {
    const Metadata &metadata = state.metadata;
    Manifest manifest = load_checkpoint(options.run, from, state, true);
    if (manifest.batch != metadata.batch)
        fail(ExitCode::checkpoint, "%s/%s was made with batches of %lld; this program's are of %lld", options.run.c_str(), from.c_str(),
             (long long)manifest.batch, (long long)metadata.batch);
    if (options.seed && *options.seed != manifest.seed)
        fail(ExitCode::usage, "--seed %llu differs from the checkpoint's %llu: leave it out, or start a new run",
             (unsigned long long)*options.seed, (unsigned long long)manifest.seed);
    for (const auto &[name, value] : options.hypers) {
        auto saved = manifest.hypers.find(name);
        if (saved != manifest.hypers.end() && saved->second != value)
            fail(ExitCode::usage, "--%s %s differs from the checkpoint's %s: leave it out, or start a new run", name.c_str(),
                 number_text(value).c_str(), number_text(saved->second).c_str());
    }
    const Position &p = manifest.position;
    bool sound = manifest.epochs.size() == metadata.phases.size() && int64_t(manifest.trained.size()) == p.phase && p.phase <= int64_t(manifest.epochs.size()) &&
                 p.batch >= 0 && p.step >= 0 && p.epoch >= 0;
    if (!sound)
        fail(ExitCode::checkpoint, "%s/%s is a checkpoint of a run with %zu phases; this program has %zu", options.run.c_str(), from.c_str(),
             manifest.epochs.size(), metadata.phases.size());
    change_epochs(manifest, epochs_of(metadata, options, manifest.epochs), metadata);
    check_best_to_restore(options.run, manifest, metadata);
    if (!options.data.empty()) manifest.data = absolute(options.data);
    return manifest;
}

}  // namespace

RunFolder::RunFolder(const TrainOptions &options)
    : lock(locked(options.run)), earlier(options.run, {"last", "best", "metrics.csv", "metrics.jsonl"}) {
    recover(options.run);
    for (const char *file : {"/metrics.csv", "/metrics.jsonl"}) remove_unfinished(options.run + file);
    if (!options.resume && !options.overwrite && holds_run(options.run))
        fail(ExitCode::checkpoint,
             "%s already holds a run: go on with it by --resume, replace it by --overwrite, or name another --run", options.run.c_str());
}

std::string latest_checkpoint(const std::string &run, const Metadata &metadata) {
    if (!has_checkpoint(run, "last")) return has_checkpoint(run, "best") ? "best" : "";
    if (!has_checkpoint(run, "best")) return "last";
    const Manifest last = read_manifest(run, "last", metadata), best = read_manifest(run, "best", metadata);
    return difference(last, best).empty() && best.position.epoch == last.position.epoch + 1 ? "best" : "last";
}

void check_best(const std::string &run, const Manifest &manifest, const Metadata &metadata) {
    const BestSoFar &known = *manifest.best;
    const std::string place = run + "/best", wanted = text_of(known) + ": put back the best/ of this run, or start a new run";
    if (!has_checkpoint(run, "best"))
        fail(ExitCode::checkpoint, "%s is not there, but a phase is to end with the best state, that of %s", place.c_str(), wanted.c_str());
    const Manifest best = read_manifest(run, "best", metadata);
    if (const std::string differs = difference(best, manifest); !differs.empty())
        fail(ExitCode::checkpoint, "%s is a checkpoint of another run (%s), but a phase is to end with the best state of this one, that of %s", place.c_str(), differs.c_str(), wanted.c_str());
    const bool same = best.best && best.position.epoch == known.epoch && best.best->epoch == known.epoch && best.best->metric == known.metric && best.best->value == known.value;
    if (!same)
        fail(ExitCode::checkpoint, "%s is the state after epoch %lld (the best so far is there %s), but a phase is to end with that of %s", place.c_str(), (long long)best.position.epoch,
             best.best ? text_of(*best.best).c_str() : "none", wanted.c_str());
}

void begin_with_weights(ProgramState &state, const TrainOptions &options) {
    const InitialWeights weights = load_initial_weights(options.init, state, options.init_only);
    if (options.init_only.empty()) return;  // the whole file
    Progress(style_for(options.out, options.quiet), options.out)
        .line(format("%s: %zu of %zu tensors taken; of the %zu of this program %zu begin as usual", options.init.c_str(), weights.taken, weights.in_file, weights.in_program,
                     weights.in_program - weights.taken));
}

Manifest begin_run(ProgramState &state, const TrainOptions &options, const std::string &from) {
    if (from.empty()) return new_run(state, options);
    if (!options.init.empty())
        fail(ExitCode::usage, "--resume and --init exclude each other where there is something to resume: a run goes on with its own weights, those of %s/%s; leave --init out",
             options.run.c_str(), from.c_str());
    return resumed_run(state, options, from);
}

}  // namespace kiln::runtime
