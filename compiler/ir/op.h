// The enumeration of the op table; what an op is and has, is in graph.h.
#pragma once

#include <cstdint>

namespace kiln {

enum class Op : uint8_t {
#define OP(name, arity, attributes, traits) name,
#include "compiler/ir/ops.def"
#undef OP
};

}  // namespace kiln
