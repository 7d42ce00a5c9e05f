#include "image/plot.h"

#include "image/draw.h"
#include "support/text.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace kiln::runtime {
namespace {

constexpr Colour kInk{40, 40, 40}, kGrid{225, 225, 225}, kFaint{190, 205, 230}, kMark{200, 120, 40};
constexpr Colour kColours[] = {{30, 90, 180}, {200, 60, 50}, {40, 140, 70}, {130, 70, 160}};
constexpr char kSymbols[] = {'*', '+', 'o', 'x'};
constexpr int64_t kLeft = 80, kRight = 24, kTop = 34, kBottom = 36;  // margins of a plot, in pixels

/// An axis from `low` to `high`, in the axis' own scale.
struct Axis {
    bool log = false;
    double low = std::numeric_limits<double>::infinity(), high = -std::numeric_limits<double>::infinity();

    bool takes(double value) const { return std::isfinite(value) && (!log || value > 0); }
    double scaled(double value) const { return log ? std::log10(value) : value; }
    double value(double share) const {
        double at = low + (high - low) * share;
        return log ? std::pow(10, at) : at;
    }
    double share(double value) const { return (scaled(value) - low) / (high - low); }
    void include(double value) {
        low = std::min(low, scaled(value));
        high = std::max(high, scaled(value));
    }
    void finish() {
        if (!(low <= high)) low = 0, high = 1;
        if (low == high) {
            double room = log ? 0.5 : std::max(std::abs(low) * 0.1, 1e-12);
            low -= room;
            high += room;
        }
    }
};

struct Axes {
    Axis x, y;
};

Axes axes_of(const Plot &plot) {
    Axes axes;
    axes.x.log = plot.log_x;
    axes.y.log = plot.log_y;
    for (const Curve &curve : plot.curves)
        for (size_t i = 0; i < curve.x.size(); ++i)
            if (axes.x.takes(curve.x[i]) && axes.y.takes(curve.y[i])) {
                axes.x.include(curve.x[i]);
                axes.y.include(curve.y[i]);
            }
    axes.x.finish();
    axes.y.finish();
    return axes;
}

void draw_plot(Image &image, const Plot &plot, int64_t top, int64_t height) {
    Axes axes = axes_of(plot);
    int64_t y0 = top + kTop, y1 = top + height - kBottom, x0 = kLeft, x1 = image.width - kRight;
    auto x_of = [&](double value) { return double(x0) + axes.x.share(value) * double(x1 - x0); };
    auto y_of = [&](double value) { return double(y1) - axes.y.share(value) * double(y1 - y0); };
    draw_text(image, top + 10, kLeft, plot.title, kInk, 2);
    for (int i = 0; i <= 4; ++i) {
        double share = i / 4.0;
        int64_t y = y1 - std::llround(share * double(y1 - y0)), x = x0 + std::llround(share * double(x1 - x0));
        draw_line(image, double(y), double(x0), double(y), double(x1), kGrid);
        draw_line(image, double(y0), double(x), double(y1), double(x), kGrid);
        std::string label = short_number(axes.y.value(share));
        draw_text(image, y - kTextHeight / 2, x0 - 6 - text_width(label), label, kInk);
        label = short_number(axes.x.value(share));
        draw_text(image, y1 + 6, std::min(x - text_width(label) / 2, image.width - text_width(label) - 2), label, kInk);
    }
    draw_text(image, y1 + 20, x0 + (x1 - x0 - text_width(plot.x_name)) / 2, plot.x_name, kInk);
    for (const Mark &mark : plot.marks) {
        if (!axes.x.takes(mark.x) || axes.x.share(mark.x) < 0 || axes.x.share(mark.x) > 1) continue;
        auto x = std::llround(x_of(mark.x));
        draw_line(image, double(y0), double(x), double(y1), double(x), kMark);
        int64_t width = text_width(mark.name);
        draw_text(image, y0 + 3, x + 4 + width > x1 ? x - 4 - width : x + 4, mark.name, kMark);
    }
    int64_t name_x = x1;
    for (size_t c = 0; c < plot.curves.size(); ++c) {
        const Curve &curve = plot.curves[c];
        Colour colour = curve.faint ? kFaint : kColours[c % std::size(kColours)];
        bool drawing = false;
        double last_x = 0, last_y = 0;
        for (size_t i = 0; i < curve.x.size(); ++i) {
            bool there = axes.x.takes(curve.x[i]) && axes.y.takes(curve.y[i]);
            double x = there ? x_of(curve.x[i]) : 0, y = there ? y_of(curve.y[i]) : 0;
            if (there) draw_line(image, drawing ? last_y : y, drawing ? last_x : x, y, x, colour);
            if (there && !curve.faint) draw_line(image, (drawing ? last_y : y) + 1, drawing ? last_x : x, y + 1, x, colour);
            drawing = there;
            last_x = x;
            last_y = y;
        }
        if (plot.curves.size() > 1) {
            name_x -= text_width(curve.name) + 12;
            draw_text(image, top + 14, name_x, curve.name, colour);
        }
    }
    draw_line(image, double(y0), double(x0), double(y1), double(x0), kInk);
    draw_line(image, double(y1), double(x0), double(y1), double(x1), kInk);
}

}  // namespace

Image draw_plots(const std::vector<Plot> &plots, int64_t width, int64_t height) {
    Image image = blank_picture(height * int64_t(plots.size()), width);
    for (size_t i = 0; i < plots.size(); ++i) draw_plot(image, plots[i], height * int64_t(i), height);
    return image;
}

std::string text_plot(const Plot &plot, int64_t columns, int64_t rows) {
    Axes axes = axes_of(plot);
    std::vector<std::string> labels;
    for (int64_t row = 0; row < rows; ++row)
        labels.push_back(row % 4 == 0 || row + 1 == rows ? short_number(axes.y.value(1 - double(row) / double(rows - 1))) : "");
    size_t margin = 0;
    for (const std::string &label : labels) margin = std::max(margin, label.size());
    int64_t width = std::max<int64_t>(columns - int64_t(margin) - 2, 10);
    auto column_of = [&](double x) { return std::llround(axes.x.share(x) * double(width - 1)); };

    std::vector<std::string> lines(size_t(rows), std::string(size_t(width), ' '));
    std::vector<std::string> names;  // as many lines as they need
    for (const Mark &mark : plot.marks) {
        if (!axes.x.takes(mark.x) || axes.x.share(mark.x) < 0 || axes.x.share(mark.x) > 1) continue;
        auto column = size_t(column_of(mark.x));
        for (std::string &line : lines) line[column] = '|';
        std::string name = mark.name.substr(0, size_t(width));
        size_t begin = std::min(column, size_t(width) - name.size());
        auto has_room = [&](const std::string &line) {
            size_t from = begin - std::min<size_t>(begin, 1);
            return line.find_first_not_of(' ', from) > begin + name.size();
        };
        auto line = std::find_if(names.begin(), names.end(), has_room);
        if (line == names.end()) line = names.insert(names.end(), std::string(size_t(width), ' '));
        line->replace(begin, name.size(), name);
    }
    for (size_t c = 0; c < plot.curves.size(); ++c)
        for (size_t i = 0; i < plot.curves[c].x.size(); ++i) {
            double x = plot.curves[c].x[i], y = plot.curves[c].y[i];
            if (!axes.x.takes(x) || !axes.y.takes(y)) continue;
            auto row = std::llround((1 - axes.y.share(y)) * double(rows - 1));
            char &place = lines[size_t(row)][size_t(column_of(x))];
            if (!plot.curves[c].faint) place = kSymbols[c % std::size(kSymbols)];
            else if (place == ' ') place = '.';
        }

    std::string title = plot.title;
    for (size_t c = 0; plot.curves.size() > 1 && c < plot.curves.size(); ++c)
        title += format("  %c %s", plot.curves[c].faint ? '.' : kSymbols[c % std::size(kSymbols)], plot.curves[c].name.c_str());
    std::string out = title + "\n";
    auto trimmed = [](std::string line) { return line.substr(0, line.find_last_not_of(' ') + 1) + "\n"; };
    for (const std::string &line : names) out += trimmed(std::string(margin + 2, ' ') + line);
    for (size_t row = 0; row < lines.size(); ++row)
        out += trimmed(std::string(margin - labels[row].size(), ' ') + labels[row] + " |" + lines[row]);
    out += std::string(margin + 1, ' ') + "+" + std::string(size_t(width), '-') + "\n";
    std::string low = short_number(axes.x.value(0)), high = short_number(axes.x.value(1));
    int64_t room = width - int64_t(low.size() + high.size() + plot.x_name.size());
    auto gap = [&](int64_t n) { return std::string(size_t(std::max<int64_t>(n, 1)), ' '); };
    out += trimmed(std::string(margin + 2, ' ') + low + gap(room / 2) + plot.x_name + gap(room - room / 2) + high);
    return out;
}

}  // namespace kiln::runtime
