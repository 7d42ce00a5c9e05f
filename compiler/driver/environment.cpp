#include "compiler/driver/environment.h"

#include <sched.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

namespace kiln {

namespace {

std::string variable(const char *name) {
    const char *value = std::getenv(name);
    return value ? value : "";
}

}  // namespace

std::string default_cache_folder() {
    if (std::string folder = variable("KILN_CACHE_DIR"); !folder.empty()) return folder;
    if (std::string folder = variable("XDG_CACHE_HOME"); !folder.empty()) return folder + "/kiln";
    if (std::string folder = variable("HOME"); !folder.empty()) return folder + "/.cache/kiln";
    return "";
}

bool stderr_wants_colour() { return isatty(STDERR_FILENO) && variable("NO_COLOR").empty() && variable("TERM") != "dumb"; }

int stdout_columns() {
    constexpr int kUsual = 80;
    winsize size {};
    if (!isatty(STDOUT_FILENO)) return 0;
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : kUsual;
}

int processor_count() {
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return 1;
    return std::max(1, CPU_COUNT(&allowed));
}

}  // namespace kiln
