// What a layer reads and should write, sampled over images: patches of the quantized network, outputs of the float one.
#pragma once

#include <optional>
#include <vector>

#include "calibration/graph_walk.hpp"
#include "calibration/least_squares.hpp"
#include "core/graph/graph.hpp"

namespace binade {

/// Rows of patches and outputs at sampled output pixels of a Conv2d or Linear, image by image.
struct LayerSamples {
  std::int64_t rows = 0;
  int groups = 1, columns = 0, outputs = 0;  ///< columns and outputs per group
  std::vector<float> patches;                ///< rows x groups x columns, in the order of OHWI weights
  std::vector<float> wanted;                 ///< rows x groups x outputs
  std::int64_t half = 0;                     ///< rows of the first half of the images
};

/// What joins a layer's result in an Add and is computed before the layer: of the quantized graph and of the float one.
struct Companion {
  ValueId quantized{}, reference{};
};

/// The other operand of the Add that alone reads the layer's quantized result, if there is one.
std::optional<Companion> companion_of(const Graph& quantized, const Graph& reference, const Node& node);

/// Samples the layer `node` of `quantized.graph()` and the node of the same name of `reference.graph()`, at `per_image`
/// pixels of each image, or all where there are fewer; which ones depends on seed, image and layer only. A layer with a
/// companion z should write what makes their sum right, whatever has become of z by now: y + z - quantized z.
LayerSamples sample_layer(const GraphWalk& quantized, const GraphWalk& reference, const Node& node, int per_image,
                          std::uint64_t seed);

/// The moments of one group over the rows [begin, end).
LayerMoments moments_of(const LayerSamples& samples, int group, std::int64_t begin, std::int64_t end);

}  // namespace binade
