#include "support/parallel.h"

#include "support/background.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace kiln::runtime {

void parallel_for(size_t count, int threads, const std::function<void(size_t)> &body, double patience,
                  const std::function<void()> &slow) {
    std::atomic<size_t> next{0};
    std::mutex mutex;
    std::condition_variable ended;
    size_t failed = count, running = std::min(count, size_t(std::max(threads, 1)));
    std::exception_ptr error;
    auto work = [&] {
        for (size_t i; (i = next.fetch_add(1)) < count;) {
            try {
                body(i);
            } catch (...) {
                std::lock_guard lock(mutex);
                if (i < failed) {
                    failed = i;
                    error = std::current_exception();
                }
                next = count;
            }
        }
        std::lock_guard lock(mutex);
        if (--running == 0) ended.notify_one();
    };
    std::vector<std::thread> workers;
    const size_t wanted = running;
    try {
        while (workers.size() < wanted) workers.push_back(background_thread(work));
    } catch (const std::system_error &) {  // no more threads are to be had: fewer do it
        std::lock_guard lock(mutex);
        running -= wanted - workers.size();
    }
    if (workers.empty() && wanted > 0) {
        running = 1;
        work();
    }
    {
        std::unique_lock lock(mutex);
        if (slow && !ended.wait_for(lock, std::chrono::duration<double>(patience), [&] { return running == 0; })) {
            lock.unlock();
            slow();
        }
    }
    for (std::thread &worker : workers) worker.join();
    if (error) std::rethrow_exception(error);
}

}  // namespace kiln::runtime
