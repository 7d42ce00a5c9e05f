// A bug of the compiler leaves a file with everything needed to see it again.
#pragma once

#include <string>
#include <vector>

namespace kiln {

/// Writes the command line, the version, the message and the input files' text to a new file in the folder for temporary files. Its
/// path; "" if it could not be written.
std::string write_reproducer(const std::vector<std::string> &command, const std::string &message);

}  // namespace kiln
