// Properties of nodes, each decided once.
#include "core/passes/layers.hpp"

namespace binade {

int groups_of(const Node& node) {
  if (const auto* conv = std::get_if<Conv2d>(&node.op)) return conv->groups;
  if (const auto* conv = std::get_if<ConvTranspose2d>(&node.op)) return conv->groups;
  return 1;
}

bool is_activation(const Node& node) {
  return std::holds_alternative<Relu>(node.op) || std::holds_alternative<Clip>(node.op) ||
         std::holds_alternative<LeakyRelu>(node.op) || std::holds_alternative<PRelu>(node.op);
}

bool keeps_grid(const Node& node) {
  if (std::holds_alternative<MaxPool>(node.op) || std::holds_alternative<Slice>(node.op) ||
      std::holds_alternative<Reshape>(node.op) || std::holds_alternative<Dropout>(node.op)) {
    return true;
  }
  if (const auto* pad = std::get_if<Pad>(&node.op)) return pad->value == 0;
  if (const auto* resize = std::get_if<Resize>(&node.op)) return resize->interpolation == Interpolation::nearest;
  return false;
}

const Node* grid_of(const Graph& graph, ValueId id) {
  const Node* node = graph.producer(id);
  while (node != nullptr && keeps_grid(*node)) node = graph.producer(node->in[0]);
  return node != nullptr && std::holds_alternative<FakeQuant>(node->op) ? node : nullptr;
}

std::optional<QuantSpec> spec_of(const Graph& graph, ValueId id) {
  const Node* node = grid_of(graph, id);
  if (node == nullptr) return std::nullopt;
  return std::get<FakeQuant>(node->op).spec;
}

}  // namespace binade
