// Properties of nodes, each decided once.
#include "core/passes/layers.hpp"

namespace binade {

int groups_of(const Node& node) {
  return std::visit(
      [](const auto& op) {
        if constexpr (requires { op.groups; }) return op.groups;
        return 1;
      },
      node.op);
}

std::vector<ChannelRun> channel_runs(const Graph& graph, const Node& node) {
  const auto channels = [&](ValueId id) { return graph.shape(id).c; };
  if (const auto* slice = std::get_if<Slice>(&node.op)) {
    const bool on_channels = slice->axis == 3;
    return {{0, on_channels ? slice->begin : 0, on_channels ? slice->step : 1, 0, channels(node.out)}};
  }
  if (const auto* pad = std::get_if<Pad>(&node.op)) return {{0, 0, 1, pad->channels_before, channels(node.in[0])}};
  std::vector<ChannelRun> runs;
  if (!std::holds_alternative<Concat>(node.op)) return runs;
  int first = 0;
  for (std::size_t i = 0; i < node.in.size(); ++i) {
    runs.push_back({i, 0, 1, first, channels(node.in[i])});
    first += channels(node.in[i]);
  }
  return runs;
}

const Node* grid_of(const Graph& graph, ValueId id) {
  const Node* node = graph.producer(id);
  while (node != nullptr && keeps_grid(*node)) node = graph.producer(node->in[0]);
  return node != nullptr && fixed_quantizer(node->op) != nullptr ? node : nullptr;
}

std::optional<QuantSpec> spec_of(const Graph& graph, ValueId id) {
  const Node* node = grid_of(graph, id);
  if (node == nullptr) return std::nullopt;
  return std::get<FakeQuant>(node->op).spec;
}

}  // namespace binade
