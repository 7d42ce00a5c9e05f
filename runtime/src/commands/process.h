// Other programs: run to their end, with the standard streams of this one.
#pragma once

#include <string>
#include <vector>

namespace kiln::runtime {

struct Ended {
    bool found = true;  ///< false: there is no such program, or it may not be run
    int code = 0;       ///< its exit code; 128 + the signal that ended it
};

/// Runs `command`, looked for in PATH if it has no slash. A stop signal that arrives here meanwhile is passed on, and its end waited for.
/// With `output`, what it prints goes there and its errors nowhere.
Ended run_program(const std::vector<std::string> &command, std::string *output = nullptr);

/// Ends this process with the one that started it, also if that is killed.
void end_with_parent();

}  // namespace kiln::runtime
