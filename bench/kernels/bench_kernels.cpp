// Kernels alone, by Google Benchmark: those of the table of shapes, or of the training steps and augmentations of models.
//   bench_kernels [--threads=N] [--cache=DIR] [FILE.model ..] [--benchmark_filter=REGEX and the other flags of Google Benchmark]
// Counters: GFLOP/s, and its share of the peak of multiply-adds in registers; GB/s of the bytes that have to be read and written at least, and its
// share of a plain copy of as many. Peaks are measured before, by as many threads. Data stay in the caches from run to run if they fit.
#include "bench/kernels/shapes.h"
#include "compiler/driver/compile.h"
#include "compiler/kernels/emit_kernels.h"
#include "runtime/src/commands/roofline.h"
#include "runtime/src/program/state.h"
#include "runtime/src/support/background.h"
#include "runtime/src/threads/team.h"

#include <benchmark/benchmark.h>
#include <halide14/HalideRuntime.h>

#include <chrono>
#include <cstring>
#include <dlfcn.h>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include <fmt/format.h>

namespace kiln {
namespace {

/// What kernels call; named here so that the linker takes it from the runtime's archive.
[[gnu::used]] void *const kCalledByKernels[] = {reinterpret_cast<void *>(&::halide_malloc), reinterpret_cast<void *>(&::halide_free), reinterpret_cast<void *>(&::halide_do_par_for)};

constexpr int kFewest = 4;  // calls of a kernel before Google Benchmark begins to count

struct Named {
    std::string name;
    Kernel kernel;
};

std::vector<Named> table_of_shapes() {
    std::vector<Named> kernels;
    for (ShapeKernel &each : shape_kernels()) kernels.push_back({each.shape + (each.part.empty() ? "" : ": " + each.part), std::move(each.kernel)});
    return kernels;
}

std::vector<Named> kernels_of_model(const std::string &path) {
    std::stringstream text;
    text << std::ifstream(path).rdbuf();
    SourceMap sources;
    Diagnostics diagnostics;
    const Compilation compiled = compile(sources.add(path, text.str()), sources, {}, 2, Stage::plan, diagnostics);
    if (diagnostics.has_errors()) throw std::runtime_error(render(diagnostics, false));
    std::vector<Named> kernels;
    std::set<KernelId> known;
    for (const Program &program : compiled.plan.programs) {
        if (program.name != "train" && program.name != "update" && !augments(program.name)) continue;
        for (const Call &call : program.calls)
            if (known.insert(call.kernel).second)
                kernels.push_back({fmt::format("{} {} {}", compiled.plan[call.kernel].name, to_string(compiled.plan[call.outputs.at(0)].type), to_string(call.loc)), compiled.plan[call.kernel]});
    }
    return kernels;
}

halide_type_t halide_type(DType dtype) {
    switch (dtype) {
    case DType::f32: return {halide_type_float, 32};
    case DType::f64: return {halide_type_float, 64};
    case DType::i32: return {halide_type_int, 32};
    case DType::i64: return {halide_type_int, 64};
    case DType::u8:
    case DType::boolean: return {halide_type_uint, 8};
    }
    return {};
}

struct Operand {
    runtime::Memory memory;
    halide_buffer_t buffer{};
    std::vector<halide_dimension_t> dims;
    explicit Operand(const Type &type) : memory(size_t(type.bytes()) + 64) {
        memset(memory.data(), 0, size_t(type.bytes()));
        if (type.dtype == DType::f32)
            for (int64_t i = 0; i < type.elements(); i++) reinterpret_cast<float *>(memory.data())[i] = float(i % 17) * 0.1f + 0.05f;
        int32_t stride = 1;
        for (size_t i = type.shape.size(); i-- > 0;) {
            dims.emplace_back(0, int32_t(type.shape[i]), stride);
            stride *= int32_t(type.shape[i]);
        }
        buffer.host = memory.data();
        buffer.type = halide_type(type.dtype);
        buffer.dimensions = int32_t(dims.size());
        buffer.dim = dims.data();
    }
};

/// A kernel with arguments: tensors of small numbers, scalars that are 0.
class Prepared {
public:
    Prepared(const Kernel &kernel, void *symbol) : symbol_(symbol) {
        std::vector<size_t> word_of;
        for (const Node &node : kernel.body.nodes) {
            if (node.op != Op::input) continue;
            word_of.push_back(words_.size());
            if (node.type.rank() > 0 || !attrs<InputAttrs>(node).name.starts_with("scalar")) add(node.type);
            else if (!is_float(node.type.dtype)) words_.push_back(0);
        }
        for (size_t i = 0; i < kernel.body.results.size(); i++) {
            if (kernel.in_place[i] >= 0) words_.push_back(words_[word_of[size_t(kernel.in_place[i])]]);
            else add(kernel.body[kernel.body.results[i].value].type);
        }
        words_.resize(std::max<size_t>(words_.size(), 16));
    }

    /// Pointers and whole numbers go to general registers and the stack, floating-point ones to eight others: a call with all of them fits every kernel.
    void call() const {
        using Function = int (*)(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, double, double, double, double, double, double, double, double, uint64_t,
                                 uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t);
        const auto &w = words_;
        reinterpret_cast<Function>(symbol_)(w[0], w[1], w[2], w[3], w[4], w[5], 0, 0, 0, 0, 0, 0, 0, 0, w[6], w[7], w[8], w[9], w[10], w[11], w[12], w[13], w[14], w[15]);
    }

private:
    void add(const Type &type) {
        operands_.push_back(std::make_unique<Operand>(type));
        words_.push_back(uint64_t(&operands_.back()->buffer));
    }

    void *symbol_;
    std::vector<std::unique_ptr<Operand>> operands_;
    std::vector<uint64_t> words_;
};

void *load(const std::vector<Named> &kernels, const std::string &cache) {
    Plan plan;
    std::set<std::string> names;
    for (const Named &each : kernels)
        if (names.insert(each.kernel.name).second) plan.kernels.push_back(each.kernel);
    KernelOptions options;
    options.target = "native";
    options.cache_folder = cache;
    options.jobs = runtime::available_processors();
    std::string folder = (std::filesystem::temp_directory_path() / "bench_kernels_XXXXXX").string();
    if (!mkdtemp(folder.data())) throw std::runtime_error("cannot make a temporary folder");
    std::string command = fmt::format("cc -shared -o {}/kernels.so", folder);
    for (const ObjectFile &object : emit_kernels(plan, options)) {
        const std::string name = fmt::format("{}/{}.o", folder, object.name);
        std::ofstream(name, std::ios::binary).write(reinterpret_cast<const char *>(object.bytes.data()), long(object.bytes.size()));
        command += " " + name;
    }
    const bool linked = system((command + " -lm").c_str()) == 0;
    void *library = linked ? dlopen((folder + "/kernels.so").c_str(), RTLD_NOW) : nullptr;
    std::filesystem::remove_all(folder);
    if (!library) throw std::runtime_error(linked ? dlerror() : "cannot link the kernels");
    return library;
}

/// In seconds. Not the time of a thread, from which a virtual machine's kernel takes what it believes was stolen: at times more than all of a short kernel's.
double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

void measure(benchmark::State &state, const Kernel &kernel, void *symbol, double peak, runtime::CopySpeed &copy) {
    const Prepared prepared(kernel, symbol);
    auto timed = [&] {
        const double begin = now();
        prepared.call();
        return now() - begin;
    };
    double least = timed();
    for (int i = 0; i < kFewest; ++i) least = std::min(least, timed());
    for (auto unused : state) {
        const double seconds = timed();
        least = std::min(least, seconds);
        state.SetIterationTime(seconds);
    }
    // Of the fastest run: what the kernel can do, whatever else the machine was at.
    state.counters["GFLOP/s"] = double(kernel.flops) / least / 1e9;
    state.counters["of_peak"] = double(kernel.flops) / least / peak;
    state.counters["GB/s"] = double(kernel.bytes) / least / 1e9;
    state.counters["of_copy"] = double(kernel.bytes) / least / copy.moving(kernel.bytes);
}

int run(int argc, char **argv) {
    benchmark::Initialize(&argc, argv);
    int threads = 1;
    std::string cache;
    std::vector<Named> kernels;
    for (int i = 1; i < argc; i++) {
        const std::string argument = argv[i];
        if (argument.starts_with("--threads=")) threads = std::stoi(argument.substr(10));
        else if (argument.starts_with("--cache=")) cache = argument.substr(8);
        else if (argument.starts_with("-")) throw std::runtime_error("unknown flag " + argument);
        else for (Named &each : kernels_of_model(argument)) kernels.push_back(std::move(each));
    }
    if (kernels.empty()) kernels = table_of_shapes();
    void *library = load(kernels, cache);  // before there are threads: it forks
    runtime::ThreadTeam team(threads);
    const double peak = runtime::arithmetic_peak(runtime::DType::f32);
    runtime::CopySpeed copy;
    benchmark::AddCustomContext("peak_gflops", fmt::format("{:.1f}", peak / 1e9));
    benchmark::AddCustomContext("team", std::to_string(threads));
    for (const Named &each : kernels)
        benchmark::RegisterBenchmark(each.name.c_str(), [&each, library, peak, &copy](benchmark::State &state) {
            measure(state, each.kernel, dlsym(library, each.kernel.name.c_str()), peak, copy);
        })->UseManualTime()->Unit(benchmark::kMicrosecond);
    benchmark::RunSpecifiedBenchmarks();
    return 0;
}

}  // namespace
}  // namespace kiln

int main(int argc, char **argv) {
    try {
        return kiln::run(argc, argv);
    } catch (const std::exception &error) {
        fmt::print(stderr, "bench_kernels: {}\n", error.what());
        return 1;
    }
}
