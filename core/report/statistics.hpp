// Statistics of results: how sure a proportion is, whether two columns differ, how far two networks' outputs are apart.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace binade {

/// A confidence interval, [lo, hi].
struct Interval {
  double lo = 0, hi = 0;
  bool contains(double x) const { return lo <= x && x <= hi; }
  friend bool operator==(const Interval&, const Interval&) = default;
};

inline constexpr double kConfidence = 0.95;

/// Two-sided standard normal quantile: 1.96 for 0.95.
double normal_quantile(double confidence);

/// Of `successes` out of n; [0, 1] for n = 0. n may be a fraction, an effective number of images, and
/// so may successes (images that tie): their variance is smaller
/// than that of the same number of whole ones, so that the interval errs to the safe side.
/// @math (p + z^2/2n +- z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n)   @source Wilson 1927
Interval wilson_interval(double successes, double n, double confidence = kConfidence);

/// The same images seen by two methods: a 2 x 2 table.
struct PairedCounts {
  std::int64_t both = 0;         ///< right in both
  std::int64_t first_only = 0;   ///< right in the first only
  std::int64_t second_only = 0;  ///< right in the second only
  std::int64_t neither = 0;

  std::int64_t n() const { return both + first_only + second_only + neither; }
  /// Proportion right in the second minus in the first; 0 for n = 0.
  double difference() const {
    return n() == 0 ? 0 : static_cast<double>(second_only - first_only) / static_cast<double>(n());
  }
};

/// Of difference(): Wald's interval after one pseudo-observation in each discordant cell, so that it neither
/// collapses to a point without discordant images nor leaves [-1, 1].
/// @math a = (second_only + 1) / (n + 2), b = (first_only + 1) / (n + 2); a - b +- z sqrt((a + b - (a - b)^2) / (n +
/// 2))
/// @source Bonett and Price 2012; recommended by Fagerland, Lydersen and Laake 2014
Interval paired_interval(const PairedCounts& counts, double confidence = kConfidence);

/// Exact McNemar test, two-sided: the probability, were both methods equally good, of discordant images split at
/// least as unevenly.
/// @math min(1, 2 P(X <= min(first_only, second_only))), X ~ Binomial(first_only + second_only, 1/2)
double mcnemar_p(const PairedCounts& counts);

/// The same two statistics for images whose credit may be a fraction: `differences` are those of the second's credits
/// to the first's, one per image, within [-1, 1]. Without fractions they equal the functions of PairedCounts.
/// @math with n images: m = sum d / (n + 2), s = (sum d^2 + 2) / (n + 2): m +- z sqrt((s - m^2) / (n + 2))
/// An image that occurs more than once counts as one observation: `copies`, where given, says how often each occurs,
/// and n is the effective number of images.
Interval paired_interval(std::span<const double> differences, double confidence = kConfidence,
                         std::span<const double> copies = {});
/// Of images of which some are copies of others. @math (sum copies)^2 / sum copies^2   @source Kish 1965
double effective_images(std::span<const double> copies);
/// Exact test by the signs of the differences: the probability, were each difference as likely with the other sign, of
/// a sum at least as far from 0. Differences count in multiples of 1/5040.
double sign_flip_p(std::span<const double> differences);

/// Signal to noise in decibels; infinity when the tensors are equal, minus infinity when only the signal is zero.
/// @math 10 log10(sum reference^2 / sum (reference - value)^2), summed in double in the given order
double sqnr_db(std::span<const float> reference, std::span<const float> value);

/// Of every class: intersection / union, or -1 if it is never a label.
/// @math true / (true + false positives + false negatives)
/// @shape confusion: classes x classes, [label][predicted]
std::vector<double> class_iou(std::span<const std::int64_t> confusion, int classes);

/// Mean of class_iou over the classes that occur as labels.
/// @shape confusion: classes x classes, [label][predicted]
double mean_iou(std::span<const std::int64_t> confusion, int classes);

/// Part of the pixels on the diagonal; 0 for an empty confusion.
double pixel_accuracy(std::span<const std::int64_t> confusion, int classes);

/// Of K repetitions: what --calibration-sets prints.
struct Spread {
  double mean = 0, deviation = 0;  ///< sample standard deviation, 0 for one value
  double min = 0, max = 0;
};
Spread spread_of(std::span<const double> values);

}  // namespace binade
