// Finding layers by name, and the tensors that belong to them.
#include "core/passes/widths.hpp"

#include <algorithm>
#include <string_view>

#include "core/base/names.hpp"
#include "core/passes/layers.hpp"

namespace binade {
namespace {

const Node& find_layer(const Graph& graph, const std::string& name) {
  std::vector<const Node*> layers;
  for (const Node& node : graph.nodes()) {
    if (is_weighted(node) && graph.is_parameter(node.in[kWeights])) layers.push_back(&node);
  }
  if (layers.empty()) throw UsageError("widths of layers: the network has no layer with weights");
  if (name == "first") return *layers.front();
  if (name == "last") return *layers.back();
  std::vector<std::string_view> known{"first", "last"};
  for (const Node* layer : layers) {
    if (layer->name == name) return *layer;
    known.push_back(layer->name);
  }
  throw UsageError(unknown_name("layer", name, known));
}

/// Where the grid of what a node reads is decided.
ValueId source_of(const Graph& graph, ValueId id) {
  for (const Node* node = graph.producer(id); node != nullptr && keeps_grid(*node); node = graph.producer(id)) {
    id = node->in[0];
  }
  return id;
}

/// The values after a node, its own among them; none if one of them is read by a layer with weights.
std::vector<ValueId> results_behind(const Graph& graph, const Node& layer) {
  std::vector<bool> behind(graph.values().size());
  behind[index_of(layer.out)] = true;
  std::vector<ValueId> found{layer.out};
  for (const Node& node : graph.nodes()) {
    const bool reads = std::any_of(node.in.begin(), node.in.end(), [&](ValueId id) { return behind[index_of(id)]; });
    if (!reads) continue;
    if (is_weighted(node)) return {};
    behind[index_of(node.out)] = true;
    found.push_back(node.out);
  }
  return found;
}

}  // namespace

Widths::Widths(const Graph& graph, int weight_bits, int activation_bits, const std::vector<LayerWidth>& layers) {
  for (std::size_t i = 0; i < graph.values().size(); ++i) {
    bits_.push_back(graph.is_parameter(static_cast<ValueId>(i)) ? weight_bits : activation_bits);
  }
  std::vector<bool> decided(bits_.size());
  for (const LayerWidth& width : layers) {
    const Node& layer = find_layer(graph, width.layer);
    std::vector<ValueId> tensors = results_behind(graph, layer);
    tensors.push_back(layer.in[kWeights]);
    tensors.push_back(source_of(graph, layer.in[kInput]));
    for (const ValueId id : tensors) {
      int& bits = bits_[index_of(id)];
      bits = decided[index_of(id)] ? std::max(bits, width.bits) : width.bits;
      decided[index_of(id)] = true;
    }
  }
}

}  // namespace binade
