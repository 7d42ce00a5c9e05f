#include "support/background.h"

#include <pthread.h>
#include <sched.h>
#include <algorithm>
#include <csignal>
#include <utility>

namespace kiln::runtime {
namespace {

/// An empty set if there are more processors than the set has room for.
const cpu_set_t &processors_at_start() {
    static const cpu_set_t set = [] {
        cpu_set_t found;
        CPU_ZERO(&found);
        if (::sched_getaffinity(0, sizeof found, &found) != 0) CPU_ZERO(&found);
        return found;
    }();
    return set;
}

class SignalsBlocked {
public:
    SignalsBlocked() {
        sigset_t all;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before_);
    }
    ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

private:
    sigset_t before_;
};

}  // namespace

int available_processors() {
    const int count = CPU_COUNT(&processors_at_start());
    return count > 0 ? count : int(std::max(1u, std::thread::hardware_concurrency()));
}

void bind_to_processor(int index) {
    for (int processor = 0; processor < CPU_SETSIZE; ++processor) {
        if (!CPU_ISSET(processor, &processors_at_start()) || index-- > 0) continue;
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(processor, &one);
        ::sched_setaffinity(0, sizeof one, &one);
        return;
    }
}

void release_from_processor() {
    if (CPU_COUNT(&processors_at_start()) > 0) ::sched_setaffinity(0, sizeof(cpu_set_t), &processors_at_start());
}

std::thread background_thread(std::function<void()> body) {
    const SignalsBlocked blocked;
    return std::thread([body = std::move(body)] {
        release_from_processor();
        body();
    });
}

}  // namespace kiln::runtime
