// scan: the settings of the scan block, each value alone, then the best of each together. Every trial is an ordinary run in a
// folder of its own, so that an interrupted scan goes on where it stood. Trials of one seed start from the same weights and see the
// same batches, so differences come from the setting; the spread over seeds says which of them mean anything.
//
// Values of a const that this program was not compiled with need others: the scan has the compiler build them from the source that
// the program carries, and each runs its trials by `scan --trial`.
#include "checkpoint/checkpoint.h"
#include "commands/commands.h"
#include "commands/process.h"
#include "data/vocabulary.h"
#include "support/failure.h"
#include "support/file.h"
#include "support/hash.h"
#include "support/replacement.h"
#include "support/text.h"
#include "train/evaluate.h"
#include "train/signals.h"
#include "train/training_data.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <numeric>
#include <sstream>

namespace kiln::runtime {
namespace {

using Clock = std::chrono::steady_clock;

/// A value for each setting.
struct Trial {
    std::vector<size_t> choice;       ///< by setting, an index of its values
    std::vector<double> scores;       ///< by seed
    std::vector<std::vector<double>> curves;  ///< by seed: the validation metric after each epoch; empty without one

    double mean() const { return std::accumulate(scores.begin(), scores.end(), 0.0) / double(scores.size()); }
    /// The standard deviation over seeds, of a sample.
    double spread() const {
        double squares = 0;
        for (double score : scores) squares += (score - mean()) * (score - mean());
        return scores.size() > 1 ? std::sqrt(squares / double(scores.size() - 1)) : 0;
    }
};

class Scanner {
public:
    Scanner(const KilnProgram &program, const Metadata &metadata, const ScanOptions &options)
        : program_(program), metadata_(metadata), options_(options), scan_(*metadata.scan), seeds_(options.seeds.value_or(scan_.seeds)) {
        for (Split &split : metadata_.splits)
            if (split.name == "train") split = scan_.training;
    }

    ExitCode run() {
        if (!options_.trial.empty()) {
            end_with_parent();
            return train_one(options_.hypers, int64_t(options_.seed.value_or(0)), options_.trial);
        }
        claim();
        for (const Scan::Setting &setting : scan_.settings)
            if (setting.regularizes)
                std::printf("warning: %s regularizes: a small sample is overfitted sooner than the whole set, so what is best here is too strong for it\n", setting.name.c_str());
        const std::vector<size_t> none(scan_.settings.size(), 0);
        std::vector<std::vector<size_t>> alone{none};
        for (size_t s = 0; s < scan_.settings.size(); ++s)
            for (size_t v = 1; v < scan_.settings[s].values.size(); ++v) {
                alone.push_back(none);
                alone.back()[s] = v;
            }
        // What cannot be trained is found before hours of others.
        for (const auto &choice : alone) ProgramState(program_, metadata_).set_hypers(hypers(choice));
        for (const auto &choice : alone)
            if (ExitCode code = build(choice); code != ExitCode::ok) return code;
        start_ = Clock::now();
        planned_ = int64_t(alone.size() + 1) * seeds_;  // and the combination
        for (const auto &choice : alone)
            if (ExitCode code = try_choice(choice); code != ExitCode::ok) return code;
        std::vector<size_t> winners = none;
        for (const Trial &trial : trials_)
            for (size_t s = 0; s < winners.size(); ++s)
                if (trial.choice[s] != 0 && better(trial, *find(with(none, s, winners[s])))) winners[s] = trial.choice[s];
        if (find(winners)) std::printf("the winners together are %s, which is trained already\n", title(winners).c_str());
        if (ExitCode code = build(winners); code != ExitCode::ok) return code;
        if (ExitCode code = try_choice(winners); code != ExitCode::ok) return code;
        report(*find(none), *find(winners));
        return ExitCode::ok;
    }

private:
    static std::vector<size_t> with(std::vector<size_t> choice, size_t setting, size_t value) {
        choice[setting] = value;
        return choice;
    }
    const Trial *find(const std::vector<size_t> &choice) const {
        for (const Trial &trial : trials_)
            if (trial.choice == choice) return &trial;
        return nullptr;
    }
    bool better(const Trial &a, const Trial &b) const { return scan_.higher_is_better ? a.mean() > b.mean() : a.mean() < b.mean(); }

    /// "rotation = 5deg, shift = 0.1", or "none".
    std::string title(const std::vector<size_t> &choice, bool all = false) const {
        std::vector<std::string> parts;
        for (size_t s = 0; s < choice.size(); ++s)
            if (all || choice[s] != 0) parts.push_back(scan_.settings[s].name + " = " + scan_.settings[s].values[choice[s]].text);
        return parts.empty() ? "none" : join(parts, ", ");
    }
    std::string folder(const std::vector<size_t> &choice, int64_t seed) const {
        std::vector<std::string> parts;
        for (size_t s = 0; s < choice.size(); ++s)
            if (choice[s] != 0) parts.push_back(scan_.settings[s].name + "-" + std::to_string(choice[s] + 1));
        return options_.run + "/trials/" + (parts.empty() ? "none" : join(parts, "_")) + "/seed-" + std::to_string(seed);
    }

    /// What makes two scans the same: kept in the folder, so that one is not continued as another.
    std::string description() const {
        std::string text = metadata_.fingerprint() + " " + hash_text(xxh64(scan_.source.data(), scan_.source.size())) + "\n";
        for (const Scan::Setting &setting : scan_.settings) {
            text += setting.name;
            for (const Scan::Value &value : setting.values) text += " " + (setting.constant ? value.define : number_text(value.number));
            text += "\n";
        }
        for (const auto &[name, value] : options_.hypers) text += "--" + name + " " + number_text(value) + "\n";
        text += format("%s.%s seed %llu epochs", scan_.on.c_str(), scan_.metric.c_str(), (unsigned long long)options_.seed.value_or(0));
        for (int64_t epochs : epochs()) text += " " + std::to_string(epochs);
        return text + "\n";
    }
    /// The line of scan.txt by which the data are known again: what the trials train on and what they are measured on.
    std::string data_description() const {
        Vocabularies vocabularies;
        const TrainingData data(options_.data, metadata_, vocabularies, program_.eval_step != nullptr);
        std::vector<std::string> parts{"data", data.checksum(), data.validation_checksum()};
        if (scan_.on != "validation") parts.push_back(hash_text(sample_checksum(open_split(options_.data, metadata_, scan_.on, vocabularies), metadata_.columns)));
        return join(parts, " ") + "\n";
    }
    /// By phase.
    std::vector<int64_t> epochs() const {
        if (options_.epochs) return *options_.epochs;
        if (scan_.epochs > 0) return {scan_.epochs};
        std::vector<int64_t> epochs;
        for (const Phase &phase : metadata_.phases) epochs.push_back(phase.epochs);
        return epochs;
    }
    std::map<std::string, double> hypers(const std::vector<size_t> &choice) const {
        std::map<std::string, double> values = options_.hypers;
        for (size_t s = 0; s < choice.size(); ++s)
            if (!scan_.settings[s].constant) values[scan_.settings[s].name] = scan_.settings[s].values[choice[s]].number;
        return values;
    }

    /// The program that has a choice's values of constants: "" if it is this one.
    std::string program_of(const std::vector<size_t> &choice) const {
        std::vector<std::string> parts;
        bool other = false;
        for (size_t s = 0; s < choice.size(); ++s) {
            if (!scan_.settings[s].constant) continue;
            parts.push_back(scan_.settings[s].name + "-" + std::to_string(choice[s] + 1));
            other |= scan_.settings[s].built != int64_t(choice[s]);
        }
        return other ? options_.run + "/programs/" + join(parts, "_") : "";
    }

    /// Has the compiler build the program of a choice, unless it is there.
    ExitCode build(const std::vector<size_t> &choice) {
        const std::string program = program_of(choice), source = options_.run + "/scan.model", made = program + ".new";
        if (program.empty() || exists(program)) return ExitCode::ok;
        find_compiler();
        make_folders(options_.run + "/programs");
        replace_file(source, scan_.source);
        std::vector<std::string> command{options_.kiln, "build", source, "-o", made}, values;
        command.insert(command.end(), scan_.build.begin(), scan_.build.end());
        for (size_t s = 0; s < choice.size(); ++s)
            if (const Scan::Setting &setting = scan_.settings[s]; setting.constant) {
                values.push_back(setting.name + " = " + setting.values[choice[s]].text);
                command.insert(command.end(), {"-D", setting.name + "=" + setting.values[choice[s]].define});
            }
        std::printf("building the program of %s\n", join(values, ", ").c_str());
        std::fflush(stdout);
        const Ended ended = start(command);
        if (ended.code > 128) return ExitCode(ended.code);
        if (ended.code != 0) fail(ExitCode::usage, "%s does not compile with %s", metadata_.source.c_str(), join(values, ", ").c_str());
        if (::rename(made.c_str(), program.c_str()) != 0) fail(ExitCode::disk, "cannot rename %s: %s", made.c_str(), std::strerror(errno));
        return ExitCode::ok;
    }

    /// Throws Failure (usage) unless there is a compiler of the version that made this program.
    void find_compiler() const {
        std::string version;
        const char *name = options_.kiln.c_str();
        if (!run_program({options_.kiln, "--version"}, &version).found)
            fail(ExitCode::usage, "the scan sets constants, and the compiler that their values need is not there: there is no program %s; put `kiln` into PATH, or give --kiln FILE", name);
        version = version.substr(0, version.find('\n'));
        if (version != metadata_.version)
            fail(ExitCode::usage, "%s is `%s`, but this program was made by `%s`", name, version.c_str(), metadata_.version.c_str());
    }

    static Ended start(const std::vector<std::string> &command) {
        catch_stop_signals();
        const Ended ended = run_program(command);
        release_stop_signals();
        return ended;
    }

    void claim() {
        const std::string path = options_.run + "/scan.txt";
        refuse_within_checkpoint(options_.run);
        lock_ = lock_folder(options_.run);
        if (!lock_.valid()) fail(ExitCode::checkpoint, "another scan is writing to %s", options_.run.c_str());
        earlier_.emplace(options_.run, std::vector<std::string>{"scan.txt", "scan.model", "programs", "trials", "ranking.csv", "curves.svg", "best.model"});
        for (const char *file : {"scan.txt", "scan.model", "ranking.csv", "curves.svg", "best.model"}) remove_unfinished(options_.run + "/" + file);
        if (exists(path) && !options_.resume && !options_.overwrite)
            fail(ExitCode::checkpoint, "%s already holds a scan: go on with it by --resume, replace it by --overwrite, or name another --run", options_.run.c_str());
        const std::string data = data_description();
        if (options_.overwrite) earlier_->put_aside();
        if (exists(path)) check_found(path, data);
        replace_file(path, description() + data);
    }

    /// A scan goes on with its own values and data alone.
    void check_found(const std::string &path, const std::string &data) const {
        const std::string found = read_file(path, ExitCode::checkpoint), own = description();
        if (!found.starts_with(own))
            fail(ExitCode::checkpoint, "%s holds a scan of other values, seeds, epochs or hypers, or of another model", options_.run.c_str());
        if (found.size() > own.size() && found != own + data)  // a scan of before there was this line has none
            fail(ExitCode::data, "the data in %s differ from those that the scan in %s was begun with: a scan resumes only on its own data", options_.data.c_str(), options_.run.c_str());
    }

    ExitCode try_choice(const std::vector<size_t> &choice) {
        if (find(choice)) return ExitCode::ok;
        Trial trial;
        trial.choice = choice;
        for (int64_t i = 0; i < seeds_; ++i) {
            const auto seed = int64_t(options_.seed.value_or(0)) + i;
            const std::string run = folder(choice, seed), score = run + "/score";
            const bool known = exists(score);
            if (!known) {
                remove_unfinished(score);
                const ExitCode code = train_choice(choice, seed, run);
                if (has_checkpoint(run, "last")) earlier_->done();  // there is something to resume from
                if (code != ExitCode::ok) return code;
            }
            trial.scores.push_back(score_in(score));
            trial.curves.push_back(curve_of(run));
            ++done_;
            if (!known) ++trained_;
            const double seconds = std::chrono::duration<double>(Clock::now() - start_).count();
            std::string left = trained_ > 0 && done_ < planned_ ? ", " + duration_text(seconds / double(trained_) * double(planned_ - done_)) + " left" : "";
            std::printf("%lld/%lld  %s, seed %lld: %s %s %s%s%s\n", (long long)done_, (long long)planned_, title(choice).c_str(), (long long)seed, scan_.on.c_str(),
                        scan_.metric.c_str(), short_number(trial.scores.back()).c_str(), known ? "  (from before)" : "", left.c_str());
            std::fflush(stdout);
        }
        trials_.push_back(std::move(trial));
        return ExitCode::ok;
    }

    /// What train_one wrote into a file.
    static double score_in(const std::string &path) {
        const std::string text = read_file(path, ExitCode::checkpoint);
        char *end = nullptr;
        const double score = std::strtod(text.c_str(), &end);
        if (end == text.c_str() || std::string_view(end) != "\n" || std::isnan(score))
            fail(ExitCode::checkpoint, "%s holds `%.60s`, which is no score: remove it, and --resume measures the trial again", path.c_str(), text.substr(0, text.find('\n')).c_str());
        return score;
    }

    ExitCode train_choice(const std::vector<size_t> &choice, int64_t seed, const std::string &run) {
        const std::string program = program_of(choice);
        if (program.empty()) return train_one(hypers(choice), seed, run);
        std::vector<std::string> phases;
        for (int64_t count : epochs()) phases.push_back(std::to_string(count));
        std::vector<std::string> command{program.find('/') == std::string::npos ? "./" + program : program, "scan", "--trial", run, "--seed", std::to_string(seed), "--epochs", join(phases, ",")};
        if (!options_.data.empty()) command.insert(command.end(), {"--data", options_.data});
        if (options_.threads > 0) command.insert(command.end(), {"--threads", std::to_string(options_.threads)});
        for (const auto &[name, value] : hypers(choice)) command.insert(command.end(), {"--with", name + "=" + number_text(value)});
        const Ended ended = start(command);
        if (!ended.found) fail(ExitCode::checkpoint, "%s cannot be run; remove it, and --resume builds it again", program.c_str());
        return ExitCode(ended.code);
    }

    ExitCode train_one(const std::map<std::string, double> &hypers, int64_t seed, const std::string &run) {
        ProgramState state(program_, metadata_);
        TrainOptions training;
        training.data = options_.data;
        training.run = run;
        training.epochs = epochs();
        training.seed = uint64_t(seed);
        training.hypers = hypers;
        training.resume = true;
        training.quiet = true;
        if (ExitCode code = train(state, training); code != ExitCode::ok) return code;
        Dataset dataset = open_split(options_.data, metadata_, scan_.on, state.vocabularies);
        std::optional<Evaluation> result = evaluate(state, dataset, [] { return false; });
        size_t metric = size_t(std::find(metadata_.samples.begin(), metadata_.samples.end(), scan_.metric) - metadata_.samples.begin());
        const double score = result->values.at(metric);
        if (std::isnan(score)) fail(ExitCode::not_finite, "%s %s of the trial %s is nan, which no score can be compared with", scan_.on.c_str(), scan_.metric.c_str(), run.c_str());
        replace_file(run + "/score", number_text(score) + "\n");
        return ExitCode::ok;
    }

    /// The column of the metric in a run's metrics.csv.
    std::vector<double> curve_of(const std::string &run) const {
        std::istringstream lines(read_file(run + "/metrics.csv", ExitCode::checkpoint));
        std::vector<double> curve;
        size_t column = 0;
        bool found = false;
        for (std::string line; std::getline(lines, line);) {
            std::istringstream cells(line);
            size_t i = 0;
            for (std::string cell; std::getline(cells, cell, ','); ++i) {
                if (curve.empty() && !found && cell == scan_.on + "_" + scan_.metric) column = i, found = true;
                else if (found && i == column) curve.push_back(std::strtod(cell.c_str(), nullptr));
            }
            if (!found) return {};
        }
        return curve;
    }

    void report(const Trial &none, const Trial &combined) const {
        std::vector<const Trial *> ranked;
        for (const Trial &trial : trials_) ranked.push_back(&trial);
        std::stable_sort(ranked.begin(), ranked.end(), [&](const Trial *a, const Trial *b) { return better(*a, *b); });
        std::vector<std::vector<std::string>> rows{{"rank", "setting", scan_.on + " " + scan_.metric, "spread"}};
        std::string csv = "rank,setting,mean,spread";
        for (int64_t i = 0; i < seeds_; ++i) csv += ",seed_" + std::to_string(int64_t(options_.seed.value_or(0)) + i);
        csv += "\n";
        for (size_t i = 0; i < ranked.size(); ++i) {
            const Trial &trial = *ranked[i];
            rows.push_back({std::to_string(i + 1), title(trial.choice), short_number(trial.mean()), seeds_ > 1 ? short_number(trial.spread()) : "-"});
            csv += std::to_string(i + 1) + "," + csv_field(title(trial.choice)) + "," + number_text(trial.mean()) + "," + number_text(trial.spread());
            for (double score : trial.scores) csv += "," + number_text(score);
            csv += "\n";
        }
        replace_file(options_.run + "/ranking.csv", csv);
        replace_file(options_.run + "/curves.svg", curves(ranked));
        const Trial *single = nullptr;
        for (const Trial *trial : ranked) {
            const auto set = std::count_if(trial->choice.begin(), trial->choice.end(), [](size_t v) { return v != 0; });
            if (set == 1 && !single) single = trial;
        }
        const Trial &best = *ranked.front();
        replace_file(options_.run + "/best.model", best_model(best));
        std::printf("\n%s\n", table(rows, {0, 2, 3}).c_str());
        auto line = [&](const char *what, const Trial &trial) {
            std::printf("%-16s %s  (spread %s)  %s\n", what, short_number(trial.mean()).c_str(), short_number(trial.spread()).c_str(), title(trial.choice).c_str());
        };
        line("none", none);
        if (single) line("best single", *single);
        line("best combined", combined);
        if (!better(combined, none)) std::printf("no setting helps here\n");
        else if (single && better(*single, combined)) std::printf("together the winners are worse than %s alone\n", title(single->choice).c_str());
        if (seeds_ > 1 && &best != &none && std::abs(best.mean() - none.mean()) < best.spread() + none.spread())
            std::printf("the gain over none is within the spread over seeds: it may be chance\n");
        std::printf("%s/best.model has %s; ranking.csv and curves.svg are beside it\n", options_.run.c_str(), title(best.choice, true).c_str());
    }

    /// The source with the values of the best trial for defaults.
    std::string best_model(const Trial &best) const {
        std::vector<std::pair<size_t, size_t>> order;  // (begin, setting), last first
        for (size_t s = 0; s < scan_.settings.size(); ++s) order.push_back({scan_.settings[s].begin, s});
        std::sort(order.rbegin(), order.rend());
        std::string text = scan_.source;
        for (auto [begin, s] : order) text.replace(begin, scan_.settings[s].end - begin, scan_.settings[s].values[best.choice[s]].text);
        return text;
    }

    /// The metric by epoch, a line for each trial: the mean of its seeds.
    std::string curves(const std::vector<const Trial *> &ranked) const {
        constexpr double kWidth = 640, kHeight = 400, kLeft = 60, kTop = 20;
        static const char *const kColours[] = {"#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22", "#17becf"};
        std::vector<std::vector<double>> means;
        double low = HUGE_VAL, high = -HUGE_VAL;
        size_t length = 1;
        for (const Trial *trial : ranked) {
            std::vector<double> mean;
            for (const auto &curve : trial->curves) {
                mean.resize(std::max(mean.size(), curve.size()));
                for (size_t i = 0; i < curve.size(); ++i) mean[i] += curve[i] / double(trial->curves.size());
            }
            for (double value : mean) low = std::min(low, value), high = std::max(high, value);
            length = std::max(length, mean.size());
            means.push_back(std::move(mean));
        }
        if (!(high > low)) low -= 0.5, high = low + 1;
        auto x = [&](size_t i) { return kLeft + kWidth * double(i) / double(std::max<size_t>(length - 1, 1)); };
        auto y = [&](double value) { return kTop + kHeight * (high - value) / (high - low); };
        std::string svg = format("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"1040\" height=\"%g\" font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n",
                                 std::max(kHeight + 70, 40 + 18 * double(ranked.size())));
        for (int i = 0; i <= 4; ++i) {
            const double value = low + (high - low) * i / 4;
            svg += format("<line x1=\"%g\" x2=\"%g\" y1=\"%g\" y2=\"%g\" stroke=\"#ddd\"/><text x=\"%g\" y=\"%g\" text-anchor=\"end\">%s</text>\n", kLeft, kLeft + kWidth, y(value),
                          y(value), kLeft - 6, y(value) + 4, short_number(value).c_str());
        }
        svg += format("<text x=\"%g\" y=\"%g\">epoch 1</text><text x=\"%g\" y=\"%g\" text-anchor=\"end\">epoch %zu</text>\n", kLeft, kTop + kHeight + 18, kLeft + kWidth, kTop + kHeight + 18, length);
        svg += format("<text x=\"%g\" y=\"14\">%s %s, mean of %lld seeds</text>\n", kLeft, scan_.on.c_str(), scan_.metric.c_str(), (long long)seeds_);
        for (size_t t = 0; t < ranked.size(); ++t) {
            const char *colour = kColours[t % std::size(kColours)];
            std::string points;
            for (size_t i = 0; i < means[t].size(); ++i) points += format("%g,%g ", x(i), y(means[t][i]));
            const char *dash = t >= std::size(kColours) ? " stroke-dasharray=\"5 3\"" : "";
            svg += format("<polyline points=\"%s\" fill=\"none\" stroke=\"%s\" stroke-width=\"1.5\"%s/>\n", points.c_str(), colour, dash);
            svg += format("<line x1=\"720\" x2=\"740\" y1=\"%zu\" y2=\"%zu\" stroke=\"%s\" stroke-width=\"3\"%s/><text x=\"746\" y=\"%zu\">%s</text>\n", 30 + 18 * t, 30 + 18 * t, colour, dash, 34 + 18 * t,
                          xml_text(title(ranked[t]->choice)).c_str());
        }
        return svg + "</svg>\n";
    }

    const KilnProgram &program_;
    Metadata metadata_;  ///< with the scan's training split
    const ScanOptions &options_;
    const Scan &scan_;
    int64_t seeds_, planned_ = 0, done_ = 0, trained_ = 0;
    std::vector<Trial> trials_;
    FileDescriptor lock_;
    std::optional<Replacement> earlier_;  ///< the scan that --overwrite replaces
    Clock::time_point start_ = Clock::now();
};

}  // namespace

ExitCode scan_command(const KilnProgram &program, const Metadata &metadata, const ScanOptions &options) {
    return Scanner(program, metadata, options).run();
}

}  // namespace kiln::runtime
