#include "executable.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace kiln {

namespace {

constexpr const char *kHeader = R"(
#include <kiln/program.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
typedef struct { int32_t min, extent, stride; uint32_t flags; } Dimension;
typedef struct { uint64_t device; void *interface; void *host; uint64_t flags; uint8_t code, bits; uint16_t lanes; int32_t dimensions;
                 Dimension *dim; void *padding; } Buffer;
)";

}  // namespace

std::string run_with(const ProgramObject &program, const std::string &c_source) {
    std::string folder = (std::filesystem::temp_directory_path() / "kiln-codegen-XXXXXX").string();
    if (!mkdtemp(folder.data())) { ADD_FAILURE() << "no temporary folder"; return ""; }
    std::ofstream(folder + "/program.o", std::ios::binary).write(reinterpret_cast<const char *>(program.object.data()), std::streamsize(program.object.size()));
    std::ofstream(folder + "/stub.c") << kHeader << c_source;
    std::string command = "cd " + folder + " && cc -O1 -w -I " KILN_RUNTIME_INCLUDE " stub.c program.o -o test -lm 2>&1 && ./test 2>&1";
    std::string output;
    if (FILE *pipe = popen(command.c_str(), "r")) {
        char block[4096];
        while (size_t count = fread(block, 1, sizeof block, pipe)) output.append(block, count);
        EXPECT_EQ(pclose(pipe), 0) << output;
    }
    std::filesystem::remove_all(folder);
    return output;
}

}  // namespace kiln
