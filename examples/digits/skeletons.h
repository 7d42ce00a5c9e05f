// How people write the ten digits: the middle lines of their strokes, as a pen would run, in a unit square (x to the right,
// y down). A stroke is a smooth curve through its points, broken where a point is a corner.
#pragma once

#include <vector>

struct PenPoint {
    double x, y;
    bool corner = false;
};
using Stroke = std::vector<PenPoint>;
using Skeleton = std::vector<Stroke>;

/// The ways of writing a digit (0 to 9); two to four of each.
const std::vector<Skeleton> &skeletons_of(int digit);
