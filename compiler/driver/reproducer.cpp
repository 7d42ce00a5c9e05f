#include "compiler/driver/reproducer.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace kiln {

std::string write_reproducer(const std::vector<std::string> &command, const std::string &message) {
    std::string text = fmt::format("kiln {}\n", KILN_VERSION);
    for (const std::string &word : command) text += fmt::format("argument: {}\n", word);
    text += fmt::format("\n{}\n", message);
    for (const std::string &word : command) {
        if (!word.ends_with(".model") && !word.ends_with(".graph")) continue;
        std::ifstream file(word);
        std::stringstream content;
        content << file.rdbuf();
        text += fmt::format("\n---- {} ----\n{}", word, content.str());
    }
    std::error_code problem;
    std::string path = (std::filesystem::temp_directory_path(problem) / "kiln-reproducer-XXXXXX").string();
    int descriptor = problem ? -1 : mkstemp(path.data());
    if (descriptor < 0) return "";
    bool written = ::write(descriptor, text.data(), text.size()) == ssize_t(text.size());
    return ::close(descriptor) == 0 && written ? path : "";
}

}  // namespace kiln
