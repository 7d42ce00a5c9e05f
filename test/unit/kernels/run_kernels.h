// Compiles kernels, links all of them into one shared library and calls them on tensors of the interpreter.
#pragma once

#include "compiler/kernels/emit_kernels.h"
#include "compiler/ops/tensor.h"

#include <memory>
#include <string>
#include <vector>

namespace kiln {

class KernelLibrary {
public:
    KernelLibrary(const std::vector<Kernel> &kernels, const KernelOptions &options);
    ~KernelLibrary();
    KernelLibrary(const KernelLibrary &) = delete;

    /// Results of kernel `index`; `in_place` results are stored over copies of their arguments. It runs twice, with memory that is neither
    /// readable nor writable behind each buffer and before it.
    std::vector<Tensor> run(size_t index, const std::vector<Tensor> &arguments) const;
    /// Address of the kernel's function.
    void *symbol(size_t index) const;

private:
    std::vector<Tensor> run_in_memory(size_t index, const std::vector<Tensor> &arguments, bool at_end) const;

    std::vector<Kernel> kernels_;
    void *library_ = nullptr;
};

/// A kernel with the body, named `name`.
Kernel kernel_of(Graph body, std::string name, std::vector<int> in_place = {});

/// Empty if every element of `actual` is close to `expected`, else the first place where it is not. `length`: how many terms were added up.
std::string difference(const Tensor &actual, const Tensor &expected, double length);

/// Terms behind one element of a result of the body, for the tolerance.
double reduction_length(const Graph &body);

}  // namespace kiln
