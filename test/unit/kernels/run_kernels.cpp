#include "test/unit/kernels/run_kernels.h"

#include "compiler/support/check.h"

#include <halide14/HalideRuntime.h>

#include <algorithm>
#include <cmath>
#include <csetjmp>
#include <csignal>
#include <cstring>
#include <dlfcn.h>
#include <filesystem>
#include <fstream>
#include <sys/mman.h>
#include <unistd.h>
#include <utility>

// What the runtime gives kernels. Parallel loops run backwards: no result may depend on the order of their parts.
extern "C" {
void *halide_malloc(void *, size_t bytes) { return aligned_alloc(128, (bytes + 255) / 128 * 128); }
void halide_free(void *, void *pointer) { free(pointer); }
int halide_do_par_for(void *context, halide_task_t body, int min, int size, uint8_t *closure) {
    for (int i = min + size - 1; i >= min; i--)
        if (int status = body(context, i, closure)) return status;
    return 0;
}
int halide_error_out_of_memory(void *) { abort(); }
}

namespace kiln {

namespace {

template <typename T> void store(const std::vector<double> &from, void *to) {
    for (size_t i = 0; i < from.size(); i++) static_cast<T *>(to)[i] = T(from[i]);
}
template <typename T> void load(const void *from, std::vector<double> &to) {
    for (size_t i = 0; i < to.size(); i++) to[i] = double(static_cast<const T *>(from)[i]);
}
template <typename Action> void with_type(DType dtype, Action action) {
    switch (dtype) {
        case DType::f32: action(float()); break;
        case DType::f64: action(double()); break;
        case DType::i32: action(int32_t()); break;
        case DType::i64: action(int64_t()); break;
        case DType::u8:
        case DType::boolean: action(uint8_t()); break;
    }
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

/// Bytes between pages that can neither be read nor written: the one before begins where the bytes do, or the one behind a line after
/// their last, for vectors may be read past the end, but not written. What is left of their pages is filled with a pattern.
class Memory {
public:
    Memory(size_t size, bool at_end) : size_(size), pages_((size + kLine + kPage - 1) / kPage * kPage) {
        mapping_ = static_cast<uint8_t *>(mmap(nullptr, pages_ + 2 * kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        KILN_CHECK(mapping_ != MAP_FAILED && mprotect(begin(), pages_, PROT_READ | PROT_WRITE) == 0, "no memory for {} bytes", size);
        memset(begin(), kPattern, pages_);
        data_ = at_end ? end() - (size + kLine - 1) / kLine * kLine - kLine : begin();
    }
    Memory(Memory &&other) noexcept : size_(other.size_), pages_(other.pages_), mapping_(std::exchange(other.mapping_, nullptr)), data_(other.data_) {}
    ~Memory() {
        if (mapping_) munmap(mapping_, pages_ + 2 * kPage);
    }
    uint8_t *data() const { return data_; }
    bool intact() const {
        auto untouched = [](uint8_t byte) { return byte == kPattern; };
        return std::all_of(begin(), data_, untouched) && std::all_of(data_ + size_, end(), untouched);
    }

private:
    static constexpr size_t kPage = 4096, kLine = 64;
    static constexpr uint8_t kPattern = 0xAB;
    uint8_t *begin() const { return mapping_ + kPage; }
    uint8_t *end() const { return begin() + pages_; }
    size_t size_, pages_;
    uint8_t *mapping_ = nullptr, *data_ = nullptr;
};

struct BufferView {
    halide_buffer_t buffer{};
    std::vector<halide_dimension_t> dims;
    BufferView(const Type &type, uint8_t *data) {
        int32_t stride = 1;
        for (size_t i = type.shape.size(); i-- > 0;) {
            dims.emplace_back(0, int32_t(type.shape[i]), stride);
            stride *= int32_t(type.shape[i]);
        }
        buffer.host = data;
        buffer.type = halide_type(type.dtype);
        buffer.dimensions = int32_t(dims.size());
    }
};

/// Where a kernel that touches a guarded page goes back to.
sigjmp_buf guarded_call;

/// SIGSEGV leaves the call that is under way while this lives.
class FaultHandler {
public:
    FaultHandler() {
        struct sigaction action {};
        action.sa_handler = [](int) { siglongjmp(guarded_call, 1); };
        sigaction(SIGSEGV, &action, &before_);
    }
    ~FaultHandler() { sigaction(SIGSEGV, &before_, nullptr); }

private:
    struct sigaction before_ {};
};

bool is_scalar_argument(const Node &node) { return node.type.rank() == 0 && attrs<InputAttrs>(node).name.starts_with("scalar"); }

}  // namespace

KernelLibrary::KernelLibrary(const std::vector<Kernel> &kernels, const KernelOptions &options) : kernels_(kernels) {
    Plan plan;
    plan.kernels = kernels;
    char folder[] = "/tmp/kiln_kernels_XXXXXX";
    KILN_CHECK(mkdtemp(folder), "mkdtemp failed");
    std::ofstream list(std::string(folder) + "/objects");
    for (const ObjectFile &object : emit_kernels(plan, options)) {
        const std::string path = fmt::format("{}/{}.o", folder, object.name);
        std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char *>(object.bytes.data()), long(object.bytes.size()));
        list << path << "\n";
    }
    list.close();
    const std::string path = std::string(folder) + "/kernels.so";
    KILN_CHECK(system(fmt::format("cc -shared -o {} @{}/objects -lm", path, folder).c_str()) == 0, "linking failed");
    library_ = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    KILN_CHECK(library_, "{}", dlerror());
    std::filesystem::remove_all(folder);
}

KernelLibrary::~KernelLibrary() { dlclose(library_); }

void *KernelLibrary::symbol(size_t index) const {
    void *function = dlsym(library_, kernels_[index].name.c_str());
    KILN_CHECK(function, "{}", dlerror());
    return function;
}

std::vector<Tensor> KernelLibrary::run(size_t index, const std::vector<Tensor> &arguments) const {
    run_in_memory(index, arguments, true);
    return run_in_memory(index, arguments, false);
}

std::vector<Tensor> KernelLibrary::run_in_memory(size_t index, const std::vector<Tensor> &arguments, bool at_end) const {
    const Kernel &kernel = kernels_[index];
    // In the calling convention of x86-64 scalars and pointers go to registers by class, so the values are passed by Halide's argv form:
    // here by casting to a function of integer registers and doubles.
    std::vector<Memory> memory;
    std::vector<BufferView> views;
    memory.reserve(64), views.reserve(64);
    std::vector<uint64_t> integers;
    std::vector<double> floats;
    std::vector<uint8_t *> argument_data;
    size_t position = 0;
    for (const Node &node : kernel.body.nodes) {
        if (node.op != Op::input) continue;
        const Tensor &tensor = arguments.at(position++);
        if (is_scalar_argument(node)) {
            argument_data.push_back(nullptr);
            with_type(node.type.dtype, [&](auto zero) {
                decltype(zero) value = decltype(zero)(tensor.values[0]);
                if constexpr (std::is_floating_point_v<decltype(zero)>) {
                    double bits = 0;
                    memcpy(&bits, &value, sizeof value);
                    floats.push_back(bits);
                } else {
                    integers.push_back(uint64_t(value));
                }
            });
            continue;
        }
        memory.emplace_back(size_t(node.type.bytes()), at_end);
        with_type(node.type.dtype, [&](auto zero) { store<decltype(zero)>(tensor.values, memory.back().data()); });
        argument_data.push_back(memory.back().data());
        views.emplace_back(node.type, memory.back().data());
        integers.push_back(uint64_t(&views.back().buffer));
    }
    std::vector<uint8_t *> result_data;
    for (size_t i = 0; i < kernel.body.results.size(); i++) {
        const Type &type = kernel.body[kernel.body.results[i].value].type;
        const int over = i < kernel.in_place.size() ? kernel.in_place[i] : -1;
        if (over < 0) memory.emplace_back(size_t(type.bytes()), at_end);
        result_data.push_back(over >= 0 ? argument_data[size_t(over)] : memory.back().data());
        views.emplace_back(type, result_data.back());
        integers.push_back(uint64_t(&views.back().buffer));
    }
    for (BufferView &view : views) view.buffer.dim = view.dims.data();
    KILN_CHECK(integers.size() <= 16 && floats.size() <= 8, "too many arguments for the test");
    integers.resize(16), floats.resize(8);
    using Function = int (*)(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, double, double, double, double, double, double, double,
                             double, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t);
    const auto &n = integers;
    const auto &f = floats;
    const FaultHandler handler;
    KILN_CHECK(sigsetjmp(guarded_call, 1) == 0, "kernel {} reads or writes {} a buffer", kernel.name, at_end ? "behind" : "before");
    const int status = reinterpret_cast<Function>(symbol(index))(n[0], n[1], n[2], n[3], n[4], n[5], f[0], f[1], f[2], f[3], f[4], f[5], f[6], f[7],
                                                                 n[6], n[7], n[8], n[9], n[10], n[11], n[12], n[13], n[14], n[15]);
    KILN_CHECK(status == 0, "kernel {} returned {}", kernel.name, status);
    for (const Memory &m : memory) KILN_CHECK(m.intact(), "kernel {} wrote outside its buffers", kernel.name);
    std::vector<Tensor> results;
    for (size_t i = 0; i < result_data.size(); i++) {
        const Type &type = kernel.body[kernel.body.results[i].value].type;
        Tensor tensor{type, std::vector<double>(size_t(type.elements()))};
        with_type(type.dtype, [&](auto zero) { load<decltype(zero)>(result_data[i], tensor.values); });
        results.push_back(std::move(tensor));
    }
    return results;
}

Kernel kernel_of(Graph body, std::string name, std::vector<int> in_place) {
    Kernel kernel;
    kernel.name = std::move(name);
    kernel.body = std::move(body);
    kernel.in_place = std::move(in_place);
    kernel.in_place.resize(kernel.body.results.size(), -1);
    return kernel;
}

std::string difference(const Tensor &actual, const Tensor &expected, double length) {
    if (actual.type != expected.type) return fmt::format("type {} instead of {}", to_string(actual.type), to_string(expected.type));
    double largest = 0;
    for (double v : expected.values)
        if (std::isfinite(v)) largest = std::max(largest, std::abs(v));
    const double precision = expected.type.dtype == DType::f64 ? 1e-12 : 2e-6;
    for (size_t i = 0; i < expected.values.size(); i++) {
        const double a = actual.values[i], e = expected.values[i];
        if (a == e) continue;
        if (is_float(expected.type.dtype)) {
            // Relative to the element; where terms cancel, to the largest element.
            const double tolerance = precision * (std::abs(e) * 4 + (length > 1 ? std::sqrt(length) * largest : 0.0) + 5e-2 * largest);
            if (std::abs(a - e) <= tolerance) continue;
        }
        return fmt::format("element {} is {:.9g} instead of {:.9g}", i, a, e);
    }
    return "";
}

double reduction_length(const Graph &body) {
    double length = 1;
    for (const Node &node : body.nodes) {
        if (!has_trait(node.op, kContraction) && !has_trait(node.op, kReduction) && node.op != Op::window_sum2d && node.op != Op::scatter_add_rows) continue;
        int64_t read = 1;
        for (NodeId operand : node.operands) read = std::max(read, body[operand].type.elements());
        length = std::max(length, double(read));
    }
    return length;
}

}  // namespace kiln
