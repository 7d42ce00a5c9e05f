// KILN_CHECK(condition, format, ...): an internal invariant. Failing it is a bug of the compiler, never of the user's
// program: it throws InternalError, which the driver turns into a message and a reproducer.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>

namespace kiln {

struct InternalError : std::logic_error {
    using std::logic_error::logic_error;
};

[[noreturn]] inline void check_failed(const char *file, int line, const char *condition, const std::string &message) {
    throw InternalError(fmt::format("{}:{}: check `{}` failed: {}", file, line, condition, message));
}

}  // namespace kiln

#define KILN_CHECK(condition, ...)                                                                   \
    do {                                                                                             \
        if (!(condition)) ::kiln::check_failed(__FILE__, __LINE__, #condition, fmt::format(__VA_ARGS__)); \
    } while (false)
#define KILN_UNREACHABLE(...) ::kiln::check_failed(__FILE__, __LINE__, "unreachable", fmt::format(__VA_ARGS__))
