// Finds pairs of layers and rescales what lies between them.
#include "tests/harness/rescale_channels.hpp"

#include <cmath>

#include "core/base/random.hpp"
#include "core/passes/layers.hpp"

namespace binade::harness {
namespace {

/// The layer that alone reads `layer`'s result, perhaps through a ReLU; null if there is none.
const Node* only_follower(const Graph& graph, const Node& layer) {
  ValueId value = layer.out;
  for (;;) {
    const std::vector<int> readers = graph.consumers(value);
    if (readers.size() != 1 || value == graph.output()) return nullptr;
    const Node& reader = graph.nodes()[static_cast<std::size_t>(readers[0])];
    if (is_weighted(reader)) return reader.in[kInput] == value ? &reader : nullptr;
    if (!std::holds_alternative<Relu>(reader.op)) return nullptr;
    value = reader.out;
  }
}

}  // namespace

Graph rescale_channels(const Graph& folded, double exponent, std::uint64_t seed, int& pairs) {
  Graph graph = folded;
  Random random(seed);
  pairs = 0;
  for (const Node& layer : folded.nodes()) {
    if (!is_weighted(layer) || groups_of(layer) != 1 || !has_bias(layer)) continue;
    const Node* next = only_follower(folded, layer);
    if (next == nullptr || groups_of(*next) != 1) continue;
    Tensor<float>&weights = graph.tensor(layer.in[kWeights]), &bias = graph.tensor(layer.in[kBias]);
    Tensor<float>& behind = graph.tensor(next->in[kWeights]);
    const int channels = weights.shape().n;
    if (behind.shape().c != channels) continue;
    ++pairs;
    const std::int64_t length = weights.count() / channels;
    for (int c = 0; c < channels; ++c) {
      const auto factor = static_cast<float>(std::exp2(random.uniform(-exponent, exponent)));
      for (std::int64_t i = 0; i < length; ++i) weights[c * length + i] *= factor;
      bias[c] *= factor;
      for (std::int64_t i = c; i < behind.count(); i += channels) behind[i] /= factor;
    }
  }
  return graph;
}

}  // namespace binade::harness
