// The processor kernels are compiled for, spelled out feature by feature. Halide's own "host" is never asked: on some processors it
// claims instructions they lack.
#pragma once

#include <halide14/Halide.h>

#include <string>

namespace kiln {

/// `name`: "native" (this machine, from CPUID), "x86-64-v2", "x86-64-v3" or "x86-64-v4" (whatever this machine is).
/// Kernels come without runtime; without assertions and bounds queries unless `debug_checks`.
Halide::Target kernel_target(const std::string &name, bool debug_checks);

/// Vector registers: 32 with AVX-512, else 16.
int vector_registers(const Halide::Target &target);

}  // namespace kiln
