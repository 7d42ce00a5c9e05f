#include "train/trainer.h"

#include "checkpoint/checkpoint.h"
#include "data/batch_stream.h"
#include "data/shuffle.h"
#include "support/file.h"
#include "support/text.h"
#include "train/augmenter.h"
#include "train/evaluate.h"
#include "train/label_unlabelled.h"
#include "train/metrics_log.h"
#include "train/mixture.h"
#include "train/progress.h"
#include "train/run_folder.h"
#include "train/signals.h"
#include "train/training_data.h"

#include <unistd.h>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <csignal>
#include <numeric>

namespace kiln::runtime {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

struct StopSignals {
    StopSignals() { catch_stop_signals(); }
    ~StopSignals() { release_stop_signals(); }
};

class Trainer {
public:
    Trainer(ProgramState &state, const TrainOptions &options);
    ExitCode run();

private:
    enum class Outcome { done, stopped };
    Outcome run_epoch();
    Outcome run_steps();
    void check_unlabelled();
    void check_data();
    Outcome refresh_pseudo_labels();
    StepClock clock() const;
    BatchTransform augmentation(Augmenter &augmenter) const;
    void step(const Batch &batch);
    std::string next_step() const;
    std::string saved_before() const;
    void close_epoch();
    void end_phase();
    void count_batches();
    bool out_of_patience();
    void restore_best();
    void note_best(const std::vector<double> &values, int64_t epoch);
    void begin_to_write();
    void save(const std::string &name);
    bool save_is_due() const;
    void show_progress();
    ProgressState progress_state() const;
    std::vector<std::string> train_names() const;
    std::vector<double> train_values(const std::vector<double> &values) const;
    double seconds() const { return earlier_seconds_ + seconds_since(start_); }
    int64_t total_epochs() const;
    int64_t steps_left() const;
    bool complete() const { return position().phase == int64_t(metadata_.phases.size()); }
    bool phase_has_its_epochs() const { return position().epoch_in_phase >= manifest_.epochs[size_t(position().phase)]; }
    const Phase &phase() const { return metadata_.phases[size_t(position().phase)]; }
    Position &position() { return manifest_.position; }
    const Position &position() const { return manifest_.position; }

    ProgramState &state_;
    const Metadata &metadata_;
    const TrainOptions &options_;
    RunFolder folder_;
    const std::string from_;  ///< the checkpoint that the run goes on from, "" for a new run
    Manifest manifest_;
    const TrainingData data_;
    std::vector<int64_t> steps_;               ///< of an epoch, by phase
    int64_t batches_ = 0;  ///< a full epoch's of the phase
    std::optional<MetricsLog> log_;
    std::optional<StopSignals> signals_;
    Progress progress_;
    Clock::time_point start_ = Clock::now(), epoch_start_ = start_, last_save_ = start_;
    int64_t epoch_first_batch_ = 0, steps_since_save_ = 0, run_first_step_ = 0;
    double earlier_seconds_ = 0;
    bool unsaved_ = false;  ///< a phase has ended since last/ was saved
};

Trainer::Trainer(ProgramState &state, const TrainOptions &options)
    : state_(state),
      metadata_(state.metadata),
      options_(options),
      folder_(options),
      from_(options.resume ? latest_checkpoint(options.run, state.metadata) : ""),
      manifest_(begin_run(state, options, from_)),
      data_(manifest_.data, metadata_, state.vocabularies, state.program.eval_step != nullptr),
      progress_(style_for(options.out, options.quiet), options.out) {
    if (from_.empty() && !options.init.empty()) begin_with_weights(state, options);
    check_unlabelled();
    steps_ = steps_per_epoch(data_.training, metadata_);
    check_data();
    count_batches();
    if (position().batch > batches_)
        fail(ExitCode::checkpoint, "%s/%s stands at batch %lld of %lld", options.run.c_str(), from_.c_str(),
             (long long)position().batch, (long long)batches_);
    for (const std::string &text : state.unmet_plan(manifest_.epochs, steps_))
        std::fprintf(stderr, "warning: %s\n", text.c_str());
    auto best = std::find(metadata_.samples.begin(), metadata_.samples.end(), metadata_.best_metric);
    bool measured = best != metadata_.samples.end() && (data_.validation || metadata_.in_training[size_t(best - metadata_.samples.begin())]);
    for (const Phase &each : metadata_.phases)
        if (!measured && (each.patience > 0 || each.restore_best))
            fail(ExitCode::usage, "the phase %s goes by %s, which is not measured: there is no validation split",
                 each.name.c_str(), metadata_.best_metric.c_str());
    signals_.emplace();  // before the first file, which tells that a run has begun; not while data are opened, which ends at once
    if (!options.overwrite) begin_to_write();
    earlier_seconds_ = manifest_.seconds;
    run_first_step_ = position().step;
}

void Trainer::check_unlabelled() {
    for (const auto &[name, set] : data_.unlabelled) {
        check_probabilities(state_, name, set);
        const PseudoLabels *labels = state_.pseudo_labels.find(name);
        if (labels && int64_t(labels->classes.size()) != set.records)
            fail(ExitCode::data, "split %s has %lld records (%s), but the checkpoint has pseudo-labels of %zu: a run resumes only on its own data", name.c_str(),
                 (long long)set.records, set.description.c_str(), labels->classes.size());
    }
}

/// A run goes on with its own data alone, wherever they lie by now.
void Trainer::check_data() {
    auto refuse = [this](const char *which, const std::string &differs) {
        fail(ExitCode::data, "the %s data in %s %s that the checkpoint was made with, in %s: a run resumes only on its own data", which, manifest_.data.c_str(), differs.c_str(),
             read_manifest(options_.run, from_, metadata_).data.c_str());
    };
    const int64_t records = data_.records();
    const std::string checksum = data_.checksum(), validation = data_.validation_checksum();
    if (!from_.empty() && manifest_.records != records)
        refuse("training", format("have %lld records, %lld in those", (long long)records, (long long)manifest_.records));
    if (!manifest_.data_checksum.empty() && manifest_.data_checksum != checksum) refuse("training", "differ from those");
    if (!manifest_.validation_checksum.empty() && manifest_.validation_checksum != validation) refuse("validation", "differ from those");
    manifest_.records = records;
    manifest_.data_checksum = checksum;
    manifest_.validation_checksum = validation;
}

ExitCode Trainer::run() {
    if (options_.resume && from_.empty()) progress_.line(format("there is nothing to resume in %s: training starts", options_.run.c_str()));
    if (from_ == "best") save("last");  // before the next best/ takes its place
    if (complete()) {
        progress_.line(format("%s is complete: %lld epochs, %lld steps; --epochs N trains on", options_.run.c_str(),
                              (long long)position().epoch, (long long)position().step));
        return ExitCode::ok;
    }
    if (position().step > 0)
        progress_.line(format("resuming at step %lld (epoch %lld, batch %lld of %lld)", (long long)position().step + 1,
                              (long long)position().epoch + 1, (long long)position().batch, (long long)batches_));
    start_ = last_save_ = Clock::now();
    while (!complete()) {
        if (phase_has_its_epochs()) {  // of none, or by the --epochs that it is resumed with
            end_phase();
        } else if (run_epoch() == Outcome::stopped) {
            save("last");
            int signal = stop_signal();
            progress_.line(format("stopped by %s after step %lld; saved in %s/last, --resume goes on",
                                  signal == SIGINT    ? "Ctrl-C"
                                  : signal == SIGTERM ? "SIGTERM"
                                                      : "SIGHUP",
                                  (long long)position().step, options_.run.c_str()));
            return ExitCode(128 + signal);
        }
    }
    if (unsaved_) save("last");
    return ExitCode::ok;
}

Trainer::Outcome Trainer::run_epoch() {
    epoch_start_ = Clock::now();
    epoch_first_batch_ = position().batch;
    if (position().batch == 0) std::fill(state_.sums().begin(), state_.sums().end(), 0.0);
    if (refresh_pseudo_labels() == Outcome::stopped) return Outcome::stopped;
    if (run_steps() == Outcome::stopped) return Outcome::stopped;
    double training_seconds = seconds_since(epoch_start_);
    std::optional<Evaluation> validation;
    if (data_.validation) {
        validation = evaluate(state_, *data_.validation, [] { return stop_signal() != 0; });
        if (!validation) return Outcome::stopped;
    }

    std::vector<double> values = reported(state_, state_.sums(), double(batches_ * metadata_.batch));
    int64_t epoch = position().epoch + 1;
    EpochRow row{epoch,
                 phase().name,
                 position().step,
                 state_.get("rate", std::nan("")),
                 values,
                 validation ? validation->values : std::vector<double>{},
                 training_seconds > 0 ? double((batches_ - epoch_first_batch_) * metadata_.batch) / training_seconds : 0,
                 seconds(),
                 pseudo_reports(state_, phase())};
    begin_to_write();
    close_epoch();
    log_->append(row);
    std::string text = format("epoch %lld/%lld  ", (long long)epoch, (long long)total_epochs()) +
                       metrics_text(train_names(), train_values(values));
    if (metadata_.phases.size() > 1) text = row.phase + " " + text;
    if (validation) text += "  validation " + metrics_text(metadata_.samples, validation->values);
    progress_.line(text + format("  %.0f samples/s  %.1f s", row.samples_per_second, seconds_since(epoch_start_)));
    // best/ first: once last/ says that this epoch is done, best/ is never written for it again.
    note_best(validation ? validation->values : values, epoch);
    if (phase_has_its_epochs() || out_of_patience()) end_phase();
    save("last");
    return stop_signal() && !complete() ? Outcome::stopped : Outcome::done;
}

/// Labels for the epoch that begins: all of the phase's at its start, then those that every epoch has anew. Within an epoch they are the checkpoint's.
Trainer::Outcome Trainer::refresh_pseudo_labels() {
    const bool first = position().epoch_in_phase == 0;
    const auto &mix = phase().mix;
    auto wanted = [&](const MixPart &part) { return part.pseudo && (first || part.every_epoch || state_.pseudo_labels.phase != position().phase); };
    if (position().batch > 0 || std::none_of(mix.begin(), mix.end(), wanted)) return Outcome::done;
    if (!label_unlabelled(state_, position().phase, first, data_.splits, [] { return stop_signal() != 0; })) return Outcome::stopped;
    for (const PseudoReport &report : pseudo_reports(state_, phase())) {
        progress_.line(describe(report, state_));
        check_confident(report, *state_.pseudo_labels.find(report.split), batches_);
    }
    return Outcome::done;
}

Trainer::Outcome Trainer::run_steps() {
    std::optional<Mixture> mixture;
    if (!phase().mix.empty()) mixture.emplace(state_, phase(), data_.splits);
    const Dataset &training = mixture ? mixture->dataset() : data_.training.at(phase().split);
    const std::vector<Column> &columns = mixture ? mixture->columns() : metadata_.columns;
    auto order = mixture            ? mixture->order(manifest_.seed, position().epoch, batches_)
                 : metadata_.shuffle ? shuffled_order(training.records, manifest_.seed, uint64_t(position().epoch))
                                     : std::vector<int64_t>{};
    Augmenter augmenter(state_, position().phase);
    BatchStream stream(training, columns, metadata_.batch, std::move(order), {position().batch, batches_}, augmentation(augmenter));
    while (const Batch *batch = stream.next()) {
        step(*batch);
        if (stop_signal()) return Outcome::stopped;
        if (save_is_due()) save("last");
        if (progress_.due()) show_progress();
    }
    return Outcome::done;
}

StepClock Trainer::clock() const {
    return {.seed = int64_t(manifest_.seed),
            .step = position().step + 1,
            .epoch = position().epoch,
            .phase = position().phase,
            .steps_per_epoch = batches_,
            .phase_step = position().epoch_in_phase * batches_ + position().batch,
            .phase_steps = manifest_.epochs[size_t(position().phase)] * batches_};
}

/// Runs on the background thread, so it knows the position that the epoch, or the rest of it, began at.
BatchTransform Trainer::augmentation(Augmenter &augmenter) const {
    if (augmenter.columns().empty()) return {};
    BatchTransform transform;
    transform.bytes.resize(metadata_.columns.size());
    for (size_t column : augmenter.columns()) transform.bytes[column] = augmenter.bytes(column);
    transform.run = [&augmenter, first = position().batch, start = clock()](
                        int64_t batch, const std::vector<const void *> &raw, const std::vector<void *> &made) {
        StepClock now = start;
        now.step += batch - first;
        now.phase_step += batch - first;
        augmenter.run(now, raw, made);
    };
    return transform;
}

void Trainer::step(const Batch &batch) {
    clock().write(metadata_, state_.scalars());
    state_.set_columns(batch.columns);
    state_.program.step_rule(state_.context(), int32_t(position().phase));
    const double rate = state_.get("rate", 0);
    if (!(rate >= 0 && std::isfinite(rate)))
        fail(ExitCode::not_finite, "the learning rate is %s in %s: the weights were not touched%s", short_number(rate).c_str(),
             next_step().c_str(), saved_before().c_str());
    if (int32_t result = state_.train_step(int32_t(position().phase)); result != KILN_STEP_OK) {
        if (result != KILN_STEP_NOT_FINITE) fail(ExitCode::internal, "%s failed with code %d", next_step().c_str(), result);
        const std::optional<SpoiltParameter> spoilt = state_.spoilt_parameter();
        fail(ExitCode::not_finite, "the loss is %s in %s, rate %s: %s%s", number_text(state_.get("loss", std::nan(""))).c_str(),
             next_step().c_str(), short_number(rate).c_str(),
             spoilt ? ("before it, " + spoilt->path + " had become " + spoilt->what).c_str() : "the weights were not touched", saved_before().c_str());
    }
    position().step += 1;
    position().batch += 1;
    steps_since_save_ += 1;
}

std::string Trainer::next_step() const {
    return format("step %lld (phase %s, epoch %lld, batch %lld of %lld)", (long long)position().step + 1, phase().name.c_str(),
                  (long long)position().epoch + 1, (long long)position().batch + 1, (long long)batches_);
}

/// The end of a message: where the state before what went wrong is.
std::string Trainer::saved_before() const {
    if (!has_checkpoint(options_.run, "last")) return "";
    return (log_ ? "; the last checkpoint is in " : "; the run that was to be replaced is still in ") + options_.run + "/last";
}

void Trainer::close_epoch() {
    for (size_t i = 0; i < metadata_.samples.size(); ++i)
        if (metadata_.samples[i] == "loss") state_.set("loss", state_.sums()[i] / double(batches_ * metadata_.batch));
    if (state_.program.epoch_end) state_.program.epoch_end(state_.context(), int32_t(position().phase));
    std::fill(state_.sums().begin(), state_.sums().end(), 0.0);
    position().epoch += 1;
    position().epoch_in_phase += 1;
    position().batch = 0;
}

/// All that the end of a phase is, whatever ends it.
void Trainer::end_phase() {
    if (phase().restore_best) restore_best();
    manifest_.trained.push_back(position().epoch_in_phase);
    position().phase += 1;
    position().epoch_in_phase = 0;
    state_.clear_gradients();
    count_batches();
    unsaved_ = true;
}

void Trainer::count_batches() { batches_ = steps_[std::min(size_t(position().phase), steps_.size() - 1)]; }

int64_t Trainer::total_epochs() const {
    int64_t total = std::accumulate(manifest_.trained.begin(), manifest_.trained.end(), int64_t(0));
    return std::accumulate(manifest_.epochs.begin() + position().phase, manifest_.epochs.end(), total);
}

// Counted from the epoch that is the best so far, or from the start of the phase if that is later.
bool Trainer::out_of_patience() {
    if (phase().patience == 0) return false;
    const int64_t epochs_before = position().epoch - position().epoch_in_phase;
    const int64_t waited = position().epoch - std::max(manifest_.best ? manifest_.best->epoch : 0, epochs_before);
    if (waited < phase().patience) return false;
    std::string best = manifest_.best ? format("; the best is %s, of epoch %lld", number_text(manifest_.best->value).c_str(),
                                               (long long)manifest_.best->epoch)
                                      : "";
    progress_.line(format("phase %s is over: no better %s%s for %lld epoch%s%s", phase().name.c_str(),
                          data_.validation ? "validation " : "", metadata_.best_metric.c_str(), (long long)waited,
                          waited == 1 ? "" : "s", best.c_str()));
    return true;
}

// Everything is as it was after the best epoch, the optimizer's state and the rules' memory too; only the position goes on.
void Trainer::restore_best() {
    if (!manifest_.best || manifest_.best->epoch == position().epoch) return;
    check_best(options_.run, manifest_, metadata_);
    PseudoLabelSets labels = std::move(state_.pseudo_labels);  // of the phase, should it be given more epochs
    load_checkpoint(options_.run, "best", state_, true);
    state_.pseudo_labels = std::move(labels);
    std::fill(state_.sums().begin(), state_.sums().end(), 0.0);
    progress_.line(format("back to the best epoch, %lld", (long long)manifest_.best->epoch));
}

void Trainer::note_best(const std::vector<double> &values, int64_t epoch) {
    auto found = std::find(metadata_.samples.begin(), metadata_.samples.end(), metadata_.best_metric);
    if (found == metadata_.samples.end()) return;
    if (!data_.validation && !metadata_.in_training[size_t(found - metadata_.samples.begin())]) return;
    double value = values[size_t(found - metadata_.samples.begin())];
    if (std::isnan(value)) return;
    bool higher = metadata_.higher_is_better(metadata_.best_metric);
    if (manifest_.best && !(higher ? value > manifest_.best->value : value < manifest_.best->value)) return;
    manifest_.best = BestSoFar{metadata_.best_metric, value, epoch};
    save("best");
}

/// From here on the folder holds this run. One that it replaces has stayed until there is something to save in its place, and is back if
/// that fails.
void Trainer::begin_to_write() {
    if (log_) return;
    if (options_.overwrite) folder_.earlier.put_aside();
    log_.emplace(options_.run, metadata_, data_.validation.has_value(), position().epoch);
}

void Trainer::save(const std::string &name) {
    // A gradient may be NaN although the loss is not; the loss of the next step would tell too late.
    if (const std::optional<SpoiltParameter> spoilt = state_.spoilt_parameter())
        fail(ExitCode::not_finite, "%s is %s after step %lld, though the loss was finite: nothing of it is saved%s", spoilt->path.c_str(),
             spoilt->what, (long long)position().step, saved_before().c_str());
    begin_to_write();
    manifest_.seconds = seconds();
    for (size_t i = 0; i < metadata_.means.size(); ++i) manifest_.sums[metadata_.means[i]] = state_.sums()[i];
    save_checkpoint(options_.run, name, state_, manifest_);
    if (name == "last") {
        folder_.earlier.done();
        unsaved_ = false;
    }
    last_save_ = Clock::now();
    steps_since_save_ = 0;
}

bool Trainer::save_is_due() const {
    const SaveEvery &every = options_.save_every;
    if (position().batch == batches_) return false;  // the end of the epoch follows
    return (every.steps > 0 && steps_since_save_ >= every.steps) ||
           (every.seconds > 0 && seconds_since(last_save_) >= every.seconds);
}

std::vector<std::string> Trainer::train_names() const {
    std::vector<std::string> names;
    for (size_t i = 0; i < metadata_.samples.size(); ++i)
        if (metadata_.in_training[i]) names.push_back(metadata_.samples[i]);
    return names;
}

std::vector<double> Trainer::train_values(const std::vector<double> &values) const {
    std::vector<double> out;
    for (size_t i = 0; i < values.size(); ++i)
        if (metadata_.in_training[i]) out.push_back(values[i]);
    return out;
}

int64_t Trainer::steps_left() const {
    int64_t steps = -(position().epoch_in_phase * batches_ + position().batch);
    for (auto phase = size_t(position().phase); phase < steps_.size(); ++phase) steps += manifest_.epochs[phase] * steps_[phase];
    return steps;
}

ProgressState Trainer::progress_state() const {
    ProgressState s;
    if (metadata_.phases.size() > 1) s.phase = phase().name;
    s.epoch = position().epoch + 1;
    s.epochs = total_epochs();
    s.batch = position().batch;
    s.batches = batches_;
    double per_step = seconds_since(start_) / double(std::max<int64_t>(position().step - run_first_step_, 1));
    s.seconds_left = per_step * double(steps_left());
    s.samples_per_second =
        double((position().batch - epoch_first_batch_) * metadata_.batch) / std::max(seconds_since(epoch_start_), 1e-9);
    s.names = train_names();
    s.values = train_values(reported(state_, state_.sums(), double(std::max<int64_t>(position().batch, 1) * metadata_.batch)));
    return s;
}

void Trainer::show_progress() { progress_.update(progress_state()); }

}  // namespace

ExitCode train(ProgramState &state, const TrainOptions &options) {
    if (!state.program.train_step || state.metadata.phases.empty())
        fail(ExitCode::usage, "%s declares no training: this program can only predict", state.metadata.source.c_str());
    bool existed = exists(options.run);
    try {
        return Trainer(state, options).run();
    } catch (...) {
        // Nothing but an empty folder is left of a run that could not begin.
        if (!existed) ::rmdir(options.run.c_str());
        throw;
    }
}

}  // namespace kiln::runtime
