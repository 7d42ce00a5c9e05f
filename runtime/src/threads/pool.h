// The scratch memory of kernels: allocations aligned to 128 bytes, kept per thread and reused.
//
// A kernel asks for the same few sizes on every iteration of a loop, often from all threads at once; after the
// first step no request reaches the system. Sizes are rounded up to a power of two.
#pragma once

#include <cstddef>

namespace kiln::runtime {

/// Null when memory is exhausted. Any thread may release what another acquired.
void *acquire_scratch(size_t bytes);
void release_scratch(void *pointer);

}  // namespace kiln::runtime
