// The table of shapes that the benchmark measures: sums of products stay in registers.
#include "bench/kernels/shapes.h"
#include "compiler/kernels/emit_kernels.h"
#include "compiler/plan/body.h"
#include "test/unit/kernels/kernel_case.h"

#include <gtest/gtest.h>

#include <sstream>

namespace kiln {
namespace {

/// Multiply-adds of a step of products at least: two vectors for each of three columns of a window, where there is one channel.
constexpr int kStep = 6;

struct Products {
    int multiplications = 0, spills = 0;
};

/// Over the blocks, between labels and jumps, whose vector arithmetic is multiply-adds alone, that is, the steps of products: how many there are, and vectors
/// that are stored to the stack among them. What is kept on the stack around such a loop costs little.
Products products_of(const std::string &assembly) {
    std::istringstream lines(assembly);
    std::string line;
    Products total, block;
    bool others = false;
    auto close = [&] {
        if (block.multiplications >= kStep && !others) total.multiplications += block.multiplications, total.spills += block.spills;
        block = {}, others = false;
    };
    auto has = [&](const char *text) { return line.find(text) != std::string::npos; };
    while (std::getline(lines, line)) {
        if (line.starts_with(".LBB")) close();
        block.multiplications += has("vfmadd231ps");
        block.spills += has("vmov") && (has("zmm") || has("ymm")) && has("-byte Spill");
        for (const char *other : {"vaddps", "vsubps", "vmulps", "vfmadd213ps", "vfmadd132ps", "vfmsub", "vfnmadd"}) others = others || has(other);
        if (line.starts_with("\tj")) close();
    }
    close();
    return total;
}

std::vector<Kernel> kernels_of(const std::vector<ShapeKernel> &table) {
    std::vector<Kernel> kernels;
    for (const ShapeKernel &each : table) kernels.push_back(each.kernel);
    return kernels;
}

std::vector<std::string> assemblies_of(const std::vector<Kernel> &kernels, const char *target) {
    KernelOptions options;
    options.target = target;
    options.jobs = 2;
    return kernel_assemblies(kernels, options);
}

TEST(Shapes, SumsStayInRegisters) {
    const std::vector<ShapeKernel> table = shape_kernels();
    const auto assemblies = assemblies_of(kernels_of(table), "x86-64-v4");
    for (size_t i = 0; i < table.size(); ++i) {
        const Products products = products_of(assemblies[i]);
        const bool contraction = table[i].kernel.family.starts_with("conv2d") || table[i].kernel.family == "matmul";
        if (contraction) { EXPECT_GE(products.multiplications, kStep) << table[i].shape << " " << table[i].part; }
        EXPECT_EQ(products.spills, 0) << table[i].shape << " " << table[i].part;
        // Products of matrices that come from memory ask for them ahead, and those of 256 KB and more, packed panel by panel, for the next panel; so do weight gradients that are not filtered and pass over the pixels several times, and windows of one element.
        const auto is = [&](const char *part_of_name) { return table[i].shape.find(part_of_name) != std::string::npos; };
        const bool direct_gradient = table[i].part == "weight gradient" && table[i].kernel.family.starts_with("conv2d") && (is(", 3 to ") || is("stride 2"));
        const bool by_panel = (is("product 64x512x784") && table[i].part == "forward") || ((is("product 1024x1024x1024") || is("product 256x256x256")) && table[i].part == "weight gradient");
        const bool from_memory = is("64x200x36864") || by_panel || is("window 1x1") || direct_gradient;
        EXPECT_EQ(assemblies[i].find("prefetcht1") != std::string::npos, from_memory) << table[i].shape << " " << table[i].part;
    }
}

// With 16 registers, too: tiles are smaller there.
TEST(Shapes, SumsStayInSixteenRegisters) {
    const std::vector<ShapeKernel> table = shape_kernels();
    std::vector<Kernel> kernels = kernels_of(table);
    // The gradient of a dense layer behind a relu, whose mask is an epilogue of the product.
    Case c(DType::f32);
    const NodeId dy = c.in({64, 256}), weights = c.in({512, 256}), mask = c.in(DType::boolean, {64, 512});
    c.result(c.b.elementwise(Op::select, {mask, c.b.matmul(dy, weights, false, true), c.b.constant(0, {DType::f32, {}})}));
    kernels.push_back(make_kernel(std::move(c.graph), {}));
    const auto assemblies = assemblies_of(kernels, "x86-64-v3");
    for (size_t i = 0; i < table.size(); ++i) EXPECT_EQ(products_of(assemblies[i]).spills, 0) << table[i].shape << " " << table[i].part;
    EXPECT_GE(products_of(assemblies.back()).multiplications, kStep);
    EXPECT_EQ(products_of(assemblies.back()).spills, 0);
}

// A parameter and its states, which leave the caches between two steps, are asked for, to be stored to, while the gradient is multiplied; small ones are not.
TEST(Shapes, UpdatesByProductsAskForWhatTheyStore) {
    std::vector<Kernel> kernels;
    for (int64_t columns : {512, 64}) {
        Case c(DType::f32);
        const NodeId x = c.in({64, 784}), dy = c.in({64, columns}), m = c.in({784, columns}), p = c.in({784, columns}), m1 = c.b.add(m, c.b.matmul(x, dy, true, false));
        c.result(m1), c.result(c.b.subtract(p, m1));
        kernels.push_back(make_kernel(std::move(c.graph), {2, 3}));
    }
    const auto assemblies = assemblies_of(kernels, "x86-64-v4");
    EXPECT_NE(assemblies[0].find("prefetchw"), std::string::npos);
    EXPECT_EQ(assemblies[1].find("prefetch"), std::string::npos);
    EXPECT_EQ(products_of(assemblies[0]).spills, 0);
}

// The counter counts: a tile of 30 vectors that is stored between its multiplications.
TEST(Shapes, SpillsAreFound) {
    std::string block = ".LBB0_1:\n";
    for (int i = 0; i < 8; ++i) block += "\tvfmadd231ps\t(%rax), %zmm1, %zmm2\n";
    block += "\tvmovups\t%zmm2, 64(%rsp)                # 64-byte Spill\n";
    EXPECT_EQ(products_of(block).spills, 1);
    EXPECT_EQ(products_of(block + ".LBB0_2:\n\tret\n").multiplications, 8);
    EXPECT_EQ(products_of(block + "\tjne\t.LBB0_1\n\tvaddps\t%zmm1, %zmm2, %zmm3\n").spills, 1);
    EXPECT_EQ(products_of(block + "\tvaddps\t%zmm1, %zmm2, %zmm3\n").spills, 0);
}

}  // namespace
}  // namespace kiln
