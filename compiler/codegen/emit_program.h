// Plan -> the LLVM module of the executable: main, the steps, the rules, and the tables of the runtime's ABI.
#pragma once

#include "compiler/plan/plan.h"

#include <cstdint>
#include <string>
#include <vector>

namespace kiln {

struct ProgramOptions {
    std::string target;   ///< as in KernelOptions
    int level = 2;        ///< -O0 .. -O3
    bool assembly = false;
};

/// What the executable tells about itself: names, types, offsets, splits, phases, flags, as the JSON text described in
/// runtime/include/kiln/program.h.
std::string program_metadata(const Module &module, const Plan &plan, const ProgramOptions &options);

struct ProgramObject {
    std::vector<uint8_t> object;  ///< ELF
    std::string llvm_text;        ///< the module as text
    std::string assembly;         ///< if asked for
};
ProgramObject emit_program(const Module &module, const Plan &plan, const ProgramOptions &options);

}  // namespace kiln
