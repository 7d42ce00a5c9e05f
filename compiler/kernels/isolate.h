// Runs tasks in child processes. Halide numbers its names with counters that live as long as the process and take part in the
// layout of its output, so a kernel compiled second would differ from the same kernel compiled first. A forked child starts from one
// and the same state every time: the same bytes whatever was compiled before, in whatever order and on however many jobs.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

namespace kiln {

using IsolatedTask = std::function<std::vector<uint8_t>()>;

/// Must be called while no other thread runs: a forked child has that thread's locks and not the thread.
/// Results in the order of the tasks; at most `jobs` children at a time. A task that throws or dies is an InternalError here.
std::vector<std::vector<uint8_t>> run_isolated(const std::vector<IsolatedTask> &tasks, int jobs);

}  // namespace kiln
