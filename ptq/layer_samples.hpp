// What a layer reads and should write, sampled over images: patches of the quantized network, outputs of the float one.
#pragma once

#include <vector>

#include "core/graph/graph.hpp"
#include "ptq/graph_walk.hpp"
#include "ptq/least_squares.hpp"

namespace binade {

/// Rows of patches and outputs at sampled output pixels of a Conv2d or Linear, image by image.
struct LayerSamples {
  std::int64_t rows = 0;
  int groups = 1, columns = 0, outputs = 0;  ///< columns and outputs per group
  std::vector<float> patches;                ///< rows x groups x columns, in the order of OHWI weights
  std::vector<float> wanted;                 ///< rows x groups x outputs
};

/// Samples the layer `node` of `quantized.graph()` and the node of the same name of `reference.graph()`, at `per_image`
/// pixels of each image, or all where there are fewer; which ones depends on seed, image and layer only.
LayerSamples sample_layer(const GraphWalk& quantized, const GraphWalk& reference, const Node& node, int per_image,
                          std::uint64_t seed);

/// The moments of one group, about the means; the means of x and y are returned in `mean_x`, `mean_y`.
LayerMoments moments_of(const LayerSamples& samples, int group, std::vector<double>& mean_x,
                        std::vector<double>& mean_y);

}  // namespace binade
