#include "compiler/codegen/emit_program.h"
#include "compiler/driver/commands.h"
#include "compiler/driver/compile.h"
#include "compiler/driver/failure.h"
#include "compiler/driver/link.h"
#include "compiler/driver/session.h"

#include <fmt/format.h>

#include <chrono>

namespace kiln {

int build(const BuildOptions &options) {
    const CompileOptions &compile = options.compile;
    auto start = std::chrono::steady_clock::now();
    auto lap = [&](const char *what) {
        auto now = std::chrono::steady_clock::now();
        if (options.print_times) fmt::print(stderr, "{:6.3f} s  {}\n", std::chrono::duration<double>(now - start).count(), what);
        start = now;
    };

    Session session(compile);
    Compilation c = session.run(Stage::plan);
    if (session.finish()) return kExitProgram;
    session.keep_sources(options.output);
    lap("front end, gradients, passes, plan");

    // One after the other, without a thread for the program: kernels are compiled in forked children, and a child forked while
    // another thread holds one of LLVM's locks waits for it for ever.
    std::vector<ObjectFile> objects = emit_kernels(c.plan, session.kernel_options());
    lap("kernels");
    objects.push_back({"program", emit_program(c.graph, c.plan, {compile.target, compile.level}).object});
    lap("program");
    link_executable(objects, options.output);
    lap("link");
    return kExitOk;
}

}  // namespace kiln
