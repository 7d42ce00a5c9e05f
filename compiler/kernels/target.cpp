#include "compiler/kernels/target.h"

#include "compiler/kernels/emit_kernels.h"
#include "compiler/support/check.h"

namespace kiln {

using Halide::Target;

namespace {

struct Level {
    bool sse41 = false, avx = false, avx2 = false, avx512 = false, avx512_cannonlake = false;
};

Level level_of(const std::string &name) {
    if (name == "x86-64-v2") return {.sse41 = true};
    if (name == "x86-64-v3") return {.sse41 = true, .avx = true, .avx2 = true};
    if (name == "x86-64-v4") return {.sse41 = true, .avx = true, .avx2 = true, .avx512 = true};
    KILN_CHECK(name == "native", "unknown target {}", name);
    __builtin_cpu_init();
    Level level;
    level.sse41 = __builtin_cpu_supports("sse4.1");
    level.avx = level.sse41 && __builtin_cpu_supports("avx");
    level.avx2 = level.avx && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    level.avx512 = level.avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512bw") &&
                   __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    level.avx512_cannonlake = level.avx512 && __builtin_cpu_supports("avx512ifma") && __builtin_cpu_supports("avx512vbmi");
    return level;
}

}  // namespace

Target kernel_target(const std::string &name, bool debug_checks) {
    Level level = level_of(name);
    Target target(Target::Linux, Target::X86, 64);
    target.set_feature(Target::SSE41, level.sse41);
    target.set_feature(Target::AVX, level.avx);
    for (auto feature : {Target::AVX2, Target::FMA, Target::F16C}) target.set_feature(feature, level.avx2);
    for (auto feature : {Target::AVX512, Target::AVX512_Skylake}) target.set_feature(feature, level.avx512);
    target.set_feature(Target::AVX512_Cannonlake, level.avx512_cannonlake);
    target.set_feature(Target::NoRuntime);
    target.set_feature(Target::DisableLLVMLoopOpt);
    if (!debug_checks) {
        target.set_feature(Target::NoAsserts);
        target.set_feature(Target::NoBoundsQuery);
    }
    return target;
}

int vector_registers(const Target &target) { return target.has_feature(Target::AVX512_Skylake) ? 32 : 16; }

std::string describe_target(const std::string &target) { return kernel_target(target, false).to_string(); }

}  // namespace kiln
