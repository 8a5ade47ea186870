// TI's range of an activation: extremes of batches, outliers cut, averaged over time.
#pragma once

#include <cstdint>

#include "core/base/fixed_point.hpp"
#include "core/base/tensor.hpp"

namespace binade {

/// The percentile extremes of single batches, averaged with the factor max(1 / n, 1/1000), n = batches before the new
/// one; so the second batch replaces the first. @source TI's PACT2 [docs/ti.md 2.4]
class RunningRange {
 public:
  static constexpr double kPercent = 0.01;  ///< TI's: cut at each tail

  /// Adds a batch, `percent` of its elements cut at each tail. Where some are cut, every second row and column of
  /// tensors larger than 4x4 is looked at, from a phase that the seed decides; with a percentage of 0 the extremes are
  /// those of all elements. Does not depend on the number of threads.
  void add(View<const float> batch, std::uint64_t seed, double percent = kPercent);

  std::int64_t batches() const { return batches_; }
  double min() const { return min_; }
  double max() const { return max_; }
  /// Signed if values below zero were seen; the power of two at or above the largest magnitude.
  QuantSpec spec(int bits) const;
  /// Continues from what another one had come to.
  static RunningRange of(double min, double max, std::int64_t batches);

 private:
  std::int64_t batches_ = 0;
  double min_ = 0, max_ = 0;
};

/// The extremes of a tensor without `percent` of its elements at each tail, by a histogram of 256 bins.
struct Extremes {
  double min = 0, max = 0;
};
Extremes percentile_extremes(View<const float> tensor, double percent, std::uint64_t seed);

}  // namespace binade
