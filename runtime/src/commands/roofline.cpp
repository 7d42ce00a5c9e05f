#include "commands/roofline.h"

#include "program/state.h"
#include "threads/team.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>

namespace kiln::runtime {
namespace {

constexpr int kChains = 12;  // more than latency times units, fewer than registers
constexpr int kSteps = 100000;
constexpr double kPatience = 0.05;  // seconds that a measurement goes on at least: the best of many is what the machine can do
constexpr int kSmallest = 12, kLargest = 28;  // exponents of the bytes that copies move: 4 KiB to 256 MiB

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

template <typename Element, int bytes>
struct Lanes {
    typedef Element Vector __attribute__((vector_size(bytes)));
};

template <typename Element, int bytes>
__attribute__((always_inline)) inline void multiply_add(uint8_t *result) {
    using Vector = typename Lanes<Element, bytes>::Vector;
    Vector chains[kChains], factor = Vector{} + Element(0.9999), term = Vector{} + Element(1e-6);
    for (Vector &chain : chains) chain = Vector{} + Element(1);
    for (int i = 0; i < kSteps; ++i)
        for (Vector &chain : chains) chain = chain * factor + term;
    Vector sum{};
    for (Vector &chain : chains) sum += chain;
    std::memcpy(result, &sum, sizeof sum);
}

__attribute__((target("avx512f"), optimize("O3", "fp-contract=fast"))) void wide_f32(uint8_t *result) { multiply_add<float, 64>(result); }
__attribute__((target("avx512f"), optimize("O3", "fp-contract=fast"))) void wide_f64(uint8_t *result) { multiply_add<double, 64>(result); }
__attribute__((target("avx2,fma"), optimize("O3", "fp-contract=fast"))) void middle_f32(uint8_t *result) { multiply_add<float, 32>(result); }
__attribute__((target("avx2,fma"), optimize("O3", "fp-contract=fast"))) void middle_f64(uint8_t *result) { multiply_add<double, 32>(result); }
__attribute__((optimize("O3"))) void narrow_f32(uint8_t *result) { multiply_add<float, 16>(result); }
__attribute__((optimize("O3"))) void narrow_f64(uint8_t *result) { multiply_add<double, 16>(result); }

struct Loop {
    void (*run)(uint8_t *);
    int lanes;
};

Loop loop_for(DType type) {
    const bool doubles = type == DType::f64;
    if (__builtin_cpu_supports("avx512f")) return {doubles ? wide_f64 : wide_f32, doubles ? 8 : 16};
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return {doubles ? middle_f64 : middle_f32, doubles ? 4 : 8};
    return {doubles ? narrow_f64 : narrow_f32, doubles ? 2 : 4};
}

/// Runs body(i) on so many threads of the team, which has as many; seconds.
template <typename Body>
double timed(int threads, Body body) {
    double begin = now();
    if (threads > 1) ThreadTeam::current()->for_each(threads, body);
    else body(0);
    return now() - begin;
}

int threads_here() { return ThreadTeam::current() ? ThreadTeam::current()->size() : 1; }

}  // namespace

double arithmetic_peak(DType type) {
    Loop loop = loop_for(type);
    const int threads = threads_here();
    double least = 1e9;
    for (double begin = now(); now() - begin < kPatience;)
        least = std::min(least, timed(threads, [&](int) {
                             alignas(64) uint8_t result[64];
                             loop.run(result);
                         }));
    return 2.0 * kChains * loop.lanes * kSteps * threads / least;
}

double CopySpeed::moving(int64_t bytes) {
    const int exponent = std::clamp(int(std::lround(std::log2(double(std::max<int64_t>(bytes, 1))))), kSmallest, kLargest);
    auto [entry, is_new] = measured_.try_emplace(exponent, 0.0);
    if (!is_new) return entry->second;
    const size_t half = size_t(1) << (exponent - 1);
    Memory from(half), to(half);
    std::memset(from.data(), 1, half);
    double least = 1e9;
    auto copy = [&](int threads) {
        least = std::min(least, timed(threads, [&](int piece) {
                             const size_t first = half * size_t(piece) / size_t(threads), end = half * size_t(piece + 1) / size_t(threads);
                             std::memcpy(to.data() + first, from.data() + first, end - first);
                         }));
    };
    for (double begin = now(); now() - begin < kPatience;) {
        copy(threads_here());
        copy(1);  // better for a small one
    }
    return entry->second = 2.0 * double(half) / least;
}

}  // namespace kiln::runtime
