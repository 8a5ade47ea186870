// The estimators that look at the tails only: min_max and percentile.
#include <algorithm>
#include <cmath>

#include "calibration/estimators/estimators.hpp"

namespace binade {

QuantSpec choose_min_max(const TensorStats& stats, const GridWish& wish) {
  return spec_for_clip(wish.is_signed ? stats.max_abs() : static_cast<double>(stats.max()), wish.bits, wish.is_signed);
}

/// TI's rule: from each side, the first bin whose cumulative share reaches `percentile` percent bounds the range, which
/// is then clipped to the true extremes [docs/ti.md 2.4]. The histogram is finer than TI's 255 bins.
QuantSpec choose_percentile(const TensorStats& stats, const GridWish& wish) {
  const auto histogram = stats.histogram();
  const double limit = wish.percentile / 100 * static_cast<double>(stats.count());
  double low = static_cast<double>(stats.min()), high = static_cast<double>(stats.max()), mass = 0;
  for (int bin = 0; bin < TensorStats::kBins; ++bin) {
    mass += static_cast<double>(histogram[static_cast<std::size_t>(bin)]);
    if (mass >= limit && mass > 0) {
      low = std::max(low, stats.bin_center(bin) - stats.bin_width() / 2);
      break;
    }
  }
  mass = 0;
  for (int bin = TensorStats::kBins - 1; bin >= 0; --bin) {
    mass += static_cast<double>(histogram[static_cast<std::size_t>(bin)]);
    if (mass >= limit && mass > 0) {
      high = std::min(high, stats.bin_center(bin) + stats.bin_width() / 2);
      break;
    }
  }
  return spec_for_clip(wish.is_signed ? std::max(std::abs(low), std::abs(high)) : high, wish.bits, wish.is_signed);
}

}  // namespace binade
