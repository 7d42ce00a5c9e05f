// NumPy's .npy format (NEP 1): the magic \x93NUMPY, a version, a header that is a Python dictionary of element type, order and
// shape, then the elements.
#pragma once

#include "data/array_file.h"
#include "data/byte_source.h"

#include <memory>

namespace kiln::runtime {

/// Opens and validates an array of booleans, integers or floats (8 to 64 bits, either byte order, C or Fortran order): header,
/// extents, and that the file holds exactly what they promise. Throws Failure (data).
ArrayFile open_numpy(std::shared_ptr<ByteSource> source);

}  // namespace kiln::runtime
