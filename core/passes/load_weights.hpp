// Copies weights between networks that have the same layers: all layers, or the encoder's.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/graph/graph.hpp"

namespace binade {

/// Which layer of the other network is whose.
enum class LayerMap : std::uint8_t {
  automatic,  ///< by name where every layer finds its name, else by order
  name,   ///< of the weights, without ".weight", "/kernel" and a leading "module.", "model.", "encoder.", "backbone."
  order,  ///< the first layer takes from the first, the second from the second
};

/// Which layers take weights; the others keep their initial values.
enum class LayerPart : std::uint8_t {
  all,
  encoder,  ///< those not called "decoder.*"; where there are none, all but the last
};

struct WeightOptions {
  LayerMap map = LayerMap::automatic;
  LayerPart part = LayerPart::all;
  /// By name: what layers of the network are called in the source, where that differs. Names as LayerMap::name has
  /// them.
  std::map<std::string, std::string> names = {};
};

struct LoadedWeights {
  LayerMap map = LayerMap::order;   ///< what automatic became
  std::vector<std::string> layers;  ///< "layer < where from", for each that took weights
  std::vector<std::string> kept;    ///< layers, and parameters outside of layers, with their initial values
  std::vector<std::string> unused;  ///< layers of the other network that nobody took
  /// Batch norms that became the identity and a bias, as the other network had its own folded into the weights.
  std::vector<std::string> identities;
  /// "layer: Conv2d(...), Clip(...) there, ... here": what computes otherwise with the same weights.
  std::vector<std::string> differences;
};

/// Gives the layers (Conv2d, ConvTranspose2d, Linear, each with the batch norm after it) of `network` the weights of
/// `source`, so that a layer computes what it computed there:
/// - batch norm on both sides: its parameters and epsilon, too. A bias that only the source's layer has moves into the
///   running mean.
/// - only here, the source being folded: gamma 1, beta the bias, mean 0, variance 1 - epsilon. In inference that is the
///   folded layer, up to float rounding. In training it is not, as batch statistics would come in: see
///   measure_batch_norm, which makes it one.
/// - only there: folded into weights and bias.
/// Quantizers of the source are left out.
/// @throws DataError naming every layer that finds no partner, every name in `names` that is no layer (or, by order,
/// the numbers of layers, if they differ for LayerPart::all), and every pair whose shapes do not fit, both sides with
/// their shapes
Graph load_weights(const Graph& network, const Graph& source, const WeightOptions& options, LoadedWeights& loaded);

}  // namespace binade
