// Where the pixels of a resized axis come from: the one table that floats and integers share.
#pragma once

#include <vector>

#include "core/ops/ops.hpp"

namespace binade {

/// An output position of one axis is a blend of two input positions: (1 - weight) * in[low] + weight * in[high].
struct ResizeWeights {
  int low = 0, high = 0;
  double weight = 0;
};

/// One entry per output position of an axis of `in` positions that becomes `out`.
std::vector<ResizeWeights> resize_weights(const Resize& op, int in, int out);

}  // namespace binade
