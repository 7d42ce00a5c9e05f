// The functions kernels call, under the names Halide gives them (abi.def).
#include "kiln/exit_code.h"
#include "kiln/program.h"
#include "threads/pool.h"
#include "threads/team.h"

#include <unistd.h>
#include <cstdio>

extern "C" {

// Generated code has no way to go on with less memory, and no exception may pass through it. The checkpoints are on the disk.
void *halide_malloc(void *, size_t bytes) {
    void *memory = kiln::runtime::acquire_scratch(bytes);
    if (!memory) {
        std::fprintf(stderr, "error: out of memory: a kernel asked for %zu bytes\n", bytes);
        ::_exit(int(kiln::runtime::ExitCode::memory));
    }
    return memory;
}

void halide_free(void *, void *pointer) { kiln::runtime::release_scratch(pointer); }

int halide_do_par_for(void *user_context, int (*body)(void *, int, uint8_t *), int min, int size, uint8_t *closure) {
    if (auto *team = kiln::runtime::ThreadTeam::current()) return team->run(user_context, body, min, size, closure);
    for (int i = 0; i < size; ++i)
        if (int result = body(user_context, min + i, closure)) return result;
    return 0;
}

// What the assertions of kernels call that were built with --debug-checks: with what is wrong follow a name and numbers, of which the name says most.
[[noreturn]] static void assertion_failed(const char *what, const char *name) {
    std::fprintf(stderr, "error: an assertion of a kernel failed: %s: %s\n", what, name ? name : "");
    ::_exit(int(kiln::runtime::ExitCode::internal));
}
#define KERNEL_ASSERTION(what) \
    int halide_error_##what(void *, const char *name, ...) { assertion_failed(#what, name); }
KERNEL_ASSERTION(access_out_of_bounds)
KERNEL_ASSERTION(bad_dimensions)
KERNEL_ASSERTION(bad_fold)
KERNEL_ASSERTION(bad_type)
KERNEL_ASSERTION(bounds_inference_call_failed)
KERNEL_ASSERTION(buffer_allocation_too_large)
KERNEL_ASSERTION(buffer_argument_is_null)
KERNEL_ASSERTION(buffer_extents_negative)
KERNEL_ASSERTION(buffer_extents_too_large)
KERNEL_ASSERTION(constraint_violated)
KERNEL_ASSERTION(constraints_make_required_region_smaller)
KERNEL_ASSERTION(device_dirty_with_no_device_support)
KERNEL_ASSERTION(explicit_bounds_too_small)
KERNEL_ASSERTION(fold_factor_too_small)
KERNEL_ASSERTION(host_is_null)
KERNEL_ASSERTION(requirement_failed)
KERNEL_ASSERTION(specialize_fail)
KERNEL_ASSERTION(storage_bound_too_small)
KERNEL_ASSERTION(unaligned_host_ptr)
#undef KERNEL_ASSERTION
int halide_error_out_of_memory(void *) { assertion_failed("out_of_memory", nullptr); }
}
