// How far kernels are from exact results, where an interpreter of doubles alone would not tell.
#include "test/unit/kernels/kernel_case.h"
#include "test/unit/kernels/run_kernels.h"

#include <gtest/gtest.h>

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <random>

namespace kiln {
namespace {

/// A quotient that multiplications compute is the rounded one: the divisor is a root and a constant, as in Adam.
TEST(FusedKernels, QuotientsOfRootsAreRounded) {
    const int64_t n = 200003;
    Case c(DType::f32);
    NodeId numerator = c.in({n}), square = c.in({n}, "v");
    c.result(c.b.divide(numerator, c.b.add(c.b.append(Op::sqrt, {square}), c.b.constant(1e-8, {DType::f32, {n}}))));
    KernelOptions options;
    options.target = "native";
    const KernelLibrary library({kernel_of(std::move(c.graph), "quotients")}, options);
    std::mt19937 random(1);
    std::uniform_real_distribution<float> mantissa(1.0f, 2.0f);
    std::vector<Tensor> inputs(2, Tensor{{DType::f32, {n}}, std::vector<double>(size_t(n))});
    for (int64_t i = 0; i < n; i++) {
        inputs[0].values[size_t(i)] = double(std::ldexp(mantissa(random), int(random() % 80) - 40) * (i % 2 ? 1.0f : -1.0f));
        inputs[1].values[size_t(i)] = i % 1000 == 0 ? 0.0 : double(std::ldexp(mantissa(random), int(random() % 200) - 110));
    }
    const size_t last = size_t(n) - 1;
    inputs[1].values[last] = std::numeric_limits<double>::infinity();
    const Tensor result = library.run(0, inputs)[0];
    int64_t different = 0;
    for (size_t i = 0; i < last; i++) {
        const float expected = float(inputs[0].values[i]) / (std::sqrt(float(inputs[1].values[i])) + 1e-8f), actual = float(result.values[i]);
        different += actual != expected;
        const bool close = actual == expected || actual == std::nextafter(expected, INFINITY) || actual == std::nextafter(expected, -INFINITY);
        ASSERT_TRUE(close) << inputs[0].values[i] << " / (sqrt(" << inputs[1].values[i] << ") + 1e-8): " << actual << " instead of " << expected;
    }
    EXPECT_LT(different, n / 200);
    EXPECT_LT(std::abs(result.values[last]), 1e-15);  // by infinity
}

/// A quotient by multiplications that is added or subtracted is not rounded before: the sum is off by its own rounding, and by one of 1 / b.
TEST(FusedKernels, QuotientsOfRootsAreAddedUnrounded) {
    const int64_t n = 100003;
    const Type type{DType::f32, {n}};
    auto kernel = [&](bool subtracts) {
        Case c(DType::f32);
        const NodeId addend = c.in({n}), numerator = c.in({n}), square = c.in({n});
        const NodeId quotient = c.b.divide(numerator, c.b.add(c.b.append(Op::sqrt, {square}), c.b.constant(1e-8, type)));
        c.result(subtracts ? c.b.subtract(addend, quotient) : c.b.add(quotient, addend));
        return kernel_of(c.graph, subtracts ? "difference" : "sum");
    };
    std::mt19937 random(2);
    std::uniform_real_distribution<float> mantissa(1.0f, 2.0f);
    std::vector<Tensor> inputs(3, Tensor{type, std::vector<double>(size_t(n))});
    auto number = [&](int exponents, int from) { return double(std::ldexp(mantissa(random), int(random() % unsigned(exponents)) + from)); };
    for (size_t i = 0; i < size_t(n); i++) {
        inputs[1].values[i] = number(40, -20) * (i % 2 ? 1 : -1), inputs[2].values[i] = i % 1000 == 0 ? 0.0 : number(100, -60);
        inputs[0].values[i] = i % 3 == 0 ? 0.0 : number(40, -20);
    }
    inputs[2].values[size_t(n) - 1] = std::numeric_limits<double>::infinity();
    for (const char *target : {"native", "x86-64-v3"}) {
        KernelOptions options;
        options.target = target;
        const KernelLibrary library({kernel(false), kernel(true)}, options);
        auto unit = [](double x) { return std::max(double(std::nextafter(std::abs(float(x)), INFINITY)) - double(std::abs(float(x))), 0x1p-120); };
        for (size_t which : {0, 1}) {
            const Tensor result = library.run(which, inputs)[0];
            for (size_t i = 0; i < size_t(n); i++) {
                const double divisor = std::min(double(std::sqrt(float(inputs[2].values[i])) + 1e-8f), 0x1p100);  // infinity is limited
                const double quotient = inputs[1].values[i] / divisor;
                const double expected = inputs[0].values[i] + (which == 0 ? quotient : -quotient);
                ASSERT_LE(std::abs(result.values[i] - expected), 0.5 * unit(expected) + 1.1 * unit(quotient))
                    << inputs[0].values[i] << (which == 0 ? " + " : " - ") << inputs[1].values[i] << " / (sqrt(" << inputs[2].values[i] << ") + 1e-8) on " << target;
            }
        }
    }
}

/// Roundings of equal terms err in the same direction: 262,144 of them added to one f32 after the other would be off by 6e-4 and more.
TEST(FusedKernels, LongSumsLoseNoDigits) {
    struct Sum { Shape shape; Ints axes; };
    const std::vector<Sum> sums{{{4, 65536, 16}, {0, 1}}, {{3, 50000, 17}, {0, 1}}, {{2, 70000, 3}, {0, 1}}, {{20, 10000, 5}, {1}}, {{20, 400003}, {1}}, {{9, 300, 300, 33}, {0, 1, 2}}};
    std::vector<Kernel> kernels;
    for (const Sum &sum : sums) {
        Case c(DType::f32);
        NodeId x = c.in(sum.shape), of_x = c.b.reduce(Op::reduce_sum, x, sum.axes), of_squares = c.b.reduce(Op::reduce_sum, c.b.multiply(x, x), sum.axes);
        c.result(of_x), c.result(of_squares), c.result(c.b.add(of_x, of_squares));
        kernels.push_back(kernel_of(std::move(c.graph), fmt::format("sum_{}", kernels.size())));
    }
    for (const char *target : {"native", "x86-64-v2", "x86-64-v3"}) {
        KernelOptions options;
        options.target = target;
        const KernelLibrary library(kernels, options);
        for (size_t i = 0; i < sums.size(); i++) {
            const Type type{DType::f32, sums[i].shape};
            const double x = double(0.1f);
            const std::vector<Tensor> found = library.run(i, {{type, std::vector<double>(size_t(type.elements()), x)}});
            const double terms = double(type.elements()) / double(found[0].type.elements());
            for (double value : found[0].values) EXPECT_NEAR(value / (terms * x), 1, 2e-6) << to_string(type) << " on " << target;
            for (double value : found[1].values) EXPECT_NEAR(value / (terms * x * x), 1, 2e-6) << to_string(type) << " on " << target;
            for (double value : found[2].values) EXPECT_NEAR(value / (terms * (x + x * x)), 1, 2e-6) << to_string(type) << " on " << target;
        }
    }
}

}  // namespace
}  // namespace kiln
