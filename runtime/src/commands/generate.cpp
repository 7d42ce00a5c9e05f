// generate --text "The ": goes on with a text. Each element is drawn by the program from those before it, as many as the model reads.
#include "checkpoint/checkpoint.h"
#include "commands/commands.h"
#include "commands/elements.h"
#include "commands/given_records.h"
#include "support/failure.h"
#include "support/terminal.h"
#include "support/text.h"
#include "train/signals.h"

#include <algorithm>
#include <csignal>
#include <cstdio>

namespace kiln::runtime {
namespace {

/// Stop signals are caught; a reader that goes away (`| head`) ends the process in silence, as usual.
struct StopSignals {
    StopSignals() {
        struct sigaction pipe {};
        sigaction(SIGPIPE, nullptr, &pipe);
        catch_stop_signals();
        sigaction(SIGPIPE, &pipe, nullptr);
    }
    ~StopSignals() { release_stop_signals(); }
};

/// The sample that the program reads: a window of the text, which moves on.
class Window {
public:
    Window(ProgramState &state, GivenRecords &records)
        : state_(state), what_(*state.metadata.generates), column_(state.metadata.columns[what_.column]), row_(records.row(what_.column, 0)) {}

    /// The element after these, of which `filler` stands in front if they are too few.
    int32_t next(const std::vector<int32_t> &text, int32_t filler) {
        const int64_t size = int64_t(text.size()), read = std::min(size, what_.end - 1), place = std::max(read, what_.begin);
        std::vector<int32_t> row(size_t(column_.elements()), 0);
        std::fill_n(row.begin(), place - read, filler);
        std::copy(text.end() - read, text.end(), row.begin() + (place - read));
        return int32_t(draw(row, size)[size_t(place - what_.begin)]);
    }

    /// Throws Failure (usage) if what is drawn for a place depends on what stands there or after it: then it has been learned by looking ahead.
    void check_order() {
        const int64_t place = what_.begin + (what_.end - what_.begin) / 2;
        std::vector<int32_t> row;
        for (int64_t i = 0; i < column_.elements(); ++i) row.push_back(int32_t((5 * i + 1) % column_.classes));
        const std::vector<double> before = draw(row, 0);
        for (int64_t i = place; i < column_.elements(); ++i) row[size_t(i)] = int32_t((row[size_t(i)] + (column_.classes + 1) / 2) % column_.classes);
        const std::vector<double> after = draw(row, 0);
        for (int64_t i = what_.begin; i <= place; ++i)
            if (before[size_t(i - what_.begin)] != after[size_t(i - what_.begin)])
                fail(ExitCode::usage,
                     "%s: what `generate` draws for element %lld of `%s` depends on elements from %lld on, which come later: the model has learned to look at what it is to tell. In attention, "
                     "`causal = true` keeps it from that",
                     state_.metadata.source.c_str(), (long long)i, column_.name.c_str(), (long long)place);
    }

private:
    /// The classes that are drawn, with the random numbers of this element of the text.
    std::vector<double> draw(const std::vector<int32_t> &row, int64_t element) {
        convert_elements(DType::i32, reinterpret_cast<const uint8_t *>(row.data()), column_.dtype, row_, column_.elements());
        state_.set("record", double(element));
        state_.program.generate_step(state_.context());
        std::vector<double> drawn(size_t(what_.end - what_.begin));
        convert_elements(what_.drawn.dtype, state_.output(what_.drawn), DType::f64, reinterpret_cast<uint8_t *>(drawn.data()), int64_t(drawn.size()));
        return drawn;
    }

    ProgramState &state_;
    const Generation &what_;
    const Column &column_;
    uint8_t *row_;
};

/// Bytes as they are, words and numbers with spaces between; what a terminal cannot show is left to TerminalText.
class Writer {
public:
    explicit Writer(const Elements &elements) : is_bytes_(elements.kind() == Elements::Kind::bytes) {}
    void write(const std::string &text) {
        if (text.empty()) return;
        const std::string parted = is_bytes_ || is_first_ ? text : " " + text;
        is_first_ = false;
        put(to_terminal_ ? terminal_.take(parted) : parted);
    }
    /// Bytes in a file or a pipe stay the text alone; all else ends its line.
    void end() {
        if (to_terminal_) put(terminal_.rest());
        if (to_terminal_ || !is_bytes_) put("\n");
    }

private:
    void put(const std::string &text) {
        std::fwrite(text.data(), 1, text.size(), stdout);
        std::fflush(stdout);
    }

    const bool is_bytes_, to_terminal_ = prints_to_terminal();
    bool is_first_ = true;
    TerminalText terminal_;
};

}  // namespace

ExitCode generate_command(ProgramState &state, const GenerateOptions &options) {
    const Metadata &metadata = state.metadata;
    if (!state.program.generate_step || !metadata.generates)
        fail(ExitCode::usage, "%s has no `generate` statement, which says what goes on and how, as in `generate text[.., 1..] = categorical(logits)`", metadata.source.c_str());
    const Generation &what = *metadata.generates;
    const Column &column = metadata.columns[what.column];
    const Manifest manifest = load_weights(state, options.run, options.checkpoint);
    std::map<std::string, double> hypers;
    for (const Hyper &hyper : metadata.hypers)
        if (hyper.generates) hypers[hyper.name] = hyper.default_value;  // not what they were while it was trained
    for (const auto &[name, value] : options.hypers) hypers[name] = value;
    state.set_hypers(hypers);
    state.set("seed", double(options.seed));

    GivenRecords records(state, options.data.empty() ? manifest.data : options.data);
    const GivenRecords::Values given = records.resolved(options.given);
    for (const size_t input : what.inputs) {
        const std::string &name = metadata.columns[input].name;
        if (options.flags.contains(name) && !given.contains(name) && !records.comes_from_table(input)) fail(ExitCode::usage, "%s is missing", options.flags.at(name).c_str());
        records.fill(given, input, 0);
    }
    const Elements elements(state, column);
    const std::string &flag = options.flags.at(column.name);
    std::vector<int32_t> text = elements.parse(options.text, flag);
    Window window(state, records);
    window.check_order();
    if (const int64_t lacking = what.begin - int64_t(text.size()); lacking > 0) {
        const std::string stands = elements.filler_text(lacking) + (lacking == 1 ? " stands" : " stand");
        if (text.empty()) std::fprintf(stderr, "note: no %s: %s in front of what is generated\n", flag.c_str(), stands.c_str());
        else std::fprintf(stderr, "note: %s has %zu of the %lld %s that the model goes by: %s in front\n", flag.c_str(), text.size(), (long long)what.begin, elements.plural(), stands.c_str());
    }

    const StopSignals signals;
    Writer writer(elements);
    if (elements.kind() == Elements::Kind::bytes) {
        writer.write(options.text);
    } else {
        for (const std::string_view word : words_of(options.text)) writer.write(std::string(word));
    }
    for (int64_t i = 0; i < options.length && stop_signal() == 0 && !std::ferror(stdout); ++i) {
        const int32_t next = window.next(text, elements.filler());
        if (elements.kind() == Elements::Kind::words && next == 0) break;  // the padding, which ends every text
        text.push_back(next);
        writer.write(elements.text(next));
    }
    writer.end();
    return stop_signal() == 0 ? ExitCode::ok : ExitCode(128 + stop_signal());
}

}  // namespace kiln::runtime
