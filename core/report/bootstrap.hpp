// Intervals of a segmentation's mean IoU by a studentised bootstrap over images, or over blocks of a video's frames.
#pragma once

#include <cstdint>
#include <span>

#include "core/report/statistics.hpp"

namespace binade {

/// Per-image confusions, n x classes x classes, of one method or of two on the same images.
struct ConfusionPair {
  std::span<const std::int64_t> first;  ///< empty: the mean IoU of `second` alone
  std::span<const std::int64_t> second;
  int classes = 0;
  /// The unit that each image belongs to, 0 .. : copies of one image, frames of one block of a video. Units are drawn
  /// as a whole. Empty: every image is a unit of its own.
  std::span<const int> units = {};
  /// Units follow one another as blocks of a video do, so that neighbours may still be alike.
  bool in_order = false;
};

/// Of mIoU(second) - mIoU(first) or of mIoU(second): units are drawn with replacement, and what is looked at is the
/// distance from the estimate in standard errors of the resample itself. The percentile interval is too narrow below
/// some hundred images (coverage 0.86 at 50), this one is not.
/// @math t* = (m* - m) / se*; [m - q(1 - a/2) se, m - q(a/2) se], q the quantiles of t*; se by linearisation:
///       q at least Student's quantile for G - 1 degrees of freedom, below which few resamples would let it fall;
///       se^2 = G / (G - 1) sum over units (1/K sum over classes (I_uk - IoU_k U_uk) / U_k)^2, I intersection, U union
///       in order, se grows by sqrt(1 + 2 max(0, r)), r the lag-1 correlation of the units' terms (Newey and West 1987)
/// @source Efron 1981, Hall 1988; deterministic: the resamples depend on `seed` alone
Interval bootstrap_mean_iou(const ConfusionPair& pair, int resamples = 2000, std::uint64_t seed = 0,
                            double confidence = kConfidence);

}  // namespace binade
