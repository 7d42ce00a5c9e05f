// Curves: as a picture, and as text for the terminal.
#pragma once

#include "image/image.h"

#include <string>
#include <vector>

namespace kiln::runtime {

struct Curve {
    std::string name;
    std::vector<double> x, y;  ///< points that are not finite, or not positive on a logarithmic axis, are left out
    bool faint = false;        ///< drawn in the background
};

/// Something at one x: a vertical line with a name.
struct Mark {
    double x = 0;
    std::string name;
};

struct Plot {
    std::string title, x_name;
    bool log_x = false, log_y = false;
    std::vector<Curve> curves;
    std::vector<Mark> marks;
};

/// The plots one below the other.
Image draw_plots(const std::vector<Plot> &plots, int64_t width = 800, int64_t height = 320);

/// `columns` wide at most, with `rows` lines of plot between a title and the x axis. Curves are drawn with * + o x in turn.
std::string text_plot(const Plot &plot, int64_t columns = 78, int64_t rows = 12);

}  // namespace kiln::runtime
