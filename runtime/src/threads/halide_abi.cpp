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
}
