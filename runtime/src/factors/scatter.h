// A scatter of named points as SVG and as PNG.
#pragma once

#include <string>
#include <vector>

namespace kiln::runtime {

struct Scatter {
    std::string title, x_name, y_name;
    std::vector<double> x, y;
    std::vector<std::string> names;  ///< one a point
    size_t labels = 40;              ///< names written at points, at most: the farthest from the middle first, none over another
};

/// Every point has its name as a tooltip.
std::string scatter_svg(const Scatter &scatter);
std::string scatter_png(const Scatter &scatter);

}  // namespace kiln::runtime
