#include "train/signals.h"

#include <csignal>
#include <initializer_list>

namespace kiln::runtime {
namespace {

// The one place a handler can leave word.
volatile std::sig_atomic_t caught = 0;

void handle(int signal) {
    caught = signal;
    std::signal(signal, SIG_DFL);
}

}  // namespace

void catch_stop_signals() {
    caught = 0;
    struct sigaction action {};
    action.sa_handler = handle;
    action.sa_flags = SA_RESTART;
    for (int signal : {SIGINT, SIGTERM, SIGHUP}) sigaction(signal, &action, nullptr);
    for (int signal : {SIGPIPE, SIGXFSZ}) std::signal(signal, SIG_IGN);
}

int stop_signal() { return caught; }

void release_stop_signals() {
    for (int signal : {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGXFSZ}) std::signal(signal, SIG_DFL);
    caught = 0;
}

}  // namespace kiln::runtime
