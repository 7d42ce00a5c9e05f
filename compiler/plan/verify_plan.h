// Invariants of a plan, for tests and debug builds: buffers lie inside their arenas; live buffers of different allocations do not
// share bytes; every work buffer is written before it is read; storage is written only from `commit` on, and read only before
// it is overwritten, unless the kernel updates in place.
#pragma once

#include "compiler/plan/plan.h"

#include <string>
#include <vector>

namespace kiln {

/// What is wrong with the plan, one line each; empty if nothing is.
std::vector<std::string> verify_plan(const Plan &plan);

}  // namespace kiln
