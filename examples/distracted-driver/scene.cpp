#include "scene.h"

#include <algorithm>
#include <cmath>

namespace {

struct Point {
    double x, y;  ///< the picture is 4/3 wide and 1 high, y downwards
};

Colour mix(Colour a, Colour b, double share) {
    return {a.red + share * (b.red - a.red), a.green + share * (b.green - a.green), a.blue + share * (b.blue - a.blue)};
}
Colour darker(Colour colour, double by) { return mix(colour, {}, by); }

/// Paints shapes over one another, each with edges as soft as the camera is out of focus.
class Canvas {
public:
    Canvas(int width, int height, Random &random)
        : width_(width),
          height_(height),
          pixels_(size_t(width * height)),
          angle_(random.normal(.04)),
          zoom_(random.uniform(.92, 1.1)),
          shift_{random.normal(.03), random.normal(.025)},
          softness_(random.uniform(.004, .009)) {}

    /// `inside` tells how far a point is inside the shape, in picture heights; `paint` is asked for the colour where it is. The
    /// shape lies within `radius` of `centre`.
    template <typename Inside, typename Paint>
    void shape(Point centre, double radius, Inside inside, Paint paint) {
        Point middle = pixel(centre);
        double reach = (radius + 2 * softness_) * zoom_ * height_ + 1;
        auto within = [](double value, int most) { return int(std::clamp(value, 0., double(most))); };
        int left = within(middle.x - reach, width_), right = within(middle.x + reach + 1, width_);
        int top = within(middle.y - reach, height_), bottom = within(middle.y + reach + 1, height_);
        for (int y = top; y < bottom; ++y)
            for (int x = left; x < right; ++x) {
                Point p = scene_point((x + .5) / height_, (y + .5) / height_);
                double cover = std::clamp(inside(p) / (2 * softness_) + .5, 0., 1.);
                Colour &pixel = pixels_[size_t(y * width_ + x)];
                if (cover > 0) pixel = mix(pixel, paint(p), cover);
            }
    }
    void ellipse(Point centre, double a, double b, double angle, Colour colour) {
        shape(
            centre, std::max(a, b),
            [=](Point p) {
                double u = std::cos(angle) * (p.x - centre.x) + std::sin(angle) * (p.y - centre.y);
                double v = std::cos(angle) * (p.y - centre.y) - std::sin(angle) * (p.x - centre.x);
                return (1 - std::hypot(u / a, v / b)) * std::min(a, b);
            },
            // Light comes from the window on the left, and from above.
            [=](Point p) {
                return darker(colour, std::clamp(.18 + .35 * (p.x - centre.x) / a + .2 * (p.y - centre.y) / b, 0., .6));
            });
    }
    /// A line from `from` to `to`, `from_radius` thick at one end and `to_radius` at the other.
    void limb(Point from, Point to, double from_radius, double to_radius, Colour colour) {
        double dx = to.x - from.x, dy = to.y - from.y, length2 = std::max(dx * dx + dy * dy, 1e-9);
        auto along = [=](Point p) { return std::clamp(((p.x - from.x) * dx + (p.y - from.y) * dy) / length2, 0., 1.); };
        shape(
            {(from.x + to.x) / 2, (from.y + to.y) / 2}, std::sqrt(length2) / 2 + std::max(from_radius, to_radius),
            [=](Point p) {
                double t = along(p);
                return from_radius + t * (to_radius - from_radius) - std::hypot(p.x - from.x - t * dx, p.y - from.y - t * dy);
            },
            [=](Point p) {
                double t = along(p), radius = from_radius + t * (to_radius - from_radius);
                return darker(colour, std::clamp(.2 + .25 * (p.y - from.y - t * dy) / radius, 0., .5));
            });
    }
    void box(Point low, Point high, Colour top, Colour bottom) {
        shape(
            {(low.x + high.x) / 2, (low.y + high.y) / 2}, std::hypot(high.x - low.x, high.y - low.y) / 2,
            [=](Point p) {
                return std::min({p.x - low.x, high.x - p.x, p.y - low.y, high.y - p.y});
            },
            [=](Point p) { return mix(top, bottom, std::clamp((p.y - low.y) / (high.y - low.y), 0., 1.)); });
    }

    Photograph develop(Random &random) const {
        double exposure = random.uniform(.7, 1.25), grain = random.uniform(.008, .03);
        Colour light{random.uniform(.92, 1.08), 1, random.uniform(.92, 1.08)};
        Photograph photograph{width_, height_, {}};
        for (const Colour &pixel : pixels_) {
            double noise = random.normal(grain);
            for (double value : {pixel.red * light.red, pixel.green * light.green, pixel.blue * light.blue})
                photograph.rgb.push_back(uint8_t(std::lround(255 * std::clamp(exposure * value + noise, 0., 1.))));
        }
        return photograph;
    }

private:
    Point scene_point(double x, double y) const {
        double u = (x - 2. / 3 - shift_.x) / zoom_, v = (y - .5 - shift_.y) / zoom_;
        return {2. / 3 + std::cos(angle_) * u + std::sin(angle_) * v, .5 + std::cos(angle_) * v - std::sin(angle_) * u};
    }

    Point pixel(Point p) const {
        double u = std::cos(angle_) * (p.x - 2. / 3) - std::sin(angle_) * (p.y - .5);
        double v = std::sin(angle_) * (p.x - 2. / 3) + std::cos(angle_) * (p.y - .5);
        return {(2. / 3 + shift_.x + zoom_ * u) * height_, (.5 + shift_.y + zoom_ * v) * height_};
    }

    int width_, height_;
    std::vector<Colour> pixels_;
    double angle_, zoom_;
    Point shift_;
    double softness_;
};

void draw_car(Canvas &canvas, const Driver &driver, Random &random) {
    canvas.box({-1, -1}, {3, 3}, darker(driver.car, .1), darker(driver.car, .6));
    // Through the window: sky over a street whose colours change from picture to picture.
    Colour sky{random.uniform(.55, .95), random.uniform(.65, .95), random.uniform(.75, 1)};
    Colour street{random.uniform(.2, .55), random.uniform(.25, .55), random.uniform(.15, .45)};
    canvas.box({-1, .02}, {.98, .46}, sky, mix(sky, street, .4));
    for (int i = 0; i < 4; ++i) {
        double x = random.uniform(-.2, .95), top = random.uniform(.12, .36), width = random.uniform(.04, .16);
        canvas.box({x, top}, {x + width, .46}, mix(street, sky, .3), street);
    }
    canvas.limb({.28, -.1}, {-.05, .5}, .035, .045, darker(driver.car, .35));
    canvas.box({-1, .44}, {1.02, .52}, driver.car, darker(driver.car, .4));
    // Dashboard, radio, seat.
    canvas.limb({-.2, .66}, {.3, .72}, .17, .09, darker(driver.car, .45));
    canvas.box({.17, .7}, {.31, .84}, {.12, .12, .14}, {.05, .05, .06});
    canvas.box({.19, .72}, {.29, .75}, {.3, .6, .7}, {.2, .4, .5});
    double seat = 1.02 + driver.seat_shift;
    canvas.limb({seat, 1.1}, {seat + .12, .3}, .19, .12, driver.seat);
    canvas.ellipse({seat + .14, .2}, .09, .1, .2, driver.seat);
}

void draw_wheel(Canvas &canvas) {
    Colour black{.1, .1, .11};
    canvas.shape(
        {.42, .6}, .25, [](Point p) { return .022 - std::abs(std::hypot((p.x - .42) / .62, p.y - .6) - .22); },
        [=](Point) { return black; });
    canvas.limb({.42, .6}, {.42, .8}, .02, .015, black);
    canvas.ellipse({.42, .6}, .04, .06, 0, black);
}

enum class Side { near, far };

void draw_arm(Canvas &canvas, const Driver &driver, Side side, Point shoulder, Point hand, Random &random) {
    Point middle{(shoulder.x + hand.x) / 2, (shoulder.y + hand.y) / 2};
    // The elbow hangs down by what is left of the arm's length.
    double reach = std::hypot(hand.x - shoulder.x, hand.y - shoulder.y), length = .52;
    double slack = std::sqrt(std::max(0., length * length - reach * reach)) / 2;
    Point elbow{middle.x + .25 * slack + random.normal(.012), middle.y + .8 * slack + random.normal(.012)};
    double dim = side == Side::far ? .3 : 0, thick = .052 * driver.bulk;
    canvas.limb(shoulder, elbow, 1.15 * thick, thick, darker(driver.shirt, dim));
    canvas.limb(elbow, hand, .85 * thick, .6 * thick, darker(driver.skin, dim));
    canvas.ellipse(hand, .045, .038, .4, darker(driver.skin, dim));
}

void draw_head(Canvas &canvas, const Driver &driver, Point head, bool towards_camera) {
    double size = .115;
    canvas.limb({head.x + .03, head.y + .05}, {head.x + .05, head.y + .2}, .05, .055, darker(driver.skin, .2));
    canvas.ellipse({head.x + .015, head.y + .06 * driver.hair_length - .01}, size + .014, size + .02 + .06 * driver.hair_length,
                   .1, driver.hair);
    double face = towards_camera ? head.x : head.x - .035;
    canvas.ellipse({face, head.y + .025}, towards_camera ? .085 : .078, .105, .1, driver.skin);
    Colour eye = driver.sunglasses ? Colour{.04, .04, .05} : Colour{.15, .1, .08};
    double eye_size = driver.sunglasses ? .026 : .011;
    if (towards_camera) {
        for (double dx : {-.035, .035}) canvas.ellipse({face + dx, head.y}, eye_size, .8 * eye_size, 0, eye);
        canvas.ellipse({face, head.y + .07}, .034, .018, 0, {.55, .15, .15});
        canvas.limb({face, head.y + .015}, {face - .004, head.y + .04}, .008, .011, darker(driver.skin, .15));
    } else {
        canvas.ellipse({face - .04, head.y}, eye_size, .8 * eye_size, 0, eye);
        canvas.limb({face - .07, head.y + .02}, {face - .088, head.y + .04}, .01, .012, driver.skin);
        canvas.ellipse({face - .05, head.y + .072}, .02, .009, 0, {.5, .2, .2});
    }
    canvas.ellipse({head.x + .02, head.y - .055}, .105, .058, .1, driver.cap ? driver.shirt : driver.hair);
    if (driver.cap) canvas.limb({head.x - .05, head.y - .06}, {head.x - .16, head.y - .04}, .014, .008, driver.shirt);
}

}  // namespace

Driver::Driver(Random random) {
    skin = mix({.93, .76, .65}, {.4, .26, .18}, random.uniform(0, 1));
    hair = mix({.08, .06, .05}, {.75, .55, .3}, std::pow(random.uniform(0, 1), 2));
    shirt = {random.uniform(.05, .95), random.uniform(.05, .95), random.uniform(.05, .95)};
    double grey = random.uniform(.25, .75);
    car = {grey, grey + random.normal(.02), grey + random.normal(.03)};
    seat = darker({grey, grey, grey}, random.uniform(.3, .7));
    height = 1 + random.normal(.05);
    bulk = std::clamp(1 + random.normal(.12), .75, 1.35);
    hair_length = random.uniform(0, 1);
    seat_shift = random.normal(.035);
    sunglasses = random.below(4) == 0;
    cap = random.below(5) == 0;
}

Photograph draw(int action, const Driver &driver, Random random, int width, int height) {
    Canvas canvas(width, height, random);
    draw_car(canvas, driver, random);
    auto about = [&](double x, double y) { return Point{x + random.normal(.018), y + random.normal(.018)}; };
    double lean = driver.seat_shift + random.normal(.02), tall = .28 * (driver.height - 1);
    Point head = about(.84 + lean, .25 - tall), near_shoulder{.9 + lean, .52 - tall}, far_shoulder{.82 + lean, .47 - tall};
    Point far_hand = about(.33, .46), near_hand = about(.46, .72);
    bool towards_camera = false;
    switch (action) {
        case 0: break;
        case 1: near_hand = about(.68, .74); break;
        case 2: near_hand = about(head.x + .06, head.y + .06); break;
        case 3: far_hand = about(.56, .52); break;
        case 4: far_hand = about(head.x - .1, head.y + .06); break;
        case 5: near_hand = about(.25, .76); break;
        case 6: near_hand = about(head.x - .12, head.y + .1); break;
        case 7:
            near_hand = about(1.2, .55);
            head = about(.9 + lean, .27 - tall);
            towards_camera = true;
            break;
        case 8: near_hand = about(head.x - .02, head.y - .1); break;
        case 9:
            towards_camera = true;
            near_hand = random.below(2) ? near_hand : about(.66, .56);
            break;
    }
    Colour phone{.05, .05, .07}, screen{.6, .75, .85};
    // From far to near.
    draw_arm(canvas, driver, Side::far, far_shoulder, far_hand, random);
    if (action == 3) canvas.limb({far_hand.x - .01, far_hand.y - .05}, {far_hand.x - .02, far_hand.y + .02}, .03, .03, screen);
    draw_wheel(canvas);
    canvas.limb({.92 + lean, .6 - tall}, {.98 + lean, 1.1}, .15 * driver.bulk, .19 * driver.bulk, driver.shirt);
    canvas.limb({.78 + lean, 1.02}, {.5, 1.0}, .1, .08, darker({.15, .2, .35}, .2));
    if (action == 4) canvas.limb({far_hand.x + .02, far_hand.y - .05}, {far_hand.x + .01, far_hand.y + .05}, .02, .02, phone);
    draw_head(canvas, driver, head, towards_camera);
    if (action == 6)
        canvas.limb({near_hand.x - .02, near_hand.y - .06}, {near_hand.x - .005, near_hand.y + .04}, .036, .03, {.9, .9, .88});
    draw_arm(canvas, driver, Side::near, near_shoulder, near_hand, random);
    if (action == 1)
        canvas.limb({near_hand.x - .02, near_hand.y - .06}, {near_hand.x - .03, near_hand.y + .01}, .032, .032, screen);
    if (action == 2)
        canvas.limb({near_hand.x - .02, near_hand.y - .05}, {near_hand.x - .03, near_hand.y + .05}, .022, .022, phone);
    return canvas.develop(random);
}
