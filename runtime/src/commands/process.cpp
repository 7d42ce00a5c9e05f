#include "commands/process.h"

#include "support/failure.h"
#include "support/text.h"
#include "train/signals.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cerrno>
#include <csignal>
#include <cstring>

extern char **environ;

namespace kiln::runtime {

Ended run_program(const std::vector<std::string> &command, std::string *output) {
    std::vector<char *> arguments;
    for (const std::string &argument : command) arguments.push_back(const_cast<char *>(argument.c_str()));
    arguments.push_back(nullptr);
    int pipe[2] = {-1, -1};
    if (output && ::pipe2(pipe, O_CLOEXEC) != 0) fail(ExitCode::internal, "cannot make a pipe: %s", std::strerror(errno));
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    if (output) {
        posix_spawn_file_actions_adddup2(&actions, pipe[1], STDOUT_FILENO);
        posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    }
    // A group of its own, so that Ctrl-C reaches it once: by this process.
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF);
    sigset_t defaults;
    sigemptyset(&defaults);
    for (int signal : {SIGPIPE, SIGXFSZ}) sigaddset(&defaults, signal);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    pid_t process = 0;
    const int problem = ::posix_spawnp(&process, arguments[0], &actions, &attributes, arguments.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    if (output) {
        ::close(pipe[1]);
        char bytes[4096];
        for (ssize_t got; problem == 0 && ((got = ::read(pipe[0], bytes, sizeof bytes)) > 0 || (got < 0 && errno == EINTR));)
            if (got > 0) output->append(bytes, size_t(got));
        ::close(pipe[0]);
    }
    if (problem == ENOENT || problem == EACCES || problem == ENOTDIR) return {false, 0};
    if (problem != 0) fail(ExitCode::internal, "cannot run %s: %s", command[0].c_str(), std::strerror(problem));
    int status = 0;
    bool told = false;
    while (::waitpid(process, &status, WNOHANG) == 0) {
        if (int signal = stop_signal(); signal != 0 && !told) {
            ::kill(process, signal);
            told = true;
        }
        ::usleep(20000);
    }
    return {true, WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status)};
}

void end_with_parent() {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() == 1) ::_exit(128 + SIGKILL);  // it ended before
}

}  // namespace kiln::runtime
