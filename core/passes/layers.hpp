// What passes ask about nodes: which carry weights, which keep the grid of their input, which keep channels apart.
#pragma once

#include <optional>
#include <vector>

#include "core/graph/graph.hpp"

namespace binade {

inline constexpr std::size_t kInput = 0, kWeights = 1, kBias = 2;  ///< inputs of a weighted node

/// Conv2d, ConvTranspose2d or Linear: x, weights with the output channels first, perhaps a bias.
inline bool is_weighted(const Node& node) {
  return role_of(node.op) == Role::layer;
}
inline bool has_bias(const Node& node) {
  return is_weighted(node) && node.in.size() > kBias;
}

/// Number of groups of a weighted node; 1 for Linear.
int groups_of(const Node& node);

/// ReLU-like: piecewise linear, so that integers apply it to the accumulator, and a quantizer goes behind it rather
/// than in front of it [docs/ti.md 2.2]. Sigmoids and their like are tables of codes: they want quantizers on both
/// sides.
inline bool is_activation(const Node& node) {
  return role_of(node.op) == Role::activation;
}

/// Every element of the result is an element of the input (or a zero): the grid of the input stays valid.
inline bool keeps_grid(const Node& node) {
  return keeps_grid(node.op);
}

/// Channels first_in, first_in + step, ... of an input that become channels first_out, first_out + 1, ... of the
/// result.
struct ChannelRun {
  std::size_t input;
  int first_in, step, first_out, count;
};
/// How an op that moves elements moves channels: Slice, Pad and Concat; empty for any other op.
std::vector<ChannelRun> channel_runs(const Graph& graph, const Node& node);

/// The FakeQuant whose grid a value of a quantized graph lies on, looking back through nodes that keep the grid.
/// Null when there is none.
const Node* grid_of(const Graph& graph, ValueId id);

/// The spec of grid_of, if there is one.
std::optional<QuantSpec> spec_of(const Graph& graph, ValueId id);

}  // namespace binade
