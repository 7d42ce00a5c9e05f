#include "compiler/kernels/isolate.h"

#include "compiler/support/check.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

namespace kiln {

namespace {

enum : uint8_t { kSucceeded = 0, kFailed = 1 };

struct Child {
    pid_t pid = -1;
    int pipe = -1;
    size_t task = 0;
    std::vector<uint8_t> received;  ///< a status byte, then the result or the message
};

void write_all(int fd, const uint8_t *data, size_t size) {
    while (size > 0) {
        ssize_t n = write(fd, data, size);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return;
        data += n, size -= size_t(n);
    }
}

[[noreturn]] void run_child(const IsolatedTask &task, int fd) {
    std::vector<uint8_t> answer;
    uint8_t status = kSucceeded;
    try {
        answer = task();
    } catch (const std::exception &error) {
        status = kFailed;
        answer.assign(error.what(), error.what() + strlen(error.what()));
    }
    write_all(fd, &status, 1);
    write_all(fd, answer.data(), answer.size());
    _exit(0);
}

/// Says at once what would otherwise be a child that hangs once in a while.
void check_single_threaded() {
    std::error_code no_proc;
    std::filesystem::directory_iterator threads("/proc/self/task", no_proc);
    if (no_proc) return;
    const auto count = std::distance(begin(threads), end(threads));
    KILN_CHECK(count == 1, "{} threads run while kernels are compiled in forked children", count);
}

Child start(const IsolatedTask &task, size_t index) {
    int ends[2];
    KILN_CHECK(pipe(ends) == 0, "pipe: {}", strerror(errno));
    pid_t pid = fork();
    KILN_CHECK(pid >= 0, "fork: {}", strerror(errno));
    if (pid == 0) {
        close(ends[0]);
        run_child(task, ends[1]);
    }
    close(ends[1]);
    return {pid, ends[0], index, {}};
}

/// Reads what is there; true at the end of the stream.
bool drain(Child &child) {
    uint8_t block[65536];
    ssize_t n = read(child.pipe, block, sizeof block);
    if (n < 0) return errno != EINTR;
    child.received.insert(child.received.end(), block, block + n);
    return n == 0;
}

std::string finish(Child &child, std::vector<uint8_t> &result) {
    close(child.pipe);
    int status = 0;
    while (waitpid(child.pid, &status, 0) < 0 && errno == EINTR) {}
    if (WIFSIGNALED(status)) return fmt::format("the kernel compiler died of signal {}", WTERMSIG(status));
    if (child.received.empty()) return "the kernel compiler gave no answer";
    result.assign(child.received.begin() + 1, child.received.end());
    if (child.received[0] == kSucceeded) return "";
    return result.empty() ? "the kernel compiler failed" : std::string(result.begin(), result.end());
}

}  // namespace

std::vector<std::vector<uint8_t>> run_isolated(const std::vector<IsolatedTask> &tasks, int jobs) {
    check_single_threaded();
    std::vector<std::vector<uint8_t>> results(tasks.size());
    std::vector<Child> running;
    std::string failure;
    size_t next = 0;
    while (next < tasks.size() || !running.empty()) {
        while (failure.empty() && next < tasks.size() && running.size() < size_t(std::max(jobs, 1))) {
            running.push_back(start(tasks[next], next));
            next++;
        }
        std::vector<pollfd> polled;
        for (const Child &child : running) polled.push_back({child.pipe, POLLIN, 0});
        if (poll(polled.data(), polled.size(), -1) < 0) continue;
        for (size_t i = polled.size(); i-- > 0;) {
            if (polled[i].revents == 0 || !drain(running[i])) continue;
            std::string message = finish(running[i], results[running[i].task]);
            if (failure.empty()) failure = message;
            running.erase(running.begin() + long(i));
        }
        if (!failure.empty() && running.empty()) break;
    }
    if (!failure.empty()) throw InternalError(failure);
    return results;
}

}  // namespace kiln
