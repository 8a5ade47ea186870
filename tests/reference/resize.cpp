// Resize by its definition: coordinates as fractions, so that no rounding hides a tie.
#include <algorithm>
#include <cmath>

#include "tests/reference/reference.hpp"

namespace binade::reference {
namespace {

/// The source coordinate times `denominator`, both integers: no rounding can hide a tie.
struct Rational {
  std::int64_t numerator, denominator;
};

Rational source(Coordinates coordinates, int o, int in, int out) {
  if (coordinates == Coordinates::asymmetric) return {std::int64_t{o} * in, out};
  if (coordinates == Coordinates::align_corners) {
    return out == 1 ? Rational{0, 1} : Rational{std::int64_t{o} * (in - 1), out - 1};
  }
  return {(2 * std::int64_t{o} + 1) * in - out, 2 * std::int64_t{out}};
}

std::int64_t floor_divide(std::int64_t a, std::int64_t b) {
  return a >= 0 ? a / b : -((-a + b - 1) / b);
}

int nearest(Coordinates coordinates, int o, int in, int out) {
  const Rational r = source(coordinates, o, in, out);
  // the nearest integer, ties down: ceil(r - 1/2) = -floor(1/2 - r)
  const std::int64_t i = coordinates == Coordinates::asymmetric
                             ? floor_divide(r.numerator, r.denominator)
                             : -floor_divide(r.denominator - 2 * r.numerator, 2 * r.denominator);
  return static_cast<int>(std::clamp<std::int64_t>(i, 0, in - 1));
}

}  // namespace

Tensor<double> forward(const Resize& op, std::span<const Tensor<double>> in) {
  const Shape& s = in[0].shape();
  return make({s.n, op.height, op.width, s.c}, [&](int n, int oy, int ox, int c) {
    if (op.interpolation == Interpolation::nearest) {
      return at(in[0], n, nearest(op.coordinates, oy, s.h, op.height), nearest(op.coordinates, ox, s.w, op.width), c);
    }
    const Rational ry = source(op.coordinates, oy, s.h, op.height), rx = source(op.coordinates, ox, s.w, op.width);
    const double y =
        std::clamp(static_cast<double>(ry.numerator) / static_cast<double>(ry.denominator), 0.0, s.h - 1.0);
    const double x =
        std::clamp(static_cast<double>(rx.numerator) / static_cast<double>(rx.denominator), 0.0, s.w - 1.0);
    double sum = 0;  // a tent of width one around every input pixel
    for (int h = 0; h < s.h; ++h) {
      for (int w = 0; w < s.w; ++w) {
        sum += std::max(0.0, 1 - std::abs(y - h)) * std::max(0.0, 1 - std::abs(x - w)) * at(in[0], n, h, w, c);
      }
    }
    return sum;
  });
}

}  // namespace binade::reference
