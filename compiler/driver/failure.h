// What the driver can fail with that is not the user's program, and the exit codes of `kiln`.
#pragma once

#include <stdexcept>

namespace kiln {

enum ExitCode : int {
    kExitOk = 0,
    kExitProgram = 1,      ///< the program is wrong; diagnostics say where
    kExitUsage = 2,        ///< the command line is wrong
    kExitEnvironment = 3,  ///< the machine: no linker, a full or read-only disk
    kExitInternal = 4,     ///< a bug of the compiler; a reproducer was written
};

struct EnvironmentError : std::runtime_error { using std::runtime_error::runtime_error; };
struct UsageError : std::runtime_error { using std::runtime_error::runtime_error; };

}  // namespace kiln
