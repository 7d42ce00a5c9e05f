// What this machine can do at most, measured on the spot by all threads of the team: multiply-adds, and copies of memory.
#pragma once

#include "program/metadata.h"

#include <cstdint>
#include <map>

namespace kiln::runtime {

/// Operations a second of independent multiply-adds (each counts as two) on f32 or f64, in the widest vectors of the processor.
double arithmetic_peak(DType type);

/// Bytes a second, read and written, of plain copies; of small ones from the caches, as kernels that follow each other read them.
class CopySpeed {
public:
    /// Of a copy that moves about so many bytes, half of them read, half written; by all threads or by one, whichever is faster. Measured once for
    /// each power of two.
    double moving(int64_t bytes);

private:
    std::map<int, double> measured_;  ///< by the exponent
};

}  // namespace kiln::runtime
