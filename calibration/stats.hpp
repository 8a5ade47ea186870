// What is known of a tensor after looking at it: range, histogram, moments per channel. Statistics know no estimator.
//
// Streaming in fixed memory and mergeable; because counts are integers, sums are kept in fixed point and the histogram
// only ever doubles its range exactly, the result has the same bits for any split of the images and any order.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/base/tensor.hpp"

namespace binade {

/// A sum that does not depend on the order of its terms: 128-bit fixed point, 2^-64 resolution.
class ExactSum {
 public:
  void add(double x);
  void merge(const ExactSum& other) { units_ += other.units_; }
  double value() const;
  friend bool operator==(const ExactSum&, const ExactSum&) = default;

 private:
  __extension__ using Units = __int128;
  Units units_ = 0;
};

struct ChannelStats {
  float min = 0, max = 0;
  ExactSum sum, sum_of_squares;
  friend bool operator==(const ChannelStats&, const ChannelStats&) = default;
};

class TensorStats {
 public:
  static constexpr int kBins = 4096;  ///< of the histogram, over [-2^exponent, 2^exponent)

  /// The statistics of one tensor, for weights.
  static TensorStats of(View<const float> tensor);

  /// Adds the images of a tensor one by one.
  void add(View<const float> tensor);
  void merge(const TensorStats& other);

  std::int64_t count() const { return count_; }
  bool empty() const { return count_ == 0; }
  float min() const { return min_; }
  float max() const { return max_; }
  double max_abs() const;
  /// Values below zero were seen: TI's rule for a signed grid [docs/ti.md 1.4].
  bool is_signed() const { return min_ < 0; }
  /// The histogram covers [-2^exponent, 2^exponent).
  int exponent() const { return exponent_; }
  double bin_width() const;
  /// The middle of a bin.
  double bin_center(int bin) const;
  std::span<const std::int64_t> histogram() const { return histogram_; }
  std::span<const ChannelStats> channels() const { return channels_; }
  std::int64_t count_per_channel() const;
  friend bool operator==(const TensorStats&, const TensorStats&) = default;

 private:
  void add_image(View<const float> tensor);
  void widen_to(int exponent);

  std::int64_t count_ = 0;
  float min_ = 0, max_ = 0;
  int exponent_ = -100;  // low enough for any range; a histogram of zeros alone keeps it
  std::vector<std::int64_t> histogram_;
  std::vector<ChannelStats> channels_;
};

}  // namespace binade
