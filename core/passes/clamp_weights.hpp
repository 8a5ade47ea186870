// TI's cure for weights with outliers: clamp them, once, before their grid is chosen.
#pragma once

#include <string>
#include <vector>

#include "core/graph/graph.hpp"

namespace binade {

struct ClampedWeights {
  std::string name;    ///< of the parameter
  double largest = 0;  ///< magnitude before
  double limit = 0;    ///< magnitude from now on
};

/// Every weight tensor with max|w| > 15 and > 16 times its median magnitude is clamped to 120/128 of the power of two
/// at or above the smaller of max and 16 medians. Returns what was clamped. @source [docs/ti.md 1.5]
std::vector<ClampedWeights> clamp_weights(Graph& graph);

}  // namespace binade
