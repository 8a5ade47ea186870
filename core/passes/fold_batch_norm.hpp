// Folds batch normalisation into the weights before it.
#pragma once

#include "core/graph/graph.hpp"

namespace binade {

/// Replaces every BatchNorm by what it is in inference. After a Conv2d, ConvTranspose2d or Linear that nothing else
/// reads it becomes new weights and a bias: w' = g w, b' = g (b - mean) + beta with g = gamma / sqrt(variance +
/// epsilon). Anywhere else it becomes a depthwise 1x1 convolution under its own name. Outputs stay equal up to float
/// rounding; a second run changes nothing. A convolution without a bias gets one only if it needs it.
Graph fold_batch_norm(const Graph& graph);

}  // namespace binade
