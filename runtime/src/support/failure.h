// Failure: how every part of the runtime reports that it cannot go on. kiln_main prints the message and exits with the code.
#pragma once

#include "kiln/exit_code.h"

#include <stdexcept>
#include <string>

namespace kiln::runtime {

struct Failure : std::runtime_error {
    Failure(ExitCode code, const std::string &message) : std::runtime_error(message), code(code) {}
    ExitCode code;
};

/// Throws a Failure with a printf-style message. The message names the file, record, step or flag concerned.
[[noreturn]] void fail(ExitCode code, const char *format, ...) __attribute__((format(printf, 2, 3)));

}  // namespace kiln::runtime
