// The estimators that weigh clipping against rounding over the whole histogram: mse and kl.
#include <algorithm>
#include <cmath>
#include <vector>

#include "calibration/estimators/estimators.hpp"

namespace binade {
namespace {

constexpr int kCandidates = 8;  ///< exponents tried, from min_max's downwards: clips down to max / 128

/// Expected squared error of the elements on a grid: bins stand for their centre, or, where a grid is as fine as the
/// bins, for a uniform error of step^2 / 12.
double mean_square_error(const TensorStats& stats, QuantSpec spec) {
  const double step = spec.step(), low = spec.min_real(), high = spec.max_real();
  const bool fine = step < 4 * stats.bin_width();
  double error = 0;
  for (int bin = 0; bin < TensorStats::kBins; ++bin) {
    const std::int64_t n = stats.histogram()[static_cast<std::size_t>(bin)];
    if (n == 0) continue;
    const double x = stats.bin_center(bin);
    const double clipped = std::clamp(x, low - step / 2, high + step / 2);
    const double overload = x - std::clamp(x, low, high);
    double squared = 0;
    if (clipped != x) {
      squared = overload * overload;
    } else if (fine) {
      squared = step * step / 12;
    } else {
      const double rounded = std::floor(x / step + 0.5) * step;
      squared = (x - rounded) * (x - rounded);
    }
    error += static_cast<double>(n) * squared;
  }
  return error / static_cast<double>(stats.count());
}

/// Divergence of the histogram from what is left of it on the grid: mass outside goes to the border bins, and inside
/// every code's mass is spread evenly over the bins of that code that were occupied.
double divergence(const TensorStats& stats, QuantSpec spec) {
  const auto histogram = stats.histogram();
  std::vector<double> reference(TensorStats::kBins, 0.0);
  std::vector<std::int64_t> code(TensorStats::kBins);
  for (int bin = 0; bin < TensorStats::kBins; ++bin) {
    const double x = stats.bin_center(bin);
    const double inside = std::clamp(x, spec.min_real(), spec.max_real());
    const int target = std::clamp(static_cast<int>(std::floor(inside / stats.bin_width())) + TensorStats::kBins / 2, 0,
                                  TensorStats::kBins - 1);
    reference[static_cast<std::size_t>(target)] += static_cast<double>(histogram[static_cast<std::size_t>(bin)]);
    code[static_cast<std::size_t>(bin)] = static_cast<std::int64_t>(std::floor(inside / spec.step() + 0.5));
  }
  double sum = 0;
  for (int begin = 0; begin < TensorStats::kBins;) {
    int end = begin;
    double mass = 0;
    int occupied = 0;
    while (end < TensorStats::kBins && code[static_cast<std::size_t>(end)] == code[static_cast<std::size_t>(begin)]) {
      // The distribution on the grid knows only what was inside the range to begin with.
      const double x = stats.bin_center(end);
      const bool inside = x >= spec.min_real() - spec.step() / 2 && x <= spec.max_real() + spec.step() / 2;
      if (inside) mass += static_cast<double>(histogram[static_cast<std::size_t>(end)]);
      occupied += reference[static_cast<std::size_t>(end)] > 0 ? 1 : 0;
      ++end;
    }
    for (int bin = begin; bin < end; ++bin) {
      const double p = reference[static_cast<std::size_t>(bin)];
      if (p == 0) continue;
      const double q = std::max(mass / occupied, 1e-4);
      sum += p * std::log(p / q);
    }
    begin = end;
  }
  return sum;
}

QuantSpec least(const TensorStats& stats, const GridWish& wish, double (*cost)(const TensorStats&, QuantSpec)) {
  QuantSpec best = choose_min_max(stats, wish);
  double best_cost = cost(stats, best);
  QuantSpec spec = best;
  for (int i = 1; i < kCandidates; ++i) {
    ++spec.frac;
    const double candidate = cost(stats, spec);
    if (candidate < best_cost) {
      best_cost = candidate;
      best = spec;
    }
  }
  return best;
}

}  // namespace

QuantSpec choose_mse(const TensorStats& stats, const GridWish& wish) {
  return least(stats, wish, mean_square_error);
}

/// @source the calibration of TensorRT (Migacz 2017), over power-of-two ranges only
QuantSpec choose_kl(const TensorStats& stats, const GridWish& wish) {
  return least(stats, wish, divergence);
}

}  // namespace binade
