// The functions kernels call, under the names Halide gives them (abi.def).
#include "kiln/program.h"
#include "threads/pool.h"
#include "threads/team.h"

extern "C" {

void *halide_malloc(void *, size_t bytes) { return kiln::runtime::acquire_scratch(bytes); }

void halide_free(void *, void *pointer) { kiln::runtime::release_scratch(pointer); }

int halide_do_par_for(void *user_context, int (*body)(void *, int, uint8_t *), int min, int size, uint8_t *closure) {
    if (auto *team = kiln::runtime::ThreadTeam::current()) return team->run(user_context, body, min, size, closure);
    for (int i = 0; i < size; ++i)
        if (int result = body(user_context, min + i, closure)) return result;
    return 0;
}
}
