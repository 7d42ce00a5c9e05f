// Objects from the cache where possible, the rest compiled in parallel children (see isolate.h).
#include "compiler/kernels/emit_kernels.h"

#include "compiler/ir/text.h"
#include "compiler/kernels/isolate.h"
#include "compiler/kernels/lowering.h"
#include "compiler/kernels/object_cache.h"
#include "compiler/kernels/target.h"
#include "compiler/support/check.h"

#include <fstream>
#include <sstream>
#include <string_view>
#include <sys/mman.h>
#include <unistd.h>

namespace kiln {

/// Hash of the sources of this folder and of Halide's header, made by the build: objects in the cache do not outlive the code that made them.
extern const char *const kKernelSourcesHash;

namespace {

std::string cache_key(const Kernel &kernel, const KernelOptions &options) {
    std::string key = fmt::format("sources {}\ntarget {}\n", kKernelSourcesHash, kernel_target(options.target, options.debug_checks).to_string());
    if (options.direct_convolutions) key += "direct convolutions\n";
    key += fmt::format("kernel {}\nin place", kernel.name);
    for (int argument : kernel.in_place) key += fmt::format(" {}", argument);
    return key + "\n" + print(kernel.body, {.locations = false, .scopes = false});
}

Halide::Module lower_kernel(const Kernel &kernel, const KernelOptions &options) {
    return Lowering(kernel, kernel_target(options.target, options.debug_checks), !options.debug_checks, options.direct_convolutions).lower(kernel.name);
}

/// Halide only warns of assertions that cannot hold. Kernels have none, and would overstep what these are about.
struct Reporter : Halide::CompileTimeErrorReporter {
    void warning(const char *message) override {
        if (std::string_view(message).find("guaranteed to fail") != std::string_view::npos) error(message);
        fmt::print(stderr, "{}", message);
    }
    void error(const char *message) override { throw InternalError(message); }
};

/// The kernel's text in the explanation of an internal error.
template <typename Work> std::vector<uint8_t> explained(const Kernel &kernel, Work work) {
    static Reporter reporter;
    Halide::set_custom_compile_time_error_reporter(&reporter);
    try {
        return work();
    } catch (const std::exception &error) {
        throw InternalError(fmt::format("kernel {}: {}\n{}", kernel.name, error.what(), print(kernel.body)));
    }
}

std::vector<uint8_t> compile_object(const Kernel &kernel, const KernelOptions &options) {
    return explained(kernel, [&] {
        Halide::Buffer<uint8_t> object = lower_kernel(kernel, options).compile_to_buffer();
        return std::vector<uint8_t>(object.begin(), object.end());
    });
}

std::vector<uint8_t> compile_text(const Kernel &kernel, const KernelOptions &options, Halide::OutputFileType type) {
    return explained(kernel, [&] {
        const int file = memfd_create("kernel", 0);
        KILN_CHECK(file >= 0, "memfd_create failed");
        const std::string path = fmt::format("/proc/self/fd/{}", file);
        lower_kernel(kernel, options).compile({{type, path}});
        std::ifstream in(path, std::ios::binary);
        std::stringstream text;
        text << in.rdbuf();
        const std::string s = text.str();
        close(file);
        return std::vector<uint8_t>(s.begin(), s.end());
    });
}

std::vector<std::string> compile_texts(const std::vector<Kernel> &kernels, const KernelOptions &options, Halide::OutputFileType type) {
    std::vector<IsolatedTask> tasks;
    for (const Kernel &kernel : kernels) tasks.push_back([&] { return compile_text(kernel, options, type); });
    std::vector<std::string> texts;
    for (const std::vector<uint8_t> &text : run_isolated(tasks, options.jobs)) texts.emplace_back(text.begin(), text.end());
    return texts;
}

}  // namespace

std::vector<ObjectFile> emit_kernels(const Plan &plan, const KernelOptions &options) {
    const ObjectCache cache(options.cache_folder);
    std::vector<ObjectFile> objects(plan.kernels.size());
    std::vector<size_t> missing;
    std::vector<IsolatedTask> tasks;
    for (size_t i = 0; i < plan.kernels.size(); i++) {
        const Kernel &kernel = plan.kernels[i];
        objects[i].name = kernel.name;
        if (cache.read(cache_key(kernel, options), objects[i].bytes)) continue;
        missing.push_back(i);
        tasks.push_back([&] { return compile_object(kernel, options); });
    }
    std::vector<std::vector<uint8_t>> compiled = run_isolated(tasks, options.jobs);
    for (size_t i = 0; i < missing.size(); i++) {
        objects[missing[i]].bytes = std::move(compiled[i]);
        cache.write(cache_key(plan.kernels[missing[i]], options), objects[missing[i]].bytes);
    }
    return objects;
}

std::string kernel_statement(const Kernel &kernel, const KernelOptions &options, bool html) {
    return compile_texts({kernel}, options, html ? Halide::OutputFileType::stmt_html : Halide::OutputFileType::stmt)[0];
}

std::string kernel_assembly(const Kernel &kernel, const KernelOptions &options) { return kernel_assemblies({kernel}, options)[0]; }

std::vector<std::string> kernel_assemblies(const std::vector<Kernel> &kernels, const KernelOptions &options) {
    return compile_texts(kernels, options, Halide::OutputFileType::assembly);
}

}  // namespace kiln
