// How many bits each quantized tensor gets: one width for weights, one for activations, and layers that differ.
#pragma once

#include <string>
#include <vector>

#include "core/graph/graph.hpp"

namespace binade {

/// A layer with a width of its own, for its weights and for the activation that it reads. Of a layer that no other
/// layer with weights follows, everything after it, too: the network's result.
struct LayerWidth {
  /// The name of a node with weights; "first" and "last" are those of the graph, which the literature keeps at 8 bits.
  std::string layer;
  int bits = 8;
  friend bool operator==(const LayerWidth&, const LayerWidth&) = default;
};

class Widths {
 public:
  /// An activation that two of the layers read gets the larger width.
  /// @throws UsageError for a layer that the graph does not have, with the nearest name
  Widths(const Graph& graph, int weight_bits, int activation_bits, const std::vector<LayerWidth>& layers);

  /// Of a quantized activation, or of weights.
  int operator()(ValueId id) const { return bits_[index_of(id)]; }

 private:
  std::vector<int> bits_;  ///< by value
};

}  // namespace binade
