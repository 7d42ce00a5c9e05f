#include "train/signals.h"

#include <array>
#include <csignal>
#include <cstddef>

namespace kiln::runtime {
namespace {

// The one place a handler can leave word.
volatile std::sig_atomic_t caught = 0;

constexpr std::array kSignals{SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGXFSZ};
std::array<struct sigaction, kSignals.size()> before{};

void handle(int signal) {
    caught = signal;
    std::signal(signal, SIG_DFL);
}

}  // namespace

void catch_stop_signals() {
    caught = 0;
    for (size_t i = 0; i < kSignals.size(); ++i) {
        sigaction(kSignals[i], nullptr, &before[i]);
        struct sigaction action {};
        action.sa_handler = kSignals[i] == SIGPIPE || kSignals[i] == SIGXFSZ || before[i].sa_handler == SIG_IGN ? SIG_IGN : handle;
        action.sa_flags = SA_RESTART;
        sigaction(kSignals[i], &action, nullptr);
    }
}

int stop_signal() { return caught; }

void release_stop_signals() {
    for (size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &before[i], nullptr);
    caught = 0;
}

}  // namespace kiln::runtime
