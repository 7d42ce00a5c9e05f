// A driver at the wheel, seen from the passenger's side, as a painting of soft shapes.
#pragma once

#include "../random.h"

#include <cstdint>
#include <vector>

struct Colour {
    double red = 0, green = 0, blue = 0;  ///< 0 to 1
};

/// What makes a person, and a car, other than the next: the same in all of a driver's pictures.
struct Driver {
    explicit Driver(Random random);
    Colour skin, hair, shirt, car, seat;
    double height, bulk, hair_length;  ///< relative to the average
    double seat_shift;                 ///< along the car
    bool sunglasses, cap;
};

struct Photograph {
    int width = 0, height = 0;
    std::vector<uint8_t> rgb;  ///< [height, width, 3]
};

/// One of the ten things a driver may be doing; kClassNames says which.
constexpr int kClasses = 10;
constexpr const char *kClassNames[kClasses] = {
    "safe driving", "texting, near hand", "phone, near hand", "texting, far hand", "phone, far hand",
    "the radio",    "drinking",           "reaching behind",  "hair and makeup",   "talking"};

Photograph draw(int action, const Driver &driver, Random random, int width, int height);
