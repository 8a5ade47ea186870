// The source coordinates of Resize in three conventions, and the weights of bilinear interpolation.
#include "core/ops/resize_taps.hpp"

#include <algorithm>
#include <cmath>

namespace binade {
namespace {

/// The source coordinate of output `o`. Numerators are integers, so that exact ties and integers come out exactly.
double source_of(Coordinates coordinates, int o, int in, int out) {
  const double i = in, n = out;
  switch (coordinates) {
    case Coordinates::half_pixel: return ((2.0 * o + 1) * i - n) / (2 * n);
    case Coordinates::align_corners: return out == 1 ? 0 : o * (i - 1) / (n - 1);
    case Coordinates::asymmetric: return o * i / n;
  }
  return 0;
}

}  // namespace

std::vector<ResizeWeights> resize_weights(const Resize& op, int in, int out) {
  std::vector<ResizeWeights> taps(static_cast<std::size_t>(out));
  for (int o = 0; o < out; ++o) {
    ResizeWeights& tap = taps[static_cast<std::size_t>(o)];
    const double source = source_of(op.coordinates, o, in, out);
    if (op.interpolation == Interpolation::nearest) {
      const double nearest = op.coordinates == Coordinates::asymmetric ? std::floor(source) : std::ceil(source - 0.5);
      tap.low = tap.high = std::clamp(static_cast<int>(nearest), 0, in - 1);
      continue;
    }
    const double clamped = std::clamp(source, 0.0, static_cast<double>(in - 1));
    tap.low = static_cast<int>(clamped);
    tap.high = std::min(tap.low + 1, in - 1);
    tap.weight = clamped - tap.low;
    if (op.weight_bits > 0)
      tap.weight = std::floor(std::ldexp(tap.weight, op.weight_bits) + 0.5) * std::ldexp(1.0, -op.weight_bits);
  }
  return taps;
}

}  // namespace binade
