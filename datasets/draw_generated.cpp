// Draws one generated image at twice its size, then averages down: background, clutter, object, occluder, light, lens.
#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <vector>

#include <opencv2/imgproc.hpp>

#include "core/base/error.hpp"
#include "datasets/generated.hpp"

namespace binade {
namespace {

constexpr std::array<std::string_view, 12> kNames{"disk",     "ring",    "triangle",     "square", "star",    "cross",
                                                  "crescent", "stripes", "checkerboard", "dots",   "hexagon", "arrow"};

using Polygon = std::vector<cv::Point2d>;

/// Sub-pixel drawing: 4 fraction bits.
constexpr int kShift = 4;

cv::Point fixed(cv::Point2d p) {
  return {static_cast<int>(std::lround(p.x * (1 << kShift))), static_cast<int>(std::lround(p.y * (1 << kShift)))};
}

cv::Scalar random_color(Random& random) {
  return {random.uniform(10, 245), random.uniform(10, 245), random.uniform(10, 245)};
}

double distance(const cv::Scalar& a, const cv::Scalar& b) {
  return std::sqrt((a[0] - b[0]) * (a[0] - b[0]) + (a[1] - b[1]) * (a[1] - b[1]) + (a[2] - b[2]) * (a[2] - b[2]));
}

/// A colour at least `contrast` away from `other`.
cv::Scalar contrasting_color(const cv::Scalar& other, double contrast, Random& random) {
  cv::Scalar color = random_color(random);
  for (int attempt = 0; attempt < 64 && distance(color, other) < contrast; ++attempt) color = random_color(random);
  return color;
}

/// From the unit disk to the image: rotation, unequal scales, shear and place.
struct Placement {
  double xx, xy, yx, yy, x, y;
  cv::Point2d operator()(double u, double v) const { return {xx * u + xy * v + x, yx * u + yy * v + y}; }
  cv::Point2d operator()(cv::Point2d p) const { return (*this)(p.x, p.y); }
};

Placement place(int canvas, double radius_min, double radius_max, double warp, Random& random) {
  const double radius = canvas * random.uniform(radius_min, radius_max);
  const double angle = random.uniform(0, 2 * std::numbers::pi);
  const double stretch = std::exp(random.uniform(-warp, warp)), shear = random.uniform(-warp, warp);
  const double cosine = std::cos(angle) * radius, sine = std::sin(angle) * radius;
  const double margin = 0.85 * radius;
  const double x = random.uniform(margin, canvas - margin), y = random.uniform(margin, canvas - margin);
  return {cosine * stretch, (cosine * shear - sine) / stretch, sine * stretch, (sine * shear + cosine) / stretch, x, y};
}

void fill(cv::Mat& image, const Polygon& polygon, const Placement& at, const cv::Scalar& color) {
  std::vector<cv::Point> points;
  for (const cv::Point2d& p : polygon) points.push_back(fixed(at(p)));
  cv::fillPoly(image, std::vector<std::vector<cv::Point>>{points}, color, cv::LINE_8, kShift);
}

Polygon regular(int corners, double radius = 1, double u = 0, double v = 0) {
  Polygon polygon;
  for (int i = 0; i < corners; ++i) {
    const double angle = 2 * std::numbers::pi * i / corners;
    polygon.emplace_back(u + radius * std::cos(angle), v + radius * std::sin(angle));
  }
  return polygon;
}

Polygon star(int points, double inner) {
  Polygon polygon;
  for (int i = 0; i < 2 * points; ++i) {
    const double angle = std::numbers::pi * i / points, radius = i % 2 == 0 ? 1 : inner;
    polygon.emplace_back(radius * std::cos(angle), radius * std::sin(angle));
  }
  return polygon;
}

Polygon cross(double half_width) {
  const double w = half_width;
  return {{w, 1}, {w, w}, {1, w}, {1, -w}, {w, -w}, {w, -1}, {-w, -1}, {-w, -w}, {-1, -w}, {-1, w}, {-w, w}, {-w, 1}};
}

constexpr int kRound = 48;  ///< corners of a polygon that passes for a circle

/// The object's mask (255 inside) for the shape classes; a random blob for the texture classes.
cv::Mat draw_mask(int label, int canvas, const Placement& at, Random& random) {
  cv::Mat mask = cv::Mat::zeros(canvas, canvas, CV_8UC1);
  const cv::Scalar inside(255), outside(0);
  switch (label) {
    case 0: fill(mask, regular(kRound, 0.9), at, inside); break;
    case 1:
      fill(mask, regular(kRound), at, inside);
      fill(mask, regular(kRound, random.uniform(0.45, 0.7)), at, outside);
      break;
    case 2: fill(mask, regular(3, 1.1), at, inside); break;
    case 3: fill(mask, regular(4, 1.1), at, inside); break;
    case 4: fill(mask, star(5, random.uniform(0.4, 0.5)), at, inside); break;
    case 5: fill(mask, cross(random.uniform(0.25, 0.36)), at, inside); break;
    case 6: {
      fill(mask, regular(kRound), at, inside);
      const double inner = random.uniform(0.7, 0.85);
      fill(mask, regular(kRound, inner, 1.25 - inner), at, outside);
      break;
    }
    case 10: fill(mask, regular(6), at, inside); break;
    case 11: {
      const double shaft = random.uniform(0.18, 0.28);
      fill(mask, {{1, 0}, {0.1, 0.8}, {0.1, shaft}, {-1, shaft}, {-1, -shaft}, {0.1, -shaft}, {0.1, -0.8}}, at, inside);
      break;
    }
    default: {
      constexpr std::array<int, 4> kCorners{kRound, 3, 4, 6};
      fill(mask, regular(kCorners[random.below(kCorners.size())], 1.05), at, inside);
    }
  }
  return mask;
}

/// Smooth random light and dark, mean 0, amplitude about `strength`.
cv::Mat cloud(int canvas, int cells, double strength, Random& random) {
  cv::Mat coarse(cells, cells, CV_32FC3), fine;
  for (int y = 0; y < cells; ++y) {
    for (int x = 0; x < cells; ++x) {
      const double gray = random.uniform(-1, 1);
      cv::Vec3f& cell = coarse.at<cv::Vec3f>(y, x);
      for (int c = 0; c < 3; ++c) cell[c] = static_cast<float>(strength * (0.7 * gray + 0.3 * random.uniform(-1, 1)));
    }
  }
  cv::resize(coarse, fine, cv::Size(canvas, canvas), 0, 0, cv::INTER_CUBIC);
  return fine;
}

/// The second colour of a texture class, in the object's own coordinates so that it turns with the object.
void draw_texture(cv::Mat& image, int label, const Placement& at, const cv::Scalar& color, Random& random) {
  const int cells = 3 + static_cast<int>(random.below(3));
  const double cell = 2.4 / (2 * cells), phase = random.uniform(0, cell);
  for (int i = -1; i <= 2 * cells; ++i) {
    const double v = -1.2 + phase + i * cell;
    if (label == 7) {
      if (i % 2 == 0) fill(image, {{-1.3, v}, {1.3, v}, {1.3, v + cell}, {-1.3, v + cell}}, at, color);
      continue;
    }
    for (int j = -1; j <= 2 * cells; ++j) {
      const double u = -1.2 + phase + j * cell;
      if (label == 8 && (i + j) % 2 == 0) {
        fill(image, {{u, v}, {u + cell, v}, {u + cell, v + cell}, {u, v + cell}}, at, color);
      } else if (label == 9 && i % 2 == 0 && j % 2 == 0) {
        fill(image, regular(12, 0.72 * cell, u + cell / 2, v + cell / 2), at, color);
      }
    }
  }
}

/// Lines, arcs and scraps that belong to no class.
void draw_clutter(cv::Mat& image, int pieces, double largest, Random& random) {
  const int canvas = image.rows;
  for (int i = 0; i < pieces; ++i) {
    const cv::Scalar color = random_color(random);
    const cv::Point2d from(random.uniform(0, canvas), random.uniform(0, canvas));
    const double length = canvas * random.uniform(0.05, largest), angle = random.uniform(0, 2 * std::numbers::pi);
    const int width = 1 + static_cast<int>(random.below(static_cast<std::uint64_t>(canvas / 32 + 1)));
    switch (random.below(3)) {
      case 0:
        cv::line(image, fixed(from), fixed(from + length * cv::Point2d(std::cos(angle), std::sin(angle))), color, width,
                 cv::LINE_8, kShift);
        break;
      case 1:
        cv::ellipse(image, cv::Point(from), cv::Size(cv::Size2d(length / 2, length * random.uniform(0.2, 0.5))),
                    angle * 57.3, 0, random.uniform(60, 200), color, width);
        break;
      default: {
        Polygon scrap;
        for (int corner = 0; corner < 4; ++corner) scrap.emplace_back(random.uniform(-1, 1), random.uniform(-1, 1));
        const double radius = 0.4 * length;
        fill(image, scrap, {radius, 0, 0, radius, from.x, from.y}, color);
      }
    }
  }
}

/// A bar or scrap over a part of the object.
void draw_occluder(cv::Mat& image, const Placement& at, Random& random) {
  const double angle = random.uniform(0, 2 * std::numbers::pi), depth = random.uniform(0.35, 1.0);
  const double c = std::cos(angle), s = std::sin(angle), near = depth, far = depth + random.uniform(0.25, 0.8);
  const Polygon bar{{c * near - s * 1.6, s * near + c * 1.6},
                    {c * near + s * 1.6, s * near - c * 1.6},
                    {c * far + s * 1.6, s * far - c * 1.6},
                    {c * far - s * 1.6, s * far + c * 1.6}};
  fill(image, bar, at, random_color(random));
}

/// Sensor noise: the sum of four uniform numbers is normal enough, and the same on every machine.
void add_noise(cv::Mat& image, double sigma, Random& random) {
  for (int y = 0; y < image.rows; ++y) {
    auto* row = image.ptr<float>(y);
    for (int i = 0; i < image.cols * 3; ++i) {
      const std::uint64_t word = random.next();
      double sum = -2;
      for (int part = 0; part < 4; ++part) sum += static_cast<double>((word >> (16 * part)) & 0xFFFF) / 65536;
      row[i] += static_cast<float>(sigma * std::numbers::sqrt3 * sum);
    }
  }
}

}  // namespace

std::span<const std::string_view> generated_classes() {
  return kNames;
}

Pixels draw_generated(int label, int size, double difficulty, Random random) {
  require(label >= 0 && static_cast<std::size_t>(label) < kNames.size() && size >= 1, "draw_generated: no such class");
  const int canvas = 2 * size;
  // At the full amounts below, tiny_mobilenet learns next to nothing in its first epochs; at 0.3 it has 66 % after six.
  constexpr double kPart = 0.3;
  const auto up_to = [&](double most) { return kPart * difficulty * most; };
  const cv::Scalar ground = random_color(random);
  cv::Mat image(canvas, canvas, CV_32FC3, ground);
  image += cloud(canvas, 3 + static_cast<int>(random.below(6)), up_to(random.uniform(10, 50)), random);
  draw_clutter(image, static_cast<int>(up_to(random.uniform(3, 14))), 0.6, random);

  const double contrast = std::max(25.0, 130 - up_to(random.uniform(0, 90)));
  const cv::Scalar color = contrasting_color(ground, contrast, random);
  const Placement at = place(canvas, 0.30 - up_to(0.10), 0.42 - up_to(0.04), up_to(0.22), random);
  const cv::Mat mask = draw_mask(label, canvas, at, random);
  cv::Mat object(canvas, canvas, CV_32FC3, color);
  if (label >= 7 && label <= 9) {
    draw_texture(object, label, at, contrasting_color(color, contrast, random), random);
  }
  object += cloud(canvas, 4 + static_cast<int>(random.below(8)), up_to(random.uniform(5, 40)), random);
  object.copyTo(image, mask);

  if (random.uniform() < up_to(0.55)) draw_occluder(image, at, random);
  draw_clutter(image, static_cast<int>(up_to(random.uniform(0, 5))), 0.35, random);

  // Light falls unevenly, and the exposure differs.
  const double gain = std::exp(up_to(random.uniform(-0.45, 0.35)));
  const cv::Mat light = cloud(canvas, 3, up_to(random.uniform(0, 0.4)), random) + cv::Scalar::all(gain);
  image = image.mul(light);
  const double blur = up_to(random.uniform(0, 1.3)) * size / 64;
  cv::Mat small;
  cv::resize(image, small, cv::Size(size, size), 0, 0, cv::INTER_AREA);
  if (blur > 0.2) cv::GaussianBlur(small, small, cv::Size(), blur);
  add_noise(small, up_to(random.uniform(2, 22)), random);

  Pixels out(Shape{1, size, size, 3});
  cv::Mat target(size, size, CV_8UC3, out.data());
  small.convertTo(target, CV_8UC3);
  return out;
}

}  // namespace binade
