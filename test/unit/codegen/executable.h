// Links a program object with a stub runtime and kernels written in C, runs it, and returns what it prints.
#pragma once

#include "compiler/codegen/emit_program.h"

#include <string>

namespace kiln {

/// The C source must define kiln_main; the declarations of the ABI and of halide_buffer_t are put before it.
std::string run_with(const ProgramObject &program, const std::string &c_source);

}  // namespace kiln
