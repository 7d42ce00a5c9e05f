// Randomness for the programs that draw the examples' data: every picture is a function of (seed, set, index).
#pragma once

#include <cmath>
#include <cstdint>
#include <random>

/// Random numbers that are the same with every standard library (whose distributions are not specified, while its engine is).
class Random {
public:
    Random(uint64_t seed, uint64_t set, uint64_t index) {
        std::seed_seq sequence{uint32_t(seed), uint32_t(seed >> 32), uint32_t(set), uint32_t(index)};
        engine_.seed(sequence);
    }
    double uniform(double low, double high) { return low + (high - low) * double(engine_() >> 11) * 0x1p-53; }
    int below(int count) { return int(uniform(0, count)); }
    double normal(double deviation) {  // Box and Muller 1958
        return deviation * std::sqrt(-2 * std::log(1 - uniform(0, 1))) * std::cos(2 * M_PI * uniform(0, 1));
    }

private:
    std::mt19937_64 engine_;
};
