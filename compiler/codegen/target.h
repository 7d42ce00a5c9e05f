// An LLVM module -> object and assembly for a target name.
#pragma once

#include "compiler/codegen/emit_program.h"
#include "compiler/codegen/llvm.h"

namespace kiln {

/// Optimizes the module at options.level and fills `object` and `assembly`. The module is used up.
void compile_module(llvm::Module &module, const ProgramOptions &options, ProgramObject &result);

}  // namespace kiln
