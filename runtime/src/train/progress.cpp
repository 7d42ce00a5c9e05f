#include "train/progress.h"

#include "support/text.h"

#include <sys/ioctl.h>
#include <unistd.h>
#include <algorithm>

namespace kiln::runtime {
namespace {

constexpr auto kInterval = std::chrono::milliseconds(100);
constexpr int kWidestBar = 30, kNarrowestBar = 8;

int terminal_width(std::FILE *out) {
    winsize size{};
    if (::ioctl(::fileno(out), TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
    return 80;
}

}  // namespace

std::string metrics_text(const std::vector<std::string> &names, const std::vector<double> &values) {
    std::vector<std::string> parts;
    for (size_t i = 0; i < names.size() && i < values.size(); ++i) parts.push_back(names[i] + " " + short_number(values[i]));
    return join(parts, "  ");
}

std::string progress_line(const ProgressState &s, int width) {
    std::string head = format("epoch %lld/%lld", (long long)s.epoch, (long long)s.epochs);
    if (!s.phase.empty()) head = s.phase + " " + head;
    // By importance: the last ones go first on a narrow terminal.
    std::vector<std::string> parts{format("%lld/%lld", (long long)s.batch, (long long)s.batches),
                                   "ETA " + duration_text(s.seconds_left)};
    for (size_t i = 0; i < s.names.size(); ++i) parts.push_back(s.names[i] + " " + short_number(s.values[i]));
    parts.push_back(format("%.0f samples/s", s.samples_per_second));
    int budget = width - 1 - int(head.size()) - (kNarrowestBar + 4);
    std::string tail;
    for (const std::string &part : parts) {
        if (int(tail.size() + part.size()) + 2 > budget) break;
        tail += "  " + part;
    }
    int bar = std::min(kWidestBar, width - 1 - int(head.size()) - int(tail.size()) - 4);
    if (bar < kNarrowestBar) return head.substr(0, size_t(std::max(width - 1, 0)));
    int full = s.batches > 0 ? int(bar * s.batch / s.batches) : bar;
    return head + "  [" + std::string(size_t(full), '#') + std::string(size_t(bar - full), '-') + "]" + tail;
}

bool Progress::due() const { return style_ == Style::bar && std::chrono::steady_clock::now() - last_ >= kInterval; }

void Progress::update(const ProgressState &state) {
    if (style_ != Style::bar) return;
    std::fprintf(out_, "\r\033[K%s", progress_line(state, terminal_width(out_)).c_str());
    std::fflush(out_);
    drawn_ = true;
    last_ = std::chrono::steady_clock::now();
}

void Progress::line(const std::string &text) {
    clear();
    if (style_ == Style::quiet) return;
    std::fprintf(out_, "%s\n", text.c_str());
    std::fflush(out_);
}

void Progress::clear() {
    if (!drawn_) return;
    std::fputs("\r\033[K", out_);
    std::fflush(out_);
    drawn_ = false;
}

Progress::Style style_for(std::FILE *out, bool quiet) {
    if (quiet) return Progress::Style::quiet;
    return ::isatty(::fileno(out)) ? Progress::Style::bar : Progress::Style::lines;
}

}  // namespace kiln::runtime
