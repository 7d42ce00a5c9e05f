#include "factors/scatter.h"

#include "image/draw.h"
#include "image/image.h"
#include "support/text.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace kiln::runtime {
namespace {

constexpr double kWidth = 1000, kHeight = 760, kMargin = 40;

struct Point {
    double x = 0, y = 0;  ///< pixels, y downwards
};

std::vector<Point> placed(const Scatter &scatter) {
    auto scaled = [](const std::vector<double> &values, double from, double to) {
        auto [least, greatest] = std::minmax_element(values.begin(), values.end());
        std::vector<double> result;
        for (double value : values) result.push_back(*greatest > *least ? from + (value - *least) / (*greatest - *least) * (to - from) : (from + to) / 2);
        return result;
    };
    std::vector<double> x = scaled(scatter.x, kMargin, kWidth - 4 * kMargin), y = scaled(scatter.y, kHeight - kMargin, kMargin);
    std::vector<Point> points;
    for (size_t i = 0; i < x.size(); ++i) points.push_back({x[i], y[i]});
    return points;
}

/// The points whose names are written; `width_of` gives the pixels that a name takes.
template <typename Width> std::vector<size_t> labelled(const Scatter &scatter, const std::vector<Point> &points, double height, Width width_of) {
    std::vector<size_t> order(points.size());
    std::iota(order.begin(), order.end(), size_t(0));
    Point middle;
    for (const Point &p : points) middle = {middle.x + p.x / double(points.size()), middle.y + p.y / double(points.size())};
    auto distance = [&](size_t i) { return std::hypot(points[i].x - middle.x, points[i].y - middle.y); };
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return distance(a) > distance(b); });
    std::vector<size_t> chosen;
    for (size_t i : order) {
        if (chosen.size() >= scatter.labels) break;
        bool free = std::none_of(chosen.begin(), chosen.end(), [&](size_t other) {
            return std::abs(points[i].y - points[other].y) < height && points[i].x < points[other].x + width_of(scatter.names[other]) + 8 &&
                   points[other].x < points[i].x + width_of(scatter.names[i]) + 8;
        });
        if (free) chosen.push_back(i);
    }
    return chosen;
}

}  // namespace

std::string scatter_svg(const Scatter &scatter) {
    const std::vector<Point> points = placed(scatter);
    std::string svg = format("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %g %g\" font-family=\"sans-serif\" font-size=\"11\">\n"
                             "<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n",
                             kWidth, kHeight);
    svg += format("<text x=\"%g\" y=\"20\" font-size=\"14\">%s</text>\n", kMargin, xml_text(scatter.title).c_str());
    svg += format("<text x=\"%g\" y=\"%g\">%s</text>\n", kMargin, kHeight - 12, xml_text(scatter.x_name).c_str());
    svg += format("<text transform=\"translate(16 %g) rotate(-90)\">%s</text>\n", kHeight - kMargin, xml_text(scatter.y_name).c_str());
    svg += "<g fill=\"steelblue\" fill-opacity=\"0.6\">\n";
    for (size_t i = 0; i < points.size(); ++i)
        svg += format("<circle cx=\"%.2f\" cy=\"%.2f\" r=\"3\"><title>%s</title></circle>\n", points[i].x, points[i].y, xml_text(scatter.names[i]).c_str());
    svg += "</g>\n";
    for (size_t i : labelled(scatter, points, 12, [](const std::string &name) { return 6.0 * double(name.size()); }))
        svg += format("<text x=\"%.2f\" y=\"%.2f\">%s</text>\n", points[i].x + 5, points[i].y + 4, xml_text(scatter.names[i]).c_str());
    return svg + "</svg>\n";
}

std::string scatter_png(const Scatter &scatter) {
    const std::vector<Point> points = placed(scatter);
    Image image = blank_picture(int64_t(kHeight), int64_t(kWidth));
    const Colour black, blue{70, 130, 180};
    draw_text(image, 10, int64_t(kMargin), scatter.title, black);
    draw_text(image, int64_t(kHeight) - 18, int64_t(kMargin), scatter.x_name + " (across), " + scatter.y_name + " (up)", black);
    for (const Point &p : points) fill_rectangle(image, int64_t(std::lround(p.y)) - 1, int64_t(std::lround(p.x)) - 1, 3, 3, blue);
    for (size_t i : labelled(scatter, points, double(kTextHeight) + 2, [](const std::string &name) { return double(text_width(name)); }))
        draw_text(image, int64_t(std::lround(points[i].y)) - 3, int64_t(std::lround(points[i].x)) + 4, scatter.names[i], black);
    return encode_png(image);
}

}  // namespace kiln::runtime
