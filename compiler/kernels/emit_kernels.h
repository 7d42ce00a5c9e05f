// Plan -> objects: each kernel body lowered to a Halide pipeline, scheduled (schedule.cpp) and compiled.
//
// Calling convention of a kernel symbol: int name(halide_buffer_t *input.., scalars.., halide_buffer_t *output..) in the order of
// the body's arguments, then results; 0 on success. Dimensions are the tensor's, innermost first (Halide order), dense;
// rank-0 tensors are buffers of zero dimensions. A scalar argument (rank-0 `argument` input of the body whose name
// begins with "scalar") is passed by value as its dtype. Objects need halide_malloc, halide_free, halide_do_par_for, libm.
#pragma once

#include "compiler/plan/plan.h"

#include <string>
#include <vector>

namespace kiln {

struct KernelOptions {
    std::string target;        ///< "native", "x86-64-v2", "x86-64-v3", "x86-64-v4"
    bool debug_checks = false; ///< keep Halide's assertions
    std::string cache_folder;  ///< empty: no cache
    int jobs = 1;
    bool direct_convolutions = false;  ///< no minimal filtering (winograd.h): slower, and errors of a few roundings less
};

struct ObjectFile {
    std::string name;
    std::vector<uint8_t> bytes;  ///< ELF
};

/// One object per kernel, in the plan's order; compiled in parallel, from the cache where possible.
std::vector<ObjectFile> emit_kernels(const Plan &plan, const KernelOptions &options);

/// Halide's lowered statement of one kernel, as text or HTML; for `kiln emit kernels`.
std::string kernel_statement(const Kernel &kernel, const KernelOptions &options, bool html);
std::string kernel_assembly(const Kernel &kernel, const KernelOptions &options);
/// Of several, in parallel.
std::vector<std::string> kernel_assemblies(const std::vector<Kernel> &kernels, const KernelOptions &options);

/// The features behind a target name, for messages ("avx512_skylake avx512_cannonlake fma ...") and for cache keys.
std::string describe_target(const std::string &target);

}  // namespace kiln
