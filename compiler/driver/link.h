// Objects + the runtime -> an executable, by the system's `cc`.
#pragma once

#include "compiler/kernels/emit_kernels.h"

#include <string>
#include <vector>

namespace kiln {

/// Links the program object, the kernels and libkiln_runtime.a into `output`, in one step at the end. The runtime's archives
/// are linked statically: what comes out needs libc and libm only. Throws EnvironmentError with the apt line that cures it.
void link_executable(const std::vector<ObjectFile> &objects, const std::string &output);

/// All objects as one relocatable object.
std::vector<uint8_t> link_relocatable(const std::vector<ObjectFile> &objects);

}  // namespace kiln
