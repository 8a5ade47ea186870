// Draws one street scene from far to near, in the image and in its label map by the same strokes.
#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <vector>

#include <opencv2/imgproc.hpp>

#include "core/base/error.hpp"
#include "datasets/streets.hpp"

namespace binade {
namespace {

/// Cityscapes' label ids of what is drawn.
enum Id : std::uint8_t {
  kEgo = 1,
  kRoad = 7,
  kSidewalk = 8,
  kBuilding = 11,
  kWall = 12,
  kFence = 13,
  kPole = 17,
  kTrafficLight = 19,
  kTrafficSign = 20,
  kVegetation = 21,
  kTerrain = 22,
  kSky = 23,
  kPerson = 24,
  kRider = 25,
  kCar = 26,
  kTruck = 27,
  kBus = 28,
  kTrain = 31,
  kMotorcycle = 32,
  kBicycle = 33
};

using Points = std::vector<cv::Point2d>;

/// Two pictures of one scene. Coordinates are pixels; things on the ground are placed by where they touch it.
class Street {
 public:
  Street(int height, int width, double difficulty, Random random)
      : image_(height, width, CV_8UC3),
        labels_(height, width, CV_8UC1),
        h_(height),
        w_(width),
        spread_(20 * difficulty),
        random_(random) {
    horizon_ = h_ * random_.uniform(0.38, 0.48);
    vanish_ = w_ * random_.uniform(0.4, 0.6);
  }

  LabelledPixels draw(double difficulty) {
    background();
    ground();
    sides();
    things();
    const double top = h_ * random_.uniform(0.93, 0.97);
    fill({{0, top + 0.03 * h_}, {w_ * 0.5, top}, {w_ * 1.0, top + 0.03 * h_}, {w_ * 1.0, h_ * 1.0}, {0, h_ * 1.0}},
         kEgo, color(40, 40, 45));
    return finish(difficulty);
  }

 private:
  /// RGB about a typical one.
  cv::Scalar color(double r, double g, double b) {
    const double light = random_.uniform(-spread_, spread_);
    const auto vary = [&](double x) {
      return std::clamp(x + light + random_.uniform(-spread_, spread_) / 2, 0.0, 255.0);
    };
    return {vary(r), vary(g), vary(b)};
  }
  static cv::Scalar dim(const cv::Scalar& c, double factor) { return {c[0] * factor, c[1] * factor, c[2] * factor}; }

  void fill(const Points& points, int id, const cv::Scalar& paint) {
    std::vector<cv::Point> corners;
    for (const cv::Point2d& p : points) {
      corners.emplace_back(static_cast<int>(std::lround(p.x * 16)), static_cast<int>(std::lround(p.y * 16)));
    }
    const std::vector<std::vector<cv::Point>> polygon{corners};
    cv::fillPoly(image_, polygon, paint, cv::LINE_8, 4);
    if (id >= 0) cv::fillPoly(labels_, polygon, cv::Scalar(id), cv::LINE_8, 4);
  }
  void box(double x, double y, double width, double height, int id, const cv::Scalar& paint) {
    fill({{x, y}, {x + width, y}, {x + width, y + height}, {x, y + height}}, id, paint);
  }
  void disk(double x, double y, double rx, double ry, int id, const cv::Scalar& paint) {
    Points points;
    for (int i = 0; i < 20; ++i)
      points.emplace_back(x + rx * std::cos(i * 0.31415927), y + ry * std::sin(i * 0.31415927));
    fill(points, id, paint);
  }

  /// Pixels per metre of what touches the ground at height y, seen from 1.4 m above it.
  double metre(double y) const { return (y - horizon_) / 1.4; }
  /// The x of a line to the vanishing point that leaves the picture's foot at `foot`, at height y.
  double along(double foot, double y) const { return vanish_ + (foot - vanish_) * (y - horizon_) / (h_ - horizon_); }

  void background() {
    const cv::Scalar sky = color(130, 170, 215);
    for (int y = 0; y < h_; ++y) cv::line(image_, {0, y}, {w_, y}, dim(sky, 0.85 + 0.25 * y / h_));
    labels_.setTo(cv::Scalar(kSky));
    for (double x = -0.1 * w_; x < w_;) {
      const double width = w_ * random_.uniform(0.06, 0.22), away = std::abs(x + width / 2 - vanish_) / w_;
      const double height = h_ * random_.uniform(0.1, 0.3) + away * h_ * 0.5;
      if (random_.uniform() < 0.7) {
        building(x, width, height);
      } else {
        foliage(x + width / 2, horizon_ - height * 0.25, width * 0.6, height * 0.4);
      }
      x += width * random_.uniform(0.85, 1.15);
    }
  }

  void building(double x, double width, double height) {
    const cv::Scalar wall = color(120, 105, 95);
    box(x, horizon_ - height, width, height + 0.1 * h_, kBuilding, wall);
    const double step = std::max(3.0, h_ * random_.uniform(0.04, 0.08));
    const cv::Scalar window = dim(wall, random_.uniform(0.4, 0.75));
    for (double v = horizon_ - height + step / 2; v < horizon_ - step; v += step) {
      for (double u = x + step / 2; u < x + width - step; u += step) box(u, v, step * 0.5, step * 0.6, -1, window);
    }
  }

  void foliage(double x, double y, double rx, double ry) {
    const cv::Scalar leaf = color(70, 105, 45);
    for (int i = 0; i < 14; ++i) {
      // In the order of the braces; that of a call's arguments is the compiler's.
      const std::array<double, 5> r{random_.uniform(-0.7, 0.7), random_.uniform(-0.7, 0.7), random_.uniform(0.25, 0.5),
                                    random_.uniform(0.25, 0.5), random_.uniform(0.75, 1.2)};
      disk(x + rx * r[0], y + ry * r[1], rx * r[2], ry * r[3], kVegetation, dim(leaf, r[4]));
    }
  }

  void ground() {
    box(0, horizon_ + 1, w_, h_ - horizon_, kSidewalk, color(165, 145, 160));
    for (const double side : {-1.0, 1.0}) {
      const double inner = random_.uniform(1.1, 1.5);
      if (random_.uniform() < 0.5) strip(side, inner, 4, kTerrain, color(120, 130, 70));
    }
    left_ = vanish_ - w_ * random_.uniform(0.45, 0.8);
    right_ = vanish_ + w_ * random_.uniform(0.45, 0.8);
    const cv::Scalar asphalt = color(95, 95, 100);
    fill({{vanish_, horizon_}, {right_, h_ * 1.0}, {left_, h_ * 1.0}}, kRoad, asphalt);
    const double middle = (left_ + right_) / 2;
    for (double y = h_; y > horizon_ + 4; y -= (y - horizon_) * 0.3) {
      const double end = y - (y - horizon_) * 0.15;
      fill({{along(middle - 3, y), y},
            {along(middle + 3, y), y},
            {along(middle + 3, end), end},
            {along(middle - 3, end), end}},
           -1, {225, 225, 220});
    }
  }

  /// A stripe on the ground from `inner` to `outer` picture widths beside the vanishing point, at the picture's foot.
  void strip(double side, double inner, double outer, int id, const cv::Scalar& paint) {
    fill({{vanish_, horizon_ + 1}, {vanish_ + side * inner * w_, h_ * 1.0}, {vanish_ + side * outer * w_, h_ * 1.0}},
         id, paint);
  }

  /// Upright, along the street: wall or fence.
  void sides() {
    for (const double side : {-1.0, 1.0}) {
      const double choice = random_.uniform(), foot = vanish_ + side * w_ * random_.uniform(1.2, 1.7);
      if (choice > 0.75) continue;
      const double far = horizon_ + (h_ - horizon_) * random_.uniform(0.06, 0.15),
                   near = horizon_ + (h_ - horizon_) * random_.uniform(0.35, 1.0), tall = random_.uniform(0.9, 1.8);
      const auto panel = [&](double from, double to, double lift, double part, int id, const cv::Scalar& paint) {
        fill({{along(foot, from), from - metre(from) * tall * lift},
              {along(foot, to), to - metre(to) * tall * lift},
              {along(foot, to), to - metre(to) * tall * (lift - part)},
              {along(foot, from), from - metre(from) * tall * (lift - part)}},
             id, paint);
      };
      if (choice < 0.35) {
        panel(far, near, 1, 1, kWall, color(110, 105, 120));
        continue;
      }
      const cv::Scalar iron = color(150, 125, 110);
      panel(far, near, 1, 1, kFence, dim(iron, 0.75));
      for (double y = far; y < near; y += std::max(1.0, (y - horizon_) * 0.12))
        panel(y, y + (y - horizon_) * 0.05, 1, 1, kFence, iron);
    }
  }

  void things() {
    struct Thing {
      double y;
      std::function<void()> draw;
    };
    std::vector<Thing> order;
    const auto add = [&](double y, std::function<void()> draw) { order.push_back({y, std::move(draw)}); };
    const auto depth = [&](double nearest) {
      const double far = std::log(0.1), near = std::log(nearest);
      return horizon_ + (h_ - horizon_) * std::exp(random_.uniform(far, near));
    };
    const auto lane = [&] { return left_ + (right_ - left_) * random_.uniform(0.12, 0.88); };
    const auto beside = [&] {
      return random_.uniform() < 0.5 ? left_ - w_ * random_.uniform(0.03, 0.35)
                                     : right_ + w_ * random_.uniform(0.03, 0.35);
    };
    const auto some = [&](int least, int most) {
      return least + static_cast<int>(random_.below(static_cast<std::uint64_t>(most - least + 1)));
    };
    for (int i = some(1, 4); i > 0; --i) {
      const double y = depth(0.75), x = along(lane(), y);
      add(y, [=, this] { car(x, y); });
    }
    for (int i = some(0, 2); i > 0; --i) {
      const double y = depth(0.5), x = along(lane(), y);
      const auto kind = random_.below(3);
      add(y, [=, this] { large(x, y, kind == 0 ? kTruck : kind == 1 ? kBus : kTrain); });
    }
    for (int i = some(0, 4); i > 0; --i) {
      const double y = depth(0.7), x = along(beside(), y);
      add(y, [=, this] { person(x, y, kPerson); });
    }
    for (int i = some(0, 2); i > 0; --i) {
      const double y = depth(0.7), x = along(lane(), y);
      const bool motor = random_.uniform() < 0.5;
      add(y, [=, this] { two_wheels(x, y, motor ? kMotorcycle : kBicycle); });
    }
    for (int i = some(1, 4); i > 0; --i) {
      const double y = depth(0.6), x = along(beside(), y);
      const auto kind = random_.below(4);
      add(y, [=, this] { kind == 0 ? tree(x, y) : pole(x, y, kind); });
    }
    std::stable_sort(order.begin(), order.end(), [](const Thing& a, const Thing& b) { return a.y < b.y; });
    for (const Thing& thing : order) thing.draw();
  }

  void wheels(double x, double y, double width, double radius, int id) {
    for (const double side : {-0.32, 0.32}) disk(x + side * width, y - radius * 0.8, radius, radius, id, {25, 25, 28});
  }

  void car(double x, double y) {
    const double m = metre(y), width = m * random_.uniform(1.8, 3.8), height = m * 1.5;
    static constexpr std::array<std::array<double, 3>, 5> kPaints{
        {{30, 30, 120}, {150, 20, 25}, {200, 200, 205}, {25, 25, 30}, {40, 90, 60}}};
    const auto& p = kPaints[random_.below(kPaints.size())];
    const cv::Scalar paint = color(p[0], p[1], p[2]);
    wheels(x, y, width, 0.3 * m, kCar);
    box(x - width / 2, y - height * 0.6, width, height * 0.48, kCar, paint);
    fill({{x - width * 0.4, y - height * 0.6},
          {x - width * 0.25, y - height},
          {x + width * 0.25, y - height},
          {x + width * 0.4, y - height * 0.6}},
         kCar, dim(paint, 0.9));
    fill({{x - width * 0.33, y - height * 0.62},
          {x - width * 0.22, y - height * 0.93},
          {x + width * 0.22, y - height * 0.93},
          {x + width * 0.33, y - height * 0.62}},
         -1, {70, 85, 95});
    for (const double side : {-0.42, 0.36})
      box(x + side * width, y - height * 0.5, width * 0.06, height * 0.1, -1, {235, 60, 50});
  }

  void large(double x, double y, Id id) {
    const double m = metre(y), height = m * random_.uniform(2.8, 3.6),
                 width = m * (id == kTrain ? random_.uniform(5, 9) : random_.uniform(2.5, 4.5));
    const cv::Scalar paint = id == kTruck ? color(190, 185, 170)
                             : id == kBus ? color(205, 160, 40)
                                          : color(60, 130, 130);
    if (id != kTrain) wheels(x, y, width, 0.45 * m, id);
    box(x - width / 2, y - height, width, height * (id == kTrain ? 0.97 : 0.88), id, paint);
    if (id == kTruck) {
      box(x - width * 0.5, y - height * 0.7, width * 0.25, height * 0.58, id, dim(paint, 0.6));
      return;
    }
    const double step = width / (id == kTrain ? 8 : 5);
    for (double u = x - width / 2 + step * 0.15; u < x + width / 2 - step * 0.5; u += step) {
      box(u, y - height * 0.85, step * 0.7, height * 0.35, -1, {60, 75, 90});
    }
    if (id == kTrain) box(x - width / 2, y - height * 0.35, width, height * 0.08, -1, {220, 220, 220});
  }

  void person(double x, double y, Id id) {
    const double m = metre(y), height = m * random_.uniform(1.6, 1.9), width = m * 0.5;
    const std::array<double, 3> cloth{random_.uniform(40, 200), random_.uniform(30, 120), random_.uniform(40, 160)};
    const cv::Scalar coat = color(cloth[0], cloth[1], cloth[2]);
    for (const double side : {-0.3, 0.05})
      box(x + side * width, y - height * 0.5, width * 0.25, height * 0.5, id, color(40, 45, 70));
    box(x - width * 0.45, y - height * 0.83, width * 0.9, height * 0.38, id, coat);
    disk(x, y - height * 0.91, width * 0.24, height * 0.09, id, color(205, 165, 140));
  }

  void two_wheels(double x, double y, Id id) {
    const double m = metre(y), radius = m * (id == kBicycle ? 0.34 : 0.3), reach = m * 0.52;
    if (random_.uniform() < 0.75) person(x, y - m * 0.4, kRider);
    for (const double side : {-1.0, 1.0}) disk(x + side * reach, y - radius, radius, radius, id, {30, 30, 30});
    const cv::Scalar frame = id == kBicycle ? color(160, 40, 50) : color(30, 40, 150);
    const double thick = m * (id == kBicycle ? 0.08 : 0.35);
    fill({{x - reach, y - radius - thick / 2},
          {x + reach, y - radius - thick},
          {x + reach, y - radius + thick / 2},
          {x - reach, y - radius + thick / 2}},
         id, frame);
  }

  void pole(double x, double y, std::uint64_t kind) {
    const double m = metre(y), height = m * random_.uniform(2.8, 4.5), width = std::max(1.5, m * 0.14);
    box(x - width / 2, y - height, width, height, kPole, color(140, 140, 140));
    if (kind == 1) {
      const double size = m * 0.4;
      box(x - size * 0.5, y - height, size, size * 2.4, kTrafficLight, color(45, 45, 40));
      disk(x, y - height + size * (0.45 + 0.75 * static_cast<double>(random_.below(3))), size * 0.3, size * 0.3, -1,
           {250, 170, 40});
    } else if (kind == 2) {
      const double size = m * random_.uniform(0.35, 0.5);
      const cv::Scalar paint = random_.uniform() < 0.5 ? color(215, 60, 50) : color(40, 70, 190);
      if (random_.uniform() < 0.5) {
        disk(x, y - height + size, size, size, kTrafficSign, paint);
        disk(x, y - height + size, size * 0.6, size * 0.6, -1, {235, 235, 235});
      } else {
        fill({{x, y - height - size}, {x + size, y - height + size}, {x - size, y - height + size}}, kTrafficSign,
             paint);
      }
    }
  }

  void tree(double x, double y) {
    const double m = metre(y), height = m * random_.uniform(3.5, 6);
    box(x - m * 0.15, y - height * 0.5, std::max(1.5, m * 0.3), height * 0.5, kVegetation, color(90, 70, 50));
    foliage(x, y - height * 0.75, height * 0.4, height * 0.45);
  }

  LabelledPixels finish(double difficulty) {
    LabelledPixels out{Pixels(Shape{1, h_, w_, 3}), Pixels(Shape{1, h_, w_, 1})};
    cv::Mat image(h_, w_, CV_8UC3, out.image.data()), labels(h_, w_, CV_8UC1, out.labels.data());
    labels_.copyTo(labels);
    cv::GaussianBlur(image_, image_, {3, 3}, 0.4 + 0.2 * difficulty);
    const double gain = 1 + 0.12 * difficulty * random_.uniform(-1, 1),
                 shade = 25 * difficulty * random_.uniform(-1, 1);
    for (int y = 0; y < h_; ++y) {
      for (int i = 0; i < 3 * w_; ++i) {
        const double across = static_cast<double>(i) / (3 * w_) - 0.5;
        const double value = gain * image_.ptr(y)[i] + shade * across + 3 * difficulty * random_.normal();
        image.ptr(y)[i] = cv::saturate_cast<std::uint8_t>(value);
      }
    }
    return out;
  }

  cv::Mat image_, labels_;
  int h_, w_;
  double spread_;
  Random random_;
  double horizon_ = 0, vanish_ = 0;  ///< where the street ends
  double left_ = 0, right_ = 0;      ///< edges of the road at the picture's foot
};

}  // namespace

LabelledPixels draw_street(int height, int width, double difficulty, Random random) {
  require(height >= 32 && width >= 32, "draw_street: at least 32 x 32 pixels");
  return Street(height, width, difficulty, random).draw(difficulty);
}

}  // namespace binade
