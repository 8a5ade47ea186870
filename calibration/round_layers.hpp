// Rounds the weights of a quantized network layer by layer against the float network's outputs. No gradients.
#pragma once

#include <cstdint>

#include "core/graph/graph.hpp"
#include "core/model/image_source.hpp"

namespace binade {

struct RoundLayersOptions {
  int images = 256;    ///< at most so many calibration images
  int pixels = 16384;  ///< sampled per layer, over all images
  double ridge = 0;    ///< see RoundingOptions; 0: of each layer the one that serves images best that it has not seen
  double damping = 0.01;  ///< see RoundingOptions
  std::uint64_t seed = 0;
};

struct RoundedLayers {
  Graph graph;  ///< weights on their grids, biases that make the means of outputs right
  int rounded = 0, to_nearest = 0;
  int images = 0;
};

/// Every layer sees its inputs as the quantized network makes them by then, and is rounded for what is wanted of it in
/// the float network `reference`, of which `quantized` has the nodes and names. Layers whose weights and inputs lie on
/// fine grids stay as they are.
RoundedLayers round_layers(const Graph& quantized, const Graph& reference, ImageSource& images,
                           const RoundLayersOptions& options);

}  // namespace binade
