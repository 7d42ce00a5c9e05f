// What training shows: on a terminal a bar redrawn in place at most ten times a second, and one line an epoch in any case.
#pragma once

#include "program/metadata.h"

#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

namespace kiln::runtime {

struct ProgressState {
    std::string phase;               ///< shown if the run has several
    int64_t epoch = 0, epochs = 0;   ///< 1-based, over the run
    int64_t batch = 0, batches = 0;  ///< done, of the epoch
    double seconds_left = 0;         ///< of the whole run
    double samples_per_second = 0;
    std::vector<std::string> names;
    std::vector<double> values;  ///< running means of the epoch
};

/// One line of at most `width` characters: what does not fit is left out from the right, then the bar shrinks.
std::string progress_line(const ProgressState &state, int width);

/// "loss 0.2312  accuracy 0.9312"
std::string metrics_text(const std::vector<std::string> &names, const std::vector<double> &values);

class Progress {
public:
    enum class Style { quiet, lines, bar };
    Progress(Style style, std::FILE *out) : style_(style), out_(out) {}
    ~Progress() { clear(); }

    /// True if the next update would be drawn: making a ProgressState costs something.
    bool due() const;
    void update(const ProgressState &state);
    /// A line that stays; removes the bar first. Nothing if quiet.
    void line(const std::string &text);
    void clear();

private:
    Style style_;
    std::FILE *out_;
    bool drawn_ = false;
    std::chrono::steady_clock::time_point last_{};
};

/// bar on a terminal, else lines.
Progress::Style style_for(std::FILE *out, bool quiet);

}  // namespace kiln::runtime
