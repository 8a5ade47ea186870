// The mean square error of each channel of a value on a grid of any clip, from a table of magnitudes.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/graph/graph.hpp"
#include "core/model/image_source.hpp"

namespace binade {

/// Counts of |x| per channel in bins of a quarter octave (edges 2^k (1 + j/4)), 2^-16 .. 2^16. Counts do not depend on
/// the order of images.
class ChannelNoise {
 public:
  static constexpr int kBins = 128;

  void add(View<const float> tensor);
  void merge(const ChannelNoise& other);
  /// After the last add: makes error() a matter of a few look-ups.
  void finish();

  int channels() const { return static_cast<int>(max_.size()); }
  double max(int c) const { return static_cast<double>(max_[static_cast<std::size_t>(c)]); }
  bool is_signed() const { return min_ < 0; }
  /// Variance of the elements of a channel.
  double variance(int c) const;

  /// The share of the elements of channel c with 0 < |x| < limit; to a bin's width.
  double share_below(int c, double limit) const;

  /// Expected squared error per element of channel c when rounded to `levels` steps per clip and saturated at `clip`:
  /// x^2 below half a step, step^2 / 12 inside, (|x| - clip)^2 outside. After finish().
  double error(int c, double clip, double levels) const;

 private:
  std::vector<std::uint32_t> counts_;  // channels x kBins
  std::vector<float> max_;
  std::vector<double> sum_;  // of bin centres: dyadic rationals, so exact and independent of the order
  struct Tail {
    double count = 0, sum = 0, squares = 0;
  };
  double center(int c, int bin) const;

  std::vector<Tail> tails_;  // channels x (kBins + 1): of all bins from this one on
  float min_ = 0;
  std::int64_t count_ = 0;  // per channel
};

/// The tables of `values` over the first `image_count` images.
std::vector<ChannelNoise> collect_noise(const Graph& graph, ImageSource& images, std::span<const ValueId> values,
                                        int image_count, int batch);

}  // namespace binade
