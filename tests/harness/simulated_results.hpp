// Results of networks that do not exist, with known accuracies: whether intervals cover is seen on them.
#pragma once

#include <string>
#include <vector>

namespace binade {

/// How often an interval of 95 % held the true value.
struct Coverage {
  std::string interval;  ///< what the table calls it, and the case
  double covered = 0;    ///< part of the trials
  double width = 0;      ///< mean, in points
};

/// Every interval that the accuracy table prints, `trials` times each: of top-1 and of its paired difference, with ties
/// and without; of the mean IoU and its difference, images independent and frames of a video, n = 50, 100 and 233.
std::vector<Coverage> simulate_coverage(int trials, int resamples);

}  // namespace binade
