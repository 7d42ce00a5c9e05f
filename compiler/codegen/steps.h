// The functions of a KilnProgram, in LLVM IR: one function per program and rule of the plan, and the entries that call them
// in the order the ABI promises (runtime/include/kiln/program.h).
#pragma once

#include "compiler/codegen/module_builder.h"

namespace kiln {

/// Null: the plan has no such program (see KilnProgram).
struct ProgramFunctions {
    llvm::Function *bind = nullptr, *init = nullptr, *train_step = nullptr, *step_rule = nullptr, *epoch_end = nullptr, *eval_step = nullptr,
                   *predict_step = nullptr, *report = nullptr, *augment = nullptr, *check = nullptr, *trace_step = nullptr, *generate_step = nullptr;
};

ProgramFunctions emit_steps(ModuleBuilder &module, int64_t batch, int phases);

}  // namespace kiln
