// Times every kernel of a model's training step and of its augmentation on one thread, in processor time, beside the peak of a loop of independent FMAs measured in the same run.
//   bench_kernels MODEL [--only WORD]
// Columns: kernel, microseconds (best of many), share of the step, GFLOP/s, % of the FMA peak, GB/s over arguments and results.
#include "compiler/driver/compile.h"
#include "compiler/kernels/emit_kernels.h"

#include <halide14/HalideRuntime.h>

#include <algorithm>
#include <cstring>
#include <ctime>
#include <dlfcn.h>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include <fmt/format.h>

extern "C" {
void *halide_malloc(void *, size_t bytes) { return aligned_alloc(128, (bytes + 255) / 128 * 128); }
void halide_free(void *, void *pointer) { free(pointer); }
int halide_do_par_for(void *context, halide_task_t body, int min, int size, uint8_t *closure) {
    for (int i = min; i < min + size; i++)
        if (int status = body(context, i, closure)) return status;
    return 0;
}
int halide_error_out_of_memory(void *) { abort(); }
}

namespace kiln {
namespace {

/// Seconds this thread has run: what other processes take of the machine is not counted.
double now() {
    timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return double(time.tv_sec) + 1e-9 * double(time.tv_nsec);
}

/// GFLOP/s of twelve independent chains of FMAs, in the widest vectors of this processor.
typedef float Vector512 __attribute__((vector_size(64)));
typedef float Vector256 __attribute__((vector_size(32)));
template <typename Vector> __attribute__((always_inline)) inline double fma_loop() {
    Vector chains[12], factor = Vector{} + 0.9999f, term = Vector{} + 1e-6f;
    for (Vector &chain : chains) chain = Vector{} + 1.0f;
    const int steps = 400000;
    const double begin = now();
    for (int i = 0; i < steps; i++)
        for (Vector &chain : chains) chain = chain * factor + term;
    const double seconds = now() - begin;
    Vector sum{};
    for (Vector &chain : chains) sum += chain;
    volatile float keep = sum[0];
    (void)keep;
    return 2.0 * steps * 12 * (sizeof(Vector) / 4) / seconds / 1e9;
}
__attribute__((target("avx512f"), optimize("O3", "fp-contract=fast"))) double peak_512() { return fma_loop<Vector512>(); }
__attribute__((target("avx2,fma"), optimize("O3", "fp-contract=fast"))) double peak_256() { return fma_loop<Vector256>(); }
double peak() {
    double best = 0;
    for (int i = 0; i < 20; i++) best = std::max(best, __builtin_cpu_supports("avx512f") ? peak_512() : peak_256());
    return best;
}

halide_type_t halide_type(DType dtype) {
    if (dtype == DType::f32) return {halide_type_float, 32};
    if (dtype == DType::f64) return {halide_type_float, 64};
    if (dtype == DType::i32) return {halide_type_int, 32};
    if (dtype == DType::i64) return {halide_type_int, 64};
    return {halide_type_uint, 8};
}

struct Operand {
    uint8_t *data;
    halide_buffer_t buffer{};
    std::vector<halide_dimension_t> dims;
    explicit Operand(const Type &type) : data(static_cast<uint8_t *>(aligned_alloc(64, size_t(type.bytes() + 127) / 64 * 64))) {
        memset(data, 0, size_t(type.bytes()));
        if (type.dtype == DType::f32)
            for (int64_t i = 0; i < type.elements(); i++) reinterpret_cast<float *>(data)[i] = float(i % 17) * 0.1f - 0.5f;
        int32_t stride = 1;
        for (size_t i = type.shape.size(); i-- > 0;) {
            dims.emplace_back(0, int32_t(type.shape[i]), stride);
            stride *= int32_t(type.shape[i]);
        }
        buffer.host = data;
        buffer.type = halide_type(type.dtype);
        buffer.dimensions = int32_t(dims.size());
        buffer.dim = dims.data();
    }
};

/// Best time of one call, in seconds. Scalars are zero.
double time_kernel(const Kernel &kernel, void *symbol) {
    std::vector<std::unique_ptr<Operand>> operands;
    std::vector<uint64_t> words;
    std::vector<size_t> word_of;
    for (const Node &node : kernel.body.nodes) {
        if (node.op != Op::input) continue;
        word_of.push_back(words.size());
        if (node.type.rank() == 0 && attrs<InputAttrs>(node).name.starts_with("scalar")) {
            if (!is_float(node.type.dtype)) words.push_back(0);
            continue;
        }
        operands.push_back(std::make_unique<Operand>(node.type));
        words.push_back(uint64_t(&operands.back()->buffer));
    }
    for (size_t i = 0; i < kernel.body.results.size(); i++) {
        if (kernel.in_place[i] >= 0) {
            words.push_back(words[word_of[size_t(kernel.in_place[i])]]);
            continue;
        }
        operands.push_back(std::make_unique<Operand>(kernel.body[kernel.body.results[i].value].type));
        words.push_back(uint64_t(&operands.back()->buffer));
    }
    words.resize(std::max<size_t>(words.size(), 16));
    using Function = int (*)(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, double, double, double, double, double, double, double,
                             double, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t);
    const auto &w = words;
    double best = 1e9;
    const double begin = now();
    for (int i = 0; i < 2000 && (i < 5 || now() - begin < 0.15); i++) {
        const double start = now();
        reinterpret_cast<Function>(symbol)(w[0], w[1], w[2], w[3], w[4], w[5], 0, 0, 0, 0, 0, 0, 0, 0, w[6], w[7], w[8], w[9], w[10], w[11], w[12], w[13],
                                           w[14], w[15]);
        best = std::min(best, now() - start);
    }
    for (auto &operand : operands) free(operand->data);
    return best;
}

int run(const std::string &path, const std::string &only) {
    std::stringstream text;
    text << std::ifstream(path).rdbuf();
    SourceMap sources;
    Diagnostics diagnostics;
    const SourceFile &file = sources.add(path, text.str());
    const Compilation compiled = compile(file, sources, {}, 2, Stage::plan, diagnostics);
    const Plan &plan = compiled.plan;
    std::map<int, int> calls, augmenting;
    for (const Program &program : plan.programs)
        if (program.name == "train" || program.name == "update" || program.name == "augment")
            for (const Call &call : program.calls) (augments(program.name) ? augmenting : calls)[call.kernel.index]++;
    Plan used;
    std::vector<int> count, augment_count;
    for (int index = 0; index < int(plan.kernels.size()); index++) {
        const Kernel &kernel = plan.kernels[size_t(index)];
        if ((!calls.count(index) && !augmenting.count(index)) || kernel.name.find(only) == std::string::npos) continue;
        used.kernels.push_back(kernel), count.push_back(calls[index]), augment_count.push_back(augmenting[index]);
    }
    KernelOptions options;
    options.target = "native";
    options.jobs = 2;
    char folder[] = "/tmp/bench_kernels_XXXXXX";
    if (!mkdtemp(folder)) return 1;
    std::string command = fmt::format("cc -shared -o {}/kernels.so", folder);
    for (const ObjectFile &object : emit_kernels(used, options)) {
        const std::string name = fmt::format("{}/{}.o", folder, object.name);
        std::ofstream(name, std::ios::binary).write(reinterpret_cast<const char *>(object.bytes.data()), long(object.bytes.size()));
        command += " " + name;
    }
    if (system((command + " -lm").c_str()) != 0) return 1;
    void *library = dlopen(fmt::format("{}/kernels.so", folder).c_str(), RTLD_NOW);
    if (!library) return fmt::print("{}\n", dlerror()), 1;
    std::filesystem::remove_all(folder);
    const double gflops = peak();
    std::vector<double> seconds;
    double total = 0, augment_total = 0;
    for (size_t i = 0; i < used.kernels.size(); i++) {
        seconds.push_back(time_kernel(used.kernels[i], dlsym(library, used.kernels[i].name.c_str())));
        total += seconds.back() * count[i];
        augment_total += seconds.back() * augment_count[i];
    }
    fmt::print("FMA peak {:.1f} GFLOP/s; kernels of one step {:.3f} ms\n", gflops, total * 1e3);
    if (augment_total > 0)
        fmt::print("augmenting a batch of {}: {:.3f} ms, {:.1f} us a sample\n", compiled.graph.batch, augment_total * 1e3, augment_total * 1e6 / double(compiled.graph.batch));
    for (size_t i = 0; i < used.kernels.size(); i++) {
        const Kernel &kernel = used.kernels[i];
        int64_t bytes = 0;
        for (const Node &node : kernel.body.nodes)
            if (node.op == Op::input) bytes += node.type.bytes();
        for (const Result &result : kernel.body.results) bytes += kernel.body[result.value].type.bytes();
        std::string shapes;
        for (const Node &node : kernel.body.nodes)
            if (node.op == Op::input && shapes.size() < 50) shapes += to_string(node.type.shape);
        fmt::print("{:44} {:9.1f} us x{} {:5.1f}% {:7.1f} GFLOP/s {:5.1f}% {:6.1f} GB/s  {}\n", kernel.name, seconds[i] * 1e6, count[i] + augment_count[i],
                   100 * seconds[i] * (count[i] + augment_count[i]) / (total + augment_total), double(kernel.flops) / seconds[i] / 1e9, double(kernel.flops) / seconds[i] / 1e7 / gflops,
                   double(bytes) / seconds[i] / 1e9, shapes);
    }
    return 0;
}

}  // namespace
}  // namespace kiln

int main(int argc, char **argv) {
    if (argc < 2) return fmt::print("usage: bench_kernels MODEL [--only WORD]\n"), 2;
    return kiln::run(argv[1], argc > 3 ? argv[3] : "");
}
