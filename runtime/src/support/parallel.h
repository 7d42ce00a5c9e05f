// parallel_for: independent pieces of work on threads of their own, for reading and decoding. Kernels run on a ThreadTeam
// instead.
#pragma once

#include <cstddef>
#include <functional>

namespace kiln::runtime {

/// Calls body(i) once for each i below `count`, on up to `threads` threads, in no particular order. The first exception by i is
/// thrown again when all have ended. If that takes longer than `patience` seconds, `slow` is called, once, from this thread.
void parallel_for(size_t count, int threads, const std::function<void(size_t)> &body, double patience = 0,
                  const std::function<void()> &slow = nullptr);

}  // namespace kiln::runtime
