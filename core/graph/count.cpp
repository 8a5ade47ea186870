// Counts over the nodes of a graph.
#include "core/graph/count.hpp"

namespace binade {
namespace {

bool is_constant(const Graph& graph, ValueId id) {
  return graph.name(id).ends_with(".constant");
}

}  // namespace

std::vector<ValueId> trainable_parameters(const Graph& graph) {
  std::vector<bool> is_statistic(graph.values().size(), false);
  for (const Node& node : graph.nodes()) {
    const std::uint32_t statistics = traits_of(node.op).statistics;
    for (std::size_t i = 0; i < node.in.size() && i < 32; ++i) {
      if ((statistics >> i & 1) != 0) is_statistic[index_of(node.in[i])] = true;
    }
  }
  std::vector<ValueId> trainable;
  for (const ValueId id : graph.parameters()) {
    if (!is_statistic[index_of(id)] && !is_constant(graph, id)) trainable.push_back(id);
  }
  return trainable;
}

std::int64_t count_parameters(const Graph& graph) {
  std::int64_t elements = 0;
  for (const ValueId id : trainable_parameters(graph)) elements += graph.shape(id).count();
  return elements;
}

std::int64_t count_with_statistics(const Graph& graph) {
  std::int64_t elements = 0;
  for (const ValueId id : graph.parameters()) {
    if (!is_constant(graph, id)) elements += graph.shape(id).count();
  }
  return elements;
}

std::int64_t count_macs(const Graph& graph, const Node& node) {
  if (role_of(node.op) != Role::layer) return 0;
  const bool is_transposed = std::holds_alternative<ConvTranspose2d>(node.op);
  // A convolution spends its kernel once per output pixel, a transposed one once per input pixel; w is {oc, kh, kw,
  // ic/g}. A transposed one's kernel reaches every output channel of the group from each input channel: oc * ic / g
  // either way.
  const std::int64_t pixels = graph.shape(is_transposed ? node.in[0] : node.out).pixels();
  return pixels * graph.shape(node.in[1]).count();
}

Macs count_macs(const Graph& graph) {
  Macs macs;
  for (const Node& node : graph.nodes()) {
    (std::holds_alternative<Linear>(node.op) ? macs.linear : macs.convolutions) += count_macs(graph, node);
  }
  return macs;
}

}  // namespace binade
